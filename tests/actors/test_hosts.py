"""Who shares an actor with whom, over pretended actors. No Ray."""

import asyncio
from collections.abc import Callable
from itertools import count
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ray.exceptions import ActorDiedError, ActorUnavailableError

from actors import hosts
from actors.hosts import (
    ACTORS_PER_PROCESSOR,
    ALONE_PER_PROCESSOR,
    MAX_PLACES,
    Hosts,
    places_on,
)
from actors.room import Demand
from actors.symbol_handle import OwnedSymbol

FIRST, MORE = Demand(cpus=0.1, memory_mb=80), Demand(cpus=0.1, memory_mb=20)


class Actor:
    """An actor that notes who leaves it, and does so when `may_leave` is set."""

    def __init__(
        self, name: str, demand: Demand, places: int, node: str | None, avoid: Any
    ) -> None:
        self.name, self.demand, self.node, self.avoid = name, demand, node, tuple(avoid)
        self.places = places
        self.left: list[str] = []
        self.lives = 1
        self.failure: Exception | None = None
        self.may_leave = asyncio.Event()
        self.may_leave.set()

    @property
    def leave(self) -> Any:
        async def remote(symbol: str) -> None:
            await self.may_leave.wait()
            if self.failure is not None:
                raise self.failure
            self.left.append(symbol)

        return SimpleNamespace(remote=remote)


class World:
    """Actors that are created, killed and started again as Ray would, and the places in them."""

    def __init__(self, places: Callable[[], int]) -> None:
        self.alive: dict[str, Actor] = {}
        self.made = Hosts(
            self._create,
            places=places,
            first=FIRST,
            more=MORE,
            stores=lambda number: f"store:{number % 2}",
        )

    def recruit(self, *symbols: str, **placed: Any) -> list[Actor]:
        return [self.made.recruit(symbol, [], **placed).handle.actor for symbol in symbols]

    def name_of(self, symbol: str) -> str | None:
        host = self.made.find(symbol)
        return None if host is None else host.name

    async def killed(self, handle: Actor, name: str) -> None:
        assert self.alive.pop(name) is handle
        await asyncio.sleep(0)

    async def restarted(self, handle: Actor) -> None:
        handle.lives += 1

    def _create(
        self, name: str, demand: Demand, *, places: int, node: str | None, avoid: Any
    ) -> Actor:
        if name in self.alive:
            raise ValueError(f"the name {name} is taken")
        actor = self.alive[name] = Actor(name, demand, places, node, avoid)
        return actor


@pytest.fixture
def places() -> int:
    """How many symbols share an actor."""
    return 3


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch, places: int) -> World:
    made = World(lambda: places)
    monkeypatch.setattr(hosts, "killed", made.killed)
    monkeypatch.setattr(hosts, "restarted", made.restarted)
    return made


@given(st.integers(0, 2000), st.integers(1, 256))
def test_a_processor_has_no_more_actors_than_it_can_wake(symbols: int, processors: int) -> None:
    places = places_on(symbols, processors)
    alone = ALONE_PER_PROCESSOR * processors
    assert (places == 1) == (symbols <= alone)
    assert places <= MAX_PLACES
    if 1 < places < MAX_PLACES:
        actors = ACTORS_PER_PROCESSOR * processors
        assert (places - 1) * actors < symbols <= places * actors, "no more share than must"


async def test_symbols_go_to_the_first_actor_with_a_place(world: World) -> None:
    world.recruit(*"ABCD")
    assert [world.name_of(symbol) for symbol in "ABCD"] == ["symbols:0"] * 3 + ["symbols:1"]
    await world.made.vacate("B")
    world.recruit("E", "F")
    assert [world.name_of(symbol) for symbol in "EF"] == ["symbols:0", "symbols:1"]
    assert world.name_of("B") is None
    actor = world.alive["symbols:0"]
    assert (actor.demand.cpus, actor.demand.memory_mb) == pytest.approx((0.3, 120))
    assert actor.places == 3, "it is made for as many calls at once"


@pytest.mark.parametrize("places", [1])
async def test_one_that_shares_with_nobody_has_an_actor_of_its_own_name(world: World) -> None:
    world.recruit("A", "B")
    assert world.alive.keys() == {"symbol:A", "symbol:B"}
    assert world.alive["symbol:A"].demand == FIRST
    with pytest.raises(ValueError, match="symbol:B is taken"):
        world.recruit("B")


async def test_an_owner_knows_its_symbol_and_the_store_of_its_actor(world: World) -> None:
    members = {symbol: world.made.recruit(symbol, []) for symbol in "ABCD"}
    assert [member.store for member in members.values()] == ["store:0"] * 3 + ["store:1"]
    for symbol, member in members.items():
        assert isinstance(member.handle, OwnedSymbol)
        assert member.handle.symbol == symbol
        assert member.handle.actor is world.alive[world.name_of(symbol) or ""]


async def test_who_wants_a_node_or_none_of_some_shares_only_where_that_is_so(
    world: World,
) -> None:
    world.recruit("A")
    world.made.is_at("A", "n1")
    (there,) = world.recruit("B", node="n2")
    assert (there.name, there.node) == ("symbols:1", "n2")
    world.made.is_at("B", "n2")
    world.recruit("C", node="n1")
    world.recruit("D", avoid=["n1"])
    assert [world.name_of(symbol) for symbol in "CD"] == ["symbols:0", "symbols:1"]
    (elsewhere,) = world.recruit("E", avoid=["n1", "n2"])
    assert (elsewhere.name, elsewhere.avoid) == ("symbols:2", ("n1", "n2"))


async def test_those_that_move_to_a_node_together_share_an_actor_before_it_lives(
    world: World,
) -> None:
    (first, second) = world.recruit("A", "B", node="n1")
    assert (first, first.node) == (second, "n1")
    world.made.is_at("A", "n2")  # there was no room any more
    assert world.recruit("C", node="n1") != [first]


async def test_an_actor_on_a_refused_node_gets_nobody_new(world: World) -> None:
    world.recruit("A")
    world.made.is_at("A", "n1")
    world.made.shun("A")
    world.made.shun("unknown")
    world.recruit("B")
    assert world.name_of("B") == "symbols:1"
    assert world.made.room({"n1": {}}) == {"n1": 0}


async def test_a_node_has_room_for_whole_actors_and_in_those_that_it_has(world: World) -> None:
    free = {"n1": {"CPU": 0.7, "memory": 1e9}, "n2": {"CPU": 0.2, "memory": 1e9}}
    assert world.made.room(free) == {"n1": 6, "n2": 0}
    world.recruit("A")
    assert world.made.room(free) == {"n1": 6, "n2": 0}, "its actor has no node yet"
    world.made.is_at("A", "n2")
    assert world.made.room(free) == {"n1": 6, "n2": 2}
    world.made.is_at("A", "n3")
    assert world.made.room(free) == {"n1": 6, "n2": 0}


async def test_the_last_to_leave_ends_the_actor_and_its_name_is_free(world: World) -> None:
    first, *_ = world.recruit(*"ABCD")
    await world.made.vacate("A")
    await world.made.vacate("A")
    await world.made.vacate("C")
    assert first.left == ["A", "C"]
    await world.made.vacate("B")
    assert first.left == ["A", "C"], "who is killed need not be asked"
    assert world.alive.keys() == {"symbols:1"}
    world.recruit(*"EFG")
    assert [world.name_of(symbol) for symbol in "DEFG"] == ["symbols:1"] * 3 + ["symbols:0"]


async def test_a_place_is_taken_until_its_symbol_is_gone(world: World) -> None:
    (actor, *_) = world.recruit(*"ABC")
    actor.may_leave.clear()
    leaving = asyncio.create_task(world.made.vacate("A"))
    await asyncio.sleep(0)
    world.recruit("D")
    assert world.name_of("D") == "symbols:1"
    actor.may_leave.set()
    await leaving
    world.recruit("E")
    assert world.name_of("E") == "symbols:0"


async def test_all_who_leave_at_the_same_time_end_the_actor(world: World) -> None:
    (actor, *_) = world.recruit(*"ABC")
    actor.may_leave.clear()
    leaving = asyncio.gather(*map(world.made.vacate, "ABC"))
    await asyncio.sleep(0)
    actor.may_leave.set()
    await leaving
    assert world.alive == {}


@pytest.mark.parametrize("error", [ActorUnavailableError("away", None), TimeoutError()])
async def test_an_actor_that_does_not_give_up_a_symbol_begins_anew(
    world: World, error: Exception
) -> None:
    (actor, _) = world.recruit("A", "B")
    actor.failure = error
    await world.made.vacate("A")
    assert (actor.lives, world.name_of("A"), world.name_of("B")) == (2, None, "symbols:0")
    assert world.recruit("C") == [actor]


async def test_an_actor_that_is_dead_for_good_gets_nobody_new(world: World) -> None:
    (actor, _) = world.recruit("A", "B")
    actor.failure = ActorDiedError()
    await world.made.vacate("A")
    assert actor.lives == 1, "Ray starts no other"
    assert world.recruit("C") != [actor]
    await world.made.vacate("B")
    assert world.alive.keys() == {"symbols:1"}


SYMBOLS = st.sampled_from("ABCDEFGH")
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("recruit"), SYMBOLS),
        st.tuples(st.just("vacate"), st.sets(SYMBOLS, min_size=1)),
        st.tuples(st.just("places"), st.integers(1, 4)),
        st.tuples(st.just("node"), SYMBOLS),
        st.tuples(st.just("fail"), SYMBOLS),
    ),
    max_size=40,
)


@settings(max_examples=200, deadline=None)
@given(STEPS)
def test_each_has_one_place_and_no_actor_is_empty_or_too_full(steps: list[Any]) -> None:
    """Symbols come one by one and leave several at a time, some from actors that fail."""

    async def play() -> None:
        shared = [3]
        world = World(lambda: shared[0])
        placed: set[str] = set()
        nodes = count()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(hosts, "killed", world.killed)
            patch.setattr(hosts, "restarted", world.restarted)
            for step, value in steps:
                if step == "recruit" and value not in placed:
                    world.recruit(value)
                    placed.add(value)
                elif step == "vacate":
                    await asyncio.gather(*map(world.made.vacate, sorted(value)))
                    placed -= value
                elif step == "places":
                    shared[0] = value
                elif step == "node":
                    world.made.is_at(value, f"n{next(nodes)}")
                elif step == "fail" and value in placed:
                    actor = world.alive[world.name_of(value) or ""]
                    actor.failure = ActorUnavailableError("away", None)
                found = {symbol: world.made.find(symbol) for symbol in "ABCDEFGH"}
                assert {symbol for symbol, host in found.items() if host} == placed
                kept = list(world.made._hosts.values())
                assert sorted(symbol for host in kept for symbol in host.symbols) == sorted(placed)
                assert all(1 <= len(host.symbols) <= host.places for host in kept)
                assert {host.name for host in kept} == world.alive.keys()

    asyncio.run(play())

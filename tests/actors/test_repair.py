"""Repair of a fleet of pretended actors: lives, deaths, and who is told what. No Ray."""

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from ray.exceptions import ActorUnavailableError

from actors import names
from actors.members import FeedMember, FleetMembers, Member
from actors.repair import Repairs

STORE, OTHER = names.store_name(0), names.store_name(1)
FEED = names.feed_name("binance", 0)
SYMBOLS = ("BTC-USDT-PERP", "ETH-USDT-PERP")
SECOND = 10**9


class Actor:
    """An actor with the methods that repair calls, each `.remote(...)`, and lives to count."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.lives = 1
        self.is_up = True
        self.told: dict[str, Any] = {}
        """What its present life was told, by method."""
        self.calls = 0
        self.heard_by_it: Callable[[], dict[str, int]] = dict

    @property
    def life(self) -> str:
        return f"{self.name}/{self.lives}"

    def die(self, *, back: bool = True) -> None:
        self.lives += 1
        self.told = {}
        self.is_up = back

    def __getattr__(self, method: str) -> Any:
        async def remote(*arguments: Any) -> Any:
            self.calls += 1
            await asyncio.sleep(0)
            if not self.is_up:
                raise ActorUnavailableError("restarting", None)
            if method == "heard":
                return self.heard_by_it()
            self.told.setdefault(method, []).append(arguments)
            return None if method == "route" else self.life

        return SimpleNamespace(remote=remote)


class World:
    """A fleet of pretended actors, all joined, and a clock."""

    def __init__(self) -> None:
        self.now = 100 * SECOND
        self.actors = {n: Actor(n) for n in (names.PORTFOLIO, STORE, FEED, *SYMBOLS)}
        self.last_heard = {
            name: self.now for name in (STORE, OTHER, FEED, *map(names.symbol_name, SYMBOLS))
        }
        self.portfolio.heard_by_it = lambda: dict(self.last_heard)
        other = Actor(OTHER)
        self.fleet = FleetMembers(
            Member(self.portfolio, self.portfolio.life),
            {STORE: Member(self.store, self.store.life), OTHER: Member(other, other.life)},
            {FEED: FeedMember(self.feed, self.feed.life, STORE, SYMBOLS)},
            {s: Member(self.actors[s], self.actors[s].life, STORE) for s in SYMBOLS},
        )
        self.repairs = Repairs(self.fleet, clock=lambda: self.now)

    portfolio = property(lambda self: self.actors[names.PORTFOLIO])
    store = property(lambda self: self.actors[STORE])
    feed = property(lambda self: self.actors[FEED])
    symbol = property(lambda self: self.actors[SYMBOLS[0]])

    def speak(self, *silent: str) -> None:
        """Let five seconds pass, in which everybody but these is heard."""
        self.now += 5 * SECOND
        for name in self.last_heard.keys() - set(silent):
            self.last_heard[name] = self.now

    async def round(self) -> None:
        await self.repairs.round()
        await self.repairs.settle()

    def assert_joined(self) -> None:
        """Everyone knows the living: who does not is told by somebody who was there."""
        fleet = self.fleet
        assert (fleet.portfolio.life, fleet.stores[STORE].life) == (
            self.portfolio.life,
            self.store.life,
        )
        assert fleet.feeds[FEED].life == self.feed.life
        for name in SYMBOLS:
            assert fleet.symbols[name].life == self.actors[name].life


@pytest.fixture
def world() -> World:
    return World()


async def test_while_everybody_speaks_only_the_board_is_asked(world: World) -> None:
    world.speak()
    await world.round()
    assert [a.calls for a in world.actors.values()] == [2, 0, 0, 0, 0]
    assert world.repairs.count == 0


async def test_a_new_life_of_a_symbol_is_joined_and_its_feed_told(world: World) -> None:
    world.symbol.die()
    world.speak(names.symbol_name(SYMBOLS[0]))
    await world.round()
    assert world.symbol.told["start"] == [(world.portfolio.life, world.store.life)]
    assert world.feed.told["route"] == [(SYMBOLS[0], world.symbol.life)]
    assert world.actors[SYMBOLS[1]].calls == 0
    assert world.repairs.count == 1
    world.speak()
    await world.round()
    assert world.feed.told["route"] == [(SYMBOLS[0], world.symbol.life)]


async def test_silence_alone_is_no_death(world: World) -> None:
    world.speak(*world.last_heard)
    await world.round()
    assert "start" not in world.symbol.told
    assert "start" not in world.feed.told
    assert world.repairs.count == 0


async def test_who_is_not_back_yet_holds_up_nobody_and_is_asked_again(world: World) -> None:
    slow, other = world.symbol, world.actors[SYMBOLS[1]]
    slow.die(back=False)
    other.die()
    world.speak(*map(names.symbol_name, SYMBOLS))
    await world.round()
    assert world.feed.told["route"] == [(SYMBOLS[1], other.life)]
    slow.is_up = True
    world.speak()  # it may even have been heard of meanwhile
    await world.round()
    assert (SYMBOLS[0], slow.life) in world.feed.told["route"]
    world.assert_joined()


async def test_a_new_feed_sends_to_the_symbols_of_now(world: World) -> None:
    world.symbol.die()
    world.feed.die(back=False)
    world.speak(names.symbol_name(SYMBOLS[0]), FEED)
    await world.round()  # the symbol is joined, but nobody can be told to send to it
    world.feed.is_up = True
    world.speak(FEED)
    await world.round()
    ((_, routes, _),) = world.feed.told["start"]
    assert routes == {name: world.actors[name].life for name in SYMBOLS}
    world.assert_joined()
    assert set(world.feed.told.get("route", ())) <= {(SYMBOLS[0], world.symbol.life)}


async def test_a_new_board_is_told_to_everyone_and_finds_who_died_with_it(world: World) -> None:
    world.portfolio.die()
    world.portfolio.heard_by_it = dict  # nobody has spoken to it yet
    world.symbol.die()
    await world.round()
    for actor in (world.store, world.feed, *(world.actors[s] for s in SYMBOLS)):
        assert actor.told["start"][-1][0] == world.portfolio.life
    await world.round()
    assert world.feed.told["route"] == [(SYMBOLS[0], world.symbol.life)]
    world.assert_joined()


async def test_while_the_board_is_away_the_others_are_repaired(world: World) -> None:
    world.portfolio.die(back=False)
    world.symbol.die()
    world.feed.die()
    await world.round()
    await world.round()
    ((_, routes, _),) = world.feed.told["start"]
    assert routes[SYMBOLS[0]] == world.symbol.life or world.feed.told["route"]
    world.portfolio.is_up = True
    world.portfolio.heard_by_it = dict
    await world.round()
    await world.round()
    world.assert_joined()


async def test_a_new_store_is_told_to_everyone(world: World) -> None:
    world.store.die()
    world.speak(STORE)
    await world.round()
    await world.round()
    for actor in (world.feed, *(world.actors[s] for s in SYMBOLS)):
        assert actor.told["start"][-1][-1] == world.store.life
    world.assert_joined()
    assert world.repairs.count == 1


async def test_a_new_store_is_told_to_those_alone_whose_rows_it_takes(world: World) -> None:
    other = SYMBOLS[1]
    world.fleet.symbols[other].store = OTHER
    before = len(world.actors[other].told.get("start", []))
    world.store.die()
    world.speak(STORE, OTHER)
    await world.round()
    await world.round()
    assert world.symbol.told["start"][-1][-1] == world.store.life
    assert len(world.actors[other].told.get("start", [])) == before


async def test_a_feed_that_was_never_joined_and_one_that_has_left_are_no_business_of_repair(
    world: World,
) -> None:
    fresh = Actor("feed:binance:1")
    world.fleet.feeds["feed:binance:1"] = FeedMember(fresh, None, STORE, ())
    name = names.symbol_name(SYMBOLS[0])
    world.symbol.die(back=False)
    world.speak(name, "feed:binance:1")
    await world.round()
    assert world.repairs.is_away(name)
    await world.repairs.leave(name)
    del world.fleet.symbols[SYMBOLS[0]]
    calls = world.symbol.calls
    world.repairs.suspect(name)
    world.speak(name, "feed:binance:1")
    await world.round()
    assert (world.symbol.calls, fresh.calls, world.repairs.count) == (calls, 0, 0)


async def test_a_board_that_lives_anew_is_told_the_symbols_of_now(world: World) -> None:
    world.fleet.instruments = {symbol: f"instrument of {symbol}" for symbol in SYMBOLS}  # type: ignore[misc]
    world.portfolio.die()
    world.speak()
    await world.round()
    (told,) = world.portfolio.told["set_instruments"]
    assert told == ([f"instrument of {symbol}" for symbol in SYMBOLS],)
    world.repairs.suspect(names.PORTFOLIO)
    await world.round()
    assert len(world.portfolio.told["set_instruments"]) == 2

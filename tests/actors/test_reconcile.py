"""Seats of a fleet of pretended actors: who starts, who leaves, who waits, who failed. No Ray."""

import asyncio
from collections.abc import AsyncIterator, Callable
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest
from ray.exceptions import ActorDiedError, ActorUnavailableError

from actors import feeding, identity, names, reconcile
from actors.hosts import Hosts
from actors.members import FeedMember, FleetMembers, Member
from actors.reconcile import Reconciler
from actors.repair import Repairs
from actors.room import Demand
from alphaplus.config import load_settings
from alphaplus.errors import FleetConflict, SymbolNotKept, UnknownSymbol
from alphaplus.instruments import Instrument

NODE, OTHER = "node1", "node2"


def instrument(symbol: str) -> Instrument:
    return Instrument(
        symbol=symbol,
        exchange="binance",
        venue_symbol=symbol,
        tick_size=Decimal("0.1"),
        lot_size=Decimal("0.001"),
    )


class Actor:
    """An actor whose methods answer, or raise what is put into `failures`."""

    def __init__(self, world: "World", name: str) -> None:
        self.world, self.name, self.node = world, name, NODE
        self.may_start = asyncio.Event()
        self.failures: dict[str, Exception] = {}
        self.told: list[tuple[str, tuple[Any, ...]]] = []
        self.unacked = [0]
        self.code = "ours"
        self.is_placed = False

    def __getattr__(self, method: str) -> Any:
        async def remote(*arguments: Any) -> Any:
            await asyncio.sleep(0)
            if method in ("ready", "keep"):
                await self.may_start.wait()
            if method in self.failures:
                raise self.failures[method]
            self.told.append((method, arguments))
            if method == "drain":
                waiting = self.unacked.pop(0) if len(self.unacked) > 1 else self.unacked[0]
                return {"symbol": arguments[0], "rows_unacked": waiting}
            return self.code if method == "__ray_call__" else f"{self.name}/life"

        return SimpleNamespace(remote=remote)

    def asked(self, method: str) -> list[tuple[Any, ...]]:
        return [arguments for name, arguments in self.told if name == method]


class World:
    """A recruiter, a cluster with room or without, and the reconciler between them."""

    def __init__(self, places: int = 1) -> None:
        self.alive: dict[str, Actor] = {}
        self.created: list[str] = []
        self.places = places
        self.free = {NODE: {"CPU": 4.0, "memory": 8e9}}
        self.starts_at_once = True
        self.wanted: dict[str, Instrument] = {}
        self.running: list[str] = []
        settings = load_settings(None, {"feeds": {"symbols_per_feed": 2}}, {})
        portfolio, store, feed = (
            self._create(name) for name in (names.PORTFOLIO, "store:0", "feed:binance:0")
        )
        self.fleet = FleetMembers(
            Member(portfolio, "board"),
            {"store:0": Member(store, "store")},
            {"feed:binance:0": FeedMember(feed, None, "store:0")},
        )
        self.repairs = Repairs(self.fleet)
        self.made = Reconciler(
            settings,
            self.fleet,
            self,  # type: ignore[arg-type]
            self.repairs,
            lambda: self.wanted,
            on_running=self.running.append,
        )
        self.made.inspection._ours = "ours"

    def hosts(self, wanted: Callable[[], int]) -> Hosts:
        return Hosts(
            self._host,
            places=lambda: self.places,
            first=Demand(cpus=0.05, memory_mb=130),
            more=Demand(cpus=0.05, memory_mb=20),
            stores=lambda _: "store:0",
        )

    def _host(self, name: str, demand: Demand, **placed: Any) -> Actor:
        if name in self.alive:
            raise ValueError(f"the name {name} is taken")
        actor = self._create(name)
        actor.node = OTHER if NODE in placed["avoid"] else placed["node"] or NODE
        return actor

    def feed(self, shard: int, *, avoid: Any = ()) -> FeedMember:
        actor = self._create(f"feed:binance:{shard}")
        actor.node = OTHER if NODE in avoid else NODE
        return FeedMember(actor, store="store:0")

    def kill(self, handle: Actor, *, no_restart: bool) -> None:
        assert no_restart
        self.alive.pop(handle.name, None)

    def want(self, *symbols: str) -> None:
        self.wanted = {symbol: instrument(symbol) for symbol in symbols}
        self.made.look_again()

    def actor(self, symbol: str) -> Actor:
        return self.alive[self.made.actor_of(symbol)]

    def states(self) -> dict[str, str]:
        return {item["symbol"]: item["state"] for item in self.made.states()}

    async def until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(20):
            while not condition():  # noqa: ASYNC110  # what is awaited has no event
                await asyncio.sleep(0.005)

    async def until_running(self, *symbols: str) -> None:
        await self.until(lambda: self.states() == dict.fromkeys(symbols, "running"))

    def _create(self, name: str) -> Actor:
        actor = self.alive[name] = Actor(self, name)
        self.created.append(name)
        if self.starts_at_once or not name.startswith("symbol"):
            actor.may_start.set()
        return actor


@pytest.fixture
def places() -> int:
    """How many symbols share an actor."""
    return 1


@pytest.fixture
async def world(monkeypatch: pytest.MonkeyPatch, places: int) -> AsyncIterator[World]:
    made = World(places)
    monkeypatch.setattr(names, "is_taken", lambda name: name in made.alive)
    monkeypatch.setattr("ray.kill", made.kill)
    monkeypatch.setattr(reconcile, "free_resources", lambda: made.free)
    monkeypatch.setattr(reconcile, "is_placed", lambda handle: handle.is_placed)
    monkeypatch.setattr(identity, "placed_on", lambda handle: handle.node)
    for module, name in ((reconcile, "LOOK_EVERY_S"), (reconcile, "PLACED_WITHIN_S")):
        monkeypatch.setattr(module, name, 0.01)
    monkeypatch.setattr(reconcile, "RETRY_S", 0.02)
    monkeypatch.setattr(feeding, "RETRY_S", 0.02)
    running = asyncio.create_task(made.made.run())
    yield made
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    for actor in made.alive.values():
        actor.may_start.set()
    await made.made.stop(5.0)


async def test_symbols_start_are_joined_and_sent_by_feeds_with_room(world: World) -> None:
    world.want("A", "B", "C")
    await world.until_running("A", "B", "C")
    assert sorted(world.running) == ["A", "B", "C"]
    sent = {name: feed.symbols for name, feed in world.fleet.feeds.items()}
    assert sorted(map(len, sent.values())) == [1, 2]
    assert world.actor("A").asked("start") == [("A", "board", "store")]
    routes = world.alive["feed:binance:0"].asked("start")[-1][1]
    assert set(routes) == set(sent["feed:binance:0"])
    assert set(world.fleet.instruments) == {"A", "B", "C"}


async def test_a_feed_that_has_nobody_to_send_ends_and_its_number_is_free_again(
    world: World,
) -> None:
    world.want("A", "B", "C")
    await world.until_running("A", "B", "C")
    last = next(iter(world.fleet.feeds["feed:binance:1"].symbols))
    rest = [symbol for symbol in "ABC" if symbol != last]
    world.want(*rest)
    await world.until_running(*rest)
    assert "feed:binance:1" not in world.alive
    assert "feed:binance:1" not in world.fleet.feeds
    assert len(world.made.feeds_left) == 1
    world.want(*rest, last)
    await world.until_running(*rest, last)
    assert world.fleet.feeds["feed:binance:1"].symbols == (last,)
    world.want(last)
    await world.until_running(last)
    assert "feed:binance:0" in world.fleet.feeds, "the first one answers commands"


async def test_one_that_leaves_is_let_go_drained_and_dead_before_its_name_is_free(
    world: World,
) -> None:
    world.want("A", "B")
    await world.until_running("A", "B")
    leaving = world.actor("B")
    leaving.unacked = [7, 7, 0]  # the store is away for a while
    world.want("A")
    await world.until_running("A")
    assert len(leaving.asked("drain")) == 3
    assert "B" not in world.alive["feed:binance:0"].asked("start")[-1][1]
    assert names.symbol_name("B") not in world.alive
    assert [report["symbol"] for report in world.made.left] == ["B"]
    assert set(world.fleet.instruments) == {"A"}


async def test_a_symbol_that_comes_back_waits_for_the_end_of_its_former_owner(
    world: World,
) -> None:
    world.want("A", "B")
    await world.until_running("A", "B")
    former = world.actor("B")
    former.unacked = [7]
    world.want("A")
    await world.until(lambda: world.states()["B"] == "leaving")
    world.want("A", "B")
    assert world.made.state("B")["detail"] == "its former actor ends first"
    await world.until(lambda: len(former.asked("drain")) > 2)
    assert world.created.count("symbol:B") == 1
    former.unacked = [0]
    await world.until_running("A", "B")
    assert world.created.count("symbol:B") == 2
    assert world.actor("B") is not former


async def test_who_is_removed_and_added_in_one_breath_begins_anew(world: World) -> None:
    world.want("A", "B")
    await world.until_running("A", "B")
    former = world.actor("B")
    world.fleet.instruments.pop("B")  # as the command does: the board has let go
    world.made.leave(["B", "unknown"])
    world.made.leave(["B"])
    assert world.made.state("B")["detail"] == "its former actor ends first"
    await world.until_running("A", "B")
    assert world.actor("B") is not former
    assert len(former.asked("drain")) == 1
    assert set(world.fleet.instruments) == {"A", "B"}, "the board watches it again"


async def test_who_waits_for_a_node_says_so_and_holds_up_nobody(world: World) -> None:
    world.want("A")
    await world.until_running("A")
    world.starts_at_once = False
    world.free = {NODE: {"CPU": 0.01, "memory": 8e9}}
    world.want("A", *"BCDEFG")
    await world.until(lambda: len(world.created) == 3 + 7)
    await world.until(lambda: list(world.states().values()).count("pending") == 6)
    assert world.made.state("G")["detail"] == "no node with 0.05 CPU and 130 MB free"
    world.actor("F").is_placed = True  # the last room is its own
    await world.until(lambda: world.states()["F"] == "starting")
    world.actor("G").may_start.set()
    await world.until(lambda: world.states()["G"] == "running")
    world.want("A", "G")
    await world.until_running("A", "G")
    assert set(world.alive) >= {"symbol:A", "symbol:G"}
    assert "symbol:B" not in world.alive, "one that never started needs no drain"


async def test_who_cannot_start_is_failed_with_the_reason_and_tried_again(world: World) -> None:
    world.want("A")
    await world.until_running("A")
    world.starts_at_once = False
    world.want("A", "B")
    await world.until(lambda: "symbol:B" in world.alive)
    first = world.actor("B")
    first.failures["keep"] = ActorUnavailableError("restarting", None)
    first.may_start.set()
    await asyncio.sleep(0.05)
    assert world.states()["B"] != "failed", "Ray starts it again"
    first.failures["keep"] = ActorDiedError()
    await world.until(lambda: world.states()["B"] == "failed")
    assert "died" in world.made.state("B")["detail"]
    world.starts_at_once = True
    await world.until_running("A", "B")
    assert world.actor("B") is not first


async def test_a_node_of_other_code_gets_no_actors(world: World) -> None:
    world.want("A")
    await world.until_running("A")
    world.made.inspection._alike.clear()
    world.starts_at_once = False
    world.want("A", "B")
    await world.until(lambda: "symbol:B" in world.alive)
    world.actor("B").code = "theirs"
    world.starts_at_once = True
    world.actor("B").may_start.set()
    await world.until_running("A", "B")
    assert list(world.made.inspection.refused) == [NODE]
    assert world.actor("B").node == world.alive["feed:binance:0"].node == OTHER
    assert world.actor("A").asked("drain") == [], "who runs there was checked before"


async def test_a_feed_that_does_not_answer_is_told_until_it_does(world: World) -> None:
    feed = world.alive["feed:binance:0"]
    feed.failures["start"] = ActorUnavailableError("restarting", None)
    world.want("A")
    await world.until(lambda: world.states() == {"A": "starting"})
    feed.failures.clear()
    await world.until_running("A")


async def test_a_start_that_is_drained_ends(world: World) -> None:
    world.starts_at_once = False
    other = World()
    other.starts_at_once = False
    other.wanted = {"A": instrument("A")}
    settling = asyncio.create_task(other.made.settle(lambda _: None))
    await world.until(lambda: "symbol:A" in other.alive)
    await other.made.stop(1.0)
    with pytest.raises(FleetConflict, match="told to drain"):
        await settling


async def test_a_defect_ends_the_loop_with_itself(world: World) -> None:
    world.want("A")
    await world.until_running("A")
    world.actor("A").failures["drain"] = ZeroDivisionError("a defect")
    running = asyncio.create_task(world.made.run())
    world.want("B")
    with pytest.raises(ZeroDivisionError):
        await asyncio.wait_for(running, 20)


@pytest.mark.parametrize("places", [2])
async def test_symbols_share_actors_and_a_newcomer_takes_the_place_of_one_that_has_left(
    world: World,
) -> None:
    world.want("A", "B", "C")
    await world.until_running("A", "B", "C")
    assert [name for name in world.created if name.startswith("symbol")] == [
        "symbols:0",
        "symbols:1",
    ]
    assert {item["symbol"]: item["actor"] for item in world.made.states()} == {
        "A": "symbols:0",
        "B": "symbols:0",
        "C": "symbols:1",
    }
    shared = world.actor("A")
    assert sorted(shared.asked("start")) == [("A", "board", "store"), ("B", "board", "store")]
    world.want("A", "C")
    await world.until_running("A", "C")
    assert [arguments[0] for arguments in shared.asked("drain")] == ["B"]
    assert shared.asked("leave") == [("B",)]
    assert world.alive["symbols:0"] is shared, "its neighbour stays where it is"
    assert len(shared.asked("start")) == 2
    world.want("A", "C", "D", "E")
    await world.until_running("A", "C", "D", "E")
    assert world.actor("D") is shared
    assert world.actor("E") is world.actor("C")
    world.want("A", "D")
    await world.until_running("A", "D")
    assert "symbols:1" not in world.alive, "nobody is left in it"


@pytest.mark.parametrize("places", [2])
async def test_both_symbols_of_an_actor_that_leave_at_once_end_it(world: World) -> None:
    world.want("A", "B", "C")
    await world.until_running("A", "B", "C")
    world.want("C")
    await world.until_running("C")
    assert "symbols:0" not in world.alive


@pytest.mark.parametrize("places", [2])
async def test_an_actor_that_never_starts_gets_nobody_new(world: World) -> None:
    world.starts_at_once = False
    world.want("A", "B")
    await world.until(lambda: "symbols:0" in world.alive)
    first = world.alive["symbols:0"]
    for method in ("keep", "leave"):
        first.failures[method] = ActorDiedError()
    world.starts_at_once = True
    first.may_start.set()
    await world.until_running("A", "B")
    assert first not in world.alive.values()
    assert world.actor("A") is world.actor("B") is not first


@pytest.mark.parametrize("places", [2])
async def test_a_symbol_that_has_not_started_takes_no_neighbour_along(world: World) -> None:
    world.want("A")
    await world.until_running("A")
    shared = world.actor("A")
    shared.may_start.clear()
    world.want("A", "B")
    await world.until(lambda: world.states() == {"A": "running", "B": "starting"})
    assert world.actor("B") is shared
    await world.made.stop(1.0)
    assert shared in world.alive.values(), "it is still to be drained"


async def test_who_asks_for_an_actor_is_told_whether_there_will_be_one(world: World) -> None:
    world.want("A", "B")
    with pytest.raises(SymbolNotKept, match="others start before it"):
        world.made.actor_of("B")
    await world.until_running("A", "B")
    assert world.made.actor_of("B") == "symbol:B"
    with pytest.raises(UnknownSymbol, match="C"):
        world.made.actor_of("C")


async def test_a_move_waits_for_its_name_and_keeps_its_node(world: World) -> None:
    world.want("A")
    await world.until_running("A")
    stranger = world.alive["symbol:B"] = world.alive["symbol:A"]
    world.made._targets["B"] = OTHER
    world.want("A", "B")
    await asyncio.sleep(0.05)
    assert world.states()["B"] == "pending"
    assert world.alive.pop("symbol:B") is stranger
    await world.until_running("A", "B")
    assert world.actor("B").node == OTHER
    assert not world.made._targets

"""RayFleet over handles that fail as Ray's do; what a real cluster adds is in test_deployment."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from ray.exceptions import (
    ActorDiedError,
    ActorUnavailableError,
    GetTimeoutError,
    PendingCallsLimitExceeded,
    RayTaskError,
)

from actors import names
from alphaplus.errors import (
    FleetConflict,
    RiskError,
    StaleBook,
    SymbolNotKept,
    UnknownMeasure,
    UnknownSymbol,
)
from serve.deps import FleetUnavailable
from serve.fleet import RayFleet


class Method:
    def __init__(self, answer: Callable[..., Any]) -> None:
        self._answer = answer

    async def remote(self, *arguments: Any) -> Any:
        return self._answer(*arguments)


class Handle:
    """An actor's handle whose every method gives, or raises, what it is told to."""

    def __init__(self, answer: Any) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self._answer = answer

    def __getattr__(self, method: str) -> Method:
        def call(*arguments: Any) -> Any:
            self.calls.append((method, *arguments))
            if isinstance(self._answer, Exception):
                raise self._answer
            return self._answer

        return Method(call)


class Registry:
    """Hands out one handle after another for a name; LookupError when there is none left."""

    def __init__(self, *handles: Handle) -> None:
        self.handles = list(handles)
        self.lookups = 0

    def find(self, *_: str) -> Handle:
        self.lookups += 1
        if not self.handles:
            raise LookupError("no such actor")
        return self.handles.pop(0)


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Registry:
    registry = Registry()
    monkeypatch.setattr(names, "portfolio", registry.find)
    monkeypatch.setattr(names, "symbol", registry.find)
    monkeypatch.setattr(names, "supervisor", registry.find)
    return registry


async def test_questions_go_to_their_actors_and_handles_are_kept(registry: Registry) -> None:
    portfolio, symbol = Handle([]), Handle({})
    registry.handles = [portfolio, symbol]
    fleet = RayFleet()
    await fleet.board()
    await fleet.book("BTC-USDT-PERP", None, 20)
    await fleet.analysis("BTC-USDT-PERP", "binance")
    await fleet.depth("BTC-USDT-PERP", "binance")
    await fleet.liquidity("BTC-USDT-PERP", None, 1e5)
    await fleet.measure("BTC-USDT-PERP", None, "vpin")
    await fleet.portfolio()
    await fleet.set_positions([{"symbol": "BTC-USDT-PERP"}])
    await fleet.portfolios()
    await fleet.set_accounts("main", [])
    await fleet.risk("main", "evt")
    await fleet.liquidation("main", "BTC-USDT-PERP")
    await fleet.leverage("BTC-USDT-PERP", None, "main", 1e5)
    await fleet.margin_quote("binance", {})
    await fleet.stats()
    assert portfolio.calls == [
        ("board",),
        ("portfolio",),
        ("set_positions", [{"symbol": "BTC-USDT-PERP"}], None),
        ("portfolios",),
        ("set_accounts", "main", []),
        ("risk", "main", "evt"),
        ("liquidation", "main", "BTC-USDT-PERP"),
        ("leverage", "BTC-USDT-PERP", None, "main", 1e5),
        ("margin_quote", "binance", {}),
        ("stats",),
    ]
    assert symbol.calls == [
        ("book", None, 20),
        ("analysis", "binance"),
        ("depth", "binance"),
        ("liquidity", None, 1e5),
        ("measure", None, "vpin"),
    ]
    assert registry.lookups == 2


async def test_commands_go_to_the_supervisor_and_keep_their_refusals(registry: Registry) -> None:
    supervisor = Handle([{"symbol": "BTC-USDT-PERP"}])
    registry.handles = [supervisor]
    fleet = RayFleet()
    for answer in (
        await fleet.watched_symbols(),
        await fleet.add_symbols(["BTC-USDT-PERP"]),
        await fleet.remove_symbols(["BTC-USDT-PERP"]),
    ):
        assert answer == [{"symbol": "BTC-USDT-PERP"}]
    assert supervisor.calls == [
        ("symbols",),
        ("add_symbols", ["BTC-USDT-PERP"]),
        ("remove_symbols", ["BTC-USDT-PERP"]),
    ]
    refused = RayTaskError("add_symbols", "its traceback", FleetConflict("drained"))
    registry.handles = [Handle(refused)]
    with pytest.raises(FleetConflict, match=r"^drained$"):
        await RayFleet().add_symbols(["BTC-USDT-PERP"])
    with pytest.raises(FleetUnavailable, match="not running"):
        await RayFleet().watched_symbols()


async def test_load_comes_with_the_living_nodes(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    resources = {"CPU": 4.0, "memory": 8e9}
    node = {"NodeName": "a", "NodeManagerAddress": "10.0.0.1", "Alive": True}
    gone = {**node, "NodeName": "b", "Alive": False, "Resources": {}}
    monkeypatch.setattr("ray.nodes", lambda: [node | {"Resources": resources}, gone])
    told = {"ts": 1, "markets": [], "roles": [{"role": "feeds"}]}
    registry.handles = [Handle(told)]
    assert await RayFleet().load() == {
        **told,
        "nodes": [{"name": "a", "address": "10.0.0.1", "cpus": 4.0, "memory_bytes": 8_000_000_000}],
    }


async def test_successor_of_a_dead_actor_is_found_by_name(registry: Registry) -> None:
    registry.handles = [Handle(ActorDiedError()), Handle(["successor"])]
    assert await RayFleet().board() == ["successor"]


async def test_dead_actor_without_successor_is_unavailable_and_looked_up_anew(
    registry: Registry,
) -> None:
    registry.handles = [Handle(ActorDiedError()), Handle(ActorDiedError()), Handle(["back"])]
    fleet = RayFleet()
    with pytest.raises(FleetUnavailable, match="is being replaced"):
        await fleet.board()
    assert await fleet.board() == ["back"]


async def test_symbol_that_its_actor_keeps_no_longer_is_looked_up_anew(
    registry: Registry,
) -> None:
    gone = SymbolNotKept("It does not.")
    moved = RayTaskError("ask", "its traceback", gone).as_instanceof_cause()
    registry.handles = [Handle(moved), Handle({"bids": []}), Handle(moved), Handle(moved)]
    fleet = RayFleet()
    assert await fleet.book("BTC-USDT-PERP", None, 20) == {"bids": []}
    assert registry.lookups == 2
    with pytest.raises(FleetUnavailable, match="ETH-USDT-PERP is being replaced"):
        await fleet.book("ETH-USDT-PERP", None, 20)


async def test_fleet_that_is_not_running_says_how_to_start_it(registry: Registry) -> None:
    with pytest.raises(FleetUnavailable, match="alphaplus up"):
        await RayFleet().board()


async def test_a_symbol_is_unknown_only_if_the_supervisor_says_so(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(FleetUnavailable, match="No actor keeps XXX now"):
        await RayFleet().book("XXX", None, 20)
    answers = {"XXX": UnknownSymbol("Not watched."), "ETH-USDT-PERP": SymbolNotKept("Not yet.")}

    def find(symbol: str) -> Any:
        raise RayTaskError("actor_of", "its traceback", answers[symbol]).as_instanceof_cause()

    monkeypatch.setattr(names, "symbol", find)
    with pytest.raises(UnknownSymbol, match=r"^Not watched\.$"):
        await RayFleet().book("XXX", None, 20)
    with pytest.raises(FleetUnavailable, match="symbol:ETH-USDT-PERP is being replaced"):
        await RayFleet().book("ETH-USDT-PERP", None, 20)


@pytest.mark.parametrize(
    "error",
    [
        ActorUnavailableError("restarting", b"0" * 16),
        GetTimeoutError("late"),
        PendingCallsLimitExceeded("full"),
    ],
)
async def test_trouble_of_an_actor_is_unavailable(registry: Registry, error: Exception) -> None:
    registry.handles = [Handle(error)]
    with pytest.raises(FleetUnavailable, match="The actor portfolio:main"):
        await RayFleet().stats()


async def test_silent_actor_meets_the_deadline(registry: Registry) -> None:
    class Silent:
        class board:
            @staticmethod
            async def remote() -> None:
                await asyncio.Event().wait()

    registry.handles = [Silent()]  # type: ignore[list-item]
    with pytest.raises(FleetUnavailable, match=r"no answer within 0\.01 s"):
        await RayFleet(timeout_s=0.01).board()


@pytest.mark.parametrize(
    "cause",
    [
        UnknownSymbol("Not there."),
        RiskError("Not so."),
        StaleBook("Not now."),
        UnknownMeasure("vpinn", ("vpin",)),
    ],
)
async def test_error_of_an_actor_arrives_as_its_own_sentence(
    registry: Registry, cause: Exception
) -> None:
    remote = RayTaskError("set_positions", "a long remote traceback", cause).as_instanceof_cause()
    registry.handles = [Handle(remote)]
    with pytest.raises(type(cause)) as caught:
        await RayFleet().set_positions([])
    assert str(caught.value) == str(cause)


async def test_defect_of_an_actor_is_not_hidden(registry: Registry) -> None:
    remote = RayTaskError("board", "traceback", ZeroDivisionError()).as_instanceof_cause()
    registry.handles = [Handle(remote)]
    with pytest.raises(ZeroDivisionError):
        await RayFleet().board()

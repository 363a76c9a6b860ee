"""Symbols come and go while a fleet runs: each has one owner, and nothing accepted is lost."""

import asyncio
import os
import signal
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import ray

from actors import names
from alphaplus.errors import FleetConflict, UnknownSymbol
from benchmarks.chaos.rows import RowCounts, compare_rows
from tests.fleet.conftest import Fleet, running_fleet, until
from tests.fleet.test_recovery import assert_books_are_true, report

pytestmark = pytest.mark.ray

BTC, ETH, SOL = "BTC-USDT-PERP", "ETH-USDT-PERP", "SOL-USDT-PERP"
PATIENCE_S = 90.0


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("elastic")


@pytest.fixture(scope="module")
def fleet(cluster: None, database: str, folder: Path) -> Iterator[Fleet]:
    """One of four symbols that the venue lists is watched, two to a feed at most."""
    storage = {"data_dir": folder, "accepted_log": folder / "accepted"}
    feeds = {"symbols": (BTC,), "symbols_per_feed": 2}
    fleet = {"max_symbols": 3}
    arguments = ["--symbols=4", "--seed=31"]
    with running_fleet(
        database, folder, arguments, storage=storage, feeds=feeds, fleet=fleet
    ) as running:
        until(lambda: is_fresh(running, BTC))
        yield running


def is_fresh(fleet: Fleet, symbol: str) -> bool:
    try:
        return not fleet.summary(symbol)["stale"]
    except (ray.exceptions.RayError, LookupError):
        return False


def states(fleet: Fleet) -> dict[str, str]:
    return {item["symbol"]: item["state"] for item in ray.get(fleet.supervisor.symbols.remote())}


def add(fleet: Fleet, *symbols: str) -> list[dict[str, Any]]:
    return list(ray.get(fleet.supervisor.add_symbols.remote(list(symbols)), timeout=30))


def remove(fleet: Fleet, *symbols: str) -> list[dict[str, Any]]:
    return list(ray.get(fleet.supervisor.remove_symbols.remote(list(symbols)), timeout=30))


def settled(fleet: Fleet, *wanted: str) -> bool:
    return states(fleet) == dict.fromkeys(wanted, "running") and all(
        is_fresh(fleet, symbol) for symbol in wanted
    )


def on_board() -> set[str]:
    return {item["symbol"] for item in ray.get(names.portfolio().board.remote())}


def refusal(call: Any) -> Exception:
    """Return what a command is refused with, as its caller sees it."""
    with pytest.raises(ray.exceptions.RayTaskError) as refused:
        call()
    cause: Exception = refused.value.cause
    return cause


def test_an_added_symbol_is_followed_and_disturbs_nobody(fleet: Fleet) -> None:
    before = fleet.summary(BTC)
    (told,) = add(fleet, ETH)
    assert (told["symbol"], told["state"]) == (ETH, "pending")
    until(lambda: settled(fleet, BTC, ETH), PATIENCE_S)
    assert on_board() == {BTC, ETH}
    fleet.symbols = [BTC, ETH]
    assert_books_are_true(fleet)
    after = fleet.summary(BTC)
    assert (after["gaps"], after["resyncs"]) == (before["gaps"], before["resyncs"])
    assert after["messages"] > before["messages"]
    assert add(fleet, ETH, BTC, ETH)[0]["state"] == "running", "it is there already"


@pytest.mark.parametrize(
    ("symbols", "kind", "sentence"),
    [
        (["NOPE-USDT-PERP"], UnknownSymbol, "does not list NOPE-USDT-PERP"),
        ([SOL, "SOLL-USDT-PERP"], UnknownSymbol, "did you mean SOL-USDT-PERP?"),
        (["what"], UnknownSymbol, "such as BTC-USDT-PERP, was 'what'"),
        ([SOL, "BNB-USDT-PERP"], FleetConflict, "at most 3 symbols"),
    ],
)
def test_what_cannot_be_added_is_refused_whole(
    fleet: Fleet, symbols: list[str], kind: type[Exception], sentence: str
) -> None:
    listed = {f"{item['symbol']}" for item in fleet.venue("/fapi/v1/exchangeInfo")["symbols"]}
    if "BNBUSDT" not in listed and "BNB-USDT-PERP" in symbols:
        other = next(iter(listed - {"BTCUSDT", "ETHUSDT", "SOLUSDT"}))
        symbols = [SOL, other.replace("USDT", "-USDT-PERP")]
    error = refusal(lambda: add(fleet, *symbols))
    assert isinstance(error, kind)
    assert sentence in str(error)
    assert states(fleet) == {BTC: "running", ETH: "running"}


def test_what_cannot_be_removed_is_refused_whole(fleet: Fleet) -> None:
    unknown = refusal(lambda: remove(fleet, ETH, SOL))
    assert isinstance(unknown, UnknownSymbol)
    last = refusal(lambda: remove(fleet, BTC, ETH))
    assert isinstance(last, FleetConflict)
    assert "at least one symbol" in str(last)
    held = [{"symbol": ETH, "quantity": 1.0, "entry_price": 3_000.0}]
    ray.get(names.portfolio().set_positions.remote(held, 50_000.0))
    kept = refusal(lambda: remove(fleet, ETH))
    assert isinstance(kept, FleetConflict)
    assert "of portfolio main; close it first" in str(kept)
    ray.get(names.portfolio().set_positions.remote([], None))
    assert on_board() == {BTC, ETH}
    assert states(fleet) == {BTC: "running", ETH: "running"}


def test_a_removed_symbol_is_gone_everywhere(fleet: Fleet) -> None:
    before = fleet.summary(BTC)
    (told,) = remove(fleet, ETH)
    assert told["state"] == "leaving"
    assert on_board() == {BTC}, "at once"
    until(lambda: states(fleet) == {BTC: "running"}, PATIENCE_S)
    assert not names.is_taken(names.symbol_name(ETH))
    after = fleet.summary(BTC)
    assert (after["gaps"], after["resyncs"]) == (before["gaps"], before["resyncs"])
    assert not after["stale"]


def test_add_remove_add_ends_with_one_owner_that_is_right(fleet: Fleet) -> None:
    add(fleet, SOL)
    remove(fleet, SOL)
    add(fleet, SOL)
    remove(fleet, SOL)
    (told,) = add(fleet, SOL)
    assert told["state"] in ("pending", "starting")
    until(lambda: settled(fleet, BTC, SOL), PATIENCE_S)
    fleet.symbols = [BTC, SOL]
    assert_books_are_true(fleet)


def test_two_clients_that_add_the_same_get_one(fleet: Fleet) -> None:
    both = [fleet.supervisor.add_symbols.remote([ETH]) for _ in range(2)]
    assert [item["symbol"] for (item,) in ray.get(both, timeout=30)] == [ETH, ETH]
    until(lambda: settled(fleet, BTC, SOL, ETH), PATIENCE_S)
    owners = [item["name"] for item in ray.util.list_named_actors(all_namespaces=True)]
    assert owners.count(names.symbol_name(ETH)) == 1
    assert names.feed_name("binance", 1) in owners, "two symbols to a feed"


def test_an_actor_that_dies_while_it_leaves_leaves(fleet: Fleet) -> None:
    pid = report(names.symbol_name(SOL))["pid"]
    remove(fleet, SOL)
    os.kill(pid, signal.SIGKILL)
    until(lambda: states(fleet) == {BTC: "running", ETH: "running"}, PATIENCE_S)
    assert not names.is_taken(names.symbol_name(SOL))
    assert on_board() == {BTC, ETH}


def test_a_feed_that_dies_while_it_is_told_of_more_sends_them(fleet: Fleet) -> None:
    pid = report(names.feed_name("binance", 0))["pid"]
    add(fleet, SOL)
    os.kill(pid, signal.SIGKILL)
    until(lambda: settled(fleet, BTC, ETH, SOL), PATIENCE_S)
    fleet.symbols = [BTC, ETH, SOL]
    assert_books_are_true(fleet)


def test_a_portfolio_that_dies_knows_the_symbols_of_now_and_what_it_held(fleet: Fleet) -> None:
    held = [{"symbol": SOL, "quantity": 3.0, "entry_price": 150.0}]
    ray.get(names.portfolio().set_positions.remote(held, 9_000.0))
    os.kill(report(names.PORTFOLIO)["pid"], signal.SIGKILL)

    def is_whole() -> bool:
        try:
            return on_board() == {BTC, ETH, SOL} and bool(
                ray.get(names.portfolio().portfolio.remote())["positions"]
            )
        except (ray.exceptions.RayError, LookupError):
            return False

    until(is_whole, PATIENCE_S)
    (position,) = ray.get(names.portfolio().portfolio.remote())["positions"]
    assert (position["symbol"], position["quantity"]) == (SOL, 3.0)


def test_every_accepted_row_is_stored_once_and_drained_fleets_refuse(
    fleet: Fleet, folder: Path, database: str
) -> None:
    summary = fleet.drain()
    assert len(summary["left"]) >= 1
    assert {item["symbol"] for item in summary["symbols"]} == {BTC, ETH, SOL}
    found = asyncio.run(compare_rows(database, folder / "accepted"))
    assert found.accepted > 1000
    losses = {"missing", "duplicated", "different"}
    assert losses <= {field.name for field in fields(RowCounts)}
    assert {name: getattr(found, name) for name in losses} == dict.fromkeys(losses, 0)
    for call in (lambda: add(fleet, ETH), lambda: remove(fleet, ETH)):
        error = refusal(call)
        assert isinstance(error, FleetConflict)
        assert "drained" in str(error)

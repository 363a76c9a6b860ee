"""Every actor of a fleet is killed in turn, by SIGKILL: it comes back, and nothing is lost."""

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
from benchmarks.chaos.rows import RowCounts, compare_rows
from tests.fleet.conftest import Fleet, running_fleet, until
from tests.fleet.test_faults import known

pytestmark = pytest.mark.ray

SYMBOL = "BTC-USDT-PERP"
FEED = names.feed_name("binance", 0)
STORE = names.store_name(0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("recovery")


@pytest.fixture(scope="module")
def fleet(cluster: None, database: str, folder: Path) -> Iterator[Fleet]:
    """Two generated symbols in a fleet that writes down what it accepts; all fresh."""
    storage = {"data_dir": folder, "accepted_log": folder / "accepted"}
    arguments = ["--symbols=2", "--seed=12"]
    with running_fleet(database, folder, arguments, storage=storage) as running:
        until(lambda: all_fresh(running))
        yield running


def all_fresh(fleet: Fleet) -> bool:
    try:
        return all(not fleet.summary(symbol)["stale"] for symbol in fleet.symbols)
    except (ray.exceptions.RayError, LookupError):
        return False


def report(name: str) -> dict[str, Any]:
    return dict(ray.get(names.member(name).report.remote(), timeout=5))


def kill(name: str) -> None:
    """Kill an actor's process, and wait until another has its name."""
    pid = report(name)["pid"]
    os.kill(pid, signal.SIGKILL)

    def is_another() -> bool:
        try:
            return bool(report(name)["pid"] != pid)
        except (ray.exceptions.RayError, LookupError):
            return False

    until(is_another, timeout_s=60)


def assert_books_are_true(fleet: Fleet) -> None:
    fleet.venue("/control/pause", {})
    for symbol in fleet.symbols:
        venue_symbol = symbol.replace("-PERP", "").replace("-", "")
        truth = fleet.venue(f"/control/book?symbol={venue_symbol}")
        until(lambda s=symbol, t=truth: fleet.book(s)["sequence"] == t["lastUpdateId"])  # type: ignore[misc]
        book = fleet.book(symbol)
        low, high = book["known_range"]
        assert known(book["bids"], low, high) == known(truth["bids"], low, high)
        assert known(book["asks"], low, high) == known(truth["asks"], low, high)
    fleet.venue("/control/resume", {})


def repairs(fleet: Fleet) -> int:
    try:
        return int(fleet.stats()["repairs"])
    except ray.exceptions.RayError:
        return -1


@pytest.mark.parametrize("victims", [(FEED,), (names.symbol_name(SYMBOL), FEED)])
def test_books_come_back_after_the_death_of_who_makes_them(
    fleet: Fleet, victims: tuple[str, ...]
) -> None:
    before = repairs(fleet)
    pids = [report(name)["pid"] for name in victims]
    for pid in pids:  # at the same time: who is repaired first meets the other half dead
        os.kill(pid, signal.SIGKILL)
    until(lambda: repairs(fleet) >= before + len(victims), timeout_s=90)
    until(lambda: all_fresh(fleet), timeout_s=60)
    assert_books_are_true(fleet)


def test_a_portfolio_comes_back_with_its_positions_and_a_full_board(fleet: Fleet) -> None:
    held = [{"symbol": SYMBOL, "quantity": 2.0, "entry_price": 60_000.0}]
    ray.get(names.portfolio().set_positions.remote(held, 50_000.0))
    messages = {symbol: fleet.summary(symbol)["resyncs"] for symbol in fleet.symbols}
    kill(names.PORTFOLIO)
    (position,) = ray.get(names.portfolio().portfolio.remote())["positions"]
    assert (position["symbol"], position["quantity"]) == (SYMBOL, 2.0)
    until(lambda: all(not item["stale"] for item in ray.get(names.portfolio().board.remote())), 60)
    assert {symbol: fleet.summary(symbol)["resyncs"] for symbol in fleet.symbols} == messages


def test_a_portfolio_and_a_symbol_that_die_together_find_each_other(fleet: Fleet) -> None:
    pids = [report(name)["pid"] for name in (names.PORTFOLIO, names.symbol_name(SYMBOL))]
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    until(lambda: all_fresh(fleet), timeout_s=90)
    until(lambda: all(not item["stale"] for item in ray.get(names.portfolio().board.remote())), 60)
    assert_books_are_true(fleet)


def test_every_accepted_row_is_stored_once_though_its_store_was_killed(
    fleet: Fleet, folder: Path, database: str
) -> None:
    for _ in range(2):
        kill(STORE)
        until(lambda: int(report(STORE)["rows_accepted"]) > 500, timeout_s=60)
    fleet.drain()
    found = asyncio.run(compare_rows(database, folder / "accepted"))
    assert found.accepted > 1000
    losses = {"missing", "duplicated", "different"}
    assert losses <= {field.name for field in fields(RowCounts)}
    assert {name: getattr(found, name) for name in losses} == dict.fromkeys(losses, 0)

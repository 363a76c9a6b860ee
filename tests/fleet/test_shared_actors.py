"""Several symbols in one actor: each as right as alone, and none the worse for its neighbours."""

import asyncio
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import ray

from actors import names
from alphaplus.errors import UnknownSymbol
from benchmarks.chaos.rows import RowCounts, compare_rows
from tests.fleet.conftest import Fleet, running_fleet, until
from tests.fleet.test_elastic import PATIENCE_S, add, is_fresh, remove, settled, states
from tests.fleet.test_recovery import all_fresh, assert_books_are_true, report

pytestmark = pytest.mark.ray

PER_ACTOR = 3
LOOK_EVERY_S = 0.1


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("shared")


@pytest.fixture(scope="module")
def fleet(cluster: None, database: str, folder: Path) -> Iterator[Fleet]:
    """Five generated symbols, three to an actor at most."""
    storage = {"data_dir": folder, "accepted_log": folder / "accepted"}
    with running_fleet(
        database,
        folder,
        ["--symbols=5", "--seed=61"],
        storage=storage,
        fleet={"symbols_per_actor": PER_ACTOR},
    ) as running:
        until(lambda: all_fresh(running))
        yield running


def kept() -> dict[str, list[str]]:
    """Return the symbols of each actor, as the supervisor has them."""
    found: dict[str, list[str]] = {}
    for item in ray.get(names.supervisor().symbols.remote(), timeout=10):
        found.setdefault(item["actor"], []).append(item["symbol"])
    return found


def owners() -> set[str]:
    """Return the names of all actors that keep symbols, by Ray's word."""
    return set(names.keepers())


@contextmanager
def never_stale(fleet: Fleet, symbols: list[str]) -> Iterator[None]:
    """Look again and again whether symbols are fresh, and fail if one is not."""
    handles = [names.symbol(symbol) for symbol in symbols]
    is_over, stale = threading.Event(), []

    def look() -> None:
        while not is_over.wait(LOOK_EVERY_S):
            asked = [handle.summary.remote() for handle in handles]
            stale.extend(item for item in ray.get(asked, timeout=30) if item["stale"])

    before = {symbol: fleet.summary(symbol) for symbol in symbols}
    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()
    assert stale == []
    for symbol in symbols:
        after = fleet.summary(symbol)
        for counter in ("gaps", "resyncs"):
            assert after[counter] == before[symbol][counter]
        assert after["messages"] > before[symbol]["messages"]


def pid_of(symbol: str) -> int:
    return int(report(names.symbol_name(symbol))["pid"])


def test_five_symbols_have_two_actors_and_every_book_is_right(fleet: Fleet) -> None:
    assert len(fleet.symbols) == 5
    places = kept()
    assert places == {"symbols:0": fleet.symbols[:3], "symbols:1": fleet.symbols[3:]}
    assert owners() == {"symbols:0", "symbols:1"}
    assert len({pid_of(symbol) for symbol in fleet.symbols}) == 2
    assert_books_are_true(fleet)
    assert sum(report(names.symbol_name(symbol))["holes"] for symbol in fleet.symbols) == 0


def test_the_board_knows_what_each_costs_and_where_it_is(fleet: Fleet) -> None:
    def rows() -> list[dict[str, Any]]:
        return list(ray.get(names.portfolio().loads.remote())["markets"])

    until(lambda: all(row["cpu"] is not None for row in rows()), timeout_s=60)
    shown = {row["symbol"]: row["actor"] for row in rows()}
    assert shown == {symbol: actor for actor, symbols in kept().items() for symbol in symbols}
    (role,) = (
        row
        for row in ray.get(names.portfolio().loads.remote())["roles"]
        if row["role"] == "symbols"
    )
    assert role["actors"] == 2


def test_an_actor_that_is_killed_comes_back_with_all_of_its_symbols(fleet: Fleet) -> None:
    victims, others = kept()["symbols:0"], kept()["symbols:1"]
    pid = pid_of(victims[0])
    with never_stale(fleet, others):
        os.kill(pid, signal.SIGKILL)
        until(lambda: all(is_reborn(fleet, symbol, pid) for symbol in victims), PATIENCE_S)
    assert kept() == {"symbols:0": victims, "symbols:1": others}
    assert len({pid_of(symbol) for symbol in victims}) == 1
    assert_books_are_true(fleet)


def is_reborn(fleet: Fleet, symbol: str, pid: int) -> bool:
    try:
        return pid_of(symbol) != pid and is_fresh(fleet, symbol)
    except (ray.exceptions.RayError, LookupError):
        return False


def test_one_that_leaves_disturbs_no_neighbour_and_another_takes_its_place(fleet: Fleet) -> None:
    first, leaving, last = kept()["symbols:0"]
    others = [symbol for symbol in fleet.symbols if symbol != leaving]
    pid = pid_of(first)
    with never_stale(fleet, others):
        remove(fleet, leaving)
        until(lambda: leaving not in states(fleet), PATIENCE_S)
        assert kept()["symbols:0"] == [first, last]
        with pytest.raises(UnknownSymbol, match=leaving):
            names.symbol(leaving)
        add(fleet, leaving)
        until(lambda: settled(fleet, *others, leaving), PATIENCE_S)
    assert sorted(kept()["symbols:0"]) == sorted([first, last, leaving])
    assert owners() == {"symbols:0", "symbols:1"}
    assert {pid_of(symbol) for symbol in (first, last, leaving)} == {pid}
    fleet.symbols = [*others, leaving]
    assert_books_are_true(fleet)


def test_an_actor_without_symbols_ends(fleet: Fleet) -> None:
    alone = kept()["symbols:1"]
    stay = [symbol for symbol in fleet.symbols if symbol not in alone]
    with never_stale(fleet, stay):
        remove(fleet, *alone)
        until(lambda: settled(fleet, *stay), PATIENCE_S)
    until(lambda: owners() == {"symbols:0"}, PATIENCE_S)
    fleet.symbols = stay


def test_every_row_is_stored_once(fleet: Fleet, folder: Path, database: str) -> None:
    summary = fleet.drain()
    assert {item["symbol"] for item in summary["symbols"]} == set(fleet.symbols)
    assert len(summary["left"]) == 3
    everyone = [*summary["symbols"], *summary["left"]]
    assert all(item["rows_unacked"] == item["rows_refused"] == 0 for item in everyone)
    assert all(item["rows_sent"] > 0 for item in everyone)
    found = asyncio.run(compare_rows(database, folder / "accepted"))
    assert found.accepted > 1000
    losses = {"missing", "duplicated", "different"}
    assert losses <= {field.name for field in fields(RowCounts)}
    assert {name: getattr(found, name) for name in losses} == dict.fromkeys(losses, 0)

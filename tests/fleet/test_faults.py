"""Faults of the venue: one is counted, the book says so, comes back right, and no other notices."""

from typing import Any

import pytest
import ray

from actors import names
from tests.fleet.conftest import Fleet, running_fleet, until

pytestmark = pytest.mark.ray

VICTIM, BYSTANDER = "BTC-USDT-PERP", "ETH-USDT-PERP"


@pytest.fixture(scope="module")
def fleet(cluster: None, database: str, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Three generated symbols in a fleet, all fresh."""
    folder = tmp_path_factory.mktemp("faults")
    with running_fleet(database, folder, ["--symbols=3", "--seed=11"]) as running:
        until(lambda: all(not running.summary(s)["stale"] for s in running.symbols))
        yield running


def truth(fleet: Fleet) -> tuple[dict[str, Any], dict[str, Any]]:
    """Stop the market, wait until the book has the venue's last update, return both books."""
    fleet.venue("/control/pause", {})
    try:
        venue = fleet.venue("/control/book?symbol=BTCUSDT")
        until(lambda: fleet.book(VICTIM)["sequence"] == venue["lastUpdateId"])
        return fleet.book(VICTIM, 1000), venue
    finally:
        fleet.venue("/control/resume", {})


def known(levels: list[Any], low: float, high: float) -> list[tuple[float, float]]:
    found = [(float(price), float(quantity)) for price, quantity in levels]
    return [level for level in found if low <= level[0] <= high][:800]


@pytest.mark.parametrize("kind", ["drop_frame", "torn_json", "close_socket"])
def test_a_fault_is_counted_shown_and_mended(fleet: Fleet, kind: str) -> None:
    before, other = fleet.summary(VICTIM), fleet.summary(BYSTANDER)
    bad_before = fleet.stats()["bad_frames"]
    seen_stale = False
    fleet.venue("/control/faults", {"symbol": "BTCUSDT", "kind": kind, "count": 1})

    def came_back() -> bool:
        nonlocal seen_stale
        now = fleet.summary(VICTIM)
        seen_stale |= now["stale"]
        return bool(now["resyncs"] > before["resyncs"] and not now["stale"])

    until(came_back, poll_s=0.001)
    after = fleet.summary(VICTIM)
    assert after["gaps"] - before["gaps"] == (0 if kind == "close_socket" else 1)
    assert after["resyncs"] - before["resyncs"] == 1
    assert after["audit_different"] == 0
    if kind == "torn_json":
        until(lambda: fleet.stats()["bad_frames"] == bad_before + 1)
    if kind != "close_socket":  # symbols of one socket share its fate
        now = fleet.summary(BYSTANDER)
        assert now["resyncs"] == other["resyncs"]
        assert now["gaps"] == other["gaps"]
        assert not now["stale"]
    book, venue = truth(fleet)
    low, high = book["known_range"]
    assert known(book["bids"], low, high) == known(venue["bids"], low, high)
    assert known(book["asks"], low, high) == known(venue["asks"], low, high)
    assert seen_stale or kind != "close_socket"  # a resynchronisation may take milliseconds only


def test_a_killed_symbol_comes_back(fleet: Fleet) -> None:
    victim = names.symbol(VICTIM)
    pid = ray.get(victim.report.remote())["pid"]
    ray.kill(victim.actor, no_restart=False)
    until(lambda: _fresh_with_other_pid(pid), timeout_s=60)
    book, venue = truth(fleet)
    low, high = book["known_range"]
    assert known(book["bids"], low, high) == known(venue["bids"], low, high)


def _fresh_with_other_pid(pid: int) -> bool:
    try:
        actor = names.symbol(VICTIM)
        report = ray.get(actor.report.remote(), timeout=2)
        return bool(report["pid"] != pid and not ray.get(actor.summary.remote())["stale"])
    except (ray.exceptions.RayError, LookupError):
        return False

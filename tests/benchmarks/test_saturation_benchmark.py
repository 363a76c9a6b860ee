"""Windows of a saturated fleet, and when a burst is over."""

import argparse

import pytest

from alphaplus.latency import LatencyHistogram
from benchmarks.saturation.__main__ import _parts, is_right, met
from benchmarks.saturation.windows import (
    Reading,
    Window,
    reading,
    recovery_s,
    sustained,
    windows,
)


def histogram(*milliseconds: float) -> LatencyHistogram:
    found = LatencyHistogram()
    for value in milliseconds:
        found.record(int(value * 1e6))
    return found


def at(second: float, sent: int, processed: int, latencies: LatencyHistogram) -> Reading:
    return Reading(
        at_s=second,
        sent=sent,
        processed=processed,
        levels=68 * processed,
        latencies=latencies,
        unsent_bytes=10 * sent,
        backlog_events=sent - processed,
    )


def window(end: float, p99_ms: float | None, waiting: int = 0) -> Window:
    return Window(
        from_s=end - 1,
        to_s=end,
        sent_per_s=100.0,
        processed_per_s=100.0,
        levels_per_s=6800.0,
        p50_ms=p99_ms,
        p99_ms=p99_ms,
        waiting=waiting,
        unsent_bytes=0,
        backlog_events=0,
    )


def test_windows_hold_what_happened_between_readings() -> None:
    early, late = histogram(2.0), histogram(2.0, 30.0, 30.0)
    first, second = windows(
        [at(0, 105, 100, early), at(2, 305, 300, late), at(3, 605, 400, late)], idle=5
    )
    assert (first.sent_per_s, first.processed_per_s, first.levels_per_s) == (100, 100, 6800)
    assert first.p50_ms == pytest.approx(30.0, rel=0.01)
    assert first.waiting == 0
    assert (second.sent_per_s, second.processed_per_s, second.waiting) == (300, 100, 200)
    assert second.p99_ms is None


def test_recovery_is_the_first_of_three_calm_windows() -> None:
    late = [window(1, 50), window(2, 9), window(3, 50)]
    calm = [window(4, 9), window(5, 8), window(6, 7)]
    assert recovery_s([*late, *calm], 0.0, 100) == 4.0
    assert recovery_s([*late, *calm], 3.05, 100) == 0.95
    assert recovery_s([*late, *calm, window(7, 30)], 3.0, 100) == 1.0
    assert recovery_s([*late, *calm[:2]], 0.0, 100) is None
    assert recovery_s(calm, 3.5, 100) is None


@pytest.mark.parametrize("restless", [window(3, 10.0), window(3, None), window(3, 1.0, waiting=11)])
def test_late_silent_and_waiting_windows_are_not_calm(restless: Window) -> None:
    calm = [window(end, 1.0, waiting=10) for end in (4, 5, 6)]
    assert recovery_s([restless, *calm], 2.0, 100) == 2.0
    assert recovery_s([window(2, 1.0), restless, *calm[:2]], 1.0, 100) is None


def test_rates_are_means_over_time_and_backlogs_the_largest() -> None:
    calm, late = histogram(2.0), histogram(2.0, 30.0)
    found = sustained(
        windows([at(0, 0, 0, calm), at(1, 100, 50, late), at(4, 100, 95, late)], idle=0)
    )
    assert found["messages_per_s"] == pytest.approx(95 / 4, abs=0.1)
    assert found["offered_per_s"] == 25
    assert found["most_waiting_messages"] == 50
    assert found["worst_p99_ms"] == pytest.approx(30.0, rel=0.01)


def test_a_reading_adds_up_all_symbols() -> None:
    told = [
        {"level_updates": 30, "book_latencies": histogram(1.0).to_bytes()},
        {"level_updates": 40, "book_latencies": histogram(2.0, 3.0).to_bytes()},
    ]
    found = reading(7.5, {"messages": 9, "unsent_bytes": 2}, told, backlog_events=1)
    assert (found.at_s, found.sent, found.processed, found.levels) == (7.5, 9, 3, 70)
    assert found.latencies == histogram(1.0, 2.0, 3.0)


def test_what_is_right_lost_nothing_and_came_back() -> None:
    part = {"gaps": 0, "dropped_events": 0, "slow_clients": 0}
    assert is_right({"recorded": part, "burst": {**part, "recovered_after_s": 6.0}})
    assert not is_right({"burst": {**part, "recovered_after_s": None}})
    assert not is_right({"recorded": {**part, "dropped_events": 1}})
    assert not is_right({"recorded": {"failed": "no room"}})


def test_targets_are_met_or_not() -> None:
    found = {
        "one_level": {"messages_per_s": 10_000.0},
        "recorded": {"messages_per_s": 1_999.0},
        "burst": {"recovered_after_s": 5.1},
    }
    assert met(found) == {"one_level": True, "recorded": False, "burst": False}
    assert met({"burst": {"recovered_after_s": 1.0}}) == {"burst": True}
    assert met({"burst": {"recovered_after_s": None}, "recorded": {"failed": "x"}}) == {
        "burst": False
    }


def test_parts_keep_their_order() -> None:
    assert _parts("burst,one_level") == ("one_level", "burst")
    with pytest.raises(argparse.ArgumentTypeError, match="'all'"):
        _parts("all")

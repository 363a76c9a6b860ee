"""What `python -m benchmarks.follow` makes of what it saw; the run itself is tests/fleet."""

import pytest

from benchmarks.follow import DIRECTIONS, Watch, missing_of, values_of


def watched(**series: list[float | None]) -> Watch:
    """One look every tenth of a second; the market begins to move after the fifth."""
    watch = Watch(begun_s=0.5)
    for name, values in series.items():
        for at, value in enumerate(values):
            watch.add(at / 10, {name: value})
    return watch


CALM = [100.0, 100.2, 100.1, 100.0, 100.2]


def test_a_value_has_left_when_it_is_beyond_its_calm_range_by_its_width() -> None:
    watch = watched(a=[*CALM, 99.9, 99.81, 99.7, 99.5])
    assert watch.departure("a", -1) == pytest.approx(0.7)
    assert watch.departure("a", +1) is None
    still = watched(a=[5.0, 5.0, 5.0, 5.0, 5.0, 5.0, 5.1])
    assert still.departure("a", +1) == pytest.approx(0.6)


def test_delays_are_counted_from_the_first() -> None:
    watch = watched(first=[*CALM, 99.0, 98.0], after=[*CALM, 100.0, 99.0], never=[*CALM, 100.1])
    directions = {"first": -1, "after": -1, "never": -1, "unknown": -1}
    assert watch.delays(directions, "first") == {"after": 0.1, "never": None, "unknown": None}


def test_before_the_move_nothing_has_left() -> None:
    watch = watched(a=[1.0, 50.0])
    assert watch.departure("a", +1) is None
    watch.begun_s = None
    assert watch.departure("a", +1) is None


def test_values_that_are_not_known_are_named() -> None:
    report = {
        "positions": [
            {
                "mark_price": 100.0,
                "score": {"score": None, "missing": ["volatility"]},
                "advice": {"leverage": 3.0, "missing": []},
            }
        ],
        "figures": {
            "equity": {"value": 5.0, "missing": []},
            "var_99_1d_pct": {"value": None, "missing": ["history"]},
        },
    }
    values = values_of(report)
    assert values["score"] is None
    assert set(values) | {"venue_mark"} == set(DIRECTIONS)
    assert missing_of(report) == {"score": ["volatility"], "var_99_1d_pct": ["history"]}

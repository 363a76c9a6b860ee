"""Static pressure: the mean of three depth imbalances."""

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from alphaplus.analysis.static_pressure import StaticPressure, static_pressure
from alphaplus.errors import ConfigError
from alphaplus.instruments import Instrument
from tests.analysis import shape_twins as twins
from tests.analysis.shape_books import (
    INSTRUMENTS,
    INVERSE,
    LINEAR,
    UNIT,
    Ladder,
    ladders,
    levels_of,
    mirrored,
    times,
)


def pressure_of(instrument: Instrument, *ladder: Ladder) -> float | None:
    measure = StaticPressure(instrument)
    measure.observe(levels_of(instrument, *ladder))
    found: float | None = measure.values()["static_pressure"]
    return found


@given(instrument=INSTRUMENTS, ladder=ladders())
@settings(max_examples=100)
def test_equals_the_plain_twin(instrument: Instrument, ladder: tuple[Ladder, Ladder]) -> None:
    middle = twins.mid(instrument, *ladder)
    shares = []
    for bps in (5.0, 10.0, 25.0):
        bid, ask = (twins.depth(instrument, side, middle, bps) for side in ladder)
        shares.append(None if bid + ask == 0 else (bid - ask) / (bid + ask))
    found = pressure_of(instrument, *ladder)
    if None in shares:
        assert found is None
    else:
        exact = sum(share for share in shares if share is not None) / 3
        assert found == pytest.approx(float(exact), rel=1e-9, abs=1e-12)
        assert found is not None
        assert -1 <= found <= 1


@given(ladder=ladders(lowest=20_000, gap=9), power=st.integers(-3, 6))
@settings(max_examples=40)
def test_mirror_flips_the_sign_and_scale_changes_nothing(
    ladder: tuple[Ladder, Ladder], power: int
) -> None:
    upside_down = mirrored(*ladder)
    assume(upside_down[0][-1][0] > 0)
    found, other = pressure_of(INVERSE, *ladder), pressure_of(INVERSE, *upside_down)
    assert (found is None) == (other is None)
    if found is not None:
        assert other == pytest.approx(-found, abs=1e-12)
    assert pressure_of(LINEAR, *(times(side, 2.0**power) for side in ladder)) == pressure_of(
        LINEAR, *ladder
    )


def test_more_below_than_above_is_positive() -> None:
    assert static_pressure([3.0, 3.0, 30.0], [1.0, 1.0, 10.0]) == 0.5
    assert static_pressure([1.0], [0.0]) == 1.0
    assert static_pressure([0.0], [1.0]) == -1.0
    assert static_pressure([0.0, 1.0], [0.0, 1.0]) is None
    assert static_pressure([], []) is None


def test_measure_says_what_is_missing() -> None:
    measure = StaticPressure(UNIT)
    assert measure.values() == {"static_pressure": None, "truncated": None}
    assert set(measure.missing()) == {"static_pressure", "truncated"}
    measure.observe(levels_of(UNIT, [(999, 1.0)], [(1001, 3.0)]))  # 10 bps from the mid
    assert measure.values() == {"static_pressure": None, "truncated": True}
    assert measure.missing() == {"static_pressure": "levels within 5 bps of the mid"}
    sides: tuple[Ladder, Ladder] = [(9999, 3.0), (9900, 1.0)], [(10001, 1.0), (10100, 1.0)]
    measure.observe(levels_of(UNIT, *sides))
    assert measure.missing() == {}
    assert measure.values() == {
        "static_pressure": pytest.approx((3 * 9999 - 10001) / (3 * 9999 + 10001)),
        "truncated": False,
    }
    measure.interrupt()
    assert set(measure.values().values()) == {None}
    with pytest.raises(ConfigError, match="Expected distances_bps above 0"):
        StaticPressure(UNIT, distances_bps=(0.0,))

"""Distance-weighted imbalance against its plain twin, its limits and the recordings."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from alphaplus.analysis.book_levels import BookLevels
from alphaplus.analysis.distance_weighted_imbalance import (
    DistanceWeightedImbalance,
    distance_weighted_imbalance,
)
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
    scaled,
    times,
)
from tests.analysis.shape_captures import shapes

LENGTHS = (0.5, 1.0, 5.0, 25.0)
# Cut-offs of a few ticks, of hundreds, and of more than the tables of weights hold.
BOOKS = st.one_of(
    ladders(), ladders(gap=3), ladders(lowest=10**9, highest=10**10, gap=3_000_000, most=60)
)


def measured(instrument: Instrument, *ladder: Ladder, cutoff: float = 5.0) -> list[float | None]:
    measure = DistanceWeightedImbalance(instrument, lengths_bps=LENGTHS, cutoff=cutoff)
    measure.observe(levels_of(instrument, *ladder))
    assert measure.missing() == {}
    return list(measure.values().values())


def array_form(book: BookLevels, length: float, cutoff: float) -> float | None:
    bids, asks = book.bids, book.asks
    sides = bids.prices, bids.notionals, asks.prices, asks.notionals
    return distance_weighted_imbalance(*sides, length_bps=length, cutoff=cutoff)


@given(instrument=INSTRUMENTS, ladder=BOOKS, cutoff=st.sampled_from([1.0, 5.0, 8.0]))
@settings(max_examples=200)
def test_equals_the_plain_twin(
    instrument: Instrument, ladder: tuple[Ladder, Ladder], cutoff: float
) -> None:
    book = levels_of(instrument, *ladder)
    for length, value in zip(LENGTHS, measured(instrument, *ladder, cutoff=cutoff), strict=True):
        exact = twins.weighted_imbalance(instrument, *ladder, length, cutoff)
        expected = None if exact is None else pytest.approx(exact, rel=1e-9, abs=1e-11)
        assert value == expected
        assert array_form(book, length, cutoff) == expected


def test_both_ways_of_weighing_agree_where_the_tables_end() -> None:
    """128 x 4096 ticks are the last that tables hold: one level more must change little."""
    asks = [(10**10 + i * 4096, 1.0 + i % 3) for i in range(1, 129)]
    bids = [(10**10 - i * 4096, 1.0 + i % 5) for i in range(1, 128)]
    for extra in (0, 1, 4096):
        asks[-1] = (10**10 + 4096 + 128 * 4096 - 1 + extra, 2.0)
        book = levels_of(UNIT, bids, asks)
        for length, value in zip(LENGTHS, measured(UNIT, bids, asks), strict=True):
            assert value == pytest.approx(array_form(book, length, 5.0), abs=1e-11)


@given(instrument=INSTRUMENTS, ladder=ladders())
@settings(max_examples=40)
def test_limits_of_the_length(instrument: Instrument, ladder: tuple[Ladder, Ladder]) -> None:
    book = levels_of(instrument, *ladder)
    bids, asks = book.bids.notionals, book.asks.notionals
    total = (bids.sum() - asks.sum()) / (bids.sum() + asks.sum())
    touch = (bids[0] - asks[0]) / (bids[0] + asks[0])
    assert array_form(book, 1e15, np.inf) == pytest.approx(total, abs=1e-9)
    assert array_form(book, 1e-6, np.inf) == pytest.approx(touch, abs=1e-9)


def test_one_side_inside_the_cut_off_gives_one() -> None:
    # No level can be nearer than the touches are, so a side is alone where the other is none.
    prices, notionals = np.array([100.0]), np.array([1.0])
    nothing = np.array([0.0])
    assert distance_weighted_imbalance(prices, notionals, prices + 0.01, nothing) == 1.0
    assert distance_weighted_imbalance(prices, nothing, prices + 0.01, notionals) == -1.0


def test_no_level_inside_the_cut_off_is_none() -> None:
    measure = DistanceWeightedImbalance(UNIT)
    assert set(measure.values().values()) == {None}
    assert set(measure.missing()) == set(measure.values())
    measure.observe(levels_of(UNIT, [(999, 1.0)], [(1001, 3.0)]))  # 10 bps from the mid
    assert measure.values() == {
        "length_1_bps": None,
        "length_5_bps": pytest.approx((999 - 3003) / (999 + 3003), rel=1e-12),
        "length_25_bps": pytest.approx((999 - 3003) / (999 + 3003), rel=1e-12),
    }
    measure.interrupt()
    assert set(measure.values().values()) == {None}
    empty = np.empty(0)
    assert distance_weighted_imbalance(empty, empty, np.array([1.0]), np.array([1.0])) is None


def test_level_exactly_at_the_cut_off_counts() -> None:
    # Mid 10,000 and length 1: the cut-off is at 5, ten ticks.
    sides = [(19_999, 1.0), (19_990, 50.0)], [(20_001, 1.0), (20_011, 50.0)]
    measure = DistanceWeightedImbalance(LINEAR, lengths_bps=(1.0,))
    measure.observe(levels_of(LINEAR, *sides))
    exact = twins.weighted_imbalance(LINEAR, *sides, 1.0, 5.0)
    assert measure.values() == {"length_1_bps": pytest.approx(exact, rel=1e-12)}
    assert exact is not None
    assert exact > 0


@given(instrument=INSTRUMENTS, ladder=ladders(), size=st.floats(0.01, 1e4), at=st.integers(0, 50))
@settings(max_examples=60)
def test_more_bids_never_lower_and_more_asks_never_raise(
    instrument: Instrument, ladder: tuple[Ladder, Ladder], size: float, at: int
) -> None:
    bids, asks = ladder
    before = measured(instrument, bids, asks)
    i, j = at % len(bids), at % len(asks)
    more_bids = [*bids[:i], (bids[i][0], bids[i][1] + size), *bids[i + 1 :]]
    more_asks = [*asks[:j], (asks[j][0], asks[j][1] + size), *asks[j + 1 :]]
    for value, up, down in zip(
        before,
        measured(instrument, more_bids, asks),
        measured(instrument, bids, more_asks),
        strict=True,
    ):
        if value is None:
            continue
        assert up is not None
        assert down is not None
        assert -1 <= down <= value + 1e-12
        assert value - 1e-12 <= up <= 1


@given(ladder=ladders(), power=st.integers(1, 5))
@settings(max_examples=40)
def test_scale_changes_nothing_and_mirror_flips_the_sign(
    ladder: tuple[Ladder, Ladder], power: int
) -> None:
    factor = 2.0**power
    found = measured(LINEAR, *ladder)
    assert measured(LINEAR, *(times(side, factor) for side in ladder)) == found
    assert measured(scaled(LINEAR, power), *ladder) == found
    upside_down = mirrored(*ladder)
    assume(upside_down[0][-1][0] > 0)
    # The notional of an inverse contract does not depend on its price, so it mirrors.
    flipped = measured(INVERSE, *upside_down)
    before = measured(INVERSE, *ladder)
    assert flipped == [None if v is None else pytest.approx(-v, abs=1e-12) for v in before]


def test_wrong_parameters_are_refused() -> None:
    with pytest.raises(ConfigError, match="Expected lengths_bps above 0"):
        DistanceWeightedImbalance(UNIT, lengths_bps=(0.0,))
    with pytest.raises(ConfigError, match="Expected cutoff above 0"):
        DistanceWeightedImbalance(UNIT, cutoff=-1.0)


# After the first and the last depth message, lengths of 1, 5 and 25 bps.
REFERENCE = {
    "perp": (
        (0.654867757, 0.0947239213, 0.0306293413),
        (-0.0343370759, -0.369630166, -0.488663482),
    ),
    "spot": (
        (0.346035080, 0.0247776251, -0.0295711333),
        (0.143168721, -0.0336108097, -0.0290081456),
    ),
}


@pytest.mark.parametrize("market", ["perp", "spot"])
def test_recordings_have_their_reference_values(data_dir: Path, market: str) -> None:
    found = shapes(data_dir, market)
    for at, expected in zip((0, -1), REFERENCE[market], strict=True):
        assert found.weighted[at] == pytest.approx(expected, rel=1e-8)
    assert (abs(found.weighted) <= 1).all()
    for length, value in zip((1.0, 5.0, 25.0), found.weighted[-1], strict=True):
        assert array_form(found.last, length, 5.0) == pytest.approx(value, rel=1e-10)

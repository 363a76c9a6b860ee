"""Slopes against their plain twin and hand-worked books."""

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from alphaplus.analysis.book_slope import (
    BookSlope,
    BookSlopes,
    elasticity,
    quoted_slope,
    side_slope,
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
)


def slopes_of(instrument: Instrument, *ladder: Ladder, unit: float | None = None) -> BookSlopes:
    measure = BookSlope(instrument, unit=unit)
    measure.observe(levels_of(instrument, *ladder))
    assert measure.slopes is not None
    return measure.slopes


def near(value: float | None) -> object:
    return None if value is None else pytest.approx(value, rel=1e-9)


@given(
    instrument=INSTRUMENTS,
    ladder=ladders(),
    levels=st.sampled_from([1, 3, 10]),
    unit=st.sampled_from([0.001, 1.0, 50.0]),
)
@settings(max_examples=150)
def test_equals_the_plain_twin(
    instrument: Instrument, ladder: tuple[Ladder, Ladder], levels: int, unit: float
) -> None:
    book = levels_of(instrument, *ladder)
    middle = twins.mid(instrument, *ladder)
    measure = BookSlope(instrument, levels=levels, unit=unit)
    measure.observe(book)
    found = measure.slopes
    assert found is not None
    sides = (
        (ladder[0], book.bids, found.bid_slope, found.bid_elasticity),
        (ladder[1], book.asks, found.ask_slope, found.ask_elasticity),
    )
    for side, arrays, slope, steepness in sides:
        if abs(side[0][1] / unit - 1) < 1e-9:
            continue  # at one unit exactly the logarithm is 0, or nearly
        exact = twins.side_slope(instrument, side, middle, levels, unit)
        assert slope == near(exact)
        plain = side_slope(arrays.prices, arrays.quantities / unit, book.mid, levels)
        assert plain == near(exact)
        exact = twins.elasticity(instrument, side, middle, 25.0)
        assert steepness == near(exact)
        assert elasticity(arrays.prices, arrays.notionals, book.mid) == near(exact)
    if found.bid_slope is not None and found.ask_slope is not None:
        assert found.book_slope == (found.bid_slope + found.ask_slope) / 2
        assert found.book_slope > 0
    else:
        assert found.book_slope is None


def test_quoted_slope_is_the_spread_over_the_logarithms() -> None:
    assert quoted_slope(0.1, 20.0, 50.0) == pytest.approx(0.1 / math.log(1000.0), rel=1e-15)
    assert quoted_slope(0.1, 0.5, 2.0) is None
    assert quoted_slope(0.1, 0.0, 2.0) is None
    assert quoted_slope(0.1, 0.5, 2.5) == pytest.approx(0.1 / math.log(1.25), rel=1e-12)


def test_hand_worked_book() -> None:
    # Mid 100. Bids: ln 10 at 1 %, then ln 100 after a step of 1/99.
    found = slopes_of(UNIT, [(99, 10.0), (98, 90.0)], [(101, 1000.0)], unit=1.0)
    ten = math.log(10.0)
    assert found.bid_slope == pytest.approx((ten / 0.01 + 1.0 * 99) / 2, rel=1e-12)
    assert found.ask_slope == pytest.approx(3 * ten / 0.01, rel=1e-12)
    assert found.quoted_slope == pytest.approx(2 / (4 * ten), rel=1e-12)
    assert found.bid_elasticity is None
    assert found.ask_elasticity is None


def test_elasticity_fits_a_line_through_the_origin() -> None:
    # 1 bp of mid 10,000 is 1: notionals 3, 3, 3 at 1, 2, 3 bps give 3 per basis point.
    prices = 10_000 + np.array([1.0, 2.0, 3.0, 90.0])
    assert elasticity(prices, np.array([3.0, 3.0, 3.0, 7e9]), 10_000.0) == pytest.approx(3.0)
    assert elasticity(prices, np.array([3.0, 3.0, 3.0, 7.0]), 10_000.0, 0.5) is None


def test_best_quantity_of_one_unit_has_no_slope() -> None:
    found = slopes_of(UNIT, [(99, 1.0), (98, 5.0)], [(101, 1.0)], unit=1.0)
    assert (found.quoted_slope, found.bid_slope, found.book_slope) == (None, None, None)
    empty = np.empty(0)
    assert side_slope(empty, empty, 1.0) is None


def test_unit_is_the_lot_unless_told() -> None:
    ladder: tuple[Ladder, Ladder] = [(99, 2.0)], [(101, 2.0)]
    assert slopes_of(UNIT, *ladder) == slopes_of(UNIT, *ladder, unit=0.001)
    assert slopes_of(UNIT, *ladder) != slopes_of(UNIT, *ladder, unit=1.0)


def test_measure_says_what_is_missing() -> None:
    measure = BookSlope(UNIT, unit=1.0)
    assert set(measure.values().values()) == {None}
    assert set(measure.missing()) == set(measure.values())
    measure.observe(levels_of(UNIT, [(9999, 1.0)], [(10001, 5.0)]))
    values = measure.values()
    assert (values["bid_slope"], values["book_slope"]) == (None, None)
    assert values["bid_elasticity"] == pytest.approx(9999.0)
    assert values["quoted_slope"] == pytest.approx(2 / math.log(5.0))
    assert values["truncated"] is True
    assert measure.missing() == dict.fromkeys(
        ("bid_slope", "book_slope"), "best quantities above 1"
    )
    measure.observe(levels_of(UNIT, [(99, 5.0), (10, 1.0)], [(101, 5.0), (200, 1.0)]))
    assert measure.values()["truncated"] is False
    assert measure.missing() == dict.fromkeys(
        ("bid_elasticity", "ask_elasticity"), "levels within 25 bps of the mid"
    )
    measure.interrupt()
    assert set(measure.values().values()) == {None}


def test_wrong_parameters_are_refused() -> None:
    with pytest.raises(ConfigError, match="Expected levels as a whole number"):
        BookSlope(UNIT, levels=0)
    with pytest.raises(ConfigError, match="Expected elasticity_bps above 0"):
        BookSlope(UNIT, elasticity_bps=0.0)
    with pytest.raises(ConfigError, match="Expected unit above 0"):
        BookSlope(UNIT, unit=-1.0)


@given(ladder=ladders(), power=st.integers(1, 4))
@settings(max_examples=40)
def test_scaled_prices_scale_what_is_in_quote_currency(
    ladder: tuple[Ladder, Ladder], power: int
) -> None:
    found, other = slopes_of(LINEAR, *ladder), slopes_of(scaled(LINEAR, power), *ladder)
    factor = 2.0**power
    assert (other.bid_slope, other.ask_slope) == (found.bid_slope, found.ask_slope)
    for name in ("quoted_slope", "bid_elasticity", "ask_elasticity"):
        value = getattr(found, name)
        assert getattr(other, name) == (None if value is None else near(value * factor))


@given(ladder=ladders(lowest=5_000, gap=5), power=st.integers(-3, 6))
@settings(max_examples=40)
def test_mirror_swaps_sides_and_scaled_sizes_scale_elasticity(
    ladder: tuple[Ladder, Ladder], power: int
) -> None:
    upside_down = mirrored(*ladder)
    assume(upside_down[0][-1][0] > 0)
    found, other = slopes_of(INVERSE, *ladder), slopes_of(INVERSE, *upside_down)
    assert (other.bid_elasticity, other.ask_elasticity) == (
        near(found.ask_elasticity),
        near(found.bid_elasticity),
    )
    assert other.quoted_slope == near(found.quoted_slope)
    factor = 2.0**power
    sides = [[(tick, quantity * factor) for tick, quantity in side] for side in ladder]
    more = slopes_of(INVERSE, *sides, unit=factor)  # the unit grows with the sizes
    assert more.bid_slope == near(slopes_of(INVERSE, *ladder).bid_slope)
    for name in ("bid_elasticity", "ask_elasticity"):
        value = getattr(found, name)
        assert getattr(more, name) == (None if value is None else near(value * factor))

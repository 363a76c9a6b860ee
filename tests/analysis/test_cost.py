"""Cost to fill against its plain twin, published cases, recordings, and what must hold."""

import itertools
import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from alphaplus.analysis.book_levels import BookLevels
from alphaplus.analysis.cost import (
    NOTIONALS,
    CostToFill,
    FillCost,
    NotionalWithinSlippage,
    cost_curve,
    cost_of_base,
    cost_of_notional,
    notional_within,
    round_trip_bps,
    slippage_bps,
    vwap_of_base,
    vwap_of_notional,
    vwap_of_quantity,
)
from alphaplus.analysis.spread import spread_bps
from alphaplus.errors import ConfigError
from alphaplus.events import Side
from alphaplus.instruments import Instrument
from tests.analysis import shape_twins as twins
from tests.analysis.shape_books import (
    INSTRUMENTS,
    INVERSE,
    LINEAR,
    UNIT,
    Ladder,
    l2_book,
    ladders,
    levels_of,
    mirrored,
    scaled,
    times,
)
from tests.analysis.shape_captures import shapes

GRID = (1.0, 1e3, 1e5, 1e8)
TAKEN = st.sampled_from([Side.ASK, Side.BID])


def side_of(ladder: tuple[Ladder, Ladder], taken: Side) -> Ladder:
    return ladder[1] if taken is Side.ASK else ladder[0]


def held(book: BookLevels, taken: Side) -> float:
    side = book.asks if taken is Side.ASK else book.bids
    return float(side.running_notionals[-1])


def slippage_of(cost: FillCost | None) -> float:
    assert cost is not None
    assert cost.slippage_bps is not None
    return cost.slippage_bps


# ---- against the plain twin


@given(instrument=INSTRUMENTS, ladder=ladders(), taken=TAKEN, by_base=st.booleans())
@settings(max_examples=200)
def test_equals_the_plain_twin(
    instrument: Instrument, ladder: tuple[Ladder, Ladder], taken: Side, by_base: bool
) -> None:
    book = levels_of(instrument, *ladder)
    middle = float(twins.mid(instrument, *ladder))
    cost_of = cost_of_base if by_base else cost_of_notional
    for wanted in GRID:
        found = cost_of(book, taken, wanted)
        assert found is not None
        vwap, worst, used, ratio = twins.fill(
            instrument, side_of(ladder, taken), wanted, by_base=by_base
        )
        assert worst is not None
        assert found.fill_ratio == pytest.approx(float(ratio), rel=1e-12)
        if abs(float(ratio) - 1) < 1e-12 and (found.vwap is None) != (vwap is None):
            continue  # the order ends where the book does, to within rounding
        assert (found.vwap is None) == (found.slippage_bps is None) == (vwap is None)
        if vwap is None or found.vwap is None:
            assert found.truncated
            assert found.levels == len(side_of(ladder, taken))
            continue
        assert found.vwap == pytest.approx(float(vwap), rel=1e-12)
        slippage = -float(taken) * 1e4 * float(vwap - twins.mid(instrument, *ladder)) / middle
        assert found.slippage_bps == pytest.approx(slippage, rel=1e-9, abs=1e-9)
        assert found.slippage_bps == slippage_bps(found.vwap, book.mid, taken)
        if found.levels == used:  # an order may end exactly at a level's end
            assert found.worst_price == float(twins.price(instrument, worst))
        assert abs(found.levels - used) <= 1
        assert not found.truncated


@given(instrument=INSTRUMENTS, ladder=ladders(), taken=TAKEN, share=st.floats(0.001, 0.999))
@settings(max_examples=60)
def test_array_forms_give_the_same(
    instrument: Instrument, ladder: tuple[Ladder, Ladder], taken: Side, share: float
) -> None:
    book = levels_of(instrument, *ladder)
    side = book.asks if taken is Side.ASK else book.bids
    by_notional = cost_of_notional(book, taken, share * side.running_notionals[-1])
    by_base = cost_of_base(book, taken, share * side.running_bases[-1])
    assert by_notional is not None
    assert by_base is not None
    notional, base = share * side.running_notionals[-1], share * side.running_bases[-1]
    assert vwap_of_notional(side.prices, side.notionals, notional) == pytest.approx(
        by_notional.vwap, rel=1e-12
    )
    bases = side.notionals / side.prices
    assert vwap_of_base(side.prices, bases, base) == pytest.approx(by_base.vwap, rel=1e-12)
    l2 = l2_book(instrument, *ladder)
    assert vwap_of_quantity(l2, taken, base) == pytest.approx(by_base.vwap, rel=1e-12)


def test_published_cases(data_dir: Path) -> None:
    cases = json.loads((data_dir / "analysis/book_metrics_orderbook_rs.json").read_text())["cases"]
    checked = 0
    for case in cases:
        book = l2_book(UNIT, case["bids"], case["asks"])
        for taken, levels, name in (
            (Side.ASK, case["asks"], "vwap_buy"),
            (Side.BID, case["bids"], "vwap_sell"),
        ):
            prices, bases = np.array(levels, dtype=float).reshape(-1, 2).T
            for quantity, value in case.get(name, {}).items():
                assert vwap_of_base(prices, bases, float(quantity)) == value
                assert vwap_of_quantity(book, taken, float(quantity)) == value
                checked += 1
    assert checked == 11


# ---- edges


@pytest.mark.parametrize("wanted", [0.0, -1.0, math.nan, math.inf])
def test_order_of_nothing_has_no_cost(wanted: float) -> None:
    book = levels_of(UNIT, [(100, 1.0)], [(101, 1.0)])
    assert cost_of_notional(book, Side.ASK, wanted) is None
    assert cost_of_base(book, Side.BID, wanted) is None
    assert vwap_of_notional(book.asks.prices, book.asks.notionals, wanted) is None
    assert vwap_of_base(book.asks.prices, book.asks.quantities, wanted) is None


def test_order_larger_than_the_book_has_no_price_and_says_how_much_fills() -> None:
    book = levels_of(LINEAR, [(200, 1.0)], [(202, 2.0), (204, 1.0)])
    buy, sell = cost_of_notional(book, Side.ASK, 1000.0), cost_of_notional(book, Side.BID, 1000.0)
    assert buy == FillCost(None, None, 102.0, 2, 0.304, truncated=True)
    assert sell == FillCost(None, None, 100.0, 1, 0.1, truncated=True)
    assert buy is not None
    assert sell is not None
    assert round_trip_bps(buy, sell) is None


def test_fill_beyond_the_known_range_is_truncated_but_priced() -> None:
    book = levels_of(LINEAR, [(200, 1.0), (190, 1.0)], [(202, 1.0)], later=[(180, 5.0)])
    small, large = (cost_of_notional(book, Side.BID, wanted) for wanted in (150.0, 300.0))
    assert small is not None
    assert large is not None
    assert small.vwap == pytest.approx(150 / (1 + 50 / 95))
    assert not small.truncated
    assert large.vwap == pytest.approx(300 / (1 + 1 + 105 / 90))
    assert (large.truncated, large.worst_price, large.fill_ratio) == (True, 90.0, 1.0)


def test_inverse_contracts_fill_in_base_units() -> None:
    book = levels_of(INVERSE, [(900, 1.0)], [(1000, 1.0), (2000, 4.0)])  # 1 at 100, 2 at 200
    found = cost_of_base(book, Side.ASK, 2.0)
    assert found is not None
    assert found.vwap == pytest.approx(150.0)
    again = cost_of_notional(book, Side.ASK, 300.0)  # the quote that those two units cost
    assert again is not None
    assert again.vwap == pytest.approx(150.0)


def test_measures_give_plain_values_by_size() -> None:
    cost, within = CostToFill(UNIT, notionals=(100, 1e6)), NotionalWithinSlippage(UNIT)
    for measure in (cost, within):
        assert set(measure.values().values()) == {None}
        assert set(measure.missing()) == set(measure.values())
    book = levels_of(UNIT, [(99, 10.0)], [(101, 10.0)])
    cost.observe(book)
    within.observe(book)
    assert cost.missing() == within.missing() == {}
    found = cost.values()
    assert list(found) == ["100", "1000000"]
    assert found["100"]["buy"] == {
        "vwap": 101.0,
        "slippage_bps": pytest.approx(100.0),
        "worst_price": 101.0,
        "levels": 1,
        "fill_ratio": 1.0,
        "truncated": False,
    }
    assert found["100"]["round_trip_bps"] == pytest.approx(200.0)
    assert found["1000000"]["sell"]["fill_ratio"] == 990 / 1e6
    assert found["1000000"]["round_trip_bps"] is None
    assert found["1000000"]["truncated"] is True
    nothing = {"buy": 0.0, "sell": 0.0, "buy_truncated": False, "sell_truncated": False}
    assert within.values() == dict.fromkeys(("1", "5", "10", "25", "50"), nothing)
    for measure in (cost, within):
        measure.interrupt()
        assert set(measure.values().values()) == {None}


def test_wrong_parameters_are_refused() -> None:
    book = levels_of(UNIT, [(99, 10.0)], [(101, 10.0)])
    with pytest.raises(ConfigError, match="Expected notionals above 0"):
        CostToFill(UNIT, notionals=(0.0,))
    with pytest.raises(ConfigError, match="Expected slippages_bps above 0"):
        NotionalWithinSlippage(UNIT, slippages_bps=(math.inf,))
    with pytest.raises(ConfigError, match="Expected notionals above 0"):
        cost_curve(book, (-5.0,))


# ---- what must hold


@given(instrument=INSTRUMENTS, ladder=ladders())
@settings(max_examples=80)
def test_costs_grow_with_size_and_never_beat_the_touch(
    instrument: Instrument, ladder: tuple[Ladder, Ladder]
) -> None:
    book = levels_of(instrument, *ladder)
    spread = spread_bps(ladder[0][0][0], ladder[1][0][0])
    curve = cost_curve(book, [10.0**k for k in range(9)])
    for costs in (curve.buys, curve.sells):
        filled = [c.slippage_bps for c in costs if c.slippage_bps is not None]
        assert all(slippage >= spread / 2 - 1e-9 for slippage in filled)
        assert all(a <= b + 1e-9 for a, b in itertools.pairwise(filled))
        ratios = [cost.fill_ratio for cost in costs]
        assert ratios == sorted(ratios, reverse=True)
        assert all(0 < ratio <= 1 for ratio in ratios)
    for buy, sell in zip(curve.buys, curve.sells, strict=True):
        trip = round_trip_bps(buy, sell)
        if trip is not None:
            assert trip >= spread - 1e-9
            assert buy.vwap is not None
            assert sell.vwap is not None
            assert trip == pytest.approx(1e4 * (buy.vwap - sell.vwap) / book.mid, abs=1e-9)


@given(ladder=ladders(), taken=TAKEN)
@settings(max_examples=60)
def test_slippage_times_base_is_convex(ladder: tuple[Ladder, Ladder], taken: Side) -> None:
    book = levels_of(LINEAR, *ladder)
    side = book.asks if taken is Side.ASK else book.bids
    sizes = np.linspace(0.05, 0.95, 13) * side.running_bases[-1]
    paid = [size * slippage_of(cost_of_base(book, taken, size)) for size in sizes]
    assert (np.diff(paid, 2) >= -1e-9 * abs(paid[-1])).all()


@given(ladder=ladders(), taken=TAKEN)
@settings(max_examples=60)
def test_slippage_times_notional_of_a_buyer_of_inverse_contracts_is_convex_in_base_terms(
    ladder: tuple[Ladder, Ladder], taken: Side
) -> None:
    """By notional, the base that a seller gives up per quote is what is convex."""
    book = levels_of(INVERSE, *ladder)
    sizes = np.linspace(0.05, 0.95, 13) * held(book, taken)
    costs = [cost_of_notional(book, taken, size) for size in sizes]
    bases = [
        size / cost.vwap for size, cost in zip(sizes, costs, strict=True) if cost and cost.vwap
    ]
    assert len(bases) == len(sizes)
    assert (-float(taken) * np.diff(bases, 2) <= 1e-9 * bases[-1]).all()


@given(instrument=INSTRUMENTS, ladder=ladders(), taken=TAKEN, share=st.floats(0.01, 0.99))
@settings(max_examples=60)
def test_order_within_the_best_level_costs_half_the_spread(
    instrument: Instrument, ladder: tuple[Ladder, Ladder], taken: Side, share: float
) -> None:
    book = levels_of(instrument, *ladder)
    side = book.asks if taken is Side.ASK else book.bids
    cost = cost_of_notional(book, taken, share * float(side.notionals[0]))
    half = spread_bps(ladder[0][0][0], ladder[1][0][0]) / 2
    assert slippage_of(cost) == pytest.approx(half, rel=1e-9)
    assert cost is not None
    assert cost.levels == 1


@given(instrument=INSTRUMENTS, ladder=ladders(), taken=TAKEN, slippage=st.floats(0.5, 500.0))
@settings(max_examples=150)
def test_inverse_curve_is_the_largest_notional_within_the_slippage(
    instrument: Instrument, ladder: tuple[Ladder, Ladder], taken: Side, slippage: float
) -> None:
    book = levels_of(instrument, *ladder)
    notional, truncated = notional_within(book, taken, slippage)
    whole = held(book, taken)
    half = spread_bps(ladder[0][0][0], ladder[1][0][0]) / 2
    if slippage < half * (1 - 1e-9):
        assert notional == 0.0
        return
    assert 0 < notional <= whole * (1 + 1e-12)
    cost = cost_of_notional(book, taken, min(notional, whole) * (1 - 1e-9))
    assert slippage_of(cost) <= slippage + 1e-6
    if notional < whole:
        more = cost_of_notional(book, taken, min(notional * 1.01, whole))
        assert slippage_of(more) > slippage - 1e-9
    else:
        assert truncated


@given(instrument=INSTRUMENTS, ladder=ladders(), taken=TAKEN)
@settings(max_examples=50)
def test_inverse_curve_grows_with_the_slippage(
    instrument: Instrument, ladder: tuple[Ladder, Ladder], taken: Side
) -> None:
    measure = NotionalWithinSlippage(instrument, slippages_bps=(1, 3, 10, 30, 100, 1e4, 1e5))
    book = levels_of(instrument, *ladder)
    measure.observe(book)
    name = "buy" if taken is Side.ASK else "sell"
    found = [row[name] for row in measure.values().values()]
    assert found == sorted(found)
    assert found[-1] == held(book, taken)
    for key, row in measure.values().items():
        assert notional_within(book, taken, float(key)) == (row[name], row[f"{name}_truncated"])


def test_notional_within_half_the_spread_is_the_best_level() -> None:
    book = levels_of(UNIT, [(99, 10.0)], [(101, 10.0), (103, 10.0)])
    assert notional_within(book, Side.ASK, 100.0) == (pytest.approx(1010.0), False)
    assert notional_within(book, Side.ASK, 99.9) == (0.0, False)
    assert notional_within(book, Side.ASK, 200.0) == (2040.0, True)


def test_notional_within_reaching_beyond_the_known_range_is_truncated() -> None:
    book = levels_of(UNIT, [(100, 1.0), (98, 1.0)], [(102, 1.0)], later=[(90, 5.0), (80, 1.0)])
    assert notional_within(book, Side.BID, 110.0)[1] is False
    assert notional_within(book, Side.BID, 500.0)[1] is True


@given(instrument=INSTRUMENTS, ladder=ladders(), power=st.integers(-3, 6))
@settings(max_examples=40)
def test_scaling_sizes_and_order_together_changes_nothing(
    instrument: Instrument, ladder: tuple[Ladder, Ladder], power: int
) -> None:
    factor = 2.0**power
    found = cost_curve(levels_of(instrument, *ladder), (1e3, 1e5, 1e6))
    more = levels_of(instrument, *(times(side, factor) for side in ladder))
    other = cost_curve(more, [factor * n for n in (1e3, 1e5, 1e6)])
    assert (other.buys, other.sells) == (found.buys, found.sells)
    before, after = (
        notional_within(levels_of(instrument, *ladder), Side.ASK, 20.0),
        notional_within(more, Side.ASK, 20.0),
    )
    assert after == (before[0] * factor, before[1])


@given(ladder=ladders(), power=st.integers(1, 5))
@settings(max_examples=40)
def test_scaling_prices_leaves_basis_points(ladder: tuple[Ladder, Ladder], power: int) -> None:
    found = cost_curve(levels_of(LINEAR, *ladder), (1e3, 1e5, 1e6))
    other = cost_curve(
        levels_of(scaled(LINEAR, power), *ladder), [2**power * n for n in (1e3, 1e5, 1e6)]
    )
    for before, after in zip(found.buys + found.sells, other.buys + other.sells, strict=True):
        assert after.fill_ratio == before.fill_ratio
        assert after.slippage_bps == before.slippage_bps


@given(ladder=ladders(), share=st.floats(0.05, 0.95))
@settings(max_examples=60)
def test_mirror_swaps_buyer_and_seller(ladder: tuple[Ladder, Ladder], share: float) -> None:
    upside_down = mirrored(*ladder)
    assume(upside_down[0][-1][0] > 0)
    book, other = levels_of(LINEAR, *ladder), levels_of(LINEAR, *upside_down)
    size = share * float(book.asks.running_bases[-1])
    buy, sell = cost_of_base(book, Side.ASK, size), cost_of_base(other, Side.BID, size)
    assert slippage_of(buy) == pytest.approx(slippage_of(sell), rel=1e-8, abs=1e-8)


@given(ladder=ladders())
@settings(max_examples=60)
def test_inverse_and_linear_books_of_equal_notionals_cost_the_same(
    ladder: tuple[Ladder, Ladder],
) -> None:
    linear = Instrument(
        symbol="BTC-USD-PERP",
        exchange="binance",
        venue_symbol="X",
        tick_size=INVERSE.tick_size,
        lot_size=LINEAR.lot_size,
    )
    sides = [[(t, 100.0 * q / linear.price(t)) for t, q in side] for side in ladder]
    found, other = (
        cost_curve(levels_of(instrument, *book), (1e2, 1e4, 1e5))
        for instrument, book in ((INVERSE, ladder), (linear, sides))
    )
    for a, b in zip(found.buys + found.sells, other.buys + other.sells, strict=True):
        assert b.fill_ratio == pytest.approx(a.fill_ratio, rel=1e-12)
        if a.vwap is not None and b.vwap is not None:
            assert b.vwap == pytest.approx(a.vwap, rel=1e-12)


# ---- recordings

# Round trips in bps after the first and the last depth message, then medians over all of them.
REFERENCE = {
    "perp": (
        (0.0161811643, 0.151586410, 1.64185822, 7.26181227),
        (0.0162180353, 0.0497114407, 1.67179969, 9.32537121),
        (0.0162, 0.0294, 2.3024, 7.7318),
    ),
    "spot": (
        (0.00161713815, 0.00214772202, 3.80995564, 17.5988046),
        (0.00162111351, 0.0238942901, 2.87364868, 18.4025806),
        (0.0016, 0.1967, 3.9486, 18.619),
    ),
}


@pytest.mark.parametrize("market", ["perp", "spot"])
def test_recordings_have_their_reference_costs(data_dir: Path, market: str) -> None:
    found = shapes(data_dir, market)
    first, last, medians = REFERENCE[market]
    # Two of the printed values are off by 2e-10 bps, what float VWAPs near 61,800 leave of a
    # difference; the exact ones are those of the twin.
    for book, row, printed in zip(
        (found.first, found.last), found.round_trips_bps[[0, -1]], (first, last), strict=True
    ):
        assert row == pytest.approx(printed, rel=1e-8, abs=3e-10)
        assert row == pytest.approx(_exact_round_trips(book), rel=1e-8)
    assert np.median(found.round_trips_bps, axis=0) == pytest.approx(medians, rel=1e-3, abs=5e-5)
    assert (found.round_trips_bps >= found.spread_bps[:, np.newaxis] - 1e-8).all()
    assert (np.diff(found.round_trips_bps, axis=1) >= -1e-8).all()


def test_recorded_fills_beyond_the_snapshot_are_marked(data_dir: Path) -> None:
    last = shapes(data_dir, "perp").last
    for costs, side, sign in zip(
        (cost_curve(last).buys, cost_curve(last).sells),
        (last.asks, last.bids),
        (1, -1),
        strict=True,
    ):
        known = last.instrument.price(side.known_tick)
        for wanted, cost in zip(NOTIONALS, costs, strict=True):
            assert cost.worst_price is not None
            assert cost.truncated == (sign * (cost.worst_price - known) > 0), wanted


def _exact_round_trips(book: BookLevels) -> list[float]:
    bids, asks = (
        list(zip(side.ticks.tolist(), side.quantities.tolist(), strict=True))
        for side in (book.bids, book.asks)
    )
    trips = []
    for wanted in NOTIONALS:
        buy = twins.fill(book.instrument, asks, wanted)[0]
        sell = twins.fill(book.instrument, bids, wanted)[0]
        assert buy is not None
        assert sell is not None
        trips.append(float(10_000 * (buy - sell) / twins.mid(book.instrument, bids, asks)))
    return trips


@pytest.mark.parametrize("taken", [Side.ASK, Side.BID])
def test_an_order_beyond_what_was_read_takes_the_rest_of_the_book(taken: Side) -> None:
    asks = [(10_000 + 10 * i, 1.0) for i in range(1_000)]
    bids = [(9_999 - 9 * i, 1.0) for i in range(1_000)]
    book = l2_book(LINEAR, bids, asks)
    whole, part = BookLevels.of(book), BookLevels.of(book, 1.0)
    assert whole is not None
    assert part is not None
    assert len(part.asks.ticks) < 1_000
    for size in (1.0, 500.0, 5_000.0):
        assert cost_of_base(part, taken, size) == cost_of_base(whole, taken, size)
    for bps in (1.0, 2_000.0, 9_000.0):
        assert notional_within(part, taken, bps) == notional_within(whole, taken, bps)
    notionals = (1e3, held(whole, taken) / 2, 2 * held(whole, taken))
    assert cost_curve(part, notionals) == cost_curve(whole, notionals)

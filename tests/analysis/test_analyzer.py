"""The measures against their plain twins, published cases, recordings and their properties."""

import itertools
import json
import math
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alphaplus.analysis.analyzer import Analyzer, BookAnalysis
from alphaplus.analysis.cost import FillCost, vwap_of_quantity
from alphaplus.book import L2Book
from alphaplus.errors import ConfigError
from alphaplus.events import EventArray, Kind, Side
from alphaplus.instruments import Instrument
from tests.analysis import twins
from tests.book import captures
from tests.book.events import Level, message, snapshot

Ladder = list[tuple[int, float]]

LINEAR = Instrument(
    symbol="BTC-USDT-PERP",
    exchange="binance",
    venue_symbol="BTCUSDT",
    tick_size=Decimal("0.5"),
    lot_size=Decimal("0.001"),
)
INVERSE = Instrument(
    symbol="BTC-USD-BTC-PERP",
    exchange="binance",
    venue_symbol="BTCUSD_PERP",
    tick_size=Decimal("0.1"),
    lot_size=Decimal(1),
    contract_size=100.0,
    inverse=True,
)
INSTRUMENTS = st.sampled_from([LINEAR, INVERSE])
SIZES = st.integers(1, 10**6).map(lambda lots: lots / 1000)


def levels_of(bids: Ladder, asks: Ladder) -> list[Level]:
    return [(Side.BID, *level) for level in bids] + [(Side.ASK, *level) for level in asks]


def book_of(instrument: Instrument, bids: Ladder, asks: Ladder) -> L2Book:
    book = L2Book(instrument)
    book.apply(snapshot(levels_of(bids, asks), sequence=5, ts=7))
    return book


@st.composite
def ladders(draw: st.DrawFn) -> tuple[Ladder, Ladder]:
    """An uncrossed book with both sides, best first."""
    centre = draw(st.integers(500, 200_000))
    gaps = st.lists(st.integers(1, 60), min_size=1, max_size=40)

    def side(direction: int, tick: int) -> Ladder:
        ladder = []
        for gap in draw(gaps):
            tick += direction * gap
            ladder.append((tick, draw(SIZES)))
        return [level for level in ladder if level[0] > 0]

    bids, asks = side(-1, centre), side(1, centre - 1)
    return bids or [(centre - 1, 1.0)], asks


def values(found: BookAnalysis) -> dict[str, float | None]:
    """The measures by a flat name, without the identity of the book."""
    flat: dict[str, float | None] = {}

    def add(name: str, value: Any) -> None:
        if isinstance(value, dict):
            for key, inner in value.items():
                add(f"{name}.{key}", inner)
        else:
            flat[name] = value

    add("", {k: v for k, v in found.as_dict().items() if k not in ("sequence", "crossed")})
    return flat


# ---- against the plain twins


@given(instrument=INSTRUMENTS, ladder=ladders())
@settings(max_examples=150)
def test_equals_the_plain_twins(instrument: Instrument, ladder: tuple[Ladder, Ladder]) -> None:
    bids, asks = ladder
    analyzer = Analyzer(
        instrument, depth_bps=(0.5, 1, 5, 10, 25, 50, 400), cost_notionals=(1, 1e3, 1e5, 1e8)
    )
    found = analyzer.analyze(book_of(instrument, bids, asks))
    bid, ask = twins.price(instrument, bids[0][0]), twins.price(instrument, asks[0][0])
    mid = (bid + ask) / 2
    assert (found.best_bid, found.best_bid_quantity) == (float(bid), bids[0][1])
    assert (found.best_ask, found.best_ask_quantity) == (float(ask), asks[0][1])
    assert found.spread == float(ask - bid)
    assert found.mid == float(mid)
    assert found.spread_bps == pytest.approx(float(10_000 * (ask - bid) / mid), rel=1e-12)
    assert not found.crossed
    for k, value in found.imbalance.items():
        assert value == pytest.approx(float(twins.imbalance(bids, asks, k)), rel=1e-12, abs=1e-12)
    for side, depth, cost, sign in (
        (bids, found.bid_depth, found.sell_cost, -1),
        (asks, found.ask_depth, found.buy_cost, 1),
    ):
        for bps, item in depth.items():
            exact = twins.depth(instrument, side, mid, bps)
            assert item.notional == pytest.approx(float(exact), rel=1e-12)
            edge = mid + sign * mid * twins.Fraction(str(bps)) / 10_000
            last = twins.price(instrument, side[-1][0])
            reach = math.floor if sign > 0 else math.ceil
            tick = reach(edge / twins.Fraction(instrument.tick_size))
            beyond = (tick * twins.Fraction(instrument.tick_size) - last) * sign > 0
            assert item.truncated == beyond
        for wanted, order in cost.items():
            vwap, worst, used, ratio = twins.fill(instrument, side, wanted)
            assert worst is not None
            assert order.fill_ratio == pytest.approx(float(ratio), rel=1e-12)
            if abs(float(ratio) - 1) < 1e-9 and (order.vwap is None) != (vwap is None):
                continue  # the order ends where the book does, to within rounding
            assert (order.vwap is None) == (vwap is None)
            if vwap is None or order.vwap is None:
                continue
            assert order.vwap == pytest.approx(float(vwap), rel=1e-12)
            slippage = float(10_000 * sign * (vwap - mid) / mid)
            assert order.slippage_bps == pytest.approx(slippage, rel=1e-9, abs=1e-9)
            assert order.worst_price == pytest.approx(float(twins.price(instrument, worst)))
            assert abs(order.levels - used) <= 1  # an order may end exactly at a level's end


# ---- properties P1 to P6


@given(instrument=INSTRUMENTS, ladder=ladders(), power=st.integers(-3, 6))
@settings(max_examples=60)
def test_scaling_all_sizes_scales_notionals_only(
    instrument: Instrument, ladder: tuple[Ladder, Ladder], power: int
) -> None:
    scale = 2.0**power
    bids, asks = ladder
    more = [[(tick, quantity * scale) for tick, quantity in side] for side in ladder]
    notionals = (1e3, 1e5, 1e6)
    found = Analyzer(instrument, cost_notionals=notionals).analyze(book_of(instrument, bids, asks))
    scaled = Analyzer(instrument, cost_notionals=[n * scale for n in notionals]).analyze(
        book_of(instrument, *more)
    )
    assert scaled.imbalance == found.imbalance
    assert scaled.weighted_mid == found.weighted_mid
    for side in ("bid_depth", "ask_depth"):
        before, after = getattr(found, side), getattr(scaled, side)
        assert [d.notional * scale for d in before.values()] == [d.notional for d in after.values()]
    for side in ("buy_cost", "sell_cost"):
        assert list(getattr(found, side).values()) == list(getattr(scaled, side).values())


@given(ladder=ladders(), power=st.integers(1, 5))
@settings(max_examples=60)
def test_scaling_prices_and_tick_leaves_basis_points(
    ladder: tuple[Ladder, Ladder], power: int
) -> None:
    other = Instrument(
        symbol="X-USDT-PERP",
        exchange="binance",
        venue_symbol="X",
        tick_size=LINEAR.tick_size * 2**power,
        lot_size=LINEAR.lot_size,
    )
    notionals = (1e3, 1e5, 1e6)
    found = Analyzer(LINEAR, cost_notionals=notionals).analyze(book_of(LINEAR, *ladder))
    scaled = Analyzer(other, cost_notionals=[n * 2**power for n in notionals]).analyze(
        book_of(other, *ladder)
    )
    assert scaled.spread_bps == found.spread_bps
    assert scaled.imbalance == found.imbalance
    for side in ("buy_cost", "sell_cost"):
        pairs = zip(getattr(found, side).values(), getattr(scaled, side).values(), strict=True)
        for before, after in pairs:
            assert after.fill_ratio == pytest.approx(before.fill_ratio, rel=1e-12)
            if before.slippage_bps is not None and after.slippage_bps is not None:
                assert after.slippage_bps == pytest.approx(before.slippage_bps, rel=1e-9, abs=1e-9)


@given(ladder=ladders())
@settings(max_examples=60)
def test_mirror_flips_signed_measures_and_swaps_the_sides(ladder: tuple[Ladder, Ladder]) -> None:
    bids, asks = ladder
    centre = bids[0][0] + asks[0][0]
    mirrored = ([(centre - t, q) for t, q in asks], [(centre - t, q) for t, q in bids])
    if mirrored[0][-1][0] <= 0:
        return
    # Inverse contracts: their notional does not depend on the price, so it mirrors exactly.
    analyzer = Analyzer(INVERSE)
    found = analyzer.analyze(book_of(INVERSE, bids, asks))
    other = analyzer.analyze(book_of(INVERSE, *mirrored))
    assert other.spread_bps == found.spread_bps
    assert other.mid == found.mid
    assert found.mid is not None
    assert found.weighted_mid is not None
    assert other.weighted_mid is not None
    assert other.weighted_mid - found.mid == pytest.approx(found.mid - found.weighted_mid, abs=1e-9)
    assert other.imbalance == {k: -v for k, v in found.imbalance.items() if v is not None}
    assert other.bid_depth == found.ask_depth
    assert other.ask_depth == found.bid_depth
    for buy, sell in zip(other.buy_cost.values(), found.sell_cost.values(), strict=True):
        assert (buy.levels, buy.fill_ratio) == (sell.levels, sell.fill_ratio)


@given(instrument=INSTRUMENTS, ladder=ladders(), away=st.integers(1, 300), size=SIZES)
@settings(max_examples=60)
def test_inserting_and_deleting_a_level_restores_every_value(
    instrument: Instrument, ladder: tuple[Ladder, Ladder], away: int, size: float
) -> None:
    book = book_of(instrument, *ladder)
    analyzer = Analyzer(instrument)
    before = analyzer.analyze(book)
    tick = ladder[0][0][0] - away
    if tick <= 0 or tick in dict(ladder[0]):
        return
    book.apply(message([(Side.BID, tick, size)], sequence=5, ts=7))
    changed = analyzer.analyze(book)
    assert changed.best_bid == before.best_bid
    book.apply(message([(Side.BID, tick, 0.0)], sequence=5, ts=7))
    assert analyzer.analyze(book) == before


@given(ladder=ladders(), other=ladders(), random=st.randoms(use_true_random=False))
@settings(max_examples=60)
def test_order_and_grouping_of_updates_change_nothing(
    ladder: tuple[Ladder, Ladder], other: tuple[Ladder, Ladder], random: Any
) -> None:
    updates = levels_of(*other)
    shuffled = list(updates)
    random.shuffle(shuffled)
    analyzer = Analyzer(LINEAR)
    books = [book_of(LINEAR, *ladder) for _ in range(3)]
    books[0].apply(message(updates, 6))
    books[1].apply(message(shuffled, 6))
    for update in shuffled:
        books[2].apply(message([update], 6))
    found = [analyzer.analyze(book) for book in books]
    assert found[0] == found[1] == found[2]


@given(instrument=INSTRUMENTS, ladder=ladders())
@settings(max_examples=60)
def test_costs_grow_with_size_and_never_beat_the_touch(
    instrument: Instrument, ladder: tuple[Ladder, Ladder]
) -> None:
    analyzer = Analyzer(instrument, cost_notionals=[10.0**k for k in range(9)])
    found = analyzer.analyze(book_of(instrument, *ladder))
    assert found.spread_bps is not None
    for costs in (found.buy_cost, found.sell_cost):
        filled = [c.slippage_bps for c in costs.values() if c.slippage_bps is not None]
        assert all(slippage >= found.spread_bps / 2 - 1e-9 for slippage in filled)
        assert all(a <= b + 1e-9 for a, b in itertools.pairwise(filled))
        ratios = [cost.fill_ratio for cost in costs.values()]
        assert ratios == sorted(ratios, reverse=True)
        assert all(0 < ratio <= 1 for ratio in ratios)
    for depth in (found.bid_depth, found.ask_depth):
        notionals = [item.notional for item in depth.values()]
        assert notionals == sorted(notionals)


# ---- unknown is None


def test_book_without_snapshot_has_no_measures() -> None:
    book = L2Book(LINEAR)
    book.apply(message([(Side.BID, 100, 1.0), (Side.ASK, 101, 1.0)]))
    found = Analyzer(LINEAR).analyze(book)
    assert set(values(found).values()) <= {None}
    assert found.sequence is None
    assert not found.crossed


def test_one_sided_book_has_its_touch_and_no_two_sided_measure() -> None:
    found = Analyzer(LINEAR).analyze(book_of(LINEAR, [(100, 2.0)], []))
    known = {name: value for name, value in values(found).items() if value is not None}
    assert known == {".best_bid": 50.0, ".best_bid_quantity": 2.0}


@pytest.mark.parametrize("ask", [100, 99, 1])
def test_crossed_or_locked_book_is_flagged_and_has_no_measures(ask: int) -> None:
    found = Analyzer(LINEAR).analyze(book_of(LINEAR, [(100, 2.0)], [(ask, 1.0)]))
    assert found.crossed
    assert set(values(found).values()) == {None}


def test_level_exactly_at_the_distance_counts() -> None:
    # Mid 10_000: one basis point is 1, which floats at 9_999 and 10_001 would round past.
    bids, asks = [(19_999, 1.0), (19_998, 1.0)], [(20_001, 1.0), (20_002, 1.0)]
    found = Analyzer(LINEAR, depth_bps=(0.5, 0.9, 1.0)).analyze(book_of(LINEAR, bids, asks))
    assert [d.notional for d in found.bid_depth.values()] == [9999.5, 9999.5, 19998.5]
    assert [d.notional for d in found.ask_depth.values()] == [10000.5, 10000.5, 20001.5]


def test_depth_beyond_the_snapshot_is_a_lower_bound() -> None:
    book = book_of(LINEAR, [(19_999, 1.0), (19_990, 1.0)], [(20_001, 1.0), (20_100, 1.0)])
    book.apply(message([(Side.BID, 19_000, 5.0)], 6))
    found = Analyzer(LINEAR, depth_bps=(1, 5, 50)).analyze(book)
    assert [d.truncated for d in found.bid_depth.values()] == [False, False, True]
    assert [d.truncated for d in found.ask_depth.values()] == [False, False, False]


def test_fill_beyond_the_known_range_has_no_price() -> None:
    book = book_of(LINEAR, [(200, 1.0), (190, 1.0)], [(202, 1.0)])
    book.apply(message([(Side.BID, 180, 5.0)], 6))
    costs = Analyzer(LINEAR, cost_notionals=(50, 150, 300)).analyze(book).sell_cost
    assert costs[50.0] == FillCost(100.0, pytest.approx(1e4 * 0.5 / 100.5), 100.0, 1, 1.0)
    assert costs[150.0].vwap == pytest.approx(150 / (1 + 50 / 95))
    assert costs[300.0] == FillCost(None, None, 90.0, 3, 1.0)


def test_order_larger_than_the_book_has_no_price_and_says_how_much_fills() -> None:
    found = Analyzer(LINEAR, cost_notionals=(1000,)).analyze(
        book_of(LINEAR, [(200, 1.0)], [(202, 2.0), (204, 1.0)])
    )
    assert found.buy_cost[1000.0] == FillCost(None, None, 102.0, 2, 0.304)
    assert found.sell_cost[1000.0] == FillCost(None, None, 100.0, 1, 0.1)


@pytest.mark.parametrize(
    "wrong",
    [{"imbalance_levels": (0, 5)}, {"depth_bps": (-1.0,)}, {"cost_notionals": (math.inf,)}],
)
def test_parameter_not_above_zero_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=f"Expected {next(iter(wrong))} above 0"):
        Analyzer(LINEAR, **wrong)


def test_any_set_of_measures_may_be_left_out() -> None:
    book = book_of(LINEAR, [(200, 1.0)], [(202, 2.0)])
    found = Analyzer(LINEAR, imbalance_levels=(), depth_bps=(), cost_notionals=()).analyze(book)
    assert found.mid == 100.5
    assert found.imbalance == found.bid_depth == found.buy_cost == {}


# ---- published cases and recordings


def test_published_cases(data_dir: Path) -> None:
    cases = json.loads((data_dir / "analysis/book_metrics_orderbook_rs.json").read_text())["cases"]
    unit = Instrument(
        symbol="A-B-SPOT",
        exchange="test",
        venue_symbol="AB",
        tick_size=Decimal(1),
        lot_size=Decimal(1),
    )
    assert len(cases) == 11
    for case in cases:
        bids, asks = case["bids"], case["asks"]
        book = book_of(unit, bids, asks)
        levels = [int(k) for k in case.get("imbalance", {"1": 0})]
        found = Analyzer(unit, imbalance_levels=levels).analyze(book)
        if "spread_absolute" in case:
            assert found.spread == case["spread_absolute"]
        if case.get("spread_bps") is not None:
            assert found.spread_bps == pytest.approx(case["spread_bps"], abs=case["spread_bps_tol"])
        if case.get("micro_price") is not None:
            assert found.weighted_mid == pytest.approx(case["micro_price"], rel=1e-12)
        if "mid" in case:
            assert found.mid == case["mid"]
        for k, value in case.get("imbalance", {}).items():
            if bids and asks:
                assert found.imbalance[int(k)] == pytest.approx(value, rel=1e-12)
            else:  # the source prints 0 for what is unknown
                assert found.imbalance.get(int(k)) is None
        for side, name in ((Side.ASK, "vwap_buy"), (Side.BID, "vwap_sell")):
            for quantity, value in case.get(name, {}).items():
                vwap = vwap_of_quantity(book, side, float(quantity))
                assert vwap == (value if value is None else pytest.approx(value, rel=1e-12))


def test_inverse_vwap_of_quantity_is_in_base_units() -> None:
    book = book_of(INVERSE, [], [(1000, 1.0), (2000, 4.0)])  # 1 base at 100, 2 base at 200
    assert vwap_of_quantity(book, Side.ASK, 2.0) == pytest.approx(150.0)
    assert vwap_of_quantity(book, Side.ASK, 3.5) is None


REFERENCE = {
    "perpetual": (
        {
            "touch": (61800.2, 2.909, 61800.3, 1.072),
            1.0: (1597343.4771, 189052.6153),
            10.0: (8189103.4572, 7969671.6705),
            "cost": {1e4: 0.0161811643, 1e5: 0.151586410, 1e6: 1.64185822, 5e6: 7.26181227},
        },
        {
            "touch": (61659.7, 1.486, 61659.8, 0.981),
            1.0: (635322.6163, 585031.3599),
            10.0: (6484666.1630, 7224056.0972),
            "cost": {1e4: 0.0162180353, 1e5: 0.0497114407},
        },
    ),
    "spot": (
        {
            "touch": (61837.63, 3.78826, 61837.64, 1.6052),
            1.0: (426960.347098, 139179.2923427),
            10.0: (2943314.0787058, 3067370.3601502),
            "cost": {1e4: 0.00161713815, 1e5: 0.00214772202, 1e6: 3.80995564, 5e6: 17.5988046},
        },
        {
            "touch": (61685.99, 1.0087, 61686.0, 2.29327),
            1.0: (857456.9153675, 275283.8285725),
            10.0: (2315962.6139056, 2947552.6027024),
            "cost": {1e4: 0.00162111351, 1e5: 0.0238942901, 1e6: 2.87364868},
        },
    ),
}


@pytest.mark.parametrize("name", ["perpetual", "spot"])
def test_reference_values_of_the_recordings(data_dir: Path, name: str) -> None:
    recording = getattr(captures, name)(data_dir)
    analyzer = Analyzer(recording.instrument, cost_notionals=(1e4, 1e5, 1e6, 5e6))
    book = L2Book(recording.instrument)
    for events, expected in zip(
        _first_message_and_rest(recording.events), REFERENCE[name], strict=True
    ):
        book.apply(events)
        found = analyzer.analyze(book)
        touch = (
            found.best_bid, found.best_bid_quantity, found.best_ask, found.best_ask_quantity
        )  # fmt: skip
        assert touch == expected["touch"]
        for bps in (1.0, 10.0):
            both = found.bid_depth[bps].notional, found.ask_depth[bps].notional
            assert both == pytest.approx(expected[bps], rel=1e-8)
        for notional, round_trip in expected["cost"].items():
            buy = found.buy_cost[notional].slippage_bps
            sell = found.sell_cost[notional].slippage_bps
            assert buy is not None
            assert sell is not None
            # Exact fractions agree with ours to 1e-12 bps; the printed digits are rounded sums.
            assert buy + sell == pytest.approx(round_trip, rel=1e-8, abs=1e-9)


def _first_message_and_rest(events: EventArray) -> tuple[EventArray, EventArray]:
    depth_ends = np.flatnonzero((events["kind"] == Kind.DEPTH) & (events["flags"] != 0))
    at = int(depth_ends[0]) + 1
    return events[:at], events[at:]

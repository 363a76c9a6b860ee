"""The risk record of a market: bins of a book, their reach, and what the record says of it."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alphaplus.analysis import market_risk as risk
from alphaplus.analysis.book_levels import BookLevels
from alphaplus.analysis.market_risk import (
    BINS,
    DISTANCES,
    FIGURES,
    LADDERS,
    LEVEL_DISTANCES,
    binned_quantities,
    blank_market_risk,
    book_prices,
    ladder,
    level_prices,
)
from alphaplus.events import Flag, Kind, Side, event
from tests.analysis.planted_books import START, book_of, instrument_of
from tests.analysis.test_market import SECOND, levels, synced

quantities = st.floats(0.001, 1e6)
offsets = st.dictionaries(st.integers(1, 30_000), quantities, min_size=1, max_size=60)


def naive_bins(book: BookLevels, side: Side) -> list[float]:
    """Plain Python: each level looks for its own bin."""
    instrument = book.instrument
    chosen = book.bids if side is Side.BID else book.asks
    bins = [0.0] * BINS
    for tick, quantity in zip(chosen.ticks.tolist(), chosen.quantities.tolist(), strict=True):
        price = instrument.price(tick)
        distance = abs(price / book.mid - 1)
        if distance > DISTANCES[-1]:
            continue
        at = next(i for i, edge in enumerate(DISTANCES) if distance <= edge)
        amount = quantity * instrument.contract_size
        bins[at] += amount / price if instrument.inverse else amount
    return bins


@given(below=offsets, above=offsets, inverse=st.booleans())
def test_bins_equal_a_plain_search_for_each_level(
    below: dict[int, float], above: dict[int, float], inverse: bool
) -> None:
    instrument = instrument_of("0.1", size=100.0 if inverse else 0.01, inverse=inverse)
    at = 100_000
    book = book_of(
        instrument,
        START,
        [(at - offset, quantity) for offset, quantity in below.items()],
        [(at + offset, quantity) for offset, quantity in above.items()],
    )
    bids, asks = binned_quantities(book)
    assert bids == pytest.approx(naive_bins(book, Side.BID), rel=1e-12)
    assert asks == pytest.approx(naive_bins(book, Side.ASK), rel=1e-12)


def test_levels_beyond_what_is_complete_count_and_reach_says_so() -> None:
    instrument = instrument_of("0.01")
    book = book_of(
        instrument,
        START,
        [(9_990, 1.0), (9_900, 5.0)],
        [(10_010, 2.0), (10_100, 7.0)],
        known=(9_950, 10_050),
    )
    bids, asks = binned_quantities(book)
    assert bids.sum() == 6.0
    assert asks.sum() == 9.0
    assert risk.reach(book, book.bids, -1.0) == pytest.approx(0.005)
    assert risk.reach(book, book.asks, 1.0) == pytest.approx(0.005)


def test_side_known_to_its_end_reaches_without_end() -> None:
    book = book_of(instrument_of(), START, [(99, 1.0)], [(101, 1.0)], known=(-(2**63), 2**63 - 1))
    assert risk.reach(book, book.bids, -1.0) == math.inf
    assert risk.reach(book, book.asks, 1.0) == math.inf


def test_inverse_contracts_become_base_units_at_the_price_of_their_level() -> None:
    instrument = instrument_of("1", size=100.0, inverse=True)
    book = book_of(instrument, START, [(990, 10.0)], [(1_010, 10.0)])
    bids, asks = binned_quantities(book)
    assert bids.sum() == pytest.approx(1000 / 990)
    assert asks.sum() == pytest.approx(1000 / 1010)


def test_blank_record_knows_nothing() -> None:
    row = blank_market_risk()[0]
    assert all(math.isnan(row[name]) for name in FIGURES)
    assert all(np.isnan(row[name]).all() for name in LADDERS)
    assert ladder(row) is None
    assert book_prices(row) is None
    assert level_prices(row) is None


def test_book_prices_reach_as_far_as_the_book_is_known() -> None:
    row = blank_market_risk()[0]
    row["mid"], row["bid_reach"], row["ask_reach"] = 100.0, 0.01, math.inf
    row["bid_quantity"] = row["ask_quantity"] = 0.0
    row["bid_quantity"][5] = 3.0
    found = book_prices(row)
    assert found is not None
    (bids, held), (asks, _) = found
    assert bids[-1] == pytest.approx(100 * (1 - DISTANCES[DISTANCES <= 0.01][-1]))
    assert held.sum() == 3.0
    assert len(asks) == BINS


def test_level_prices_stand_inside_their_bins_on_their_side_of_the_mark() -> None:
    row = blank_market_risk()[0]
    row["mark_price"] = 200.0
    row["long_level_quantity"] = row["short_level_quantity"] = np.arange(BINS, dtype=float)
    found = level_prices(row)
    assert found is not None
    (longs, _), (shorts, quantity) = found
    outer = LEVEL_DISTANCES
    assert (longs[:-1] >= 200 * (1 - outer[:-1])).all()
    assert (shorts[:-1] <= 200 * (1 + outer[:-1])).all()
    assert (np.diff(longs) < 0).all()
    assert (np.diff(shorts) > 0).all()
    assert quantity.sum() == BINS * (BINS - 1) / 2


def test_record_tells_a_fresh_book_and_withholds_a_stale_one() -> None:
    made = synced()
    made.apply(levels((Side.BID, 999, 1e5), at=SECOND, sequence=2))
    fresh = risk.market_risk(made, SECOND)[0]
    assert fresh["mid"] == pytest.approx(100.05)
    assert fresh["bid_quantity"].sum() == 100_002.0
    assert fresh["ask_quantity"].sum() == 1.0
    assert (fresh["exchange"], fresh["symbol"]) == ("binance", "BTC-USDT-PERP")
    assert fresh["liquidity_score_bid"] > fresh["liquidity_score_ask"] == 0  # cannot fill 100 k
    assert math.isnan(fresh["liquidity_score"])  # no volume was told
    assert np.isnan(fresh["long_level_quantity"]).all()
    stale = risk.market_risk(made, 60 * SECOND)[0]
    assert math.isnan(stale["mid"])
    assert np.isnan(stale["bid_quantity"]).all()
    assert math.isnan(stale["liquidity_score_bid"])


def test_record_tells_marks_volumes_and_levels_as_they_are() -> None:
    made = synced()
    made.apply(event(Kind.MARK_PRICE, ts_recv=SECOND, value=101.0))
    told = event(Kind.VOLUME_24H, ts_recv=SECOND, value=7.0, flags=Flag(0))
    made.apply(np.concatenate((told, event(Kind.TURNOVER_24H, ts_recv=SECOND, value=700.0))))
    longs, shorts = np.arange(BINS, dtype=float), np.ones(BINS)
    row = risk.market_risk(made, SECOND, (longs, shorts))[0]
    assert row["mark_price"] == 101.0
    assert row["liquidity_score"] == 0
    assert (row["volume_24h"], row["turnover_24h"]) == (7.0, 700.0)
    assert row["long_level_quantity"].tolist() == longs.tolist()
    assert row["short_level_quantity"].tolist() == shorts.tolist()


def test_volatility_is_of_the_longest_half_life_that_is_covered() -> None:
    made = synced()
    assert math.isnan(risk.market_risk(made, SECOND)[0]["sigma_per_sqrt_hour"])
    for second in range(1, 700):
        at, odd = second * SECOND, second % 2
        asks = (Side.ASK, 1001, float(1 - odd)), (Side.ASK, 1003, 1.0)
        made.apply(levels(*asks, at=at, sequence=second + 1))
        row = risk.market_risk(made, at)[0]
        if second == 100:
            assert row["sigma_half_life_s"] == 60
    assert row["sigma_half_life_s"] == 600
    step = math.log(100.15 / 100.05)
    assert row["sigma_per_sqrt_hour"] == pytest.approx(step * 60, rel=0.01)

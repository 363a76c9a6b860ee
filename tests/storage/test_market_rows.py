"""Rows of a market: every column is filled by a measure that there is."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from alphaplus.analysis import views
from alphaplus.analysis.analyzer import Analyzer
from alphaplus.analysis.market import Market
from alphaplus.analysis.order_book import order_book_deltas
from alphaplus.analysis.registry import MeasureParameters
from alphaplus.events import EventArray, Side, empty_events
from alphaplus.storage.depth_columns import MEASURED, TOUCH
from alphaplus.storage.market_rows import MarketRows
from alphaplus.storage.tables import TABLES, TableBatch
from tests.analysis.capture_tapes import capture_stream
from tests.book.events import INSTRUMENT, message, snapshot

SECOND = 1_000_000_000


def fed(events: EventArray) -> tuple[Market, MarketRows]:
    parameters = MeasureParameters(volume_bucket=0.05)
    market = Market(INSTRUMENT, Analyzer(INSTRUMENT, parameters), stale_after_ms=1e4)
    rows = MarketRows(
        market,
        deltas=True,
        snapshot_depth=20,
        flush_ms=500.0,
        snapshot_interval_ms=1000.0,
        analysis_interval_ms=1000.0,
    )
    market.apply(events)
    rows.add(events)
    return market, rows


@pytest.mark.parametrize("column", MEASURED)
def test_the_measure_of_a_column_has_the_value_that_fills_it(column: str) -> None:
    market, _ = fed(empty_events())
    name, key, *_ = MEASURED[column]
    assert key in views.values_of(market.analyzer, name), column


def test_level_updates_are_stored_as_the_deltas_that_they_are() -> None:
    events = np.concatenate(
        (
            snapshot([(Side.BID, 1000, 2.0), (Side.ASK, 1001, 1.0)], 1, SECOND),
            message([(Side.BID, 0, 0.0)], 2, 2 * SECOND),
            message([(Side.BID, 999, 1.5), (Side.ASK, 1001, 0.0)], 3, 3 * SECOND),
        )
    )
    market, rows = fed(events)
    stored = {batch.table: batch.rows for batch in rows.take_all(0)}["order_book_deltas"]
    deltas = order_book_deltas(market.instrument, events)
    assert len(deltas) == len(stored) == 4
    for delta, row in zip(deltas, stored, strict=True):
        assert (delta.timestamp, delta.sequence) == (row["time"], row["seq"])
        assert (delta.price, delta.quantity) == (row["price"], row["qty"])
        assert (delta.side is Side.ASK, delta.is_snapshot) == (row["side"], row["is_snapshot"])


def test_turns_come_at_their_own_places_and_together_where_they_can() -> None:
    _, rows = fed(synced := snapshot([(Side.BID, 1000, 2.0), (Side.ASK, 1001, 1.0)], 1, SECOND))
    seen: dict[str, list[int]] = {}
    for now in range(2 * SECOND, 5 * SECOND, 10_000_000):
        rows.add(synced)
        for batch in rows.take(now):
            seen.setdefault(batch.table, []).append(now)
        assert rows.due > now - 20_000_000 or now < 2 * SECOND + 30_000_000
    assert {name: len(times) for name, times in seen.items()} == {
        "order_book_deltas": 7,  # the first at once, then every half second
        "enhanced_order_book_snapshots": 1,  # the book has not changed since
        "market_depth_analysis": 1,
    }
    times = seen["order_book_deltas"]
    assert {late - early for early, late in pairwise(times[1:])} == {SECOND // 2}
    assert {tuple(found) for name, found in seen.items() if name != "order_book_deltas"} == {
        (2 * SECOND,)
    }


def test_a_recording_fills_snapshots_and_measures(data_dir: Path) -> None:
    events = capture_stream(data_dir, "perp").events
    market, rows = fed(events)
    batches = {batch.table: batch.rows for batch in rows.take_all(SECOND)}
    measured = batches["market_depth_analysis"][0]
    late = {"liquidity_score", "ewma_volatility_annual_600s"}
    unknown = {name for name in (*TOUCH, *MEASURED) if np.isnan(measured[name])}
    assert unknown <= late | {"bid_half_life_s", "ask_half_life_s"}
    found = views.analyze(market)
    assert measured["mid"] == found.mid
    assert measured["vpin"] == found.value("vpin", "vpin")
    assert measured["bid_depth_10_bps"] == found.value("depth", "10", "bid")
    assert measured["sell_slippage_bps_1m"] == found.value(
        "cost", "1000000", "sell", "slippage_bps"
    )
    snapshot = batches["enhanced_order_book_snapshots"][0]
    assert (snapshot["bid_levels"], snapshot["ask_levels"], snapshot["depth"]) == (20, 20, 20)
    assert snapshot["liquidity_score"] == found.value("liquidity_score", "score_book")
    assert snapshot["order_flow_toxicity"] == measured["vpin"]
    assert snapshot["depth_pressure"] == measured["depth_pressure_5s"]
    assert len(batches["market_trades"]) == 21_313


def test_rows_that_others_made_go_with_the_events() -> None:
    _, rows = fed(snapshot([(Side.BID, 1000, 2.0), (Side.ASK, 1001, 1.0)], 1, SECOND))
    made = TableBatch("open_interest", "binance", "X-Y-PERP", TABLES["open_interest"].rows(1))
    rows.keep([made])
    assert [batch.table for batch in rows.take_all(SECOND)][:2] == [
        "open_interest",
        "order_book_deltas",
    ]
    rows.keep([made])
    assert [batch.table for batch in rows.take_all(2 * SECOND)] == ["open_interest"]

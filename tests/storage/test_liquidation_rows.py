"""Rows of the liquidation map: what they hold, and that the same map makes the same rows."""

import json

import numpy as np
import pytest

from alphaplus.errors import StorageError
from alphaplus.leverage.liquidation_level import LiquidationLevel, PositionSide
from alphaplus.leverage.liquidation_tracker import MapSnapshot
from alphaplus.leverage.map_assumptions import MODEL, MapAssumptions
from alphaplus.storage.liquidation_rows import LiquidationRows, assumptions_row, levels_row
from alphaplus.storage.tables import MIN_TIME_NS, TableBatch
from alphaplus.storage.writer import Writer
from tests.leverage.map_cases import assumptions, tiers

T0 = 1_723_118_400 * 10**9


def level(side: PositionSide, price: float, quantity: float) -> LiquidationLevel:
    return LiquidationLevel(
        symbol="BTC-USDT-PERP",
        exchange="binance",
        price_level=price,
        side=side,
        quantity=quantity,
        timestamp=T0,
        risk_score=0.5,
        distance_from_price=price / 100.0 - 1.0,
    )


def snapshot(assumed: MapAssumptions | None = None, ts_event: int = T0) -> MapSnapshot:
    levels = (level("long", 95.0, 2.0), level("short", 110.0, 3.0), level("long", 80.0, 1.0))
    return MapSnapshot(
        ts_event=ts_event, mark_price=100.0, assumptions=assumed or assumptions(), levels=levels
    )


def test_row_holds_both_sides_nearest_first_in_quote_currency() -> None:
    batch = levels_row(snapshot(), T0 + 5)
    row = batch.rows[0]
    assert (batch.exchange, batch.symbol) == ("binance", "BTC-USDT-PERP")
    assert (row["time"], row["recv_time"], row["model_id"]) == (T0, T0 + 5, MODEL)
    assert (row["long_levels"], row["short_levels"]) == (2, 1)
    assert row["long_px"][:2].tolist() == [95.0, 80.0]
    assert row["long_usd"][:2].tolist() == [190.0, 80.0]
    assert row["short_usd"][:1].tolist() == [330.0]
    assert np.isnan(row["short_px"][1:]).all()


def test_assumptions_are_told_when_they_change_and_by_their_own_id() -> None:
    first, other = assumptions(), assumptions(tiers=tiers(50.0))
    rows = LiquidationRows().rows_of([snapshot(first), snapshot(first), snapshot(other)], T0)
    assert [batch.table.removeprefix("liquidation_") for batch in rows] == [
        "assumptions",
        "levels",
        "levels",
        "assumptions",
        "levels",
    ]
    assert rows[0].rows["id"][0] == rows[1].rows["assumptions_id"][0] == first.id
    assert json.loads(bytes(rows[3].rows["assumptions"][0])) == other.fixed()


def test_row_of_an_id_is_the_same_at_any_time() -> None:
    key = [
        (row["time"][0], row["id"][0], row["hash"][0], row["assumptions"][0])
        for row in (assumptions_row(assumptions(), now).rows for now in (T0, 2 * T0))
    ]
    assert key[0] == key[1]
    assert key[0][0] == MIN_TIME_NS  # these tiers hold since ever


def test_assumptions_that_do_not_fit_are_refused_not_cut() -> None:
    prior = tuple((1.0 + k / 1000, 1 / 400) for k in range(400))
    with pytest.raises(StorageError, match="shorten the prior"):
        assumptions_row(assumptions(prior=prior), T0)


@pytest.mark.db
async def test_written_twice_they_are_stored_once_and_read_as_levels(dsn, connection, tmp_path):
    made = LiquidationRows().rows_of([snapshot(), snapshot(ts_event=T0 + 60 * 10**9)], T0)
    again = LiquidationRows().rows_of([snapshot()], T0 + 1)
    async with Writer(dsn, tmp_path) as writer:
        for batches in (made, again):
            await writer.accept(batches)
            await writer.drain()
    stored = await connection.fetch("SELECT id, hash, assumptions FROM liquidation_assumptions")
    assert [row["id"] for row in stored] == [assumptions().id]
    assert json.loads(stored[0]["assumptions"]) == assumptions().fixed()
    points = await connection.fetch(
        "SELECT price_level, side, quantity, risk_score, distance_from_price "
        "FROM liquidation_level_points ORDER BY time, price_level"
    )
    assert len(points) == 6
    assert [round(row["quantity"], 9) for row in points[:3]] == [1.0, 2.0, 3.0]
    assert points[1]["distance_from_price"] == pytest.approx(-0.05)
    assert sum(row["risk_score"] for row in points[:3]) == pytest.approx(1.0)


def test_batches_of_a_map_survive_the_spool() -> None:
    for batch in LiquidationRows().rows_of([snapshot()], T0):
        assert TableBatch.from_bytes(batch.to_bytes()).rows.tobytes() == batch.rows.tobytes()

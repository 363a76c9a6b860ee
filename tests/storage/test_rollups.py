"""Minutes of trades and measures: the same numbers on each flavour, as computed by hand."""

import numpy as np
import pytest

from alphaplus.errors import StorageError
from alphaplus.storage.archive.block import pack_all
from alphaplus.storage.archive.blocks import insert_blocks
from alphaplus.storage.queries import to_datetime
from alphaplus.storage.rollups import fill_rollups
from alphaplus.storage.tables import MAX_TIME_NS, MIN_TIME_NS
from alphaplus.storage.writer import Writer
from tests.storage.rows import T0, batch

pytestmark = pytest.mark.db

MINUTE = 60 * 10**9
ALL = {"start_ns": MIN_TIME_NS, "end_ns": MAX_TIME_NS}


def trades(count, start=0):
    """One every second; price and quantity are small whole numbers."""
    made = batch("market_trades", count, start)
    number = made.rows["trade_id"]
    made.rows["time"] = T0 + number * 10**9
    made.rows["price"] = 100 + number * 7 % 13
    made.rows["qty"] = 1 + number % 3
    return made


async def write(dsn, folder, *batches):
    async with Writer(dsn, folder) as writer:
        await writer.accept(batches)
        await writer.drain()


async def minutes(connection, table):
    return await connection.fetch(f"SELECT * FROM {table} ORDER BY exchange, symbol, time")


async def test_minutes_of_trades_are_their_sums(dsn, connection, tmp_path):
    sent = trades(150)
    await write(dsn, tmp_path, sent, trades(10, 1000))
    await fill_rollups(connection, **ALL)
    got = await minutes(connection, "market_trades_1m")
    assert [row["trades"] for row in got] == [60, 60, 30, 10]
    assert got[1]["time"] == to_datetime(T0 + MINUTE)
    for at, row in enumerate(got[:3]):
        own = sent.rows[60 * at : 60 * at + 60]
        assert (row["open"], row["close"]) == (own["price"][0], own["price"][-1])
        assert (row["high"], row["low"]) == (own["price"].max(), own["price"].min())
        assert row["volume"] == own["qty"].sum()
        assert row["buy_volume"] == own["qty"][own["side"] == 0].sum()
        assert row["vwap"] == pytest.approx(np.average(own["price"], weights=own["qty"]), rel=1e-12)
    assert {(row["exchange"], row["symbol"]) for row in got} == {("binance", "BTC-USDT-PERP")}


async def test_late_rows_change_their_minute_and_no_other(dsn, connection, tmp_path):
    await write(dsn, tmp_path, trades(120))
    await fill_rollups(connection, **ALL)
    before = await minutes(connection, "market_trades_1m")
    late = trades(1, 500)
    late.rows["time"] = T0 + 30 * 10**9 + 5000
    await write(dsn, tmp_path, late)
    await fill_rollups(connection, **ALL)
    first, second = await minutes(connection, "market_trades_1m")
    assert (first["trades"], second) == (61, before[1])


async def test_minutes_of_measures_and_what_no_reading_knows(dsn, connection, tmp_path):
    sent = batch("market_depth_analysis", 90)
    sent.rows["time"] = T0 + np.arange(90) * 10**9
    sent.rows["mid"] = np.where(np.arange(90) == 89, np.nan, 100 + np.arange(90))
    sent.rows["vpin"][:60] = np.nan
    sent.rows["vpin"][60:] = 0.25
    await write(dsn, tmp_path, sent)
    await fill_rollups(connection, **ALL)
    first, second = await minutes(connection, "market_depth_analysis_1m")
    assert (first["readings"], second["readings"]) == (60, 30)
    assert (first["mid_min"], first["mid_max"], first["mid_last"]) == (100, 159, 159)
    assert (second["mid_mean"], second["mid_last"]) == (174.0, 188)
    assert (first["vpin_mean"], second["vpin_mean"]) == (None, 0.25)


@pytest.mark.native
async def test_maintenance_fills_whole_minutes_from_where_it_was(dsn, connection, tmp_path):
    fill = "SELECT ap_fill_rollups($1)"
    assert await connection.fetchval(fill, to_datetime(T0)) == 0
    await write(dsn, tmp_path, trades(90))
    assert await connection.fetchval(fill, to_datetime(T0 + 90 * 10**9)) == 1, "one is not over"
    await write(dsn, tmp_path, trades(90, 90))
    assert await connection.fetchval(fill, to_datetime(T0 + 200 * 10**9)) == 3
    got = await minutes(connection, "market_trades_1m")
    assert [row["trades"] for row in got] == [60, 60, 60]


@pytest.mark.native
async def test_minutes_of_archived_rows_stay(dsn, connection, tmp_path):
    await write(dsn, tmp_path, trades(60))
    await fill_rollups(connection, **ALL)
    before = await minutes(connection, "market_trades_1m")
    await connection.execute("DELETE FROM market_trades")
    await insert_blocks(connection, list(pack_all(trades(60))), to_datetime(T0))
    await write(dsn, tmp_path, trades(1, 5))
    await fill_rollups(connection, **ALL)
    assert await minutes(connection, "market_trades_1m") == before


async def test_a_reversed_range_is_refused(connection):
    with pytest.raises(StorageError, match="from its start to its end"):
        await fill_rollups(connection, start_ns=T0, end_ns=T0)

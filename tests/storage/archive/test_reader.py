"""Reading the archive: by instrument, in key order, cut to a range."""

import numpy as np
import pytest

from alphaplus.errors import StorageError
from alphaplus.storage.archive.block import pack, pack_all
from alphaplus.storage.archive.blocks import insert_blocks
from alphaplus.storage.archive.reader import archived_batches, archived_rows
from alphaplus.storage.queries import to_datetime
from alphaplus.storage.tables import MAX_TIME_NS, MIN_TIME_NS, TABLES
from tests.storage.rows import T0, batch

pytestmark = pytest.mark.db

HOUR = 3600 * 10**9
TABLE = "order_book_deltas"


async def put(connection, sent, *, rows_a_block=None):
    """Archive a batch by hours, as maintenance does."""
    hours = sent.rows["time"] // HOUR
    for hour in np.unique(hours):
        part = type(sent)(sent.table, sent.exchange, sent.symbol, sent.rows[hours == hour])
        if rows_a_block is None:
            blocks = list(pack_all(part))
        else:
            size = sent.spec.dtype.itemsize * rows_a_block
            blocks = [pack(piece) for piece in part.pieces(size)]
        await insert_blocks(connection, blocks, to_datetime(int(hour) * HOUR))


async def collect(connection, table=TABLE, exchange="binance", symbol="BTC-USDT-PERP", **span):
    span = {"start_ns": MIN_TIME_NS, "end_ns": MAX_TIME_NS} | span
    found = archived_rows(connection, table, exchange=exchange, symbol=symbol, **span)
    parts = [part async for part in found]
    return np.concatenate(parts) if parts else TABLES[table].rows(0)


@pytest.mark.parametrize("table", TABLES)
async def test_rows_of_every_table_come_back(connection, table):
    sent = batch(table, 40).floored()
    await put(connection, sent, rows_a_block=15)
    got = await collect(connection, table)
    for column in sent.spec.stored:
        if not column.count:
            assert got[column.name].tobytes() == sent.rows[column.name].tobytes(), column.name


async def test_ranges_are_cut_to_the_row_and_cross_hours(connection):
    sent = batch(TABLE, 600).floored()
    sent.rows["time"] = T0 + np.arange(600) * 30 * 10**9  # five hours
    await put(connection, sent, rows_a_block=50)
    assert (await collect(connection)).tobytes() == sent.rows.tobytes()
    for start, end in ((0, 600), (119, 121), (120, 240), (77, 78), (300, 599), (599, 600)):
        times = sent.rows["time"]
        span = {"start_ns": int(times[start]), "end_ns": int(times[end - 1]) + 1000}
        assert (await collect(connection, **span)).tobytes() == sent.rows[start:end].tobytes()
    assert len(await collect(connection, start_ns=T0 - HOUR, end_ns=T0)) == 0
    after = int(sent.rows["time"][-1]) + 1000
    assert len(await collect(connection, start_ns=after, end_ns=after + HOUR)) == 0


async def test_instruments_come_one_after_another_and_can_be_chosen(connection):
    for symbol in ("ETH-USDT-PERP", "BTC-USDT-PERP"):
        await put(connection, batch(TABLE, 30, symbol=symbol).floored(), rows_a_block=10)
    found = archived_batches(
        connection, TABLE, exchange=None, symbol=None, start_ns=MIN_TIME_NS, end_ns=MAX_TIME_NS
    )
    names = [(part.exchange, part.symbol) async for part in found]
    assert names == [("binance", "BTC-USDT-PERP")] * 3 + [("binance", "ETH-USDT-PERP")] * 3
    assert len(await collect(connection, exchange=None)) == 30
    assert len(await collect(connection, exchange="okx")) == 0
    assert len(await collect(connection, symbol=None)) == 60
    assert len(await collect(connection, table="market_trades")) == 0


async def test_damage_in_the_database_is_an_error(connection):
    await put(connection, batch(TABLE, 30).floored())
    await connection.execute(
        "UPDATE archive_blocks SET payload = set_byte(payload, 20, 255 - get_byte(payload, 20))"
    )
    with pytest.raises(StorageError, match=r"damaged; restore archive_blocks from a backup"):
        await collect(connection)


async def test_what_is_no_range_and_no_table_is_refused(connection):
    with pytest.raises(StorageError, match="range of time"):
        await collect(connection, start_ns=T0, end_ns=T0)
    with pytest.raises(StorageError, match="no table 'nothing'"):
        await collect(connection, symbol=None, table="nothing")


async def test_payloads_are_stored_as_they_are(connection):
    stored = await connection.fetchval(
        "SELECT attstorage FROM pg_attribute "
        "WHERE attrelid = 'archive_blocks'::regclass AND attname = 'payload'"
    )
    assert stored == b"e"

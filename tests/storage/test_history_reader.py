"""Reading stored rows in pages and as a stream."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alphaplus.errors import StorageError
from alphaplus.storage import history_reader
from alphaplus.storage.archive.block import pack
from alphaplus.storage.archive.blocks import insert_blocks
from alphaplus.storage.archive.move import Partition, move_partition
from alphaplus.storage.connection import connect
from alphaplus.storage.copy_rows import decode, layout_of
from alphaplus.storage.history_query import Cursor, HistoryQuery
from alphaplus.storage.history_reader import read_page, stream_rows
from alphaplus.storage.newest_stored import newest_records
from alphaplus.storage.queries import to_datetime
from alphaplus.storage.row_order import after, key_of, merged, order_of
from alphaplus.storage.series import Extent, extent
from alphaplus.storage.series_reader import SeriesReader
from alphaplus.storage.tables import NAT, TABLES, TableBatch, Type
from alphaplus.storage.writer import Writer
from tests.storage.rows import T0, batch, rows

pytestmark = pytest.mark.db

SYMBOLS = ("BTC-USDT-PERP", "ETH-USDT-PERP", "SOL-USDT-PERP")


async def store(dsn, folder, *batches):
    async with Writer(dsn, folder / "spool") as writer:
        await writer.accept(batches)
        await writer.drain()


def same_time(table, count, start=0):
    """Rows of which several share a time, so that the rest of the key matters."""
    made = rows(table, count, start)
    made["time"] = T0 + (np.arange(start, start + count) // 7) * 1_000_000
    return made


async def everything(connection, query, limit):
    """All pages of a query: (exchange, symbol, key) of each row, and how many pages."""
    found, pages, cursor = [], 0, None
    while True:
        page = await read_page(connection, query, limit, cursor)
        for piece in page.pieces:
            found += [
                (piece.exchange, piece.symbol, *key_of(piece.rows, at, query.spec))
                for at in range(len(piece))
            ]
        pages += 1
        assert len(page) <= limit
        if page.next is None:
            return found, pages
        assert len(page) == limit
        cursor = Cursor.from_text(page.next.to_text(query), query)


@pytest.mark.parametrize("table", TABLES)
async def test_every_table_reads_back_as_it_was_written(dsn, connection, tmp_path, table):
    spec = TABLES[table]
    written = rows(table, 40)
    for column in spec.columns:
        if column.nullable and column.type in (Type.FLOAT8, Type.TIME, Type.TEXT):
            written[column.name][::3] = spec.blank[column.name]
        if column.type is Type.COUNT:
            written[column.name][:3] = [0, 1, next(c.width for c in spec.columns if c.count)]
    await store(dsn, tmp_path, TableBatch(table, "binance", SYMBOLS[0], written))
    query = HistoryQuery(table=table, exchange="binance", symbols=(SYMBOLS[0],))
    page = await read_page(connection, query, 100)
    (piece,) = page.pieces
    order = np.lexsort([written[name] for name in reversed(order_of(spec))])
    written = written[order]
    for column in spec.columns:
        got, want = piece.rows[column.name], written[column.name]
        if column.type is Type.FLOAT8_ARRAY:
            meant = np.arange(column.width) < written[column.count][:, None]
            assert np.array_equal(got[meant].view("i8"), want[meant].view("i8"))
            assert np.isnan(got[~meant]).all()
        elif column.type is Type.JSON:
            assert [text.replace(b" ", b"") for text in got] == [
                text.replace(b" ", b"") for text in want
            ]
        elif column.type is Type.FLOAT8:
            assert np.array_equal(got, want, equal_nan=True)
        else:
            assert np.array_equal(got, want), column.name
    assert piece.rows["time"].dtype == np.int64
    assert not (piece.rows["time"] == NAT).any()


async def test_names_of_any_kind_are_quoted(dsn, connection, tmp_path):
    names = ["it's", "back\\slash'", "$1", "a b", "é", "'; DROP TABLE trades; --", "\\"]
    table = "enhanced_funding_rates"
    made = rows(table, 8)
    made["time"] = T0
    made["kind"] = sorted(name.encode()[:16] for name in [*names, "z"])
    await store(dsn, tmp_path, *(TableBatch(table, name, name, made) for name in names))
    for name in names:
        query = HistoryQuery(table=table, exchange=name, symbols=(name,))
        found, _ = await everything(connection, query, 3)
        kinds = [kind for *_, kind in found]
        assert [kind.encode() for kind in kinds] == made["kind"].tolist()


@pytest.mark.parametrize("table", ["order_book_deltas", "candles", "trades"])
@pytest.mark.parametrize("limit", [1, 3, 7, 50, 1000])
async def test_pages_of_any_size_hold_every_row_once(dsn, connection, tmp_path, table, limit):
    batches = [
        TableBatch(table, exchange, symbol, same_time(table, count))
        for exchange, symbol, count in [
            ("binance", SYMBOLS[1], 30),
            ("binance", SYMBOLS[0], 21),
            ("okx", SYMBOLS[0], 15),
        ]
    ]
    await store(dsn, tmp_path, *batches)
    found, pages = await everything(connection, HistoryQuery(table=table), limit)
    wanted = [
        (item.exchange, item.symbol, *key_of(item.rows, at, item.spec))
        for item in batches
        for at in range(len(item))
    ]
    assert found == sorted(wanted)
    assert pages == -(-len(wanted) // limit)
    one = HistoryQuery(table=table, symbols=(SYMBOLS[0],), exchange="okx")
    assert (await everything(connection, one, limit))[0] == sorted(wanted)[-15:]


HOUR = 3600 * 10**9


async def archive(connection, sent, rows_a_block=5):
    """Put rows into the archive by hours, as maintenance does."""
    hours = sent.rows["time"] // HOUR
    for hour in np.unique(hours):
        part = TableBatch(sent.table, sent.exchange, sent.symbol, sent.rows[hours == hour])
        blocks = [pack(piece) for piece in part.pieces(sent.rows.dtype.itemsize * rows_a_block)]
        await insert_blocks(connection, blocks, to_datetime(int(hour) * HOUR))


@pytest.mark.parametrize("table", ["order_book_deltas", "enhanced_order_book_snapshots"])
@pytest.mark.parametrize("limit", [1, 4, 9, 100])
async def test_rows_of_table_and_archive_are_one(dsn, connection, tmp_path, table, limit):
    """Archived are 0 to 29 of one symbol and all of another; late ones came again, or between."""
    spec = TABLES[table]
    whole = rows(table, 60)
    whole["time"] = T0 + np.arange(60) // 7 * (HOUR // 3)
    only = rows(table, 13)
    late = whole[[3, 10, 10 + 7, 29]]
    for name in ("qty", "spread"):
        if name in spec.dtype.names:
            late[name] = 12345.0  # of rows of one key the archived one counts
    between = whole[[14]]
    archived = np.delete(whole[:30], 14)
    await archive(connection, TableBatch(table, "binance", SYMBOLS[1], archived))
    await archive(connection, TableBatch(table, "okx", SYMBOLS[2], only))
    hot = np.concatenate([late, between, whole[30:]])
    await store(dsn, tmp_path, TableBatch(table, "binance", SYMBOLS[1], hot))
    wanted = [("binance", SYMBOLS[1], *key_of(whole, at, spec)) for at in range(60)]
    wanted += [("okx", SYMBOLS[2], *key_of(only, at, spec)) for at in range(13)]
    found, _ = await everything(connection, HistoryQuery(table=table), limit)
    assert found == wanted
    query = HistoryQuery(table=table, exchange="binance", symbols=(SYMBOLS[1],))
    (piece,) = (await read_page(connection, query, 100)).pieces
    for column in spec.columns:
        if column.type is Type.FLOAT8_ARRAY:
            meant = np.arange(column.width) < whole[column.count][:, None]
            assert np.array_equal(piece.rows[column.name][meant], whole[column.name][meant])
        else:
            assert piece.rows[column.name].tobytes() == whole[column.name].tobytes()
    for count in (1, 5, 31, 45, 60, 99):
        series = ("binance", SYMBOLS[1])
        records = await newest_records(connection, table, series, count, T0 + 9 * HOUR)
        assert [record["seq"] for record in records] == whole["seq"][-count:][::-1].tolist()
        newest = await SeriesReader(connection, query, ("binance", SYMBOLS[1])).newest(count)
        assert newest["seq"].tolist() == whole["seq"][-count:].tolist()
    bounded = replace(query, start_ns=int(whole["time"][8]), end_ns=int(whole["time"][23]))
    (piece,) = (await read_page(connection, bounded, 100)).pieces
    assert piece.rows["seq"].tolist() == list(range(7, 21))
    newest = await SeriesReader(connection, bounded, ("binance", SYMBOLS[1])).newest(10)
    assert newest["seq"].tolist() == list(range(11, 21))
    times = whole["time"]
    assert await extent(connection, table) == Extent(
        oldest_ns=int(min(times[0], only["time"][0])), newest_ns=int(times[-1])
    )


@pytest.mark.native
@pytest.mark.parametrize("limit", [3, 10, 29])
async def test_partitions_that_are_archived_between_pages_change_nothing(
    dsn, connection, tmp_path, limit
):
    table = "market_trades"
    made = rows(table, 120)
    made["time"] = T0 + np.arange(120) * (HOUR // 20)  # six hours
    await store(dsn, tmp_path, TableBatch(table, "binance", SYMBOLS[0], made))
    other = await connect(dsn, write=True)
    partitions = [
        Partition(table=table, name=row["chunk_name"], start=row["from_time"], end=row["to_time"])
        for row in await other.fetch(
            "SELECT * FROM ap_chunk_stats() WHERE table_name = $1 AND from_time IS NOT NULL "
            "ORDER BY from_time DESC",
            table,
        )
    ]
    assert len(partitions) == 6
    query = HistoryQuery(table=table, end_ns=T0 + 10 * HOUR)
    ids, cursor = [], None
    while True:
        page = await read_page(connection, query, limit, cursor)
        ids += [number for piece in page.pieces for number in piece.rows["trade_id"].tolist()]
        cursor = page.next
        if cursor is None:
            break
        if partitions:  # the newest first: one is always where the next page is to begin
            await move_partition(other, partitions.pop(0))
    await other.close()
    assert ids == list(range(120))
    assert len(partitions) == max(0, 6 - (120 // limit))


async def test_range_exchange_symbols_and_columns_filter(dsn, connection, tmp_path):
    table = "market_trades"
    await store(dsn, tmp_path, *(batch(table, 20, symbol=symbol) for symbol in SYMBOLS))
    query = HistoryQuery(
        table=table,
        symbols=SYMBOLS[1:],
        start_ns=T0 + 5_000_000,
        end_ns=T0 + 8_000_000,
        columns=("symbol", "price"),
    )
    page = await read_page(connection, query, 100)
    assert [(p.symbol, len(p)) for p in page.pieces] == [(s, 3) for s in SYMBOLS[1:]]
    assert page.pieces[0].rows.dtype.names == ("time", "trade_id", "price")
    assert page.pieces[0].rows["trade_id"].tolist() == [5, 6, 7]
    assert page.next is None
    none = HistoryQuery(table=table, symbols=("NONE-USDT-PERP",))
    assert await read_page(connection, none, 5) == history_reader.Page([], None)


async def test_rows_that_arrive_between_pages_neither_shift_nor_repeat(dsn, connection, tmp_path):
    table = "market_trades"
    await store(dsn, tmp_path, batch(table, 10))
    query = HistoryQuery(table=table, end_ns=T0 + 20_000_000)
    page = await read_page(connection, query, 4)
    await store(dsn, tmp_path / "b", batch(table, 30, start=10), batch(table, 3, symbol="A"))
    ids, cursor = page.pieces[0].rows["trade_id"].tolist(), page.next
    while cursor is not None:
        page = await read_page(connection, query, 4, cursor)
        ids += page.pieces[0].rows["trade_id"].tolist()
        cursor = page.next
    assert ids == list(range(20))


async def test_stream_holds_one_piece_at_a_time(dsn, connection, tmp_path, monkeypatch):
    monkeypatch.setattr(history_reader, "MAX_PIECE_ROWS", 8)
    await store(dsn, tmp_path, batch("order_book_deltas", 30))
    query = HistoryQuery(table="order_book_deltas")
    sizes = [len(piece) async for piece in stream_rows(connection, query)]
    assert sizes == [8, 8, 8, 6]
    sizes = [len(piece) async for piece in stream_rows(connection, query, limit=11)]
    assert sizes == [8, 3]


def test_questions_that_make_no_sense_are_refused():
    for message, words in {
        "no table": {"table": "users; DROP TABLE trades"},
        "start before end": {"table": "trades", "start_ns": T0, "end_ns": T0},
        "between 2000-01-01": {"table": "trades", "start_ns": 0},
        "end between": {"table": "trades", "end_ns": 32_503_680_000 * 10**9},
        "columns of trades": {"table": "trades", "columns": ("price; --",)},
        "at most 1000 symbols": {"table": "trades", "symbols": tuple(map(str, range(1001)))},
        "1 to 255": {"table": "trades", "exchange": ""},
    }.items():
        with pytest.raises(StorageError, match=message):
            HistoryQuery(**words)


def test_cursor_is_for_its_own_question_and_whole():
    query = HistoryQuery(table="order_book_deltas", symbols=("A", "B"), end_ns=T0 + 10)
    cursor = Cursor(exchange="binance", symbol="A", key=(T0, 1, 0, 0.1 + 0.2), end_ns=T0 + 10)
    text = cursor.to_text(query)
    assert Cursor.from_text(text, query) == cursor
    other = HistoryQuery(table="order_book_deltas", symbols=("B",))
    with pytest.raises(StorageError, match="same question"):
        Cursor.from_text(text, other)
    for broken in ("", "x", "é", text[:-3], text[::-1], "W10", "bnVsbA"):
        with pytest.raises(StorageError, match="Expected a cursor"):
            Cursor.from_text(broken, query)
    for key in [(T0, 1, 0), (T0, 1, 0, float("nan")), (T0, 2**70, 0, 1.0), (0, 1, 0, 1.0)]:
        bad = Cursor(exchange="binance", symbol="A", key=key, end_ns=T0 + 10)
        with pytest.raises(StorageError, match="Expected a cursor"):
            Cursor.from_text(bad.to_text(query), query)


@given(st.binary(max_size=60))
def test_any_bytes_are_no_cursor(text):
    with pytest.raises(StorageError, match="Expected a cursor"):
        Cursor.from_text(text.decode("latin-1"), HistoryQuery(table="market_trades"))


keys = st.lists(
    st.tuples(st.integers(0, 3), st.sampled_from(["a", "b"]), st.integers(0, 2)), max_size=20
)


def funding(found):
    """Rows of a table whose key ends in text."""
    made = TABLES["candles"].rows(len(found))
    for at, (time, kind, step) in enumerate(found):
        made["time"][at], made["step_s"][at], made["kind"][at] = T0 + time, step, kind
    return made


@given(keys, keys)
def test_merged_rows_are_the_union_in_order_and_the_first_wins(first, second):
    spec = TABLES["candles"]
    one, two = (funding(sorted(set(found))) for found in (first, second))
    one["open"], two["open"] = 1.0, 2.0
    both = merged(one, two, spec)
    union = [(T0 + t, kind, s) for t, kind, s in sorted({*first, *second})]
    assert [key_of(both, at, spec) for at in range(len(both))] == union
    of_first = both[both["open"] == 1.0]
    assert {key_of(of_first, at, spec) for at in range(len(of_first))} == {
        (T0 + t, kind, s) for t, kind, s in first
    }


@given(keys, st.tuples(st.integers(0, 3), st.sampled_from("ab"), st.integers(0, 2)))
def test_rows_after_a_key_are_those_whose_tuple_is_greater(found, key):
    spec = TABLES["candles"]
    made = funding(found)
    place = (T0 + key[0], *key[1:])
    wanted = [k for k in (key_of(made, at, spec) for at in range(len(made))) if k > place]
    later = after(made, place, spec)
    assert [key_of(later, at, spec) for at in range(len(later))] == wanted


def test_stream_of_another_layout_is_refused():
    layout = layout_of("market_trades")
    with pytest.raises(StorageError, match="another layout"):
        decode(b"PGCOPY\n\xff\r\n\0" + bytes(8) + b"123" + b"\xff\xff", layout)

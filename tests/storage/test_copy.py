"""The COPY encoder: what is sent is what SELECT gives back, and what asyncpg would send."""

from datetime import datetime

import asyncpg
import numpy as np
import pytest

from alphaplus.storage import copy as copy_module
from alphaplus.storage.copy import (
    SIGNATURE,
    TRAILER,
    copy_columns,
    copy_payload,
    copy_pieces,
    encode_rows,
)
from alphaplus.storage.queries import to_ns
from alphaplus.storage.tables import NAT, TABLES, TableBatch, Type
from tests.storage.rows import T0, batch, expected, python_value, rows

pytestmark = pytest.mark.db


async def copy(connection, table, payload):
    async def source():
        yield payload

    await connection.copy_to_table(
        table, source=source(), columns=copy_columns(table), format="binary"
    )


def bits(value):
    """Floats as hexadecimal text, so that -0.0 and nan are told apart."""
    if isinstance(value, list):
        return [bits(item) for item in value]
    return float(value).hex() if isinstance(value, float) else value


@pytest.mark.parametrize("table", TABLES)
async def test_rows_come_back_bit_for_bit(connection, table):
    sent = rows(table, 50)
    for column in TABLES[table].columns:
        if column.nullable and column.type is Type.FLOAT8:
            sent[column.name][::7] = np.nan
        elif column.nullable and column.type is Type.TIME:
            sent[column.name][::5] = NAT
        elif column.nullable and column.type is Type.TEXT:
            sent[column.name][::3] = b""
        if column.type is Type.FLOAT8 and not column.nullable:
            sent[column.name][:4] = [-0.0, np.inf, 5e-324, 1.7976931348623157e308]
        if column.type is Type.COUNT:
            sent[column.name][:3] = [0, 1, 15]
        if column.type is Type.FLOAT8_ARRAY:
            sent[column.name][1, 0] = np.nan
    sent["recv_time"] += 999
    parts = [
        TableBatch(table, "binance", "BTC-USDT-PERP", sent[:20]),
        TableBatch(table, "okx", "Ω-USDT-PERP", sent[20:]),
    ]
    await copy(connection, table, copy_payload(parts))
    got = await connection.fetch(f"SELECT * FROM {table} ORDER BY time")
    assert [(r["exchange"], r["symbol"]) for r in got] == (
        [("binance", "BTC-USDT-PERP")] * 20 + [("okx", "Ω-USDT-PERP")] * 30
    )
    for record, row in zip(got, sent, strict=True):
        for column in TABLES[table].stored:
            value = record[column.name]
            value = to_ns(value) if isinstance(value, datetime) else value
            assert bits(value) == bits(expected(column, row)), column.name


@pytest.mark.parametrize("table", TABLES)
async def test_payload_equals_the_drivers_own(connection, table):
    """COPY the rows out in binary form: the server's bytes must equal ours, array heads too."""
    sent = batch(table, 20)
    payload = copy_payload([sent])
    await copy(connection, table, payload)
    chunks = []

    async def collect(data):
        chunks.append(bytes(data))

    columns = ", ".join(copy_columns(table))
    await connection.copy_from_query(
        f"SELECT {columns} FROM {table} ORDER BY time", output=collect, format="binary"
    )
    assert b"".join(chunks) == payload


async def test_driver_encodes_the_same_records(connection):
    """The driver's record encoder and ours leave the same rows."""
    sent = batch("order_book_deltas", 20)
    await copy(connection, "order_book_deltas", copy_payload([sent]))
    records = [
        ("binance", "ETH-USDT-PERP", *(python_value(c, row) for c in sent.spec.stored))
        for row in sent.rows
    ]
    await connection.copy_records_to_table(
        "order_book_deltas", records=records, columns=copy_columns("order_book_deltas")
    )
    columns = ", ".join(c.name for c in sent.spec.stored)
    ours, theirs = [
        await connection.fetch(
            f"SELECT {columns} FROM order_book_deltas WHERE symbol = $1 ORDER BY time", symbol
        )
        for symbol in ("BTC-USDT-PERP", "ETH-USDT-PERP")
    ]
    assert ours == theirs


async def test_missing_value_of_a_needed_column_is_refused(connection):
    sent = batch("order_book_deltas", 1)
    sent.rows["price"] = np.nan
    with pytest.raises(asyncpg.NotNullViolationError):
        await copy(connection, "order_book_deltas", copy_payload([sent]))


def test_no_rows_is_an_empty_stream():
    assert copy_payload([]) == SIGNATURE + TRAILER
    assert copy_payload([batch("trades", 0)]) == SIGNATURE + TRAILER
    assert T0 % 1000 == 0


@pytest.mark.parametrize("table", TABLES)
def test_pieces_and_runs_of_columns_make_the_same_stream(table, monkeypatch):
    """One row at a time, or many; NULL in the same columns of all rows, in some rows, or none."""
    sent = rows(table, 40)
    optional = [c.name for c in TABLES[table].columns if c.nullable and c.type is Type.FLOAT8]
    for name in optional[::3]:
        sent[name] = np.nan
    for at, name in enumerate(optional[1::3]):
        sent[name][at % 20 : 20] = np.nan
    whole = TableBatch(table, "binance", "BTC-USDT-PERP", sent)
    one_by_one = b"".join(encode_rows([piece]) for piece in whole.pieces(1))
    assert copy_payload([whole]) == SIGNATURE + one_by_one + TRAILER
    monkeypatch.setattr(copy_module, "PIECE_BYTES", 7 * sent.itemsize)
    assert len(list(copy_pieces([whole]))) == 2 + 6
    assert copy_payload([whole]) == SIGNATURE + one_by_one + TRAILER


def test_instruments_are_encoded_together_only_if_their_names_are_as_long(monkeypatch):
    names = ("BTC-USDT-PERP", "ETH-USDT-PERP", "DOGE-USDT-PERP", "SOL-USDT-PERP")
    parts = [
        TableBatch("order_book_deltas", "binance", name, rows("order_book_deltas", 3))
        for name in names
    ]
    alone = b"".join(encode_rows([part]) for part in parts)
    pieces = list(copy_pieces(parts))
    assert len(pieces) == 2 + 3
    assert b"".join(pieces) == SIGNATURE + alone + TRAILER
    monkeypatch.setattr(copy_module, "PIECE_BYTES", 4 * parts[0].rows.itemsize)
    assert b"".join(copy_pieces(parts)) == SIGNATURE + alone + TRAILER
    assert len(list(copy_pieces(parts))) == 2 + 4, "a piece has its bound"

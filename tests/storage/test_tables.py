"""Batches of rows: to bytes and back, floors, schemas of other versions, bad input."""

import numpy as np
import pytest

from alphaplus.errors import StorageError
from alphaplus.storage.tables import (
    NAT,
    TABLES,
    TableBatch,
    read_schemas,
    row_count,
    side_codes,
    write_schemas,
)
from tests.storage.rows import T0, batch


@pytest.mark.parametrize("table", TABLES)
def test_bytes_and_back(table):
    sent = batch(table, 7)
    payload = sent.to_bytes()
    got = TableBatch.from_bytes(payload)
    assert (got.table, got.exchange, got.symbol) == (table, "binance", "BTC-USDT-PERP")
    assert got.rows.tobytes() == sent.rows.tobytes()
    assert row_count(payload) == 7


@pytest.mark.parametrize("table", TABLES)
def test_schemas_of_this_version_are_read_back(table):
    schemas = read_schemas(write_schemas())
    assert schemas[TABLES[table].fingerprint] == TABLES[table].dtype


def test_rows_start_as_null():
    row = TABLES["enhanced_funding_rates"].rows(1)[0]
    assert np.isnan(row["rate"])
    assert row["next_time"] == NAT
    assert row["kind"] == b""


def test_times_are_floored_to_microseconds_also_before_1970():
    rows = TABLES["enhanced_funding_rates"].rows(2)
    rows["time"] = [T0 + 1999, -1]
    floored = TableBatch("enhanced_funding_rates", "binance", "X", rows).floored().rows
    assert floored["time"].tolist() == [T0 + 1000, -1000]
    assert floored["next_time"].tolist() == [NAT, NAT]
    assert rows["time"][0] == T0 + 1999, "the caller's rows are not touched"


def test_older_rows_are_read_by_name_and_new_columns_are_null():
    spec = TABLES["open_interest"]
    names = [name for name in spec.dtype.names if name != "mark_price"]
    old = np.dtype([(name, spec.dtype[name]) for name in names])
    rows = np.zeros(2, dtype=old)
    rows["oi_base"] = [1.5, 2.5]
    payload = bytearray(TableBatch(spec.name, "binance", "X", spec.rows(2)).to_bytes())
    head = len(payload) - 2 * spec.dtype.itemsize
    payload[10:18] = (77).to_bytes(8, "little")
    payload[head:] = rows.tobytes()
    with pytest.raises(StorageError, match="another version"):
        TableBatch.from_bytes(bytes(payload))
    got = TableBatch.from_bytes(bytes(payload), {77: old}).rows
    assert got["oi_base"].tolist() == [1.5, 2.5]
    assert np.isnan(got["mark_price"]).all()


@pytest.mark.parametrize("payload", [b"", b"APTB", b"x" * 100, batch("trades", 2).to_bytes()[:-1]])
def test_what_is_no_batch_is_refused(payload):
    with pytest.raises(StorageError):
        TableBatch.from_bytes(payload)


def test_wrong_rows_and_names_are_refused():
    rows = TABLES["trades"].rows(1)
    with pytest.raises(StorageError, match="rows of open_interest"):
        TableBatch("open_interest", "binance", "X", rows)
    more = np.zeros(1, dtype=[*TABLES["trades"].dtype.descr, ("mood", "<f8")])
    with pytest.raises(StorageError, match=r"rows of trades, was .*'mood'.*make them with TABLES"):
        TableBatch("trades", "binance", "X", more)
    with pytest.raises(StorageError, match="was another version's"):
        TableBatch.from_key("trades binance X", more.tobytes())
    with pytest.raises(StorageError, match="no table 'trade'"):
        TableBatch("trade", "binance", "X", rows)
    with pytest.raises(StorageError, match="1 to 255 bytes"):
        TableBatch("trades", "", "X", rows)


def test_pieces_keep_all_rows_in_order():
    whole = batch("order_book_deltas", 100)
    pieces = list(whole.pieces(10 * whole.rows.dtype.itemsize))
    assert [len(piece) for piece in pieces] == [10] * 10
    assert b"".join(piece.rows.tobytes() for piece in pieces) == whole.rows.tobytes()


def test_side_codes():
    assert side_codes(np.array([1, -1], dtype=np.int8)).tolist() == [0, 1]

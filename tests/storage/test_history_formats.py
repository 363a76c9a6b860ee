"""Rows as Arrow, Parquet, CSV and plain records."""

import io
import json

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import pytest

from alphaplus.errors import StorageError
from alphaplus.storage.arrow_rows import record_batch, schema_of
from alphaplus.storage.history_formats import encoder_of
from alphaplus.storage.history_query import HistoryQuery
from alphaplus.storage.history_reader import Piece
from alphaplus.storage.history_records import records_of
from alphaplus.storage.tables import NAT, TABLES, Type
from tests.storage.rows import T0, rows


def pieces(table):
    """Two pieces with nulls and short arrays."""
    spec = TABLES[table]
    made = rows(table, 30)
    for column in spec.columns:
        if column.nullable:
            made[column.name][::4] = spec.blank[column.name]
        if column.type is Type.COUNT:
            made[column.name][0] = 0
    return [
        Piece("binance", "BTC-USDT-PERP", made[:20]),
        Piece("okx", "ETH-USDT-PERP", made[20:]),
    ]


def encoded(name, query, parts):
    encoder = encoder_of(name, query)
    return b"".join([*(encoder.add(part) for part in parts), encoder.finish()])


def value_of(row, column):
    """What a reader of Arrow has to find for one field."""
    value = row[column.name]
    match column.type:
        case Type.TIME:
            return None if value == NAT else int(value) // 1000
        case Type.FLOAT8:
            return None if np.isnan(value) else float(value)
        case Type.FLOAT8_ARRAY:
            return value[: row[column.count]].tolist()
        case Type.TEXT | Type.JSON:
            return None if column.nullable and not value else bytes(value).decode()
    return value.item()


@pytest.mark.parametrize("table", TABLES)
def test_arrow_and_parquet_hold_every_value(table):
    query, parts = HistoryQuery(table=table), pieces(table)
    arrow = pa.ipc.open_stream(encoded("arrow", query, parts)).read_all()
    parquet = pq.read_table(io.BytesIO(encoded("parquet", query, parts)))
    assert arrow.schema == schema_of(query)
    assert arrow.schema.metadata == {b"table": table.encode()}
    assert arrow.equals(parquet)
    assert arrow.field("time").type == pa.timestamp("us", tz="UTC")
    assert arrow["symbol"].to_pylist() == ["BTC-USDT-PERP"] * 20 + ["ETH-USDT-PERP"] * 10
    made = np.concatenate([part.rows for part in parts])
    for column in TABLES[table].stored:
        found = arrow[column.name]
        if column.type is Type.TIME:
            found = found.cast(pa.int64())
        assert found.to_pylist() == [value_of(row, column) for row in made], column.name


@pytest.mark.parametrize("table", ["enhanced_order_book_snapshots", "market_trades", "trades"])
def test_csv_has_a_header_and_lists_as_json(table):
    query, parts = HistoryQuery(table=table), pieces(table)
    text = encoded("csv", query, parts)
    read = pacsv.read_csv(io.BytesIO(text))
    assert read.num_rows == 30
    assert read.column_names == schema_of(query).names
    for column in TABLES[table].stored:
        if column.type is Type.FLOAT8_ARRAY:
            found = [json.loads(item) for item in read[column.name].to_pylist()]
            assert found == [value_of(row, column) for part in parts for row in part.rows]
    assert read["time"][0].as_py().timestamp() * 1e9 == T0


def test_nothing_at_all_is_still_a_file_of_the_schema():
    query = HistoryQuery(table="market_trades", columns=("price",))
    assert pa.ipc.open_stream(encoded("arrow", query, [])).read_all().num_rows == 0
    parquet = pq.read_table(io.BytesIO(encoded("parquet", query, [])))
    assert parquet.schema.names == ["time", "exchange", "symbol", "price"]
    assert encoded("csv", query, []).split() == [b'"time","exchange","symbol","price"']


def test_a_parquet_file_without_its_end_is_refused_by_readers():
    query = HistoryQuery(table="market_trades")
    encoder = encoder_of("parquet", query)
    torn = b"".join(encoder.add(part) for part in pieces("market_trades"))
    with pytest.raises(pa.ArrowInvalid):
        pq.read_table(io.BytesIO(torn))


@pytest.mark.parametrize("table", TABLES)
def test_records_hold_the_same_values(table):
    query = HistoryQuery(table=table)
    for part in pieces(table):
        records = list(records_of(part, query))
        batch = record_batch(part, query)
        assert list(records[0]) == batch.schema.names
        for column in TABLES[table].stored:
            found = [record[column.name] for record in records]
            wanted = [value_of(row, column) for row in part.rows]
            if column.type is Type.TIME:
                wanted = [None if value is None else value * 1000 for value in wanted]
            if column.type is Type.JSON:
                wanted = [json.loads(value) for value in wanted]
            assert found == wanted, column.name


def test_unknown_format_is_refused():
    with pytest.raises(StorageError, match="the format arrow, parquet, csv, was 'xml'"):
        encoder_of("xml", HistoryQuery(table="trades"))

"""Rows of any table for the tests, reproducible by number."""

import math

import numpy as np

from alphaplus.storage.queries import to_datetime
from alphaplus.storage.tables import NAT, TABLES, TableBatch, Type

T0 = 1_723_118_400 * 10**9
"""2024-08-08 12:00 UTC, ns."""


def rows(table, count, start=0, seed=0):
    """Rows with all columns filled; row n has its key from start + n."""
    spec = TABLES[table]
    random = np.random.default_rng(seed + start)
    number = np.arange(start, start + count)
    made = spec.rows(count)
    for column in spec.columns:
        shape = made[column.name].shape
        match column.type:
            case Type.FLOAT8 | Type.FLOAT8_ARRAY:
                made[column.name] = random.normal(size=shape) * 10.0 ** random.integers(-6, 9)
            case Type.INT8 | Type.INT4:
                made[column.name] = number
            case Type.BOOL:
                made[column.name] = random.integers(0, 2, count)
            case Type.COUNT:
                made[column.name] = random.integers(0, 15, count)
            case Type.INT2:
                made[column.name] = number % 2
            case Type.TEXT:
                made[column.name] = [f"text {n} é".encode()[: column.width] for n in number]
            case Type.JSON:
                made[column.name] = [f'{{"n": {n}, "text": "é"}}'.encode() for n in number]
            case Type.TIME:
                made[column.name] = T0 + number * 1_000_000
    return made


def batch(table, count, start=0, symbol="BTC-USDT-PERP", seed=0):
    return TableBatch(table, "binance", symbol, rows(table, count, start, seed))


def expected(column, row):
    """The Python value that SELECT has to return for one field."""
    value = row[column.name]
    match column.type:
        case Type.TIME:
            return None if value == NAT else int(value) // 1000 * 1000
        case Type.FLOAT8:
            return None if math.isnan(value) else float(value)
        case Type.FLOAT8_ARRAY:
            return [float(item) for item in value[: row[column.count]]]
        case Type.TEXT:
            return None if column.nullable and not value else bytes(value).decode()
        case Type.JSON:
            return bytes(value).decode()
        case _:
            return value.item()


def python_value(column, row):
    """The Python value that the driver takes for one field."""
    value = expected(column, row)
    return to_datetime(value) if column.type is Type.TIME and value is not None else value

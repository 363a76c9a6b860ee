"""Stored rows as plain records, for JSON: times in ns, NULL and nan None, JSON parsed."""

import math
from collections.abc import Iterator
from typing import Any

import orjson

from alphaplus.storage.history_query import HistoryQuery
from alphaplus.storage.history_reader import Piece, answered
from alphaplus.storage.tables import NAT, Column, RowArray, Type


def records_of(piece: Piece, query: HistoryQuery) -> Iterator[dict[str, Any]]:
    """Yield one record per row: `time`, `exchange` and `symbol`, then the columns asked for."""
    columns = answered(query)
    names = ("time", "exchange", "symbol", *(column.name for column in columns))
    values = (
        piece.rows["time"].tolist(),
        [piece.exchange] * len(piece),
        [piece.symbol] * len(piece),
        *(_plain(piece.rows, column) for column in columns),
    )
    for row in zip(*values, strict=True):
        yield dict(zip(names, row, strict=True))


def _plain(rows: RowArray, column: Column) -> list[Any]:
    values = rows[column.name]
    match column.type:
        case Type.TIME:
            return [None if value == NAT else value for value in values.tolist()]
        case Type.FLOAT8:
            return [None if math.isnan(value) else value for value in values.tolist()]
        case Type.FLOAT8_ARRAY:
            counts = rows[column.count].tolist()
            return [row[:count] for row, count in zip(values.tolist(), counts, strict=True)]
        case Type.TEXT:
            texts = (value.decode(errors="replace") for value in values.tolist())
            return [None if column.nullable and not text else text for text in texts]
        case Type.JSON:
            return [orjson.loads(value) for value in values.tolist()]
    return list(values.tolist())

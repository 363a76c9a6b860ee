"""Rows of several tables that their number determines, so that what is stored can be checked."""

from typing import Final

import numpy as np
import numpy.typing as npt

from alphaplus.storage.tables import TABLES, TableBatch, Type

COLUMNS: Final = {
    "order_book_deltas": ("seq", "price"),
    "enhanced_order_book_snapshots": ("seq", "spread"),
    "market_depth_analysis": ("seq", "mid"),
    "market_trades": ("trade_id", "qty"),
}
"""The tables, the column with the number of a row, and one with its value."""
ROWS: Final = 50
"""A batch has so many rows of each table."""
LIFE: Final = 10**9
"""Each life of the producer numbers its rows from its own multiple of this."""
BAD_EVERY: Final = 25
"""So often a batch has a trade without price, which no table takes: a dead letter."""
SYMBOL: Final = "BTC-USDT-PERP"
_EPOCH: Final = 1_723_118_400 * 10**9
_STEP_NS: Final = 10 * 10**9
"""Between rows: a partition of an hour is full after seven batches."""
_LIFE_NS: Final = 60 * 86_400 * 10**9
"""Between lives: longer than all rows of one, as some keys are the time alone."""


def values(number: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Return the values of numbered rows: quarters, which are exact."""
    return 1.0 + number % 99_991 / 4


def batches(start: int) -> list[TableBatch]:
    """Return the batch that begins with row `start`, of every table."""
    number = np.arange(start, start + ROWS)
    made = []
    for table, (name, value) in COLUMNS.items():
        rows = TABLES[table].rows(ROWS)
        rows["time"] = _EPOCH + number // LIFE * _LIFE_NS + number % LIFE * _STEP_NS
        rows["recv_time"] = rows["time"]
        for column in TABLES[table].columns:
            if column.type is Type.FLOAT8 and not column.nullable:
                rows[column.name] = 100.0
        rows[name], rows[value] = number, values(number)
        if table == "market_trades":
            rows["price"][is_bad(number)] = np.nan
        made.append(TableBatch(table, "binance", SYMBOL, rows))
    return made


def is_bad(number: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Say which trades no table takes: the first of every 25th batch."""
    bad: npt.NDArray[np.bool_] = number % (ROWS * BAD_EVERY) == 0
    return bad

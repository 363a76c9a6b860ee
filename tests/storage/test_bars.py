"""Bars by SQL and of archived rows: the same, and those of a plain twin."""

from dataclasses import replace

import numpy as np
import pytest

from alphaplus.errors import StorageError
from alphaplus.storage.bars import check_bars, read_bars
from alphaplus.storage.history_query import HistoryQuery
from alphaplus.storage.tables import TABLES, TableBatch
from tests.storage.rows import T0
from tests.storage.test_history_reader import archive, store

pytestmark = pytest.mark.db

SECOND = 10**9
SERIES = {"exchange": "binance", "symbols": ("BTC-USDT-PERP",)}


def sample(table, count=400):
    """Rows at random times over some hours, with holes and, of measures, unknown values."""
    random = np.random.default_rng(5)
    made = TABLES[table].rows(count)
    times = np.sort(random.choice(4 * 3600, size=count, replace=False))
    made["time"] = made["recv_time"] = T0 + times * SECOND
    if table == "market_trades":
        made["trade_id"] = np.arange(count)
        made["side"] = random.integers(0, 2, count)
        made["price"], made["qty"] = random.uniform(90, 110, count), random.uniform(0, 5, count)
    else:
        made["window_ms"] = 1000
        made["mid"] = random.normal(size=count)
        made["vpin"][::9] = random.uniform(size=len(made[::9]))
    return made


def twin(table, made, step):
    """The bars of rows, one by one."""
    bars = {}
    for row in made:
        bars.setdefault(int(row["time"]) // step * step, []).append(row)
    for time, part in bars.items():
        if table == "market_trades":
            prices, volume = [float(row["price"]) for row in part], sum(r["qty"] for r in part)
            yield {
                "time": time,
                "trades": len(part),
                "open": prices[0],
                "high": max(prices),
                "low": min(prices),
                "close": prices[-1],
                "volume": pytest.approx(volume),
                "buy_volume": pytest.approx(sum(r["qty"] for r in part if r["side"] == 0)),
                "vwap": pytest.approx(sum(r["price"] * r["qty"] for r in part) / volume),
            }
            continue
        bar = {"time": time, "rows": len(part)}
        for name in ("mid", "vpin"):
            known = [float(row[name]) for row in part if not np.isnan(row[name])]
            bar[f"{name}_mean"] = pytest.approx(np.mean(known)) if known else None
            bar[f"{name}_min"] = min(known, default=None)
            bar[f"{name}_max"] = max(known, default=None)
            bar[f"{name}_last"] = known[-1] if known else None
        yield bar


@pytest.mark.parametrize("table", ["market_trades", "market_depth_analysis"])
@pytest.mark.parametrize("archived", [0, 1, 150, 399, 400])
async def test_bars_are_the_same_wherever_rows_are(dsn, connection, tmp_path, table, archived):
    made = sample(table)
    await archive(
        connection, TableBatch(table, "binance", SERIES["symbols"][0], made[:archived]), 40
    )
    await store(dsn, tmp_path, TableBatch(table, "binance", SERIES["symbols"][0], made[archived:]))
    columns = () if table == "market_trades" else ("mid", "vpin")
    query = HistoryQuery(table=table, columns=columns, **SERIES)
    for step, limit in ((60 * SECOND, 7), (3600 * SECOND, 100), (86_400 * SECOND, 1)):
        found, start = [], query.start_ns
        while start is not None:
            bars = await read_bars(connection, replace(query, start_ns=start), step, limit)
            assert len(bars.rows) <= limit
            found += bars.rows
            start = bars.next_ns
        assert found == list(twin(table, made, step))
    times = made["time"]
    cut = replace(query, start_ns=int(times[20]), end_ns=int(times[380]))
    bars = await read_bars(connection, cut, 900 * SECOND, 1000)
    assert bars.rows == list(twin(table, made[20:380], 900 * SECOND))
    nothing = replace(query, symbols=("NONE",))
    assert (await read_bars(connection, nothing, SECOND, 10)).rows == []


@pytest.mark.parametrize(
    ("question", "step", "sentence"),
    [
        ({"table": "candles", **SERIES}, SECOND, "a table that has bars"),
        ({"table": "market_trades", "exchange": "binance"}, SECOND, "one symbol"),
        ({"table": "market_trades", **SERIES}, SECOND // 2, "whole seconds"),
        ({"table": "market_trades", **SERIES, "columns": ("price",)}, SECOND, "no columns"),
        ({"table": "market_depth_analysis", **SERIES, "columns": ("seq",)}, SECOND, "was seq"),
        (
            {
                "table": "market_depth_analysis",
                **SERIES,
                "columns": tuple(c.name for c in TABLES["market_depth_analysis"].stored[4:25]),
            },
            SECOND,
            "at most 20",
        ),
    ],
)
def test_bars_that_there_are_none_of(question, step, sentence):
    with pytest.raises(StorageError, match=sentence):
        check_bars(HistoryQuery(**question), step)

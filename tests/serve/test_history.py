"""Stored rows over HTTP, from a real database."""

import asyncio
import io
import shlex
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import pytest

from alphaplus.storage import history_reader
from alphaplus.storage.migrations import migrate
from alphaplus.storage.series_reader import SeriesReader
from alphaplus.storage.tables import TABLES, TableBatch
from alphaplus.storage.writer import Writer
from serve.app import create_app
from serve.history_formats import negotiated
from serve.problems import Problem
from tests.serve.fakes import NOW, FakeFleet, summary
from tests.serve.problem import problem
from tests.storage.rows import rows
from tests.storage.servers import execute, other_database, small

pytestmark = pytest.mark.db

BTC, ETH = "BTC-USDT-PERP", "ETH-USDT-PERP"
TRADES = "/v1/history/market_trades"
SECOND = 10**9
COUNT = 300
FIRST = NOW - COUNT * SECOND
"""A trade a second, the last one a second before now."""


def trades(count: int = COUNT) -> Any:
    made = TABLES["market_trades"].rows(count)
    made["time"] = made["recv_time"] = FIRST + np.arange(count) * SECOND
    made["trade_id"] = np.arange(count)
    made["price"] = 100.0 + np.arange(count) % 7
    made["qty"] = 1.0 + np.arange(count) % 3
    made["side"] = np.arange(count) % 2
    return made


def measures(count: int = COUNT) -> Any:
    made = TABLES["market_depth_analysis"].rows(count)
    made["time"] = made["recv_time"] = FIRST + np.arange(count) * SECOND
    made["window_ms"] = 1000
    made["mid"] = 100.0 + np.arange(count) % 5
    made["vpin"][::60] = 0.25  # known once a minute
    return made


async def fill(dsn: str, folder: Path) -> None:
    await migrate(dsn)
    snapshots = rows("enhanced_order_book_snapshots", 20)
    snapshots["time"] = FIRST + np.arange(20) * SECOND
    async with Writer(dsn, folder / "spool") as writer:
        await writer.accept(
            [
                TableBatch("market_trades", "binance", BTC, trades()),
                TableBatch("market_trades", "binance", ETH, trades(50)),
                TableBatch("market_trades", "okx", BTC, trades(10)),
                TableBatch("market_depth_analysis", "binance", BTC, measures()),
                TableBatch("enhanced_order_book_snapshots", "binance", BTC, snapshots),
            ]
        )
        await writer.drain()


@pytest.fixture(scope="module")
def dsn() -> Iterator[str]:
    folder = Path(tempfile.mkdtemp(prefix="alphaplus-test-"))
    folder.chmod(0o755)
    server = small(folder / "pg")
    try:
        admin = server.start()
        asyncio.run(execute(admin, "CREATE DATABASE history"))
        found = other_database(admin, "history")
        asyncio.run(fill(found, folder))
        yield found
    finally:
        server.stop()
        shutil.rmtree(folder)


@pytest.fixture
async def history(dsn: str, fleet: FakeFleet) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of an application that asks the fleet for its database."""
    fleet.dsn = dsn
    app = create_app(fleet, now_ns=lambda: NOW)
    transport = httpx2.ASGITransport(app=app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://test") as client:
        yield client
    await app.state.history.close()


async def test_tables_are_listed_with_units_key_and_extent(history: httpx2.AsyncClient) -> None:
    answer = (await history.get("/v1/history")).json()
    tables = {item["table"]: item for item in answer["tables"]}
    assert set(tables) == set(TABLES)
    found = tables["market_trades"]
    assert found["key"] == ["exchange", "symbol", "time", "trade_id"]
    assert (found["oldest"], found["newest"]) == (FIRST, NOW - SECOND)
    assert tables["candles"]["oldest"] is None
    for table in tables.values():
        assert table["about"]
        assert all(column["meaning"] for column in table["columns"]), table["table"]
        names = [column["name"] for column in table["columns"]]
        assert set(names) == {
            "exchange",
            "symbol",
            *(column.name for column in TABLES[table["table"]].stored),
        }


async def test_pages_of_json_go_on_by_cursor_and_by_link(history: httpx2.AsyncClient) -> None:
    seen, url = [], f"{TRADES}?limit=70&columns=price,trade_id"
    while url:
        answer = await history.get(url)
        body = answer.json()
        assert body["count"] == len(body["rows"]) <= 70
        seen += [(row["exchange"], row["symbol"], row["trade_id"]) for row in body["rows"]]
        link = answer.headers.get("link")
        assert (link is None) == (body["next"] is None)
        url = "" if link is None else link[1 : link.index(">")]
        assert list(body["rows"][0]) == ["time", "exchange", "symbol", "trade_id", "price"]
    assert seen == sorted(seen)
    assert len(set(seen)) == len(seen) == COUNT + 50 + 10


async def test_filters(history: httpx2.AsyncClient) -> None:
    start, end = FIRST + 10 * SECOND, FIRST + 12 * SECOND
    asked = {"symbol": f"{BTC},{ETH}", "exchange": "binance", "start": start, "end": end}
    body = (await history.get(TRADES, params=asked)).json()
    assert [(r["symbol"], r["trade_id"]) for r in body["rows"]] == [
        (BTC, 10), (BTC, 11), (ETH, 10), (ETH, 11)
    ]  # fmt: skip
    assert (body["start"], body["end"]) == (start, end)
    iso = {"symbol": [ETH, BTC], "exchange": "okx", "start": "2024-08-08T09:55:00+00:00"}
    assert (await history.get(TRADES, params=iso)).json()["count"] == 10


async def test_an_unset_end_is_the_time_of_the_first_page(history: httpx2.AsyncClient) -> None:
    body = (await history.get(f"{TRADES}?limit=1")).json()
    assert body["end"] == NOW
    assert (await history.get(f"{TRADES}?limit=1&cursor={body['next']}")).json()["end"] == NOW


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        ("application/vnd.apache.arrow.stream", "arrow"),
        ("application/vnd.apache.parquet", "parquet"),
        ("text/csv", "csv"),
    ],
)
async def test_whole_range_in_bulk(history: httpx2.AsyncClient, accept: str, form: str) -> None:
    answer = await history.get(TRADES, headers={"Accept": accept})
    assert answer.headers["content-type"].split(";")[0] == accept
    assert "link" not in answer.headers
    asked = await history.get(f"{TRADES}?format={form}&limit=100&symbol={BTC}&exchange=binance")
    found, page = (
        {
            "arrow": lambda data: pa.ipc.open_stream(data).read_all(),
            "parquet": lambda data: pq.read_table(io.BytesIO(data)),
            "csv": lambda data: pacsv.read_csv(io.BytesIO(data)),
        }[form](item.content)
        for item in (answer, asked)
    )
    assert found.num_rows == COUNT + 50 + 10
    assert found["price"].to_pylist()[:COUNT] == trades()["price"].tolist()
    assert page.num_rows == 100
    assert page["trade_id"].to_pylist() == list(range(100))
    link = asked.headers["link"]
    rest = await history.get(link[1 : link.index(">")])
    assert len(rest.content) > 1000
    assert 'rel="next"' in link
    assert answer.headers["content-disposition"].startswith('attachment; filename="market_trades.')


async def test_arrays_and_nulls_in_json(history: httpx2.AsyncClient) -> None:
    body = (await history.get("/v1/history/enhanced_order_book_snapshots?limit=20")).json()
    made = rows("enhanced_order_book_snapshots", 20)
    for row, wanted in zip(body["rows"], made, strict=True):
        assert row["bid_px"] == wanted["bid_px"][: wanted["bid_levels"]].tolist()
    answer = await history.get("/v1/history/market_depth_analysis?limit=2&columns=vpin,mid")
    assert [row["vpin"] for row in answer.json()["rows"]] == [0.25, None]


async def test_bars_of_trades(history: httpx2.AsyncClient) -> None:
    asked = {"exchange": "binance", "symbol": BTC, "step": "1m", "limit": 3}
    made, found = trades(), []
    while True:
        body = (await history.get(f"{TRADES}/bars", params=asked)).json()
        found += body["bars"]
        if body["next"] is None:
            break
        asked["start"] = body["next"]
    buckets = made["time"] // (60 * SECOND)
    for bar, bucket in zip(found, np.unique(buckets), strict=True):
        part = made[buckets == bucket]
        assert bar["time"] == bucket * 60 * SECOND
        assert (bar["open"], bar["close"]) == (part["price"][0], part["price"][-1])
        assert (bar["high"], bar["low"]) == (part["price"].max(), part["price"].min())
        assert bar["volume"] == pytest.approx(part["qty"].sum())
        assert bar["buy_volume"] == pytest.approx(part["qty"][part["side"] == 0].sum())
        assert bar["vwap"] == pytest.approx(np.average(part["price"], weights=part["qty"]))
        assert bar["trades"] == len(part)


async def test_bars_of_measures(history: httpx2.AsyncClient) -> None:
    asked = {"exchange": "binance", "symbol": BTC, "step": "1m", "columns": "mid,vpin"}
    body = (await history.get("/v1/history/market_depth_analysis/bars", params=asked)).json()
    made = measures()
    buckets = made["time"] // (60 * SECOND)
    for bar, bucket in zip(body["bars"], np.unique(buckets), strict=True):
        part = made[buckets == bucket]
        assert bar["rows"] == len(part)
        assert bar["mid_mean"] == pytest.approx(part["mid"].mean())
        assert (bar["mid_min"], bar["mid_max"]) == (part["mid"].min(), part["mid"].max())
        assert bar["mid_last"] == part["mid"][-1]
        assert bar["vpin_last"] == 0.25  # the last one that was known


async def test_latest_from_memory_and_beyond_it_from_sql(
    history: httpx2.AsyncClient, fleet: FakeFleet
) -> None:
    fleet.rings.add("market_trades", trades())
    body = (await history.get(f"{TRADES}/latest?symbol={BTC}&n=5")).json()
    assert body["source"] == "memory"
    assert [row["trade_id"] for row in body["rows"]] == [299, 298, 297, 296, 295]
    assert (body["newest"], body["newest_sequence"]) == (NOW - SECOND, 299)
    beyond = (await history.get(f"{TRADES}/latest?symbol={BTC}&n=250")).json()
    assert (beyond["source"], beyond["count"], beyond["exchange"]) == ("sql", 250, "binance")
    assert beyond["rows"][:5] == body["rows"]
    fleet.rows = [summary(ETH)]
    gone = (await history.get(f"{TRADES}/latest?symbol={BTC}&n=5&exchange=binance")).json()
    assert gone == {**body, "source": "sql"}
    wrong = await history.get(f"{TRADES}/latest?symbol=BTCUSDT")
    assert problem(wrong, 404, "unknown-symbol")["closest"] == BTC
    slow = await history.get(f"/v1/history/candles/latest?symbol={BTC}")
    problem(slow, 404, "unknown-symbol")


PAGE = (Path(__file__).resolve().parents[2] / "docs" / "data.md").read_text(encoding="utf-8")
EXAMPLES = [shlex.split(line)[2:] for line in PAGE.splitlines() if line.startswith("curl ")]


@pytest.mark.parametrize("words", EXAMPLES, ids=lambda words: words[0])
async def test_examples_of_the_page_are_answered(
    history: httpx2.AsyncClient, words: list[str]
) -> None:
    path = words[0].removeprefix("http://127.0.0.1:8000")
    headers = dict([words[words.index("-H") + 1].split(": ")]) if "-H" in words else {}
    answer = await history.get(path, headers=headers)
    assert answer.status_code == 200
    assert len(answer.content) > 200


WRONG = {
    "start=2024-08-09&end=2024-08-08": "Expected start before end",
    "start=0": "Expected start between 2000-01-01 and 2100-01-01, was '0'",
    "start=1970-01-01": "between 2000-01-01 and 2100-01-01",
    "end=3000-01-01": "Expected end between 2000-01-01 and 2100-01-01",
    "end=tomorrow": "Expected end like 2026-01-31",
    "columns=price,nonsense": "Expected columns of market_trades, was 'nonsense'; there are time",
    "format=xml": "Expected query parameter format to be json, arrow, parquet, csv, was 'xml'",
    "limit=0": "limit to be at least 1",
    "limit=10001": "limit to be at most 10000 for JSON, was 10001",
    "limit=1000001&format=csv": "limit to be at most 1e+06",
    "cursor=abc": "Expected a cursor as the last answer gave it",
    "symbol=": "Expected exchange and symbol of 1 to 255 characters",
    "symbols=BTC-USDT-PERP": "There is no query parameter symbols",
}


@pytest.mark.parametrize(("question", "sentence"), WRONG.items())
async def test_bad_questions_say_what_is_wrong(
    history: httpx2.AsyncClient, question: str, sentence: str
) -> None:
    body = problem(await history.get(f"{TRADES}?{question}"), 422, "invalid-request")
    assert sentence in body["detail"]


@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        (f"/v1/history/candles/bars?exchange=binance&symbol={BTC}", "a table that has bars"),
        (f"{TRADES}/bars?exchange=binance&symbol={BTC}&step=7x", "step like 1s"),
        (f"{TRADES}/bars?exchange=binance&symbol={BTC}&step=0s", "whole seconds from 1s to 1d"),
        (f"{TRADES}/bars?exchange=binance&symbol={BTC}&step=2d", "whole seconds from 1s to 1d"),
        (f"{TRADES}/bars?exchange=binance&symbol={BTC}&columns=price", "no columns for bars"),
        (f"{TRADES}/bars?symbol={BTC}", "query parameter exchange to be given"),
        (f"{TRADES}/latest?symbol={BTC}&n=0", "n to be at least 1"),
        (f"{TRADES}/latest", "query parameter symbol to be given"),
        (
            f"/v1/history/market_depth_analysis/bars?exchange=binance&symbol={BTC}&columns=seq",
            "columns that are measures, was seq",
        ),
    ],
)
async def test_bad_questions_for_bars_and_latest(
    history: httpx2.AsyncClient, path: str, sentence: str
) -> None:
    body = problem(await history.get(path), 422, "invalid-request")
    assert sentence in body["detail"]


@pytest.mark.parametrize("form", ["arrow", "parquet", "csv"])
async def test_a_stream_that_fails_half_way_breaks_off(
    history: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    monkeypatch.setattr(history_reader, "MAX_PIECE_ROWS", 50)
    read, calls = SeriesReader.after, []

    async def failing(self: SeriesReader, key: Any, count: int) -> Any:
        calls.append(key)
        if len(calls) == 4:
            raise ConnectionResetError("the server is gone")
        return await read(self, key, count)

    monkeypatch.setattr(SeriesReader, "after", failing)
    with pytest.raises(RuntimeError, match="already started"):  # the server then hangs up
        await history.get(f"{TRADES}?format={form}")
    assert (await history.get(f"{TRADES}?limit=1")).status_code == 200  # connections are back


async def test_unknown_table_symbol_exchange_and_format(history: httpx2.AsyncClient) -> None:
    body = problem(await history.get("/v1/history/trade"), 404, "unknown-table")
    assert body["closest"] == "trades"
    body = problem(await history.get(f"{TRADES}?symbol=BTCUSDT"), 404, "unknown-symbol")
    assert body["closest"] == BTC
    problem(await history.get(f"{TRADES}?symbol={ETH}&exchange=okx"), 404, "unknown-symbol")
    none = await history.get(f"{TRADES}?symbol={ETH}&start={NOW - SECOND // 2}")
    assert none.json()["rows"] == []
    answer = await history.get(TRADES, headers={"Accept": "image/png"})
    assert "text/csv" in problem(answer, 406, "not-acceptable")["media_types"]


async def test_cursor_of_another_question_is_refused(history: httpx2.AsyncClient) -> None:
    cursor = (await history.get(f"{TRADES}?limit=1")).json()["next"]
    answer = await history.get(f"{TRADES}?limit=1&symbol={BTC}&cursor={cursor}")
    assert "same question" in problem(answer, 422, "invalid-request")["detail"]


async def test_without_a_database_the_answer_says_so(fleet: FakeFleet) -> None:
    for dsn, word in [
        (None, "not running"),
        ("postgresql://127.0.0.1:1/none", "cannot be reached"),
        ("nonsense", "ALPHAPLUS_STORAGE__DSN"),
    ]:
        app = create_app(fleet, now_ns=lambda: NOW, dsn=dsn)
        transport = httpx2.ASGITransport(app=app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://test") as client:
            for path in (TRADES, f"{TRADES}?format=arrow", "/v1/history"):
                body = problem(await client.get(path), 503, "unavailable")
                assert word in body["detail"]
        await app.state.history.close()


def test_accept_headers() -> None:
    assert negotiated(None, None) == "json"
    assert negotiated("text/html,application/xhtml+xml,*/*;q=0.8", None) == "json"
    assert negotiated("text/csv;q=0.5, application/vnd.apache.parquet", None) == "parquet"
    assert negotiated("text/csv;q=0, */*;q=0.1", None) == "json"
    assert negotiated("text/*;q=x, text/*", None) == "csv"
    assert negotiated("image/png", "arrow") == "arrow"
    with pytest.raises(Problem):
        negotiated("image/png, text/csv;q=0", None)

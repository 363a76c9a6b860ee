"""The backfill from the local venue and from files, into a real database, and again."""

import asyncio
import json
import os
import shutil
import subprocess
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from alphaplus.errors import ConfigError, FeedError, StorageError, UnknownSymbol
from alphaplus.leverage.tier_files import write_tiers
from alphaplus.leverage.tiers import LeverageTier, TierBook, TierTable
from alphaplus.storage import history
from alphaplus.storage.connection import connect
from alphaplus.storage.history_gaps import MAX_RANGES, missing_ranges
from alphaplus.storage.migrations import migrate
from alphaplus.venue.process import VenueProcess
from jobs import backfill
from jobs.backfill_files import symbol_of
from tests.storage.servers import execute, other_database, small

ROOT = Path(__file__).parents[2]
HOUR = 3600 * 10**9
SYMBOLS = ["BTC-USDT-PERP", "ETH-USDT-PERP"]


@pytest.fixture(scope="module")
def server():
    folder = Path(tempfile.mkdtemp(prefix="alphaplus-test-"))
    folder.chmod(0o755)
    postgres = small(folder / "pg")
    try:
        yield postgres.start()
    finally:
        postgres.stop()
        shutil.rmtree(folder)


@pytest.fixture
def dsn(server, monkeypatch):
    """An empty database, which the job migrates itself."""
    asyncio.run(execute(server, "CREATE DATABASE backfill TEMPLATE template0"))
    found = other_database(server, "backfill")
    monkeypatch.setenv("ALPHAPLUS_STORAGE__DSN", found)
    yield found
    asyncio.run(execute(server, "DROP DATABASE backfill WITH (FORCE)"))


@pytest.fixture(scope="module")
def venue():
    with VenueProcess(["--symbols", "2"]) as process:
        yield process


def run(tmp_path, *arguments):
    words = ["--set", f"storage.data_dir={tmp_path}", *map(str, arguments)]
    return backfill.run(backfill._parser().parse_args(words))


def ask(dsn, question):
    """Ask the database something of a connection."""

    async def answer():
        connection = await connect(dsn)
        try:
            return await question(connection)
        finally:
            await connection.close()

    return asyncio.run(answer())


def test_ranges_without_candles():
    there = np.array([2, 3, 6]) * HOUR
    found = missing_ranges(there, step_ns=HOUR, start_ns=HOUR + 1, end_ns=9 * HOUR - 1)
    assert [(a // HOUR, b // HOUR) for a, b in found] == [(4, 6), (7, 9)]
    nothing = np.empty(0, np.int64)
    assert missing_ranges(nothing, step_ns=HOUR, start_ns=5, end_ns=HOUR) == []
    torn = np.arange(0, 4 * MAX_RANGES, 2) * HOUR
    (whole,) = missing_ranges(torn, step_ns=HOUR, start_ns=0, end_ns=4 * MAX_RANGES * HOUR)
    assert whole == (HOUR, 4 * MAX_RANGES * HOUR)


@pytest.mark.db
def test_everything_of_the_venue_is_loaded_once(dsn, venue, tmp_path):
    since = (datetime.now(UTC) - timedelta(days=20)).isoformat()
    wanted = ("--set", f"feeds.url={venue.url}", "--symbols", *SYMBOLS, "--since", since)
    first = run(tmp_path, *wanted)
    assert (first["rows_dead"], first["rows_left_out"], first["missing"]) == (0, 0, {})
    assert first["rows_written"] == sum(first["rows_read"].values())
    assert first["rows_read"]["candles"] in range(4 * 478, 4 * 481)
    assert first["rows_read"]["enhanced_funding_rates"] in (118, 120, 122)
    assert first["rows_read"]["leverage_tiers"] == 2
    again = run(tmp_path, *wanted)
    assert again["rows_written"] == 0
    assert again["rows_read"].get("candles", 0) == 0, "what is there is not asked for"

    async def read(connection):
        span = {"step_ns": HOUR, "start_ns": 10**18}
        candles = await history.candle_histories(connection, "binance", SYMBOLS, **span)
        marks = await history.candle_histories(connection, "binance", SYMBOLS, **span, kind="mark")
        now = int(datetime.now(UTC).timestamp() * 1e9)
        return candles, marks, await history.tier_book(connection, "binance", now)

    candles, marks, tiers = ask(dsn, read)
    for symbol in SYMBOLS:
        assert (np.diff(candles[symbol].times) == HOUR).all()
        assert marks[symbol].close == pytest.approx(candles[symbol].close, rel=1e-3)
        assert tiers.table(symbol).tiers[0].max_leverage == 125


@pytest.mark.db
def test_a_hole_is_filled_and_the_rest_is_not_asked_for(dsn, venue, tmp_path):
    since = (datetime.now(UTC) - timedelta(days=3)).isoformat()
    wanted = (
        *("--set", f"feeds.url={venue.url}", "--what", "candles"),
        *("--symbols", SYMBOLS[0], "--since", since),
    )
    first = run(tmp_path, *wanted)
    asyncio.run(execute(dsn, "DELETE FROM candles WHERE extract(hour FROM time) IN (3, 4)"))
    second = run(tmp_path, *wanted)
    assert second["rows_written"] == second["rows_read"]["candles"] == 6
    assert first["rows_written"] in (71, 72)


@pytest.mark.db
def test_files_are_loaded_as_they_are_and_once(dsn, tmp_path, data_dir):
    folder = data_dir / "risk" / "freqtrade_xrp_2021"
    first = run(tmp_path, "--files", folder)
    assert first["rows_written"] == sum(first["rows_read"].values()) > 0
    assert (first["missing"], first["rows_dead"]) == ({}, 0)
    assert run(tmp_path, "--files", folder)["rows_written"] == 0

    async def steps(connection):
        rows = await connection.fetch(
            "SELECT kind, step_s, count(*) AS n, min(time) AS t FROM candles "
            "WHERE symbol = 'XRP-USDT-PERP' GROUP BY 1, 2 ORDER BY 1, 2"
        )
        funding = await history.funding_histories(connection, "binance", ["XRP-USDT-PERP"])
        return rows, funding["XRP-USDT-PERP"]

    rows, funding = ask(dsn, steps)
    assert [(r["kind"], r["step_s"]) for r in rows] == [
        ("mark", 3600), ("mark", 28_800), ("trade", 300), ("trade", 3600),
    ]  # fmt: skip
    assert len({r["t"] for r in rows}) > 1, "each step covers its own dates"
    assert (funding.times % (8 * HOUR) == 0).all(), "stamps are put on the grid"
    assert np.abs(funding.rates).max() < 0.01, "the rate stands in the column open"


@pytest.mark.db
def test_funding_of_several_exchanges_keeps_its_holes(dsn, tmp_path, data_dir):
    folder = data_dir / "risk" / "funding_history"
    found = run(tmp_path, "--files", folder)
    assert found["missing"] == {}

    async def read(connection):
        return [
            (await history.funding_histories(connection, exchange, [symbol]))[symbol]
            for exchange, symbol in (("binance", SYMBOLS[0]), ("hyperliquid", "BTC-USDC-PERP"))
        ]

    binance, hyperliquid = ask(dsn, read)
    assert (binance.times % HOUR == 0).all()
    assert np.diff(hyperliquid.times).max() >= 200 * HOUR
    assert len(binance) + len(hyperliquid) < sum(found["rows_read"].values())


@pytest.mark.db
def test_broken_tiers_are_noted_and_the_others_are_stored(dsn, tmp_path):
    folder = tmp_path / "files"
    folder.mkdir()

    def table(symbol, second):
        bounds = [(0.0, 1000.0, 0.01), (second, 5000.0, 0.02)]
        return TierTable.of(
            symbol,
            [
                LeverageTier(
                    min_notional=a, max_notional=b, maintenance_margin_rate=m, max_leverage=20.0
                )
                for a, b, m in bounds
            ],
        )

    book = TierBook([table("BTC/USDT:USDT", 1000.0), table("ETH/USDT:USDT", 2000.0)])
    write_tiers(book, folder / "binance_tiers.json.gz")
    found = run(tmp_path, "--files", folder)
    assert found["rows_read"] == {"leverage_tiers": 1}
    assert list(found["missing"]) == ["binance_tiers.json.gz ETH/USDT:USDT"]
    assert "floor 2000 after cap 1000" in found["missing"]["binance_tiers.json.gz ETH/USDT:USDT"]


@pytest.mark.db
def test_the_published_brackets_are_kept_under_their_full_symbols(dsn, tmp_path, data_dir):
    folder = tmp_path / "files"
    folder.mkdir()
    name = "binance_leverage_tiers_2024-10.json.gz"
    (folder / name).symlink_to(data_dir / "risk" / name)
    found = run(tmp_path, "--files", folder)
    assert found["rows_written"] + len(found["missing"]) == 349
    asyncio.run(migrate(dsn))

    async def symbols(connection):
        rows = await connection.fetch("SELECT DISTINCT symbol FROM leverage_tiers")
        return {row["symbol"] for row in rows}

    stored = ask(dsn, symbols)
    assert {"BTC-USDT-PERP", "BTC-USDC-PERP"} <= stored
    assert any(name.startswith("BTC-USDT-2") for name in stored), "dated contracts are their own"


def test_names_of_files_are_our_symbols():
    assert symbol_of("XRP_USDT_USDT") == "XRP-USDT-PERP"
    assert symbol_of("SOLUSDT") == "SOL-USDT-PERP"
    assert symbol_of("BTC", "hyperliquid") == "BTC-USDC-PERP"
    assert symbol_of("BTC", "binance") == "BTC-USDT-PERP"


@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        ((), ConfigError, "--symbols"),
        (("--symbols", "BTC/USDT"), UnknownSymbol, "BTC-USDT-PERP"),
        (("--symbols", SYMBOLS[0], "--what", "candle"), ConfigError, "--what out of candles"),
        (("--symbols", SYMBOLS[0], "--since", "soon"), StorageError, "--since like 2026-01-31"),
        (("--symbols", SYMBOLS[0], "--since", "1999-01-01"), StorageError, "between 2000-01-01"),
        (
            ("--symbols", SYMBOLS[0], "--since", "2026-01-02", "--until", "2026-01-01"),
            ConfigError,
            "--since before --until",
        ),
        (("--files", "/nowhere/at/all"), ConfigError, "a folder of histories"),
    ],
)
def test_wrong_input_is_refused_before_anything_starts(tmp_path, arguments, error, says):
    with pytest.raises(error, match=says):
        run(tmp_path, *arguments)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.db
def test_a_venue_without_what_is_wanted_is_an_error_with_its_reason(dsn, venue, tmp_path):
    with pytest.raises(FeedError, match=r"markets.*try again later"):
        run(
            tmp_path,
            *("--set", "feeds.url=http://127.0.0.1:9", "--what", "candles"),
            *("--symbols", SYMBOLS[0], "--since", "2026-01-01"),
        )


def test_the_command_line_ends_with_one_sentence_and_code_2():
    environment = {k: v for k, v in os.environ.items() if not k.startswith("ALPHAPLUS_")}
    done = subprocess.run(
        [sys.executable, "-m", "jobs.backfill", "--symbols", "nonsense", "--json"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 2
    (line,) = done.stdout.splitlines()
    assert json.loads(line)["exit_code"] == 2
    assert "Expected a symbol such as BTC-USDT-PERP" in json.loads(line)["error"]

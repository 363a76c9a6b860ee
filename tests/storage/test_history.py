"""Histories to the database and back: the numbers, the holes, the tiers in force at a time."""

import numpy as np
import pytest

from alphaplus.errors import StorageError
from alphaplus.leverage.tiers import LeverageTier, TierTable
from alphaplus.risk.history_files import CandleHistory, FundingHistory, OpenInterestHistory
from alphaplus.storage import history, history_rows
from alphaplus.storage.tables import MIN_TIME_NS
from alphaplus.storage.writer import Writer
from tests.storage.rows import T0

pytestmark = pytest.mark.db

HOUR = 3600 * 10**9
SYMBOLS = ["BTC-USDT-PERP", "ETH-USDT-PERP", "SOL-USDT-PERP"]


def candles(count, start=T0, step=HOUR, seed=1):
    random = np.random.default_rng(seed)
    close = 100 * np.exp(np.cumsum(random.normal(0, 0.01, count)))
    opened = np.concatenate(([100.0], close[:-1]))
    return CandleHistory(
        times=start + step * np.arange(count),
        open=opened,
        high=np.maximum(opened, close) * 1.001,
        low=np.minimum(opened, close) * 0.999,
        close=close,
        volume=random.uniform(1, 2, count),
    )


def tiers(symbol="BTC/USDT:USDT", rate=0.004, **times):
    rows = [(0, 50_000, rate, 125), (50_000, 600_000, 0.005, 100), (600_000, 3e6, 0.01, 50)]
    return TierTable.of(
        symbol,
        [
            LeverageTier(
                min_notional=a, max_notional=b, maintenance_margin_rate=m, max_leverage=leverage
            )
            for a, b, m, leverage in rows
        ],
        source="exchange",
        **times,
    )


def tier_batch(table):
    batch, refused = history_rows.tier_rows("binance", table, recv_ns=T0)
    assert refused == 0
    return batch


async def write(dsn, folder, *batches):
    """Write batches and return how many rows were new."""
    async with Writer(dsn, folder) as writer:
        for batch in batches:
            await writer.accept([batch])
            await writer.drain()
        assert writer.stats.dead == 0
        return writer.stats.written


def test_settlements_go_to_their_full_hour_and_strange_stamps_stay():
    stamps = np.array([T0 + 7_000_000, T0 + HOUR - 12_000_000, T0 + 1800 * 10**9])
    assert history_rows.settlement_times(stamps).tolist() == [T0, T0 + HOUR, stamps[2]]


async def test_candles_come_back_as_they_were_and_once(dsn, connection, tmp_path):
    sent = {symbol: candles(800, seed=at) for at, symbol in enumerate(SYMBOLS[:2])}
    batches = [
        history_rows.candle_rows("binance", s, c, step_ns=HOUR, source="test", recv_ns=T0)[0]
        for s, c in sent.items()
    ]
    assert await write(dsn, tmp_path, *batches) == 1_600
    assert await write(dsn, tmp_path, *batches) == 0
    got = await history.candle_histories(connection, "binance", SYMBOLS[::-1], HOUR)
    assert set(got) == set(sent)
    for symbol, expected in sent.items():
        for name in ("times", "open", "high", "low", "close", "volume"):
            assert getattr(got[symbol], name).tolist() == getattr(expected, name).tolist()
    for other in ({"step_ns": HOUR // 60}, {"kind": "mark"}):
        asked = {"step_ns": HOUR, **other}
        assert await history.candle_histories(connection, "binance", SYMBOLS, **asked) == {}
    assert await history.candle_histories(connection, "okx", SYMBOLS, HOUR) == {}


async def test_a_range_of_candles_excludes_its_end(dsn, connection, tmp_path):
    batch, _ = history_rows.candle_rows(
        "binance", SYMBOLS[0], candles(10), step_ns=HOUR, kind="mark", source="test", recv_ns=T0
    )
    await write(dsn, tmp_path, batch)
    got = await history.candle_histories(
        connection, "binance", SYMBOLS, HOUR, start_ns=T0 + HOUR, end_ns=T0 + 4 * HOUR, kind="mark"
    )
    assert (got[SYMBOLS[0]].times - T0).tolist() == [HOUR, 2 * HOUR, 3 * HOUR]
    assert np.isnan(got[SYMBOLS[0]].volume).all()
    with pytest.raises(StorageError, match="from its start to its end"):
        await history.candle_histories(connection, "binance", SYMBOLS, HOUR, start_ns=T0, end_ns=T0)


def test_impossible_candles_are_left_out_and_counted():
    broken = candles(8)
    broken.close[1], broken.high[2], broken.low[3], broken.open[4] = np.nan, 1.0, 1e9, -1.0
    broken.times[5] += 1
    broken.volume[6] = -1.0
    batch, refused = history_rows.candle_rows(
        "binance", SYMBOLS[0], broken, step_ns=HOUR, source="test", recv_ns=T0
    )
    assert refused == 5
    assert ((batch.rows["time"] - T0) // HOUR).tolist() == [0, 6, 7]
    assert np.isnan(batch.rows["volume"]).tolist() == [False, True, False]


async def test_funding_and_open_interest_come_back(dsn, connection, tmp_path):
    stamps = T0 + 8 * HOUR * np.arange(5) + np.array([3, 0, 11, 0, 0]) * 1_000_000
    stamps = np.insert(stamps, 1, stamps[0] + 1_000_000)  # the same settlement once more
    rates = np.array([1e-4, 2e-4, -1e-4, np.nan, 3e-4, 4e-4])
    funding, refused = history_rows.funding_rows(
        "binance", SYMBOLS[0], FundingHistory(times=stamps, rates=rates), recv_ns=T0
    )
    assert refused == 2
    interest, refused = history_rows.open_interest_rows(
        "binance",
        SYMBOLS[0],
        OpenInterestHistory(
            times=T0 + HOUR * np.arange(3),
            base=np.array([5.0, np.nan, -1.0]),
            usd=np.array([500.0, 600.0, np.nan]),
        ),
        recv_ns=T0,
    )
    assert refused == 1
    assert await write(dsn, tmp_path, funding, interest) == 6
    assert await write(dsn, tmp_path, funding, interest) == 0
    got = (await history.funding_histories(connection, "binance", SYMBOLS))[SYMBOLS[0]]
    assert ((got.times - T0) // HOUR).tolist() == [0, 8, 24, 32]
    assert got.rates.tolist() == [1e-4, -1e-4, 3e-4, 4e-4]
    raw = await connection.fetchval(
        "SELECT count(*) FROM enhanced_funding_rates WHERE raw_time > time"
    )
    assert raw == 1
    opened = (await history.open_interest_histories(connection, "binance", SYMBOLS))[SYMBOLS[0]]
    assert opened.usd.tolist() == [500.0, 600.0]
    assert np.isnan(opened.base).tolist() == [False, True]


async def test_tiers_are_kept_when_they_change_and_found_by_time(dsn, connection, tmp_path):
    assert await history.tier_book(connection, "binance", T0) is None
    day = 24 * HOUR
    rates = [0.004, 0.004, 0.003, 0.004]
    asked = [tier_batch(tiers(rate=r, effective_from=T0 + n * day)) for n, r in enumerate(rates)]
    assert await write(dsn, tmp_path, *asked) == 3, "the second says the same as the first"
    assert await write(dsn, tmp_path, *asked) == 0
    for at, rate in ((T0, 0.004), (T0 + day, 0.004), (T0 + 2 * day, 0.003), (T0 + 9 * day, 0.004)):
        book = await history.tier_book(connection, "binance", at)
        table = book.table("BTC-USDT-PERP", at)
        assert table.tiers[0].maintenance_margin_rate == rate
        assert table.hash == tiers(rate=rate).hash
    assert await history.tier_book(connection, "binance", T0 - 1) is None
    assert await history.tier_book(connection, "okx", T0) is None


async def test_tiers_without_a_date_hold_since_ever_and_ended_ones_are_not_in_force(
    dsn, connection, tmp_path
):
    ended = tiers("ETH/USDT:USDT", effective_from=T0, effective_to=T0 + HOUR)
    await write(dsn, tmp_path, tier_batch(tiers()), tier_batch(ended))
    book = await history.tier_book(connection, "binance", T0 + HOUR)
    assert list(book.tables) == ["BTC/USDT:USDT"]
    assert book.table("BTC-USDT-PERP").effective_from is None
    book = await history.tier_book(connection, "binance", T0)
    assert set(book.tables) == {"BTC/USDT:USDT", "ETH/USDT:USDT"}
    assert book.table("ETH-USDT-PERP", T0).effective_to == T0 + HOUR
    assert await connection.fetchval("SELECT min(time) FROM leverage_tiers") is not None
    assert tier_batch(tiers()).rows["time"][0] == MIN_TIME_NS


def test_tiers_that_no_row_holds_are_refused():
    many = [
        LeverageTier(
            min_notional=float(n),
            max_notional=float(n + 1),
            maintenance_margin_rate=1e-3,
            max_leverage=10.0,
        )
        for n in range(1000)
    ]
    for table in (TierTable.of("BTC/USDT:USDT", many), tiers("BTC-USD")):
        assert history_rows.tier_rows("binance", table, recv_ns=T0) == (None, 1)

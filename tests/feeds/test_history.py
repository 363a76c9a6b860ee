"""Histories through the real ccxt client from the local venue, and from clients that misbehave."""

import time

import ccxt
import numpy as np
import pytest
from pydantic import SecretStr

from alphaplus.errors import ConfigError, FeedError, UnknownSymbol
from alphaplus.feeds.history import ATTEMPTS, HistoryClient, history_client, open_client
from alphaplus.feeds.pacing import Backoff
from alphaplus.venue.process import VenueProcess

HOUR = 3600 * 10**9
DAY = 24 * HOUR
BTC, ETH = "BTC-USDT-PERP", "ETH-USDT-PERP"


@pytest.fixture(scope="module")
def venue():
    with VenueProcess(["--symbols", "2"]) as process:
        yield process


@pytest.fixture
async def client(venue):
    made = history_client("binance", (), base_url=venue.url)
    yield made
    await made.close()


async def instrument_of(client, symbol=BTC):
    return (await client.instruments([symbol]))[symbol]


async def test_candles_come_in_pages_closed_and_without_a_hole(client):
    instrument = await instrument_of(client)
    now = time.time_ns()
    start = (now - 60 * DAY) // HOUR * HOUR + 1
    pages = [
        page async for page in client.candles(instrument, step_ns=HOUR, start_ns=start, end_ns=now)
    ]
    assert [len(page) for page in pages][:-1] == [1000]
    times = np.concatenate([page.times for page in pages])
    assert (np.diff(times) == HOUR).all()
    assert times[0] == start - 1 + HOUR
    assert now - 2 * HOUR <= times[-1] <= now - HOUR, "the open candle is left out"
    closes = np.concatenate([page.close for page in pages])
    opens = np.concatenate([page.open for page in pages])
    assert closes[:-1] == pytest.approx(opens[1:])
    assert (np.concatenate([page.volume for page in pages]) > 0).all()


async def test_mark_candles_and_minutes(client):
    instrument = await instrument_of(client)
    start = time.time_ns() // HOUR * HOUR - 5 * HOUR
    span = {"step_ns": HOUR // 60, "start_ns": start, "end_ns": start + HOUR}
    (trades,) = [page async for page in client.candles(instrument, **span)]
    (marks,) = [page async for page in client.candles(instrument, **span, mark=True)]
    assert len(trades) == len(marks) == 60
    assert marks.close == pytest.approx(trades.close, rel=1e-3)
    assert (marks.volume == 0).all()
    with pytest.raises(ConfigError, match="Expected a step out of 1s, 1m, 3m"):
        async for _ in client.candles(instrument, step_ns=7, start_ns=start, end_ns=start + 1):
            pass


async def test_funding_is_settled_every_eight_hours(client):
    instrument = await instrument_of(client)
    now = time.time_ns()
    pages = [page async for page in client.funding(instrument, start_ns=now - 30 * DAY, end_ns=now)]
    times = np.concatenate([page.times for page in pages])
    assert (np.diff(times) == 8 * HOUR).all()
    assert 89 <= len(times) <= 91
    assert times[-1] <= now
    assert np.abs(np.concatenate([page.rates for page in pages])).max() < 3e-3


async def test_open_interest_goes_back_as_far_as_the_venue_tells(client):
    instrument = await instrument_of(client, ETH)
    now = time.time_ns()
    pages = [
        page
        async for page in client.open_interest(
            instrument, step_ns=HOUR, start_ns=now - 90 * DAY, end_ns=now
        )
    ]
    times = np.concatenate([page.times for page in pages])
    assert (np.diff(times) == HOUR).all()
    assert now - 30 * DAY < times[0] < now - 30 * DAY + 3 * HOUR
    base = np.concatenate([page.base for page in pages])
    usd = np.concatenate([page.usd for page in pages])
    assert (usd / base > 1000).all()


async def test_tiers_are_of_the_symbols_and_in_force_from_now(client):
    before = time.time_ns()
    book = await client.tiers([BTC, ETH])
    assert set(book.tables) == {"BTC/USDT:USDT", "ETH/USDT:USDT"}
    assert book.violations == ()
    table = book.table(BTC, time.time_ns())
    assert before <= table.effective_from <= time.time_ns()
    assert table.tiers[0].max_leverage == 125
    assert (book.venue, table.source) == ("binance", "binanceusdm by ccxt")
    assert list((await client.tiers([ETH])).tables) == ["ETH/USDT:USDT"]


async def test_an_unknown_symbol_and_an_unknown_exchange_are_named(client):
    with pytest.raises(UnknownSymbol, match="does not list BTC-USDC-PERP; did you mean"):
        await client.instruments(["BTC-USDC-PERP"])
    with pytest.raises(ConfigError, match="no exchange 'binanse'; did you mean binance"):
        open_client("binanse", ())


async def test_a_key_is_used_and_never_shown(venue):
    key, secret = SecretStr("hunter1"), SecretStr("hunter2")
    real = open_client("binance", (), api_key=key, api_secret=secret)
    local = open_client("binance", (), base_url=venue.url, api_key=key, api_secret=secret)
    bare = open_client("binance", ())
    try:
        assert (real.apiKey, real.secret) == ("hunter1", "hunter2")
        assert local.apiKey == local.secret == "local"
        assert not bare.apiKey
        with pytest.raises(FeedError, match=r"ALPHAPLUS_FEEDS__API_KEY.*risk.tiers_file") as caught:
            await fake_client(fetch_leverage_tiers=ccxt.AuthenticationError("no")).tiers()
        assert "hunter" not in str(caught.value)
    finally:
        for client in (real, local, bare):
            await client.close()


class Fake:
    """A ccxt client of one market that answers what it is told to."""

    id = "fake"
    precisionMode = 4

    def __init__(self, has, **answers):
        self.timeframes = {"1h": "1h"}
        self.has = has
        self.answers = answers
        self.asked = []

    def parse_timeframe(self, name):
        return 3600

    async def load_markets(self):
        return {
            "BTC/USDT:USDT": {
                "symbol": "BTC/USDT:USDT",
                "id": "BTC",
                "contract": True,
                "precision": {"price": 0.1, "amount": 0.1},
            }
        }

    def __getattr__(self, name):
        if name not in self.answers:
            raise AttributeError(name)

        async def answer(*arguments, since=None, **rest):
            self.asked.append(since)
            found = self.answers[name]
            if callable(found):
                found = found(since)
            if isinstance(found, Exception):
                raise found
            return found

        return answer


def fake_client(has=None, **answers):
    offered = has or {
        "fetchOHLCV": True,
        "fetchFundingRateHistory": True,
        "fetchOpenInterestHistory": True,
        "fetchLeverageTiers": True,
    }
    waits = []

    async def sleep(seconds):
        waits.append(seconds)

    made = HistoryClient(
        Fake(offered, **answers),
        "fake",
        pause_s=0.5,
        backoff=Backoff(first_s=1.0, cap_s=8.0, jitter=0.0),
        clock=lambda: 1000 * HOUR,
        sleep=sleep,
    )
    made.waits = waits
    return made


def hours(*numbers):
    return [[n * 3_600_000, 1.0, 2.0, 0.5, 1.5, 3.0] for n in numbers]


async def candles_of(client, start, end):
    instrument = (await client.instruments([BTC]))[BTC]
    return [
        int(time_ns // HOUR)
        async for page in client.candles(
            instrument, step_ns=HOUR, start_ns=start * HOUR, end_ns=end * HOUR
        )
        for time_ns in page.times
    ]


async def test_a_venue_that_answers_for_windows_only_is_asked_on():
    def window(since):
        first = since // 3_600_000
        return hours(*(n for n in range(first, first + 1000) if n >= 700))

    client = fake_client(fetch_ohlcv=lambda since: [] if since < 3_600_000 else window(since))
    assert await candles_of(client, 0, 900) == []
    client = fake_client(fetch_ohlcv=window)
    assert await candles_of(client, 0, 900) == list(range(700, 900))


async def test_rows_outside_twice_or_out_of_order_are_taken_once():
    client = fake_client(fetch_ohlcv=lambda since: hours(3, 2, 2, 1, 9, 0))
    assert await candles_of(client, 1, 4) == [1, 2, 3]
    assert await candles_of(client, 4, 5) == []


async def test_a_venue_that_forgets_what_was_asked_ends():
    client = fake_client(fetch_ohlcv=lambda since: hours(1, 2, 3))
    assert await candles_of(client, 0, 999) == [1, 2, 3]
    assert len(client._client.asked) <= 4


async def test_the_open_candle_is_not_told_whatever_is_asked():
    client = fake_client(fetch_ohlcv=lambda since: hours(997, 998, 999, 1000, 1001))
    assert await candles_of(client, 990, 2000) == [997, 998, 999]


async def test_a_failed_request_is_repeated_with_growing_waits_then_given_up():
    failures = [ccxt.NetworkError("down"), ccxt.RateLimitExceeded("slow"), hours(1)]
    client = fake_client(fetch_ohlcv=lambda since: failures.pop(0) if failures else [])
    assert await candles_of(client, 1, 2) == [1]
    assert client.waits == [0.5, 1.0, 0.5, 2.0, 0.5]
    client = fake_client(fetch_ohlcv=ccxt.NetworkError("down at http://10.0.0.1:80"))
    with pytest.raises(
        FeedError, match=rf"candles of {BTC} .*{ATTEMPTS} times; try again"
    ) as caught:
        await candles_of(client, 1, 2)
    assert "10.0.0.1" not in str(caught.value)
    client = fake_client(fetch_ohlcv=ccxt.BadRequest("no such thing"))
    with pytest.raises(FeedError, match="BadRequest"):
        await candles_of(client, 1, 2)
    assert len(client._client.asked) == 1, "what is wrong stays wrong"


async def test_what_ccxt_does_not_offer_is_said():
    client = fake_client(has={"fetchOHLCV": False})
    with pytest.raises(FeedError, match=r"candles of .* does not offer"):
        await candles_of(client, 1, 2)
    with pytest.raises(FeedError, match=r"leverage tiers .* does not offer"):
        await client.tiers()


async def test_tiers_of_one_market_at_a_time_where_a_venue_has_only_these():
    tier = {"minNotional": 0, "maxNotional": 100, "maintenanceMarginRate": 0.01, "maxLeverage": 10}
    client = fake_client(
        has={"fetchMarketLeverageTiers": True}, fetch_market_leverage_tiers=[{**tier, "info": {}}]
    )
    assert (await client.tiers()).table(BTC).tiers[0].max_leverage == 10


async def test_values_that_a_venue_leaves_out_are_unknown():
    rows = [
        {"timestamp": 3_600_000, "openInterestAmount": None, "openInterestValue": 5.0},
        {"timestamp": 7_200_000, "openInterestAmount": 2.0, "openInterestValue": None},
    ]
    client = fake_client(fetch_open_interest_history=rows)
    instrument = (await client.instruments([BTC]))[BTC]
    (page,) = [
        page
        async for page in client.open_interest(
            instrument, step_ns=HOUR, start_ns=0, end_ns=3 * HOUR
        )
    ]
    assert np.isnan(page.base).tolist() == [True, False]
    assert np.isnan(page.usd).tolist() == [False, True]


@pytest.mark.parametrize(
    ("symbol", "ccxt_id"),
    [("BTC-USD-BTC-PERP", "binancecoinm"), ("BTC-USDT-SPOT", "binance")],
)
async def test_other_markets_of_binance_are_asked_their_own_way(symbol, ccxt_id):
    client = open_client("binance", [symbol])
    try:
        assert client.id == ccxt_id
        for name in ("fetchOHLCV", "fetchMarkOHLCV", "fetchFundingRateHistory"):
            assert client.has[name]
    finally:
        await client.close()

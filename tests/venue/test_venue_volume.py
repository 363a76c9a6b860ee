"""Volumes of 24 hours at the local venue: a window that rolls, and what stands in before."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import orjson
import pytest
from aiohttp import ClientSession
from hypothesis import given, settings
from hypothesis import strategies as st

from alphaplus.venue.capture_source import CaptureSource
from alphaplus.venue.generated_source import GeneratedSource
from alphaplus.venue.process import VenueProcess
from alphaplus.venue.protocol import Channel, ticker_24h
from alphaplus.venue.recording import read_recording
from alphaplus.venue.rolling_volume import DAY_S, RollingVolume
from tests.venue.recordings import recorded_lines, write_recording

Trade = tuple[float, float]


def plain_day(trades: Sequence[Trade], at_s: float, expected: float) -> float:
    """Sum the trades of the 1,440 minutes that end with that of `at_s`, scaled to a day."""
    first = at_s // 60 - 1439
    traded = sum(base for time, base in trades if time // 60 >= first)
    if at_s >= DAY_S:
        return traded
    prior_s = 60 - 60 * at_s / DAY_S
    return (traded + expected * prior_s) * DAY_S / (at_s + prior_s)


@given(
    gaps=st.lists(st.tuples(st.floats(0, 9_000), st.floats(0.1, 100)), max_size=40),
    wait=st.floats(0, 2 * DAY_S),
)
@settings(max_examples=100)
def test_volume_equals_a_plain_twin(gaps: list[Trade], wait: float) -> None:
    volume, trades, now = RollingVolume(0.5, 20.0), [], 0.0
    for gap, base in gaps:
        now += gap
        trades.append((now, base))
        volume.add(now, base, 40 * base)
    for at_s in (now, now + wait):
        base, quote = volume.day(at_s)
        assert base == pytest.approx(plain_day(trades, at_s, 0.5), rel=1e-9)
        assert quote == pytest.approx(40 * base, rel=1e-9, abs=1e-9)


def test_memory_holds_a_day_of_minutes() -> None:
    volume = RollingVolume(1.0, 1.0)
    for minute in range(10_000):
        volume.add(60.0 * minute, 1.0, 2.0)
    assert len(volume._buckets) == 1440
    assert volume.day(60.0 * 9_999) == (1440.0, 2880.0)


def test_generated_volume_is_plausible_from_the_start_and_nears_what_is_traded() -> None:
    source = GeneratedSource(3, 7)
    for index, market in enumerate(source._markets):
        first = source.ticker(index, 0)
        traded = 0.0
        for _ in range(3000):
            for channel, payload in market.step(0.1, 0):
                if channel is Channel.TRADE:
                    traded += float(orjson.loads(payload)["q"])
        day = traded * DAY_S / 300
        assert source.ticker(index, 0).volume == pytest.approx(day, rel=0.2)
        assert day / 3 < first.volume < 3 * day
        price = first.quote_volume / first.volume
        assert price == pytest.approx(first.last, rel=1e-3)


def test_a_recording_states_its_own_rate_whatever_the_place_in_it(tmp_path: Path) -> None:
    path = write_recording(tmp_path / "part.raw.gz", recorded_lines(40))
    recording = read_recording(path)
    quantities, prices = recording.trades.quantity, recording.trades.price
    span_s = (recording.times[-1] - recording.times[0]) / 1e9
    expected = sum(quantities) / span_s * DAY_S
    assert expected > 0
    ticker = CaptureSource(recording, 1).ticker(0, 0)  # before the first line is played
    assert ticker.volume == pytest.approx(expected, rel=1e-12)
    notional = float(np.dot(prices, quantities))
    assert ticker.quote_volume == pytest.approx(notional / span_s * DAY_S, rel=1e-12)


def test_a_recording_without_trades_states_none(tmp_path: Path) -> None:
    lines = [line for line in recorded_lines(20) if b'"trade"' not in line]
    path = write_recording(tmp_path / "depth.raw.gz", lines)
    source = CaptureSource(read_recording(path), 1)
    told = ticker_24h(source.listings[0], source.ticker(0, 0))
    assert (float(told["volume"]), float(told["quoteVolume"])) == (0.0, 0.0)


async def test_the_venue_answers_for_one_symbol_as_binance_does() -> None:
    with VenueProcess(["--symbols", "2"]) as venue:
        url = f"{venue.url}/fapi/v1/ticker/24hr?symbol=ETHUSDT"
        async with ClientSession() as session, session.get(url) as answer:
            told = await answer.json()
            assert int(answer.headers["X-MBX-USED-WEIGHT-1M"]) == 1
    assert told["symbol"] == "ETHUSDT"
    assert told["closeTime"] - told["openTime"] == 86_400_000
    price = float(told["quoteVolume"]) / float(told["volume"])
    assert price == pytest.approx(float(told["lastPrice"]), rel=0.05)

"""The venue's volume of 24 hours: three markets' answers, bad ones, and its place in the order."""

import math
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest

from alphaplus.events import EventArray, Flag, Kind
from alphaplus.feeds.binance import FrameError
from alphaplus.feeds.capture import EventCapture, RawRecorder
from alphaplus.feeds.day_volume import day_volume
from alphaplus.feeds.market_feed import MarketFeed
from alphaplus.feeds.replay import replay
from alphaplus.instruments import Instrument, InstrumentKind
from tests.feeds.synthetic import is_snapshot, market
from tests.feeds.test_market_feed import feed_of

RECEIVED = 1_700_000_000_123_456_789
CLOSED_MS = 1_700_000_000_000
LINEAR = Instrument(
    symbol="BTC-USDT-PERP",
    exchange="binance",
    venue_symbol="BTCUSDT",
    tick_size=Decimal("0.1"),
    lot_size=Decimal("0.001"),
)
SPOT = Instrument(
    symbol="BTC-USDT-SPOT",
    exchange="binance",
    venue_symbol="BTCUSDT",
    tick_size=Decimal("0.01"),
    lot_size=Decimal("0.00001"),
    kind=InstrumentKind.SPOT,
)
INVERSE = Instrument(
    symbol="BTC-USD-BTC-PERP",
    exchange="binance",
    venue_symbol="BTCUSD_PERP",
    tick_size=Decimal("0.1"),
    lot_size=Decimal(1),
    contract_size=100.0,
    inverse=True,
)


def answer(instrument: Instrument = LINEAR, **changes: Any) -> dict[str, Any]:
    """An answer in the venue's form; a change to None takes the field out."""
    amounts = {"volume": "312044.715", "quoteVolume": "17861438000.25"}
    if instrument.inverse:
        amounts = {"volume": "53132909", "baseVolume": "92847.10358263"}
    fields = {
        "symbol": instrument.venue_symbol,
        "priceChange": "-12.5",
        "weightedAvgPrice": "57240.00",
        "lastPrice": "57245.1",
        **amounts,
        "openTime": CLOSED_MS - 86_400_000,
        "closeTime": CLOSED_MS,
        "count": 4021,
        **changes,
    }
    return {name: value for name, value in fields.items() if value is not None}


@pytest.mark.parametrize(
    ("instrument", "volume", "turnover"),
    [
        (LINEAR, 312044.715, 17861438000.25),
        (SPOT, 312044.715, 17861438000.25),
        (INVERSE, 92847.10358263, 5313290900.0),
    ],
)
def test_each_market_gives_base_units_and_quote_currency(
    instrument: Instrument, volume: float, turnover: float
) -> None:
    feed = MarketFeed([instrument])
    output = feed.on_frames([orjson.dumps(answer(instrument))], [RECEIVED])
    (batch,) = output.batches
    assert batch.events["kind"].tolist() == [Kind.VOLUME_24H, Kind.TURNOVER_24H]
    assert batch.events["value"].tolist() == [volume, turnover]
    assert batch.events["ts_event"].tolist() == [CLOSED_MS * 1_000_000] * 2
    assert batch.events["ts_recv"].tolist() == [RECEIVED] * 2
    assert batch.events["flags"].tolist() == [0, Flag.LAST]
    assert feed.counters.other_frames == 0


def test_contracts_of_a_linear_instrument_become_base_units() -> None:
    lots = Instrument(
        symbol="BTC-USDT-PERP",
        exchange="binance",
        venue_symbol="BTCUSDT",
        tick_size=Decimal("0.1"),
        lot_size=Decimal(1),
        contract_size=0.01,
    )
    found = day_volume(answer(lots, volume="250"), lots, RECEIVED)
    assert not isinstance(found, FrameError)
    assert found["value"].tolist() == [2.5, 17861438000.25]


def test_without_a_time_it_is_of_the_moment_of_receipt_and_nothing_traded_is_a_volume() -> None:
    told = answer(closeTime=None, volume="0.000", quoteVolume="0.00")
    found = day_volume(told, LINEAR, RECEIVED)
    assert not isinstance(found, FrameError)
    assert found["ts_event"].tolist() == [RECEIVED] * 2
    assert found["value"].tolist() == [0.0, 0.0]


BAD = [
    (LINEAR, {"volume": None}, FrameError.FIELD),
    (LINEAR, {"quoteVolume": None}, FrameError.FIELD),
    (LINEAR, {"volume": 312044.715}, FrameError.FIELD),
    (LINEAR, {"volume": "-1"}, FrameError.NUMBER),
    (LINEAR, {"volume": "NaN"}, FrameError.NUMBER),
    (LINEAR, {"volume": "sNaN"}, FrameError.NUMBER),
    (LINEAR, {"quoteVolume": "Infinity"}, FrameError.NUMBER),
    (LINEAR, {"quoteVolume": "1e999"}, FrameError.NUMBER),
    (LINEAR, {"quoteVolume": ""}, FrameError.NUMBER),
    (LINEAR, {"closeTime": "now"}, FrameError.FIELD),
    (LINEAR, {"closeTime": -1}, FrameError.NUMBER),
    (LINEAR, {"closeTime": 10**16}, FrameError.NUMBER),
    (INVERSE, {"baseVolume": None}, FrameError.FIELD),
    (INVERSE, {"volume": "-5"}, FrameError.NUMBER),
]


@pytest.mark.parametrize(("instrument", "changes", "reason"), BAD)
def test_bad_answer_is_counted_and_handed_out_and_makes_no_event(
    instrument: Instrument, changes: dict[str, Any], reason: FrameError
) -> None:
    feed = MarketFeed([instrument])
    frame = orjson.dumps(answer(instrument, **changes))
    output = feed.on_frames([frame], [RECEIVED])
    assert output.batches == []
    (letter,) = output.dead_letters
    assert (letter.reason, letter.frame, letter.instrument) == (reason, frame, 0)
    assert feed.instrument_counters(0).bad_frames == 1


def test_answer_of_nobody_or_of_a_stranger_makes_no_event() -> None:
    feed = MarketFeed([LINEAR])
    frames = [
        orjson.dumps(answer(symbol="ETHUSDT")),
        orjson.dumps(answer(symbol=None)),
        orjson.dumps([answer()]),
        orjson.dumps(answer())[:-20],
    ]
    output = feed.on_frames(frames, [RECEIVED] * 4)
    assert output.batches == []
    assert [letter.reason.name for letter in output.dead_letters] == ["FIELD", "SYNTAX"]
    assert feed.counters.unknown_symbol_frames == 1
    assert feed.counters.other_frames == 1  # a list, which is not the answer to our question


def with_answers(lines: list[tuple[int, bytes]]) -> list[tuple[int, bytes]]:
    """The lines of a venue, with an answer after every twentieth; volumes count up."""
    found = []
    for number, (ts_recv, frame) in enumerate(lines):
        found.append((ts_recv, frame))
        if number % 20 == 19:
            told = answer(volume=str(number), closeTime=ts_recv // 1_000_000)
            found.append((ts_recv, orjson.dumps(told)))
    return found


def events_of(lines: list[tuple[int, bytes]], size: int) -> EventArray:
    feed = feed_of(market())
    parts = []
    for at in range(0, len(lines), size):
        part = lines[at : at + size]
        hints = [0 if is_snapshot(line) else -1 for line in part]
        output = feed.on_frames([f for _, f in part], [ts for ts, _ in part], hints)
        parts += [batch.events for batch in output.batches]
    events: EventArray = np.concatenate(parts)
    events["value"] = np.nan_to_num(events["value"], nan=-1.0)  # so that equal is equal
    return events


def test_it_keeps_its_place_whatever_the_batches() -> None:
    lines = with_answers(market().lines)
    whole = events_of(lines, 10_000)
    told = whole["value"][whole["kind"] == Kind.VOLUME_24H]
    assert told.tolist() == [19.0 + 20 * n for n in range(len(market().lines) // 20)]
    assert len(told) > 5
    for size in (1, 7, 50):
        assert np.array_equal(events_of(lines, size), whole)


def test_recordings_keep_it(tmp_path: Path) -> None:
    lines = with_answers(market().lines)
    recorder = RawRecorder(tmp_path, "binance")
    for ts_recv, frame in lines:
        recorder.write(frame, ts_recv)
    recorder.close()
    parquet = tmp_path / "events.parquet"
    report = replay(recorder.paths[0], record=parquet)
    assert (report.other_frames, report.bad_frames) == (0, 0)
    assert replay(parquet).book_hash == report.book_hash
    events = EventCapture.read(parquet).events
    whole = events_of(lines, 10_000)
    for kind in (Kind.VOLUME_24H, Kind.TURNOVER_24H):
        kept = events["value"][events["kind"] == kind]
        assert kept.tolist() == whole["value"][whole["kind"] == kind].tolist()
        assert len(kept)
        assert math.isfinite(kept.sum())

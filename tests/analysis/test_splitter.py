"""Pieces of a stream: nothing is lost, nothing depends on how the stream is cut."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alphaplus.analysis.splitter import MAX_AHEAD_NS, NEVER, EventSplitter
from alphaplus.analysis.tape import DayVolume
from alphaplus.events import EventArray, FeedStatus, Flag, Kind, Side, empty_events, event, plain
from tests.book.events import cut, message, snapshot, ticker

VALUES = (
    Kind.MARK_PRICE,
    Kind.INDEX_PRICE,
    Kind.FUNDING_RATE,
    Kind.OPEN_INTEREST,
    Kind.VOLUME_24H,
    Kind.TURNOVER_24H,
)


def trade(identity: int, side: Side, off_market: bool = False, ts: int = 1) -> EventArray:
    flags = Flag.LAST | Flag.OFF_MARKET if off_market else Flag.LAST
    return event(
        Kind.TRADE,
        ts_recv=ts,
        sequence=identity,
        side=side,
        price_tick=100 + identity,
        value=0.5,
        flags=flags,
    )


@st.composite
def streams(draw: st.DrawFn) -> EventArray:
    parts = [empty_events()]
    time = 10
    for number in range(1, draw(st.integers(1, 25))):
        time += draw(st.integers(-2, 5))
        choice = draw(st.integers(0, 5))
        if choice == 0:
            parts.append(message([(Side.BID, 9, 1.0), (Side.ASK, 12, 0.0)], number, time))
        elif choice == 1:
            parts.append(ticker((9, 1.0 + number), (12, 2.0), number, time))
        elif choice == 2:
            parts.append(trade(number, Side.BID, draw(st.booleans()), time))
        elif choice == 3:
            kind = draw(st.sampled_from(VALUES))
            parts.append(event(kind, ts_recv=time, sequence=number, value=float(number)))
        elif choice == 4:
            parts.append(snapshot([(Side.BID, 9, 1.0), (Side.ASK, 12, 1.0)], number, time))
        else:
            status = draw(st.sampled_from(list(FeedStatus)))
            parts.append(event(Kind.STATUS, ts_recv=time, value=float(status)))
    return np.concatenate(parts)


def read_all(batches: list[EventArray], due: int = NEVER) -> tuple[EventSplitter, list[object]]:
    """Everything that the pieces say, row by row, in order."""
    splitter, said = EventSplitter(), []
    for batch in batches:
        events, begin = plain(batch), 0
        while begin < len(events):
            piece = splitter.read(events, begin, due)
            assert piece.end > begin
            said += [("quote", *quote.item()) for quote in piece.quotes]
            said += [("trade", *row.item()) for row in piece.trades]
            said += [] if piece.status is None else [("status", piece.status)]
            begin = piece.end
    return splitter, sorted(said, key=repr)


@settings(max_examples=60)
@given(streams(), st.lists(st.integers(0, 200), max_size=8), st.integers(5, 60))
def test_cutting_a_stream_changes_nothing(events: EventArray, places: list[int], due: int) -> None:
    whole, said = read_all([events])
    parts, again = read_all(cut(events, places), due)
    assert again == said
    assert whole.last.tobytes() == parts.last.tobytes()


def test_the_rows_of_a_piece_hold_until_the_next_batch() -> None:
    parts = [trade(1, Side.BID), day_volume(5.0, 300.0), trade(2, Side.BID)]
    splitter, events = EventSplitter(), plain(np.concatenate(parts))
    first = splitter.read(events, 0, NEVER)
    second = splitter.read(events, first.end, NEVER)
    assert (first.trades["trade_id"].tolist(), second.trades["trade_id"].tolist()) == ([1], [2])
    again = splitter.read(plain(trade(3, Side.ASK)), 0, NEVER)
    assert again.trades["trade_id"].tolist() == [3]


@settings(max_examples=60)
@given(streams())
def test_counts_and_last_values_are_those_of_the_rows(events: EventArray) -> None:
    last = read_all([events])[0].last[0]
    kinds, ends = events["kind"], (events["flags"] & Flag.LAST) != 0
    is_status = kinds == Kind.STATUS
    assert last["messages"] == np.count_nonzero(ends & ~is_status)
    assert last["trades"] == np.count_nonzero(kinds == Kind.TRADE)
    assert last["level_updates"] == np.count_nonzero(kinds == Kind.DEPTH)
    assert last["ts_event"] == max(events["ts_event"][~is_status], default=0)
    for kind in VALUES:
        values = events["value"][kinds == kind]
        assert np.array_equal(
            last[kind.name.lower()], values[-1] if len(values) else np.nan, equal_nan=True
        )


def test_a_message_without_levels_counts_as_message_only() -> None:
    splitter, _ = read_all([message([(Side.BID, 0, 0.0)], 3)])
    assert splitter.last["level_updates"][0] == 0
    assert splitter.last["messages"][0] == 1


def test_a_piece_ends_with_the_book_message_that_is_due() -> None:
    rows = [message([(Side.BID, 9, 1.0), (Side.BID, 8, 1.0)], n, ts=n) for n in range(5)]
    events = plain(np.concatenate(rows))
    piece = EventSplitter().read(events, 0, due=2)
    assert (piece.end, piece.has_levels) == (6, True)


def test_the_first_quote_of_the_venue_begins_a_piece() -> None:
    events = plain(
        np.concatenate((message([(Side.BID, 9, 1.0)], 1), ticker((9, 1.0), (12, 1.0), 2)))
    )
    splitter = EventSplitter()
    first = splitter.read(events, 0, NEVER)
    assert (first.end, len(first.quotes), splitter.has_tickers) == (1, 0, False)
    second = splitter.read(events, first.end, NEVER)
    assert (len(second.quotes), splitter.has_tickers) == (1, True)


def day_volume(volume: float, turnover: float, ts: int = 1) -> EventArray:
    first = event(Kind.VOLUME_24H, ts_recv=ts, value=volume, flags=Flag(0))
    return np.concatenate((first, event(Kind.TURNOVER_24H, ts_recv=ts, value=turnover)))


def test_a_piece_ends_with_the_volume_of_24_hours() -> None:
    parts = [trade(1, Side.BID), day_volume(5.0, 300.0), trade(2, Side.BID), trade(3, Side.ASK)]
    events = plain(np.concatenate(parts))
    splitter = EventSplitter()
    assert splitter.day_volume == DayVolume()
    first = splitter.read(events, 0, NEVER)
    assert (first.end, len(first.trades), first.has_day_volume, first.status) == (3, 1, True, None)
    assert splitter.day_volume == DayVolume(volume=5.0, turnover=300.0)
    second = splitter.read(events, first.end, NEVER)
    assert (second.end, len(second.trades), second.has_day_volume) == (5, 2, False)


@pytest.mark.parametrize("bad", [np.nan, -1.0, np.inf])
def test_an_impossible_volume_of_24_hours_is_unknown(bad: float) -> None:
    splitter = EventSplitter()
    splitter.read(plain(day_volume(bad, 300.0)), 0, NEVER)
    assert splitter.day_volume == DayVolume(volume=None, turnover=300.0)


def test_a_venue_time_far_ahead_of_ours_counts_as_received_and_is_counted() -> None:
    events = trade(1, Side.BID, ts=10)
    events["ts_event"] = 10 + 2 * MAX_AHEAD_NS
    splitter = EventSplitter()
    piece = splitter.read(plain(events), 0, NEVER)
    assert (splitter.ts_event, piece.trades["ts_event"][0]) == (10, 10)
    assert splitter.last["strange_times"][0] == 1

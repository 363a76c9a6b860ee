"""A connection's feed: order, gaps, snapshots, bad frames, and books that stay apart."""

import numpy as np
import orjson

from alphaplus.book import L2Book
from alphaplus.events import EventArray, FeedStatus, Kind, Side
from alphaplus.feeds.binance import FrameError
from alphaplus.feeds.discover import infer_instrument
from alphaplus.feeds.market_feed import FeedOutput, MarketFeed, SnapshotReason
from tests.feeds.synthetic import (
    SyntheticVenue,
    depth_positions,
    is_depth,
    is_snapshot,
    market,
)


def feed_of(*venues: SyntheticVenue, **options: int) -> MarketFeed:
    instruments = [infer_instrument([frame for _, frame in v.lines], v.symbol) for v in venues]
    return MarketFeed(instruments, **options)


class Consumer:
    """What stands behind a feed: a book that applies every batch."""

    def __init__(self, feed: MarketFeed, index: int = 0) -> None:
        self.index = index
        self.book = L2Book(feed.instruments[index])
        self.statuses: list[FeedStatus] = []
        self.events: list[EventArray] = []

    def take(self, output: FeedOutput) -> FeedOutput:
        for batch in output.batches:
            if batch.instrument == self.index:
                self.book.apply(batch.events)
                self.events.append(batch.events)
                status = batch.events["value"][batch.events["kind"] == Kind.STATUS]
                self.statuses += [FeedStatus(int(value)) for value in status]
        return output


def levels_of(venue: SyntheticVenue) -> dict[Side, dict[int, float]]:
    scale = 1000
    return {
        Side.BID: {tick: size / scale for tick, size in venue.bids.items()},
        Side.ASK: {tick: size / scale for tick, size in venue.asks.items()},
    }


def book_levels(book: L2Book) -> dict[Side, dict[int, float]]:
    return {
        side: dict(zip(*(column.tolist() for column in book.levels(side)), strict=True))
        for side in (Side.BID, Side.ASK)
    }


def play(feed: MarketFeed, consumer: Consumer, lines: list, size: int = 1) -> list[FeedOutput]:
    outputs = []
    for at in range(0, len(lines), size):
        part = lines[at : at + size]
        hints = [consumer.index if is_snapshot(line) else -1 for line in part]
        output = feed.on_frames([f for _, f in part], [ts for ts, _ in part], hints)
        outputs.append(consumer.take(output))
    return outputs


def test_book_equals_the_venue_for_every_batch_size_and_market() -> None:
    for is_spot in (False, True):
        hashes = set()
        for size in (1, 7, 1000):
            venue = market(is_spot=is_spot)
            feed = feed_of(venue)
            consumer = Consumer(feed)
            play(feed, consumer, venue.lines, size)
            assert book_levels(consumer.book) == levels_of(venue)
            assert consumer.statuses == [FeedStatus.BUFFERING, FeedStatus.SYNCED]
            counters = feed.instrument_counters(0)
            assert (counters.gaps, counters.resyncs, counters.duplicates) == (0, 0, 0)
            hashes.add(consumer.book.state_hash())
        assert len(hashes) == 1


def test_first_change_asks_for_one_snapshot_and_no_more() -> None:
    venue = SyntheticVenue().run(5)
    outputs = play(feed := feed_of(venue), Consumer(feed), venue.lines)
    wanted = [wish for output in outputs for wish in output.wanted]
    assert [wish.reason for wish in wanted] == [SnapshotReason.FIRST_UPDATE]


def test_nothing_of_the_book_is_forwarded_before_it_is_synchronised() -> None:
    venue = SyntheticVenue().run(20)
    consumer = Consumer(feed := feed_of(venue))
    play(feed, consumer, venue.lines, 4)
    kinds = np.concatenate(consumer.events)["kind"]
    assert set(kinds) == {Kind.TRADE, Kind.BOOK_TICKER, Kind.STATUS}
    assert np.count_nonzero(kinds == Kind.BOOK_TICKER) == 40


def test_lost_change_is_one_gap_and_a_snapshot_heals_it() -> None:
    venue = market(changes=40)
    del venue.lines[depth_positions(venue.lines)[20]]
    consumer = Consumer(feed := feed_of(venue))
    outputs = play(feed, consumer, venue.lines, 3)
    wanted = [wish.reason for output in outputs for wish in output.wanted]
    assert wanted == [SnapshotReason.FIRST_UPDATE, SnapshotReason.GAP]
    assert consumer.statuses[-1] is FeedStatus.RESYNC
    before = len(venue.lines)
    venue.run(3)
    consumer.take(feed.on_snapshot(0, venue.snapshot_payload(), venue.now))
    assert consumer.statuses[-1] is FeedStatus.RESYNC  # no change has reached the snapshot yet
    venue.run(3)
    play(feed, consumer, venue.lines[before:], 2)
    assert book_levels(consumer.book) == levels_of(venue)
    counters = feed.instrument_counters(0)
    assert (counters.gaps, counters.resyncs) == (1, 1)
    assert consumer.statuses[2:] == [FeedStatus.RESYNC, FeedStatus.SYNCED]


def test_futures_join_at_a_snapshot_equal_to_the_last_buffered_change() -> None:
    venue = SyntheticVenue().run(5)
    consumer = Consumer(feed := feed_of(venue))
    play(feed, consumer, venue.lines)
    consumer.take(feed.on_snapshot(0, venue.snapshot_payload(), venue.now))
    assert book_levels(consumer.book) == levels_of(venue)
    assert feed.instrument_counters(0).superseded == 4


def test_duplicated_change_is_ignored_and_counted() -> None:
    venue = market()
    at = depth_positions(venue.lines)[30]
    venue.lines.insert(at + 1, venue.lines[at])
    consumer = Consumer(feed := feed_of(venue))
    play(feed, consumer, venue.lines, 11)
    assert book_levels(consumer.book) == levels_of(venue)
    assert feed.instrument_counters(0).duplicates == 1
    assert feed.instrument_counters(0).gaps == 0


def test_reordered_changes_are_a_gap() -> None:
    venue = market()
    first, second = depth_positions(venue.lines)[30:32]
    lines = venue.lines
    lines[first], lines[second] = lines[second], lines[first]
    consumer = Consumer(feed := feed_of(venue))
    play(feed, consumer, lines, 1000)
    assert feed.instrument_counters(0).gaps == 1
    assert feed.instrument_counters(0).status is FeedStatus.RESYNC


def test_snapshot_too_old_is_asked_for_again() -> None:
    venue = SyntheticVenue()
    old = venue.snapshot_payload()
    venue.run(3)
    lines = venue.lines[2:]
    consumer = Consumer(feed := feed_of(venue))
    play(feed, consumer, lines[1:])
    output = consumer.take(feed.on_snapshot(0, old, venue.now))
    assert [wish.reason for wish in output.wanted] == [SnapshotReason.TOO_OLD]
    assert feed.instrument_counters(0).snapshots_too_old == 1
    consumer.take(feed.on_snapshot(0, venue.snapshot_payload(), venue.now))
    assert book_levels(consumer.book) == levels_of(venue)


def test_answer_that_is_no_snapshot_is_asked_for_again() -> None:
    venue = SyntheticVenue().run(3)
    consumer = Consumer(feed := feed_of(venue))
    play(feed, consumer, venue.lines)
    for payload in (b'{"code":-1003,"msg":"Too many requests"}', b'{"lastUpdateId":', b""):
        output = feed.on_snapshot(0, payload, venue.now)
        assert [wish.reason for wish in output.wanted] == [SnapshotReason.BAD_SNAPSHOT]
    assert feed.instrument_counters(0).bad_frames == 2


def test_torn_frame_is_a_dead_letter_then_a_gap_and_leaves_the_book_alone() -> None:
    venue = market()
    at = depth_positions(venue.lines)[30]
    ts_recv, frame = venue.lines[at]
    torn = frame[: len(frame) // 2]
    venue.lines[at] = (ts_recv, torn)
    consumer = Consumer(feed := feed_of(market()))
    outputs = play(feed, consumer, venue.lines, 5)
    letters = [letter for output in outputs for letter in output.dead_letters]
    assert [(letter.frame, letter.reason, letter.instrument) for letter in letters] == [
        (torn, FrameError.SYNTAX, 0)
    ]
    counters = feed.instrument_counters(0)
    assert (counters.bad_frames, counters.gaps) == (1, 1)


def test_frames_of_nobody_are_counted_apart() -> None:
    venue = market()
    feed = feed_of(venue)
    other = SyntheticVenue(symbol="DOGEUSDT").run(2).lines
    output = feed.on_frames([b"{", b'{"result":null,"id":1}', other[0][1]], [1, 1, 1])
    assert output.batches == []
    assert [letter.instrument for letter in output.dead_letters] == [-1]
    counters = feed.counters
    assert counters.frames == 3
    assert (counters.unattributed_bad_frames, counters.other_frames) == (1, 1)
    assert counters.unknown_symbol_frames == 1


def test_books_of_one_connection_do_not_notice_each_other() -> None:
    left, right = market(), market(symbol="ETHUSDT", seed=2, mid=30_000, start_id=5000)
    del left.lines[depth_positions(left.lines)[20]]
    feed = feed_of(left, right)
    consumers = [Consumer(feed, 0), Consumer(feed, 1)]
    owners = {id(line): index for index, v in enumerate((left, right)) for line in v.lines}
    merged = sorted([*left.lines, *right.lines], key=lambda line: line[0])
    for at in range(0, len(merged), 9):
        part = merged[at : at + 9]
        hints = [owners[id(line)] if is_snapshot(line) else -1 for line in part]
        output = feed.on_frames([f for _, f in part], [ts for ts, _ in part], hints)
        for consumer in consumers:
            consumer.take(output)
    assert book_levels(consumers[1].book) == levels_of(right)
    assert consumers[1].statuses == [FeedStatus.BUFFERING, FeedStatus.SYNCED]
    assert feed.instrument_counters(0).gaps == 1
    assert feed.instrument_counters(1).gaps == 0


def test_disconnect_marks_the_book_and_a_new_snapshot_brings_it_back() -> None:
    venue = market()
    consumer = Consumer(feed := feed_of(venue))
    play(feed, consumer, venue.lines, 50)
    consumer.take(feed.on_disconnect(venue.now))
    assert consumer.statuses[-1] is FeedStatus.DISCONNECTED
    venue.run(20)  # unheard
    before = len(venue.lines)
    venue.run(3).snapshot().run(3)
    play(feed, consumer, venue.lines[before:], 2)
    assert book_levels(consumer.book) == levels_of(venue)
    assert consumer.statuses[2:] == [
        FeedStatus.DISCONNECTED,
        FeedStatus.BUFFERING,
        FeedStatus.SYNCED,
    ]
    assert (feed.instrument_counters(0).gaps, feed.instrument_counters(0).resyncs) == (0, 1)


def test_disconnect_of_some_leaves_the_others() -> None:
    left, right = market(), market(symbol="ETHUSDT", seed=2)
    feed = feed_of(left, right)
    output = feed.on_disconnect(5, [1])
    assert [batch.instrument for batch in output.batches] == [1]
    assert feed.on_disconnect(6, [1]).batches == []  # said already


def test_resync_on_demand_asks_at_the_next_change() -> None:
    venue = market()
    consumer = Consumer(feed := feed_of(venue))
    play(feed, consumer, venue.lines, 50)
    output = consumer.take(feed.resync(0, venue.now))
    assert output.wanted == []
    before = len(venue.lines)
    venue.run(4)
    outputs = play(feed, consumer, venue.lines[before:])
    assert [wish.reason for output in outputs for wish in output.wanted] == ["first update"]
    consumer.take(feed.on_snapshot(0, venue.snapshot_payload(), venue.now))
    assert book_levels(consumer.book) == levels_of(venue)
    assert (feed.instrument_counters(0).gaps, feed.instrument_counters(0).resyncs) == (0, 1)


def test_full_buffer_is_counted_and_heals() -> None:
    venue = SyntheticVenue().run(50)
    consumer = Consumer(feed := feed_of(venue, max_buffered=10))
    play(feed, consumer, venue.lines, 7)
    assert feed.instrument_counters(0).dropped_frames == 40
    consumer.take(feed.on_snapshot(0, venue.snapshot_payload(), venue.now))
    assert book_levels(consumer.book) == levels_of(venue)


def test_other_events_keep_their_place_between_changes() -> None:
    venue = market()
    consumer = Consumer(feed := feed_of(venue))
    synced_from = next(at for at, line in enumerate(venue.lines) if is_snapshot(line)) + 4
    play(feed, consumer, venue.lines[:synced_from], 1)
    consumer.events.clear()
    play(feed, consumer, venue.lines[synced_from:], 1000)
    events = np.concatenate(consumer.events)
    last = events[events["flags"] == 1]["kind"].tolist()
    said = [
        Kind.DEPTH if is_depth(line) else Kind.TRADE if b"@trade" in line[1] else Kind.BOOK_TICKER
        for line in venue.lines[synced_from:]
    ]
    assert last == said


def test_unknown_fields_do_not_disturb() -> None:
    venue = market()
    plain = Consumer(feed := feed_of(venue))
    play(feed, plain, venue.lines, 20)
    extra = {"st": 2, "ps": "BTCUSDT", "nq": "1.0", "ap": {"deep": [1, {"s": "X"}]}}
    lines = []
    for ts_recv, frame in venue.lines:
        whole = orjson.loads(frame)
        data = whole.get("data", whole)
        data |= extra
        lines.append((ts_recv, orjson.dumps(whole)))
    consumer = Consumer(feed := feed_of(venue))
    play(feed, consumer, lines, 20)
    assert consumer.book.state_hash() == plain.book.state_hash()
    assert feed.instrument_counters(0).bad_frames == 0


def test_the_book_of_one_that_stays_goes_on_at_its_new_place() -> None:
    one, two = market(), SyntheticVenue(symbol="ETHUSDT", seed=9)
    feed = feed_of(two.run(3), one)
    first, second = feed.instruments
    consumer = Consumer(feed, 1)
    half = len(one.lines) // 2
    play(feed, consumer, one.lines[:half])
    feed.set_instruments([second])
    consumer.index = 0
    play(feed, consumer, one.lines[half:])
    assert book_levels(consumer.book) == levels_of(one)
    assert consumer.statuses == [FeedStatus.BUFFERING, FeedStatus.SYNCED]
    assert feed.instrument_counters(0).gaps == 0
    assert feed.on_frames([two.lines[0][1]], [two.lines[0][0]]).batches == []
    assert feed.counters.unknown_symbol_frames == 1, "a late frame of one that has left"
    feed.set_instruments([second, first])
    assert feed.instrument_counters(1).messages == 0, "one that comes back begins anew"
    assert feed.instrument_counters(0).messages > 0

"""The book and its audit on real recordings (the shared ones, where they are present)."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from alphaplus.analysis.analyzer import NEVER
from alphaplus.analysis.splitter import EventSplitter
from alphaplus.book import L2Book, TopOfBookAudit
from alphaplus.book.quotes import QUOTE, QuoteArray
from alphaplus.events import EventArray, Kind, plain
from tests.book import captures
from tests.book.captures import Recording


@pytest.fixture(scope="session")
def perpetual(data_dir: Path) -> Recording:
    return captures.perpetual(data_dir)


@pytest.fixture(scope="session")
def spot(data_dir: Path) -> Recording:
    return captures.spot(data_dir)


def own_quotes(splitter: EventSplitter, events: EventArray) -> QuoteArray:
    """The venue's quotes among some events."""
    events, begin, parts = plain(events), 0, [np.empty(0, dtype=QUOTE)]
    while begin < len(events):
        piece = splitter.read(events, begin, NEVER)
        parts.append(piece.quotes.copy())
        begin = piece.end
    return np.concatenate(parts)


def replay(recording: Recording, size: int) -> tuple[L2Book, TopOfBookAudit, int, int]:
    book, audit = L2Book(recording.instrument), TopOfBookAudit()
    splitter = EventSplitter()
    crossed = messages = 0
    for start in range(0, len(recording.events), size):
        events = recording.events[start : start + size]
        tops = book.apply(events)
        audit.observe(tops, own_quotes(splitter, events))
        crossed += int(tops["crossed"].sum())
        messages += int((tops["kind"] == Kind.DEPTH).sum())
    audit.finish()
    book.check_invariants()
    return book, audit, crossed, messages


def test_perpetual_book_agrees_with_every_best_price(perpetual: Recording) -> None:
    book, audit, crossed, messages = replay(perpetual, 1000)
    assert (audit.equal, audit.different, audit.unjudged) == (6547, 0, 0)
    assert (audit.dropped, audit.late, crossed) == (0, 0, 0)
    assert messages == perpetual.messages == 6547
    assert (book.bid_count, book.ask_count) == (5018, 4578)
    view = book.view(1)
    assert (view.bids, view.asks) == (((61659.7, 1.486),), ((61659.8, 0.981),))
    assert book.nbytes < 1_000_000


def test_spot_book_agrees_with_every_best_price(spot: Recording) -> None:
    book, audit, crossed, messages = replay(spot, 1000)
    assert (audit.equal, audit.different, audit.unjudged) == (3449, 0, 0)
    assert (audit.dropped, audit.late, crossed) == (0, 0, 0)
    assert messages == spot.messages == 3449
    assert (book.bid_count, book.ask_count) == (1209, 2196)
    view = book.view(1)
    assert (view.bids, view.asks) == (((61685.99, 1.0087),), ((61686.0, 2.29327),))


def test_batch_size_changes_nothing(perpetual: Recording) -> None:
    short = dataclasses.replace(perpetual, events=perpetual.events[:60_000])
    results = []
    for size in (1, 7, 1000, 60_000):
        book, audit, crossed, messages = replay(short, size)
        results.append((book.state_hash(), audit.equal, audit.different, crossed, messages))
    assert len(set(results)) == 1


def test_audit_finds_a_level_that_was_lost_at_the_touch(perpetual: Recording) -> None:
    events = perpetual.events.copy()
    tops = L2Book(perpetual.instrument).apply(events)
    best = tops["bid_tick"][100]
    depth = events["kind"] == Kind.DEPTH
    lost = depth & (events["price_tick"] == best) & (events["sequence"] == tops["sequence"][100])
    book, audit = L2Book(perpetual.instrument), TopOfBookAudit()
    assert np.count_nonzero(lost) == 1
    audit.observe(book.apply(events[~lost]), own_quotes(EventSplitter(), events))
    audit.finish()
    assert audit.different > 0
    assert audit.equal + audit.different == 6547

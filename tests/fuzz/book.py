"""Any rows at all, through the book and through its dictionary twin."""

import numpy as np

from alphaplus.book import L2Book
from alphaplus.events import EventArray, Flag, Kind, Side, empty_events
from tests.book.events import FAR, INSTRUMENT
from tests.book.twins import BoundedDictBook, within
from tests.fuzz.choices import Choices

CENTRES = (600, 60_000, 10**9, FAR - 3_000, -FAR + 3_000)
EXTREMES = (0, 1, -1, FAR, FAR - 1, -FAR - 1, -FAR, 2**62, -(2**62), 4_096, -4_096)
QUANTITIES = (0.0, 1.0, 2.5, -0.0, 1e300, 5e-324, np.nan, np.inf, -np.inf, -1.0)
KINDS = (
    Kind.DEPTH, Kind.DEPTH, Kind.DEPTH, Kind.DEPTH, Kind.DEPTH, Kind.DEPTH,
    Kind.SNAPSHOT_BEGIN, Kind.SNAPSHOT_END, Kind.TRADE, 0, 255,
)  # fmt: skip
SIDES = (1, -1, 1, -1, 1, -1, 0, 2, -2, 127, -128)


def rows_of(choices: Choices, centre: int, most: int = 40) -> EventArray:
    """Rows of every sort: unknown kinds and sides, bad quantities, extreme prices."""
    rows = empty_events(choices.integer(1, most))
    for row in rows:
        row["kind"] = int(choices.pick(KINDS))
        row["side"] = choices.pick(SIDES)
        row["value"] = choices.pick(QUANTITIES)
        row["price_tick"] = price(choices, centre)
        row["sequence"] = choices.integer(0, 255) - 100
        row["flags"] = choices.integer(0, 3)
        row["ts_event"] = row["ts_recv"] = choices.integer(0, 255)
    return rows


def snapshot_of(choices: Choices, centre: int) -> EventArray:
    """A whole snapshot, crossed or one-sided as it may be."""
    rows = empty_events(choices.integer(0, 60) + 2)
    rows["kind"] = Kind.DEPTH
    rows["kind"][0], rows["kind"][-1] = Kind.SNAPSHOT_BEGIN, Kind.SNAPSHOT_END
    step = choices.pick((1, 70, 5_000))
    for i, row in enumerate(rows):
        row["side"] = choices.pick((1, -1))
        row["price_tick"] = min(max(centre - int(row["side"]) * step * i, -FAR - 1), FAR)
        row["value"] = 1.0 + i
    rows["flags"][-1] = Flag.LAST
    return rows


def price(choices: Choices, centre: int) -> int:
    """A price near the centre, some windows away, or at an end of int64."""
    spread = choices.pick((40, 9_000, 300_000, 0))
    tick = choices.pick(EXTREMES) if spread == 0 else centre + choices.integer(-spread, spread)
    return min(max(tick, -FAR - 1), FAR)


def check_book(data: bytes) -> None:
    """Apply what the bytes say; raise AssertionError where the book is not its twin."""
    choices = Choices(data)
    centre = choices.pick(CENTRES)
    small = L2Book(INSTRUMENT, max_levels=choices.integer(1, 200))
    book, twin, whole = L2Book(INSTRUMENT), BoundedDictBook(INSTRUMENT), L2Book(INSTRUMENT)
    small_whole = L2Book(INSTRUMENT, max_levels=small.max_levels)
    parts: list[EventArray] = []
    while choices.left > 0 and len(parts) < 40:
        action = choices.integer(0, 7)
        if action == 0:
            parts.append(snapshot_of(choices, centre))
        elif action == 1 and parts:
            parts.append(parts[-1])  # delivered twice
        elif action == 2:
            centre += choices.integer(-20_000, 20_000)
            continue
        else:
            parts.append(rows_of(choices, centre))
        tops = book.apply(parts[-1])
        assert tops["sequence"].tolist() == [top[1] for top in twin.apply(parts[-1])]
        assert len(small.apply(parts[-1])) == len(tops)
    for made in (book, small):
        made.check_invariants()
    assert_equal(book, twin)
    assert_within(small, twin)
    if parts:  # the same rows in one batch
        rows = np.concatenate(parts)
        whole.apply(rows)
        small_whole.apply(rows)
    assert fingerprint(whole) == fingerprint(book)
    assert fingerprint(small_whole) == fingerprint(small)


def fingerprint(book: L2Book) -> tuple[object, ...]:
    """Return all that a book says of itself."""
    known = book.known_range
    return book.state_hash(), known, book.pruned, book.rejected, book.is_valid, book.sequence


def assert_equal(book: L2Book, twin: BoundedDictBook) -> None:
    """Hold a book that drops nothing against the twin."""
    assert book.is_valid == twin.is_valid
    assert book.known_range == twin.known_range
    assert book.rejected == twin.rejected
    for side in (Side.BID, Side.ASK):
        ticks, quantities = book.levels(side)
        assert list(zip(ticks.tolist(), quantities.tolist(), strict=True)) == twin.levels(side)


def assert_within(book: L2Book, twin: BoundedDictBook) -> None:
    """Hold a book that drops levels against the twin, as far as it claims to know."""
    known = book.known_range
    assert (known is not None) == twin.is_valid
    if known is None:
        return
    for side in (Side.BID, Side.ASK):
        ticks, quantities = book.levels(side)
        kept = list(zip(ticks.tolist(), quantities.tolist(), strict=True))
        assert within(kept, side, known) == within(twin.levels(side), side, known)
        assert len(kept) <= 2 * book.max_levels + 4_096

"""The venue's own book follows the rules that its clients follow."""

from typing import Any

from alphaplus.venue.market import VenueBook


def event(
    first: int, last: int, previous: int, bids: list[list[str]] | None = None
) -> dict[str, Any]:
    return {"U": first, "u": last, "pu": previous, "b": bids or [], "a": []}


def book_at(sequence: int) -> VenueBook:
    book = VenueBook()
    book.load(
        {"lastUpdateId": sequence, "bids": [["10.0", "1"], ["9.0", "2"]], "asks": [["11.0", "3"]]}
    )
    return book


def test_events_before_the_snapshot_are_skipped_and_the_overlapping_one_applied() -> None:
    book = book_at(100)
    assert not book.apply(event(80, 90, 79, [["10.0", "9"]]))
    assert book.apply(event(91, 105, 90, [["10.0", "0"]]))
    assert book.sequence == 105
    assert book.levels() == ([("9.0", "2")], [("11.0", "3")])


def test_missing_event_puts_the_book_out_of_step() -> None:
    book = book_at(100)
    assert book.apply(event(95, 101, 94))
    assert not book.apply(event(110, 111, 109))
    assert not book.in_step
    assert not book.apply(event(112, 113, 111))


def test_duplicate_is_skipped_and_absent_level_may_be_deleted() -> None:
    book = book_at(100)
    assert book.apply(event(101, 102, 100, [["5.0", "0.000"]]))
    assert not book.apply(event(101, 102, 100))
    assert book.in_step
    assert book.top() == (("10.0", "1"), ("11.0", "3"))

"""What a stream has done, for metrics and for the user who asks where something went."""

from dataclasses import dataclass


@dataclass(slots=True)
class StreamCounters:
    """Totals since the stream was opened; an item is an event, a value or a row."""

    sent: int = 0
    """Items handed to the socket for the first time."""
    received: int = 0
    """Items handed to the application."""
    batches: int = 0
    """Messages that crossed the socket."""
    coalesced: int = 0
    """Batches that travelled inside another one, and values replaced by newer ones."""
    dropped: int = 0
    """Items given up because the receiver was busy for too long."""
    refused: int = 0
    """Items not accepted (rows past the bound, values past the keys); for a receiver, peers
    without the right key."""
    holes: int = 0
    """Times a receiver found numbers missing."""
    duplicates: int = 0
    """Items that arrived again and were discarded."""
    rejected: int = 0
    """Messages that are not in our format."""
    resent: int = 0
    """Items sent again because nobody acknowledged them."""
    acked: int = 0
    """Items acknowledged as durable."""


def worth_logging(count: int) -> bool:
    """Say whether to log the `count`-th occurrence: the 1st, 2nd, 4th, 8th and so on."""
    return count & (count - 1) == 0

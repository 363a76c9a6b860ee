"""A recording of depth alone whose messages are cut into smaller ones that say the same.

A message that sets many levels becomes several that follow each other in the venue's numbering,
removals first: whoever applies them all has the same book as before, and no book in between is
crossed if those about it are not. They are spread evenly over the time up to the next message.
Other streams are left out, as the venue's ids in them fall between the parts.
"""

from collections.abc import Iterator, Sequence
from heapq import merge
from typing import Final

import orjson

from alphaplus.venue.protocol import Channel
from alphaplus.venue.recording import SNAPSHOT, Recording

Line = tuple[int, int, bytes, bytes]
"""Time, channel, and the JSON around the symbol's name."""
Change = tuple[str, list[str]]
"""Side (`b` or `a`) and level."""

_SIDES: Final = ("b", "a")


def split_recording(recording: Recording, levels: int) -> Recording:
    """Return a recording whose depth messages set at most `levels` levels each.

    A message that shares update ids with a recorded book, or has fewer ids than it would have
    parts, is left whole: its parts could not be told from what the book holds already.
    """
    depth = [line for line, channel in enumerate(recording.channels) if channel == Channel.DEPTH]
    books: list[Line] = [
        (recording.times[line], SNAPSHOT, recording.head[line], b"")
        for line, channel in enumerate(recording.channels)
        if channel == SNAPSHOT
    ]
    known = [orjson.loads(head)["lastUpdateId"] for _, _, head, _ in books]
    ends = [*(recording.times[line] for line in depth[1:]), recording.times[-1]]
    parts = (
        part
        for line, end_ns in zip(depth, ends, strict=True)
        for part in _spread(recording.times[line], end_ns, _parts(recording, line, levels, known))
    )
    split = Recording(
        recording.path,
        symbol=recording.symbol,
        present={SNAPSHOT, Channel.DEPTH},
        price_decimals=recording.price_decimals,
        lot_decimals=recording.lot_decimals,
    )
    for time_ns, channel, head, tail in merge(parts, books, key=lambda item: item[0]):
        split.times.append(time_ns)
        split.channels.append(channel)
        split.head.append(head)
        split.tail.append(tail)
    return split


def _spread(begin_ns: int, end_ns: int, parts: Sequence[tuple[bytes, bytes]]) -> Iterator[Line]:
    for place, (head, tail) in enumerate(parts):
        at_ns = begin_ns + (end_ns - begin_ns) * place // len(parts)
        yield at_ns, Channel.DEPTH, head, tail


def _parts(
    recording: Recording, line: int, levels: int, known: Sequence[int]
) -> list[tuple[bytes, bytes]]:
    """Return the JSON of each part around the symbol's name."""
    head, tail = recording.head[line], recording.tail[line]
    message = orjson.loads(recording.json(line, b"X"))
    first, last, previous = message["U"], message["u"], message["pu"]
    changes: list[Change] = sorted(
        ((side, level) for side in _SIDES for level in message[side]),
        key=lambda change: float(change[1][1]) != 0,
    )
    count = -(-len(changes) // levels)
    if count < 2 or last - first + 1 < count or any(first <= book <= last for book in known):
        return [(head, tail)]
    begin = b'{"e":"depthUpdate","E":%d,"T":%d,"s":"' % (message["E"], message["T"])
    found = []
    for place in range(count):
        end = last if place == count - 1 else first + place
        part = changes[place * levels : (place + 1) * levels]
        bids, asks = (orjson.dumps([level for side, level in part if side == s]) for s in _SIDES)
        ids = b'","U":%d,"u":%d,"pu":%d,"b":' % (first + place, end, previous)
        found.append((begin, ids + bids + b',"a":' + asks + b"}"))
        previous = end
    return found

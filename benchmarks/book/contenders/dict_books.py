"""What books of two sorted dictionaries have in common: how a program around them decodes."""

from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from benchmarks.book.contender import Contender, Level


class Depth(msgspec.Struct):
    """One change of the book; texts become floats while they are decoded."""

    u: int
    U: int
    b: list[tuple[float, float]]
    a: list[tuple[float, float]]
    pu: int | None = None


class Frame(msgspec.Struct):
    """A frame of a combined stream."""

    data: Depth


class Snapshot(msgspec.Struct):
    """The REST answer."""

    lastUpdateId: int
    bids: list[tuple[float, float]]
    asks: list[tuple[float, float]]


Decode = Callable[[bytes], Depth]

decode_snapshot = msgspec.json.Decoder(Snapshot, strict=False).decode


class SequenceBroken(Exception):
    """A change that does not continue the book."""


def depth_decoder(frame: bytes) -> Decode:
    """Return the decoder of frames like this one: combined or bare."""
    if b'"stream"' not in frame:
        return msgspec.json.Decoder(Depth, strict=False).decode
    decode = msgspec.json.Decoder(Frame, strict=False).decode
    return lambda text: decode(text).data


def changes(contender: Contender) -> Iterator[Depth]:
    """Decode the timed frames one by one; raises SequenceBroken if one does not continue."""
    frames = contender.inputs.frames
    decode = depth_decoder(frames[0])
    last_id = contender.details.first_id
    for frame in frames:
        change = decode(frame)
        previous = change.U - 1 if change.pu is None else change.pu
        if previous != last_id:
            raise SequenceBroken(f"Expected a change that continues {last_id}, was {previous}.")
        last_id = change.u
        yield change


def start_levels(contender: Contender) -> tuple[list[Level], list[Level]]:
    """Decode the start: the snapshot's levels, then those of the first change."""
    text, first = contender.inputs.start
    snapshot: Any = decode_snapshot(text)
    change = depth_decoder(first)(first)
    return snapshot.bids + change.b, snapshot.asks + change.a

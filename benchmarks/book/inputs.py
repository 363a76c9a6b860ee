"""The recording as each contender reads it: files in one folder, written once for all.

This module runs in the interpreters of the peers too, so it needs nothing but Python and,
where arrays are read, numpy.
"""

import json
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

DETAILS: Final = "inputs.json"
START: Final = "start.bin"
FRAMES: Final = "frames.bin"
THOUSAND: Final = "thousand.json"
LEVELS: Final = "levels.npz"

DEPTH: Final = 20
"""Levels a side that are read after each message."""

Message = tuple[list[tuple[float, float]], list[tuple[float, float]]]
"""Bids and asks of one message as (price, quantity); a quantity of 0 deletes."""


@dataclass(frozen=True)
class Details:
    """What the recording is of.

    `market` is `spot`, `linear` or `inverse`; `first_id` is the last id of the change that the
    start ends with, so the id that the first timed message continues.
    """

    capture: str
    symbol: str
    venue_symbol: str
    market: str
    tick_size: str
    lot_size: str
    price_decimals: int
    quantity_decimals: int
    contract_size: float
    messages: int
    level_updates: int
    first_id: int
    batch: int


class Inputs:
    """The prepared recording: a start (snapshot and first change), then the timed messages."""

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)
        self.details = Details(**json.loads((self.folder / DETAILS).read_text()))

    @cached_property
    def start(self) -> tuple[bytes, bytes]:
        """The snapshot's payload and the frame of the first change after it."""
        snapshot, first = (self.folder / START).read_bytes().split(b"\n")
        return snapshot, first

    @cached_property
    def frames(self) -> list[bytes]:
        """The timed frames, as received."""
        text = (self.folder / FRAMES).read_bytes()
        return text.split(b"\n") if text else []

    @cached_property
    def thousand(self) -> bytes:
        """A snapshot's payload with 1000 levels a side."""
        return (self.folder / THOUSAND).read_bytes()

    @cached_property
    def arrays(self) -> dict[str, Any]:
        """Levels as columns.

        `side` (1 bid, -1 ask), `price`, `quantity` of all timed messages, of which message i
        has the rows `offset[i]:offset[i + 1]`; `start_side`, `start_price`, `start_quantity` of
        the book that they begin with; `ts_recv` (ns) of each.
        """
        import numpy as np

        with np.load(self.folder / LEVELS) as file:
            return dict(file)

    def messages(self) -> list[Message]:
        """Return the timed messages as new Python objects, which a book may keep."""
        arrays = self.arrays
        offsets = arrays["offset"].tolist()
        return [self._split("", begin, end) for begin, end in pairwise(offsets)]

    def start_levels(self) -> Message:
        """Return the book that the timed messages begin with, best levels first."""
        return self._split("start_", 0, len(self.arrays["start_side"]))

    def _split(self, prefix: str, begin: int, end: int) -> Message:
        arrays = self.arrays
        part = slice(begin, end)
        is_bid = arrays[f"{prefix}side"][part] > 0
        prices, quantities = arrays[f"{prefix}price"][part], arrays[f"{prefix}quantity"][part]
        bids, asks = (
            list(zip(prices[of].tolist(), quantities[of].tolist(), strict=True))
            for of in (is_bid, ~is_bid)
        )
        return bids, asks

"""The exact L2 order book of one instrument on one venue.

>>> book = L2Book(instrument)                    # doctest: +SKIP
>>> tops = book.apply(events)                    # one row per completed message
>>> ticks, quantities = book.levels(Side.BID, 20)
"""

import hashlib
import logging
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from alphaplus.book import _kernels as kernels
from alphaplus.book._kernels import TOP
from alphaplus.book.best_levels import BEST_LEVELS, BestLevelsArray
from alphaplus.events import EventArray, Side
from alphaplus.instruments import Instrument

log = logging.getLogger(__name__)

TopArray = npt.NDArray[np.void]
"""A one-dimensional array of dtype `TOP`.

The best bid and ask after each completed message, a quantity of 0 where a side is empty;
`crossed` is 1 where the best bid is at or above the best ask, `kind` is that of the message's
last event (DEPTH or SNAPSHOT_END).
"""

_FIRST_BLOCKS: Final = 16
_NO_BEST_LEVELS: Final = np.empty(0, dtype=BEST_LEVELS)
_SPARE: Final = 4
"""Free blocks beyond what is needed now, as each side's last block may be half empty."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BookView:
    """The best levels of a book as float prices, best first: (price, quantity)."""

    bids: tuple[tuple[float, float], ...]
    asks: tuple[tuple[float, float], ...]
    sequence: int | None
    ts_event: int | None
    ts_recv: int | None


class L2Book:
    """Keep the levels of one instrument exactly as the venue's messages say.

    Prices are integer ticks over the whole int64 range, quantities the venue's unit. The
    book judges nothing: it may be crossed or one-sided, and whether messages are complete
    and in sequence is for the feed to know.
    """

    def __init__(self, instrument: Instrument) -> None:
        self.instrument = instrument
        self._state = np.zeros(1, dtype=kernels.STATE)
        self._state["last"] = kernels.WINDOW - 1
        self._blocks, self._directory = _pool(_FIRST_BLOCKS)
        kernels.chain_free(self._state, self._blocks)
        self._rejected = 0

    def apply(self, events: EventArray, best_levels: BestLevelsArray | None = None) -> TopArray:
        """Apply a batch; return the touch after each message that it completes.

        Takes SNAPSHOT_BEGIN, DEPTH and SNAPSHOT_END rows and skips the others. The batch may
        end inside a message: the next one continues it. No touch is returned while the book
        is not valid. Levels without a side, or whose quantity is negative or not finite, are
        left out, logged and counted in `rejected`.

        `best_levels`, where given, gets the best levels of the same moments in its first
        rows, as many as are returned. It must be contiguous and writeable; raises ValueError,
        before anything is applied, if it has fewer rows than the batch completes messages.
        """
        events = _plain(events)
        best = _NO_BEST_LEVELS if best_levels is None else _with_room(best_levels, events)
        tops = np.empty(len(events), dtype=TOP)
        count = self._apply(events, tops, best)
        while count < 0:
            self._grow()
            count = self._apply(events, tops, best)
        if self.rejected != self._rejected:
            log.warning(
                "%s: %d levels rejected: no side, no finite quantity, or a snapshot's end alone",
                self.instrument.key,
                self.rejected - self._rejected,
            )
            self._rejected = self.rejected
        return tops[:count]

    def clear(self) -> None:
        """Forget every level: the book is not valid until the next snapshot is complete."""
        kernels.clear_book(self._state, self._blocks, self._directory)

    @property
    def is_valid(self) -> bool:
        """Whether a snapshot is complete, and no other one has begun since."""
        return bool(self._state["is_valid"][0])

    @property
    def is_crossed(self) -> bool:
        """Whether the best bid is at or above the best ask."""
        return bool(self.top()["crossed"])

    @property
    def sequence(self) -> int | None:
        """Id of the last completed message; None while the book is not valid."""
        return self._when_valid("sequence")

    @property
    def ts_event(self) -> int | None:
        """Venue time of the last completed message, ns; None while the book is not valid."""
        return self._when_valid("ts_event")

    @property
    def ts_recv(self) -> int | None:
        """Receive time of the last completed message, ns; None while the book is not valid."""
        return self._when_valid("ts_recv")

    @property
    def best_bid_tick(self) -> int | None:
        """Price of the best bid, ticks; None without bids."""
        top = self.top()
        return int(top["bid_tick"]) if top["bid_quantity"] > 0 else None

    @property
    def best_ask_tick(self) -> int | None:
        """Price of the best ask, ticks; None without asks."""
        top = self.top()
        return int(top["ask_tick"]) if top["ask_quantity"] > 0 else None

    @property
    def bid_count(self) -> int:
        """Number of bid levels."""
        return self._count(0)

    @property
    def ask_count(self) -> int:
        """Number of ask levels."""
        return self._count(1)

    @property
    def known_range(self) -> tuple[int, int] | None:
        """Lowest bid and highest ask tick of the last snapshot; None while not valid.

        Beyond it only those levels are known that have changed since. It never widens, and
        the touch may leave it. A side that the snapshot had empty is known to the end of
        int64.
        """
        if not self.is_valid:
            return None
        bid, ask = self._state["known"][0].tolist()
        return ~bid, ask

    @property
    def rejected(self) -> int:
        """Events that could not be applied since the book was made."""
        return int(self._state["rejected"][0])

    @property
    def nbytes(self) -> int:
        """Memory of the levels, bytes."""
        return self._state.nbytes + self._blocks.nbytes + self._directory.nbytes

    def top(self) -> np.void:
        """Return the touch as one TOP row, of the levels as they are now."""
        top = np.zeros(1, dtype=TOP)
        kernels.read_top_of(self._state, self._blocks, self._directory, top)
        row: np.void = top[0]
        return row

    def levels(
        self, side: Side, depth: int | None = None, *, to_tick: int | None = None
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
        """Return (ticks, quantities) of a side, best first.

        At most `depth` levels, none worse than the price `to_tick`; cost grows with the
        levels returned, not with those in the book.
        """
        s = 0 if side is Side.BID else 1
        count = self._count(s)
        size = count if depth is None else max(0, min(depth, count))
        worst_key = kernels.INT64_MAX
        if to_tick is not None:
            to_tick = min(max(to_tick, kernels.INT64_MIN), kernels.INT64_MAX)
            worst_key = ~to_tick if s == 0 else to_tick
        ticks = np.empty(size, dtype=np.int64)
        quantities = np.empty(size, dtype=np.float64)
        found = kernels.copy_levels(
            self._state, self._blocks, self._directory, s, worst_key, ticks, quantities
        )
        return ticks[:found], quantities[:found]

    def view(self, depth: int) -> BookView:
        """Return the best `depth` levels of both sides with float prices."""
        return BookView(
            bids=self._pairs(Side.BID, depth),
            asks=self._pairs(Side.ASK, depth),
            sequence=self.sequence,
            ts_event=self.ts_event,
            ts_recv=self.ts_recv,
        )

    def state_hash(self) -> str:
        """Return a hash (hex) of all levels: equal for equal prices and quantities.

        Blake2b of, for bids then asks: the number of levels (int64), then prices and
        quantities (float64), best first, little endian. It depends on neither the tick size
        nor the implementation.
        """
        digest = hashlib.blake2b(digest_size=16)
        for side in (Side.BID, Side.ASK):
            ticks, quantities = self.levels(side)
            digest.update(len(ticks).to_bytes(8, "little"))
            digest.update(float_prices(self.instrument, ticks).astype("<f8").tobytes())
            digest.update(quantities.astype("<f8").tobytes())
        return digest.hexdigest()

    def check_invariants(self) -> None:
        """Raise AssertionError where the inner structures contradict each other (for tests)."""
        state = self._state[0]
        for s in (0, 1):
            occupied = state["quantity"][s] != 0
            bits = np.unpackbits(state["word"][s].view(np.uint8), bitorder="little")
            assert np.array_equal(bits.astype(bool), occupied), "bitmap"
            words = sum(1 << w for w in range(kernels.WORDS) if state["word"][s][w] != 0)
            assert int(state["summary"][s]) & (2**64 - 1) == words, "summary"
            assert int(state["near"][s]) == occupied.sum(), "levels in the window"
            assert int(state["last"][s]) - int(state["base"][s]) == kernels.WINDOW - 1, "window"
            low = int(state["last"][s]) + 1
            count = 0
            for entry in self._directory[s][: state["blocks"][s]]:
                block = self._blocks[entry["block"]]
                keys = block["key"][: block["count"]].tolist()
                assert keys, "empty block"
                assert keys == sorted(set(keys)), "order within a block"
                assert low <= keys[0], "order of blocks"
                assert entry["low"] <= keys[0], "directory"
                assert count == 0 or low <= entry["low"], "order of the directory"
                assert (block["quantity"][: block["count"]] > 0).all(), "far quantities"
                low = keys[-1] + 1
                count += len(keys)
            assert count == state["far"][s], "levels in the far store"
        used = int(state["blocks"].sum())
        assert used + int(state["free_count"]) == len(self._blocks), "free blocks"

    def _apply(self, events: EventArray, tops: TopArray, best: BestLevelsArray) -> int:
        return kernels.apply_events(self._state, self._blocks, self._directory, events, tops, best)

    def _grow(self) -> None:
        """Move the far store to a pool that has what the kernel needs, and half as much again."""
        full = int(self._state["far"].sum()) // kernels.FILL + _SPARE
        blocks, directory = _pool(full + max(full // 2, int(self._state["needed"][0])))
        kernels.move_far(self._state, self._blocks, self._directory, blocks, directory)
        self._blocks, self._directory = blocks, directory

    def _count(self, s: int) -> int:
        state = self._state
        return int(state["near"][0, s]) + int(state["far"][0, s])

    def _when_valid(self, field: str) -> int | None:
        return int(self._state[field][0]) if self.is_valid else None

    def _pairs(self, side: Side, depth: int) -> tuple[tuple[float, float], ...]:
        ticks, quantities = self.levels(side, depth)
        prices = float_prices(self.instrument, ticks)
        return tuple(zip(prices.tolist(), quantities.tolist(), strict=True))


def float_prices(instrument: Instrument, ticks: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Return the prices of integer ticks, each equal to `instrument.price(tick)`."""
    units = instrument.tick_units
    if units > 1 and len(ticks) and max(int(ticks.max()), -int(ticks.min())) >= 2**62 // units:
        return np.array([instrument.price(int(tick)) for tick in ticks], dtype=np.float64)
    prices: npt.NDArray[np.float64] = ticks * units / 10.0**instrument.price_decimals
    return prices


def _pool(count: int) -> tuple[npt.NDArray[np.void], npt.NDArray[np.void]]:
    blocks = np.zeros(count, dtype=kernels.BLOCK)
    return blocks, np.zeros((2, count), dtype=kernels.DIRECTORY)


def _with_room(best_levels: BestLevelsArray, events: EventArray) -> BestLevelsArray:
    """Return the array, if it can take a row for each message that the events complete."""
    flags: Any = best_levels.flags
    usable = flags.c_contiguous and flags.aligned and flags.writeable
    if best_levels.dtype != BEST_LEVELS or best_levels.ndim != 1 or not usable:
        raise ValueError(
            "Expected a contiguous, writeable array of BEST_LEVELS, was "
            f"{best_levels.dtype} of shape {best_levels.shape}."
        )
    if len(best_levels) < len(events):
        needed = kernels.count_messages(events)
        if len(best_levels) < needed:
            raise ValueError(f"Expected room for {needed} messages, was {len(best_levels)}.")
    return best_levels


def _plain(events: EventArray) -> EventArray:
    """Return the events as one contiguous, aligned, read-only array: one compiled variant."""
    flags: Any = events.flags
    if not (flags.c_contiguous and flags.aligned):
        events = np.array(events)
        flags = events.flags
    if flags.writeable:
        events = events.view()
        events.flags.writeable = False
    return events

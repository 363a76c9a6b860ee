"""The exact L2 order book of one instrument on one venue.

>>> book = L2Book(instrument)                    # doctest: +SKIP
>>> tops = book.apply(events)                    # one row per completed message
>>> ticks, quantities = book.levels(Side.BID, 20)
"""

import hashlib
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from alphaplus.book import _kernels as kernels
from alphaplus.book._kernels import TOP
from alphaplus.book.best_levels import BEST_LEVELS, BestLevelsArray
from alphaplus.book.looks import Looks
from alphaplus.errors import ConfigError
from alphaplus.events import EventArray, Side, plain
from alphaplus.instruments import Instrument

log = logging.getLogger(__name__)

TopArray = npt.NDArray[np.void]
"""A one-dimensional array of dtype `TOP`.

The best bid and ask after each completed message, a quantity of 0 where a side is empty;
`crossed` is 1 where the best bid is at or above the best ask, `kind` is that of the message's
last event (DEPTH or SNAPSHOT_END).
"""

MAX_LEVELS: Final = 10_000
"""Levels a side that a book keeps unless it is told otherwise, about 400 KB of a side."""
_FIRST_BLOCKS: Final = 16
_TOPS: Final = 64
"""TOP rows that are allocated together, for the calls of one message or a few."""
_GROWTH: Final = 4
"""How many times as many TOP rows a batch gets that fills those it has."""
_NO_BEST_LEVELS: Final = np.empty(0, dtype=BEST_LEVELS)
_SPARE: Final = 4
"""Free blocks beyond what is needed now, as each side's last block may be half empty."""


def _word(field: str) -> int:
    """Return where a field of STATE lies in its int64 words."""
    offset: int = kernels.STATE.fields[field][1]  # type: ignore[index]
    return offset // 8


_ROW: Final = _word("row")
_WRITTEN: Final = _word("written")
_SEQUENCE: Final = _word("sequence")
_TS_EVENT: Final = _word("ts_event")
_TS_RECV: Final = _word("ts_recv")
_IS_VALID: Final = _word("is_valid")
_REJECTED: Final = _word("rejected")
_PRUNED: Final = _word("pruned")
_MAX_LEVELS: Final = _word("max_levels")
_NEAR: Final = _word("near")
_FAR: Final = _word("far")


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

    After each message, a side keeps its best `max_levels` levels. What is dropped is counted
    in `pruned` and leaves the `known_range`, so memory is bounded and depth never invented.
    """

    def __init__(self, instrument: Instrument, *, max_levels: int = MAX_LEVELS) -> None:
        if not 1 <= max_levels <= 10**9:
            raise ConfigError(f"Expected 1 to 10**9 levels a side, was {max_levels}.")
        self.instrument = instrument
        self._state = np.zeros(1, dtype=kernels.STATE)
        self._state["last"] = kernels.WINDOW - 1
        self._state["max_levels"] = max_levels
        self._blocks, self._directory = _pool(_FIRST_BLOCKS)
        kernels.chain_free(self._state, self._blocks)
        self._rejected = 0
        self._words = self._state.view(np.int64)
        self._block_words = self._blocks.view(np.int64)
        self._header = self._words.data
        self._given = 0
        self._new_tops(_TOPS)

    def apply(
        self,
        events: EventArray,
        best_levels: BestLevelsArray | None = None,
        looks: Looks | None = None,
    ) -> TopArray:
        """Apply a batch; return the touch after each message that it completes.

        Takes SNAPSHOT_BEGIN, DEPTH and SNAPSHOT_END rows and skips the others. The batch may
        end inside a message: the next one continues it. No touch is returned while the book
        is not valid. Levels without a side, or whose quantity is negative or not finite, are
        left out, logged and counted in `rejected`.

        `best_levels`, where given, gets the best levels of the same moments in its first
        rows, as many as are returned. It must be contiguous and writeable; raises ValueError
        if it has fewer rows than the batch completes messages, and the book, which stands
        within the batch then, is cleared.
        `looks`, where given, sees the book at its turns on the way.
        """
        events = plain(events)
        if best_levels is None:
            best_levels = _NO_BEST_LEVELS
        else:
            _require_rows(best_levels)
        apply: Callable[..., int] = kernels.apply_events
        if looks is not None and looks.count:
            looks.begin()
            apply = looks.apply
            most = len(events) if best_levels is _NO_BEST_LEVELS else len(best_levels) + 1
            if len(self._tops) - self._given < most:
                self._new_tops(max(most, _TOPS))
        first = self._given
        while True:
            count = apply(
                self._words,
                self._block_words,
                self._directory,
                events,
                self._top_words,
                first,
                best_levels,
            )
            if count >= 0 and (best_levels is _NO_BEST_LEVELS or count <= len(best_levels)):
                break
            if count == kernels.NO_BLOCKS:
                self._grow()
            elif count == kernels.NO_ROOM:
                self._make_room(len(events), first)
                first = 0
            else:
                self.clear()
                needed = kernels.count_messages(events)
                raise ValueError(f"Expected room for {needed} messages, was {len(best_levels)}.")
        given: int = first + count
        self._given = given
        tops = self._tops[first:given]
        if given > _TOPS:  # a large batch has its own array, which the book does not keep
            self._new_tops(_TOPS)
        if self._header[_REJECTED] != self._rejected:
            self._report_rejected()
        return tops

    def clear(self) -> None:
        """Forget every level: the book is not valid until the next snapshot is complete."""
        kernels.clear_book(self._state, self._blocks, self._directory)

    @property
    def is_valid(self) -> bool:
        """Whether a snapshot is complete, and no other one has begun since."""
        return self._header[_IS_VALID] == 1

    @property
    def is_crossed(self) -> bool:
        """Whether the best bid is at or above the best ask."""
        return bool(self.top()["crossed"])

    @property
    def sequence(self) -> int | None:
        """Id of the last completed message; None while the book is not valid."""
        return self._when_valid(_SEQUENCE)

    @property
    def ts_event(self) -> int | None:
        """Venue time of the last completed message, ns; None while the book is not valid."""
        return self._when_valid(_TS_EVENT)

    @property
    def ts_recv(self) -> int | None:
        """Receive time of the last completed message, ns; None while the book is not valid."""
        return self._when_valid(_TS_RECV)

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
        """Lowest bid and highest ask tick up to which every level is known; None if not valid.

        It is the range of the last snapshot, less what has been pruned since. Beyond it only
        levels that have changed since are known. It never widens, and the touch may leave it:
        then only a new snapshot helps. A side that the snapshot had empty is known to the end
        of int64.
        """
        if not self.is_valid:
            return None
        bid, ask = self._state["known"][0].tolist()
        return ~bid, ask

    @property
    def rejected(self) -> int:
        """Events that could not be applied since the book was made."""
        return self._header[_REJECTED]

    @property
    def pruned(self) -> int:
        """Levels dropped since the book was made, as a side had more than `max_levels`."""
        return self._header[_PRUNED]

    @property
    def max_levels(self) -> int:
        """The most levels that a side keeps."""
        return self._header[_MAX_LEVELS]

    @property
    def nbytes(self) -> int:
        """Memory of the book, bytes."""
        parts = self._state, self._blocks, self._directory, self._tops
        return sum(part.nbytes for part in parts)

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
            opened = int(state["blocks"][s])
            assert (self._directory[s, opened:] == kernels.INT64_MAX).all(), "unused directory"
            for lowest, number in self._directory[[s, 2 + s], :opened].T.tolist():
                block = self._blocks[number]
                keys = block["key"][: block["count"]].tolist()
                assert (block["key"][block["count"] :] == kernels.INT64_MAX).all(), "unused keys"
                assert keys, "empty block"
                assert keys == sorted(set(keys)), "order within a block"
                assert low <= keys[0], "order of blocks"
                assert lowest <= keys[0], "directory"
                assert count == 0 or low <= lowest, "order of the directory"
                assert (block["quantity"][: block["count"]] > 0).all(), "far quantities"
                low = keys[-1] + 1
                count += len(keys)
            assert count == state["far"][s], "levels in the far store"
        used = int(state["blocks"].sum())
        assert used + int(state["free_count"]) == len(self._blocks), "free blocks"

    def _new_tops(self, rows: int) -> None:
        self._tops = np.empty(rows, dtype=TOP)
        self._top_words = self._tops.view(np.int64)
        self._given = 0

    def _make_room(self, rows: int, first: int) -> None:
        """Give the rest of a batch new TOP rows; those written from `first` on move there."""
        done, written = self._header[_ROW], self._header[_WRITTEN]
        before = self._tops[first : first + written]
        most = written + rows - done  # as many as rows, if each were a message
        self._new_tops(max(min(most, _GROWTH * written), _TOPS))
        self._tops[:written] = before

    def _report_rejected(self) -> None:
        log.warning(
            "%s: %d levels rejected: no side, no finite quantity, or a snapshot's end alone",
            self.instrument.key,
            self.rejected - self._rejected,
        )
        self._rejected = self.rejected

    def _grow(self) -> None:
        """Move the far store to a pool that has what the kernel needs, and half as much again."""
        full = int(self._state["far"].sum()) // kernels.FILL + _SPARE
        blocks, directory = _pool(full + max(full // 2, int(self._state["needed"][0])))
        kernels.move_far(self._state, self._blocks, self._directory, blocks, directory)
        self._blocks, self._directory = blocks, directory
        self._block_words = blocks.view(np.int64)

    def _count(self, s: int) -> int:
        return self._header[_NEAR + s] + self._header[_FAR + s]

    def _when_valid(self, field: int) -> int | None:
        return self._header[field] if self.is_valid else None

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


def _pool(count: int) -> tuple[npt.NDArray[np.void], npt.NDArray[np.int64]]:
    blocks = np.zeros(count, dtype=kernels.BLOCK)
    width = -(-count // kernels.GROUP) * kernels.GROUP
    return blocks, np.full((4, width), kernels.INT64_MAX)


def _require_rows(best_levels: BestLevelsArray) -> None:
    """Raise ValueError if the kernels cannot write to the array."""
    flags: Any = best_levels.flags
    if best_levels.dtype != BEST_LEVELS or best_levels.ndim != 1 or not flags.carray:
        raise ValueError(
            "Expected a contiguous, writeable array of BEST_LEVELS, was "
            f"{best_levels.dtype} of shape {best_levels.shape}."
        )

"""Multi-level order flow imbalance (MLOFI), and its one-number summary PC1-OFI.

MLOFI applies the rule of OFI to each rank of the book, not only to the touch (Xu, Gould and
Howison 2018). PC1-OFI divides the ranks by their mean depth and projects them on their first
principal component, fitted on the past (Cont, Cucuringu and Zhang 2023): one number instead
of ten free coefficients that fit noise.
"""

from collections.abc import Sequence
from typing import Any, ClassVar, Final

import numpy as np
import numpy.typing as npt

from alphaplus.analysis.level_flow import is_valid_book, side_flow
from alphaplus.analysis.measure import Measure
from alphaplus.analysis.streaming import (
    CONTRACT_FIELDS,
    SECOND,
    set_contract,
    whole_number,
    window_seconds,
)
from alphaplus.analysis.tape import Tape
from alphaplus.book.best_levels import BEST_COUNT, BEST_LEVELS, BestLevelsArray
from alphaplus.instruments import Instrument
from alphaplus.jit import kernel

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_NO_BOOK: Final = "no valid book yet"

_STATE: Final = np.dtype(
    [
        *CONTRACT_FIELDS,
        ("levels", "<i8"),
        ("is_started", "<i8"),  # whether there was a valid book
        ("has_book", "<i8"),  # whether the book before is valid
        ("clock", "<i8"),  # newest time of a valid book, ns
        ("second", "<i8"),  # of the clock
        ("first", "<i8"),  # second of the first valid book
        ("is_open", "<i8"),  # whether the second is not yet part of the moments
        ("next_fit", "<i8"),  # second at which weights are fitted again; 0: not yet known
        ("is_due", "<i8"),  # whether the kernel stopped for a fit
        ("fit_every", "<i8"),  # seconds
        ("block", "<i8"),  # of the moments that grow
        ("tick", "<i8", (2, BEST_COUNT)),  # last known, bids then asks
        ("base", "<f8", (2, BEST_COUNT)),  # base units
        ("flow", "<f8", (BEST_COUNT,)),  # of the last message
    ],
    align=True,
)


def mlofi(best_levels: BestLevelsArray, instrument: Instrument, *, levels: int = 10) -> Floats:
    """Return e of each message and rank, base units, shape (messages, levels).

    A level that is not there has the size 0 at its last known price. 0 for the first message,
    and where this book or the one before lacks a side or is crossed.
    """
    state = _new_state(instrument, levels)
    flows = np.zeros((len(best_levels), levels))
    _flows(state, np.require(best_levels, BEST_LEVELS, ["C", "A", "W"]), flows)
    return flows


def first_component(vectors: Floats) -> Floats | None:
    """Return the weights of the first principal component of rows, |weights| summing to 1.

    Their sum is above 0. None if the rows do not vary.
    """
    return _first_component(float(len(vectors)), vectors.sum(axis=0), vectors.T @ vectors)


class MultiLevelOrderFlowImbalance(Measure):
    """MLOFI and PC1-OFI over rolling windows, from the best levels after each message.

    A window of n seconds is the current second of venue time and the n - 1 before it. The
    weights of PC1-OFI are equal before the first fit. They are fitted every `fit_every_s` of
    venue time, on those seconds of the `fit_blocks` such spans before in which a message came.
    What divides the flows is the mean size of a level over the longest window. An interruption
    starts the windows anew and keeps what the fits have learned.
    """

    name: ClassVar[str] = "multi_level_ofi"

    def __init__(
        self,
        instrument: Instrument,
        *,
        levels: int = 10,
        windows_s: Sequence[int] = (1, 5, 30),
        fit_every_s: int = 300,
        fit_blocks: int = 6,
        fit_minimum_s: int = 60,
    ) -> None:
        self._levels = whole_number("levels", levels, 1, BEST_COUNT)
        self._windows = window_seconds("windows_s", windows_s)
        self._minimum = whole_number("fit_minimum_s", fit_minimum_s, 2, 86_400)
        self._state = _new_state(instrument, self._levels)
        self._state["fit_every"] = whole_number("fit_every_s", fit_every_s, 300, 86_400)
        self._ring = np.zeros((self._windows[-1], self._levels + 2))
        blocks = whole_number("fit_blocks", fit_blocks, 1, 1000)
        self._moments = np.zeros((blocks, 1 + self._levels + self._levels**2))
        self._plan = np.array(self._windows, dtype=np.int64)
        self._out = np.empty((len(self._windows), self._levels + 1))
        self._now = 0
        self._weights = np.full(self._levels, 1 / self._levels)
        self._fits = 0

    def update(self, tape: Tape) -> None:
        """Take the best levels of a tape; fit where its time comes to a fit."""
        self._now = tape.ts_event
        rows = tape.best_levels
        done = 0
        while done < len(rows):
            done = _update(self._state, self._ring, self._moments, rows, done)
            if done < len(rows):
                self._fit()

    def interrupt(self) -> None:
        """Forget the flow of the windows: the next book is a first one."""
        self._state["is_started"] = self._state["has_book"] = self._state["is_open"] = 0

    def values(self) -> dict[str, Any]:
        """Return per window the flow by rank (base units) and PC1-OFI; and its weights."""
        names = [f"mlofi_{window}s" for window in self._windows]
        summaries = [f"pc1_ofi_{window}s" for window in self._windows]
        values: dict[str, Any] = dict.fromkeys((*names, *summaries))
        if self._covered() is not None:
            _read(self._state, self._ring, self._plan, self._now, self._out)
            flows, depths = self._out[:, :-1], self._out[:, -1]
            values.update(zip(names, flows.tolist(), strict=True))
            ratios = (flows @ self._weights / depths).tolist()
            values.update(zip(summaries, ratios, strict=True))
            values.update(dict.fromkeys(self.missing()))
        return values | {"pc1_weights": self._weights.tolist(), "pc1_fits": self._fits}

    def missing(self) -> dict[str, str]:
        """Say how much of each window the stream covers."""
        covered = self._covered()
        return {
            f"{name}_{window}s": _NO_BOOK if covered is None else f"{covered} of {window} s"
            for window in self._windows
            if covered is None or covered < window
            for name in ("mlofi", "pc1_ofi")
        }

    def _fit(self) -> None:
        """Fit the weights on the past."""
        size, total = self._levels, self._moments.sum(axis=0)
        count, sums, products = float(total[0]), total[1 : size + 1], total[size + 1 :]
        if count >= self._minimum:
            weights = _first_component(count, sums, products.reshape(size, size))
            if weights is not None:
                self._weights = weights
                self._fits += 1

    def _covered(self) -> int | None:
        """Return the whole seconds that the stream covers, None before the first book."""
        state = self._state[0]
        if not state["is_started"]:
            return None
        return int(max(self._now // SECOND, state["second"]) - state["first"])


def _new_state(instrument: Instrument, levels: int) -> npt.NDArray[np.void]:
    state = np.zeros(1, dtype=_STATE)
    set_contract(state, instrument)
    state["levels"] = levels
    return state


def _first_component(count: float, sums: Floats, products: Floats) -> Floats | None:
    mean = sums / count
    covariance = products / count - np.outer(mean, mean)
    if not np.trace(covariance) > 1e-12 * np.trace(products) / count:
        return None
    weights: Floats = np.linalg.eigh(covariance)[1][:, -1]
    # A component that sums to nothing has no sign of its own: its largest weight gives it.
    sign = weights.sum() or weights[np.argmax(np.abs(weights))]
    weights = weights / (np.abs(weights).sum() * np.sign(sign))
    return weights


@kernel
def _flows(state: Any, rows: BestLevelsArray, out: Floats) -> None:
    """Write e of each row and rank."""
    for i in range(len(rows)):
        if _take(state, rows[i]):
            for r in range(out.shape[1]):
                out[i, r] = state[0].flow[r]


@kernel
def _update(state: Any, ring: Floats, moments: Floats, rows: BestLevelsArray, start: int) -> int:
    """Add the flow of the rows from `start` on to their seconds.

    Returns how many rows are done: all, or those before a fit that is due.
    """
    s = state[0]
    for i in range(start, len(rows)):
        row = rows[i]
        second = row.ts_event // 1_000_000_000
        if s.is_started != 0:
            second = max(second, s.second)
        if s.next_fit == 0:
            s.next_fit = second + s.fit_every
        elif second >= s.next_fit:
            if s.is_due == 0:
                _close(state, ring, moments)
                s.is_due = 1
                return i
            _next_span(state, moments, second)
        if not _take(state, row):
            continue
        _advance(state, ring, moments, row.ts_event)
        cell = ring[s.second % len(ring)]
        depth = 0.0
        for r in range(s.levels):
            cell[r] += s.flow[r]
            depth += s.base[0, r] + s.base[1, r]
        cell[s.levels] += depth / (2 * s.levels)
        cell[s.levels + 1] += 1
    return len(rows)


@kernel
def _take(state: Any, row: Any) -> bool:
    """Set the flow of a message by rank; False, and no flow, if its book is not valid."""
    s = state[0]
    if not is_valid_book(state, row):
        s.has_book = 0
        return False
    for r in range(s.levels):
        bids = side_flow(state, 0, r, row.bid_tick[r], row.bid_quantity[r])
        asks = side_flow(state, 1, r, row.ask_tick[r], row.ask_quantity[r])
        s.flow[r] = bids - asks
    s.has_book = 1
    return True


@kernel
def _advance(state: Any, ring: Floats, moments: Floats, ts: int) -> None:
    """Move the clock on, never back: close the second that is over, empty those after it."""
    s = state[0]
    second = ts // 1_000_000_000
    if s.is_started == 0:
        s.is_started = s.is_open = 1
        s.clock = ts
        s.first = s.second = second
        ring[:] = 0.0
        return
    s.clock = max(s.clock, ts)
    if second <= s.second:
        return
    _close(state, ring, moments)
    for past in range(max(s.second + 1, second - len(ring) + 1), second + 1):
        ring[past % len(ring)] = 0.0
    s.second = second
    s.is_open = 1


@kernel
def _close(state: Any, ring: Floats, moments: Floats) -> None:
    """Add the second that is over to the moments that the weights are fitted on."""
    s = state[0]
    size = s.levels
    cell = ring[s.second % len(ring)]
    if s.is_open != 0 and cell[size + 1] > 0:
        depth = _mean_depth(state, ring, s.second)
        block = moments[s.block]
        block[0] += 1
        for r in range(size):
            block[1 + r] += cell[r] / depth
            for c in range(size):
                block[1 + size + r * size + c] += cell[r] / depth * (cell[c] / depth)
    s.is_open = 0


@kernel
def _next_span(state: Any, moments: Floats, second: int) -> None:
    """Begin the span of a second; each span that passed takes the place of the oldest."""
    s = state[0]
    spans = (second - s.next_fit) // s.fit_every + 1
    for _ in range(min(spans, len(moments))):
        s.block = (s.block + 1) % len(moments)
        moments[s.block] = 0.0
    s.next_fit += spans * s.fit_every
    s.is_due = 0


@kernel
def _mean_depth(state: Any, ring: Floats, second: int) -> float:
    """Return the mean size of a level over the ring's length up to a second, 1 if unknown."""
    s = state[0]
    depth = count = 0.0
    for past in range(second - len(ring) + 1, s.second + 1):
        cell = ring[past % len(ring)]
        depth += cell[s.levels]
        count += cell[s.levels + 1]
    return depth / count if count > 0 else 1.0


@kernel
def _read(state: Any, ring: Floats, windows: Ints, now: int, out: Floats) -> None:
    """Write for each window the flow by rank, and the mean depth over the longest one."""
    s = state[0]
    second = max(now, s.clock) // 1_000_000_000
    out[:] = 0.0
    for w in range(len(windows)):
        for past in range(second - windows[w] + 1, s.second + 1):
            cell = ring[past % len(ring)]
            for r in range(s.levels):
                out[w, r] += cell[r]
        out[w, s.levels] = _mean_depth(state, ring, second)

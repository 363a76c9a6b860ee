"""Order flow imbalance (OFI) at the touch (Cont, Kukanov and Stoikov 2014).

What a change of the best quote adds to the bid side and takes from the ask side:

    e = 1[b >= b'] B - 1[b <= b'] B' - 1[a <= a'] A + 1[a >= a'] A'

where a prime marks the quote before. OFI is the sum of e, in base units: above 0 the price is
pushed up. It describes a move while it happens and does not forecast the next one.
"""

from collections.abc import Sequence
from typing import Any, ClassVar, Final

import numpy as np
import numpy.typing as npt

from alphaplus.analysis.measure import Measure
from alphaplus.analysis.streaming import (
    CONTRACT_FIELDS,
    SECOND,
    all_above_zero,
    set_contract,
    window_seconds,
)
from alphaplus.analysis.tape import QuoteArray, Tape
from alphaplus.instruments import Instrument
from alphaplus.jit import kernel

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_LARGEST: Final = 1e15
"""No venue quotes such a quantity: a quote that says so is not valid."""
_NO_QUOTE: Final = "no valid best quote yet"

_STATE: Final = np.dtype(
    [
        *CONTRACT_FIELDS,
        ("is_started", "<i8"),  # whether there was a valid quote
        ("has_quote", "<i8"),  # whether the quote before is valid
        ("clock", "<i8"),  # newest time of a valid quote, ns
        ("second", "<i8"),  # of the clock
        ("first", "<i8"),  # second of the first valid quote
        ("bid_tick", "<i8"),
        ("ask_tick", "<i8"),
        ("bid", "<f8"),  # base units
        ("ask", "<f8"),
    ],
    align=True,
)
_FLOW: Final = 0
_DEPTH: Final = 1
_COUNT: Final = 2
_COLUMNS: Final = 3


def ofi(quotes: QuoteArray, instrument: Instrument | None = None) -> Floats:
    """Return e of each quote, in base units (of the instrument; else as the quantities are).

    0 for the first quote, and where this quote or the one before is not valid: a side is
    empty, or the sides cross.
    """
    bid_tick, ask_tick = quotes["bid_tick"], quotes["ask_tick"]
    bid, ask = quotes["bid_quantity"], quotes["ask_quantity"]
    is_valid = (bid > 0) & (bid < _LARGEST) & (ask > 0) & (ask < _LARGEST) & (bid_tick < ask_tick)
    bid, ask = np.where(is_valid, bid, 0.0), np.where(is_valid, ask, 0.0)
    if instrument is not None:
        is_valid &= (bid_tick > 0) | (not instrument.inverse)
        bid, ask = base_units(instrument, bid_tick, bid), base_units(instrument, ask_tick, ask)
    bids = np.where(bid_tick[1:] >= bid_tick[:-1], bid[1:], 0.0)
    bids -= np.where(bid_tick[1:] <= bid_tick[:-1], bid[:-1], 0.0)
    asks = np.where(ask_tick[1:] <= ask_tick[:-1], ask[1:], 0.0)
    asks -= np.where(ask_tick[1:] >= ask_tick[:-1], ask[:-1], 0.0)
    is_step = is_valid[1:] & is_valid[:-1]
    flows = np.zeros(len(quotes))
    flows[1:][is_step] = (bids - asks)[is_step]
    return flows


def base_units(instrument: Instrument, ticks: Ints, quantities: Floats) -> Floats:
    """Return quantities in base units: inverse contracts at their own level's price."""
    base: Floats = quantities * instrument.contract_size
    if instrument.inverse:
        prices = ticks * instrument.tick_units / 10.0**instrument.price_decimals
        base = np.divide(base, prices, out=np.zeros(len(base)), where=prices > 0)
    return base


class OrderFlowImbalance(Measure):
    """OFI of the best quotes over rolling windows, and as decayed sums.

    A window of n seconds is the current second of venue time and the n - 1 before it. It is
    None until the stream covers it. Normalised: over the mean of (A1 + B1) / 2 of its quotes,
    0 without quotes. A decayed sum has halved after its half-life, and runs from the first
    quote on. An interruption starts everything anew.
    """

    name: ClassVar[str] = "ofi"

    def __init__(
        self,
        instrument: Instrument,
        *,
        windows_s: Sequence[int] = (1, 5, 30),
        half_lives_s: Sequence[float] = (1.0, 5.0, 30.0),
    ) -> None:
        self._windows = window_seconds("windows_s", windows_s)
        self._half_lives = all_above_zero("half_lives_s", half_lives_s)
        self._state = np.zeros(1, dtype=_STATE)
        set_contract(self._state, instrument)
        self._ring = np.zeros((self._windows[-1], _COLUMNS))
        self._decays = np.array([[SECOND * half_life, 0.0] for half_life in self._half_lives])
        self._plan = np.array(self._windows, dtype=np.int64)
        self._out = np.empty(2 * len(self._windows) + len(self._half_lives))
        windows, half_lives = (
            [f"{length:g}s" for length in lengths] for lengths in (self._windows, self._half_lives)
        )
        self._names = [
            *(f"ofi_{window}" for window in windows),
            *(f"ofi_normalised_{window}" for window in windows),
            *(f"ofi_decayed_{half_life}" for half_life in half_lives),
        ]
        self._now = 0

    def update(self, tape: Tape) -> None:
        """Take the best quotes of a tape."""
        self._now = tape.ts_event
        if len(tape.quotes):
            _update(self._state, self._ring, self._decays, tape.quotes)

    def interrupt(self) -> None:
        """Forget the flow so far: the next quote is a first one."""
        self._state["is_started"] = self._state["has_quote"] = 0

    def values(self) -> dict[str, Any]:
        """Return OFI in base units, and normalised (a multiple of the mean depth)."""
        covered = self._covered()
        if covered is None:
            return dict.fromkeys(self._names)
        _read(self._state, self._ring, self._decays, self._plan, self._now, self._out)
        values = dict(zip(self._names, self._out.tolist(), strict=True))
        return values | dict.fromkeys(self.missing())

    def missing(self) -> dict[str, str]:
        """Say how much of each window the stream covers."""
        covered = self._covered()
        if covered is None:
            return dict.fromkeys(self._names, _NO_QUOTE)
        return {
            f"{name}_{window}s": f"{covered} of {window} s"
            for window in self._windows
            if covered < window
            for name in ("ofi", "ofi_normalised")
        }

    def _covered(self) -> int | None:
        """Return the whole seconds that the stream covers, None before the first quote."""
        state = self._state[0]
        if not state["is_started"]:
            return None
        return int(max(self._now // SECOND, state["second"]) - state["first"])


@kernel
def _update(state: Any, ring: Floats, decays: Floats, quotes: QuoteArray) -> None:
    """Add the flow of each quote to its second and to the decayed sums."""
    s = state[0]
    for i in range(len(quotes)):
        quote = quotes[i]
        bid, ask = quote.bid_quantity, quote.ask_quantity
        is_valid = 0 < bid < _LARGEST and 0 < ask < _LARGEST and quote.bid_tick < quote.ask_tick
        if not is_valid or (s.inverse != 0 and quote.bid_tick <= 0):
            s.has_quote = 0
            continue
        bid *= s.size
        ask *= s.size
        if s.inverse != 0:
            bid /= quote.bid_tick * s.tick_units / s.scale
            ask /= quote.ask_tick * s.tick_units / s.scale
        _advance(state, ring, decays, quote.ts_event)
        flow = 0.0
        if s.has_quote != 0:
            bids = (bid if quote.bid_tick >= s.bid_tick else 0.0) - (
                s.bid if quote.bid_tick <= s.bid_tick else 0.0
            )
            asks = (ask if quote.ask_tick <= s.ask_tick else 0.0) - (
                s.ask if quote.ask_tick >= s.ask_tick else 0.0
            )
            flow = bids - asks
        row = ring[s.second % len(ring)]
        row[_FLOW] += flow
        row[_DEPTH] += (bid + ask) / 2
        row[_COUNT] += 1
        for h in range(len(decays)):
            decays[h, 1] += flow
        s.has_quote = 1
        s.bid_tick, s.ask_tick = quote.bid_tick, quote.ask_tick
        s.bid, s.ask = bid, ask


@kernel
def _advance(state: Any, ring: Floats, decays: Floats, ts: int) -> None:
    """Move the clock on, never back: decay the sums, empty the seconds in between."""
    s = state[0]
    if s.is_started == 0:
        s.is_started = 1
        s.clock = ts
        s.first = s.second = ts // 1_000_000_000
        ring[:] = 0.0
        decays[:, 1] = 0.0
        return
    if ts <= s.clock:
        return
    for h in range(len(decays)):
        decays[h, 1] *= 2.0 ** ((s.clock - ts) / decays[h, 0])
    s.clock = ts
    second = ts // 1_000_000_000
    for past in range(max(s.second + 1, second - len(ring) + 1), second + 1):
        ring[past % len(ring)] = 0.0
    s.second = second


@kernel
def _read(state: Any, ring: Floats, decays: Floats, windows: Ints, now: int, out: Floats) -> None:
    """Write the windows' sums, then their normalised sums, then the decayed sums."""
    s = state[0]
    now = max(now, s.clock)
    second = now // 1_000_000_000
    count = len(windows)
    for w in range(count):
        flow = depth = quotes = 0.0
        for past in range(second - windows[w] + 1, s.second + 1):
            row = ring[past % len(ring)]
            flow += row[_FLOW]
            depth += row[_DEPTH]
            quotes += row[_COUNT]
        out[w] = flow
        out[count + w] = flow * quotes / depth if depth > 0 else 0.0
    for h in range(len(decays)):
        out[2 * count + h] = decays[h, 1] * 2.0 ** ((s.clock - now) / decays[h, 0])

"""Quoted spread: what the best quotes leave between them, now and over a window of time.

Each quote counts for as long as it was in force. Time under a quote that is not valid (a side
is empty, or they cross), before the first quote and after an interruption counts for nothing.
"""

import math
from typing import Any, ClassVar, Final

import numpy as np
import numpy.typing as npt

from alphaplus.analysis.measure import Measure
from alphaplus.analysis.spread import log_spread, spread_bps
from alphaplus.analysis.tape import Tape
from alphaplus.errors import ConfigError
from alphaplus.instruments import Instrument
from alphaplus.jit import kernel

_SLOTS: Final = 60
"""A window is that many slots of time; it moves on by whole slots."""
_EXACT: Final = 32
"""Spreads up to so many ticks have a bin each; wider ones share `_PER_OCTAVE` a doubling."""
_PER_OCTAVE: Final = 8
_BINS: Final = _EXACT + 14 * _PER_OCTAVE
"""The last bin holds everything from 2^19 / 1.09 ticks on."""
_TIME_LIMIT: Final = 1 << 62
"""Times, ns, are below; later ones are taken for the time before them."""
_TICK_LIMIT: Final = 1 << 52
"""Ticks up to here are exact as float64, and so are sums of two."""

SLOT: Final = np.dtype(
    [
        ("id", "<i8"),  # time // slot length
        ("known_ns", "<i8"),
        ("one_tick_ns", "<i8"),
        ("ticks", "<f8"),  # x ns
        ("bps", "<f8"),  # x ns
        ("low", "<i8"),  # ticks, 0 = none
        ("high", "<i8"),
        ("bins", "<i8", (_BINS,)),  # ns
    ],
    align=True,
)
STATE: Final = np.dtype(
    [
        ("slot_ns", "<i8"),
        ("time", "<i8"),  # of the quote in force
        ("is_valid", "<i8"),
        ("bid_tick", "<i8"),
        ("ask_tick", "<i8"),
        ("quotes", "<i8"),
        ("invalid", "<i8"),
    ],
    align=True,
)


class QuotedSpread(Measure):
    """Spread of the best quotes: the latest, and its statistics by time over a window.

    `window_s` is the length of the window in seconds of market time. The window ends at the
    newest time seen and begins with a whole slot of 1/60 of its length, so it spans between
    59/60 and all of it. Raises ConfigError unless 0.001 <= window_s <= 86400.
    """

    name: ClassVar[str] = "quoted_spread"

    def __init__(self, instrument: Instrument, *, window_s: float = 60.0) -> None:
        if not 1e-3 <= window_s <= 86_400:
            raise ConfigError(f"Expected window_s from 0.001 to 86400, was {window_s}.")
        self._tick = (float(instrument.tick_units), 10.0**instrument.price_decimals)
        self._state = np.zeros(1, dtype=STATE)
        self._state["slot_ns"] = round(window_s * 1e9) // _SLOTS
        self._slots = np.zeros(_SLOTS, dtype=SLOT)
        self._total = np.zeros(1, dtype=SLOT)
        self._now = 0

    def update(self, tape: Tape) -> None:
        """Take the best quotes of the next piece of the stream."""
        if self._now < tape.ts_event < _TIME_LIMIT:
            self._now = tape.ts_event
        if len(tape.quotes):
            _follow(self._state, self._slots, tape.quotes)

    def interrupt(self) -> None:
        """Forget the quote in force: how long it was, and what is, nobody knows."""
        self._state["is_valid"] = 0

    def values(self) -> dict[str, Any]:
        """Return the latest spread, and averages, range, median and shares by time.

        Spreads in quote currency, basis points of the mid, log units or ticks; None while no
        valid quote is in force, or none was for any time of the window.
        """
        state = self._state[0]
        window = self._total
        _sum_up(self._state, self._slots, self._now, window)
        return {
            **self._latest(),
            **self._window(window[0]),
            "quotes": int(state["quotes"]),
            "invalid_quotes": int(state["invalid"]),
        }

    def missing(self) -> dict[str, str]:
        """Say what None still needs: a valid quote, or time under one."""
        needs = {"spread": "a valid best quote", "average": "time under a valid best quote"}
        return {
            key: needs["average" if key in _OF_WINDOW else "spread"]
            for key, value in self.values().items()
            if value is None
        }

    def _latest(self) -> dict[str, Any]:
        state = self._state[0]
        if not state["is_valid"]:
            return dict.fromkeys(_OF_QUOTE)
        bid, ask = int(state["bid_tick"]), int(state["ask_tick"])
        return {
            "spread": self._price(ask - bid),
            "spread_bps": spread_bps(float(bid), float(ask)),
            "spread_log": float(log_spread(float(bid), float(ask))),
            "spread_ticks": ask - bid,
        }

    def _window(self, window: np.void) -> dict[str, Any]:
        known = int(window["known_ns"])
        found: dict[str, Any] = dict.fromkeys(_OF_WINDOW)
        if known > 0:
            low, high = int(window["low"]), int(window["high"])
            ticks = float(window["ticks"]) / known
            found |= {
                "average_spread": self._price(ticks),
                "average_spread_bps": float(window["bps"]) / known,
                "average_spread_ticks": ticks,
                "minimum_spread_ticks": low,
                "median_spread_ticks": time_quantile(window["bins"], 0.5, low, high),
                "upper_spread_ticks": time_quantile(window["bins"], 0.95, low, high),
                "maximum_spread_ticks": high,
                "one_tick_share": int(window["one_tick_ns"]) / known,
            }
        return {**found, "known_s": known / 1e9}

    def _price(self, ticks: float) -> float:
        units, scale = self._tick
        return ticks * units / scale


_OF_QUOTE: Final = ("spread", "spread_bps", "spread_log", "spread_ticks")
_OF_WINDOW: Final = (
    "average_spread",
    "average_spread_bps",
    "average_spread_ticks",
    "minimum_spread_ticks",
    "median_spread_ticks",
    "upper_spread_ticks",
    "maximum_spread_ticks",
    "one_tick_share",
)


def bin_of(ticks: int) -> int:
    """Return the bin of a spread in ticks (>= 1): its own up to 32, then 8 bins a doubling."""
    return int(_bin(ticks))


def time_quantile(bins: npt.NDArray[np.int64], share: float, low: int, high: int) -> int:
    """Return the narrowest spread, ticks, below or at which `share` of the time was spent.

    `bins` holds times by `bin_of`, not all 0. Exact up to 32 ticks; above, the widest spread
    of its bin (at most 9 % more), but never outside `low` and `high`.
    """
    spent = np.cumsum(bins)
    found = int(np.searchsorted(spent, share * spent[-1]))
    if found < _EXACT:
        return min(max(found + 1, low), high)
    if found == _BINS - 1:
        return high
    edge: float = _EXACT * 2.0 ** ((found - _EXACT + 1) / _PER_OCTAVE)
    return min(max(math.floor(edge), low), high)


@kernel
def _bin(ticks: int) -> int:
    if ticks <= _EXACT:
        return ticks - 1
    octaves = math.log2(ticks / _EXACT)
    found: int = _EXACT - 1 + math.ceil(_PER_OCTAVE * octaves)
    return min(found, _BINS - 1)


@kernel
def _follow(state_row: Any, slots: Any, quotes: Any) -> None:
    state = state_row[0]
    for i in range(len(quotes)):
        quote = quotes[i]
        time = quote.ts_event
        if time < state.time or time >= _TIME_LIMIT:
            time = state.time
        if state.is_valid:
            _add(state, slots, state.time, time, 0)
        state.time = time
        state.quotes += 1
        bid, ask = quote.bid_tick, quote.ask_tick
        state.is_valid = (
            0 < bid < ask <= _TICK_LIMIT
            and 0.0 < quote.bid_quantity < math.inf
            and 0.0 < quote.ask_quantity < math.inf
        )
        if state.is_valid:
            state.bid_tick, state.ask_tick = bid, ask
        else:
            state.invalid += 1


@kernel
def _add(state: Any, slots: Any, begin: int, end: int, single: int) -> None:
    """Add the quote in force over [begin, end) to its slots; with `single` to slot 0 only."""
    length = state.slot_ns
    first, last = begin // length, end // length
    if first < last - _SLOTS + 1:
        first = last - _SLOTS + 1
        begin = first * length
    ticks = state.ask_tick - state.bid_tick
    bps = 2e4 * ticks / (state.ask_tick + state.bid_tick)
    place = _bin(ticks)
    for slot_id in range(first, last + 1):
        stop = min(end, (slot_id + 1) * length)
        if stop == begin and slot_id > first:
            break  # the interval ends where this slot begins
        slot = slots[0 if single else slot_id % _SLOTS]
        if slot.id != slot_id and not single:
            _clear(slot)
            slot.id = slot_id
        held = stop - begin
        begin = stop
        slot.known_ns += held
        slot.ticks += ticks * float(held)
        slot.bps += bps * held
        slot.bins[place] += held
        if ticks == 1:
            slot.one_tick_ns += held
        if slot.low == 0 or ticks < slot.low:
            slot.low = ticks
        if ticks > slot.high:
            slot.high = ticks


@kernel
def _clear(slot: Any) -> None:
    slot.known_ns = slot.one_tick_ns = slot.low = slot.high = 0
    slot.ticks = slot.bps = 0.0
    for i in range(_BINS):
        slot.bins[i] = 0


@kernel
def _sum_up(state_row: Any, slots: Any, now: int, total_row: Any) -> None:
    """Sum the slots of the window that ends at `now`, and the quote that is in force."""
    state, total = state_row[0], total_row[0]
    _clear(total)
    now = max(now, state.time)
    newest = now // state.slot_ns
    for i in range(_SLOTS):
        slot = slots[(newest + 1 + i) % _SLOTS]
        if slot.low == 0 or slot.id <= newest - _SLOTS:
            continue
        total.known_ns += slot.known_ns
        total.one_tick_ns += slot.one_tick_ns
        total.ticks += slot.ticks
        total.bps += slot.bps
        for k in range(_BINS):
            total.bins[k] += slot.bins[k]
        if total.low == 0 or slot.low < total.low:
            total.low = slot.low
        if slot.high > total.high:
            total.high = slot.high
    if state.is_valid:
        begin = max(state.time, (newest - _SLOTS + 1) * state.slot_ns)
        _add(state, total_row, begin, now, 1)

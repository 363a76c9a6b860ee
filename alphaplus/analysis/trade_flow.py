"""Trade flow: who is in a hurry. Imbalance of aggressors, and cumulative volume delta (CVD).

With D = +1 for a buy aggressor and -1 for a sell aggressor, trade imbalance is sum D q / sum q
over a window, in [-1, 1], and CVD the running sum of D q from a stated start.
"""

from collections.abc import Sequence
from enum import StrEnum
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
from alphaplus.analysis.tape import Tape, TradeArray
from alphaplus.errors import ConfigError
from alphaplus.instruments import Instrument
from alphaplus.jit import kernel

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_DAY: Final = 86_400 * SECOND
_LARGEST: Final = 1e15
"""No trade has such a quantity: a row that says so is rejected."""
_SEEN: Final = 1024
"""So many trade ids back a late trade is told from a repeated one."""
_NO_TRADE: Final = "no trade yet"

_STATE: Final = np.dtype(
    [
        *CONTRACT_FIELDS,
        ("is_daily", "<i8"),  # whether CVD starts again at UTC midnight
        ("is_started", "<i8"),  # whether the windows have seen a trade
        ("clock", "<i8"),  # newest time of a trade, ns; 0 before the first
        ("second", "<i8"),  # of the clock
        ("first", "<i8"),  # second of the windows' first trade
        ("cvd_base", "<f8"),
        ("cvd_quote", "<f8"),
        ("cvd_start", "<i8"),  # ns
        ("newest_id", "<i8"),  # 0 before the first id, -1 where ids start again
        ("first_id", "<i8"),  # that CVD should hold
        ("counted_ids", "<i8"),  # since then
        ("is_broken", "<i8"),  # whether CVD lost trades in a way that ids do not tell
        ("is_awaiting", "<i8"),  # whether the stream broke off and no trade came since
        ("trades", "<i8"),
        ("duplicates", "<i8"),
        ("rejected", "<i8"),
        ("seen", "<i8", (_SEEN,)),
    ],
    align=True,
)
_BUY: Final = 0
_SELL: Final = 1
_HALF_LIFE: Final = 2


class CvdStart(StrEnum):
    """From when CVD runs."""

    UTC_MIDNIGHT = "utc_midnight"
    """And from the first trade, on the day on which the stream begins."""
    STREAM = "stream"


def signed_volume(trades: TradeArray, instrument: Instrument | None = None) -> Floats:
    """Return D q of each trade, base units (of the instrument; else as the quantities are).

    0 where no aggressor is known, the trade is off market, its id was there before, or its
    quantity is not above 0 and finite.
    """
    quantity = trades["quantity"]
    is_good = (quantity > 0) & (quantity < _LARGEST) & (trades["off_market"] == 0)
    repeated = trades["trade_id"] > 0
    repeated[np.unique(trades["trade_id"], return_index=True)[1]] = False
    signed = np.where(is_good & ~repeated, trades["side"] * quantity, 0.0)
    if instrument is not None:
        signed = signed * instrument.contract_size
        if instrument.inverse:
            signed /= trades["price_tick"] * instrument.tick_units / 10.0**instrument.price_decimals
    return signed


def cvd(trades: TradeArray, instrument: Instrument | None = None) -> Floats:
    """Return the cumulative volume delta after each trade, base units, from the first trade on."""
    return np.cumsum(signed_volume(trades, instrument))


def trade_imbalance(trades: TradeArray, instrument: Instrument | None = None) -> float:
    """Return (V_buy - V_sell) / (V_buy + V_sell), in [-1, 1]; 0 without trades."""
    signed = signed_volume(trades, instrument)
    total = float(np.abs(signed).sum())
    return float(signed.sum()) / total if total > 0 else 0.0


class TradeFlow(Measure):
    """Aggressors' volumes and imbalance over windows and decayed, and CVD.

    A window of n seconds is the current second of venue time and the n - 1 before it; it is
    None until the stream covers it, and an interruption starts it anew. CVD goes on over an
    interruption, but is complete only if the trade ids say that none is missing. A trade id
    counts once; ids at or below 0 are none.
    """

    name: ClassVar[str] = "trade_flow"

    def __init__(
        self,
        instrument: Instrument,
        *,
        windows_s: Sequence[int] = (60,),
        half_lives_s: Sequence[float] = (60.0,),
        cvd_start: CvdStart | str = CvdStart.UTC_MIDNIGHT,
    ) -> None:
        if cvd_start not in tuple(CvdStart):
            raise ConfigError(
                f"Expected cvd_start as one of {', '.join(CvdStart)}, was {cvd_start}."
            )
        self._windows = window_seconds("windows_s", windows_s)
        half_lives = all_above_zero("half_lives_s", half_lives_s)
        self._state = np.zeros(1, dtype=_STATE)
        set_contract(self._state, instrument)
        self._state["is_daily"] = cvd_start == CvdStart.UTC_MIDNIGHT
        self._ring = np.zeros((self._windows[-1], 2))
        self._decays = np.array([[0.0, 0.0, SECOND * half_life] for half_life in half_lives])
        self._decayed = [f"trade_imbalance_decayed_{half_life:g}s" for half_life in half_lives]
        self._plan = np.array(self._windows, dtype=np.int64)
        self._out = np.empty((len(self._windows), 2))
        self._now = 0

    def update(self, tape: Tape) -> None:
        """Take the trades of a tape."""
        self._now = tape.ts_event
        if len(tape.trades):
            _update(self._state, self._ring, self._decays, tape.trades)

    def interrupt(self) -> None:
        """Start the windows anew; CVD waits for the next trade's id to know what was lost."""
        self._state["is_started"] = 0
        self._state["is_awaiting"] = self._state["clock"] > 0

    def values(self) -> dict[str, Any]:
        """Return imbalances in [-1, 1], volumes and CVD in base units, `cvd_quote` in quote."""
        values: dict[str, Any] = {}
        state = self._state[0]
        is_started = bool(state["is_started"])
        if is_started:
            _read(self._state, self._ring, self._plan, self._now, self._out)
        for window, (buy, sell) in zip(self._windows, self._out.tolist(), strict=True):
            values[f"trade_imbalance_{window}s"] = _ratio(buy, sell)
            values[f"buy_volume_{window}s"] = buy
            values[f"sell_volume_{window}s"] = sell
        for name, (buy, sell, _) in zip(self._decayed, self._decays.tolist(), strict=True):
            values[name] = _ratio(buy, sell)
        values |= self._cvd()
        return values | dict.fromkeys(self.missing())

    def missing(self) -> dict[str, str]:
        """Say how much of each window the stream covers."""
        state = self._state[0]
        names = ("trade_imbalance", "buy_volume", "sell_volume")
        found: dict[str, str] = {}
        if not state["is_started"]:
            found = {f"{name}_{window}s": _NO_TRADE for window in self._windows for name in names}
            found |= dict.fromkeys(self._decayed, _NO_TRADE)
        else:
            covered = int(max(self._now // SECOND, state["second"]) - state["first"])
            found = {
                f"{name}_{window}s": f"{covered} of {window} s"
                for window in self._windows
                if covered < window
                for name in names
            }
        if not state["clock"]:
            found |= dict.fromkeys(("cvd_base", "cvd_quote", "cvd_start_ts"), _NO_TRADE)
        return found

    def _cvd(self) -> dict[str, Any]:
        state = self._state[0]
        missing = 0
        if state["newest_id"]:
            missing = int(state["newest_id"] - state["first_id"] + 1 - state["counted_ids"])
        values = {
            "cvd_base": float(state["cvd_base"]),
            "cvd_quote": float(state["cvd_quote"]),
            "cvd_start_ts": int(state["cvd_start"]),
            "cvd_missing_trades": missing,
            "cvd_complete": bool(
                state["clock"] and not (missing or state["is_broken"] or state["is_awaiting"])
            ),
            "duplicate_trades": int(state["duplicates"]),
            "rejected_trades": int(state["rejected"]),
        }
        midnight = self._now // _DAY * _DAY
        if state["is_daily"] and 0 < state["clock"] < midnight:  # no trade yet on a new day
            values |= {"cvd_base": 0.0, "cvd_quote": 0.0, "cvd_start_ts": midnight}
            values |= {"cvd_missing_trades": 0, "cvd_complete": not state["is_awaiting"]}
        return values


def _ratio(buy: float, sell: float) -> float:
    return (buy - sell) / (buy + sell) if buy + sell > 0 else 0.0


@kernel
def _update(state: Any, ring: Floats, decays: Floats, trades: TradeArray) -> None:
    """Add each trade once to its second, to the decayed sums and to CVD."""
    s = state[0]
    for i in range(len(trades)):
        trade = trades[i]
        if trade.trade_id > 0 and _is_repeated(state, trade.trade_id, trade.ts_event):
            s.duplicates += 1
            continue
        _advance(state, ring, decays, trade.ts_event)
        _note_id(state, trade.trade_id)
        base = trade.quantity * s.size
        if not 0 < trade.quantity < _LARGEST or (s.inverse != 0 and trade.price_tick <= 0):
            s.rejected += 1
            s.is_broken = 1
            continue
        s.trades += 1
        if trade.side == 0 or trade.off_market != 0:
            continue
        price = trade.price_tick * s.tick_units / s.scale
        if s.inverse != 0:
            base /= price
        side = _BUY if trade.side > 0 else _SELL
        ring[s.second % len(ring), side] += base
        for h in range(len(decays)):
            decays[h, side] += base
        sign = 1.0 if trade.side > 0 else -1.0
        s.cvd_base += sign * base
        s.cvd_quote += sign * (trade.quantity * s.size if s.inverse != 0 else base * price)


@kernel
def _is_repeated(state: Any, trade_id: int, ts: int) -> bool:
    """Say whether a trade was counted before; see too whether the venue's ids start again."""
    s = state[0]
    if trade_id > s.newest_id:
        return False
    if trade_id > s.newest_id - _SEEN:
        return bool(s.seen[trade_id % _SEEN] == trade_id)
    if ts <= s.clock:
        return True
    # An old id on a trade newer than all others: ids were reset, and what is lost is unknown.
    s.newest_id = -1
    s.seen[:] = 0
    return False


@kernel
def _note_id(state: Any, trade_id: int) -> None:
    """Mark an id as counted; without one, what an interruption lost is not known."""
    s = state[0]
    if trade_id <= 0:
        if s.is_awaiting != 0:
            s.is_broken = 1
    else:
        if s.newest_id <= 0:
            s.is_broken |= s.newest_id < 0
            s.first_id = trade_id
            s.counted_ids = 0
        if trade_id >= s.first_id:
            s.counted_ids += 1
        s.newest_id = max(s.newest_id, trade_id)
        s.seen[trade_id % _SEEN] = trade_id
    s.is_awaiting = 0


@kernel
def _advance(state: Any, ring: Floats, decays: Floats, ts: int) -> None:
    """Move the clock on, never back: decay the sums, empty the seconds in between."""
    s = state[0]
    before = s.clock
    s.clock = max(s.clock, ts)
    if before == 0:
        s.cvd_start = ts
    elif s.is_daily != 0 and s.clock // 86_400_000_000_000 > before // 86_400_000_000_000:
        s.cvd_base = s.cvd_quote = 0.0
        s.cvd_start = s.clock // 86_400_000_000_000 * 86_400_000_000_000
        s.first_id = s.newest_id + 1
        s.counted_ids = s.is_broken = 0
    second = s.clock // 1_000_000_000
    if s.is_started == 0:
        s.is_started = 1
        s.first = s.second = second
        ring[:] = 0.0
        decays[:, :_HALF_LIFE] = 0.0
        return
    if s.clock > before:
        for h in range(len(decays)):
            decays[h, :_HALF_LIFE] *= 2.0 ** ((before - s.clock) / decays[h, _HALF_LIFE])
    for past in range(max(s.second + 1, second - len(ring) + 1), second + 1):
        ring[past % len(ring)] = 0.0
    s.second = second


@kernel
def _read(state: Any, ring: Floats, windows: Ints, now: int, out: Floats) -> None:
    """Write the volumes of buyers and sellers in each window."""
    s = state[0]
    second = max(now, s.clock) // 1_000_000_000
    out[:] = 0.0
    for w in range(len(windows)):
        for past in range(second - windows[w] + 1, s.second + 1):
            out[w] += ring[past % len(ring)]

"""What trades cost their takers and earn their makers, against the mid before and after.

With D = +1 for a buying aggressor, -1 for a selling one, p the price of a trade at time t, m0 the
mid in force strictly before t, and m1 the mid in force at t + tau:

    effective spread 2 D (p - m0), realized spread 2 D (p - m1), price impact D (m1 - m0),

so effective = realized + 2 impact for each trade (Bessembinder, 2003). The maker's markout
D (p - m1) is what the maker has gained by then: negative is adverse selection.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final, TypeVar

import numpy as np
import numpy.typing as npt

from alphaplus.analysis import _trade_cost_kernels as kernels
from alphaplus.analysis.measure import Measure
from alphaplus.analysis.tape import QuoteArray, Tape, TradeArray
from alphaplus.errors import ConfigError
from alphaplus.instruments import Instrument

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Number = TypeVar("Number", float, npt.NDArray[np.float64])

_CLOCKS: Final = {"auto": 0, "event": 1, "receive": 2}


def effective_spread(side: Number, price: Number, mid_before: Number) -> Number:
    """Return 2 D (p - m0), in the unit of the prices; D is `side`, +1 or -1.

    >>> effective_spread(1, 100.5, 100.0)
    1.0
    """
    return 2 * side * (price - mid_before)


def realized_spread(side: Number, price: Number, mid_after: Number) -> Number:
    """Return 2 D (p - m1), in the unit of the prices."""
    return 2 * side * (price - mid_after)


def price_impact(side: Number, mid_before: Number, mid_after: Number) -> Number:
    """Return D (m1 - m0), in the unit of the prices: how far the trade took the mid along."""
    return side * (mid_after - mid_before)


def maker_markout_bps(side: Number, price: Number, mid_after: Number) -> Number:
    """Return -1e4 D (m1 - p) / p: the maker's gain in basis points, negative if picked off."""
    return -1e4 * side * (mid_after - price) / price


@dataclass(frozen=True, slots=True, kw_only=True)
class TradeCosts:
    """The costs of each trade, nan where not known. Prices and spreads in quote currency."""

    mid_before: Floats
    mid_after: Floats
    """One row a horizon."""
    effective_spread: Floats
    effective_spread_bps: Floats
    """Of the mid before, as are the next two."""
    realized_spread: Floats
    """One row a horizon, as have all that follow."""
    realized_spread_bps: Floats
    price_impact: Floats
    price_impact_bps: Floats
    maker_markout_bps: Floats
    """Of the price."""


def trade_costs(
    instrument: Instrument,
    quotes: QuoteArray,
    trades: TradeArray,
    horizons_s: Sequence[float] = (1.0, 5.0, 30.0, 300.0),
) -> TradeCosts:
    """Return the costs of each trade of a whole stream, by venue time.

    A mid is known once a quote at or after the trade has come, or one after the horizon. All
    is nan for trades without a side or off the market.
    """
    times = np.maximum.accumulate(quotes["ts_event"])
    mids = _mids(quotes)
    price = trades["price_tick"].astype(np.float64)
    side = trades["side"].astype(np.float64)
    side[(trades["side"] == 0) | (trades["off_market"] != 0)] = np.nan
    at = trades["ts_event"]
    before = _in_force(times, mids, at, "left")
    after = np.empty((len(horizons_s), len(trades)))
    for row, horizon in zip(after, horizons_s, strict=True):
        row[:] = _in_force(times, mids, at + round(horizon * 1e9), "right")
    # In ticks, where differences are exact; only then in quote currency.
    effective = effective_spread(side, price, before)
    realized = realized_spread(side, price, after)
    impact = price_impact(side, before, after)
    tick = instrument.price(1)
    return TradeCosts(
        mid_before=before * tick,
        mid_after=after * tick,
        effective_spread=effective * tick,
        effective_spread_bps=1e4 * effective / before,
        realized_spread=realized * tick,
        realized_spread_bps=1e4 * realized / before,
        price_impact=impact * tick,
        price_impact_bps=1e4 * impact / before,
        maker_markout_bps=maker_markout_bps(side, price, after),
    )


def _mids(quotes: QuoteArray) -> Floats:
    """Return mids in ticks, nan where a quote is not valid."""
    bid, ask = quotes["bid_tick"], quotes["ask_tick"]
    valid = (bid > 0) & (bid < ask) & (ask <= kernels.TICK_LIMIT)
    for size in (quotes["bid_quantity"], quotes["ask_quantity"]):
        valid &= (size > 0) & (size < np.inf)
    return np.where(valid, (bid + ask) / 2, np.nan)


def _in_force(times: Ints, mids: Floats, at: Ints, side: Any) -> Floats:
    """Return the last mid before each time ("left") or up to it ("right"), nan if not known."""
    index = np.searchsorted(times, at, side=side)
    found = np.concatenate([[np.nan], mids])[index]
    return np.where(index < len(times), found, np.nan)


class TradeCost(Measure):
    """Costs of trades, averaged by notional over a window and in total.

    `horizons_s` are the tau in seconds. The window of `window_s` seconds holds what became
    known in it: an effective spread at the trade's time, the rest tau later. It begins with a
    whole slot of 1/60 of its length. Up to `waiting_trades` rows wait for a mid (trades of
    equal time, price and side share one), and the last `known_mids` mids are known for trades
    that arrive late; what does not fit is counted and left out.

    `clock` says by which time trades and quotes meet: "event" the venue's; "receive" ours, for
    venues that send quotes without a time. A trade's own time is then moved to our clock by
    the smallest delay of the last minutes, since trades may arrive far later than quotes.
    "auto" decides at the first quote: ours if both its times are the same.
    """

    name: ClassVar[str] = "trade_cost"

    def __init__(
        self,
        instrument: Instrument,
        *,
        horizons_s: Sequence[float] = (1.0, 5.0, 30.0, 300.0),
        window_s: float = 300.0,
        waiting_trades: int = 32_768,
        known_mids: int = 8_192,
        clock: str = "auto",
    ) -> None:
        _check(horizons_s, window_s, waiting_trades, known_mids, clock)
        self._names = [f"{horizon:g}s" for horizon in horizons_s]
        self._state = np.zeros(1, dtype=kernels.STATE)
        state = self._state[0]
        state["slot_ns"] = round(window_s * 1e9) // kernels.SLOTS
        state["horizons"] = len(horizons_s)
        state["horizon_ns"][: len(horizons_s)] = [round(tau * 1e9) for tau in horizons_s]
        state["tick"] = instrument.price(1)
        state["contract_size"], state["inverse"] = instrument.contract_size, instrument.inverse
        state["clock"] = _CLOCKS[clock]
        state["quote_time"] = state["skew_span"] = -1
        self._pending = np.zeros(waiting_trades, dtype=kernels.PENDING)
        self._mids = np.zeros(known_mids, dtype=kernels.MID)
        self._sums = np.zeros((1 + len(horizons_s), 1 + kernels.SLOTS), dtype=kernels.SUMS)
        self._window = np.zeros(1 + len(horizons_s), dtype=kernels.SUMS)
        self._now = 0

    def update(self, tape: Tape) -> None:
        """Take the best quotes and the trades of the next piece of the stream."""
        if self._now < tape.ts_event < kernels.TIME_LIMIT:
            self._now = tape.ts_event
        if len(tape.quotes) or len(tape.trades):
            kernels.follow(
                self._state, self._pending, self._mids, self._sums, tape.quotes, tape.trades
            )

    def interrupt(self) -> None:
        """Note that no mid is known after the newest quote until the next one."""
        kernels.break_off(self._state, self._pending, self._mids, self._sums)

    def values(self) -> dict[str, Any]:
        """Return averages over the window and, under `total`, since the start.

        Spreads, impact and markouts in quote currency and basis points; None without trades
        whose mids are known. Then what was left out, in trades: `waiting` have no mid before
        them yet, `unpriced` had none, `late` came when it was forgotten, `overflowed` counts
        each outcome given up because too many trades waited.
        """
        kernels.sum_up(self._state, self._sums, self._now, self._window)
        state = self._state[0]
        counters = {name: int(state[name]) for name in _COUNTERS}
        lost = state["without_mid"].tolist()
        return {
            **self._averages(self._window),
            "total": self._averages(self._sums[:, 0]),
            **counters,
            "waiting": int(kernels.waiting(self._state, self._pending)),
            **{f"without_mid_{tau}": lost[k] for k, tau in enumerate(self._names)},
        }

    def missing(self) -> dict[str, str]:
        """Say what None still needs: a trade between valid quotes, or time after it."""
        needs = {"effective": "a trade between valid quotes"}
        for tau in self._names:
            needs[tau] = f"a trade and a valid quote {tau} after it"
        return {
            key: needs["effective" if key.startswith("effective") else key.rsplit("_", 1)[1]]
            for key, value in self.values().items()
            if value is None
        }

    def _averages(self, rows: Any) -> dict[str, Any]:
        found = _ratios(
            rows[0], {"effective_spread": "spread", "effective_spread_bps": "spread_bps"}
        )
        found["trades"] = int(rows[0]["count"])
        found["notional"] = float(rows[0]["notional"])
        for tau, row in zip(self._names, rows[1:], strict=True):
            found |= _ratios(row, {f"{key}_{tau}": field for key, field in _AFTER.items()})
            markout = found[f"realized_spread_{tau}"]
            found[f"maker_markout_{tau}"] = None if markout is None else markout / 2
            found[f"trades_{tau}"] = int(row["count"])
        return found


_COUNTERS: Final = (
    "taken",
    "sideless",
    "off_market",
    "rejected",
    "unpriced",
    "late",
    "overflowed",
)
_AFTER: Final = {
    "realized_spread": "spread",
    "realized_spread_bps": "spread_bps",
    "price_impact": "impact",
    "price_impact_bps": "impact_bps",
    "maker_markout_bps": "markout_bps",
}


def _ratios(row: Any, fields: dict[str, str]) -> dict[str, Any]:
    notional = float(row["notional"])
    return {
        key: float(row[field]) / notional if notional > 0 else None for key, field in fields.items()
    }


def _check(
    horizons_s: Sequence[float],
    window_s: float,
    waiting_trades: int,
    known_mids: int,
    clock: str,
) -> None:
    if not 1 <= len(horizons_s) <= kernels.MOST_HORIZONS or len(set(horizons_s)) < len(horizons_s):
        raise ConfigError(f"Expected 1 to 8 different horizons_s, was {tuple(horizons_s)}.")
    bounds = [("window_s", window_s, 1e-3, 86_400.0)]
    bounds += [("horizons_s", horizon, 1e-3, 86_400.0) for horizon in horizons_s]
    bounds += [("waiting_trades", waiting_trades, 1, 1e8), ("known_mids", known_mids, 2, 1e8)]
    for name, value, low, high in bounds:
        if not low <= value <= high:
            raise ConfigError(f"Expected {name} from {low:g} to {high:g}, was {value}.")
    if clock not in _CLOCKS:
        raise ConfigError(f"Expected clock as one of {', '.join(_CLOCKS)}, was {clock!r}.")

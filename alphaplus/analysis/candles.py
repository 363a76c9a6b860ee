"""Candles as the stream goes: open, high, low, close and volume per period of exchange time.

Of trades: a period without trades has no candle; `open` is its first trade. Of mids: a candle
opens at the mid in force when its period begins and goes on without quotes, so the next one
opens where it closed.
"""

from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

from alphaplus.analysis.streaming import (
    CONTRACT_FIELDS,
    SECOND,
    above_zero,
    set_contract,
    whole_number,
)
from alphaplus.analysis.tape import QuoteArray, Tape, TradeArray
from alphaplus.errors import ConfigError
from alphaplus.instruments import Instrument
from alphaplus.jit import kernel

CandleArray = npt.NDArray[np.void]
"""A one-dimensional array of dtype `CANDLE`."""
CandleSource = Literal["mid", "trade"]

CANDLE: Final = np.dtype(
    [
        ("ts", "<i8"),  # when its period begins, ns
        ("open", "<f8"),
        ("high", "<f8"),
        ("low", "<f8"),
        ("close", "<f8"),
        ("volume", "<f8"),  # base units; 0 for mids
        ("quote_volume", "<f8"),  # quote currency; 0 for mids
        ("count", "<i8"),  # trades, or quotes
        ("is_whole", "<i8"),  # 1: the stream covered all of its period
    ],
    align=True,
)

_LARGEST: Final = 1e15
"""No venue trades or quotes such a quantity: a row that says so is left out."""

_STATE: Final = np.dtype(
    [
        *CONTRACT_FIELDS,
        ("period", "<i8"),  # ns
        ("is_mid", "<i8"),
        ("is_open", "<i8"),  # whether there is a candle in progress
        ("is_broken", "<i8"),  # whether the next candle may lack its beginning
        ("number", "<i8"),  # period in progress: time // period
        ("closed", "<i8"),  # candles closed so far
        ("last_id", "<i8"),  # of a trade
        ("mid", "<f8"),  # in force; nan = not known
    ],
    align=True,
)


class CandleSeries:
    """The last `capacity` candles of a market, from its trades or from its best quotes.

    A trade or quote that is stamped before the period in progress counts in that period.
    Trades that no market order made are left out, and so is a trade id that came before.
    """

    def __init__(
        self,
        instrument: Instrument,
        *,
        period_s: float = 60.0,
        capacity: int = 1440,
        source: CandleSource = "trade",
    ) -> None:
        if source not in ("mid", "trade"):
            raise ConfigError(f"Expected source mid or trade, was {source!r}.")
        if not 0.001 <= above_zero("period_s", period_s) <= 86_400:
            raise ConfigError(f"Expected period_s in [0.001, 86400], was {period_s}.")
        whole_number("capacity", capacity, 1, 1_000_000)
        self._is_mid = source == "mid"
        self.period_ns = round(period_s * SECOND)
        self._state = np.zeros(1, dtype=_STATE)
        set_contract(self._state, instrument)
        self._state["period"] = self.period_ns
        self._state["is_mid"] = self._is_mid
        self._state["is_broken"] = 1
        self._state["mid"] = np.nan
        self._ring = np.zeros(capacity, dtype=CANDLE)
        self._candle = np.zeros(1, dtype=CANDLE)
        self._now = 0

    def update(self, tape: Tape) -> None:
        """Take the trades or the best quotes of a tape."""
        self._now = max(self._now, tape.ts_event)
        if self._is_mid:
            if len(tape.quotes):
                _take_quotes(self._state, self._candle, self._ring, tape.quotes)
        elif len(tape.trades):
            _take_trades(self._state, self._candle, self._ring, tape.trades)

    def interrupt(self) -> None:
        """Note that the stream broke off: the candles in progress now and next are not whole."""
        _interrupt(self._state, self._candle, self._ring, self._now)

    @property
    def period_number(self) -> int:
        """The period of the newest time: its time // period. `closed` ends before it."""
        return self._now // self.period_ns

    @property
    def version(self) -> tuple[int, int] | None:
        """Equal while `closed` is the same; None while the newest of it may still change."""
        state = self._state[0]
        if state["is_open"] and self.period_number > state["number"]:
            return None
        return self.period_number, int(state["closed"])

    def closed(self) -> CandleArray:
        """Return the candles whose period is over, oldest first."""
        state, ring = self._state, self._ring
        if state["is_open"][0] and self.period_number > state["number"][0]:
            state, ring = state.copy(), ring.copy()
            _advance(state, self._candle.copy(), ring, self.period_number)
        count, size = int(state["closed"][0]), len(ring)
        return ring[np.arange(max(0, count - size), count) % size]

    def in_progress(self) -> CandleArray:
        """Return the candle of the newest time's period, as one row; none if it has no price."""
        state, candle = self._state, self._candle
        if state["is_open"][0] and self.period_number > state["number"][0]:
            state, candle = state.copy(), candle.copy()
            _advance(state, candle, self._ring.copy(), self.period_number)
        return candle[: int(state["is_open"][0])].copy()


@kernel
def _take_trades(state: Any, candle: CandleArray, ring: CandleArray, trades: TradeArray) -> None:
    s, c = state[0], candle[0]
    for i in range(len(trades)):
        trade = trades[i]
        is_good = trade.price_tick > 0 and 0 < trade.quantity < _LARGEST
        if not is_good or (trade.trade_id != 0 and trade.trade_id <= s.last_id):
            continue
        s.last_id = max(s.last_id, trade.trade_id)
        if trade.off_market != 0:
            continue
        _advance(state, candle, ring, trade.ts_event // s.period)
        price = trade.price_tick * s.tick_units / s.scale
        amount = trade.quantity * s.size
        _set_price(state, candle, price)
        c.volume += amount / price if s.inverse != 0 else amount
        c.quote_volume += amount if s.inverse != 0 else amount * price


@kernel
def _take_quotes(state: Any, candle: CandleArray, ring: CandleArray, quotes: QuoteArray) -> None:
    s = state[0]
    for i in range(len(quotes)):
        quote = quotes[i]
        twice = quote.bid_tick + quote.ask_tick
        has_sides = 0 < quote.bid_quantity < _LARGEST and 0 < quote.ask_quantity < _LARGEST
        is_valid = has_sides and quote.bid_tick < quote.ask_tick and twice > 0
        _advance(state, candle, ring, quote.ts_event // s.period)
        s.mid = np.nan
        if is_valid:
            s.mid = twice * s.tick_units / s.scale / 2
            _set_price(state, candle, s.mid)


@kernel
def _set_price(state: Any, candle: CandleArray, price: float) -> None:
    """Let the candle in progress take a price; begin it if this is its first."""
    s, c = state[0], candle[0]
    if s.is_open == 0:
        _open(state, candle, price)
    c.high = max(c.high, price)
    c.low = min(c.low, price)
    c.close = price
    c.count += 1
    s.is_broken = 0


@kernel
def _open(state: Any, candle: CandleArray, price: float) -> None:
    s, c = state[0], candle[0]
    c.ts = s.number * s.period
    c.open = c.high = c.low = c.close = price
    c.volume = c.quote_volume = 0.0
    c.count = 0
    c.is_whole = 1 - s.is_broken
    s.is_open = 1


@kernel
def _close(state: Any, candle: CandleArray, ring: CandleArray) -> None:
    s = state[0]
    ring[s.closed % len(ring)] = candle[0]
    s.closed += 1
    s.is_open = 0


@kernel
def _advance(state: Any, candle: CandleArray, ring: CandleArray, number: int) -> None:
    """Go on to a period, never back: close the candle, carry the mid over the periods between."""
    s = state[0]
    if s.is_open != 0 and number > s.number:
        if s.is_mid != 0 and np.isnan(s.mid):
            candle[0].is_whole = 0
            s.is_broken = 1
        _close(state, candle, ring)
        if s.is_mid != 0 and s.mid > 0:
            for between in range(max(s.number + 1, number - len(ring)), number):
                s.number = between
                _open(state, candle, s.mid)
                _close(state, candle, ring)
            s.number = number
            _open(state, candle, s.mid)
    if s.is_open == 0:
        s.number = max(s.number, number)


@kernel
def _interrupt(state: Any, candle: CandleArray, ring: CandleArray, now: int) -> None:
    s = state[0]
    _advance(state, candle, ring, now // s.period)
    if s.is_open != 0:
        candle[0].is_whole = 0
    s.is_broken = 1
    s.last_id = 0
    s.mid = np.nan

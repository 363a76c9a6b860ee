"""The newest of every market: marks with their age, books, volatility, volume, funding.

A mark is unknown while its feed is not connected or has been silent, and says so. A book that is
being rebuilt leaves the mark alone: marks come on a stream of their own.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np

from alphaplus.analysis.market_risk import blank_market_risk
from alphaplus.analysis.state import blank_state
from alphaplus.events import FeedStatus
from alphaplus.instruments import Instrument

_UNHEARD: Final = (FeedStatus.CONNECTING, FeedStatus.DISCONNECTED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """The price that positions of a market are valued at."""

    price: float | None
    """Quote currency; None if `missing` says why."""
    source: str
    """`venue`, or `mid` of the book where the venue has told no mark."""
    ts_event: int
    """ns UTC, the venue's clock; 0: never."""
    ts_recv: int
    """ns UTC, our clock; 0: never."""
    missing: tuple[str, ...]


class MarketBoard:
    """Rows by market (`exchange:symbol`); the clock is an argument."""

    def __init__(self, instruments: Iterable[Instrument], *, stale_after_ms: float) -> None:
        self.instruments: dict[str, Instrument] = {}
        self._stale_after_ns = int(stale_after_ms * 1e6)
        self._states: dict[str, np.void] = {}
        self._risks: dict[str, np.void] = {}
        self.set_instruments(instruments)

    def set_instruments(self, instruments: Iterable[Instrument]) -> None:
        """Watch these markets from now on; what is known of those that stay is kept."""
        states, risks = self._states, self._risks
        self.instruments = {item.key: item for item in instruments}
        self._states, self._risks = {}, {}
        for key, item in self.instruments.items():
            self._states[key] = states[key] if key in states else _blank(blank_state(), item)
            self._risks[key] = risks[key] if key in risks else _blank(blank_market_risk(), item)

    def take_state(self, row: np.void) -> None:
        """Take a `STATE` row of one market; one that is not watched has just left."""
        key = f"{row['exchange']}:{row['symbol']}"
        if key in self.instruments:
            self._states[key] = row

    def take_risk(self, row: np.void) -> None:
        """Take a `MARKET_RISK` row of one market, as `take_state`."""
        key = f"{row['exchange']}:{row['symbol']}"
        if key in self.instruments:
            self._risks[key] = row

    def state(self, key: str) -> np.void:
        """Return the newest state of a market that is watched."""
        return self._states[key]

    def risk(self, key: str, now_ns: int) -> np.void:
        """Return the newest risk row; a blank one where it is older than the limit."""
        row = self._risks[key]
        if now_ns - int(row["ts_publish"]) <= self._stale_after_ns:
            return row
        return _blank(blank_market_risk(), self.instruments[key])

    def mark(self, key: str, now_ns: int) -> Mark:
        """Return the mark of a market as it counts at `now_ns`."""
        state = self._states[key]
        status, received = FeedStatus(int(state["status"])), int(state["ts_recv"])
        price, source = float(state["mark_price"]), "venue"
        if not math.isfinite(price):
            price, source = float(state["mid"]), "mid"
        reason = None
        if not received:
            reason = f"mark price of {key}: nothing has been received yet"
        elif now_ns - received > self._stale_after_ns:
            reason = f"mark price of {key}: stale for {(now_ns - received) / 1e9:.1f} s"
        elif status in _UNHEARD:
            reason = f"mark price of {key}: the feed is {status.name.lower()}"
        elif not price > 0:
            reason = f"mark price of {key}"
        return Mark(
            price=None if reason else price,
            source=source,
            ts_event=int(state["ts_event"]),
            ts_recv=received,
            missing=(reason,) if reason else (),
        )

    def figure(self, key: str, name: str) -> float | None:
        """Return a number of the newest state, None while unknown."""
        value = float(self._states[key][name])
        return value if math.isfinite(value) else None


def _blank(row: np.ndarray[tuple[int, ...], np.dtype[np.void]], item: Instrument) -> np.void:
    row["exchange"], row["symbol"] = item.exchange, item.symbol
    found: np.void = row[0]
    return found

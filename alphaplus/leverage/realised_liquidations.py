"""Liquidations that a venue reported: a bounded book of them with totals per window.

Kept apart from estimated levels. Binance reports at most one order per symbol and second, so
its totals are a lower bound ("at least"), most of all when many are liquidated at once.
"""

import math
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np

from alphaplus.errors import ConfigError, RiskError
from alphaplus.leverage.liquidation_level import PositionSide

LIQUIDATION: Final = np.dtype(
    [("ts_event", "i8"), ("side", "i8"), ("price", "f8"), ("quantity", "f8"), ("sampled", "?")],
    align=True,
)
"""One reported liquidation; side +1: a long was liquidated, -1: a short."""

DEFAULT_WINDOWS_S: Final = (3600.0, 14_400.0, 86_400.0)

SideMeaning = Literal["order", "position"]

SIDE_MEANING: Final[dict[str, SideMeaning]] = {
    "binance": "order",
    "aster": "order",
    "htx": "order",
    "bitmex": "order",
    "bybit": "position",
}
"""What a venue's side tells: that of the order that closes, or of the position that is closed.

Bybit's `allLiquidation`: `Buy` is a liquidated long. OKX, Deribit and Hyperliquid need more than
one field and are decoded with their feed.
"""


def liquidated_side(exchange: str, side: str) -> PositionSide:
    """Return whose position a venue's `buy` or `sell` liquidates; raises RiskError if unknown.

    >>> liquidated_side("binance", "SELL"), liquidated_side("bybit", "Buy")
    ('long', 'long')
    """
    meaning, word = SIDE_MEANING.get(exchange), side.lower()
    if meaning is None:
        raise RiskError(f"Expected one of {', '.join(SIDE_MEANING)}, was {exchange}.")
    if word not in ("buy", "sell"):
        raise RiskError(f"Expected side buy or sell, was {side!r}.")
    return "long" if (word == "buy") == (meaning == "position") else "short"


@dataclass(frozen=True, slots=True, kw_only=True)
class SideTotal:
    """What was reported of one side in one window."""

    count: int
    quantity: float
    """Base units."""
    usd: float


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowTotal:
    """Totals of a window; `at_least` if the truth may be more, `reason` says why."""

    window_s: float
    long: SideTotal
    short: SideTotal
    at_least: bool
    reason: str | None


class RealisedLiquidations:
    """The newest `capacity` reported liquidations of one symbol, in one ring of fixed size."""

    def __init__(
        self, *, capacity: int = 10_000, windows_s: tuple[float, ...] = DEFAULT_WINDOWS_S
    ) -> None:
        if capacity < 1 or not windows_s or not all(0 < w < math.inf for w in windows_s):
            raise ConfigError(
                f"Expected a capacity of at least 1 and windows above 0, "
                f"was {capacity} and {windows_s}."
            )
        self.windows_s = tuple(sorted(set(windows_s)))
        self.reported = 0
        """Ever, also those that the ring has let go."""
        self._ring = np.zeros(capacity, LIQUIDATION)
        self._lost_ts: int | None = None
        self._since: int | None = None
        self._away_ts: int | None = None

    def __len__(self) -> int:
        return min(self.reported, len(self._ring))

    def start(self, ts_event: int) -> None:
        """Tell from when on the source is heard: a window that begins before it is incomplete."""
        self._since = ts_event if self._since is None else min(self._since, ts_event)

    def interrupt(self, ts_event: int) -> None:
        """Tell that reports were missed at a time: a window that contains it is incomplete."""
        self._away_ts = ts_event if self._away_ts is None else max(self._away_ts, ts_event)

    def add(
        self,
        *,
        ts_event: int,
        side: PositionSide,
        price: float,
        quantity: float,
        sampled: bool,
    ) -> None:
        """Take one report: times UTC ns, base units; raises RiskError on values not above 0."""
        if not (0 < price < math.inf and 0 < quantity < math.inf):
            raise RiskError(
                f"Expected price and quantity above 0, was {price} and {quantity} of a liquidation."
            )
        self.start(ts_event)
        place = self.reported % len(self._ring)
        if self.reported >= len(self._ring):
            gone = int(self._ring[place]["ts_event"])
            self._lost_ts = gone if self._lost_ts is None else max(self._lost_ts, gone)
        sign = 1 if side == "long" else -1
        self._ring[place] = (ts_event, sign, price, quantity, sampled)
        self.reported += 1

    def newest(self, limit: int = 100) -> list[dict[str, Any]]:
        """Return the newest reports, newest first, as plain values."""
        held = self._ring[: len(self)]
        order = np.argsort(-held["ts_event"], kind="stable")[:limit]
        return [
            {
                "ts_event": int(row["ts_event"]),
                "side": "long" if row["side"] > 0 else "short",
                "price": float(row["price"]),
                "quantity": float(row["quantity"]),
                "usd": float(row["price"] * row["quantity"]),
                "sampled": bool(row["sampled"]),
            }
            for row in held[order]
        ]

    def totals(self, now_ns: int) -> list[WindowTotal]:
        """Return the totals of each window that ends at `now_ns` (its beginning excluded)."""
        held = self._ring[: len(self)]
        return [self._total(held, now_ns, window) for window in self.windows_s]

    def _total(self, held: Any, now_ns: int, window_s: float) -> WindowTotal:
        begin = now_ns - round(window_s * 1e9)
        inside = held[(held["ts_event"] > begin) & (held["ts_event"] <= now_ns)]
        reasons = []
        if inside["sampled"].any():
            reasons.append("the source reports at most one order per second")
        if self._lost_ts is not None and self._lost_ts > begin:
            reasons.append(f"only the newest {len(self._ring)} are kept")
        if self._away_ts is not None and self._away_ts > begin:
            reasons.append("the stream broke off within the window")
        if self._since is None or self._since > begin:
            reasons.append("not heard for the whole window")
        return WindowTotal(
            window_s=window_s,
            long=_side_total(inside[inside["side"] > 0]),
            short=_side_total(inside[inside["side"] < 0]),
            at_least=bool(reasons),
            reason="; ".join(reasons) or None,
        )


def _side_total(rows: Any) -> SideTotal:
    return SideTotal(
        count=len(rows),
        quantity=math.fsum(rows["quantity"].tolist()),
        usd=math.fsum((rows["quantity"] * rows["price"]).tolist()),
    )

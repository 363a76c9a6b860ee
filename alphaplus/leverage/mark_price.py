"""The mark price by each venue's rule, rebuilt from its parts.

Margin uses the mark, never the last trade. A venue's published mark is to be preferred; what is
computed here is labelled `rebuilt`. Sources: Binance FAQ "mark price", Hyperliquid docs
"robust price indices".
"""

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final, Literal

from alphaplus.errors import ConfigError

MarkSource = Literal["published", "rebuilt"]
EMA_S: Final = 150.0


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkPrice:
    """A mark and where it is from; `deviation` is rebuilt / published - 1 where both exist."""

    price: float
    mark_source: MarkSource
    deviation: float | None = None


def choose_mark(published: float | None, rebuilt: float | None) -> MarkPrice | None:
    """Return the published mark, else the rebuilt one; None where neither is known."""
    if published is not None:
        deviation = None if rebuilt is None else rebuilt / published - 1.0
        return MarkPrice(price=published, mark_source="published", deviation=deviation)
    return None if rebuilt is None else MarkPrice(price=rebuilt, mark_source="rebuilt")


def binance_mark_price(
    *,
    index_price: float | None,
    funding_rate: float | None,
    time_to_funding_s: float,
    funding_period_s: float,
    average_basis: float | None,
    contract_price: float | None,
) -> float | None:
    """Return median(P1, P2, contract price); None while an input is missing.

    P1 = index (1 + last funding x time to funding / period), P2 = index + average basis
    (`BasisAverage`).

    >>> binance_mark_price(
    ...     index_price=100.0, funding_rate=0.01, time_to_funding_s=4.0, funding_period_s=8.0,
    ...     average_basis=0.2, contract_price=103.0,
    ... )
    100.49999999999999
    """
    if index_price is None or funding_rate is None or average_basis is None:
        return None
    if contract_price is None:
        return None
    carried = index_price * (1.0 + funding_rate * time_to_funding_s / funding_period_s)
    return median((carried, index_price + average_basis, contract_price))


def hyperliquid_mark_price(
    *,
    oracle_price: float | None,
    average_premium: float | None,
    best_bid: float | None,
    best_ask: float | None,
    last_price: float | None,
    external_mids: Sequence[tuple[float, float]] = (),
) -> float | None:
    """Return the median of three prices; None while fewer than two of them are known.

    Oracle + `PremiumAverage` of (mid - oracle); median of bid, ask and last; and the median of
    other venues' (mid, weight). With only two, their mean.
    """
    parts: list[float] = []
    if oracle_price is not None and average_premium is not None:
        parts.append(oracle_price + average_premium)
    if best_bid is not None and best_ask is not None and last_price is not None:
        parts.append(median((best_bid, best_ask, last_price)))
    outside = weighted_median(external_mids)
    if outside is not None:
        parts.append(outside)
    return median(parts) if len(parts) >= 2 else None


def weighted_median(values: Sequence[tuple[float, float]]) -> float | None:
    """Return the value at which half of the weight is reached; None without weight."""
    ordered = sorted((value, weight) for value, weight in values if weight > 0)
    half = math.fsum(weight for _, weight in ordered) / 2.0
    reached = 0.0
    for value, weight in ordered:
        reached += weight
        if reached >= half:
            return value
    return None


class BasisAverage:
    """The moving average of (bid + ask) / 2 - index, one sample per interval (Binance).

    30 samples 5 s apart by default; an older text of the venue says 30 minutes. Times are UTC
    ns of the venue.
    """

    def __init__(self, *, samples: int = 30, interval_s: float = 5.0) -> None:
        if samples < 1 or not interval_s > 0:
            raise ConfigError(
                f"Expected samples and interval_s above 0, was {samples}, {interval_s}."
            )
        self._interval_ns = int(interval_s * 1e9)
        self._basis: deque[float] = deque(maxlen=samples)
        self._slot: int | None = None

    def update(self, now_ns: int, best_bid: float, best_ask: float, index_price: float) -> None:
        """Take a sample if a new interval has begun; one that is older is left out."""
        slot = now_ns // self._interval_ns
        if self._slot is None or slot > self._slot:
            self._slot = slot
            self._basis.append((best_bid + best_ask) / 2.0 - index_price)

    @property
    def value(self) -> float | None:
        """The average, None before the first sample."""
        return math.fsum(self._basis) / len(self._basis) if self._basis else None


class PremiumAverage:
    """The time-weighted EMA of (mid - oracle), kept as numerator and denominator (Hyperliquid).

    Both are multiplied by exp(-dt / 150 s), then x dt and dt are added; about every 3 s.
    """

    def __init__(self, *, decay_s: float = EMA_S) -> None:
        if not decay_s > 0:
            raise ConfigError(f"Expected decay_s above 0, was {decay_s}.")
        self._decay_s = decay_s
        self._numerator = self._denominator = 0.0
        self._last_ns: int | None = None

    def update(self, now_ns: int, premium: float) -> None:
        """Take a premium that has held since the update before; the first only starts time."""
        if self._last_ns is not None and now_ns > self._last_ns:
            dt = (now_ns - self._last_ns) / 1e9
            kept = math.exp(-dt / self._decay_s)
            self._numerator = self._numerator * kept + premium * dt
            self._denominator = self._denominator * kept + dt
        self._last_ns = now_ns if self._last_ns is None else max(now_ns, self._last_ns)

    @property
    def value(self) -> float | None:
        """The average, None before the second update."""
        return self._numerator / self._denominator if self._denominator > 0 else None

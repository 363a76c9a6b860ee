"""Estimated map of liquidation levels, from open interest, taker flow and a leverage prior.

An estimate, labelled as one: no venue of this kind publishes positions. New open interest is
split by taker side, spread over the prior's leverages, and stands at the liquidation prices of
the margin engine until the mark price crosses it (consumed) or open interest falls (closed).
Realised liquidations never enter; they are counted apart (`realised_liquidations`) and score
the map (`map_hits`). Evidence that such maps predict is weak: location slightly, size hardly.
"""

import math
from dataclasses import dataclass, fields
from typing import Any, Final, Literal

import numpy as np

from alphaplus.errors import RiskError
from alphaplus.leverage.hit_probability import Floats
from alphaplus.leverage.liquidation_level import LiquidationLevel, PositionSide
from alphaplus.leverage.map_assumptions import MapAssumptions
from alphaplus.leverage.map_picture import MapPicture

LONG: Final = 0
SHORT: Final = 1
SIDES: Final[tuple[PositionSide, PositionSide]] = ("long", "short")

_NS_PER_S: Final = 1_000_000_000
_RECENTRE: Final = 0.25
"""Share of the span that the mark may leave the centre by before the bins move."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MapBar:
    """What a bar (at most 5 minutes) tells a map; None or nan: not known."""

    ts_event: int
    """End of the bar, UTC nanoseconds."""
    open_interest: float | None
    """At the end of the bar, base units; quote currency (face value) for inverse contracts."""
    taker_buy: float | None
    taker_sell: float | None
    """In the same unit; both 0 without trades."""
    vwap: float | None
    """None without trades."""
    mark_low: float | None
    mark_high: float | None
    mark_close: float | None

    def unknown(self) -> tuple[str, ...]:
        """Return the names of what a map needs of it and is not known, or cannot be so."""
        found = []
        for field in fields(self)[1:]:
            value = getattr(self, field.name)
            traded = (self.taker_buy or 0) + (self.taker_sell or 0) > 0
            if field.name == "vwap" and value is None and not traded:
                continue
            least = 0.0 if field.name in ("open_interest", "taker_buy", "taker_sell") else 1e-300
            if value is None or not (least <= value < math.inf):
                found.append(field.name)
        path = None if found else self.path()
        if path is not None and not path[0] <= path[2] <= path[1]:
            found.append("mark_close")
        return tuple(found)

    def path(self) -> tuple[float, float, float] | None:
        """Return low, high and close of the mark; None if one is not known."""
        if self.mark_low is None or self.mark_high is None or self.mark_close is None:
            return None
        return self.mark_low, self.mark_high, self.mark_close


class LiquidationMap:
    """A map of one symbol: state without clock or I/O, the same for the same bars.

    `status` is `stale` until two bars in a row have told an open interest, and again from a gap
    on: then levels are withheld (None), not zero. `opened` = `standing` + `consumed` + `closed`
    + `lost`, all of shape (2 sides, leverages), in the unit of the open interest: base units, or
    quote currency for inverse contracts, whose number of contracts does not change with the price.
    """

    def __init__(self, assumptions: MapAssumptions) -> None:
        self.assumptions = assumptions
        parameters = assumptions.parameters
        self.leverages: Floats = np.array([x for x, _ in parameters.prior])
        self._shares = _shares(assumptions)
        self.assumed_since: int | None = None
        """Sample after which the tiers were last changed."""
        self._half = math.ceil(parameters.span / parameters.bin_width)
        self._first = 0
        self.prices: Floats = np.zeros(0)
        """Price of each bin, ascending; empty before the first mark."""
        shape = (2, len(self.leverages))
        self._mass = np.zeros((*shape, 2 * self._half + 1))
        self.opened = np.zeros(shape)
        self.consumed = np.zeros(shape)
        self.closed = np.zeros(shape)
        self.lost = np.zeros(shape)
        """Dropped by a reset after a gap, or for standing outside the span."""
        self.unplaced = np.zeros(2)
        """New positions without a level on the right side of the mark, such as unlevered ones."""
        self.consumed_usd = np.zeros(2)
        self.ignored_bars = 0
        self.reason: str | None = "no open interest yet"
        self.mark: float | None = None
        self.open_interest: float | None = None
        self.first_sample: int | None = None
        self.last_sample: int | None = None
        self._newest: int | None = None
        self._eaten = np.zeros(2)
        self._cleared = math.inf, -math.inf
        """Lowest and highest mark since levels were last placed: nothing stands between."""
        self._picture = MapPicture(
            columns=parameters.columns,
            cells_per_column=parameters.cells_per_column,
            bin_width=parameters.bin_width,
        )
        self.before = np.zeros((2, 2 * self._half + 1))
        """Standing quantity at the end of the last complete bar: what realised ones are held to."""
        self.mark_before: float | None = None

    @property
    def status(self) -> Literal["ok", "stale"]:
        """Whether levels may be read; `reason` says why not."""
        return "ok" if self.reason is None else "stale"

    @property
    def standing(self) -> Floats:
        """Quantity that stands, by side and leverage."""
        return np.asarray(self._mass.sum(axis=2))

    @property
    def mass(self) -> Floats:
        """Quantity in each bin, of shape (2 sides, bins)."""
        return np.asarray(self._mass.sum(axis=1))

    @property
    def value(self) -> Floats:
        """Value in each bin, of shape (2 sides, bins), quote currency."""
        return self._valued(self.mass, self.prices)

    def coverage(self, side: int) -> float | None:
        """Return mapped over open interest of a side, in [0, 1]; None while stale."""
        if self.status == "stale" or not self.open_interest:
            return None
        return float(self._mass[side].sum()) / self.open_interest

    def assume(self, assumptions: MapAssumptions) -> None:
        """Go on with other tiers or venues; what stands stays where it is.

        Raises RiskError if the symbol or a parameter differs: that is another map.
        """
        now = self.assumptions
        if (assumptions.symbol, assumptions.parameters, assumptions.inverse) != (
            now.symbol,
            now.parameters,
            now.inverse,
        ):
            raise RiskError(f"Expected the symbol and parameters of {now.symbol}, were others.")
        self._shares = _shares(assumptions)
        self.assumptions, self.assumed_since = assumptions, self.last_sample

    def observe_mark(self, price: float) -> None:
        """Consume what a mark price between two bars reaches; raises RiskError below 0."""
        if not 0 < price < math.inf:
            raise RiskError(f"Expected a mark price above 0, was {price}.")
        self._follow(price, price, price)

    def update(self, bar: MapBar) -> None:
        """Take a bar: consume, close, decay, open, in this order.

        A bar that is not newer than the last is counted in `ignored_bars`; one that lacks
        something makes the map stale.
        """
        if self._newest is not None and bar.ts_event <= self._newest:
            self.ignored_bars += 1
            return
        self._newest = bar.ts_event
        opened_at, before = self.mark_before, self.open_interest
        unknown, path, interest = bar.unknown(), bar.path(), bar.open_interest
        if path is not None and not any(name.startswith("mark_") for name in unknown):
            self._follow(*path)
        if unknown or path is None or interest is None:
            self.reason = f"unknown: {', '.join(unknown)}"
            return
        waited = None if self.last_sample is None else bar.ts_event - self.last_sample
        if before is None or waited is None:
            self._start(bar.ts_event, "one open interest so far: no change seen yet")
        elif waited > self.assumptions.parameters.max_gap_s * _NS_PER_S:
            self._start(bar.ts_event, "a gap: the map began anew")
        else:
            self._close(before, interest)
            self._decay(waited)
            self._open(bar, interest - before)
            self.reason = None
        self.open_interest, self.last_sample = float(interest), bar.ts_event
        self._eaten[:] = 0.0
        self.before, self.mark_before = self.mass, self.mark
        low, high, close = path
        # a bin holds longs or shorts, never both
        usd = self.value.sum(axis=0)
        self._picture.add(bar.ts_event, (opened_at or close, high, low, close), self._first, usd)

    def levels(self, limit: int = 100) -> list[LiquidationLevel] | None:
        """Return the largest levels, at most `limit` per side, nearest first; None while stale."""
        if self.status == "stale" or self.mark is None or self.last_sample is None:
            return None
        usd = self.value
        total = float(usd.sum())
        found = []
        for side, name in enumerate(SIDES):
            bins = np.flatnonzero(usd[side] > 0)
            largest = bins[np.argsort(-usd[side, bins], kind="stable")[:limit]]
            found += [
                LiquidationLevel(
                    symbol=self.assumptions.symbol,
                    exchange="+".join(self.assumptions.venues),
                    price_level=float(self.prices[k]),
                    side=name,
                    quantity=float(usd[side, k] / self.prices[k]),
                    timestamp=self.last_sample,
                    risk_score=float(usd[side, k]) / total,
                    distance_from_price=float(self.prices[k]) / self.mark - 1.0,
                )
                for k in largest
            ]
        return sorted(found, key=lambda level: abs(level.distance_from_price))

    def described(self) -> dict[str, Any]:
        """Return the assumptions with what depends on the samples: no map is shown without."""
        return {
            **self.assumptions.fixed(),
            "id": self.assumptions.id,
            "hash": self.assumptions.hash,
            "leverages_in_use": self.leverages[self._shares > 0].tolist(),
            "assumed_since": self.assumed_since,
            "first_sample": self.first_sample,
            "last_sample": self.last_sample,
            "coverage": {name: self.coverage(side) for side, name in enumerate(SIDES)},
            "unplaced": dict(zip(SIDES, self.unplaced.tolist(), strict=True)),
            "ignored_bars": self.ignored_bars,
        }

    def payload(self, hits: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return the picture: axes, `[x, y, usd]` cells, candles, assumptions and confidence.

        x counts `x_axis` (UTC ns), y counts `y_axis` (prices); below the candle's close stand
        longs, above it shorts. `hits` is what `map_hits` knows. Cells and levels are None while
        stale. Past the `cells_per_column` largest of a bar, cells are left out: `shown` is the
        share of value that is not.
        """
        drawn = self._picture.payload()
        if self.status == "stale":
            drawn["cells"] = None
        coverages = [self.coverage(side) for side in (LONG, SHORT)]
        return {
            "symbol": self.assumptions.symbol,
            "status": self.status,
            "reason": self.reason,
            "estimate": True,
            "mark_price": self.mark,
            **drawn,
            "consumed_usd": dict(zip(SIDES, self.consumed_usd.tolist(), strict=True)),
            "cohorts": {
                name: dict(zip(map(str, self.leverages.tolist()), standing.tolist(), strict=True))
                for name, standing in zip(SIDES, self.standing, strict=True)
            },
            "assumptions": self.described(),
            "confidence": None if None in coverages else min(c or 0.0 for c in coverages),
            "realised_hits": hits,
        }

    def _valued(self, mass: Floats, prices: Floats) -> Floats:
        return mass if self.assumptions.inverse else mass * prices

    def _follow(self, low: float, high: float, close: float) -> None:
        self._centre(close)
        self._consume(low, high)
        self.mark = float(close)

    def _start(self, ts_event: int, reason: str) -> None:
        self.lost += self.standing
        self._mass[:] = 0.0
        self.first_sample = ts_event
        self.reason = reason

    def _centre(self, mark: float) -> None:
        """Move the bins so that the mark stays near their middle."""
        width = self.assumptions.parameters.bin_width
        wanted = round(math.log(mark) / width) - self._half
        if not len(self.prices):
            self._first = wanted
        elif abs(wanted - self._first) <= _RECENTRE * self._half:
            return
        else:
            shift = wanted - self._first
            moved = _shifted(self._mass, shift)
            self.lost += self._mass.sum(axis=2) - moved.sum(axis=2)
            self._mass, self._first = moved, wanted
            self.before = _shifted(self.before, shift)
        self.prices = np.exp((self._first + np.arange(self._mass.shape[2])) * width)

    def _consume(self, low: float, high: float) -> None:
        """Remove longs at or above the low and shorts at or below the high.

        Only what lies past the prices already cleared is looked at: most marks reach nothing.
        """
        cleared_low, cleared_high = self._cleared
        if low < cleared_low:
            first, last = np.searchsorted(self.prices, (low, cleared_low), "left").tolist()
            self._remove(LONG, slice(first, last))
        if high > cleared_high:
            first, last = np.searchsorted(self.prices, (cleared_high, high), "right").tolist()
            self._remove(SHORT, slice(first, last))
        self._cleared = min(low, cleared_low), max(high, cleared_high)

    def _remove(self, side: int, bins: slice) -> None:
        hit = self._mass[side, :, bins]
        by_leverage = hit.sum(axis=1)
        self.consumed[side] += by_leverage
        self._eaten[side] += by_leverage.sum()
        self.consumed_usd[side] += float(self._valued(hit.sum(axis=0), self.prices[bins]).sum())
        hit[:] = 0.0

    def _close(self, before: float, interest: float) -> None:
        """Take the same share of all that stands, each side for what it has not lost already."""
        fallen = before - interest
        for side in (LONG, SHORT):
            rest = before - self._eaten[side]
            share = min(max(fallen - self._eaten[side], 0.0) / rest, 1.0) if rest > 0 else 1.0
            if fallen > self._eaten[side]:
                self._take(side, share)

    def _decay(self, waited_ns: int) -> None:
        half_life = self.assumptions.parameters.half_life_s
        if half_life is not None:
            for side in (LONG, SHORT):
                self._take(side, 1.0 - 0.5 ** (waited_ns / _NS_PER_S / half_life))

    def _take(self, side: int, share: float) -> None:
        taken = self._mass[side] * share
        self.closed[side] += taken.sum(axis=1)
        self._mass[side] -= taken

    def _open(self, bar: MapBar, risen: float) -> None:
        if risen <= 0 or self.mark is None:
            return
        buy, sell = float(bar.taker_buy or 0), float(bar.taker_sell or 0)
        long_share = buy / (buy + sell) if buy + sell > 0 else 0.5
        entry = self.mark if bar.vwap is None else bar.vwap
        self._cleared = self.mark, self.mark
        prices = self.assumptions.level_prices(entry, self.leverages)
        for side, share in ((LONG, long_share), (SHORT, 1.0 - long_share)):
            for cohort, weight in enumerate(self._shares):
                quantity = risen * share * float(weight)
                if self._place(side, cohort, float(prices[side, cohort]), quantity):
                    self.opened[side, cohort] += quantity
                else:
                    self.unplaced[side] += quantity

    def _place(self, side: int, cohort: int, price: float, quantity: float) -> bool:
        """Share a quantity between the two nearest bins; False if it has no place.

        The price within the bar may have passed a level already: the open interest at its end
        does not contain such positions, so they are not mapped.
        """
        mark = self.mark or 0.0
        if not (price < mark if side == LONG else price > mark):  # nan is neither
            return False
        below = int(np.searchsorted(self.prices, price, "right")) - 1
        if not 0 <= below < len(self.prices) - 1:
            return False
        low, high = self.prices[below], self.prices[below + 1]
        upper = (price - low) / (high - low)
        if side == LONG and high >= mark:
            upper = 0.0
        if side == SHORT and low <= mark:
            upper = 1.0
        self._mass[side, cohort, below] += quantity * (1.0 - upper)
        self._mass[side, cohort, below + 1] += quantity * upper
        return True


def _shares(assumptions: MapAssumptions) -> Floats:
    """Return the share of each leverage of the prior, 0 where the tiers do not allow it."""
    leverages, shares = assumptions.cohorts()
    found = dict(zip(leverages.tolist(), shares.tolist(), strict=True))
    return np.array([found.get(leverage, 0.0) for leverage, _ in assumptions.parameters.prior])


def _shifted(mass: Floats, shift: int) -> Floats:
    """Move the last axis by whole bins; what leaves it is gone."""
    moved = np.zeros_like(mass)
    held = mass.shape[-1]
    if abs(shift) < held:
        source = slice(max(shift, 0), held + min(shift, 0))
        target = slice(max(-shift, 0), held + min(-shift, 0))
        moved[..., target] = mass[..., source]
    return moved

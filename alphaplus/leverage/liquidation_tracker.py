"""Everything about the liquidations of one market, from its events: the map, and what happened.

The tracker cuts the stream into bars on a grid of venue time and drives a `LiquidationMap` with
them; liquidations that the venue reports go to `RealisedLiquidations` and score the map, and
never enter it. It has no clock and no I/O, and how the stream is cut into batches changes
nothing: the state follows from the order of the events alone.

A bar ends with the first event past its end. One that has no open interest yet waits for it, as
that is polled, up to the longest bar that a map allows. An event that is older than the bar in
hand counts in it.
"""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from alphaplus.errors import ConfigError, RiskError
from alphaplus.events import EventArray, Flag, Kind, Side, empty_events, plain
from alphaplus.instruments import Instrument
from alphaplus.leverage._tracker_kernels import (
    BAR,
    DONE,
    FLOW,
    MARK,
    MAX_AHEAD_NS,
    advance,
    next_bar,
)
from alphaplus.leverage.hit_probability import Floats
from alphaplus.leverage.liquidation_level import LiquidationLevel, PositionSide
from alphaplus.leverage.liquidation_map import SIDES, LiquidationMap, MapBar
from alphaplus.leverage.map_assumptions import MapAssumptions, MapParameters
from alphaplus.leverage.map_hits import MapHits
from alphaplus.leverage.realised_liquidations import RealisedLiquidations
from alphaplus.leverage.tiers import TierTable

STEP_S: Final = 60.0
LONGEST_BAR_S: Final = 300.0
"""A map takes bars of at most five minutes."""
SNAPSHOT_LEVELS: Final = 100
"""Largest levels a side that a snapshot of the map keeps."""
SAMPLED: Final = frozenset({"binance"})
"""Venues that report at most one liquidation per symbol and second."""
_NS_PER_S: Final = 1_000_000_000
_QUIET_NS: Final = round(2 * LONGEST_BAR_S * _NS_PER_S)
"""Longest market time since the last sample for which levels may be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MapSnapshot:
    """The levels of a map at the end of a bar, with what they assume."""

    ts_event: int
    """End of the bar, UTC ns."""
    mark_price: float
    assumptions: MapAssumptions
    levels: tuple[LiquidationLevel, ...]
    """The largest ones, nearest first."""


class LiquidationTracker:
    """Liquidations of one market; without leverage tiers only the realised ones.

    Raises ConfigError unless `step_s` is above 0 and divides the longest bar.
    """

    def __init__(
        self,
        instrument: Instrument,
        parameters: MapParameters | None = None,
        *,
        step_s: float = STEP_S,
    ) -> None:
        step, longest = round(step_s * _NS_PER_S), round(LONGEST_BAR_S * _NS_PER_S)
        if step < 1 or longest % step:
            raise ConfigError(
                f"Expected step_s above 0 that divides {LONGEST_BAR_S:g}, was {step_s}."
            )
        self.instrument = instrument
        self.parameters = parameters or MapParameters()
        self.realised = RealisedLiquidations()
        self.hits = MapHits()
        self.map: LiquidationMap | None = None
        """None until there are leverage tiers."""
        self.mark_price: float | None = None
        """The newest one, quote currency."""
        self.rejected = 0
        """Liquidations without a price, a quantity or a side above 0."""
        self._no_map = "no leverage tiers yet"
        self._flow = np.zeros(1, FLOW)
        self._flow["step"], self._flow["longest"] = step, longest
        self._flow["units"] = instrument.tick_units
        self._flow["scale"] = 10.0**instrument.price_decimals
        self._flow["size"] = instrument.contract_size
        self._flow["inverse"] = instrument.inverse
        next_bar(self._flow, 0)
        self._flow["begin"] = 0
        self._heard = False

    def set_tiers(self, table: TierTable) -> None:
        """Build the map on these leverage tiers, from now on; levels that stand stay.

        The same tiers again change nothing. Raises RiskError or MissingTier for a table that no
        map can be built on; the one before stays in force.
        """
        if self.map is not None and self.map.assumptions.tiers.hash == table.hash:
            return
        try:
            assumed = MapAssumptions(
                symbol=self.instrument.symbol,
                venues=(self.instrument.exchange,),
                parameters=self.parameters,
                tiers=table,
                inverse=self.instrument.inverse,
            )
            assumed.cohorts()
        except RiskError as error:
            self._no_map = str(error)
            raise
        if self.map is None:
            self.map = LiquidationMap(assumed)
        else:
            self.map.assume(assumed)

    def update(self, events: EventArray) -> list[MapSnapshot]:
        """Take a batch of the market's events; return the map at the end of each bar it ends."""
        events = plain(events)
        if not self._heard and len(events):
            self.realised.start(_time(events[0]))
            self._heard = True
        ended: list[MapSnapshot] = []
        at = 0
        while True:
            at, stopped = advance(self._flow, events, at)
            if stopped == DONE:
                return ended
            if stopped == BAR:
                ended += self._end_bar()
                next_bar(self._flow, _time(events[at]))
            elif stopped == MARK:
                self.mark_price = float(self._flow["mark"][0])
                if self.map is not None:
                    self.map.observe_mark(self.mark_price)
            else:
                self._realise(events[at - 1])

    def interrupt(self) -> None:
        """Note that events were lost on the way here: the bar in hand is no good."""
        self._flow["incomplete"] = 1
        self.realised.interrupt(self.ts_event)

    @property
    def ts_event(self) -> int:
        """Newest venue time that mattered here, ns; 0 before the first event."""
        return int(self._flow["ts_event"][0])

    @property
    def ts_recv(self) -> int:
        """When that was received by our clock, ns; 0 before the first event."""
        return int(self._flow["ts_recv"][0])

    @property
    def stale_reason(self) -> str | None:
        """Why levels must not be read, as of the newest event, or None if they may.

        Time is the market's: whether anything is heard at all is for the caller to know.
        """
        if self.map is None:
            return self._no_map
        if self.map.reason is not None:
            return self.map.reason
        waited = self.ts_event - (self.map.last_sample or 0)
        return f"no complete bar for {waited / 1e9:.0f} s" if waited > _QUIET_NS else None

    def levels(self, limit: int = SNAPSHOT_LEVELS) -> list[LiquidationLevel] | None:
        """Return the largest levels, at most `limit` per side, nearest first; None while stale."""
        if self.map is None or self.stale_reason is not None:
            return None
        return self.map.levels(limit)

    def level_quantities(self, edges: Floats) -> tuple[Floats, Floats] | None:
        """Return what stands of longs and of shorts by distance from the mark, base units.

        `edges` are the outer edges of the bins, ascending fractions of the mark; the last bin is
        open. None while stale.
        """
        found = self.map
        if found is None or found.mark is None or self.stale_reason is not None:
            return None
        at = np.searchsorted(edges, np.abs(found.prices / found.mark - 1.0), "left")
        bins = np.minimum(at, len(edges) - 1)
        base = found.value / found.prices
        longs, shorts = (np.bincount(bins, weights=side, minlength=len(edges)) for side in base)
        return np.asarray(longs, np.float64), np.asarray(shorts, np.float64)

    def payload(self, reason: str | None = None) -> dict[str, Any]:
        """Return the picture of the map (`LiquidationMap.payload`), withheld while stale.

        `reason` is one that the caller has to call it stale. Without leverage tiers there are no
        assumptions, and so no picture: its fields are None.
        """
        reason = reason or self.stale_reason
        if self.map is None:
            return dict.fromkeys(_PICTURE) | {
                "symbol": self.instrument.symbol,
                "status": "stale",
                "reason": reason,
                "estimate": True,
                "mark_price": self.mark_price,
            }
        told = self.map.payload(self.hits.payload())
        if reason is not None:
            told |= {"status": "stale", "reason": reason, "cells": None, "confidence": None}
        return told

    def _end_bar(self) -> list[MapSnapshot]:
        """Hand the bar over to the map; what a broken stream has left of it is not known."""
        if self.map is None:
            return []
        self.map.update(self._bar())
        levels = self.map.levels(SNAPSHOT_LEVELS)
        if levels is None or self.map.mark is None or self.map.last_sample is None:
            return []
        return [
            MapSnapshot(
                ts_event=self.map.last_sample,
                mark_price=self.map.mark,
                assumptions=self.map.assumptions,
                levels=tuple(levels),
            )
        ]

    def _bar(self) -> MapBar:
        flow = {name: self._flow[name][0].item() for name in FLOW.names or ()}
        traded = flow["taker_buy"] + flow["taker_sell"]
        complete = not flow["incomplete"]
        vwap = None
        if traded > 0:
            weighted = flow["weighted"]
            vwap = traded / weighted if flow["inverse"] else weighted / traded
        return MapBar(
            ts_event=flow["end"],
            open_interest=_known(flow["interest"]),
            taker_buy=flow["taker_buy"] if complete else None,
            taker_sell=flow["taker_sell"] if complete else None,
            vwap=vwap,
            mark_low=_known(flow["mark_low"]) if complete else None,
            mark_high=_known(flow["mark_high"]) if complete else None,
            mark_close=_known(flow["mark"]),
        )

    def _realise(self, order: np.void) -> None:
        """Take one reported liquidation: an order that sells closes a long."""
        instrument = self.instrument
        price, quantity = instrument.price(int(order["price_tick"])), float(order["value"])
        if not (price > 0 and 0 < quantity < np.inf) or order["side"] == Side.NONE:
            self.rejected += 1
            return
        base = quantity * instrument.contract_size
        if instrument.inverse:
            base /= price
        side: PositionSide = SIDES[0] if order["side"] == Side.ASK else SIDES[1]
        self.realised.add(
            ts_event=_time(order),
            side=side,
            price=price,
            quantity=base,
            sampled=instrument.exchange in SAMPLED,
        )
        if self.map is not None:
            self.hits.observe(self.map, side=side, price=price, quantity=base)


_PICTURE: Final = (
    "symbol",
    "status",
    "reason",
    "estimate",
    "mark_price",
    "x_axis",
    "y_axis",
    "cells",
    "candles",
    "shown",
    "consumed_usd",
    "cohorts",
    "assumptions",
    "confidence",
    "realised_hits",
)
"""Fields of a map's payload."""


def warm_tracker(instrument: Instrument) -> None:
    """Compile the tracker's kernels: two bars of one mark and one open interest each."""
    tracker = LiquidationTracker(instrument)
    events = empty_events(3)
    events["kind"] = Kind.MARK_PRICE, Kind.OPEN_INTEREST, Kind.MARK_PRICE
    events["value"], events["flags"] = 1.0, Flag.LAST
    events["ts_event"] = np.array([1, 2, 1 + STEP_S]) * _NS_PER_S
    events["ts_recv"] = events["ts_event"]
    tracker.update(events)


def _time(event: np.void) -> int:
    ts_event, ts_recv = int(event["ts_event"]), int(event["ts_recv"])
    return ts_event if ts_event <= ts_recv + MAX_AHEAD_NS else ts_recv


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)

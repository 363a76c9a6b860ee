"""The risk side of one market in its symbol's actor: liquidations, and the record for the board.

A plain class without Ray. Events are only noted when they arrive; they are taken in when the
record is due or somebody asks, about once a second, so that a batch costs nothing more.
"""

import logging
from dataclasses import asdict
from typing import Any, Final

from alphaplus.analysis.market import Market
from alphaplus.analysis.market_risk import LEVEL_DISTANCES, MarketRiskRecord, market_risk
from alphaplus.analysis.state import age_ms, freshness
from alphaplus.events import EventArray, FeedStatus
from alphaplus.leverage.liquidation_tracker import STEP_S, LiquidationTracker, MapSnapshot
from alphaplus.leverage.tiers import TierTable
from alphaplus.rows import join_rows
from alphaplus.storage.liquidation_rows import LiquidationRows
from alphaplus.storage.tables import TableBatch
from alphaplus.turn import Turn

log = logging.getLogger(__name__)

EVERY_MS: Final = 1000.0
MOVE_BPS: Final = 10.0
"""A mid that moved so far since the last record is told at once."""


class VenueRisk:
    """Liquidations of one market, and what the market contributes to risk."""

    def __init__(self, market: Market, *, stale_after_ms: float, bar_s: float = STEP_S) -> None:
        self.tracker = LiquidationTracker(market.instrument, step_s=bar_s)
        self._market = market
        self._stale_after_ms = stale_after_ms
        self._waiting: list[EventArray] = []
        self._snapshots: list[MapSnapshot] = []
        self._rows = LiquidationRows()
        self._turn = Turn(market.instrument.key, EVERY_MS)
        self._told_mid = 0.0

    def add(self, events: EventArray) -> None:
        """Note a batch that the market has taken."""
        self._waiting.append(events)

    def mark_hole(self) -> None:
        """Note that events were lost on the way here before those that follow."""
        self._settle()
        self.tracker.interrupt()

    def set_tiers(self, table: TierTable) -> None:
        """Build the map on these leverage tiers; raises RiskError for a table that is no good."""
        self._settle()
        self.tracker.set_tiers(table)

    def due_record(self, now_ns: int) -> MarketRiskRecord | None:
        """Return the record for the board if it is time for one, or the price moved far.

        To be asked when the state is told, which is as often or more.
        """
        mid = self._market.mid or 0.0
        moved = abs(mid - self._told_mid) > self._told_mid * MOVE_BPS * 1e-4
        if not self._turn.is_due(now_ns) and not moved:
            return None
        self._told_mid = mid
        return self.record(now_ns)

    def record(self, now_ns: int) -> MarketRiskRecord:
        """Return what the market contributes to risk, one `MARKET_RISK` row."""
        self._settle()
        levels = None
        if self._silence(now_ns) is None:
            levels = self.tracker.level_quantities(LEVEL_DISTANCES)
        return market_risk(self._market, now_ns, levels)

    def take_rows(self, now_ns: int) -> list[TableBatch]:
        """Return the rows of the map at the end of each bar that ended since the last call."""
        found, self._snapshots = self._snapshots, []
        return self._rows.rows_of(found, now_ns)

    def liquidations(self, limit: int, levels: int, now_ns: int) -> dict[str, Any]:
        """Return the newest `limit` realised liquidations, their totals, and apart from them the
        `levels` estimated levels that are nearest to the price."""
        self._settle()
        tracker = self.tracker
        realised, map_ = tracker.realised, tracker.map
        reason = self._map_reason(now_ns)
        found = None if reason else tracker.levels()
        return {
            **self._header(self._silence(now_ns), now_ns),
            "realised": {
                "newest": realised.newest(limit),
                "totals": [asdict(total) for total in realised.totals(tracker.ts_event)],
                "reported": realised.reported,
                "rejected": tracker.rejected,
            },
            "estimated": {
                "status": "stale" if reason else "ok",
                "reason": reason,
                "mark_price": tracker.mark_price,
                "levels": None if found is None else [x.payload() for x in found[:levels]],
                "assumptions_id": None if map_ is None else map_.assumptions.id,
                "realised_hits": None if map_ is None else tracker.hits.payload(),
            },
        }

    def liquidation_map(self, now_ns: int) -> dict[str, Any]:
        """Return the picture of the map, with its assumptions, or why there is none."""
        self._settle()
        reason = self._map_reason(now_ns)
        return {
            **self.tracker.payload(reason),
            **self._header(reason, now_ns),
        }

    def _settle(self) -> None:
        if self._waiting:
            events, self._waiting = join_rows(self._waiting), []
            self._snapshots += self.tracker.update(events)

    def _header(self, reason: str | None, now_ns: int) -> dict[str, Any]:
        instrument, tracker = self._market.instrument, self.tracker
        return {
            "symbol": instrument.symbol,
            "exchange": instrument.exchange,
            **freshness(tracker.ts_event, tracker.ts_recv, reason=reason, now_ns=now_ns),
        }

    def _silence(self, now_ns: int) -> str | None:
        """Say why marks, trades and liquidations are not heard, or None if they are.

        A book that waits for its snapshot says nothing about them.
        """
        if self._market.status in (FeedStatus.CONNECTING, FeedStatus.DISCONNECTED):
            return f"the feed is {self._market.status.name.lower()}"
        age = age_ms(self.tracker.ts_recv, now_ns)
        if age is None:
            return "nothing has been received yet"
        if age > self._stale_after_ms:
            return f"nothing has been received for {age / 1000:.1f} s"
        return None

    def _map_reason(self, now_ns: int) -> str | None:
        return self._silence(now_ns) or self.tracker.stale_reason

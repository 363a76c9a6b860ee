"""The risk side of a market: when it is told, what it answers, and when it withholds."""

from typing import Any

import numpy as np
import pytest

from actors.venue_risk import VenueRisk
from alphaplus.analysis.market import Market
from alphaplus.errors import MissingTier
from alphaplus.events import EventArray, FeedStatus, Kind, Side, event, status_event
from alphaplus.leverage.tiers import LeverageTier, TierTable
from tests.analysis.test_market import levels, synced
from tests.leverage.map_cases import tiers

SECOND = 1_000_000_000
START = 1_700_000_040 * SECOND


def at(second: float, kind: Kind, value: float, **fields: Any) -> EventArray:
    return event(kind, ts_recv=START + round(second * SECOND), value=value, **fields)


def minute(k: int, interest: float) -> EventArray:
    return np.concatenate(
        (
            at(60 * k + 1, Kind.MARK_PRICE, 100.0),
            at(60 * k + 2, Kind.TRADE, 6.0, side=Side.BID, price_tick=1000),
            at(60 * k + 3, Kind.TRADE, 2.0, side=Side.ASK, price_tick=1000),
            at(60 * k + 4, Kind.OPEN_INTEREST, interest),
        )
    )


class Fed:
    """A market and its risk side, fed as the symbol's actor does."""

    def __init__(self) -> None:
        self.market: Market = synced(START)
        self.risk = VenueRisk(self.market, stale_after_ms=10_000)

    def take(self, events: EventArray) -> None:
        self.market.apply(events)
        self.risk.add(events)


def mapped() -> tuple[Fed, int]:
    """Return a market of three bars whose open interest rose by 100, and the time after them."""
    fed = Fed()
    fed.risk.set_tiers(tiers())
    for k, interest in enumerate((1000.0, 1000.0, 1100.0, 1100.0)):
        fed.take(minute(k, interest))
    return fed, START + 190 * SECOND


def test_record_is_due_once_a_second_and_after_a_large_move() -> None:
    fed = Fed()
    assert fed.risk.due_record(START) is not None
    told = [n for n in range(1, 21) if fed.risk.due_record(START + n * SECOND // 10) is not None]
    assert len(told) == 2  # at the places of its grid
    assert told[1] == told[0] + 10
    now = START + 2 * SECOND
    fed.take(levels((Side.ASK, 1001, 0.0), (Side.ASK, 1010, 1.0), at=now, sequence=2))
    assert fed.risk.due_record(now) is not None  # 45 bps up
    assert fed.risk.due_record(now) is None


def test_record_carries_the_levels_of_the_map() -> None:
    fed, now = mapped()
    row = fed.risk.record(now)[0]
    assert row["long_level_quantity"].sum() == pytest.approx(75.0)
    assert row["short_level_quantity"].sum() == pytest.approx(25.0)


def test_record_withholds_the_levels_without_tiers() -> None:
    fed = Fed()
    fed.take(minute(0, 1000.0))
    assert np.isnan(fed.risk.record(START + SECOND)[0]["long_level_quantity"]).all()


def test_realised_and_estimated_are_told_apart() -> None:
    fed, now = mapped()
    fed.take(at(189, Kind.LIQUIDATION, 3.0, side=Side.BID, price_tick=1010))
    told = fed.risk.liquidations(10, 4, now)
    assert not told["stale"]
    assert told["ts_recv"] == START + 189 * SECOND
    assert [item["side"] for item in told["realised"]["newest"]] == ["short"]
    assert told["realised"]["totals"][0]["short"]["usd"] == pytest.approx(303.0)
    assert told["realised"]["totals"][0]["at_least"]
    estimated = told["estimated"]
    assert estimated["status"] == "ok"
    assert len(estimated["levels"]) == 4
    distances = [abs(level["distance_from_price"]) for level in estimated["levels"]]
    assert distances == sorted(distances)
    assert fed.risk.tracker.map is not None
    assert estimated["assumptions_id"] == fed.risk.tracker.map.assumptions.id


def test_map_is_withheld_with_the_reason_while_the_feed_is_away() -> None:
    fed, now = mapped()
    assert not fed.risk.liquidation_map(now)["stale"]
    assert fed.risk.liquidation_map(now)["cells"]
    fed.take(status_event(FeedStatus.DISCONNECTED, ts_recv=now))
    told = fed.risk.liquidation_map(now)
    assert told["stale"]
    assert told["stale_reason"] == told["reason"] == "the feed is disconnected"
    assert told["cells"] is None
    assert fed.risk.liquidations(10, 10, now)["estimated"]["levels"] is None


def test_book_that_waits_for_a_snapshot_does_not_withhold_the_map() -> None:
    fed, now = mapped()
    fed.take(status_event(FeedStatus.RESYNC, ts_recv=now))
    assert fed.market.stale_reason(now) is not None
    assert not fed.risk.liquidation_map(now)["stale"]


def test_silence_makes_both_answers_stale_and_withholds_the_levels() -> None:
    fed, now = mapped()
    later = now + 60 * SECOND
    assert np.isnan(fed.risk.record(later)[0]["long_level_quantity"]).all()
    assert "nothing has been received for" in fed.risk.liquidation_map(later)["stale_reason"]
    assert fed.risk.liquidations(1, 1, later)["stale"]


def test_lost_events_leave_the_bar_before_them_as_it_was() -> None:
    fed, _ = mapped()
    fed.risk.mark_hole()
    fed.take(minute(4, 1100.0))
    fed.risk.liquidation_map(START + 250 * SECOND)
    assert fed.risk.tracker.stale_reason is not None


def test_market_time_need_not_be_ours() -> None:
    fed, now = mapped()
    years = 10**17
    events = minute(4, 1100.0)
    events["ts_recv"] += years
    fed.take(events)
    answer = fed.risk.liquidations(10, 10, now + years + 60 * SECOND)
    assert answer["estimated"]["status"] == "ok"
    assert answer["ts_event"] == START + 244 * SECOND


def test_without_tiers_the_map_says_so() -> None:
    fed = Fed()
    fed.take(minute(0, 1000.0))
    told = fed.risk.liquidation_map(START + 5 * SECOND)
    assert told["stale_reason"] == "no leverage tiers yet"
    assert told["assumptions"] is None


def test_table_that_is_no_good_is_refused() -> None:
    table = TierTable.of(
        "BTC-USDT-PERP",
        [
            LeverageTier(
                min_notional=1.0, max_notional=2.0, maintenance_margin_rate=0.01, max_leverage=5.0
            )
        ],
    )
    with pytest.raises(MissingTier):
        Fed().risk.set_tiers(table)


def test_bars_become_rows_and_assumptions_one_until_they_change() -> None:
    fed, now = mapped()
    fed.risk.record(now)
    assert [batch.table for batch in fed.risk.take_rows(now)] == [
        "liquidation_assumptions",
        "liquidation_levels",
        "liquidation_levels",
    ]
    assert fed.risk.take_rows(now) == []
    fed.take(minute(4, 1200.0))
    fed.risk.set_tiers(tiers(50.0))
    fed.take(minute(5, 1200.0))
    fed.risk.record(now)
    assert [batch.table for batch in fed.risk.take_rows(now)] == [
        "liquidation_levels",
        "liquidation_assumptions",
        "liquidation_levels",
    ]

"""The liquidation tracker: bars from events, cuts that change nothing, gaps, realised ones."""

import math
from collections.abc import Sequence
from dataclasses import asdict
from decimal import Decimal
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alphaplus.errors import ConfigError, MissingTier
from alphaplus.events import (
    EventArray,
    FeedStatus,
    Flag,
    Kind,
    Side,
    event,
    status_event,
)
from alphaplus.instruments import Instrument
from alphaplus.leverage.liquidation_map import MapBar
from alphaplus.leverage.liquidation_tracker import LiquidationTracker, MapSnapshot
from alphaplus.leverage.map_assumptions import MapParameters
from alphaplus.leverage.tiers import LeverageTier, TierTable
from tests.leverage.map_cases import tiers

SECOND = 1_000_000_000
START = 1_700_000_040 * SECOND  # on the minute
PARAMETERS = MapParameters(bin_width=0.005, max_gap_s=900.0)


def instrument_of(*, size: float = 1.0, inverse: bool = False) -> Instrument:
    return Instrument(
        symbol="BTC-USDT-PERP",
        exchange="binance",
        venue_symbol="BTCUSDT",
        tick_size=Decimal("0.01"),
        lot_size=Decimal("0.001"),
        contract_size=size,
        inverse=inverse,
    )


def tracker_of(*, with_tiers: bool = True, **terms: Any) -> LiquidationTracker:
    made = LiquidationTracker(instrument_of(**terms), PARAMETERS)
    if with_tiers:
        made.set_tiers(tiers())
    return made


def at(second: float, kind: Kind, value: float = math.nan, **fields: Any) -> EventArray:
    return event(kind, ts_recv=START + round(second * SECOND), value=value, **fields)


def minute(k: int, interest: float, mark: float = 100.0, buys: float = 6.0) -> EventArray:
    """One bar: a mark, a buy, a sell of 2 and an open interest, all at 100."""
    return np.concatenate(
        (
            at(60 * k + 1, Kind.MARK_PRICE, mark),
            at(60 * k + 2, Kind.TRADE, buys, side=Side.BID, price_tick=10_000),
            at(60 * k + 3, Kind.TRADE, 2.0, side=Side.ASK, price_tick=10_000),
            at(60 * k + 4, Kind.OPEN_INTEREST, interest),
        )
    )


class Bars(LiquidationTracker):
    """A tracker that also keeps its bars."""

    def __init__(self, instrument: Instrument) -> None:
        super().__init__(instrument, PARAMETERS)
        self.bars: list[MapBar] = []

    def _end_bar(self) -> list[MapSnapshot]:
        self.bars.append(self._bar())
        return super()._end_bar()


def plain_bars(events: EventArray, instrument: Instrument) -> list[MapBar]:
    """Plain Python: bars of a minute as dictionaries of lists."""
    size, inverse = instrument.contract_size, instrument.inverse
    found: list[MapBar] = []
    hand: dict[str, Any] | None = None
    away = False

    def begun(ts: int) -> dict[str, Any]:
        begin = ts // (60 * SECOND) * 60 * SECOND
        return {"begin": begin, "end": begin + 60 * SECOND, "trades": [], "marks": [], "oi": None}

    broken = False
    for row in events:
        kind, value = Kind(int(row["kind"])), float(row["value"])
        if kind is Kind.STATUS:
            away = value == FeedStatus.DISCONNECTED
            broken = broken or away
            continue
        if kind is Kind.DEPTH:
            continue
        ts = int(row["ts_event"])
        if hand is None:
            hand, broken = begun(ts), away
        while ts >= hand["end"]:
            if hand["oi"] is None and hand["end"] - hand["begin"] < 300 * SECOND:
                hand["end"] += 60 * SECOND
                continue
            trades = hand["trades"]
            buy = sum(a for s, a, _ in trades if s > 0)
            sell = sum(a for s, a, _ in trades if s < 0)
            if inverse and trades:
                vwap = (buy + sell) / sum(a / p for _, a, p in trades)
            else:
                vwap = sum(a * p for _, a, p in trades) / (buy + sell) if trades else None
            marks = hand["marks"]
            found.append(
                MapBar(
                    ts_event=hand["end"],
                    open_interest=hand["oi"],
                    taker_buy=None if broken else buy,
                    taker_sell=None if broken else sell,
                    vwap=vwap,
                    mark_low=min(marks) if marks and not broken else None,
                    mark_high=max(marks) if marks and not broken else None,
                    mark_close=marks[-1] if marks else None,
                )
            )
            hand, broken = begun(ts), away
        if kind is Kind.TRADE and not row["flags"] & Flag.OFF_MARKET:
            price = instrument.price(int(row["price_tick"]))
            hand["trades"].append((int(row["side"]), value * size, price))
        elif kind is Kind.MARK_PRICE:
            hand["marks"].append(value)
        elif kind is Kind.OPEN_INTEREST:
            hand["oi"] = value * size
    return found


_rows = st.tuples(
    st.sampled_from(
        (Kind.TRADE, Kind.MARK_PRICE, Kind.OPEN_INTEREST, Kind.LIQUIDATION, Kind.STATUS, Kind.DEPTH)
    ),
    st.one_of(st.integers(0, 30), st.integers(-20, 900)),  # seconds since the last one
    st.floats(0.001, 50.0),
    st.sampled_from((Side.BID, Side.ASK)),
    st.integers(-300, 300),  # ticks off 100
    st.sampled_from((Flag.LAST, Flag.LAST | Flag.OFF_MARKET)),
)


@st.composite
def streams(draw: st.DrawFn) -> EventArray:
    second, rows = 0, [minute(k, 1000.0 + 40 * k) for k in range(draw(st.integers(0, 4)))]
    second = 60 * len(rows)
    for kind, waited, value, side, ticks, flags in draw(st.lists(_rows, min_size=1, max_size=80)):
        second = max(second + waited, 0)
        if kind is Kind.STATUS:
            status = FeedStatus.DISCONNECTED if side is Side.ASK else FeedStatus.SYNCED
            rows.append(status_event(status, ts_recv=START + second * SECOND))
            continue
        level = {
            Kind.MARK_PRICE: 100.0 + ticks / 100,
            Kind.OPEN_INTEREST: 1000.0 + 20 * value,
        }.get(kind, value)
        rows.append(at(second, kind, level, side=side, price_tick=10_000 + ticks, flags=flags))
    return np.concatenate(rows)


def state_of(tracker: LiquidationTracker, snapshots: Sequence[MapSnapshot]) -> dict[str, Any]:
    assert tracker.map is not None
    return {
        "picture": tracker.payload(),
        "levels": tracker.map.levels(),
        "mass": tracker.map.mass.tolist(),
        "realised": tracker.realised.newest(1000),
        "totals": tracker.realised.totals(tracker.ts_event),
        "snapshots": [(x.ts_event, x.mark_price, x.assumptions.id, x.levels) for x in snapshots],
    }


@given(events=streams(), cuts=st.lists(st.integers(0, 100), max_size=8))
def test_cutting_the_stream_anywhere_changes_nothing(events: EventArray, cuts: list[int]) -> None:
    whole, parts = tracker_of(), tracker_of()
    expected = state_of(whole, whole.update(events))
    places = sorted({min(cut, len(events)) for cut in cuts} | {0, len(events)})
    snapshots = []
    for begin, end in pairwise(places):
        snapshots += parts.update(events[begin:end])
    assert state_of(parts, snapshots) == expected


@given(events=streams(), inverse=st.booleans())
def test_bars_equal_those_of_plain_python(events: EventArray, inverse: bool) -> None:
    terms = instrument_of(size=100.0 if inverse else 0.1, inverse=inverse)
    tracker = Bars(terms)
    tracker.update(events)
    expected = plain_bars(events, terms)
    assert len(tracker.bars) == len(expected)
    for found, wanted in zip(tracker.bars, expected, strict=True):
        for name, value in asdict(wanted).items():
            got = getattr(found, name)
            assert got is value if value is None else got == pytest.approx(value, rel=1e-12)


def test_before_leverage_tiers_only_what_was_realised_is_told() -> None:
    tracker = tracker_of(with_tiers=False)
    tracker.update(minute(0, 1000.0))
    tracker.update(at(5, Kind.LIQUIDATION, 2.0, side=Side.ASK, price_tick=9_000))
    assert tracker.stale_reason == "no leverage tiers yet"
    assert tracker.levels() is None
    assert tracker.level_quantities(np.array([0.1, 0.5])) is None
    told = tracker.payload()
    assert (told["status"], told["reason"]) == ("stale", "no leverage tiers yet")
    assert told["cells"] is None
    assert told["assumptions"] is None
    assert len(tracker.realised) == 1


def test_payload_without_tiers_has_the_fields_of_one_with_them() -> None:
    assert set(tracker_of(with_tiers=False).payload()) == set(tracker_of().payload())


def test_new_open_interest_stands_where_its_leverage_is_liquidated() -> None:
    tracker = tracker_of()
    for k, interest in enumerate((1000.0, 1000.0, 1100.0, 1100.0)):
        tracker.update(minute(k, interest))
    assert tracker.stale_reason is None
    levels = tracker.levels()
    assert levels
    longs = sum(level.quantity for level in levels if level.side == "long")
    shorts = sum(level.quantity for level in levels if level.side == "short")
    assert longs == pytest.approx(75.0)  # 6 of 8 were taken by buyers
    assert shorts == pytest.approx(25.0)
    assert all((level.price_level < 100) == (level.side == "long") for level in levels)


def test_binned_levels_hold_all_that_stands() -> None:
    tracker = tracker_of()
    for k, interest in enumerate((1000.0, 1000.0, 1100.0, 1100.0)):
        tracker.update(minute(k, interest))
    edges = np.geomspace(1e-3, 0.15, 20)
    found = tracker.level_quantities(edges)
    assert found is not None
    assert found[0].sum() == pytest.approx(75.0)
    assert found[1].sum() == pytest.approx(25.0)
    assert found[0][-1] > 0  # leverage 5 stands beyond the last edge


def test_mark_consumes_levels_before_its_bar_is_over() -> None:
    tracker = tracker_of()
    for k, interest in enumerate((1000.0, 1000.0, 1100.0, 1100.0)):
        tracker.update(minute(k, interest))
    before = tracker.levels()
    tracker.update(at(241, Kind.MARK_PRICE, 98.9))
    after = tracker.levels()
    assert before is not None
    assert after is not None
    gone = {level.price_level for level in before} - {level.price_level for level in after}
    assert gone == {level.price_level for level in before if 98.9 <= level.price_level < 100}
    assert gone


def test_missing_open_interest_makes_the_map_stale_and_says_so() -> None:
    tracker = tracker_of()
    for k in range(3):
        tracker.update(minute(k, 1000.0 + 50 * k))
    assert tracker.stale_reason is None
    for k in range(3, 10):
        tracker.update(at(60 * k + 1, Kind.MARK_PRICE, 100.0))
    assert tracker.stale_reason == "unknown: open_interest"
    assert tracker.levels() is None
    assert tracker.payload()["cells"] is None
    tracker.update(minute(10, 1200.0))
    tracker.update(minute(11, 1200.0))
    assert tracker.stale_reason is None  # the gap was survived


def test_bar_waits_for_an_open_interest_that_is_polled_late() -> None:
    tracker = Bars(instrument_of())
    tracker.set_tiers(tiers())
    tracker.update(minute(0, 1000.0))
    tracker.update(at(61, Kind.MARK_PRICE, 100.0))
    tracker.update(at(125, Kind.OPEN_INTEREST, 1010.0))
    tracker.update(at(185, Kind.MARK_PRICE, 100.0))
    assert [found.ts_event for found in tracker.bars] == [
        START + 60 * SECOND,
        START + 180 * SECOND,
    ]
    assert tracker.bars[-1].open_interest == 1010.0
    assert tracker.stale_reason is None


def test_disconnection_makes_its_bars_unknown_and_the_windows_incomplete() -> None:
    tracker = tracker_of()
    tracker.update(minute(0, 1000.0))
    tracker.update(minute(1, 1000.0))
    tracker.update(status_event(FeedStatus.DISCONNECTED, ts_recv=START + 110 * SECOND))
    tracker.update(minute(2, 1000.0))
    reason = tracker.stale_reason
    assert reason is not None
    assert "taker_buy" in reason
    assert "mark_low" in reason


def test_lost_events_spoil_the_bar_in_hand_only() -> None:
    tracker = tracker_of()
    for k in range(3):
        tracker.update(minute(k, 1000.0))
    tracker.interrupt()
    tracker.update(minute(3, 1000.0))
    assert tracker.stale_reason is not None
    tracker.update(minute(4, 1000.0))
    assert tracker.stale_reason is None
    total = tracker.realised.totals(START + 250 * SECOND)[0]
    assert total.at_least
    assert "broke off" in (total.reason or "")


def test_levels_from_before_a_long_silence_are_stale() -> None:
    tracker = tracker_of()
    for k in range(3):
        tracker.update(minute(k, 1000.0 + 50 * k))
    assert tracker.stale_reason is None
    tracker.update(at(1980, Kind.MARK_PRICE, 100.0))
    assert tracker.stale_reason == "no complete bar for 1800 s"
    assert tracker.levels() is None
    assert tracker.payload()["confidence"] is None


def test_realised_liquidations_score_the_map_and_never_enter_it() -> None:
    tracker = tracker_of()
    for k, interest in enumerate((1000.0, 1000.0, 1100.0, 1100.0)):
        tracker.update(minute(k, interest))
    assert tracker.map is not None
    mass = tracker.map.mass.sum()
    tracker.update(at(241, Kind.LIQUIDATION, 3.0, side=Side.ASK, price_tick=9_840))
    assert tracker.map.mass.sum() == mass
    assert tracker.hits.scored == 1
    newest = tracker.realised.newest(1)[0]
    assert (newest["side"], newest["price"], newest["quantity"]) == ("long", 98.4, 3.0)
    assert newest["sampled"]
    assert tracker.realised.totals(START + 242 * SECOND)[0].at_least


def test_report_without_a_quantity_is_counted_and_left_out() -> None:
    tracker = tracker_of()
    tracker.update(at(1, Kind.LIQUIDATION, 0.0, side=Side.ASK, price_tick=9_840))
    assert tracker.rejected == 1
    assert len(tracker.realised) == 0


def test_inverse_open_interest_counts_contracts_so_that_a_move_alone_opens_nothing() -> None:
    tracker = tracker_of(size=100.0, inverse=True)
    for k, mark in enumerate((100.0, 100.0, 101.0, 101.0)):
        tracker.update(minute(k, 1000.0, mark))
    assert tracker.map is not None
    assert tracker.map.opened.sum() == 0
    tracker.update(minute(4, 1100.0, 101.0))
    tracker.update(minute(5, 1100.0, 101.0))
    placed = tracker.map.opened.sum()
    assert placed + tracker.map.unplaced.sum() == pytest.approx(10_000.0)  # dollars of face value
    levels = tracker.levels()
    assert levels is not None
    assert sum(level.notional for level in levels) == pytest.approx(placed)
    found = tracker.level_quantities(np.geomspace(1e-3, 0.5, 64))
    assert found is not None
    assert found[0].sum() + found[1].sum() == pytest.approx(sum(level.quantity for level in levels))


def test_snapshot_of_each_bar_has_its_levels_and_assumptions() -> None:
    tracker = tracker_of()
    found = []
    for k, interest in enumerate((1000.0, 1050.0, 1100.0)):
        found += tracker.update(minute(k, interest))
    assert [item.ts_event for item in found] == [START + 120 * SECOND]
    assert tracker.map is not None
    assert found[0].assumptions.id == tracker.map.assumptions.id
    assert found[0].mark_price == 100.0
    assert found[0].levels


def test_other_tiers_change_the_assumptions_and_the_same_do_not() -> None:
    tracker = tracker_of()
    assert tracker.map is not None
    first = tracker.map.assumptions
    tracker.set_tiers(tiers())
    assert tracker.map.assumptions is first
    tracker.set_tiers(tiers(50.0))
    assert tracker.map.assumptions.id != first.id


def test_table_that_breaks_the_rules_is_refused_and_named() -> None:
    broken = TierTable.of(
        "BTC-USDT-PERP",
        [
            LeverageTier(
                min_notional=5.0, max_notional=10.0, maintenance_margin_rate=0.01, max_leverage=10.0
            )
        ],
    )
    tracker = tracker_of(with_tiers=False)
    with pytest.raises(MissingTier):
        tracker.set_tiers(broken)
    assert "consistent tiers" in (tracker.stale_reason or "")


def test_step_must_divide_the_longest_bar() -> None:
    with pytest.raises(ConfigError, match="step_s"):
        LiquidationTracker(instrument_of(), step_s=70.0)

"""Costs of trades against a plain twin, their identity, recordings and bad input."""

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alphaplus.analysis.tape import Tape
from alphaplus.analysis.trade_cost import (
    TradeCost,
    effective_spread,
    maker_markout_bps,
    price_impact,
    realized_spread,
    trade_costs,
)
from alphaplus.errors import ConfigError
from alphaplus.instruments import Instrument
from tests.analysis.capture_tapes import CaptureStream, capture_stream, random_cuts
from tests.analysis.quote_streams import (
    INSTRUMENTS,
    INVERSE,
    LINEAR,
    MS,
    START,
    Break,
    Quote,
    Stream,
    Trade,
    feed,
    flat,
    newest_time,
    quote_rows,
    streams,
    trade_rows,
)

HORIZONS = (0.01, 0.1, 1.0)
NAMES = ("0.01s", "0.1s", "1s")
WINDOW_S = 1.2
"""Slots of 20 ms."""


def cost(instrument: Instrument = LINEAR, **parameters: Any) -> TradeCost:
    return TradeCost(instrument, **{"horizons_s": HORIZONS, "window_s": WINDOW_S, **parameters})


def is_plain(trade: Trade) -> bool:
    return 0 < trade.tick <= 2**52 and 0 < trade.quantity < 1e100


class Twin:
    """All quotes and all trades in lists; every mid is looked up from the beginning."""

    def __init__(self, instrument: Instrument, stream: Stream) -> None:
        self.tick = Fraction(instrument.tick_size)
        self.quotes: list[tuple[int, Fraction | None]] = []
        self.rows: list[tuple[int, int, Fraction, float, int]] = []
        for event in stream:
            if isinstance(event, Trade):
                if event.off_market or not event.side or not is_plain(event):
                    continue
                price = event.tick * self.tick
                notional = instrument.notional(float(price), event.quantity)
                wait = max([event.ts_event, *(row[1] for row in self.rows[-1:])])
                self.rows.append((event.ts_event, wait, price, notional, event.side))
            elif isinstance(event, Quote):
                time = max([event.ts_event, *(quote[0] for quote in self.quotes[-1:])])
                mid = (event.bid + event.ask) * self.tick / 2 if event.is_valid_spread else None
                self.quotes.append((time, mid))
            elif self.quotes:
                self.quotes.append((self.quotes[-1][0] + 1, None))
        self.newest = self.quotes[-1][0] if self.quotes else -1
        self.now = max([newest_time(stream), self.newest, *(row[1] for row in self.rows)])

    def mid(self, time: int, *, strictly: bool) -> Fraction | None:
        found = None
        for at, mid in self.quotes:
            if at < time or (at == time and not strictly):
                found = mid
        return found

    def outcomes(self, horizon: float | None) -> list[tuple[int, float, list[Fraction | None]]]:
        """When it was known, notional and values of each trade, for one horizon or none."""
        found = []
        for time, wait, price, notional, side in self.rows:
            before = self.mid(time, strictly=True)
            if wait > self.newest or before is None:
                continue
            if horizon is None:
                paid = 2 * side * (price - before)
                found.append((wait, notional, [paid, 10_000 * paid / before]))
                continue
            tau = round(horizon * 1e9)
            after = self.mid(time + tau, strictly=False)
            if wait + tau >= self.newest or after is None:
                continue
            kept, moved = 2 * side * (price - after), side * (after - before)
            values = [kept, 10_000 * kept / before, moved, 10_000 * moved / before]
            values += [kept / 2, 5_000 * kept / price]
            found.append((wait + tau, notional, values))
        return found

    def average(self, horizon: float | None, window_s: float | None) -> tuple[int, list[Any]]:
        outcomes = self.outcomes(horizon)
        if window_s is not None:
            slot = round(window_s * 1e9) // 60
            outcomes = [o for o in outcomes if o[0] // slot > self.now // slot - 60]
        total = sum(Fraction(o[1]) for o in outcomes)
        if not outcomes:
            return 0, [None] * 6
        columns = zip(*(o[2] for o in outcomes), strict=True)
        weights = [Fraction(o[1]) for o in outcomes]
        return len(outcomes), [
            float(sum(w * v for w, v in zip(weights, column, strict=True)) / total)
            for column in columns
        ]


def close(value: float | None, expected: float | None) -> bool:
    if value is None or expected is None:
        return value is expected
    return math.isclose(value, expected, rel_tol=1e-9, abs_tol=1e-9)


def check_equal(found: dict[str, Any], expected: dict[str, Any]) -> None:
    """Compare values; sums of signed terms lose digits against the terms, not themselves."""
    first, second = flat(found), flat(expected)
    assert set(first) == set(second)
    for key, value in first.items():
        if isinstance(value, float):
            assert value == pytest.approx(second[key], rel=1e-12, abs=1e-9), key
        else:
            assert value == second[key], key


@given(instrument=INSTRUMENTS, stream=streams(with_trades=True, most=80))
@settings(max_examples=150)
def test_equals_the_plain_twin(instrument: Instrument, stream: Stream) -> None:
    found = feed(cost(instrument), stream)
    twin = Twin(instrument, stream)
    for values, window_s in ((found, WINDOW_S), (found["total"], None)):
        count, (paid, paid_bps, *_) = twin.average(None, window_s)
        assert values["trades"] == count
        assert close(values["effective_spread"], paid)
        assert close(values["effective_spread_bps"], paid_bps)
        for tau, horizon in zip(NAMES, HORIZONS, strict=True):
            count, expected = twin.average(horizon, window_s)
            assert values[f"trades_{tau}"] == count
            names = ("realized_spread", "realized_spread_bps", "price_impact", "price_impact_bps")
            names = (*names, "maker_markout", "maker_markout_bps")
            for name, value in zip(names, expected, strict=True):
                assert close(values[f"{name}_{tau}"], value), name
    given_trades = [event for event in stream if isinstance(event, Trade)]
    usual = [trade for trade in given_trades if not trade.off_market and trade.side]
    assert found["taken"] == len(given_trades)
    assert found["off_market"] == sum(trade.off_market for trade in given_trades)
    assert found["sideless"] == sum(not t.side and not t.off_market for t in given_trades)
    assert found["rejected"] == sum(not is_plain(trade) for trade in usual)
    assert found["late"] == found["overflowed"] == 0
    counted = found["total"]["trades"] + found["unpriced"] + found["waiting"]
    assert counted == len(twin.rows)


@given(stream=streams(with_trades=True, most=80), data=st.data())
@settings(max_examples=100)
def test_any_cut_of_the_stream_gives_the_same(stream: Stream, data: st.DataObject) -> None:
    cuts = data.draw(st.lists(st.integers(0, len(stream)), max_size=30))
    check_equal(feed(cost(), stream, cuts), feed(cost(), stream))


@given(stream=streams(with_trades=True, most=80), data=st.data())
@settings(max_examples=100)
def test_late_sockets_change_nothing_once_all_has_come(stream: Stream, data: st.DataObject) -> None:
    """Whichever socket is ahead, by however much: trades wait, and mids are remembered."""
    stream = [event for event in stream if not isinstance(event, Break)]
    quotes = [event for event in stream if isinstance(event, Quote)]
    trades = [event for event in stream if isinstance(event, Trade)]
    mixed: list[Quote | Trade] = []
    while quotes or trades:
        source = quotes if not trades or (quotes and data.draw(st.booleans())) else trades
        mixed.append(source.pop(0))
    cuts = data.draw(st.lists(st.integers(0, len(mixed)), max_size=30))
    found, expected = feed(cost(), mixed, cuts), feed(cost(), stream)
    check_equal(found, expected)


@given(stream=streams(with_trades=True, most=60))
@settings(max_examples=60)
def test_effective_is_realized_and_twice_the_impact_for_each_trade(stream: Stream) -> None:
    costs = trade_costs(
        LINEAR,
        quote_rows([event for event in stream if isinstance(event, Quote)]),
        trade_rows([e for e in stream if isinstance(e, Trade) and is_plain(e)]),
        HORIZONS,
    )
    parts = costs.realized_spread + 2 * costs.price_impact
    known = np.isfinite(parts)
    assert parts[known] == pytest.approx(
        np.broadcast_to(costs.effective_spread, parts.shape)[known], rel=1e-9, abs=1e-9
    )
    bps = costs.realized_spread_bps + 2 * costs.price_impact_bps
    assert bps[known] == pytest.approx(
        np.broadcast_to(costs.effective_spread_bps, bps.shape)[known], rel=1e-9, abs=1e-9
    )


@given(stream=streams(with_trades=True, most=60))
@settings(max_examples=60)
def test_batch_form_agrees_with_the_stream(stream: Stream) -> None:
    events = [event for event in stream if not isinstance(event, Break)]
    events = [e for e in events if isinstance(e, Quote) or is_plain(e)]
    trades = trade_rows([event for event in events if isinstance(event, Trade)])
    # The batch form looks each trade up by its own time; the stream waits for those before.
    order = np.maximum.accumulate(trades["ts_event"])
    trades = trades[order == trades["ts_event"]]
    kept = [event for event in events if isinstance(event, Quote)]
    costs = trade_costs(LINEAR, quote_rows(kept), trades, HORIZONS)
    measure = cost(window_s=3600)
    measure.update(Tape.of(quotes=quote_rows(kept), trades=trades))
    found = measure.values()
    weights = trades["price_tick"] * trades["quantity"]
    columns = {"effective_spread_bps": costs.effective_spread_bps}
    for k, tau in enumerate(NAMES):
        columns[f"realized_spread_bps_{tau}"] = costs.realized_spread_bps[k]
        columns[f"price_impact_{tau}"] = costs.price_impact[k]
        markouts = np.where(np.isfinite(costs.effective_spread), costs.maker_markout_bps[k], np.nan)
        columns[f"maker_markout_bps_{tau}"] = markouts
    for name, column in columns.items():
        known = np.isfinite(column)
        if known.any():
            expected = np.average(column[known], weights=weights[known])
            assert found[name] == pytest.approx(expected, rel=1e-9, abs=1e-9), name
        else:
            assert found[name] is None


@given(stream=streams(with_trades=True, most=60))
@settings(max_examples=40)
def test_mirror_keeps_costs_and_scale_keeps_basis_points(stream: Stream) -> None:
    valid = [e for e in stream if not isinstance(e, Quote) or e.is_valid_spread]
    valid = [e for e in valid if not isinstance(e, Trade) or is_plain(e)]
    mirrored: list[Quote | Trade | Break] = []
    for event in valid:
        if isinstance(event, Quote):
            mirrored.append(replace(event, bid=3000 - event.ask, ask=3000 - event.bid))
        elif isinstance(event, Trade):
            mirrored.append(replace(event, tick=3000 - event.tick, side=-event.side))
        else:
            mirrored.append(event)
    # Inverse contracts: their notional does not depend on the price, so it mirrors exactly.
    found, other = feed(cost(INVERSE), valid), feed(cost(INVERSE), mirrored)
    for key in ("effective_spread", *(f"realized_spread_{tau}" for tau in NAMES)):
        assert close(other[key], found[key])
    for tau in NAMES:
        assert close(other[f"price_impact_{tau}"], found[f"price_impact_{tau}"])
    coarse = replace(LINEAR, tick_size=LINEAR.tick_size * 10)
    found, scaled = feed(cost(), valid), feed(cost(coarse), valid)
    for key, value in found.items():
        if "_bps" in key:
            assert close(scaled[key], value)


# ---- by hand


def by_hand() -> list[Quote | Trade]:
    return [
        Quote(START, 999, 1001),  # mid 1000
        Quote(START + 10 * MS, 1001, 1003),  # at the trade's time: not before it
        Trade(START + 10 * MS, 1001, 2.0),
        Quote(START + 1010 * MS, 1003, 1005),  # at the horizon: in force
        Quote(START + 1011 * MS, 1, 2),
    ]


def test_trade_by_hand() -> None:
    found = feed(TradeCost(replace(LINEAR, contract_size=0.5)), by_hand())
    assert found["effective_spread"] == pytest.approx(0.2)  # 2 x (100.1 - 100.0)
    assert found["effective_spread_bps"] == pytest.approx(20)
    assert found["realized_spread_1s"] == pytest.approx(-0.6)  # 2 x (100.1 - 100.4)
    assert found["realized_spread_bps_1s"] == pytest.approx(-60)
    assert found["price_impact_1s"] == pytest.approx(0.4)
    assert found["maker_markout_1s"] == pytest.approx(-0.3)
    assert found["maker_markout_bps_1s"] == pytest.approx(-1e4 * 0.3 / 100.1)
    assert found["notional"] == pytest.approx(100.1)
    assert found["realized_spread_5s"] is None
    assert (found["trades"], found["trades_1s"], found["trades_5s"]) == (1, 1, 0)


def test_formulas() -> None:
    assert effective_spread(-1, 99.5, 100.0) == 1.0
    assert realized_spread(-1, 99.5, 99.0) == -1.0
    assert price_impact(-1, 100.0, 99.0) == 1.0
    assert maker_markout_bps(-1, 100.0, 99.0) == -100.0
    sides = np.array([1.0, -1.0])
    prices, mids = np.array([100.0, 100.0]), np.array([99.0, 99.0])
    assert maker_markout_bps(sides, prices, mids).tolist() == [100.0, -100.0]


def test_trade_waits_for_a_quote_at_or_after_it() -> None:
    measure = cost()
    assert feed(measure, [Quote(START, 999, 1001), Trade(START + MS, 1001)])["waiting"] == 1
    assert measure.values()["effective_spread"] is None
    late = feed(measure, [Quote(START + MS // 2, 997, 999)])  # late, but before the trade
    assert late["waiting"] == 1
    found = feed(measure, [Quote(START + MS, 1, 2)])
    assert found["waiting"] == 0
    assert found["effective_spread"] == pytest.approx(0.6)


def test_mid_unknown_at_the_horizon_gives_no_realized_spread() -> None:
    base = [Quote(START, 999, 1001), Trade(START + MS, 1001)]
    crossed = [Quote(START + 5 * MS, 999, 999), Quote(START + 500 * MS, 999, 1001)]
    found = feed(cost(), [*base, *crossed])
    assert found["trades"] == 1
    assert found["realized_spread_0.01s"] is None
    assert found["without_mid_0.01s"] == 1
    broken = feed(cost(), [*base, Quote(START + 2 * MS, 999, 1001), Break(), crossed[1]])
    assert broken["without_mid_0.01s"] == broken["without_mid_0.1s"] == 1
    assert broken["without_mid_1s"] == 0


def test_trade_before_all_quotes_or_under_an_invalid_one_is_left_out() -> None:
    found = feed(
        cost(),
        [
            Trade(START, 1001),
            Quote(START, 999, 999),
            Trade(START + MS, 1001),
            Quote(START + 2 * MS, 999, 1001),
        ],
    )
    assert found["unpriced"] == 2
    assert found["total"]["trades"] == 0


def test_window_forgets_and_totals_remember() -> None:
    measure = TradeCost(LINEAR, window_s=10)
    feed(measure, by_hand())
    measure.update(Tape.of(ts_event=START + 9_000 * MS))
    assert measure.values()["trades"] == 1
    measure.update(Tape.of(ts_event=START + 10_600 * MS))
    found = measure.values()
    assert (found["trades"], found["trades_1s"]) == (0, 1)  # the markout came a second later
    measure.update(Tape.of(ts_event=START + 12_000 * MS))
    found = measure.values()
    assert found["effective_spread_bps"] is None
    assert found["realized_spread_1s"] is None
    assert found["total"]["effective_spread_bps"] == pytest.approx(20)


def test_too_many_waiting_trades_are_counted_and_the_rest_kept() -> None:
    quotes = [Quote(START + 10 * n * MS, 999, 1001) for n in range(4)]
    trades = [Trade(START + MS + n, 1001) for n in range(10)]
    end = Quote(START + 3000 * MS, 999, 1001)
    found = feed(cost(waiting_trades=4), [quotes[0], *trades, *quotes[1:], end])
    # Six never got a mid before them: four outcomes each; the other four got all.
    assert found["overflowed"] == 6 * 4
    assert found["total"]["trades"] == found["total"]["trades_1s"] == 4
    pairs = [(trade, replace(quotes[1], ts_event=trade.ts_event)) for trade in trades]
    found = feed(cost(waiting_trades=4), [quotes[0], *(e for p in pairs for e in p), end])
    assert found["total"]["trades"] == 10
    assert found["overflowed"] == 6 * 3
    assert found["total"]["trades_1s"] == 4


def test_trade_older_than_the_known_mids_is_counted() -> None:
    quotes = [Quote(START + n * MS, 999 + n, 1001 + n) for n in range(9)]
    late = Trade(START + 3 * MS + 1, 1001)
    for known_mids, expected in ((4, (1, 0)), (6, (0, 1))):
        measure = cost(known_mids=known_mids)
        feed(measure, quotes)
        found = feed(measure, [late])
        assert (found["late"], found["total"]["trades"]) == expected


# ---- clocks


def local_clock(lag_ms: Sequence[int]) -> list[Quote | Trade]:
    """Our clock is 1270 ms behind the venue's; quotes carry it, and trades come late by lags."""
    made: list[Quote | Trade] = []
    for n, lag in enumerate(lag_ms):
        at = START + 100 * n * MS
        behind = at - 1270 * MS
        mid = 1000 + 10 * n
        made.append(Quote(behind - MS, mid - 1, mid + 1, ts_recv=behind - MS))
        made.append(Trade(at, mid + 1, ts_recv=behind + lag * MS))
        made.append(Quote(behind + 5 * MS, mid + 9, mid + 11, ts_recv=behind + 5 * MS))
    return sorted(made, key=lambda event: event.ts_recv)


def test_quotes_without_a_venue_time_meet_trades_by_our_clock() -> None:
    stream = local_clock([0, 90, 30, 0, 60])
    found = feed(cost(), stream)
    assert found["total"]["trades"] == 5
    assert found["total"]["effective_spread"] == pytest.approx(0.2)
    check_equal(feed(cost(clock="receive"), stream), found)
    by_venue = feed(cost(clock="event"), stream)
    assert by_venue["total"]["effective_spread"] != pytest.approx(0.2, abs=0.1)


@given(cuts=st.lists(st.integers(0, 15), max_size=10), shift=st.integers(0, 2))
def test_clock_is_chosen_the_same_in_any_cut(cuts: list[int], shift: int) -> None:
    stream = local_clock([0, 90, 30, 0, 60])
    trade = stream.pop(next(n for n, e in enumerate(stream) if isinstance(e, Trade)))
    stream.insert(shift, trade)  # also before the first quote
    check_equal(feed(cost(), stream, cuts), feed(cost(), stream))


def test_clock_that_steps_is_followed_within_minutes() -> None:
    stream: list[Quote | Trade] = []
    for n in range(60):
        at, ours = START + 5_000 * n * MS, START + (5_000 * n + (9_000 if n > 20 else 0)) * MS
        stream.append(Quote(ours - MS, 999, 1001, ts_recv=ours - MS))
        stream.append(Trade(at, 1001, ts_recv=ours))
        stream.append(Quote(ours + MS, 1001 + n, 1003 + n, ts_recv=ours + MS))
    found = feed(cost(window_s=60), stream)
    assert found["effective_spread"] == pytest.approx(0.2)


# ---- recordings and interface


def follow(stream: CaptureStream, cuts: Sequence[int], **parameters: Any) -> dict[str, Any]:
    measure = TradeCost(stream.instrument, **parameters)
    for tape in stream.tapes(cuts):
        measure.update(tape)
    return measure.values()


@pytest.mark.parametrize("market", ["perp", "spot"])
def test_recording_in_any_pieces_gives_the_same(data_dir: Path, market: str) -> None:
    stream = capture_stream(data_dir, market)
    whole = follow(stream, [])
    check_equal(follow(stream, random_cuts(5, 4000, len(stream.events))), whole)
    assert whole["taken"] == len(stream.whole.trades)
    assert whole["late"] == whole["overflowed"] == whole["rejected"] == 0


def test_recording_equals_the_batch_form(data_dir: Path) -> None:
    stream = capture_stream(data_dir, "perp")
    quotes, trades = stream.whole.quotes, stream.whole.trades
    costs = trade_costs(stream.instrument, quotes, trades)
    total = follow(stream, [])["total"]
    notional = trades["price_tick"] * trades["quantity"]
    known = np.isfinite(costs.effective_spread)
    assert total["trades"] == known.sum() == 21_313
    expected = np.average(costs.effective_spread_bps[known], weights=notional[known])
    assert total["effective_spread_bps"] == pytest.approx(expected, rel=1e-12)
    for k, tau in enumerate(("1s", "5s", "30s", "300s")):
        known = np.isfinite(costs.maker_markout_bps[k])
        assert total[f"trades_{tau}"] == known.sum()
        expected = np.average(costs.maker_markout_bps[k][known], weights=notional[known])
        assert total[f"maker_markout_bps_{tau}"] == pytest.approx(expected, rel=1e-12)
        parts = costs.realized_spread[k] + 2 * costs.price_impact[k]
        assert parts[known] == pytest.approx(costs.effective_spread[known], abs=1e-9)


def test_trades_of_a_recording_without_quote_times_still_pay_the_spread(data_dir: Path) -> None:
    """By receive time alone half of them would seem to be paid for trading."""
    stream = capture_stream(data_dir, "spot")
    assert (stream.whole.quotes["ts_event"] == stream.whole.quotes["ts_recv"]).all()
    assert follow(stream, [])["total"]["effective_spread_bps"] > 0
    assert follow(stream, [], clock="event")["total"]["effective_spread_bps"] < 0


def test_says_what_is_missing() -> None:
    measure = TradeCost(LINEAR)
    missing = measure.missing()
    assert set(missing) == {key for key, value in measure.values().items() if value is None}
    assert missing["effective_spread_bps"] == "a trade between valid quotes"
    assert missing["price_impact_30s"] == "a trade and a valid quote 30s after it"
    feed(measure, by_hand())
    assert {key.rsplit("_", 1)[1] for key in measure.missing()} == {"5s", "30s", "300s"}
    json.dumps(measure.values(), allow_nan=False)


def test_absurd_times_reject_a_trade_and_hold_a_quote() -> None:
    stream = by_hand()
    stream.insert(2, Trade(2**63 - 1, 1001))
    stream.insert(2, Trade(-5, 1001))
    stream.insert(2, Quote(2**63 - 1, 1001, 1003))
    found = feed(cost(), stream)
    assert found["rejected"] == 2
    assert found["effective_spread"] == pytest.approx(0.2)


@pytest.mark.parametrize(
    "parameters",
    [
        {"horizons_s": ()},
        {"horizons_s": (1, 1)},
        {"horizons_s": (0.0,)},
        {"horizons_s": range(1, 10)},
        {"horizons_s": (math.nan,)},
        {"window_s": 0},
        {"waiting_trades": 0},
        {"known_mids": 1},
        {"clock": "wall"},
    ],
)
def test_parameters_out_of_range_are_refused(parameters: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="Expected"):
        TradeCost(LINEAR, **parameters)

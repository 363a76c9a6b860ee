"""Quoted spread against a plain twin, published cases, recordings and its properties."""

import json
import math
from dataclasses import replace
from decimal import Decimal
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alphaplus.analysis.quoted_spread import QuotedSpread, bin_of, time_quantile
from alphaplus.analysis.spread import log_spread, spread, spread_bps, time_weighted_average
from alphaplus.analysis.tape import Tape
from alphaplus.book import L2Book
from alphaplus.errors import ConfigError
from alphaplus.instruments import Instrument
from tests.analysis.capture_tapes import capture_stream, random_cuts
from tests.analysis.quote_streams import (
    INSTRUMENTS,
    INVERSE,
    LINEAR,
    MS,
    START,
    Break,
    Quote,
    Stream,
    feed,
    newest_time,
    quote_rows,
    streams,
)
from tests.book import captures

WINDOW_S = 1.2
"""Slots of 20 ms."""


def twin(instrument: Instrument, stream: Stream, window_s: float = WINDOW_S) -> dict[str, Any]:
    """The statistics of the window, from the list of all intervals."""
    slot = round(window_s * 1e9) // 60
    intervals: list[tuple[int, int, Quote]] = []
    last: Quote | None = None
    time = 0
    for event in stream:
        if isinstance(event, Break):
            last = None
            continue
        assert isinstance(event, Quote)
        begin, time = time, max(time, event.ts_event)
        if last is not None:
            intervals.append((begin, time, last))
        last = event if event.is_valid_spread else None
    now = max(time, newest_time(stream))
    if last is not None:
        intervals.append((time, now, last))
    first = (now // slot - 59) * slot
    held = [
        (max(end, first) - max(begin, first), quote.ask - quote.bid, quote)
        for begin, end, quote in intervals
        if end > first or begin == end >= first
    ]
    known = sum(ns for ns, _, _ in held)
    found: dict[str, Any] = {"known_s": known / 1e9}
    if last is not None:
        found["spread_ticks"] = last.ask - last.bid
        found["spread"] = float(instrument.tick_size * (last.ask - last.bid))
        found["spread_bps"] = 1e4 * (last.ask - last.bid) / ((last.ask + last.bid) / 2)
        found["spread_log"] = math.log(last.ask) - math.log(last.bid)
    if known:
        average = sum(ns * ticks for ns, ticks, _ in held) / known
        found["average_spread_ticks"] = average
        found["average_spread"] = average * float(instrument.tick_size)
        found["average_spread_bps"] = (
            sum(ns * 2e4 * ticks / (quote.ask + quote.bid) for ns, ticks, quote in held) / known
        )
        found["minimum_spread_ticks"] = min(ticks for _, ticks, _ in held)
        found["maximum_spread_ticks"] = max(ticks for _, ticks, _ in held)
        found["one_tick_share"] = sum(ns for ns, ticks, _ in held if ticks == 1) / known
        for name, share in (("median", 0.5), ("upper", 0.95)):
            ordered = sorted((ticks, ns) for ns, ticks, _ in held)
            spent = list(accumulate(ns for _, ns in ordered))
            place = next(i for i, ns in enumerate(spent) if ns >= share * known)
            found[f"{name}_spread_ticks"] = ordered[place][0]
    return found


@given(instrument=INSTRUMENTS, stream=streams())
@settings(max_examples=150)
def test_equals_the_plain_twin(instrument: Instrument, stream: Stream) -> None:
    found = feed(QuotedSpread(instrument, window_s=WINDOW_S), stream)
    expected = twin(instrument, stream)
    for key, value in found.items():
        if key in ("quotes", "invalid_quotes"):
            continue
        if key not in expected:
            assert value is None, key
        elif key in ("median_spread_ticks", "upper_spread_ticks") and expected[key] > 32:
            assert expected[key] <= value <= expected[key] * 1.1
        else:
            assert value == pytest.approx(expected[key], rel=1e-9, abs=1e-15), key
    given_quotes = [event for event in stream if isinstance(event, Quote)]
    assert found["quotes"] == len(given_quotes)
    assert found["invalid_quotes"] == sum(not quote.is_valid_spread for quote in given_quotes)


@given(stream=streams(), data=st.data())
@settings(max_examples=100)
def test_any_cut_of_the_stream_gives_the_same(stream: Stream, data: st.DataObject) -> None:
    cuts = data.draw(st.lists(st.integers(0, len(stream)), max_size=20))
    whole = feed(QuotedSpread(LINEAR, window_s=WINDOW_S), stream)
    assert feed(QuotedSpread(LINEAR, window_s=WINDOW_S), stream, cuts) == whole


@given(stream=streams(), scale=st.sampled_from([10, 1000]))
@settings(max_examples=40)
def test_scaling_prices_sizes_or_swapping_sides_keeps_basis_points(
    stream: Stream, scale: int
) -> None:
    coarse = replace(LINEAR, tick_size=LINEAR.tick_size * scale)
    found = feed(QuotedSpread(LINEAR, window_s=WINDOW_S), stream)
    scaled = feed(QuotedSpread(coarse, window_s=WINDOW_S), stream)
    more = [
        replace(event, bid_quantity=event.ask_quantity * 2, ask_quantity=event.bid_quantity * 2)
        if isinstance(event, Quote)
        else event
        for event in stream
    ]
    assert feed(QuotedSpread(LINEAR, window_s=WINDOW_S), more) == found
    for key, value in found.items():
        if key in ("spread", "average_spread") and value is not None:
            assert scaled[key] == pytest.approx(value * scale, rel=1e-12)
        else:
            assert scaled[key] == value


def test_time_under_an_unknown_quote_counts_for_nothing() -> None:
    stream = [
        Quote(START, 100, 101),
        Quote(START + 100 * MS, 100, 100),  # locked: the next 300 ms are unknown
        Quote(START + 400 * MS, 100, 103),
        Quote(START + 500 * MS, 100, 102),
        Break(),  # so are these 200 ms
        Quote(START + 700 * MS, 100, 101),
        Quote(START + 800 * MS, 100, 109),
    ]
    found = feed(QuotedSpread(LINEAR), stream)
    assert found["known_s"] == 0.3
    assert found["average_spread_ticks"] == pytest.approx((1 + 3 + 1) / 3)
    assert found["one_tick_share"] == pytest.approx(2 / 3)
    assert found["maximum_spread_ticks"] == 9  # in force, if for no time yet
    assert found["spread_ticks"] == 9


def test_window_moves_on_without_quotes() -> None:
    measure = QuotedSpread(LINEAR)
    feed(measure, [Quote(START, 100, 105), Quote(START + 1000 * MS, 100, 101)])
    measure.update(Tape.of(ts_event=START + 300_000 * MS))
    found = measure.values()
    assert found["average_spread_ticks"] == 1.0
    assert found["maximum_spread_ticks"] == 1
    assert 59 <= found["known_s"] <= 60


def test_time_that_goes_back_takes_nothing_away() -> None:
    stream = [
        Quote(START, 100, 101),
        Quote(START - 5000 * MS, 100, 102),
        Quote(2**63 - 1, 100, 103),
    ]
    found = feed(QuotedSpread(LINEAR), [*stream, Quote(START + 1000 * MS, 100, 101)])
    assert found["average_spread_ticks"] == 3.0
    assert found["known_s"] == 1.0


def test_says_what_is_missing() -> None:
    measure = QuotedSpread(LINEAR)
    missing = measure.missing()
    assert set(missing) == {key for key, value in measure.values().items() if value is None}
    assert missing["spread_bps"] == "a valid best quote"
    assert missing["average_spread_bps"] == "time under a valid best quote"
    feed(measure, [Quote(START, 100, 101)])
    assert set(measure.missing().values()) == {"time under a valid best quote"}
    measure.update(Tape.of(ts_event=START + 1))
    assert measure.missing() == {}
    json.dumps(measure.values(), allow_nan=False)


@pytest.mark.parametrize("window_s", [0, -1.0, math.nan, math.inf, 1e9])
def test_window_out_of_range_is_refused(window_s: float) -> None:
    with pytest.raises(ConfigError, match="Expected window_s from"):
        QuotedSpread(LINEAR, window_s=window_s)


@given(ticks=st.lists(st.integers(1, 2**40), min_size=1, max_size=30), share=st.floats(0.01, 1))
def test_quantile_is_exact_to_its_bin(ticks: list[int], share: float) -> None:
    bins = np.zeros(144, dtype=np.int64)
    for width in ticks:
        bins[bin_of(width)] += 7
    found = time_quantile(bins, share, min(ticks), max(ticks))
    ordered = sorted(ticks)
    exact = ordered[max(0, math.ceil(share * len(ticks) - 1e-9) - 1)]
    assert exact <= found
    if exact <= 32:
        assert found == exact
    elif exact < 2**18:
        assert found <= exact * 2 ** (1 / 8)


# ---- functions of spread.py


def test_published_cases(data_dir: Path) -> None:
    cases = json.loads((data_dir / "analysis/book_metrics_orderbook_rs.json").read_text())["cases"]
    coarse = replace(LINEAR, tick_size=Decimal(1))
    seen = 0
    for case in cases:
        tops = [(side[0] if side else (0, 0.0)) for side in (case["bids"], case["asks"])]
        (bid, size), (ask, other) = tops
        found = feed(QuotedSpread(coarse), [Quote(START, bid, ask, size, other)])
        if "spread_absolute" in case:
            assert found["spread"] == case["spread_absolute"]
            seen += 1
        if case.get("spread_bps") is not None:
            tolerance = case["spread_bps_tol"]
            assert found["spread_bps"] == pytest.approx(case["spread_bps"], abs=tolerance)
            seen += 1
    assert seen == 4


@given(bid=st.integers(1, 10**9), width=st.integers(1, 10**6))
def test_functions_take_arrays_and_agree(bid: int, width: int) -> None:
    bids, asks = np.full(3, float(bid)), np.full(3, float(bid + width))
    assert spread(bids, asks).tolist() == [width] * 3
    assert spread_bps(bids, asks)[0] == spread_bps(float(bid), float(bid + width))
    exact = math.log1p(width / bid)
    assert log_spread(bids, asks)[1] == pytest.approx(exact, rel=1e-14)


def test_time_weighted_average_leaves_unknown_time_out() -> None:
    times, values = [0, 10, 20, 40], [1.0, math.nan, 3.0, 5.0]
    assert time_weighted_average(times, values, 0, 50) == (10 + 60 + 50) / 40
    assert time_weighted_average(times, values, 5, 45) == (5 + 60 + 25) / 30
    assert time_weighted_average(times, values, -100, 50) == (10 + 60 + 50) / 40
    assert math.isnan(time_weighted_average(times, values, 10, 20))
    assert math.isnan(time_weighted_average([], [], 0, 1))


@given(stream=streams())
@settings(max_examples=40)
def test_batch_form_agrees_with_the_stream(stream: Stream) -> None:
    quotes = quote_rows([event for event in stream if isinstance(event, Quote)])
    only = [event for event in stream if isinstance(event, Quote)]
    found = feed(QuotedSpread(LINEAR, window_s=600), only)
    times = np.maximum.accumulate(quotes["ts_event"])
    values = [quote.ask - quote.bid if quote.is_valid_spread else math.nan for quote in only]
    end = int(times[-1]) if len(times) else 0
    average = time_weighted_average(times, values, 0, end)
    if found["average_spread_ticks"] is None:
        assert math.isnan(average)
    else:
        assert found["average_spread_ticks"] == pytest.approx(average, rel=1e-12)


# ---- recordings


@pytest.mark.parametrize(
    ("read", "median", "share"),
    [(captures.perpetual, 0.016204, 0.9922), (captures.spot, 0.0016199, 0.9945)],
)
def test_median_spread_of_a_recording(
    data_dir: Path, read: Any, median: float, share: float
) -> None:
    recording = read(data_dir)
    tops = L2Book(recording.instrument).apply(recording.events)[1:]  # not the snapshot itself
    assert len(tops) == recording.messages
    widths = spread_bps(tops["bid_tick"].astype(float), tops["ask_tick"].astype(float))
    digits = len(str(median)) - 2
    assert round(float(np.median(widths)), digits) == median
    one_tick = np.mean(tops["ask_tick"] - tops["bid_tick"] == 1)
    assert round(float(one_tick), 4) == share


@pytest.mark.parametrize("market", ["perp", "spot"])
def test_recording_in_any_pieces_gives_the_same(data_dir: Path, market: str) -> None:
    stream = capture_stream(data_dir, market)
    found = []
    for cuts in ([], random_cuts(7, 3000, len(stream.events))):
        measure = QuotedSpread(stream.instrument)
        for tape in stream.tapes(cuts):
            measure.update(tape)
        found.append(measure.values())
    assert found[0] == found[1]
    assert found[0]["quotes"] == len(stream.whole.quotes)
    assert found[0]["median_spread_ticks"] == 1
    assert found[0]["one_tick_share"] > 0.9


def test_inverse_contract_has_the_same_spread_as_a_linear_one() -> None:
    stream = [Quote(START, 1000, 1003), Quote(START + 1000 * MS, 1000, 1001)]
    same = replace(LINEAR, tick_size=INVERSE.tick_size)
    assert feed(QuotedSpread(INVERSE), stream) == feed(QuotedSpread(same), stream)

"""Mid and weighted mid: published cases, bounds and the properties of the definitions."""

import json
import math
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alphaplus.analysis.fair_price import FairPrice, weighted_mid
from alphaplus.analysis.tape import Tape
from alphaplus.instruments import Instrument
from tests.analysis.capture_tapes import capture_stream, random_cuts
from tests.analysis.quote_streams import (
    INSTRUMENTS,
    LINEAR,
    START,
    Break,
    Quote,
    Stream,
    feed,
    quote_rows,
    streams,
)

SIZES = st.floats(1e-9, 1e12)


@given(instrument=INSTRUMENTS, stream=streams(most=12))
@settings(max_examples=150)
def test_equals_exact_arithmetic(instrument: Instrument, stream: Stream) -> None:
    found = feed(FairPrice(instrument), stream)
    last = stream[-1] if stream else Break()
    if not (isinstance(last, Quote) and last.is_valid):
        assert set(found.values()) == {None}
        return
    tick = Fraction(instrument.tick_size)
    bid, ask = last.bid * tick, last.ask * tick
    size, other = Fraction(last.bid_quantity), Fraction(last.ask_quantity)
    weighted = (ask * size + bid * other) / (size + other)
    assert found["mid"] == float((bid + ask) / 2)
    assert found["weighted_mid"] == pytest.approx(float(weighted), rel=1e-15)
    lean = (weighted - (bid + ask) / 2) / (ask - bid)
    assert found["weighted_mid_lean"] == pytest.approx(float(lean), abs=1e-15)


@given(bid=st.integers(1, 2**40), width=st.integers(1, 10**6), size=SIZES, other=SIZES)
def test_weighted_mid_stays_inside_and_mirrors(
    bid: int, width: int, size: float, other: float
) -> None:
    quote = Quote(START, bid, bid + width, size, other)
    found = feed(FairPrice(LINEAR), [quote])
    assert LINEAR.price(bid) <= found["weighted_mid"] <= LINEAR.price(bid + width)
    swapped = feed(FairPrice(LINEAR), [replace(quote, bid_quantity=other, ask_quantity=size)])
    assert swapped["weighted_mid_lean"] == pytest.approx(-found["weighted_mid_lean"], abs=1e-15)
    assert swapped["mid"] == found["mid"]
    total = swapped["weighted_mid"] + found["weighted_mid"]
    assert total == pytest.approx(2 * found["mid"], rel=1e-14)
    scaled = feed(
        FairPrice(LINEAR), [replace(quote, bid_quantity=size * 8, ask_quantity=other * 8)]
    )
    assert scaled == found


@given(stream=streams(), data=st.data())
@settings(max_examples=50)
def test_any_cut_of_the_stream_gives_the_same(stream: Stream, data: st.DataObject) -> None:
    cuts = data.draw(st.lists(st.integers(0, len(stream)), max_size=20))
    assert feed(FairPrice(LINEAR), stream, cuts) == feed(FairPrice(LINEAR), stream)


def test_published_cases(data_dir: Path) -> None:
    cases = json.loads((data_dir / "analysis/book_metrics_orderbook_rs.json").read_text())["cases"]
    coarse = replace(LINEAR, tick_size=Decimal(1))
    seen = 0
    for case in cases:
        tops = [(side[0] if side else (0, 0.0)) for side in (case["bids"], case["asks"])]
        (bid, size), (ask, other) = tops
        found = feed(FairPrice(coarse), [Quote(START, bid, ask, size, other)])
        for key, ours in (("mid", "mid"), ("micro_price", "weighted_mid")):
            if key not in case:
                continue
            seen += 1
            if case[key] is None:
                assert found[ours] is None
            else:
                assert found[ours] == pytest.approx(case[key], rel=1e-12)
    assert seen == 6
    assert weighted_mid(100.0, 70.0, 105.0, 30.0) == 103.5


@pytest.mark.parametrize(
    "quote",
    [
        Quote(START, 100, 100),
        Quote(START, 101, 100),
        Quote(START, 0, 100),
        Quote(START, 100, 101, 0.0),
        Quote(START, 100, 101, 1.0, math.nan),
        Quote(START, 100, 101, math.inf, 1.0),
        Quote(START, 100, 101, 1e300, 1e300),
    ],
)
def test_unusable_quote_has_no_price(quote: Quote) -> None:
    measure = FairPrice(LINEAR)
    found = feed(measure, [Quote(START, 100, 101), quote])
    assert set(found.values()) == {None}
    assert set(measure.missing()) == set(found)


def test_lent_rows_may_be_overwritten() -> None:
    rows = quote_rows([Quote(START, 100, 101, 1.0, 1.0)])
    measure = FairPrice(LINEAR)
    measure.update(Tape.of(quotes=rows))
    rows["bid_tick"] = 0
    assert measure.values()["mid"] == 10.05
    assert measure.missing() == {}


@pytest.mark.parametrize("market", ["perp", "spot"])
def test_recording_ends_at_its_last_quote(data_dir: Path, market: str) -> None:
    stream = capture_stream(data_dir, market)
    measure = FairPrice(stream.instrument)
    for tape in stream.tapes(random_cuts(3, 500, len(stream.events))):
        measure.update(tape)
    last = stream.whole.quotes[-1]
    price = stream.instrument.price
    bid, ask = price(int(last["bid_tick"])), price(int(last["ask_tick"]))
    found = measure.values()
    assert found["mid"] == pytest.approx((bid + ask) / 2, rel=1e-15)
    expected = np.average([ask, bid], weights=[last["bid_quantity"], last["ask_quantity"]])
    assert found["weighted_mid"] == pytest.approx(expected, rel=1e-14)

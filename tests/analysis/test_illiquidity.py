"""Kyle, Amihud and Roll against published values, planted ones and a plain twin."""

import csv
import json
import math
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alphaplus.analysis.illiquidity import (
    Illiquidity,
    amihud_illiquidity,
    kyle_lambda,
    kyle_lambda_of_bars,
    roll_spread,
)
from alphaplus.analysis.tape import Tape
from alphaplus.errors import ConfigError
from alphaplus.instruments import Instrument
from tests.analysis.capture_tapes import capture_stream, random_cuts
from tests.analysis.flow_cases import (
    INSTRUMENTS,
    INVERSE,
    LINEAR,
    SECOND,
    START,
    Rows,
    assert_close,
    quote,
    quotes_of,
    random_quotes,
    random_trades,
    trade,
    trades_of,
    values_after,
)

WINDOW = 12


@st.composite
def random_tapes(draw: st.DrawFn) -> tuple[Rows, Rows, list[Tape], list[Tape]]:
    """Draw quotes and trades that arrive in any mixture; return them cut, and as one tape."""
    quotes, trades = draw(random_quotes()), draw(random_trades())
    is_quote = draw(st.permutations([True] * len(quotes) + [False] * len(trades)))
    taken_quotes = np.cumsum([0, *is_quote])
    taken_trades = np.arange(len(is_quote) + 1) - taken_quotes
    times = {True: quotes["ts_event"].tolist(), False: trades["ts_event"].tolist()}
    order = [times[is_one].pop(0) for is_one in is_quote]
    newest = np.maximum.accumulate(order)

    def tapes(cuts: list[int]) -> list[Tape]:
        bounds = sorted({0, len(order), *cuts})
        return [
            Tape.of(
                quotes=quotes[taken_quotes[begin] : taken_quotes[end]].copy(),
                trades=trades[taken_trades[begin] : taken_trades[end]].copy(),
                ts_event=int(newest[end - 1]),
            )
            for begin, end in pairwise(bounds)
        ]

    cuts = draw(st.lists(st.integers(1, len(order)), max_size=6))
    return quotes, trades, tapes(cuts), tapes([])


def plain_bars(instrument: Instrument, trades: Rows) -> dict[int, dict[str, Any]]:
    """Collect the trades of each second that has any."""
    bars: dict[int, dict[str, Any]] = {}
    last_id = newest = 0
    for ts, _, trade_id, tick, quantity, side, off_market in trades.tolist():
        if not 0 < quantity < 1e15 or trade_id <= last_id:
            continue
        last_id = trade_id
        number = max(newest, ts // SECOND)
        if off_market and number not in bars:
            continue
        newest = number
        price = instrument.price(tick)
        base = quantity * instrument.contract_size / (price if instrument.inverse else 1)
        bar = bars.setdefault(number, {"base": 0.0, "quote": 0.0, "signed": 0.0, "sides": 0})
        bar["base"] += base
        bar["quote"] += instrument.notional(price, quantity)
        if not off_market:
            bar["close"] = price
            bar["signed"] += side * base
            bar["sides"] += abs(side)
    return bars


def plain_values(instrument: Instrument, quotes: Rows, trades: Rows, now: int) -> dict[str, Any]:
    """Take each statistic as its formula reads, over lists."""
    bars = plain_bars(instrument, trades)
    mids: dict[int, float | None] = {}
    newest = 0
    for ts, _, _, bid_tick, ask_tick, bid, ask in quotes.tolist():
        is_valid = 0 < bid < 1e15 and 0 < ask < 1e15 and bid_tick < ask_tick
        newest = max(newest, ts // SECOND)
        mids[newest] = instrument.price(bid_tick + ask_tick) / 2 if is_valid else None

    def mid_at_end(number: int) -> float | None:
        return next((mids[at] for at in sorted(mids, reverse=True) if at <= number), None)

    end = now // SECOND
    numbers = list(bars)
    closes = [bars[number]["close"] for number in numbers]
    inside = [i for i in range(1, len(numbers)) if end - WINDOW <= numbers[i] < end]
    flows, moves = [], []
    for i in inside:
        before, after = mid_at_end(numbers[i] - 1), mid_at_end(numbers[i])
        if bars[numbers[i]]["sides"] and before is not None and after is not None:
            flows.append(bars[numbers[i]]["signed"])
            moves.append(after - before)
    bases = [bars[numbers[i]]["base"] for i in inside]
    quote_volumes = [bars[numbers[i]]["quote"] for i in inside]
    changes = [closes[i] - closes[i - 1] for i in inside]
    pairs = [(closes[i] - closes[i - 1], closes[i - 1] - closes[i - 2]) for i in inside if i > 1]
    values: dict[str, Any] = {
        "bars": len(inside),
        "bars_with_flow": len(flows),
        "bars_in_pairs": len(pairs),
    }
    values |= dict.fromkeys(("kyle_lambda", "kyle_r_squared"))
    if len(flows) >= 3 and np.std(flows) > 1e-12 * np.abs(flows).max():
        values["kyle_lambda"] = float(np.polyfit(flows, moves, 1)[0])
        if len(set(moves)) > 1:
            values["kyle_r_squared"] = float(np.corrcoef(flows, moves)[0, 1] ** 2)
    names = ("kyle_lambda_of_bars", "amihud_illiquidity", "amihud_illiquidity_per_million")
    values |= dict.fromkeys(names)
    if len(inside) >= 3:
        ratios = [abs(move) / base for move, base in zip(changes, bases, strict=True)]
        returns = [abs(math.log(closes[i] / closes[i - 1])) for i in inside]
        amihud = sum(r / v for r, v in zip(returns, quote_volumes, strict=True)) / len(inside)
        values |= dict(zip(names, (sum(ratios) / len(inside), amihud, amihud * 1e6), strict=True))
    values |= dict.fromkeys(("roll_spread", "roll_spread_absolute"))
    if len(pairs) >= 3:
        covariance = float(np.cov(np.array(pairs).T)[0, 1])
        values["roll_spread"] = 2 * math.sqrt(max(0.0, -covariance))
        values["roll_spread_absolute"] = 2 * math.sqrt(abs(covariance))
    return values


@given(instrument=INSTRUMENTS, drawn=random_tapes(), wait=st.integers(0, 15 * SECOND))
@settings(max_examples=150)
def test_stream_equals_a_plain_twin_however_it_is_cut(
    instrument: Instrument, drawn: tuple[Rows, Rows, list[Tape], list[Tape]], wait: int
) -> None:
    quotes, trades, cut, whole = drawn
    last = Tape.of(ts_event=whole[-1].ts_event + wait)
    measure = Illiquidity(instrument, window=WINDOW, min_bars=3)
    for tape in cut:
        values_after(measure, [tape])  # values in between change nothing
    found = values_after(measure, [last])
    other = Illiquidity(instrument, window=WINDOW, min_bars=3)
    assert found == values_after(other, [*whole, last])
    expected = plain_values(instrument, quotes, trades, last.ts_event)
    # Root of a covariance that cancels, squared correlation: exact to the root of the digits.
    for name in ("roll_spread", "roll_spread_absolute"):
        assert_close(found.pop(name), expected.pop(name), rel=1e-7)
    scale = 1.0 if found["kyle_lambda"] is None else abs(found["kyle_lambda"]) + 1.0
    for name in ("kyle_lambda", "kyle_r_squared"):
        assert_close(found.pop(name), expected.pop(name), scale=scale, rel=1e-8)
    assert_close(found, expected, scale=0.0, rel=1e-9)
    values = measure.values()
    assert measure.missing().keys() == {name for name, value in values.items() if value is None}


def test_values_of_published_bars(data_dir: Path) -> None:
    """mlfinlab: dollar bars, windows of 20; maxima, means and the value of row 25."""
    with (data_dir / "analysis/dollar_bar_sample.csv").open() as file:
        rows = list(csv.DictReader(file))
    closes, volumes, dollars = (
        np.array([float(row[name]) for row in rows]) for name in ("close", "cum_vol", "cum_dollar")
    )
    published = json.loads(
        (data_dir / "analysis/liquidity_measures_expected.json").read_text(), parse_float=str
    )
    # Changes begin in row 1, pairs of changes in row 2: a window of 20 needs rows before it.
    ends = range(20, len(rows))
    kyle = {i: kyle_lambda_of_bars(closes[i - 20 : i + 1], volumes[i - 20 : i + 1]) for i in ends}
    amihud = {i: amihud_illiquidity(closes[i - 20 : i + 1], dollars[i - 20 : i + 1]) for i in ends}
    roll = {i: roll_spread(closes[i - 21 : i + 1], "absolute") for i in range(21, len(rows))}
    found = {"kyle": kyle, "amihud": amihud, "roll": roll}
    for name, values in found.items():
        expected = published[name]
        numbers: list[float] = [value for value in values.values() if value is not None]
        assert len(numbers) == len(values)
        printed = {
            "max": max(numbers),
            "mean": sum(numbers) / len(numbers),
            "i25": values[25],
        }
        for statistic, value in printed.items():
            digits = Decimal(expected[statistic])  # cut off, not rounded
            last = Decimal(1).scaleb(int(digits.as_tuple().exponent))
            assert digits <= Decimal(value or math.nan) < digits + last, (name, statistic)


def test_roll_finds_the_spread_of_a_bounce() -> None:
    rng = np.random.default_rng(1)
    half_spread = 0.5
    for sigma in (0.0, 0.3):
        mids = 1000 + np.cumsum(rng.normal(0, sigma, 100_000))
        prices = mids + half_spread * rng.choice([-1, 1], 100_000)
        assert roll_spread(prices) == pytest.approx(2 * half_spread, rel=0.05)
        assert roll_spread(prices, "absolute") == roll_spread(prices)


def test_roll_of_a_trend_is_zero_or_the_root_of_its_size() -> None:
    changes = np.repeat(np.random.default_rng(2).normal(0, 1, 500), 4)
    prices = 1000 + np.cumsum(changes)
    assert roll_spread(prices) == 0.0
    assert roll_spread(prices, "absolute") == pytest.approx(2 * math.sqrt(0.75), rel=0.1)
    assert roll_spread([1.0, 2.0, 3.0]) is None
    with pytest.raises(ConfigError, match="Expected convention"):
        roll_spread(prices, "none")  # type: ignore[arg-type]


def test_kyle_recovers_a_planted_impact() -> None:
    rng = np.random.default_rng(3)
    volumes = rng.normal(0, 5.0, 20_000)
    exact = kyle_lambda(0.02 * volumes + 0.1, volumes)
    assert exact is not None
    assert exact.kyle_lambda == pytest.approx(0.02, rel=1e-12)
    assert exact.r_squared == pytest.approx(1.0, rel=1e-12)
    noisy = kyle_lambda(0.02 * volumes + rng.normal(0, 0.2, 20_000), volumes)
    assert noisy is not None
    assert noisy.kyle_lambda == pytest.approx(0.02, rel=0.05)
    assert noisy.r_squared == pytest.approx(0.2, abs=0.02)
    assert kyle_lambda([0.1, 0.2, 0.3], [0.1, 0.1, 0.1]) is None
    assert kyle_lambda([0.1], [1.0]) is None
    flat = kyle_lambda([0.1, 0.1, 0.1], [1.0, 2.0, 4.0])
    assert flat is not None
    assert flat.kyle_lambda == pytest.approx(0.0, abs=1e-15)
    assert flat.r_squared is None


def test_ratios_fall_with_volume_and_skip_bars_without_any() -> None:
    rng = np.random.default_rng(4)
    closes, volumes = rng.uniform(90, 110, 50), rng.uniform(1, 9, 50)
    for ratio in (amihud_illiquidity, kyle_lambda_of_bars):
        one = ratio(closes, volumes)
        assert one is not None
        assert ratio(closes, 8 * volumes) == pytest.approx(one / 8, rel=1e-12)
    assert amihud_illiquidity(4 * closes, volumes) == pytest.approx(
        amihud_illiquidity(closes, volumes), rel=1e-12
    )
    assert amihud_illiquidity([100.0, 100.0, 110.0], [1.0, 0.0, 2.0]) == pytest.approx(
        math.log(1.1) / 2
    )
    assert amihud_illiquidity([100.0, 110.0], [1.0, 0.0]) is None
    # A bar that did not move counts as 0 whatever sign it carries on.
    assert kyle_lambda_of_bars([9.0, 8.0, 8.0, 9.0], [1.0, 2.0, 5.0, 4.0]) == pytest.approx(0.25)


def stream_of_flow(instrument: Instrument, seconds: int, impact: float) -> Tape:
    """Return a market in which each second's flow moves the mid by `impact` ticks a unit."""
    rng = np.random.default_rng(5)
    quotes, trades = [quote(59_999, 1.0, 60_001, 1.0, 0)], []
    mid = 60_000
    for number in range(seconds):
        side, units = int(rng.choice([-1, 1])), int(rng.integers(1, 9))
        mid += round(side * units * impact)
        gap = SECOND if number else SECOND // 2
        trades.append(trade(number + 1, side, float(units), tick=mid + side, gap=gap))
        quotes.append(quote(mid - 1, 1.0, mid + 1, 1.0, gap))
    return Tape.of(quotes=quotes_of(quotes), trades=trades_of(trades))


def test_stream_recovers_a_planted_impact_per_base_unit() -> None:
    tape = stream_of_flow(LINEAR, 100, 2.0)
    values = values_after(Illiquidity(LINEAR), [tape])
    # Two ticks of 0.5 a unit; the first bar is cut by the begin, the last not over.
    assert values["kyle_lambda"] == pytest.approx(1.0, rel=1e-12)
    assert values["kyle_r_squared"] == pytest.approx(1.0, rel=1e-12)
    assert (values["bars"], values["bars_with_flow"], values["bars_in_pairs"]) == (98, 98, 97)
    inverse = values_after(Illiquidity(INVERSE), [stream_of_flow(INVERSE, 100, 2.0)])
    # 2 ticks of 0.1 a contract of 100 USD, about 1/60 of a unit at 6000.
    assert inverse["kyle_lambda"] == pytest.approx(0.2 * 60, rel=0.02)
    million = inverse["amihud_illiquidity_per_million"]
    assert million == 1e6 * inverse["amihud_illiquidity"]


def test_trades_without_aggressor_count_as_volume_alone() -> None:
    def take(**change: Any) -> dict[str, Any]:
        tape = stream_of_flow(LINEAR, 60, 2.0)
        for name, value in change.items():
            tape.trades[name][5] = value
        return values_after(Illiquidity(LINEAR), [tape])

    usual = take()
    unsigned = take(side=0)
    assert unsigned["bars"] == usual["bars"] == unsigned["bars_with_flow"] + 1
    assert unsigned["amihud_illiquidity"] == usual["amihud_illiquidity"]
    off_market = take(off_market=1)
    assert off_market["bars"] == usual["bars"] - 1


def test_an_interruption_leaves_out_what_it_cut() -> None:
    measure = Illiquidity(LINEAR, window=20, min_bars=3)
    first = [trade(i, 1, 1.0, tick=1000 + i, gap=SECOND) for i in range(1, 6)]
    values_after(measure, [Tape.of(trades=trades_of(first))])
    measure.interrupt()
    second = [trade(1, 1, 1.0, tick=2000, gap=8 * SECOND)]
    second += [trade(i, 1, 1.0, tick=2000 + 2 * i, gap=SECOND) for i in range(2, 6)]
    values = values_after(measure, [Tape.of(trades=trades_of(second))])
    # Whole bars with a whole predecessor: 2 to 4 before, 9 to 11 after (12 is not over).
    assert values["bars"] == 6
    assert values["bars_in_pairs"] == 4
    assert values["kyle_lambda_of_bars"] == pytest.approx((3 * 0.5 + 2.0 + 2 * 1.0) / 6)
    assert measure.missing()["kyle_lambda"] == "0 of 3 bars of 1 s"


def test_windows_empty_while_nothing_trades() -> None:
    measure = Illiquidity(LINEAR, window=50, min_bars=5)
    values = values_after(measure, [stream_of_flow(LINEAR, 40, 2.0)])
    assert None not in values.values()
    for wait in (200, 10**9):
        values = values_after(measure, [Tape.of(ts_event=START + wait * SECOND)])
        assert values["bars"] == 0
        assert values["roll_spread"] is None


@pytest.mark.parametrize("market", ["perp", "spot"])
def test_a_recording_in_pieces(data_dir: Path, market: str) -> None:
    stream = capture_stream(data_dir, market)
    measure = Illiquidity(stream.instrument)
    values = values_after(measure, list(stream.tapes(random_cuts(2, 3000, len(stream.events)))))
    assert values == values_after(Illiquidity(stream.instrument), list(stream.tapes([])))
    assert None not in values.values()
    assert values["kyle_lambda"] > 0

    trades = stream.whole.trades
    seconds = np.maximum.accumulate(trades["ts_event"]) // SECOND
    ends = np.flatnonzero(np.diff(seconds, append=seconds[-1] + 1))
    is_inside = (seconds[ends] < stream.whole.ts_event // SECOND) & (
        seconds[ends] >= stream.whole.ts_event // SECOND - 300
    )
    prices = np.array([stream.instrument.price(int(tick)) for tick in trades["price_tick"]])
    sums = np.cumsum(prices * trades["quantity"])[ends]
    at = np.flatnonzero(is_inside)
    rows = np.concatenate(([at[0] - 1], at))
    closes, quote_volumes = prices[ends][rows], np.diff(sums, prepend=0.0)[rows]
    assert values["amihud_illiquidity"] == pytest.approx(
        amihud_illiquidity(closes, quote_volumes), rel=1e-8
    )
    rows = np.concatenate(([at[0] - 2, at[0] - 1], at))
    assert values["roll_spread_absolute"] == pytest.approx(
        roll_spread(prices[ends][rows], "absolute"), rel=1e-9
    )


@pytest.mark.parametrize(
    "parameters",
    [{"bar_s": 0.0}, {"bar_s": 1e6}, {"window": 2}, {"min_bars": 2}, {"min_bars": 301}],
)
def test_bad_parameters_are_refused(parameters: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"Expected .*, was"):
        Illiquidity(LINEAR, **parameters)

"""Range-based volatility against published values, simulated paths and plain sums."""

import csv
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alphaplus.analysis.range_volatility import (
    RangeVolatility,
    garman_klass,
    parkinson,
    rogers_satchell,
    yang_zhang,
)
from alphaplus.analysis.tape import Tape
from alphaplus.errors import ConfigError
from tests.analysis.capture_tapes import capture_stream, random_cuts
from tests.analysis.flow_cases import (
    LINEAR,
    SECOND,
    START,
    Rows,
    assert_close,
    quote,
    quotes_of,
    random_quotes,
    tapes_of,
    values_after,
)
from tests.analysis.test_candles import plain_mid_candles

Floats = npt.NDArray[np.float64]
Candle = tuple[float, float, float, float]
CUTS = st.lists(st.integers(1, 30), max_size=5)


@st.composite
def random_candles(draw: st.DrawFn) -> list[Candle]:
    prices = st.floats(90.0, 110.0)
    candles = []
    for _ in range(draw(st.integers(2, 12))):
        opened, closed, one, other = (draw(prices) for _ in range(4))
        highest, lowest = max(opened, closed, one, other), min(opened, closed, one, other)
        candles.append((opened, highest, lowest, closed))
    return candles


def plain(candles: list[Candle], previous: list[float], per_year: float) -> dict[str, float]:
    """Return the four volatilities as their formulas read."""
    n, ln = len(candles), math.log
    ranges = [ln(high / low) for _, high, low, _ in candles]
    inside = [ln(close / opened) for opened, _, _, close in candles]
    pk = sum(x**2 for x in ranges) / (4 * n * ln(2))
    gk = sum(0.5 * x**2 - (2 * ln(2) - 1) * y**2 for x, y in zip(ranges, inside, strict=True)) / n
    rs = (
        sum(
            ln(high / close) * ln(high / opened) + ln(low / close) * ln(low / opened)
            for opened, high, low, close in candles
        )
        / n
    )
    found = {
        "parkinson_annual": math.sqrt(per_year * pk),
        "garman_klass_annual": math.sqrt(per_year * gk),
        "rogers_satchell_annual": math.sqrt(per_year * rs),
    }
    overnight = [ln(row[0] / before) for row, before in zip(candles, previous, strict=True)]
    vo, vc = (sum((x - sum(xs) / n) ** 2 for x in xs) / (n - 1) for xs in (overnight, inside))
    k = 0.34 / (1.34 + (n + 1) / (n - 1))
    found["yang_zhang_annual"] = math.sqrt(per_year * (vo + k * vc + (1 - k) * rs))
    return found


def batch(bars: Sequence[Floats], previous: Floats, per_year: float) -> dict[str, float | None]:
    """Return the four volatilities of opens, highs, lows and closes."""
    year = {"periods_per_year": per_year}
    return {
        "parkinson_annual": parkinson(bars[1], bars[2], **year),
        "garman_klass_annual": garman_klass(*bars, **year),
        "rogers_satchell_annual": rogers_satchell(*bars, **year),
        "yang_zhang_annual": yang_zhang(*bars, previous, **year),
    }


@given(candles=random_candles(), previous=st.lists(st.floats(90, 110), min_size=12, max_size=12))
@settings(max_examples=100)
def test_formulas_equal_plain_sums(candles: list[Candle], previous: list[float]) -> None:
    previous = previous[: len(candles)]
    found = batch(np.array(candles).T, np.array(previous), 260.0)
    assert_close(found, plain(candles, previous, 260.0), rel=1e-9)


def test_no_candles_have_no_volatility() -> None:
    none = np.empty(0)
    assert set(batch([none] * 4, none, 260.0).values()) == {None}
    one = np.ones(1)
    flat = batch([one] * 4, one, 260.0)
    assert flat.pop("yang_zhang_annual") is None
    assert set(flat.values()) == {0.0}


@pytest.mark.parametrize("column", ["parkinson", "garman_klass"])
def test_rolling_values_of_published_bars(data_dir: Path, column: str) -> None:
    """TTR (R): windows of 10 daily bars, 260 of them a year."""
    with (data_dir / "analysis/ttr_ohlc250.csv").open() as file:
        rows = list(csv.DictReader(file))
    bars = [np.array([float(row[name]) for row in rows]) for name in ("Open", "High", "Low")]
    bars.append(np.array([float(row["Close"]) for row in rows]))
    with (data_dir / "analysis/ttr_vol_expected_n10_N260.csv").open() as file:
        expected = [row[column] for row in csv.DictReader(file)]
    assert len(expected) == len(rows) == 250
    assert [i for i, text in enumerate(expected) if not text] == list(range(9))
    for i in range(9, 250):
        window = [values[i - 9 : i + 1] for values in bars]
        found = batch(window, window[0], 260.0)[f"{column}_annual"]
        assert found == pytest.approx(float(expected[i]), rel=1e-12)


def _brownian_candles(drift: float, steps: int, candles: int) -> list[Floats]:
    """Simulate candles of one unit of variance in fine steps, each from where the last ended."""
    rng = np.random.default_rng(11)
    sigma = 0.001
    parts = []
    for _ in range(candles // 100):
        moves = rng.normal(drift * sigma / steps, sigma / math.sqrt(steps), (100, steps))
        paths = np.concatenate([np.zeros((100, 1)), np.cumsum(moves, axis=1)], axis=1)
        parts.append(np.stack([paths.max(axis=1), paths.min(axis=1), paths[:, -1]]))
    highs, lows, closes = np.concatenate(parts, axis=1)
    opens = np.concatenate(([0.0], np.cumsum(closes)[:-1]))
    shape = [opens, opens + highs, opens + lows, opens + closes]
    return [np.exp(values) for values in shape]


def test_all_are_unbiased_on_a_brownian_path() -> None:
    bars = _brownian_candles(0.0, 10_000, 3000)
    for name, value in batch(bars, bars[0], 1.0).items():
        assert value == pytest.approx(0.001, rel=0.02), name


def test_a_drift_misleads_only_those_that_assume_none() -> None:
    bars = _brownian_candles(2.0, 10_000, 2000)
    values = batch(bars, bars[0], 1.0)
    assert values["rogers_satchell_annual"] == pytest.approx(0.001, rel=0.03)
    assert values["yang_zhang_annual"] == pytest.approx(0.001, rel=0.03)
    assert values["parkinson_annual"] > 0.0013  # type: ignore[operator]


@given(quotes=random_quotes(), cuts=CUTS, wait=st.integers(0, 20 * SECOND))
@settings(max_examples=100)
def test_stream_equals_plain_sums_however_it_is_cut(
    quotes: Rows, cuts: list[int], wait: int
) -> None:
    measure = RangeVolatility(LINEAR, candle_s=2.0, window=6, min_candles=2)
    now = int(quotes["ts_event"].max()) + wait
    for tape in tapes_of("quotes", quotes, cuts):
        values_after(measure, [tape])  # values in between change nothing
    found = values_after(measure, [Tape.of(ts_event=now)])

    period = now // (2 * SECOND)
    whole = {
        int(candle[0]) // (2 * SECOND): tuple(candle[1:5])
        for candle in plain_mid_candles(LINEAR, quotes, now)
        if candle[-1] and candle[0] // (2 * SECOND) < period
    }
    inside = [at for at in whole if at >= period - 6]
    assert found["candles"] == len(inside)
    expected: dict[str, Any] = dict.fromkeys(measure.missing())
    if len(inside) >= 2:
        candles = [whole[at] for at in inside]
        every = plain(candles, [before[0] for before in candles], 15_768_000.0)
        expected |= {name: every[name] for name in every if name != "yang_zhang_annual"}
        following = [at for at in inside if at - 1 in whole]
        if len(following) >= 2:
            closes = [whole[at - 1][3] for at in following]
            some = plain([whole[at] for at in following], closes, 15_768_000.0)
            expected["yang_zhang_annual"] = some["yang_zhang_annual"]
    # Ranges of a few ticks in prices near 500 keep some 12 digits, and their squares fewer.
    assert_close({name: found[name] for name in expected}, expected, rel=1e-9)
    assert set(expected) == {name for name in found if name.endswith("_annual")}
    assert measure.missing().keys() == {name for name, value in found.items() if value is None}


def test_it_counts_candles_until_there_are_enough() -> None:
    measure = RangeVolatility(LINEAR, candle_s=1.0, window=5, min_candles=3)
    tapes = tapes_of("quotes", quotes_of([quote(999, 1.0, 1001, 1.0, 0)]))
    assert values_after(measure, tapes)["candles"] == 0
    values = values_after(measure, [Tape.of(ts_event=START + 4 * SECOND)])
    assert values["parkinson_annual"] == 0.0
    assert measure.missing() == {"yang_zhang_annual": "2 of 3 candles of 1 s"}
    measure.interrupt()
    values = values_after(measure, [Tape.of(ts_event=START + 7 * SECOND)])
    assert values["candles"] == 2
    assert measure.missing()["garman_klass_annual"] == "2 of 3 candles of 1 s"


@pytest.mark.parametrize("source", ["mid", "trade"])
def test_a_recording_in_pieces(data_dir: Path, source: Any) -> None:
    stream = capture_stream(data_dir, "perp")
    measure = RangeVolatility(stream.instrument, source=source)
    values = values_after(measure, list(stream.tapes(random_cuts(4, 2000, len(stream.events)))))
    whole = RangeVolatility(stream.instrument, source=source)
    assert values == values_after(whole, list(stream.tapes([])))
    assert values["candles"] == 30
    # Realized volatility of these five minutes is 0.78 a year.
    assert all(0.4 < value < 1.2 for name, value in values.items() if name.endswith("_annual"))


@pytest.mark.parametrize(
    "parameters",
    [{"candle_s": 0.0}, {"window": 1}, {"min_candles": 1}, {"min_candles": 31}, {"source": "x"}],
)
def test_bad_parameters_are_refused(parameters: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"Expected .*, was"):
        RangeVolatility(LINEAR, **parameters)

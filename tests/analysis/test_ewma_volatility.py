"""The decayed variance against its recursion, its invariance in time and a known process."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alphaplus.analysis.ewma_volatility import EwmaVolatility, ewma_variance
from alphaplus.analysis.mid_grid import grid_mids, log_returns
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
from tests.analysis.test_mid_grid import plain_grid

CUTS = st.lists(st.integers(1, 30), max_size=5)
STEPS = st.tuples(st.sampled_from([0.0, 1e-4, -0.02]), st.floats(0.001, 50.0))


def plain(returns: list[float], seconds: list[float], half_life: float, s2: float) -> float:
    """Follow the recursion as it stands in the definition."""
    for r, dt in zip(returns, seconds, strict=True):
        decay = 2 ** (-dt / half_life)
        s2 = s2 * decay + (1 - decay) * r**2 / dt
    return s2


def weighted(returns: list[float], half_life: float) -> tuple[float, float]:
    """Return weighted sum and weight of returns of one second, the newest last."""
    decay = 2 ** (-1 / half_life)
    ages = range(len(returns) - 1, -1, -1)
    known = [(r, age) for r, age in zip(returns, ages, strict=True) if not math.isnan(r)]
    weight = math.fsum((1 - decay) * decay**age for _, age in known)
    return math.fsum((1 - decay) * decay**age * r * r for r, age in known), weight


@given(steps=st.lists(STEPS, min_size=1, max_size=20), start=st.sampled_from([0.0, 1e-8, 1e-3]))
@settings(max_examples=100)
def test_recursion_of_the_definition(steps: list[tuple[float, float]], start: float) -> None:
    returns, seconds = [r for r, _ in steps], [dt for _, dt in steps]
    found = ewma_variance(returns, seconds, 60.0, start=start)
    expected = plain(returns, seconds, 60.0, start)
    # The plain form loses digits in 1 - 2^-x for short steps.
    assert found == pytest.approx(expected, rel=1e-9, abs=1e-300)


@given(
    steps=st.lists(STEPS, min_size=1, max_size=10),
    silence=st.floats(0.0, 500.0),
    share=st.floats(0.0, 1.0),
)
@settings(max_examples=100)
def test_splitting_a_silent_interval_changes_nothing(
    steps: list[tuple[float, float]], silence: float, share: float
) -> None:
    returns, seconds = [r for r, _ in steps], [dt for _, dt in steps]
    tail = ([0.001], [2.0])
    one = ewma_variance([*returns, 0.0, *tail[0]], [*seconds, silence, *tail[1]], 60.0)
    parts = [silence * share, 0.0, silence * (1 - share)]
    split = ewma_variance([*returns, 0.0, 0.0, 0.0, *tail[0]], [*seconds, *parts, *tail[1]], 60.0)
    assert split == pytest.approx(one, rel=1e-12)


def test_no_time_between_is_the_limit_of_little_time() -> None:
    at_once = ewma_variance([0.01], [0.0], 60.0, start=1e-6)
    assert at_once == pytest.approx(1e-6 + math.log(2) / 60 * 1e-4, rel=1e-12)
    assert ewma_variance([0.01], [1e-9], 60.0, start=1e-6) == pytest.approx(at_once, rel=1e-9)


def test_without_a_start_the_first_return_is_all_that_is_known() -> None:
    assert ewma_variance([0.02], 4.0, 60.0) == pytest.approx(0.0004 / 4, rel=1e-12)
    assert ewma_variance([], 1.0, 60.0) is None
    assert ewma_variance([math.nan], 1.0, 60.0) is None
    assert ewma_variance([0.02, math.nan], 4.0, 60.0) == pytest.approx(0.0001, rel=1e-12)


def test_known_variance_is_recovered() -> None:
    returns = np.random.default_rng(5).normal(0, 1e-4, 50_000)
    assert ewma_variance(returns, 1.0, 3000.0) == pytest.approx(1e-8, rel=0.05)
    assert ewma_variance(returns * 0.5**0.5, 0.5, 3000.0) == pytest.approx(1e-8, rel=0.05)


@given(quotes=random_quotes(), cuts=CUTS, wait=st.integers(0, 12 * SECOND))
@settings(max_examples=150)
def test_stream_equals_batch_however_it_is_cut(quotes: Rows, cuts: list[int], wait: int) -> None:
    now = int(quotes["ts_event"].max()) + wait
    measure = EwmaVolatility(LINEAR, half_lives_s=(3.0, 20.0))
    found = values_after(measure, [*tapes_of("quotes", quotes, cuts), Tape.of(ts_event=now)])
    whole = EwmaVolatility(LINEAR, half_lives_s=(3.0, 20.0))
    expected = values_after(whole, [*tapes_of("quotes", quotes), Tape.of(ts_event=now)])
    assert_close(found, expected, scale=0.0)
    assert measure.missing().keys() == {name for name, value in found.items() if value is None}

    returns = plain_grid(quotes, now)
    for half_life in (3, 20):
        total, weight = weighted(returns, half_life)
        variance = found[f"variance_per_s_{half_life}s"]
        if weight < 0.5 - 1e-9:
            assert variance is None
        else:
            assert variance == pytest.approx(total / weight, rel=1e-11)
            assert ewma_variance(returns, 1.0, half_life) == pytest.approx(variance, rel=1e-12)


def test_it_waits_for_one_half_life_and_decays_in_silence() -> None:
    measure = EwmaVolatility(LINEAR)
    quotes = [quote(999, 1.0, 1001, 1.0, 0), quote(1000, 1.0, 1002, 1.0, SECOND // 2)]
    tapes = tapes_of("quotes", quotes_of(quotes))
    values = values_after(measure, [*tapes, Tape.of(ts_event=START + 59 * SECOND + 1)])
    assert set(values.values()) == {None}
    assert measure.missing()["variance_per_s_60s"] == "59 of 60 s of returns"
    first = values_after(measure, [Tape.of(ts_event=START + 60 * SECOND + 1)])
    later = values_after(measure, [Tape.of(ts_event=START + 120 * SECOND + 1)])
    variance = first["variance_per_s_60s"]
    # Half of the sum is left, and the weight has gone from 1/2 to 3/4.
    assert later["variance_per_s_60s"] == pytest.approx(variance / 2 / 1.5, rel=1e-12)
    assert first["volatility_annual_60s"] == pytest.approx(math.sqrt(variance * 31_536_000))
    assert first["variance_per_s_600s"] is None


def test_an_interruption_ages_what_is_known() -> None:
    measure = EwmaVolatility(LINEAR, half_lives_s=(10.0,))
    tapes = tapes_of("quotes", quotes_of([quote(999, 1.0, 1001, 1.0, 0)]))
    values = values_after(measure, [*tapes, Tape.of(ts_event=START + 15 * SECOND + 1)])
    assert values["variance_per_s_10s"] == 0.0
    measure.interrupt()
    values = values_after(measure, [Tape.of(ts_event=START + 60 * SECOND)])
    assert values["variance_per_s_10s"] is None
    again = tapes_of("quotes", quotes_of([quote(1999, 1.0, 2001, 1.0, 61 * SECOND)]))
    values = values_after(measure, [*again, Tape.of(ts_event=START + 80 * SECOND)])
    assert values["variance_per_s_10s"] == 0.0


@pytest.mark.parametrize("market", ["perp", "spot"])
def test_a_recording_in_pieces(data_dir: Path, market: str) -> None:
    stream = capture_stream(data_dir, market)
    measure = EwmaVolatility(stream.instrument, half_lives_s=(60.0, 300.0))
    values = values_after(measure, list(stream.tapes(random_cuts(3, 2000, len(stream.events)))))
    whole = EwmaVolatility(stream.instrument, half_lives_s=(60.0, 300.0))
    assert_close(values, values_after(whole, list(stream.tapes([]))), scale=0.0)

    quotes = stream.whole.quotes
    times = np.maximum.accumulate(quotes["ts_event"])
    mids = quotes["bid_tick"] + quotes["ask_tick"]
    start = -(-int(times[0]) // SECOND) * SECOND
    grid = grid_mids(times, mids, SECOND, start=start, end=stream.whole.ts_event - 1)
    for half_life in (60, 300):
        expected = ewma_variance(log_returns(grid), 1.0, half_life)
        assert values[f"variance_per_s_{half_life}s"] == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    "parameters",
    [{"grid_s": 0.0}, {"half_lives_s": ()}, {"half_lives_s": (0.0,)}, {"half_lives_s": (-1.0,)}],
)
def test_bad_parameters_are_refused(parameters: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"Expected .*, was"):
        EwmaVolatility(LINEAR, **parameters)
    with pytest.raises(ConfigError, match="Expected half_life_s"):
        ewma_variance([0.1], 1.0, 0.0)

"""Realized volatility against published values, its properties and plain twins."""

import csv
import gzip
import json
import math
import statistics
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alphaplus.analysis.mid_grid import grid_mids, log_returns
from alphaplus.analysis.tape import Tape
from alphaplus.analysis.volatility import (
    RealizedVolatility,
    annual_volatility,
    bipower_variation,
    jump_share,
    med_rv,
    min_rv,
    realized_variance,
)
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
RETURNS = st.lists(st.sampled_from([0.0, 1e-6, -2e-6, 0.001, -0.03, math.nan]), max_size=30)


def plain(returns: list[float]) -> dict[str, float | None]:
    """Return every sum as its formula reads, over the neighbours that are all known."""
    known = [abs(r) for r in returns if not math.isnan(r)]

    def groups(size: int) -> list[list[float]]:
        cut = (returns[i : i + size] for i in range(len(returns) - size + 1))
        return [[abs(r) for r in group] for group in cut if not any(map(math.isnan, group))]

    pairs, triples = groups(2), groups(3)
    n = len(known)
    realized = sum(r * r for r in known) if known else None
    bipower = math.pi / 2 * n / len(pairs) * sum(a * b for a, b in pairs) if pairs else None
    minimum = sum(min(pair) ** 2 for pair in pairs)
    median = sum(statistics.median(triple) ** 2 for triple in triples)
    return {
        "realized_variance": float(realized) if realized is not None else None,
        "bipower_variation": bipower,
        "min_rv": math.pi / (math.pi - 2) * n / len(pairs) * minimum if pairs else None,
        "med_rv": math.pi / (6 - 4 * 3**0.5 + math.pi) * n / len(triples) * median
        if triples
        else None,
        "jump_share": max(0.0, realized - bipower) / realized
        if realized and bipower is not None
        else None,
    }


def batch(returns: Any) -> dict[str, float | None]:
    return {
        "realized_variance": realized_variance(returns),
        "bipower_variation": bipower_variation(returns),
        "min_rv": min_rv(returns),
        "med_rv": med_rv(returns),
        "jump_share": jump_share(returns),
    }


@given(returns=RETURNS)
@settings(max_examples=200)
def test_sums_equal_a_plain_twin(returns: list[float]) -> None:
    found, expected = batch(returns), plain(returns)
    share = expected.pop("jump_share")
    assert_close(found.pop("jump_share"), share)
    assert_close(found, expected, scale=0.0)


@given(quotes=random_quotes(), cuts=CUTS, wait=st.integers(0, 12 * SECOND))
@settings(max_examples=150)
def test_stream_equals_batch_however_it_is_cut(quotes: Rows, cuts: list[int], wait: int) -> None:
    now = int(quotes["ts_event"].max()) + wait
    measure = RealizedVolatility(LINEAR, window_s=8.0, min_returns=3)
    found = values_after(measure, [*tapes_of("quotes", quotes, cuts), Tape.of(ts_event=now)])
    whole = RealizedVolatility(LINEAR, window_s=8.0, min_returns=3)
    assert found == values_after(whole, [*tapes_of("quotes", quotes), Tape.of(ts_event=now)])

    returns = plain_grid(quotes, now)[-8:]
    count = sum(not math.isnan(r) for r in returns)
    assert found["returns"] == count
    expected = plain(returns) if count >= 3 else dict.fromkeys(plain([]))
    assert_close({name: found[name] for name in expected}, expected, scale=0.0)
    assert measure.missing().keys() == {name for name, value in found.items() if value is None}
    if expected["realized_variance"] is not None:
        annual = math.sqrt(expected["realized_variance"] / count * 365 * 86_400)
        assert found["realized_volatility_annual"] == pytest.approx(annual, rel=1e-12)


def test_window_forgets_and_a_constant_price_has_no_volatility() -> None:
    measure = RealizedVolatility(LINEAR, window_s=10.0, min_returns=5)
    quotes = [quote(999, 1.0, 1001, 1.0, 0), quote(1999, 1.0, 2001, 1.0, SECOND // 2)]
    values = values_after(measure, tapes_of("quotes", quotes_of(quotes)))
    assert values["realized_variance"] is None
    assert measure.missing()["min_rv"] == "0 of 5 returns of 1 s"
    values = values_after(measure, [Tape.of(ts_event=START + 6 * SECOND)])
    assert values["realized_variance"] == pytest.approx(math.log(2) ** 2)
    assert values["jump_share"] == 1.0
    values = values_after(measure, [Tape.of(ts_event=START + 12 * SECOND)])
    assert values["realized_variance"] == values["bipower_volatility_annual"] == 0.0
    assert measure.missing() == {"jump_share": "a mid that moves"}


def test_an_interruption_leaves_no_return_across_it() -> None:
    measure = RealizedVolatility(LINEAR, window_s=20.0, min_returns=3)
    first = tapes_of("quotes", quotes_of([quote(999, 1.0, 1001, 1.0, 0)]))
    values_after(measure, [*first, Tape.of(ts_event=START + 4 * SECOND + 1)])
    measure.interrupt()
    second = tapes_of("quotes", quotes_of([quote(9999, 1.0, 10001, 1.0, 6 * SECOND)]))
    values = values_after(measure, [*second, Tape.of(ts_event=START + 9 * SECOND + 1)])
    assert (values["returns"], values["realized_variance"]) == (4 + 3, 0.0)


def test_variance_adds_up_over_days() -> None:
    returns = np.random.default_rng(1).normal(0, 1e-3, 300)
    days = [realized_variance(day) for day in returns.reshape(3, 100)]
    assert realized_variance(returns) == pytest.approx(sum(filter(None, days)), rel=1e-12)


def test_one_jump_raises_the_variance_alone() -> None:
    """A jump J adds J^2 to RV, of order J to BPV, and next to nothing to minRV and medRV."""
    rng = np.random.default_rng(2)
    sigma, size = 1e-4, 20_000
    calm = rng.normal(0, sigma, size)
    changes = {}
    for jump in (0.01, 0.02):
        with_jump = calm.copy()
        with_jump[size // 2] += jump
        before, after = batch(calm), batch(with_jump)
        changes[jump] = {name: after[name] - before[name] for name in after}  # type: ignore[operator]
    for jump, change in changes.items():
        assert change["realized_variance"] == pytest.approx(jump**2, rel=0.03)
        assert 0 <= change["bipower_variation"] < math.pi / 2 * jump * 8 * sigma
        assert abs(change["min_rv"]) < 30 * sigma**2
        assert abs(change["med_rv"]) < 30 * sigma**2
    growth = changes[0.02]["bipower_variation"] / changes[0.01]["bipower_variation"]
    assert growth == pytest.approx(2.0, rel=0.05)
    share = 0.02**2 / (0.02**2 + size * sigma**2)
    assert jump_share([*calm, 0.02]) == pytest.approx(share, abs=0.03)


def test_all_estimators_agree_on_a_brownian_path() -> None:
    returns = np.random.default_rng(3).normal(0, 2e-4, 200_000)
    for name, value in batch(returns).items():
        if name == "jump_share":
            assert 0 <= value < 0.01  # type: ignore[operator]
        else:
            assert value == pytest.approx(200_000 * 4e-8, rel=0.02)


def _one_minute(data_dir: Path) -> dict[str, dict[str, list[float]]]:
    """Return the prices of both assets by UTC day."""
    days: dict[str, dict[str, list[float]]] = {}
    with gzip.open(data_dir / "analysis/one_minute_two_assets.csv.gz", "rt") as file:
        for row in csv.DictReader(file):
            day = days.setdefault(str(int(row["DT"]) // 86_400), {"STOCK": [], "MARKET": []})
            for asset, prices in day.items():
                prices.append(float(row[asset]))
    return days


@pytest.mark.parametrize("asset", ["STOCK", "MARKET"])
def test_min_rv_of_published_prices(data_dir: Path, asset: str) -> None:
    """highfrequency (R): minRV on 5-minute returns that begin with a 0, summed over days."""
    expected = json.loads((data_dir / "analysis/realized_expected.json").read_text())
    total = 0.0
    for day in _one_minute(data_dir).values():
        returns = np.concatenate(([0.0], log_returns(np.array(day[asset][::5]))))
        assert len(returns) == 79
        total += min_rv(returns) or math.nan
    assert total == pytest.approx(expected["minRV_5min_sum_over_days"][asset], rel=1e-6)


def test_realized_covariance_of_published_prices(data_dir: Path) -> None:
    """highfrequency (R): the four entries of the first day's covariance, added up.

    Their sum is the realized variance of both returns added.
    """
    expected = json.loads((data_dir / "analysis/realized_expected.json").read_text())
    first = next(iter(_one_minute(data_dir).values()))
    both = sum(log_returns(np.array(prices)) for prices in first.values())
    total = expected["rCov_1min_first_day_sum_of_2x2"]
    assert realized_variance(both) == pytest.approx(total, abs=5e-9)


@pytest.mark.parametrize(
    ("market", "variance", "count", "bipower"),
    [("perp", 6.71828e-6, 344, 3.46242e-6), ("spot", 5.86662e-6, 345, 2.46872e-6)],
)
def test_a_recording_by_receive_time(
    data_dir: Path, market: str, variance: float, count: int, bipower: float
) -> None:
    quotes = capture_stream(data_dir, market).whole.quotes
    mids = (quotes["bid_tick"] + quotes["ask_tick"]) / 2
    returns = log_returns(grid_mids(quotes["ts_recv"], mids, SECOND))
    assert len(returns) == count
    assert realized_variance(returns) == pytest.approx(variance, rel=1e-6)
    assert bipower_variation(returns) == pytest.approx(bipower, rel=2e-6)


@pytest.mark.parametrize("market", ["perp", "spot"])
def test_a_recording_in_pieces(data_dir: Path, market: str) -> None:
    stream = capture_stream(data_dir, market)
    measure = RealizedVolatility(stream.instrument)
    cuts = random_cuts(7, 3000, len(stream.events))
    values = values_after(measure, list(stream.tapes(cuts)))
    assert values == values_after(RealizedVolatility(stream.instrument), list(stream.tapes([])))
    assert values["returns"] == 300
    assert None not in values.values()

    quotes = stream.whole.quotes
    now = stream.whole.ts_event
    end = (now - 1) // SECOND * SECOND
    times = np.maximum.accumulate(quotes["ts_event"])
    mids = quotes["bid_tick"] + quotes["ask_tick"]
    grid = grid_mids(times, mids, SECOND, start=end - 300 * SECOND, end=end)
    expected = batch(log_returns(grid))
    assert_close({name: values[name] for name in expected}, expected, scale=0.0)
    assert values["realized_volatility_annual"] == pytest.approx(
        annual_volatility(expected["realized_variance"] or 0.0, 300.0), rel=1e-12
    )


@pytest.mark.parametrize(
    "parameters",
    [
        {"grid_s": 0.0},
        {"window_s": float("nan")},
        {"window_s": 2.0},
        {"window_s": 1e9},
        {"min_returns": 2},
        {"min_returns": 301},
    ],
)
def test_bad_parameters_are_refused(parameters: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"Expected .*, was"):
        RealizedVolatility(LINEAR, **parameters)

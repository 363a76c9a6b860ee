"""Days of the past: whole ones only, the extremes, and the same in every order of markets."""

from datetime import UTC, datetime

import numpy as np
import pytest

from alphaplus.portfolio.replayed_days import DAYS, replayed_days
from alphaplus.portfolio.slow_inputs import slow_inputs
from alphaplus.risk.figures import DAY_NS, HOUR_NS
from alphaplus.risk.returns import ReturnSeries
from tests.portfolio.desk_cases import BTC, ETH, account, instrument, modelled, position

FIRST = 20_000 * DAY_NS


def series(days: int, seed: int, offset_h: int = 0) -> ReturnSeries:
    hours = 24 * days
    values = np.random.default_rng(seed).normal(0, 0.01, hours)
    times = FIRST + HOUR_NS * (np.arange(hours, dtype=np.int64) + offset_h)
    return ReturnSeries(times=times, values=values, step_ns=HOUR_NS)


def day_name(number: int) -> str:
    return f"{datetime.fromtimestamp((FIRST // DAY_NS + number) * 86_400, UTC):%Y-%m-%d}"


def test_the_days_are_those_of_the_extreme_mean_returns() -> None:
    markets = {"a": series(30, 1), "b": series(30, 2)}
    found = replayed_days(markets)
    assert found is not None
    daily = np.stack([s.values.reshape(30, 24).sum(axis=1) for s in markets.values()], axis=1)
    ranked = np.argsort(np.expm1(daily).mean(axis=1))
    expected = sorted([*ranked[:DAYS], *ranked[-DAYS:]])
    assert found.names == tuple(day_name(int(n)) for n in expected)
    np.testing.assert_allclose(found.returns, np.expm1(daily[expected]), rtol=1e-12)
    np.testing.assert_array_equal(found.of(("b", "a")), found.returns[:, ::-1])


def test_a_day_that_is_not_whole_is_none() -> None:
    held = series(3, 1)
    values = held.values.copy()
    values[30] = np.nan  # in the second day
    found = replayed_days({"a": ReturnSeries(times=held.times, values=values, step_ns=HOUR_NS)})
    assert found is not None
    assert found.names == (day_name(0), day_name(2))
    assert replayed_days({"a": series(1, 1, offset_h=5)}) is None
    assert replayed_days({}) is None


def test_portfolios_are_stressed_with_them() -> None:
    made = modelled()
    made.set_accounts("main", [account(position(), position(ETH, quantity=-3.0))])
    report = made.report("main", 1_723_111_200_000_000_000)
    assert report["stress_left_out"] == []
    models = made.models()
    assert models.replays is not None
    inputs = slow_inputs(made.accounts("main"), [instrument(BTC), instrument(ETH)], models).inputs
    replays = {s.name: s.returns for s in inputs.stress if s.name.startswith("replay_")}
    assert set(replays) == {f"replay_{name}" for name in models.replays.names}
    keys = tuple(item.key for item in (instrument(BTC), instrument(ETH)))
    assert np.stack(list(replays.values())) == pytest.approx(models.replays.of(keys))

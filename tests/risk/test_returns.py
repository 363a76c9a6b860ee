import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alphaplus.errors import RiskError
from alphaplus.risk.figures import DAY_NS, HOUR_NS, RiskFigure, figure_name, horizon_name
from alphaplus.risk.returns import (
    ReturnSeries,
    funding_accrual,
    log_returns,
    non_overlapping,
    revaluation_pnl,
    simple_returns,
)

prices = st.floats(0.01, 1e5)


def test_returns_are_unknown_beside_an_unknown_price() -> None:
    found = log_returns([1.0, 2.0, math.nan, 4.0, 8.0])
    assert found[0] == pytest.approx(math.log(2))
    assert np.isnan(found[1:3]).all()
    assert simple_returns([1.0, 2.0, 3.0]).tolist() == [1.0, 0.5]


@pytest.mark.parametrize("price", [0.0, -1.0, math.inf])
def test_price_that_is_none_is_an_error(price: float) -> None:
    with pytest.raises(RiskError, match="prices above 0"):
        log_returns([1.0, price])


def test_blocks_begin_on_their_own_grid_and_do_not_overlap() -> None:
    times = (22 + np.arange(60)) * HOUR_NS
    series = ReturnSeries(times=times, values=np.arange(60.0), step_ns=HOUR_NS)
    days = non_overlapping(series, 24)
    assert days.step_ns == DAY_NS
    assert (days.times % DAY_NS == 0).all()
    assert days.values.tolist() == [sum(range(2, 26)), sum(range(26, 50))]
    series.values[30] = math.nan
    assert np.isnan(non_overlapping(series, 24).values).tolist() == [False, True]
    with pytest.raises(RiskError, match="periods"):
        non_overlapping(series, 0)


@given(q=st.floats(-10, 10), p=prices, r=st.floats(-2, 2))
def test_linear_position_gains_its_quantity_times_the_move(q: float, p: float, r: float) -> None:
    gain = revaluation_pnl([q], [p], [[r]])[0, 0]
    assert gain == pytest.approx(q * (p * math.exp(r) - p), rel=1e-9, abs=1e-9 * p)
    assert revaluation_pnl([-q], [p], [[r]])[0, 0] == pytest.approx(-gain)


@given(face=st.floats(-1e5, 1e5), p=prices, r=st.floats(-2, 2))
def test_inverse_position_gains_in_coin_without_a_delta(face: float, p: float, r: float) -> None:
    new = p * math.exp(r)
    coin = revaluation_pnl([face], [p], [[r]], inverse=[True], in_quote=False)[0, 0]
    assert coin == pytest.approx(face * (1 / p - 1 / new), rel=1e-9, abs=1e-9 * abs(face) / p)
    quote = revaluation_pnl([face], [p], [[r]], inverse=[True])[0, 0]
    assert quote == pytest.approx(coin * new, rel=1e-9, abs=1e-9 * abs(face))


def test_hedged_pair_gains_nothing_and_mixed_books_keep_their_columns() -> None:
    scenarios = np.random.default_rng(0).normal(0, 0.1, (50, 1))
    pair = revaluation_pnl([2.0, -2.0], [100.0, 100.0], np.repeat(scenarios, 2, axis=1))
    assert (pair.sum(axis=1) == 0).all()
    mixed = revaluation_pnl(
        [2.0, 300.0], [100.0, 50.0], np.repeat(scenarios, 2, axis=1), inverse=[False, True]
    )
    assert np.array_equal(mixed[:, 0], pair[:, 0])
    assert mixed.shape == (50, 2)


def test_funding_above_zero_is_what_longs_pay() -> None:
    assert funding_accrual([100.0, -100.0], [[1e-4, 1e-4], [2e-4, 2e-4]]) == pytest.approx(
        [0.03, -0.03]
    )


def test_names_say_level_and_horizon() -> None:
    assert figure_name("var", 0.99, DAY_NS) == "var_99_1d"
    assert figure_name("es", 0.975, DAY_NS) == "es_975_1d"
    assert figure_name("var", 0.95, HOUR_NS) == "var_95_1h"
    assert figure_name("var", 0.999, 8 * HOUR_NS) == "var_999_8h"
    assert horizon_name(HOUR_NS // 12) == "5m"
    with pytest.raises(RiskError, match="horizon"):
        horizon_name(0)


def test_figure_is_a_number_or_says_what_is_missing() -> None:
    with pytest.raises(RiskError, match="reason"):
        RiskFigure(name="var_99_1d", value=None, method="fhs", n_obs=0, as_of=None)
    with pytest.raises(RiskError, match="finite"):
        RiskFigure(name="var_99_1d", value=math.nan, method="fhs", n_obs=0, as_of=None)

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alphaplus.errors import RiskError
from alphaplus.risk.components import (
    incremental_risk,
    normal_components,
    shortfall_components,
    value_at_risk_components,
)
from alphaplus.risk.covariance import (
    Covariance,
    estimate_covariance,
    ewma_covariance,
    repair_covariance,
    rescaled,
)
from alphaplus.risk.estimators import tail_risk
from alphaplus.risk.ewma import normal_factors

sizes = st.integers(1, 6)


def _returns(count: int, assets: int, seed: int) -> np.ndarray:  # type: ignore[type-arg]
    source = np.random.default_rng(seed)
    return source.standard_normal((count, assets)) @ source.standard_normal((assets, assets))


@given(assets=sizes, seed=st.integers(0, 99), decay=st.floats(0.8, 0.99))
@settings(max_examples=30)
def test_ewma_equals_its_definition(assets: int, seed: int, decay: float) -> None:
    returns = _returns(40, assets, seed)
    total, weight = np.zeros((assets, assets)), 0.0
    for row in returns:
        total = decay * total + np.outer(row, row)
        weight = decay * weight + 1
    assert ewma_covariance(returns, decay) == pytest.approx(total / weight)


@pytest.mark.parametrize("method", ["ledoit_wolf", "oas", "ewma", "sample"])
def test_every_estimate_is_a_covariance(method: str) -> None:
    returns = _returns(30, 50, 1)  # fewer times than assets: the sample is singular
    found = estimate_covariance(returns, method=method)  # type: ignore[arg-type]
    assert np.linalg.eigvalsh(found.matrix)[0] > -1e-9
    assert (found.n_obs, found.method) == (30, method)
    assert not found.repaired
    returns[3, 7] = math.nan
    assert estimate_covariance(returns, method=method).n_obs == 29  # type: ignore[arg-type]


def test_shrinkage_is_that_of_the_library() -> None:
    covariance = pytest.importorskip("sklearn.covariance")
    returns = _returns(60, 5, 2)
    lw = covariance.LedoitWolf(assume_centered=True).fit(returns).covariance_
    oas = covariance.OAS(assume_centered=True).fit(returns).covariance_
    assert estimate_covariance(returns).matrix == pytest.approx(lw)
    assert estimate_covariance(returns, method="oas").matrix == pytest.approx(oas)
    one = estimate_covariance(returns[:, :1])
    assert one.matrix == pytest.approx(np.mean(returns[:, :1] ** 2))


def test_repair_is_said_and_keeps_the_variances() -> None:
    broken = np.array([[4.0, 1.8, -1.8], [1.8, 1.0, 0.9], [-1.8, 0.9, 1.0]])
    assert np.linalg.eigvalsh(broken)[0] < -0.1
    found = repair_covariance(broken)
    assert found.repaired
    assert found.least_eigenvalue is not None
    assert found.least_eigenvalue < 0
    assert np.diag(found.matrix).tolist() == [4.0, 1.0, 1.0]
    assert np.linalg.eigvalsh(found.matrix)[0] > -1e-12
    again = repair_covariance(found.matrix)
    assert not again.repaired
    assert again.matrix == pytest.approx(found.matrix)


def test_singular_covariance_needs_no_repair() -> None:
    found = repair_covariance(np.ones((3, 3)))
    assert not found.repaired
    still = repair_covariance(np.diag([1.0, 0.0]))
    assert not still.repaired
    assert np.array_equal(still.matrix, np.diag([1.0, 0.0]))


def test_forecasts_replace_the_variances() -> None:
    found = rescaled(repair_covariance([[4.0, 1.0], [1.0, 1.0]]), [1.0, 3.0])
    assert found.matrix == pytest.approx(np.array([[1.0, 1.5], [1.5, 9.0]]))
    with pytest.raises(RiskError, match="deviation"):
        rescaled(Covariance(matrix=np.eye(2), method="given", n_obs=0), [1.0])


@pytest.mark.parametrize("matrix", [[[1.0, 2.0]], [[1.0, 0.5], [0.4, 1.0]], [[-1.0]], [[math.nan]]])
def test_matrix_that_is_no_covariance_is_an_error(matrix: list[list[float]]) -> None:
    with pytest.raises(RiskError, match="Expected"):
        repair_covariance(matrix)


@pytest.mark.parametrize("returns", [[[1.0]], [[math.inf], [1.0]], [1.0, 2.0]])
def test_returns_that_are_not_enough_are_an_error(returns: list[object]) -> None:
    with pytest.raises(RiskError, match="Expected"):
        estimate_covariance(returns)  # type: ignore[arg-type]
    with pytest.raises(RiskError, match="ledoit_wolf"):
        estimate_covariance(_returns(5, 2, 0), method="other")  # type: ignore[arg-type]


@given(assets=sizes, seed=st.integers(0, 200), level=st.floats(0.9, 0.995))
@settings(max_examples=60)
def test_components_sum_to_the_total(assets: int, seed: int, level: float) -> None:
    returns = _returns(300, assets, seed)
    held = np.random.default_rng(seed).normal(0, 1000, assets)
    normal = normal_components(held, np.cov(returns.T).reshape(assets, assets), level)
    assert normal.component.sum() == pytest.approx(normal.total, rel=1e-9)
    deviation = math.sqrt(held @ np.cov(returns.T).reshape(assets, assets) @ held)
    assert normal.total == pytest.approx(deviation * normal_factors(level)[0], rel=1e-9)
    assert normal.marginal * held == pytest.approx(normal.component)

    pnl = returns * held
    risk = tail_risk(-pnl.sum(axis=1), level)
    shortfall = shortfall_components(pnl, level, exposures=held)
    assert shortfall.component.sum() == pytest.approx(risk.expected_shortfall, rel=1e-9)
    assert shortfall.total == pytest.approx(risk.expected_shortfall, rel=1e-9)
    quantile = value_at_risk_components(pnl, level)
    assert quantile.component.sum() == pytest.approx(risk.value_at_risk, rel=1e-9)
    assert np.isnan(quantile.marginal).all()

    var_parts, es_parts = incremental_risk(pnl, level)
    for i in range(assets):
        rest = tail_risk(-np.delete(pnl, i, axis=1).sum(axis=1), level)
        assert var_parts[i] == pytest.approx(risk.value_at_risk - rest.value_at_risk, abs=1e-6)
        assert es_parts[i] == pytest.approx(
            risk.expected_shortfall - rest.expected_shortfall, abs=1e-6
        )


@given(seed=st.integers(0, 50))
@settings(max_examples=20)
def test_order_of_positions_only_moves_their_parts(seed: int) -> None:
    pnl = _returns(200, 4, seed)
    turned = np.random.default_rng(seed).permutation(4)
    parts = shortfall_components(pnl, 0.975).component
    assert shortfall_components(pnl[:, turned], 0.975).component == pytest.approx(parts[turned])


def test_hedged_book_has_no_risk_and_parts_of_zero() -> None:
    found = normal_components([100.0, -100.0, 0.0], np.ones((3, 3)) * 1e-4, 0.99)
    assert found.total == 0
    assert found.component.tolist() == [0.0, 0.0, 0.0]
    assert np.isnan(found.marginal[2])


def test_covariance_with_negative_eigenvalues_is_refused() -> None:
    broken = [[1.0, 2.0], [2.0, 1.0]]
    with pytest.raises(RiskError, match="negative eigenvalues"):
        normal_components([1.0, -1.0], broken, 0.99)
    with pytest.raises(RiskError, match="2 assets"):
        normal_components([1.0, -1.0], [[1.0]], 0.99)
    with pytest.raises(RiskError, match="finite"):
        normal_components([math.nan], [[1.0]], 0.99)
    with pytest.raises(RiskError, match="finite gains"):
        shortfall_components([[math.nan]], 0.99)

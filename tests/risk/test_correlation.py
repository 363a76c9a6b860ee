import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alphaplus.errors import RiskError
from alphaplus.risk.correlation import (
    absorption_ratio,
    average_correlation,
    correlation_of,
    portfolio_sigma,
    stressed_correlation,
    weighted_average_correlation,
)

THREE = np.array([[1.0, 0.5, 0.2], [0.5, 1.0, -0.4], [0.2, -0.4, 1.0]])
exposures = st.lists(st.floats(-100.0, 100.0), min_size=3, max_size=3).map(np.array)
shares = st.floats(0.0, 1.0)


def test_volatility_and_correlation_of_a_covariance() -> None:
    sigma, correlation = correlation_of(np.array([[4.0, 3.0], [3.0, 9.0]]))
    assert sigma.tolist() == [2.0, 3.0]
    assert correlation == pytest.approx(np.array([[1.0, 0.5], [0.5, 1.0]]))


def test_an_asset_that_does_not_move_is_uncorrelated() -> None:
    sigma, correlation = correlation_of(np.diag([0.0, 9.0]))
    assert sigma.tolist() == [0.0, 3.0]
    assert (correlation == np.eye(2)).all()


@pytest.mark.parametrize(
    "wrong",
    [
        np.ones(3),
        np.ones((2, 3)),
        np.array([[1.0, np.nan], [np.nan, 1.0]]),
        np.array([[1.0, 0.5], [0.1, 1.0]]),
        -np.eye(2),
    ],
)
def test_no_covariance_is_refused(wrong: np.ndarray) -> None:
    with pytest.raises(RiskError, match="covariance"):
        correlation_of(wrong)


def test_averages() -> None:
    assert average_correlation(THREE) == pytest.approx(0.1)
    assert weighted_average_correlation(THREE, np.array([2.0, -1.0, 0.0])) == pytest.approx(0.5)
    assert average_correlation(np.eye(1)) is None
    assert weighted_average_correlation(THREE, np.array([2.0, 0.0, 0.0])) is None
    equal = weighted_average_correlation(THREE, np.ones(3))
    assert equal == pytest.approx(average_correlation(THREE))


def test_absorption() -> None:
    assert absorption_ratio(np.array([1.0, 2.0, 5.0]), 1) == pytest.approx(5 / 8)
    assert absorption_ratio(np.array([1.0, 2.0, 5.0]), 3) == pytest.approx(1.0)
    assert absorption_ratio(np.zeros(2), 1) is None


@given(exposures, shares)
def test_stress_is_a_correlation_that_never_lowers_the_risk(
    held: np.ndarray, stress: float
) -> None:
    stressed = stressed_correlation(THREE, held, stress).matrix
    assert (np.abs(stressed) <= 1 + 1e-12).all()
    assert (stressed.diagonal() == 1.0).all()
    assert np.linalg.eigvalsh(stressed)[0] >= -1e-9
    sigma = np.array([0.1, 0.2, 0.3])
    plain = portfolio_sigma(held, sigma, THREE)
    assert portfolio_sigma(held, sigma, stressed) >= plain - 1e-9


@given(exposures, st.floats(0.0, 0.9), st.floats(0.0, 0.1))
def test_more_stress_is_more_risk(held: np.ndarray, stress: float, more: float) -> None:
    sigma = np.array([0.1, 0.2, 0.3])
    low, high = (
        portfolio_sigma(held, sigma, stressed_correlation(THREE, held, share).matrix)
        for share in (stress, stress + more)
    )
    assert high >= low - 1e-9


def test_full_stress_adds_risks_up() -> None:
    held, sigma = np.array([3.0, -2.0, 1.0]), np.array([0.1, 0.2, 0.3])
    stressed = stressed_correlation(THREE, held, 1.0)
    assert portfolio_sigma(held, sigma, stressed.matrix) == pytest.approx(0.3 + 0.4 + 0.3)


def test_a_stress_by_pair_is_repaired_and_says_so() -> None:
    share = np.array([[0.0, 1.0, 1.0], [1.0, 0.0, 0.0], [1.0, 0.0, 0.0]])
    stressed = stressed_correlation(THREE, np.ones(3), share)
    assert stressed.repaired
    assert np.linalg.eigvalsh(stressed.matrix)[0] >= -1e-9
    with pytest.raises(RiskError, match="stress"):
        stressed_correlation(THREE, np.ones(3), 1.1)

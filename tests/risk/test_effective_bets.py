import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alphaplus.risk.correlation import correlation_of
from alphaplus.risk.effective_bets import Torsion, effective_bets, minimum_torsion, variance_shares


def covariance_of(seed: int, n: int) -> np.ndarray:
    source = np.random.default_rng(seed)
    returns = source.standard_normal((4 * n, n)) * source.uniform(0.5, 2, n)
    returns += source.standard_normal((4 * n, 1))
    return returns.T @ returns / len(returns)


def torsion_of(covariance: np.ndarray) -> Torsion:
    found = minimum_torsion(*correlation_of(covariance))
    assert found is not None
    return found


@settings(max_examples=30)
@given(st.integers(0, 10_000), st.integers(1, 8))
def test_shares_are_of_uncorrelated_factors(seed: int, n: int) -> None:
    covariance = covariance_of(seed, n)
    torsion = torsion_of(covariance)
    exposures = np.random.default_rng(seed + 1).standard_normal(n)
    shares = variance_shares(torsion, exposures)
    assert shares is not None
    assert shares.sum() == pytest.approx(1.0, abs=1e-9)
    assert (shares >= 0).all()
    bets = effective_bets(torsion, exposures)
    assert bets is not None
    assert 1 <= bets <= n
    # with F = T x the loadings are T'^-1, so T cov T' must be diagonal
    turned = np.linalg.inv(torsion.loadings).T
    factors = turned @ covariance @ turned.T
    off = factors - np.diag(np.diag(factors))
    assert np.abs(off).max() <= 1e-8 * np.diag(factors).max()
    # of all uncorrelated factors these are nearest: no rotation of them tracks the assets better
    sigma = np.sqrt(np.diag(covariance))
    tracked = np.diag(turned @ covariance) / sigma / np.sqrt(np.diag(factors))
    for turn in range(5):
        other = np.linalg.qr(np.random.default_rng(turn).standard_normal((n, n)))[0]
        standard = other @ (turned / np.sqrt(np.diag(factors))[:, None])
        assert (np.diag(standard @ covariance) / sigma).sum() <= tracked.sum() + 1e-6 * n


def test_uncorrelated_equal_risks_are_as_many_bets() -> None:
    torsion = torsion_of(np.diag([1.0, 4.0, 0.25]))
    assert effective_bets(torsion, np.array([1.0, -0.5, 2.0])) == pytest.approx(3.0)
    assert effective_bets(torsion, np.array([5.0, 0.0, 0.0])) == pytest.approx(1.0)


def test_one_asset_is_one_bet() -> None:
    assert effective_bets(torsion_of(np.array([[0.3]])), np.array([-7.0])) == 1.0


def test_no_exposure_is_no_bet() -> None:
    assert effective_bets(torsion_of(np.eye(2)), np.zeros(2)) is None


def test_a_singular_correlation_has_no_factors() -> None:
    assert minimum_torsion(np.ones(2), np.ones((2, 2))) is None
    assert minimum_torsion(np.array([1.0, 0.0]), np.eye(2)) is None


@given(st.floats(0.01, 100.0))
def test_the_size_of_the_book_does_not_matter(scale: float) -> None:
    torsion = torsion_of(covariance_of(3, 4))
    exposures = np.array([1.0, 2.0, -1.0, 0.5])
    assert effective_bets(torsion, scale * exposures) == pytest.approx(
        effective_bets(torsion, exposures)
    )

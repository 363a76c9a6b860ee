"""GARCH(1,1) against the published benchmark, and a planted process."""

import json
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from alphaplus.analysis.garch import GarchFit, fit_garch
from alphaplus.errors import ConfigError


def simulated(
    count: int, omega: float, alpha: float, beta: float
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    rng = np.random.default_rng(1)
    shocks = rng.normal(0, 1, count)
    returns, variances = np.empty(count), np.empty(count)
    variance = omega / (1 - alpha - beta)
    for i in range(count):
        variances[i] = variance
        returns[i] = shocks[i] * variance**0.5
        variance = omega + alpha * returns[i] ** 2 + beta * variance
    return returns, variances


def test_benchmark(data_dir: Path) -> None:
    """Fiorentini, Calzolari and Panattoni (1996): DEM/GBP of Bollerslev and Ghysels."""
    expected = json.loads((data_dir / "analysis/garch_fcp_expected.json").read_text())
    returns = np.loadtxt(data_dir / "analysis/bg96_dem_gbp.csv", skiprows=1)
    fit = fit_garch(returns)
    assert fit.has_converged
    found = {
        "mu": fit.mu,
        "omega": fit.omega,
        "alpha": fit.alpha,
        "beta": fit.beta,
        "loglik": fit.log_likelihood,
    }
    assert found == pytest.approx({name: expected[name] for name in found}, rel=1e-3)


def test_variances_follow_the_recursion_from_the_mean_squared_residual() -> None:
    returns, _ = simulated(1000, 0.02, 0.1, 0.85)
    fit = fit_garch(returns)
    residuals = (returns - fit.mu) ** 2
    square = variance = residuals.mean()
    for i in range(len(returns)):
        variance = fit.omega + fit.alpha * square + fit.beta * variance
        square = residuals[i]
        assert fit.variances[i] == pytest.approx(variance, rel=1e-9)
    variance = fit.omega + fit.alpha * square + fit.beta * variance
    assert fit.next_variance == pytest.approx(variance, rel=1e-9)


def test_a_planted_process_is_recovered_in_any_unit() -> None:
    returns, variances = simulated(20_000, 0.02, 0.1, 0.85)
    one, small = fit_garch(returns), fit_garch(returns * 1e-6)
    for fit in (one, small):
        assert fit.has_converged
        assert fit.alpha == pytest.approx(0.1, abs=0.015)
        assert fit.beta == pytest.approx(0.85, abs=0.025)
    assert one.long_run_variance == pytest.approx(0.4, rel=0.1)
    assert small.omega == pytest.approx(one.omega * 1e-12, rel=1e-3)
    assert small.log_likelihood == pytest.approx(one.log_likelihood + 20_000 * np.log(1e6))
    assert np.corrcoef(one.variances, variances)[0, 1] > 0.99


def test_forecasts_go_to_the_long_run() -> None:
    fit = GarchFit(
        mu=0.0,
        omega=0.02,
        alpha=0.1,
        beta=0.85,
        log_likelihood=0.0,
        has_converged=True,
        variances=np.ones(1),
        next_variance=1.0,
    )
    assert fit.forecast(3).tolist() == pytest.approx([1.0, 0.97, 0.9415])
    assert fit.forecast(500)[-1] == pytest.approx(fit.long_run_variance)
    with pytest.raises(ConfigError, match="Expected periods above 0, was 0"):
        fit.forecast(0)


def test_shocks_that_do_not_die_out_have_no_long_run() -> None:
    fit = GarchFit(
        mu=0.0,
        omega=0.02,
        alpha=0.2,
        beta=0.8,
        log_likelihood=0.0,
        has_converged=True,
        variances=np.ones(1),
        next_variance=1.0,
    )
    assert fit.long_run_variance is None


@pytest.mark.parametrize(
    "returns", [np.zeros(99), np.zeros(500), np.append(np.arange(500.0), np.nan)]
)
def test_bad_returns_are_refused(returns: npt.NDArray[np.float64]) -> None:
    with pytest.raises(ConfigError, match=r"Expected .*, was"):
        fit_garch(returns)


def test_the_library_is_loaded_by_a_fit_alone() -> None:
    import subprocess

    code = "import sys, alphaplus.analysis.garch; sys.exit('arch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

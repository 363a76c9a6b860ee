import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alphaplus.risk.exposure import (
    beta_exposure,
    concentration_hhi,
    days_to_exit,
    distance_to_liquidation,
    effective_leverage,
    exposure_of,
    funding_cost,
)

notionals = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=20).map(np.array)


@given(notionals)
def test_sums(notional: np.ndarray) -> None:
    found = exposure_of(notional)
    assert found.gross == pytest.approx(np.abs(notional).sum())
    assert found.net == pytest.approx(notional.sum(), abs=1e-6)
    assert found.long >= 0
    assert found.short >= 0


@given(notionals)
def test_concentration_is_between_even_and_one(notional: np.ndarray) -> None:
    found = concentration_hhi(notional)
    if found is None:
        assert not notional.any()
    else:
        assert 1 / len(notional) - 1e-9 <= found <= 1 + 1e-9


def test_unknown_values_of_what_is_not_held_do_not_matter() -> None:
    notional = np.array([100.0, 0.0, -50.0])
    other = np.array([1.2, np.nan, 2.0])
    assert beta_exposure(notional, other) == pytest.approx(20.0)
    assert funding_cost(notional, other) == pytest.approx(20.0)
    assert math.isnan(beta_exposure(notional, other[::-1] * np.array([1, 1, np.nan])))


def test_the_long_pays_a_positive_funding_rate() -> None:
    assert funding_cost(np.array([1000.0]), np.array([1e-4])) == pytest.approx(0.1)
    assert funding_cost(np.array([-1000.0]), np.array([1e-4])) == pytest.approx(-0.1)


def test_leverage_is_exposure_by_equity_and_not_the_setting() -> None:
    # go-trader #497: a 10x setting with a tenth of the equity in use is a leverage of 1
    assert effective_leverage(1000.0, 1000.0) == 1.0
    assert effective_leverage(1000.0, 0.0) is None
    assert effective_leverage(1000.0, -5.0) is None


def test_days_to_exit() -> None:
    found = days_to_exit(np.array([100.0, -50.0, 0.0, 1.0]), np.array([1000.0, 100.0, np.nan, 0.0]))
    assert found.tolist() == [1.0, 5.0, 0.0, math.inf]
    assert math.isnan(days_to_exit(np.array([1.0]), np.array([np.nan]))[0])


def test_distance_is_a_share_of_the_mark() -> None:
    found = distance_to_liquidation(
        np.array([100.0, 100.0, 100.0]), np.array([90.0, 125.0, np.nan])
    )
    assert found[:2] == pytest.approx([0.1, 0.25])
    assert math.isnan(found[2])

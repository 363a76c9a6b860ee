import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alphaplus.errors import ConfigError
from alphaplus.leverage.mark_price import (
    BasisAverage,
    PremiumAverage,
    binance_mark_price,
    choose_mark,
    hyperliquid_mark_price,
    weighted_median,
)

SECOND = 1_000_000_000
BINANCE: dict[str, float | None] = {
    "index_price": 100.0, "funding_rate": 0.01, "average_basis": 0.2, "contract_price": 103.0,
}  # fmt: skip


def test_binance_takes_the_middle_of_three() -> None:
    def mark(**changes: float | None) -> float | None:
        inputs = BINANCE | changes
        return binance_mark_price(time_to_funding_s=14_400, funding_period_s=28_800, **inputs)  # type: ignore[arg-type]

    assert mark() == pytest.approx(100.5)  # funding half way to the next: P1
    assert mark(contract_price=100.1) == pytest.approx(100.2)  # P2
    assert mark(contract_price=100.3) == pytest.approx(100.3)  # the contract itself
    for name in BINANCE:
        assert mark(**{name: None}) is None


def test_the_basis_is_sampled_once_per_interval_and_forgets() -> None:
    average = BasisAverage(samples=3, interval_s=5.0)
    assert average.value is None
    for second, basis in ((0, 1.0), (2, 99.0), (5, 2.0), (10, 3.0), (9, 99.0), (15, 4.0)):
        average.update(second * SECOND, 100 + basis - 1, 100 + basis + 1, 100.0)
    assert average.value == pytest.approx(3.0)


@settings(max_examples=50)
@given(st.lists(st.tuples(st.integers(1, 60), st.floats(-5, 5)), min_size=1, max_size=30))
def test_the_premium_average_is_the_weighted_mean_of_its_past(
    steps: list[tuple[int, float]],
) -> None:
    average = PremiumAverage()
    average.update(0, 0.0)
    now, parts = 0, []
    for dt, premium in steps:
        now += dt
        average.update(now * SECOND, premium)
        parts.append((now, dt, premium))
    weights = [dt * math.exp(-(now - at) / 150.0) for at, dt, _ in parts]
    mean = sum(w * p for w, (_, _, p) in zip(weights, parts, strict=True)) / sum(weights)
    assert average.value == pytest.approx(mean, rel=1e-9, abs=1e-12)


def test_a_time_that_goes_back_adds_nothing() -> None:
    average = PremiumAverage()
    average.update(10 * SECOND, 1.0)
    assert average.value is None
    average.update(13 * SECOND, 1.0)
    average.update(12 * SECOND, 100.0)
    assert average.value == pytest.approx(1.0)


def test_hyperliquid_takes_the_middle_of_three() -> None:
    def mark(**changes: object) -> float | None:
        inputs = {"oracle_price": 100.0, "average_premium": 0.5, "best_bid": 99.0,
                  "best_ask": 101.0, "last_price": 102.0,
                  "external_mids": [(100.7, 2.0), (90.0, 1.0)]}  # fmt: skip
        return hyperliquid_mark_price(**(inputs | changes))  # type: ignore[arg-type]

    assert mark() == pytest.approx(100.7)
    assert mark(external_mids=()) == pytest.approx(100.75)
    assert mark(external_mids=(), oracle_price=None) is None


def test_the_weighted_median_is_where_half_the_weight_is_reached() -> None:
    assert weighted_median([(3.0, 1.0), (1.0, 1.0), (2.0, 3.0)]) == 2.0
    assert weighted_median([(1.0, 0.0)]) is None


def test_the_published_mark_goes_first_and_the_source_is_said() -> None:
    both = choose_mark(100.0, 101.0)
    assert both is not None
    assert (both.price, both.mark_source) == (100.0, "published")
    assert both.deviation == pytest.approx(0.01)
    rebuilt = choose_mark(None, 101.0)
    assert rebuilt is not None
    assert (rebuilt.mark_source, rebuilt.deviation) == ("rebuilt", None)
    assert choose_mark(None, None) is None


def test_parameters_out_of_range_are_refused() -> None:
    with pytest.raises(ConfigError):
        BasisAverage(samples=0)
    with pytest.raises(ConfigError):
        PremiumAverage(decay_s=0.0)

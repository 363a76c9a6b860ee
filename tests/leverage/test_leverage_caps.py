import math
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from alphaplus.errors import ConfigError, RiskError
from alphaplus.leverage.leverage_caps import (
    blended,
    maintenance_rate,
    margin_survival_cap,
    venue_cap,
    volatility_cap,
)
from alphaplus.leverage.liquidity_cap import (
    BookWalk,
    LiquidityLimits,
    liquidity_cap,
    liquidity_notional,
)
from alphaplus.leverage.portfolio_cap import (
    portfolio_cap,
    stressed_correlation,
    symbol_in_portfolio_cap,
)
from alphaplus.leverage.tiers import LeverageTier, TierTable

TIERS = TierTable.of(
    "BTC-USDT-PERP",
    [
        LeverageTier(
            min_notional=low, max_notional=high, maintenance_margin_rate=rate, max_leverage=most
        )
        for low, high, rate, most in (
            (0, 50_000, 0.004, 125),
            (50_000, 250_000, 0.005, 100),
            (250_000, 3_000_000, 0.01, 50),
            (3_000_000, 20_000_000, 0.025, 20),
        )
    ],
)

books = st.lists(st.tuples(st.floats(80.0, 99.99), st.floats(0.01, 1e4)), min_size=1, max_size=20)
rates = st.floats(0.0, 0.5)
equities = st.floats(100.0, 1e7)
factors = st.floats(1.0, 5.0)


def walk_of(levels: list[tuple[float, float]]) -> BookWalk:
    return BookWalk.of([p for p, _ in levels], [q for _, q in levels], 100.0)


by_tier = maintenance_rate(TIERS)


def survival(**changes: Any) -> float:
    known: dict[str, Any] = {
        "equity": 10_000.0,
        "expected_shortfall": 0.05,
        "impact": lambda notional: 1e-9 * notional,
        "maintenance_rate": by_tier,
    }
    found = margin_survival_cap(**{**known, **changes})
    assert found is not None
    return found


def naive_cost(levels: list[tuple[float, float]], notional: float) -> float:
    left, paid = notional / 100.0, 0.0
    for price, quantity in sorted(levels, reverse=True):
        taken = min(left, quantity)
        paid += taken * (100.0 - price) / 100.0
        left -= taken
    return paid / (notional / 100.0)


def test_volatility_cap() -> None:
    assert volatility_cap(0.4, 0.8) == 0.5
    assert volatility_cap(0.4, 0.0) == math.inf
    assert volatility_cap(0.4, None) is None
    assert volatility_cap(0.4, math.nan) is None
    with pytest.raises(RiskError, match="sigma"):
        volatility_cap(0.4, -0.1)


def test_margin_survival_without_sizes_is_the_plain_quotient() -> None:
    found = survival(
        impact=lambda _: 0.003, maintenance_rate=lambda _: 0.01, fee=0.0005, funding=0.0005
    )
    assert found == pytest.approx(1 / (0.05 + 0.003 + 0.01 + 0.001), rel=1e-12)


@given(rates, equities, st.floats(1e-12, 1e-6))
def test_margin_survival_lies_where_the_margin_is_spent(
    es: float, equity: float, slope: float
) -> None:
    def spent(leverage: float) -> float:
        n = leverage * equity
        return leverage * (es + slope * n + by_tier(n))

    found = survival(equity=equity, expected_shortfall=es, impact=lambda n: slope * n)
    assert spent(found) <= 1
    assert found == 1000.0 or spent(found * (1 + 1e-9)) >= 1 - 1e-7


@given(rates, equities, factors)
def test_margin_survival_is_monotone(es: float, equity: float, factor: float) -> None:
    base = survival(equity=equity, expected_shortfall=es)
    assert survival(equity=equity, expected_shortfall=es * factor) <= base
    assert survival(equity=equity, expected_shortfall=es, fee=0.001 * factor) <= base
    assert survival(equity=equity, expected_shortfall=es, funding=0.001 * factor) <= base
    assert survival(equity=equity, expected_shortfall=es, funding=-0.1) == base
    richer = survival(equity=equity * factor, expected_shortfall=es)
    assert richer * equity * factor >= base * equity * (1 - 1e-12)


def test_a_book_that_ends_limits_margin_survival() -> None:
    walk = BookWalk.of([99.9], [10.0], 100.0)
    found = survival(impact=walk.cost, equity=100.0)
    assert found == pytest.approx(10.0, rel=1e-9)


@pytest.mark.parametrize(
    "name", ["equity", "expected_shortfall", "impact", "maintenance_rate", "funding"]
)
def test_margin_survival_is_unknown_if_an_input_is(name: str) -> None:
    known: dict[str, Any] = {
        "equity": 1.0,
        "expected_shortfall": 0.1,
        "impact": lambda _: 0.0,
        "maintenance_rate": lambda _: 0.01,
        "funding": 0.0,
    }
    assert margin_survival_cap(**{**known, name: None}) is None
    if name not in ("impact", "maintenance_rate"):
        assert margin_survival_cap(**{**known, name: math.nan}) is None
    assert margin_survival_cap(**{**known, "impact": lambda _: math.nan}) is None
    assert margin_survival_cap(**{**known, "equity": 0.0}) == 0.0


@given(books, equities, factors)
def test_a_thinner_book_never_raises_margin_survival(
    levels: list[tuple[float, float]], equity: float, factor: float
) -> None:
    thinner = walk_of([(p, q / factor) for p, q in levels])
    now, then = (survival(equity=equity, impact=w.cost) for w in (walk_of(levels), thinner))
    assert then <= now * (1 + 1e-9)


def test_rates_of_a_portfolio_are_blended_by_its_shares() -> None:
    rate = blended([by_tier, lambda _: 0.1, lambda _: math.inf], [3.0, -1.0, 0.0])
    expected = 0.75 * by_tier(0.75e6) + 0.25 * 0.1
    assert rate(1e6) == pytest.approx(expected)
    assert by_tier(0.0) == 0.004


@given(books, st.floats(0.01, 1.0))
def test_cost_of_a_walk_equals_a_loop(levels: list[tuple[float, float]], part: float) -> None:
    walk = walk_of(levels)
    notional = part * walk.total
    assert walk.cost(notional) == pytest.approx(naive_cost(levels, notional), rel=1e-9, abs=1e-12)
    assert walk.cost(1.01 * walk.total) == math.inf


@given(books, st.floats(1e-4, 0.2), factors)
def test_largest_notional_within_a_cost(
    levels: list[tuple[float, float]], budget: float, factor: float
) -> None:
    walk = walk_of(levels)
    most = walk.largest_within(budget)
    if most > 1e-6:
        assert walk.cost(most) <= budget * (1 + 1e-6)
    if most < walk.total * (1 - 1e-9):
        assert walk.cost(most * 1.001 + 1e-6) >= budget * (1 - 1e-6)
    thinner = walk_of([(p, q / factor) for p, q in levels])
    assert thinner.largest_within(budget) <= most * (1 + 1e-9)
    assert walk.largest_within(budget * factor) >= most * (1 - 1e-9)


@given(books, st.integers(0, 19), st.floats(0.0, 1.0))
def test_less_at_any_one_level_never_raises_the_liquidity_cap(
    levels: list[tuple[float, float]], index: int, kept: float
) -> None:
    assume(index < len(levels))
    thinner = list(levels)
    thinner[index] = (levels[index][0], levels[index][1] * kept)
    now, then = (liquidity_notional(walk_of(x), 1e9) for x in (levels, thinner))
    assert now is not None
    assert then is not None
    assert then <= now * (1 + 1e-9) + 1e-9


def test_a_book_whose_levels_cost_the_budget_exactly_counts_whole() -> None:
    walk = BookWalk.of([99.9] * 7, [0.1, 0.7, 0.3, 1.1, 0.9, 0.2, 3.3], 100.0)
    assert walk.largest_within(float(walk.costs[0])) == walk.total


def test_liquidity_takes_the_least_of_three_limits() -> None:
    walk = BookWalk.of([99.95, 99.0], [100.0, 1000.0], 100.0)
    assert liquidity_notional(walk, 1e9) == 5000.0  # half of the depth within 50 bps
    assert liquidity_notional(walk, 1e5) == 1000.0  # a hundredth of the volume
    deep = LiquidityLimits(depth_share=1.0, cost_budget=0.0004)
    assert liquidity_notional(walk, 1e9, limits=deep) == 0.0  # the best level costs 5 bps
    assert liquidity_notional(walk, 1e9, liquidity_score=0.25) == 2500.0
    assert liquidity_notional(walk, None) is None
    assert liquidity_notional(None, 1e9) is None
    assert liquidity_notional(walk, 1e9, liquidity_score=None) is None
    with pytest.raises(ConfigError, match="depth_share"):
        LiquidityLimits(depth_share=0.0)
    with pytest.raises(RiskError, match="mid"):
        BookWalk.of([1.0], [1.0], math.nan)


def test_liquidity_cap_of_a_portfolio_is_that_of_its_tightest_market() -> None:
    assert liquidity_cap([5000.0], [1.0], 1000.0) == 5.0
    assert liquidity_cap([5000.0, 1000.0], [0.5, -0.5], 1000.0) == 2.0
    assert liquidity_cap([5000.0, None], [1.0, 0.0], 1000.0) == 5.0
    assert liquidity_cap([5000.0, None], [0.9, 0.1], 1000.0) is None
    assert liquidity_cap([5000.0], [1.0], None) is None
    assert liquidity_cap([5000.0], [1.0], 0.0) == 0.0


def random_correlation(seed: int, n: int) -> np.ndarray:
    factors = np.random.default_rng(seed).normal(size=(n, n + 2))
    covariance = factors @ factors.T
    scale = np.sqrt(np.diag(covariance))
    return np.asarray(covariance / np.outer(scale, scale))


@settings(max_examples=50)
@given(st.integers(0, 1000), st.integers(1, 6), st.floats(0.0, 1.0))
def test_component_shortfalls_add_up_to_the_budget(seed: int, n: int, stress: float) -> None:
    rng = np.random.default_rng(seed)
    w, es = rng.normal(size=n), rng.uniform(0.01, 0.2, n)
    rho = random_correlation(seed, n)
    cap = portfolio_cap(w, es, rho, budget=0.1, stress=stress)
    assert cap is not None
    v = cap * np.abs(w) / np.abs(w).sum() * es
    moved = stressed_correlation(rho, w, stress)
    components = v * (moved @ v) / math.sqrt(v @ moved @ v)
    assert components.sum() == pytest.approx(0.1, rel=1e-9)
    assert np.linalg.eigvalsh(moved).min() > -1e-9


@settings(max_examples=50)
@given(st.integers(0, 1000), st.integers(2, 6), st.floats(0.0, 0.9), st.floats(0.0, 0.1))
def test_portfolio_cap_is_monotone(seed: int, n: int, stress: float, extra: float) -> None:
    rng = np.random.default_rng(seed)
    w, es = rng.normal(size=n), rng.uniform(0.01, 0.2, n)
    rho = random_correlation(seed, n)
    base = portfolio_cap(w, es, rho, budget=0.1, stress=stress) or 0.0
    more = es.copy()
    more[seed % n] *= 1.5
    # a hedge with more risk of its own may lower the whole: full stress has no hedges
    assert (portfolio_cap(w, es * 1.5, rho, budget=0.1, stress=stress) or 0.0) < base
    full = portfolio_cap(w, es, rho, budget=0.1, stress=1.0) or 0.0
    assert (portfolio_cap(w, more, rho, budget=0.1, stress=1.0) or 0.0) <= full
    assert (portfolio_cap(w, es, rho, budget=0.1, stress=stress + extra) or 0.0) <= base + 1e-12
    assert (portfolio_cap(w, es, rho, budget=0.2, stress=stress) or 0.0) >= base


def test_higher_correlation_of_longs_never_raises_the_cap() -> None:
    caps = [
        portfolio_cap([0.5, 0.5], [0.1, 0.1], [[1, rho], [rho, 1]], budget=0.1, stress=0.3) or 0.0
        for rho in (-0.5, 0.0, 0.5, 1.0)
    ]
    assert caps == sorted(caps, reverse=True)
    assert caps[-1] == pytest.approx(1.0)


def test_stress_moves_long_and_short_apart() -> None:
    moved = stressed_correlation([[1.0, 0.8], [0.8, 1.0]], [1, -1], 0.5)
    assert moved[0, 1] == pytest.approx(-0.8 * 0.5 + 0.5)


@settings(max_examples=50)
@given(st.integers(0, 1000), st.sampled_from([1, -1]), st.floats(0.0, 1.0))
def test_symbol_fills_the_budget_beside_the_others(seed: int, side: int, stress: float) -> None:
    rng = np.random.default_rng(seed)
    held, es = rng.normal(size=3), rng.uniform(0.01, 0.1, 3)
    rho = random_correlation(seed, 4)
    cap = symbol_in_portfolio_cap(side, 0.1, held, es, rho, budget=0.2, stress=stress)
    assert cap is not None
    v = np.concatenate(([cap * 0.1], np.abs(held) * es))
    moved = stressed_correlation(rho, np.concatenate(([side], held)), stress)
    total = math.sqrt(v @ moved @ v)
    if cap > 0:
        assert total == pytest.approx(0.2, rel=1e-6)
    else:
        assert total >= 0.2 - 1e-9
    alone = symbol_in_portfolio_cap(side, 0.1, [], [], [[1.0]], budget=0.2)
    assert alone == pytest.approx(2.0)


def test_portfolio_caps_of_unknown_and_impossible_inputs() -> None:
    eye = np.eye(2)
    assert portfolio_cap([1.0, np.nan], [0.1, 0.1], eye, budget=0.1) is None
    assert portfolio_cap([1.0, 1.0], [0.1, 0.1], [[1, np.nan], [np.nan, 1]], budget=0.1) is None
    assert portfolio_cap([0.0, 0.0], [0.1, 0.1], eye, budget=0.1) == math.inf
    assert symbol_in_portfolio_cap(1, None, [1.0], [0.1], eye, budget=0.1) is None
    assert symbol_in_portfolio_cap(1, 0.1, [9.0], [0.1], eye, budget=0.1) == 0.0
    assert symbol_in_portfolio_cap(1, 0.0, [9.0], [0.1], eye, budget=0.1) == 0.0
    assert symbol_in_portfolio_cap(1, 0.1, [math.nan], [0.1], eye, budget=0.1) is None
    for wrong in ([[1, 2], [2, 1]], [[1, 0.5], [0.1, 1]], [[2, 0], [0, 2]], [[1.0]]):
        with pytest.raises(RiskError, match="correlation"):
            portfolio_cap([1.0, 1.0], [0.1, 0.1], wrong, budget=0.1)
    rho = [[1, -1, -1], [-1, 1, -1], [-1, -1, 1]]
    with pytest.raises(RiskError, match="semidefinite"):
        portfolio_cap([1.0] * 3, [0.1] * 3, rho, budget=0.1, stress=0.0)
    with pytest.raises(RiskError, match="stress"):
        portfolio_cap([1.0, 1.0], [0.1, 0.1], eye, budget=0.1, stress=2.0)


@given(equities, factors)
def test_venue_cap_is_that_of_the_tier_it_lands_in(equity: float, factor: float) -> None:
    rows = TIERS.rows
    found = venue_cap(rows["floor"], rows["cap"], rows["max_leverage"], equity)
    assert found is not None
    assert found <= TIERS.at(found * equity * (1 - 1e-12)).max_leverage
    assert found * equity <= rows["cap"][-1] * (1 + 1e-12)
    larger = found * (1 + 1e-6)
    above = larger * equity > rows["cap"][-1]
    assert above or larger > TIERS.at(larger * equity).max_leverage
    richer = venue_cap(rows["floor"], rows["cap"], rows["max_leverage"], equity * factor)
    assert richer is not None
    assert richer * equity * factor >= found * equity * (1 - 1e-12)


def test_venue_cap_without_tiers_or_equity() -> None:
    assert venue_cap([], [], [], 1.0) is None
    assert venue_cap([0], [1], [10], None) is None
    assert venue_cap([0], [1], [np.nan], 1.0) is None
    assert venue_cap([0], [1], [10], 0.0) == 0.0

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from alphaplus.errors import ConfigError, RiskError
from alphaplus.leverage.engine import POSITION, MarginState, evaluate, joint_distance
from alphaplus.leverage.risk_score import (
    LiquidationRisks,
    ScoreParameters,
    account_score,
    liquidation_risks,
    score_of,
    thinness,
)
from alphaplus.leverage.tiers import TIER

sides = st.sampled_from([1.0, -1.0])
gaps = st.floats(0.001, 0.9)
sigmas = st.floats(1e-4, 0.1)
amounts = st.floats(0.001, 1e6)
more = st.floats(1.0, 10.0)


def scored(**changes: Any) -> LiquidationRisks:
    known = {
        "side": 1.0,
        "mark_price": 100.0,
        "liquidation_price": 90.0,
        "sigma_per_sqrt_hour": 0.01,
        "quantity_at_level": 5.0,
        "depth_at_level": 20.0,
    }
    return liquidation_risks(**{**known, **changes})


def price_at(side: float, mark: float, gap: float) -> float:
    """A liquidation price `gap` in log price away."""
    return mark * math.exp(-side * gap)


def naive_score(*, d: float, sigma: float, h: float, q: float, depth: float, kappa: float) -> float:
    p = min(1.0, 2 * norm.cdf(-d / (sigma * math.sqrt(h))))
    t = q / (q + depth)
    return float(100 * (1 - (1 - p) ** (1 + kappa * t)))


@given(
    side=sides,
    gap=gaps,
    sigma=sigmas,
    q=amounts,
    depth=amounts,
    kappa=st.floats(0.0, 3.0),
    h=st.floats(0.5, 100.0),
)
def test_it_equals_the_formula(
    *, side: float, gap: float, sigma: float, q: float, depth: float, kappa: float, h: float
) -> None:
    found = scored(
        side=side,
        liquidation_price=price_at(side, 100.0, gap),
        sigma_per_sqrt_hour=sigma,
        quantity_at_level=q,
        depth_at_level=depth,
        parameters=ScoreParameters(kappa=kappa, horizon_h=h),
    )
    expected = naive_score(d=gap, sigma=sigma, h=h, q=q, depth=depth, kappa=kappa)
    assert found.score[0] == pytest.approx(expected, rel=1e-6, abs=1e-9)


@given(side=sides, gap=gaps, sigma=sigmas, q=amounts, depth=amounts, factor=more)
def test_score_is_monotone_in_every_input(
    *, side: float, gap: float, sigma: float, q: float, depth: float, factor: float
) -> None:
    now = {
        "side": side,
        "liquidation_price": price_at(side, 100.0, gap),
        "sigma_per_sqrt_hour": sigma,
        "quantity_at_level": q,
        "depth_at_level": depth,
    }
    base = scored(**now).score[0]
    slack = 1e-9

    def changed(**changes: Any) -> float:
        return float(scored(**{**now, **changes}).score[0])

    assert changed(sigma_per_sqrt_hour=sigma * factor) >= base - slack
    assert changed(quantity_at_level=q * factor) >= base - slack
    assert changed(depth_at_level=depth * factor) <= base + slack
    assert changed(liquidation_price=price_at(side, 100.0, gap * factor)) <= base + slack
    assert changed(parameters=ScoreParameters(horizon_h=24 * factor)) >= base - slack
    assert changed(simulated_hit_probability=0.5) >= base - slack
    assert 0 <= base <= 100


@given(side=sides, gap=gaps, sigma=sigmas, q=amounts, depth=amounts, unit=st.floats(1e-6, 1e6))
def test_the_unit_of_the_price_does_not_matter(
    *, side: float, gap: float, sigma: float, q: float, depth: float, unit: float
) -> None:
    price = price_at(side, 100.0, gap)
    known = {"side": side, "sigma_per_sqrt_hour": sigma, "quantity_at_level": q}
    first = scored(**known, depth_at_level=depth, liquidation_price=price)
    second = scored(
        **known, depth_at_level=depth, liquidation_price=price * unit, mark_price=100.0 * unit
    )
    assert second.score[0] == pytest.approx(first.score[0], rel=1e-6, abs=1e-9)


@given(st.sampled_from([1.0, -1.0]), st.floats(2.0, 100.0), st.floats(1.01, 1.2), sigmas)
def test_more_leverage_never_lowers_the_score(
    side: float, leverage: float, factor: float, sigma: float
) -> None:
    tiers = np.array([(0.0, 1e12, 0.005, 0.0, 125.0)], TIER)
    positions = np.zeros(2, POSITION)
    positions["bucket"], positions["side"], positions["quantity"] = [0, 1], side, 1.0
    positions["entry"] = positions["mark"] = 100.0
    positions["tier_end"] = 1
    wallets = 100.0 / np.array([leverage, leverage * factor])
    margins, _ = evaluate(positions, tiers, wallets)
    found = scored(
        side=side,
        liquidation_price=margins["liquidation_price"],
        sigma_per_sqrt_hour=sigma,
        no_liquidation_price=margins["state"] == MarginState.NO_LIQUIDATION_PRICE,
    )
    assert found.score[1] >= found.score[0] - 1e-9


def test_far_levels_go_to_zero_even_without_any_depth() -> None:
    far = scored(liquidation_price=[50.0, 10.0, 1e-9], depth_at_level=0.0)
    assert far.score[0] < 1e-6
    assert far.score[2] == 0.0


def test_liquidatable_scores_100_whatever_else_is_unknown() -> None:
    found = scored(
        liquidatable_now=[True, False, False],
        sigma_per_sqrt_hour=np.nan,
        liquidation_price=[np.nan, 100.0, 101.0],
    )
    assert found.score.tolist() == [100.0] * 3
    assert {found.row(k).state for k in range(3)} == {"liquidatable_now"}
    assert found.row(0).missing == ()


def test_without_a_liquidation_price_the_score_is_0_and_says_why() -> None:
    row = scored(no_liquidation_price=True, liquidation_price=0.0, depth_at_level=np.nan).row(0)
    assert row.score == 0.0
    assert row.state == "no_liquidation_price"
    assert row.liquidation_price is None
    assert row.distance_alarm == "none"
    assert row.band == "low"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("mark_price", np.nan),
        ("liquidation_price", np.nan),
        ("sigma_per_sqrt_hour", np.nan),
        ("depth_at_level", np.nan),
        ("quantity_at_level", np.nan),
    ],
)
def test_a_missing_input_gives_none_and_names_it(name: str, value: float) -> None:
    row = scored(**{name: value}).row(0)
    assert row.score is None
    assert row.band is None
    assert row.missing == (name,)


@pytest.mark.parametrize("side", [1.0, -1.0])
def test_a_liquidation_price_of_0_is_no_number(side: float) -> None:
    """Venues send "0" or "" for none; read as a price it makes every short due."""
    row = scored(side=side, liquidation_price=0.0).row(0)
    assert row.score is None
    assert row.missing == ("liquidation_price",)


def test_components_are_shown_beside_the_score() -> None:
    row = scored().row(0)
    assert row.hit_probability == pytest.approx(2 * norm.cdf(-math.log(100 / 90) / 0.01 / 24**0.5))
    assert row.thinness == 0.2
    assert row.distance == pytest.approx(0.1)
    assert row.distance_sigmas == pytest.approx(math.log(100 / 90) / 0.01 / 24**0.5)
    assert (row.sigma_per_sqrt_hour, row.horizon_h, row.liquidation_price) == (0.01, 24.0, 90.0)
    assert (row.quantity_at_level, row.depth_at_level) == (5.0, 20.0)


def test_the_larger_of_both_probabilities_counts() -> None:
    found = scored(simulated_hit_probability=[0.9, 0.0, np.nan])
    assert found.hit_probability[0] == 0.9
    assert found.hit_probability[1] == found.hit_probability[2] < 0.9


def test_a_thousand_positions_equal_a_thousand_calls() -> None:
    rng = np.random.default_rng(4)
    side = rng.choice([1.0, -1.0], 1000)
    price = 100.0 * np.exp(-side * rng.uniform(0.001, 0.3, 1000))
    sigma, q, depth = rng.uniform(0.001, 0.05, 1000), rng.random(1000), rng.random(1000)
    found = liquidation_risks(
        side=side,
        mark_price=100.0,
        liquidation_price=price,
        sigma_per_sqrt_hour=sigma,
        quantity_at_level=q,
        depth_at_level=depth,
    )
    assert len(found) == 1000
    for k in range(0, 1000, 97):
        alone = scored(
            side=side[k],
            liquidation_price=price[k],
            sigma_per_sqrt_hour=sigma[k],
            quantity_at_level=q[k],
            depth_at_level=depth[k],
        )
        assert alone.score[0] == found.score[k]


def test_thinness_of_nothing_to_close_and_of_an_empty_book() -> None:
    assert thinness([0.0, 1.0, 1.0], [0.0, 0.0, np.inf]).tolist() == [0.0, 1.0, 0.0]
    assert np.isnan(thinness([0.0, -1.0, np.nan], [np.nan, 1.0, 1.0])).all()


def test_kappa_doubles_a_small_chance_in_an_empty_book() -> None:
    assert float(score_of(1e-12, 1.0)) == pytest.approx(2e-10, rel=1e-9)


@pytest.mark.parametrize(
    ("score", "band"),
    [(None, None), (19.9, "low"), (20, "elevated"), (50, "high"), (80, "critical")],
)
def test_bands(score: float | None, band: str | None) -> None:
    assert ScoreParameters().band(score) == band


def test_alarms_come_from_parameters() -> None:
    p = ScoreParameters()
    assert [p.distance_alarm(d) for d in (None, 0.05, 0.1, 0.2)] == [
        None,
        "critical",
        "warn",
        "none",
    ]
    assert [p.margin_alarm(r) for r in (None, 1.0, 0.4, 0.1)] == [None, "critical", "warn", "none"]
    assert ScoreParameters(warn_distance=0.5).distance_alarm(0.4) == "warn"


@pytest.mark.parametrize(
    "wrong",
    [
        {"horizon_h": 0.0},
        {"kappa": -1.0},
        {"high": 90.0},
        {"critical_distance": 0.3},
        {"warn_margin_ratio": 1.0},
    ],
)
def test_contradicting_parameters_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="Expected"):
        ScoreParameters(**wrong)


def test_a_side_that_is_none_is_refused() -> None:
    with pytest.raises(RiskError, match="sides"):
        scored(side=0.0)


def test_account_score_uses_the_joint_distance_of_the_engine() -> None:
    tiers = np.array([(0.0, 1e12, 0.01, 0.0, 50.0)], TIER)
    hedged = np.zeros(2, POSITION)
    hedged["symbol"], hedged["side"], hedged["quantity"] = [0, 1], [1.0, -1.0], 1.0
    hedged["entry"] = hedged["mark"] = 100.0
    hedged["tier_end"] = 1
    wallet = np.array([10.0])
    margins, _ = evaluate(hedged, tiers, wallet)
    down, up = joint_distance(hedged, tiers, wallet)[0]
    assert np.isnan(down)
    account = account_score(-1.0, float(up), sigma_per_sqrt_hour=0.01, thin=0.0)
    legs = scored(
        side=hedged["side"],
        liquidation_price=margins["liquidation_price"],
        quantity_at_level=0.0,
    ).score
    assert account is not None
    assert account < 1e-6 < float(legs.min())


def test_account_score_limits() -> None:
    known = {"sigma_per_sqrt_hour": 0.01, "thin": 0.5}
    assert account_score(None, None, **known, liquidatable_now=True) == 100.0
    assert account_score(-0.1, None, **known) is None
    assert account_score(-0.1, 0.1, sigma_per_sqrt_hour=None, thin=0.5) is None
    assert account_score(-0.1, 0.1, sigma_per_sqrt_hour=math.nan, thin=0.5) is None
    assert account_score(-1.0, math.inf, sigma_per_sqrt_hour=None, thin=None) == 0.0
    assert account_score(0.0, 0.1, **known) == 100.0
    near, far = (account_score(x, math.inf, **known) or 0.0 for x in (-0.02, -0.2))
    assert near > far > 0

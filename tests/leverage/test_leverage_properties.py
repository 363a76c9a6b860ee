"""Section by section the caps are monotone; here the whole way from a market to advice is."""

import math
from dataclasses import dataclass, replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from alphaplus.leverage.dynamic_leverage import LeverageAdvice, LeverageCaps, advise
from alphaplus.leverage.leverage_caps import (
    maintenance_rate,
    margin_survival_cap,
    venue_cap,
    volatility_cap,
)
from alphaplus.leverage.liquidity_cap import BookWalk, liquidity_cap, liquidity_notional
from alphaplus.leverage.portfolio_cap import portfolio_cap
from tests.leverage.map_cases import tiers

TIERS = tiers()


@dataclass(frozen=True, kw_only=True)
class Market:
    sigma: float
    shortfall: float
    correlation: float
    drawdown: float
    fee: float
    funding: float
    depth: float
    volume: float
    score: float
    equity: float


markets = st.builds(
    Market,
    sigma=st.floats(0.05, 3.0),
    shortfall=st.floats(0.001, 0.5),
    correlation=st.floats(-0.9, 0.9),
    drawdown=st.floats(0.0, 0.4),
    fee=st.floats(0.0, 0.002),
    funding=st.floats(-0.002, 0.002),
    depth=st.floats(1e-3, 1e3),
    volume=st.floats(1e4, 1e9),
    score=st.floats(0.0, 1.0),
    equity=st.floats(100.0, 1e6),
)


def advice_for(m: Market) -> LeverageAdvice:
    walk = BookWalk.of(100.0 - 0.02 * np.arange(1, 200), np.full(199, m.depth), 100.0)
    notional = liquidity_notional(walk, m.volume, liquidity_score=m.score)
    rows = TIERS.rows
    return advise(
        LeverageCaps(
            volatility_target=volatility_cap(0.5, m.sigma),
            margin_survival=margin_survival_cap(
                equity=m.equity,
                expected_shortfall=m.shortfall,
                impact=walk.cost,
                maintenance_rate=maintenance_rate(TIERS),
                fee=m.fee,
                funding=m.funding,
            ),
            liquidity=liquidity_cap([notional], [1.0], m.equity),
            portfolio=portfolio_cap(
                [0.6, 0.4],
                [m.shortfall, m.shortfall],
                [[1.0, m.correlation], [m.correlation, 1.0]],
                budget=0.2,
            ),
            venue_maximum=venue_cap(rows["floor"], rows["cap"], rows["max_leverage"], m.equity),
        ),
        m.drawdown,
    )


def leverage(m: Market) -> float:
    found = advice_for(m).leverage
    assert found is not None
    assert math.isfinite(found)
    return found


@settings(max_examples=60)
@given(markets, st.floats(1.0, 3.0))
def test_what_makes_a_market_worse_never_raises_the_advice(m: Market, factor: float) -> None:
    most = leverage(m) * (1 + 1e-9)
    assert leverage(replace(m, sigma=m.sigma * factor)) <= most
    assert leverage(replace(m, shortfall=m.shortfall * factor)) <= most
    assert leverage(replace(m, correlation=m.correlation + 0.05)) <= most
    assert leverage(replace(m, drawdown=m.drawdown * factor)) <= most
    assert leverage(replace(m, fee=m.fee * factor)) <= most
    assert leverage(replace(m, funding=m.funding + factor / 1000)) <= most
    assert leverage(replace(m, depth=m.depth / factor)) <= most
    assert leverage(replace(m, volume=m.volume / factor)) <= most
    assert leverage(replace(m, score=m.score / factor)) <= most


@settings(max_examples=60)
@given(markets, st.floats(1.0, 10.0))
def test_more_equity_never_lowers_the_notional(m: Market, factor: float) -> None:
    richer = replace(m, equity=m.equity * factor)
    least = leverage(m) * m.equity * (1 - 1e-9)
    assert leverage(richer) * richer.equity >= least - 1e-300  # below it floats lose digits


@settings(max_examples=60)
@given(markets)
def test_a_position_at_the_advice_survives_the_move_it_was_made_for(m: Market) -> None:
    """Exposure over equity, so that the setting at the venue does not enter."""
    found = leverage(m)
    notional = found * m.equity
    loss = notional * (m.shortfall + m.fee + max(m.funding, 0.0))
    kept = m.equity - loss
    assert kept >= float(TIERS.maintenance_margin(notional)) * (1 - 1e-9) - 1e-9

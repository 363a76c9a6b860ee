"""A stress run: a shock, the cascade it sets off, and what is left of a portfolio after it.

On each exchange, whose markets share an insurance fund:

1. wallets take what the shock does to them at once (collateral, funding)
2. the cascade runs over all markets at once, through their live ladders and estimated
   liquidation levels (`alphaplus.risk.cascade`)
3. the margin engine values every own account at the final marks; those at or below their margin
   are closed too: their positions join the cascade, which runs again, until nobody is added
4. what stands is valued at the final marks, less what was deleveraged; what was liquidated is lost

A market that lacks an input is left out and named, and every figure that needs it is None.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from alphaplus.errors import RiskError
from alphaplus.leverage.tiers import TierBook
from alphaplus.portfolio.currencies import common_currency
from alphaplus.portfolio.stress_exchange import StressedExchange, StressRules, known
from alphaplus.portfolio.stress_inputs import StressHoldings
from alphaplus.portfolio.stress_markets import Gaps, StressMarkets
from alphaplus.portfolio.stress_outcome import AccountStress, MarketStress, StressOutcome
from alphaplus.portfolio.stress_shocks import StressShock, correlated_shock
from alphaplus.risk.cascade import Cascade

Ints = npt.NDArray[np.int64]

MOST_CELLS: Final = 125
"""Of a grid: a run takes some tens of milliseconds on a hundred markets."""
_MARKET_FIGURES: Final = (
    "liquidated_long",
    "liquidated_short",
    "liquidated_notional",
    "fund_draw",
    "fund_balance",
    "deleveraged_notional",
    "shortfall",
    "worst_amplification",
)
_PORTFOLIO_FIGURES: Final = (
    "equity_before",
    "equity_after",
    "exit_cost",
    "portfolio_loss",
    "portfolio_loss_pct",
    "accounts_liquidated",
    "margin_ratio_after",
)


def run_stress(
    markets: StressMarkets,
    holdings: StressHoldings,
    tiers: Mapping[str, TierBook],
    shock: StressShock,
    rules: StressRules | None = None,
    *,
    now_ns: int | None = None,
) -> StressOutcome:
    """Return what a shock leads to; `tiers` are by exchange, valid at `now_ns`.

    Raises RiskError if the shock is of other markets.
    """
    rules = rules or StressRules()
    if len(shock.returns) != len(markets):
        raise RiskError(f"Expected returns of {len(markets)} markets, was {len(shock.returns)}.")
    gaps = _gaps(markets, shock, rules)
    names = dict.fromkeys((*markets.exchange, *(item.exchange for item in holdings.accounts)))
    found = [
        StressedExchange(
            name,
            markets=markets,
            rows=_usable(markets, gaps, name),
            accounts=[item for item in holdings.accounts if item.exchange == name],
            book=tiers.get(name),
            shock=shock,
            rules=rules,
            now_ns=now_ns,
        )
        for name in names
    ]
    return _outcome(markets, holdings, shock, rules, gaps=gaps, found=found)


def stress_grid(
    markets: StressMarkets,
    holdings: StressHoldings,
    tiers: Mapping[str, TierBook],
    *,
    reference: str,
    shocks: Sequence[float],
    depths: Sequence[float],
    correlations: Sequence[float],
    rules: StressRules | None = None,
    now_ns: int | None = None,
) -> list[dict[str, Any]]:
    """Return the figures of every shock x share of depth x correlation, in this order.

    Raises RiskError for more than `MOST_CELLS` of them.
    """
    cells = [(s, d, c) for s in shocks for d in depths for c in correlations]
    if not 0 < len(cells) <= MOST_CELLS:
        raise RiskError(f"Expected 1 to {MOST_CELLS} cells of a grid, was {len(cells)}.")
    found = []
    for shock, depth, correlation in cells:
        made = correlated_shock(markets, reference, shock, depth, correlation)
        outcome = run_stress(markets, holdings, tiers, made, rules, now_ns=now_ns)
        found.append(
            {
                "shock": shock,
                "depth": depth,
                "correlation": correlation,
                "figures": dict(outcome.figures),
                "missing": {name: list(why) for name, why in outcome.missing.items()},
                "settled": outcome.settled,
            }
        )
    return found


def _gaps(markets: StressMarkets, shock: StressShock, rules: StressRules) -> tuple[Gaps, ...]:
    """Return, by market, why it cannot be simulated."""
    return tuple(
        (
            *markets.gaps[at],
            *(shock.gaps[at] if shock.gaps else ()),
            *(markets.level_gaps[at] if rules.estimated_levels else ()),
        )
        for at in range(len(markets))
    )


def _usable(markets: StressMarkets, gaps: tuple[Gaps, ...], exchange: str) -> Ints:
    rows = [i for i in range(len(markets)) if markets.exchange[i] == exchange and not gaps[i]]
    return np.array(rows, np.int64)


def _outcome(
    markets: StressMarkets,
    holdings: StressHoldings,
    shock: StressShock,
    rules: StressRules,
    *,
    gaps: tuple[Gaps, ...],
    found: Sequence[StressedExchange],
) -> StressOutcome:
    by_name = dict(zip(markets.names, gaps, strict=True))
    market_rows = _market_rows(markets, shock, gaps, found)
    accounts = [item for one in found for item in one.accounts(by_name)]
    market_gaps = tuple(dict.fromkeys(reason for reasons in gaps for reason in reasons))
    currency = common_currency((item.quote for item in holdings.accounts), rules.at_par)
    own_gaps = tuple(
        dict.fromkeys(
            (
                *(reason for item in accounts for reason in item.missing),
                *holdings.left_out,
                *(currency.missing if accounts else ()),
            )
        )
    )
    figures: dict[str, float | None] = dict.fromkeys((*_MARKET_FIGURES, *_PORTFOLIO_FIGURES))
    if not market_gaps:
        figures |= _market_figures(market_rows, found)
    if not own_gaps:
        figures |= _portfolio_figures(accounts, found, shock)
    missing = {
        name: reasons or ("positions",)
        for names, reasons in ((_MARKET_FIGURES, market_gaps), (_PORTFOLIO_FIGURES, own_gaps))
        for name in names
        if figures[name] is None
    }
    return StressOutcome(
        name=shock.name,
        figures=figures,
        missing=missing,
        markets=tuple(market_rows),
        accounts=tuple(accounts),
        assumptions={
            **_assumptions(shock, rules),
            "currency": currency.currency,
            "at_par": list(currency.at_par),
        },
        settled=all(one.cascade is None or one.cascade.settled for one in found),
    )


def _market_rows(
    markets: StressMarkets,
    shock: StressShock,
    gaps: tuple[Gaps, ...],
    found: Sequence[StressedExchange],
) -> list[MarketStress]:
    place = {int(row): (one, at) for one in found for at, row in enumerate(one.rows)}
    rows = []
    for row in range(len(markets)):
        one, at = place.get(row, (None, 0))
        cascade = None if one is None else one.cascade
        asked = float(shock.returns[row])

        def value(name: str, cascade: Cascade | None = cascade, at: int = at) -> float | None:
            return None if cascade is None else known(getattr(cascade, name)[at])

        is_known = not (shock.gaps and shock.gaps[row])
        rows.append(
            MarketStress(
                exchange=markets.exchange[row],
                symbol=markets.symbol[row],
                shock=asked if is_known else None,
                price=known(markets.mark_price[row]),
                final_price=value("final_price"),
                total_move=value("total_move"),
                amplification=value("amplification") if asked else None,
                liquidated_long=value("liquidated_long"),
                liquidated_short=value("liquidated_short"),
                missing=gaps[row],
            )
        )
    return rows


def _market_figures(
    rows: Sequence[MarketStress], found: Sequence[StressedExchange]
) -> dict[str, float | None]:
    cascades = [one.cascade for one in found if one.cascade is not None]
    long = sum(float(item.liquidated_long.sum()) for item in cascades)
    short = sum(float(item.liquidated_short.sum()) for item in cascades)
    amplifications = [row.amplification for row in rows if row.amplification is not None]
    return {
        "liquidated_long": long,
        "liquidated_short": short,
        "liquidated_notional": long + short,
        "fund_draw": sum(item.fund_draw for item in cascades),
        "fund_balance": sum(item.fund_balance for item in cascades),
        "deleveraged_notional": sum(item.adl_value for item in cascades),
        "shortfall": sum(item.residual_deficit for item in cascades),
        "worst_amplification": max(amplifications, default=None),
    }


def _portfolio_figures(
    accounts: Sequence[AccountStress], found: Sequence[StressedExchange], shock: StressShock
) -> dict[str, float | None]:
    if not accounts:
        return {}
    before = math.fsum(item.equity_before or 0.0 for item in accounts)
    loss = math.fsum(item.loss or 0.0 for item in accounts)
    exit_cost = float(sum(one.exit_cost().sum() for one in found))
    if shock.close_all:
        loss += exit_cost
    ratios = [item.margin_ratio_after for item in accounts if item.margin_ratio_after is not None]
    return {
        "equity_before": before,
        "equity_after": before - loss,
        "exit_cost": known(exit_cost),
        "portfolio_loss": known(loss),
        "portfolio_loss_pct": known(loss / before) if before > 0 else None,
        "accounts_liquidated": float(sum("liquidated" in item.state for item in accounts)),
        "margin_ratio_after": max(ratios, default=None),
    }


def _assumptions(shock: StressShock, rules: StressRules) -> dict[str, Any]:
    cascade = rules.cascade
    return {
        "depth": shock.depth,
        "close_all": shock.close_all,
        "funding": shock.funding,
        "collateral": shock.collateral,
        "outage": shock.outage,
        "insurance_fund": rules.insurance_fund,
        "levels": "estimated" if rules.estimated_levels else "none",
        "impact": cascade.impact,
        "withdrawal": cascade.withdrawal,
        "withdrawal_floor": cascade.withdrawal_floor,
        "mark_weight": cascade.mark_weight,
        "liquidated": "what backs it is lost whole; no partial liquidation",
        "deleveraging": "own positions with a gain before those of estimated levels",
    }

"""What risk costs on one core: `python -m benchmarks.risk [--json]`.

metrics      every metric of a portfolio from its inputs: scenarios revalued, covariance taken
             apart, reports written
incremental  the mark of one symbol moves and every metric is reported again
cascade      one shock to all symbols, followed until nothing more is liquidated
positions    liquidation price and score of every position, in accounts that share their margin

Each row has its sizes, the median and the slowest of its runs, and its target. Times are of this
process with one thread; what has not been compiled before is, untimed.
"""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before numpy: the claims are for one core

import argparse
import json
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from alphaplus.leverage.engine import POSITION, MarginState, evaluate
from alphaplus.leverage.level_liquidity import Ladder, level_liquidity
from alphaplus.leverage.risk_score import liquidation_risks
from alphaplus.leverage.tiers import LeverageTier, TierTable
from alphaplus.risk.cascade import Accounts, Market, simulate
from alphaplus.risk.impact import Depth
from alphaplus.risk.portfolio_inputs import PortfolioInputs
from alphaplus.risk.portfolio_risk import PortfolioRisk
from alphaplus.risk.revaluation import Floats, Positions
from alphaplus.risk.scenarios import (
    alt_shocks,
    beta_shocks,
    common_shocks,
    dear_funding,
    outages,
    stablecoin_break,
    thin_books,
    together,
)

SYMBOLS: Final = 100
POSITIONS: Final = 1000
SCENARIOS: Final = 1000
ACCOUNTS_PER_SYMBOL: Final = 200
ACCOUNTS: Final = 500
TIERS: Final = (
    (0.0, 50_000.0, 0.004, 125),
    (50_000.0, 600_000.0, 0.005, 100),
    (600_000.0, 3_000_000.0, 0.01, 50),
    (3_000_000.0, 12_000_000.0, 0.025, 20),
    (12_000_000.0, 70_000_000.0, 0.05, 10),
)
"""Floor, cap, maintenance rate and most leverage."""
DAYS: Final = 365
SEED: Final = 11


@dataclass(frozen=True, slots=True)
class Row:
    """One thing that is timed: what is run, how large it is, and how fast it should be."""

    name: str
    run: Callable[[], object]
    target_ms: float
    sizes: dict[str, int]


Setup = Callable[[], Row]
SETUPS: Final[list[Setup]] = []


def register(setup: Setup) -> Setup:
    """Add a row to the benchmark; `setup` makes its inputs and returns what is timed."""
    SETUPS.append(setup)
    return setup


def portfolio(
    symbols: int = SYMBOLS, positions: int = POSITIONS, scenarios: int = SCENARIOS
) -> tuple[PortfolioInputs, Floats]:
    """Return a made-up portfolio in which no input is missing, and its marks."""
    source = np.random.default_rng(SEED)
    marks = source.lognormal(3, 2, symbols)
    common = source.standard_t(4, (scenarios, 1)) * 0.02
    daily = np.clip(common + source.standard_t(4, (scenarios, symbols)) * 0.02, -0.9, 3.0)
    held = np.concatenate([np.arange(symbols), source.integers(0, symbols, positions)])[:positions]
    side = source.choice([-1.0, 1.0], positions)
    inverse = source.random(symbols) < 0.1
    notional = source.lognormal(9, 1, positions)
    entry = marks[held] * source.uniform(0.9, 1.1, positions)
    betas = source.uniform(0.5, 1.8, symbols)
    sigma = daily.std(axis=0)
    volume = 1e8 / marks
    stress = (
        *common_shocks(symbols),
        *beta_shocks(betas),
        *alt_shocks(symbols, 0),
        *together(sigma),
        *thin_books(symbols),
        dear_funding(symbols),
        stablecoin_break(symbols),
        *outages(symbols, ("a", "b", "c")),
    )
    inputs = PortfolioInputs(
        symbols=tuple(f"S{number}-USDT-PERP" for number in range(symbols)),
        inverse=inverse,
        positions=Positions.of(
            held,
            side,
            np.where(inverse[held], notional, notional / marks[held]),
            entry,
            source.integers(0, 3, positions),
        ),
        scenarios={"1d": daily, "1h": daily / 24**0.5},
        wallet_balance=float(notional.sum()) / 3,
        coins=np.where(inverse, 10_000.0 / marks, 0.0),
        covariance=np.cov(daily.T),
        betas=betas,
        daily_volume=np.full(symbols, 1e8),
        depth=Depth.of_power_law(1e7 / marks, 1.16, sigma, volume),
        funding_rates=source.normal(1e-4, 1e-4, symbols),
        liquidation_prices=marks[held] * (1 - side * source.uniform(0.02, 0.5, positions)),
        maintenance_rate=source.uniform(0.004, 0.02, positions),
        maintenance_amount=np.zeros(positions),
        leverage=source.uniform(1, 20, positions),
        equity_curve=1e6 * np.cumprod(1 + source.normal(0, 0.02, DAYS)),
        stress=stress,
    )
    return inputs, marks


def market(symbols: int = SYMBOLS, accounts: int = ACCOUNTS_PER_SYMBOL) -> Market:
    """Return a made-up market with so many leveraged accounts in each symbol."""
    source = np.random.default_rng(SEED)
    count = symbols * accounts
    side = source.choice([-1.0, 1.0], count)
    trigger = 100 * (1 - side * source.uniform(0.005, 0.3, count))
    return Market(
        prices=np.full(symbols, 100.0),
        depth=Depth.of_power_law(
            np.full(symbols, 4e4), 1.16, np.full(symbols, 0.04), np.full(symbols, 1e5)
        ),
        accounts=Accounts.of(
            np.repeat(np.arange(symbols), accounts),
            side,
            source.lognormal(1, 1, count),
            trigger,
            trigger * (1 - side * 0.005),
            adl_rank=source.random(count),
        ),
        fund=1e4,
    )


@register
def metrics() -> Row:
    """Every metric from the inputs."""
    inputs, marks = portfolio()
    sizes = {"symbols": SYMBOLS, "positions": POSITIONS, "scenarios": SCENARIOS}
    return Row("metrics", lambda: PortfolioRisk(inputs, marks).report(0), 50.0, sizes)


@register
def incremental() -> Row:
    """Every metric after one mark."""
    inputs, marks = portfolio()
    risk = PortfolioRisk(inputs, marks)
    source = np.random.default_rng(SEED)

    def run() -> object:
        symbol = int(source.integers(SYMBOLS))
        risk.move(symbol, marks[symbol] * (1 + 0.01 * source.standard_normal()))
        return risk.report(0)

    sizes = {"symbols": SYMBOLS, "positions": POSITIONS, "scenarios": SCENARIOS}
    return Row("incremental", run, 1.0, sizes)


@register
def cascade() -> Row:
    """A fall of a tenth in all symbols."""
    made = market()
    shocks = np.full(SYMBOLS, -0.1)
    sizes = {"symbols": SYMBOLS, "accounts": SYMBOLS * ACCOUNTS_PER_SYMBOL}
    return Row("cascade", lambda: simulate(made, shocks), 100.0, sizes)


@register
def positions() -> Row:
    """Liquidation prices from the margin engine, liquidity at them, and scores."""
    source = np.random.default_rng(SEED)
    table = TierTable.of(
        "S/USDT:USDT",
        [
            LeverageTier(
                min_notional=floor,
                max_notional=cap,
                maintenance_margin_rate=rate,
                max_leverage=leverage,
            )
            for floor, cap, rate, leverage in TIERS
        ],
    )
    rows = np.zeros(POSITIONS, POSITION)
    rows["bucket"] = np.arange(POSITIONS) % ACCOUNTS
    rows["symbol"] = np.arange(POSITIONS) // ACCOUNTS
    rows["side"] = source.choice([-1.0, 1.0], ACCOUNTS)[rows["bucket"]]
    rows["mark"] = 100.0
    rows["entry"] = source.uniform(95, 105, POSITIONS)
    rows["quantity"] = source.lognormal(10, 2, POSITIONS) / rows["mark"]
    rows["initial_rate"] = 0.1
    rows["tier_end"] = len(table.rows)
    notional = np.bincount(rows["bucket"], rows["quantity"] * rows["mark"], ACCOUNTS)
    wallets = source.uniform(0.05, 0.3, ACCOUNTS) * notional
    prices = np.arange(1, 1001) / 100
    bids = Ladder.of(100 - prices, np.full(1000, 50.0))
    asks = Ladder.of(100 + prices, np.full(1000, 50.0))

    def run() -> object:
        margins, _ = evaluate(rows, table.rows, wallets)
        liquidity = level_liquidity(
            rows["side"], margins["liquidation_price"], rows["quantity"], bids=bids, asks=asks
        )
        return liquidation_risks(
            side=rows["side"],
            mark_price=rows["mark"],
            liquidation_price=margins["liquidation_price"],
            sigma_per_sqrt_hour=0.01,
            quantity_at_level=liquidity.to_close,
            depth_at_level=liquidity.depth,
            no_liquidation_price=margins["state"] == MarginState.NO_LIQUIDATION_PRICE,
            liquidatable_now=margins["state"] == MarginState.LIQUIDATABLE_NOW,
        )

    return Row("positions", run, 5.0, {"positions": POSITIONS, "accounts": ACCOUNTS})


def timed(row: Row, runs: int) -> dict[str, Any]:
    """Return a row's sizes, times in ms, and whether the median meets its target."""
    row.run()
    times = []
    for _ in range(runs):
        begin = time.perf_counter_ns()
        row.run()
        times.append((time.perf_counter_ns() - begin) / 1e6)
    median = statistics.median(times)
    return {
        "name": row.name,
        **row.sizes,
        "runs": runs,
        "median_ms": round(median, 4),
        "fastest_ms": round(min(times), 4),
        "slowest_ms": round(max(times), 4),
        "target_ms": row.target_ms,
        "reached": median <= row.target_ms,
    }


def main() -> None:
    """Time every row and print what was found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="one line of JSON")
    parser.add_argument("--runs", type=int, default=50)
    arguments = parser.parse_args()
    result = {
        "benchmark": "risk",
        "threads": os.environ["OPENBLAS_NUM_THREADS"],
        "cpus": os.cpu_count(),
        "rows": [timed(setup(), arguments.runs) for setup in SETUPS],
    }
    print(json.dumps(result) if arguments.json else json.dumps(result, indent=2))


if __name__ == "__main__":
    main()

"""One exchange in a stress run: its cascade, repeated until no other own account goes with it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from alphaplus.leverage.tiers import TierBook
from alphaplus.portfolio.stress_holdings import Closed, Flags, Holdings, Valued
from alphaplus.portfolio.stress_inputs import StressAccount
from alphaplus.portfolio.stress_markets import Gaps, StressMarkets
from alphaplus.portfolio.stress_outcome import AccountStress
from alphaplus.portfolio.stress_shocks import StressShock
from alphaplus.risk.cascade import Accounts, Cascade, Market, Rules, simulate
from alphaplus.risk.impact import Depth, exit_costs

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_NUDGE: Final = 1e-12
"""Shock of a market that only own orders move: the cascade looks at none that is not shocked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StressRules:
    """What a run assumes; stated in its outcome."""

    insurance_fund: float = 0.0
    """Balance of each exchange's fund, quote currency; unknown in truth, 0 is the worst case."""
    estimated_levels: bool = True
    """Whether the estimated levels of others take part; without, only own positions do."""
    at_par: tuple[str, ...] = ()
    """Currencies that count as one in the totals."""
    cascade: Rules = field(default_factory=Rules)


class StressedExchange:
    """One exchange's markets, accounts and fund, run to the end when it is made."""

    def __init__(
        self,
        name: str,
        *,
        markets: StressMarkets,
        rows: Ints,
        accounts: Sequence[StressAccount],
        book: TierBook | None,
        shock: StressShock,
        rules: StressRules,
        now_ns: int | None,
    ) -> None:
        self.name = name
        self.rows = rows
        self.holdings = Holdings(accounts, markets, rows, shock=shock, book=book, now_ns=now_ns)
        self._markets, self._shock, self._rules = markets, shock, rules
        self._depth = _subset(markets.depth, rows)
        self._levels = _levels(markets, rows) if rules.estimated_levels else _nothing()
        self.before = self.holdings.before()
        self.holdings.rank(self.holdings.marks * (1.0 + self.holdings.returns))
        self.taken: Flags = self.before.taken.copy()
        self.closed = Closed(quantity=np.zeros(0), value=np.zeros(0))
        self.cascade: Cascade | None = None
        self.marks = self.holdings.marks
        self.after = self._run()

    def _run(self) -> Valued:
        """Repeat the cascade until its marks liquidate no other own account."""
        self.taken |= self.holdings.at(self.marks).taken
        while True:
            if len(self.rows):
                self._simulate()
            after = self.holdings.at(self.marks, self.closed if len(self.rows) else None)
            if not (after.taken & ~self.taken).any():
                return after
            self.taken = self.taken | after.taken

    def _simulate(self) -> None:
        holdings = self.holdings
        forced = holdings.forced(self.taken, self.marks)
        standing = holdings.standing(self.taken)
        first = len(self._levels[0])
        columns = [
            np.concatenate(parts)
            for parts in zip(
                self._levels,
                *(
                    (item.market, item.side, item.quantity, item.trigger_price,
                     item.bankruptcy_price, item.adl_rank)
                    for item in (forced, standing)
                ),
                strict=True,
            )
        ]  # fmt: skip
        market = Market(
            prices=holdings.marks,
            depth=self._depth,
            accounts=Accounts.of(*columns[:5], adl_rank=columns[5]),
            fund=self._rules.insurance_fund,
            survival=self._shock.depth,
            rules=self._rules.cascade,
        )
        returns = holdings.returns.copy()
        pressed = np.bincount(forced.market, -forced.side * forced.quantity, len(returns))
        returns[returns == 0] = _NUDGE * np.sign(pressed[returns == 0])
        self.cascade = cascade = simulate(market, returns)
        self.marks = cascade.final_mark
        own = slice(first + len(forced.market), None)
        quantity = np.zeros(len(holdings.market))
        value = np.zeros(len(holdings.market))
        start, end = cascade.initial_price[standing.market], cascade.final_price[standing.market]
        closed = cascade.adl_quantity[own]
        held = standing.quantity - closed
        quantity[standing.position] = closed
        value[standing.position] = np.where(
            closed > 0,
            standing.side * cascade.account_pnl[own] + closed * start - held * (end - start),
            0.0,
        )
        self.closed = Closed(quantity=quantity, value=value)

    def exit_cost(self) -> Floats:
        """Return, by account, what it costs to close all that stands, at the depth that is left."""
        holdings = self.holdings
        stands = ~self.taken[holdings.bucket_of_positions()]
        notional = np.where(stands, holdings.side * holdings.notional(self.marks), 0.0)
        cost = np.zeros(len(notional))
        for at in range(len(self.rows)):
            own = holdings.market == at
            total = float(np.abs(notional[own]).sum())
            if total == 0:
                continue
            by_market = np.zeros(len(self.rows))
            by_market[at] = notional[own].sum()
            paid = exit_costs(self._depth, by_market, self.marks, survival=self._shock.depth)[at]
            cost[own] = paid * np.abs(notional[own]) / total
        cost[holdings.market < 0] = math.nan
        return holdings.by_account(cost)

    def accounts(self, gaps: Mapping[str, Gaps]) -> list[AccountStress]:
        """Return every account as it ends."""
        holdings = self.holdings
        before = holdings.equity_before(self.before)
        after = holdings.equity_after(self.before, self.after, self.taken, self.marks)
        position_taken = self.taken[holdings.bucket_of_positions()]
        liquidated = holdings.by_account(holdings.notional(self.marks) * position_taken)
        deleveraged = np.zeros(len(before))
        if len(self.closed.value) == len(holdings.market):
            deleveraged = holdings.by_account(self.closed.value)
        found = []
        for at, item in enumerate(holdings.accounts):
            missing = self._missing(at, gaps)
            loss = known(before[at] - after[at])
            if loss is not None and self._shock.outage == self.name:
                loss = max(loss, 0.0)
            if missing:
                loss = None
            own = holdings.buckets_of(at)
            found.append(
                AccountStress(
                    name=item.name,
                    exchange=item.exchange,
                    state="unknown" if missing else _state(self.taken[own]),
                    equity_before=known(before[at]),
                    equity_after=None if loss is None else known(before[at] - loss),
                    loss=loss,
                    margin_ratio_before=holdings.margin_ratio(self.before, at),
                    margin_ratio_after=None
                    if missing
                    else holdings.margin_ratio(self.after, at, self.taken),
                    liquidated_notional=None if missing else known(liquidated[at]),
                    deleveraged_notional=None if missing else known(deleveraged[at]),
                    missing=missing,
                )
            )
        return found

    def _missing(self, account: int, gaps: Mapping[str, Gaps]) -> Gaps:
        """Return why an account is not known after the shock."""
        holdings = self.holdings
        found: list[str] = []
        for row in np.flatnonzero(holdings.position_account == account).tolist():
            symbol = holdings.symbols[row]
            if holdings.market[row] < 0:
                name = f"{self.name}:{symbol}"
                found += gaps.get(name, (f"market {name}",))
            else:
                found += holdings.reasons[row]
                if self._shock.funding and not np.isfinite(self._rate(row)):
                    found.append(f"funding_rate of {self.name}:{symbol}")
        return tuple(dict.fromkeys(found))

    def _rate(self, position: int) -> float:
        return float(self._markets.funding_rate[self.rows[self.holdings.market[position]]])


def _subset(depth: Depth, rows: Ints) -> Depth:
    return Depth(
        distance=depth.distance[rows],
        quantity=depth.quantity[rows],
        sigma=depth.sigma[rows],
        volume=depth.volume[rows],
    )


def _nothing() -> tuple[npt.NDArray[Any], ...]:
    return (np.zeros(0, np.int64), *(np.zeros(0) for _ in range(5)))


def _levels(markets: StressMarkets, rows: Ints) -> tuple[npt.NDArray[Any], ...]:
    """Return market, side, quantity, trigger, bankruptcy price and rank of all levels."""
    found = [(at, markets.levels[row]) for at, row in enumerate(rows.tolist())]
    known = [(at, item) for at, item in found if item is not None]
    if not known:
        return _nothing()
    columns = ("side", "quantity", "price", "bankruptcy_price")
    count = sum(len(item.side) for _, item in known)
    return (
        np.concatenate([np.full(len(item.side), at, np.int64) for at, item in known]),
        *(np.concatenate([getattr(item, name) for _, item in known]) for name in columns),
        np.zeros(count),
    )


def _state(taken: Flags) -> str:
    if not taken.any():
        return "standing"
    return "liquidated" if taken.all() else "partly_liquidated"


def known(value: Any) -> float | None:
    """Return a finite number, or None."""
    number = float(value)
    return number if math.isfinite(number) else None

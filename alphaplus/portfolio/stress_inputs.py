"""What the desk gives to a stress run, which runs elsewhere: plain values that cross processes."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from alphaplus.leverage.account import MarginAccount, is_inverse, pair_of
from alphaplus.leverage.tiers import TierBook


@dataclass(frozen=True, slots=True, kw_only=True)
class StressAccount:
    """An account of the portfolio on an exchange that is watched."""

    name: str
    exchange: str
    account: MarginAccount

    @property
    def quote(self) -> str | None:
        """The currency that its values are in; None if no position says so."""
        for position in self.account.positions:
            pair = pair_of(position.symbol)
            if pair is not None:
                return pair[1] if is_inverse(position, self.account.profile) else pair[2]
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class StressHoldings:
    """A portfolio as a stress run takes it."""

    accounts: tuple[StressAccount, ...] = ()
    left_out: tuple[str, ...] = ()
    """What is missing of accounts that are not among these: no total is known without it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StressInputs:
    """Everything that a stress run takes of a portfolio and of all markets."""

    rows: tuple[np.void, ...]
    """`MARKET_RISK` of every market that is watched."""
    tiers: Mapping[str, TierBook]
    """By exchange."""
    betas: Mapping[str, float]
    """To the reference asset, by market; only those that are known."""
    funding_rates: Mapping[str, float]
    """Of the next interval, by market; only those that are known."""
    holdings: StressHoldings
    sigmas: Mapping[str, float] = field(default_factory=dict)
    """Volatility per square root of an hour by market, live or of history; in place of live."""
    at_par: tuple[str, ...] = ()
    """Currencies that count as one."""

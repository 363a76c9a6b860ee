"""What of a portfolio's inputs changes with its accounts and with histories only.

These are the same objects from one report to the next, so that nothing is taken apart twice.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from alphaplus.instruments import Instrument
from alphaplus.portfolio.accounts import Account
from alphaplus.portfolio.models import REFERENCE, MarketModels
from alphaplus.risk import scenarios
from alphaplus.risk.portfolio_inputs import PortfolioInputs
from alphaplus.risk.revaluation import Positions
from alphaplus.risk.scenarios import Scenario

Floats = npt.NDArray[np.float64]
Reasons = tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SlowInputs:
    """The inputs that stay, and the stress scenarios that could not be made."""

    inputs: PortfolioInputs
    left_out: Reasons
    """Scenarios without the inputs they need, and which those are."""


def slow_inputs(
    accounts: Sequence[Account], instruments: Sequence[Instrument], models: MarketModels
) -> SlowInputs:
    """Return the inputs of `accounts` in the markets of `instruments`, under some models."""
    keys = tuple(item.key for item in instruments)
    found, covariance, unknown = _by_model(keys, models)
    betas = np.array([models.betas.get(key, np.nan) for key in keys], np.float64)
    exchanges = tuple(dict.fromkeys(account.exchange for account in accounts))
    sigma = None if covariance is None else np.sqrt(np.diag(covariance))
    stress, left_out = _stress(keys, betas, sigma, exchanges, models)
    leverage = [item.leverage for account in accounts for item in account.positions]
    inputs = PortfolioInputs(
        symbols=keys,
        inverse=np.array([item.inverse for item in instruments], np.bool_),
        positions=_positions(accounts, keys, exchanges),
        scenarios=found,
        scenario_method=models.model,
        covariance=covariance,
        betas=betas,
        leverage=np.array(leverage, np.float64),
        stress=stress,
        observations={name: item.n_obs for name, item in models.scenarios.items()},
        unknown=unknown,
    )
    return SlowInputs(inputs=inputs, left_out=left_out)


def _by_model(
    keys: Sequence[str], models: MarketModels
) -> tuple[dict[str, Floats], Floats | None, dict[str, Reasons]]:
    """Return simple returns by horizon, the covariance, and why either is missing."""
    found: dict[str, Floats] = {}
    unknown: dict[str, Reasons] = {}
    absent = tuple(reason for key in keys if (reason := models.reason(key)))
    for horizon in ("1d", "1h"):
        known = models.scenarios.get(horizon)
        if absent or known is None:
            gap = models.gaps.get(horizon, f"{horizon} scenarios by {models.model}")
            unknown[horizon] = absent or (gap,)
        else:
            columns = [known.symbols.index(key) for key in keys]
            found[horizon] = np.expm1(known.returns[:, columns])
    if absent or models.covariance is None:
        unknown["covariance"] = absent or ("daily scenarios",)
        return found, None, unknown
    places = [models.markets.index(key) for key in keys]
    return found, models.covariance.matrix[np.ix_(places, places)], unknown


def _positions(
    accounts: Sequence[Account], keys: Sequence[str], exchanges: Sequence[str]
) -> Positions:
    """Return all positions as columns, in order of the accounts."""
    held = [(account, item) for account in accounts for item in account.positions]
    place = {key: at for at, key in enumerate(keys)}
    return Positions.of(
        np.array([place[item.key] for _, item in held], np.int64),
        np.array([item.side for _, item in held], np.float64),
        np.array([item.size for _, item in held], np.float64),
        np.array([item.entry_price for _, item in held], np.float64),
        np.array([exchanges.index(account.exchange) for account, _ in held], np.int64),
    )


def _stress(
    keys: tuple[str, ...],
    betas: Floats,
    sigma: Floats | None,
    exchanges: Sequence[str],
    models: MarketModels,
) -> tuple[tuple[Scenario, ...], Reasons]:
    """Return the named scenarios, without those whose inputs are not known."""
    count, left_out = len(keys), []
    found = [
        *scenarios.common_shocks(count),
        *scenarios.thin_books(count),
        scenarios.dear_funding(count),
        scenarios.stablecoin_break(count),
        *scenarios.outages(count, exchanges),
    ]
    if np.isfinite(betas).all():
        found += scenarios.beta_shocks(betas)
    else:
        unknown = ", ".join(keys[at] for at in np.flatnonzero(~np.isfinite(betas)).tolist())
        left_out.append(f"btc_*: beta of {unknown}")
    if sigma is not None:
        found += scenarios.together(sigma)
    else:
        left_out.append("correlation_one_*: daily volatility")
    replays, absent = models.replays, [key for key in keys if models.reason(key)]
    if replays is None or absent:
        left_out.append(f"replay_*: whole days of {', '.join(absent) or 'history'}")
    else:
        found += scenarios.replayed(replays.names, replays.of(keys))
    reference = next((at for at, key in enumerate(keys) if _is_reference(key)), None)
    if reference is not None:
        found += scenarios.alt_shocks(count, reference)
    return tuple(found), tuple(left_out)


def _is_reference(key: str) -> bool:
    return key.partition(":")[2].startswith(f"{REFERENCE}-")

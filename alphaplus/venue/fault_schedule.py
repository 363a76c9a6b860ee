"""Faults by a seed: which, when and on whom, the same for the same seed.

    plan_faults(seed=7, symbols=["BTCUSDT"], length_s=60, per_minute={FaultKind.DROP_FRAME: 6})

Each kind comes at random moments at its own rate (a Poisson process) and draws from a stream of
its own, so another kind or another rate beside it changes nothing of it.
"""

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from alphaplus.errors import ConfigError
from alphaplus.venue.faults import OF_FRAMES, OF_SYMBOLS, FaultKind, FaultOrder, fault_kind

MAX_LENGTH_S: Final = 86_400.0
MAX_PER_MINUTE: Final = 600.0
LASTING_S: Final = {
    FaultKind.STALL_SOCKET: (1.0, 4.0),
    FaultKind.SLOW_REST: (2.0, 6.0),
    FaultKind.FAILING_REST: (1.0, 3.0),
    FaultKind.RATE_LIMIT: (1.0, 3.0),
    FaultKind.CLOCK_SKEW: (2.0, 10.0),
    FaultKind.OUTAGE: (1.0, 3.0),
}
"""How long each lasts, least and most, drawn evenly."""
DELAY_S: Final = (0.1, 1.0)
SKEW_S: Final = (-5.0, 5.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedFault:
    """A fault and when it is due, seconds after the beginning of its plan."""

    at_s: float
    order: FaultOrder

    def view(self) -> dict[str, Any]:
        """Return it as the control answers it."""
        return {"at_s": self.at_s, **self.order.view()}


def plan_faults(
    *,
    seed: int,
    symbols: Sequence[str],
    length_s: float,
    per_minute: Mapping[FaultKind, float],
    start_s: float = 0.0,
) -> tuple[PlannedFault, ...]:
    """Return the faults of [start_s, start_s + length_s), in order of time.

    `per_minute` is each kind's rate on the whole venue; a fault of a symbol falls on any of
    `symbols` alike. Raises ConfigError for what is out of range.
    """
    if seed < 0:
        raise ConfigError(f"Expected a fault seed of 0 or more, was {seed}.")
    if not symbols:
        raise ConfigError("Expected at least one symbol to have faults, was none.")
    for name, value in (("start_s", start_s), ("length_s", length_s)):
        if not 0 <= value <= MAX_LENGTH_S:  # a nan is refused too
            raise ConfigError(f"Expected {name} from 0 to {MAX_LENGTH_S:g}, was {value}.")
    planned: list[PlannedFault] = []
    for kind, rate in per_minute.items():
        if not 0 <= rate <= MAX_PER_MINUTE:
            raise ConfigError(
                f"Expected {kind} from 0 to {MAX_PER_MINUTE:g} times a minute, was {rate}."
            )
        chance = random.Random(f"{seed}/{kind}")
        at = start_s
        while rate and (at := at + chance.expovariate(rate / 60.0)) < start_s + length_s:
            planned.append(PlannedFault(at_s=round(at, 3), order=_drawn(kind, symbols, chance)))
    return tuple(sorted(planned, key=lambda item: (item.at_s, item.order.kind)))


def read_rates(rates: Mapping[str, Any]) -> dict[FaultKind, float]:
    """Return rates by kind; raises ConfigError for an unknown kind or what is no number."""
    found: dict[FaultKind, float] = {}
    for name, value in rates.items():
        kind = fault_kind(name)
        try:
            found[kind] = math.nan if isinstance(value, bool) else float(value)
        except (TypeError, ValueError):
            raise ConfigError(
                f"Expected {kind} to be a number of times a minute, was {value!r}."
            ) from None
    return found


def _drawn(kind: FaultKind, symbols: Sequence[str], chance: random.Random) -> FaultOrder:
    symbol = chance.choice(symbols) if kind in OF_SYMBOLS else None
    if kind in OF_FRAMES:
        return FaultOrder(kind=kind, symbol=symbol)
    return FaultOrder(
        kind=kind,
        symbol=symbol,
        for_s=round(chance.uniform(*LASTING_S[kind]), 3),
        delay_s=round(chance.uniform(*DELAY_S), 3) if kind is FaultKind.SLOW_REST else 0.0,
        status={
            FaultKind.FAILING_REST: chance.choice((500, 502, 503)),
            FaultKind.RATE_LIMIT: chance.choice((418, 429)),
        }.get(kind, 0),
        retry_after_s=chance.randint(1, 2) if kind is FaultKind.RATE_LIMIT else 0,
        skew_s=round(chance.uniform(*SKEW_S), 3) if kind is FaultKind.CLOCK_SKEW else 0.0,
    )

"""What is killed when, and how often each fault comes: by a seed."""

import random
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from alphaplus.venue.faults import FaultKind


class Target(StrEnum):
    """What is killed, with SIGKILL."""

    SYMBOL = "symbol"
    FEED = "feed"
    STORE = "store"
    PORTFOLIO = "portfolio"
    DATABASE = "database"
    JOB = "job"
    HEAD = "head"
    """All of Ray with everything on it; once, after the others."""


SHARES: Final = {
    Target.SYMBOL: 3,
    Target.FEED: 2,
    Target.STORE: 2,
    Target.PORTFOLIO: 2,
    Target.DATABASE: 2,
    Target.JOB: 1,
}
"""How often each is killed in one round of kills."""
SPACING_S: Final = 9.0
"""Mean time between two kills."""
PER_MINUTE: Final = {
    FaultKind.DROP_FRAME: 6.0,
    FaultKind.DUPLICATE_FRAME: 6.0,
    FaultKind.REORDER_FRAMES: 4.0,
    FaultKind.TORN_JSON: 4.0,
    FaultKind.WRONG_PRICE: 3.0,
    FaultKind.WRONG_SIZE: 3.0,
    FaultKind.WRONG_SEQUENCE: 4.0,
    FaultKind.CLOSE_SOCKET: 1.0,
    FaultKind.STALL_SOCKET: 1.0,
    FaultKind.SLOW_REST: 1.0,
    FaultKind.FAILING_REST: 1.0,
    FaultKind.RATE_LIMIT: 1.0,
    FaultKind.CLOCK_SKEW: 1.0,
    FaultKind.OUTAGE: 0.5,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Kill:
    """What is killed, and when, seconds after the beginning; `draw` picks one of several."""

    at_s: float
    target: Target
    draw: float


def plan_kills(seed: int, length_s: float) -> tuple[Kill, ...]:
    """Return the kills of a run, in order: every target at least once, then by its share.

    They come about `SPACING_S` apart, closer where the run is too short for all targets.
    """
    chance = random.Random(f"{seed}/kills")
    count = max(len(SHARES), int(length_s / SPACING_S))
    rest = [target for target, share in SHARES.items() for _ in range(share - 1)]
    targets = list(SHARES)
    while len(targets) < count:
        chance.shuffle(rest)
        targets += rest[: count - len(targets)]
    chance.shuffle(targets)
    step = length_s / count
    return tuple(
        Kill(
            at_s=round((number + chance.uniform(0.1, 0.9)) * step, 3),
            target=target,
            draw=chance.random(),
        )
        for number, target in enumerate(targets)
    )

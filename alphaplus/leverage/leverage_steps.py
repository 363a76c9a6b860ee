"""From advice to leverage that is held: cuts at once, raises in steps, nothing within a band.

One state per symbol, position or portfolio; `step` is the only way from one to the next:

1. The advice is unknown: leverage is unknown too, what was held is remembered.
2. Nothing is held yet: the advice is taken.
3. The advice is below: a cut to it, at once if anything but the volatility target binds or a
   drawdown throttles; otherwise only if it is out of the band.
4. The advice is above: a raise of at most the step, if it is out of the band, the last cut is a
   cooldown ago and the last raise an interval ago; otherwise held.

Constant advice comes to rest: raises end within the band below it, cuts end on it.
"""

from collections.abc import Hashable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from alphaplus.errors import ConfigError
from alphaplus.leverage.dynamic_leverage import Cap, LeverageAdvice
from alphaplus.leverage.parameters import above_zero, at_least_zero

_NS_PER_S: Final = 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class StepParameters:
    """Conventions of the steps; raises ConfigError on what is out of range."""

    raise_step: float = 0.10
    """Largest raise at once, a fraction of what is held."""
    band: float = 0.05
    """Relative change of the advice that is ignored."""
    cooldown_s: float = 900.0
    """After any cut, before the next raise."""
    raise_every_s: float = 60.0
    restart: float = 0.10
    """Leverage that a raise may always reach, as steps from near 0 would take for ever."""

    def __post_init__(self) -> None:
        above_zero("raise_step", self.raise_step)
        above_zero("restart", self.restart)
        at_least_zero("cooldown_s", self.cooldown_s)
        at_least_zero("raise_every_s", self.raise_every_s)
        if not 0 <= self.band < 1:
            raise ConfigError(f"Expected band in [0, 1), was {self.band}.")


DEFAULT_PARAMETERS: Final = StepParameters()


class Action(StrEnum):
    """What a step did."""

    UNKNOWN = "unknown"
    STARTED = "started"
    CUT = "cut"
    RAISED = "raised"
    HELD = "held"
    COOLING = "cooling"
    """A raise is due but waits for the cooldown or the interval."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LeverageState:
    """What is held, and since when; times in nanoseconds of the caller's clock."""

    held: float | None = None
    cut_ns: int | None = None
    raised_ns: int | None = None
    action: Action = Action.UNKNOWN

    @property
    def leverage(self) -> float | None:
        """The leverage to use: None while the advice is unknown."""
        return None if self.action is Action.UNKNOWN else self.held


def step(
    state: LeverageState,
    advice: LeverageAdvice,
    now_ns: int,
    parameters: StepParameters = DEFAULT_PARAMETERS,
) -> LeverageState:
    """Return the next state: the numbered cases of the module, first that fits.

    A clock that goes back only makes raises wait.
    """
    target, held = advice.leverage, state.held
    if target is None:  # case 1
        return replace(state, action=Action.UNKNOWN)
    if held is None:  # case 2
        return replace(state, held=target, action=Action.STARTED)
    at_once = advice.binding is not Cap.VOLATILITY_TARGET or advice.throttle != 1
    if target < held and at_once:  # case 3, whatever the band
        return replace(state, held=target, cut_ns=now_ns, action=Action.CUT)
    if abs(target - held) <= parameters.band * held:
        return replace(state, action=Action.HELD)
    if target < held:
        return replace(state, held=target, cut_ns=now_ns, action=Action.CUT)
    return _raised(state, target, now_ns, parameters)


def _raised(
    state: LeverageState, target: float, now_ns: int, parameters: StepParameters
) -> LeverageState:
    """Case 4, out of the band: raise by a step unless it has to wait."""
    held = state.held or 0.0
    waits = ((state.cut_ns, parameters.cooldown_s), (state.raised_ns, parameters.raise_every_s))
    if any(since is not None and now_ns - since < wait * _NS_PER_S for since, wait in waits):
        return replace(state, action=Action.COOLING)
    most = max(held * (1.0 + parameters.raise_step), parameters.restart)
    return replace(state, held=min(most, target), raised_ns=now_ns, action=Action.RAISED)


class LeverageSteps:
    """The states of everything that is advised, by a key such as ("symbol", "BTC-USDT-PERP")."""

    def __init__(self, parameters: StepParameters = DEFAULT_PARAMETERS) -> None:
        self.parameters = parameters
        self._states: dict[Hashable, LeverageState] = {}

    def update(self, key: Hashable, advice: LeverageAdvice, now_ns: int) -> LeverageState:
        """Take one advice and return the state that follows."""
        state = step(self.state(key), advice, now_ns, self.parameters)
        self._states[key] = state
        return state

    def state(self, key: Hashable) -> LeverageState:
        """Return a key's state; one that holds nothing if it is new."""
        return self._states.get(key, LeverageState())

    def forget(self, key: Hashable) -> None:
        """Drop a key, such as a closed position, so that states do not pile up."""
        self._states.pop(key, None)

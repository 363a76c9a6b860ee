"""Leverage advice: the least of the caps, throttled by the drawdown, with the binding one named.

    L = g(drawdown) clip(min(volatility, margin survival, liquidity, portfolio, venue), 0, user)

Advice holds for as long as a position is open, not only at its entry; `leverage_steps` turns a
series of it into leverage that does not flutter. Volatility targets have mixed evidence (Moreira,
Muir, 2017, for; Cederburg et al., 2020, against), which is why it is one cap among others.
"""

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from alphaplus.errors import ConfigError
from alphaplus.leverage.parameters import above_zero, known


class Cap(StrEnum):
    """What can bind; ties go to the one that stands first."""

    VOLATILITY_TARGET = "volatility_target"
    MARGIN_SURVIVAL = "margin_survival"
    LIQUIDITY = "liquidity"
    PORTFOLIO = "portfolio"
    VENUE_MAXIMUM = "venue_maximum"
    USER_MAXIMUM = "user_maximum"


_COMPUTED: Final = tuple(cap for cap in Cap if cap is not Cap.USER_MAXIMUM)


@dataclass(frozen=True, slots=True, kw_only=True)
class LeverageCaps:
    """Each cap's leverage (at least 0, infinite if it does not bind); None while unknown."""

    volatility_target: float | None
    margin_survival: float | None
    liquidity: float | None
    portfolio: float | None
    venue_maximum: float | None

    def __post_init__(self) -> None:
        for cap in _COMPUTED:
            value = getattr(self, cap)
            if value is not None and value < 0:
                raise ConfigError(f"Expected cap {cap} of at least 0, was {value}.")


@dataclass(frozen=True, slots=True, kw_only=True)
class LeverageParameters:
    """What the advice obeys besides the caps; raises ConfigError on what is out of range."""

    user_maximum: float = 10.0
    required: tuple[Cap, ...] = _COMPUTED
    """Caps without which there is no advice; others are left out while they are unknown."""
    drawdown_start: float = 0.05
    """Drawdown, a fraction, up to which nothing is throttled."""
    drawdown_stop: float = 0.25
    """Drawdown from which the advice is 0; the throttle falls linearly between both."""

    def __post_init__(self) -> None:
        above_zero("user_maximum", self.user_maximum)
        if not set(self.required) <= set(_COMPUTED):
            raise ConfigError(f"Expected required to be of {_COMPUTED}, was {self.required}.")
        if not 0 <= self.drawdown_start < self.drawdown_stop <= 1:
            raise ConfigError(
                "Expected 0 <= drawdown_start < drawdown_stop <= 1, "
                f"was {self.drawdown_start} and {self.drawdown_stop}."
            )


DEFAULT_PARAMETERS: Final = LeverageParameters()


@dataclass(frozen=True, slots=True, kw_only=True)
class LeverageAdvice:
    """How much leverage is allowed now, and by what; `leverage` is None if `missing` says why."""

    leverage: float | None
    binding: Cap | None
    caps: LeverageCaps
    throttle: float | None
    """What the drawdown leaves, in [0, 1]."""
    missing: tuple[str, ...]

    def payload(self) -> dict[str, Any]:
        """Return plain values fit for JSON; a cap that does not bind at all is `unbounded`."""
        caps = {cap.value: getattr(self.caps, cap) for cap in _COMPUTED}
        return {
            "leverage": self.leverage,
            "binding": None if self.binding is None else self.binding.value,
            "caps": {
                name: None if value is None or not math.isfinite(value) else value
                for name, value in caps.items()
            },
            "unbounded": [name for name, value in caps.items() if value == math.inf],
            "throttle": self.throttle,
            "missing": list(self.missing),
        }


def drawdown_throttle(
    drawdown: float | None, parameters: LeverageParameters = DEFAULT_PARAMETERS
) -> float | None:
    """Return what a drawdown (a fraction of the peak, at least 0) leaves of leverage: 1 to 0.

    >>> [drawdown_throttle(x) for x in (0.0, 0.05, 0.15, 0.25, 1.0)]
    [1.0, 1.0, 0.5, 0.0, 0.0]
    """
    if drawdown is None or not known(drawdown):
        return None
    span = parameters.drawdown_stop - parameters.drawdown_start
    return min(max((parameters.drawdown_stop - drawdown) / span, 0.0), 1.0)


def advise(
    caps: LeverageCaps,
    drawdown: float | None,
    parameters: LeverageParameters = DEFAULT_PARAMETERS,
) -> LeverageAdvice:
    """Return the advice that caps and a drawdown allow, for a symbol, a position or a portfolio."""
    throttle = drawdown_throttle(drawdown, parameters)
    found: dict[Cap, float | None] = {cap: getattr(caps, cap) for cap in _COMPUTED}
    values = {cap: value for cap, value in found.items() if value is not None and known(value)}
    missing = [cap.value for cap in _COMPUTED if cap in parameters.required and cap not in values]
    if throttle is None:
        missing.append("drawdown")
    if missing or throttle is None:
        return LeverageAdvice(
            leverage=None, binding=None, caps=caps, throttle=throttle, missing=tuple(missing)
        )
    values[Cap.USER_MAXIMUM] = parameters.user_maximum
    binding = min(values, key=values.__getitem__)  # of equals, min takes the first
    return LeverageAdvice(
        leverage=throttle * values[binding],
        binding=binding,
        caps=caps,
        throttle=throttle,
        missing=(),
    )


def half_kelly(mean: float | None, variance: float | None) -> float | None:
    """Return half of mu / sigma^2: for information only, it limits and raises nothing.

    Mean and variance of returns over the same horizon; None without them or without variance.
    (Kelly, 1956; estimated means are so uncertain that the whole is never advised.)
    """
    if mean is None or variance is None or not (known(mean) and variance > 0):
        return None
    return 0.5 * mean / variance


def half_kelly_bet(win_probability: float, odds: float) -> float:
    """Return half of p - (1 - p) / b, the share of a bet that pays `odds` to 1; may be below 0."""
    if not (0 <= win_probability <= 1 and odds > 0):
        raise ConfigError(
            f"Expected a probability and odds above 0, was {win_probability} and {odds}."
        )
    return 0.5 * (win_probability - (1.0 - win_probability) / odds)

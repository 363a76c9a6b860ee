"""Checks of parameters that several models of this package share; each raises ConfigError."""

import math

from alphaplus.errors import ConfigError


def above_zero(name: str, value: float) -> float:
    """Return a parameter as float; raises ConfigError unless it is above 0 and finite."""
    if not 0 < value < math.inf:
        raise ConfigError(f"Expected {name} above 0 and finite, was {value}.")
    return float(value)


def at_least_zero(name: str, value: float) -> float:
    """Return a parameter as float; raises ConfigError unless it is 0 or more and finite."""
    if not 0 <= value < math.inf:
        raise ConfigError(f"Expected {name} of at least 0 and finite, was {value}.")
    return float(value)


def share(name: str, value: float) -> float:
    """Return a parameter as float; raises ConfigError unless it is above 0 and at most 1."""
    if not 0 < value <= 1:
        raise ConfigError(f"Expected {name} above 0 and at most 1, was {value}.")
    return float(value)


def known(value: float | None) -> bool:
    """Return whether a number is there: not None and not nan."""
    return value is not None and not math.isnan(value)

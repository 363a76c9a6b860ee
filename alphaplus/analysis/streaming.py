"""What streaming measures share outside their kernels: checked parameters, contract terms."""

import math
from collections.abc import Sequence
from typing import Any, Final

from alphaplus.errors import ConfigError
from alphaplus.instruments import Instrument

SECOND: Final = 1_000_000_000
"""Nanoseconds."""

CONTRACT_FIELDS: Final = [
    ("tick_units", "<f8"),
    ("scale", "<f8"),  # price = tick * tick_units / scale
    ("size", "<f8"),
    ("inverse", "<i8"),
]
"""Fields of a state from which its kernel converts quantities to base units."""


def set_contract(state: Any, instrument: Instrument) -> None:
    """Write an instrument's terms to a state that has `CONTRACT_FIELDS`."""
    state["tick_units"] = instrument.tick_units
    state["scale"] = 10.0**instrument.price_decimals
    state["size"] = instrument.contract_size
    state["inverse"] = instrument.inverse


def above_zero(name: str, value: float) -> float:
    """Return a parameter as float; raises ConfigError unless it is above 0 and finite."""
    if not 0 < value < math.inf:
        raise ConfigError(f"Expected {name} above 0 and finite, was {value}.")
    return float(value)


def all_above_zero(name: str, values: Sequence[float]) -> tuple[float, ...]:
    """Return different parameters in ascending order; raises ConfigError."""
    if not values:
        raise ConfigError(f"Expected at least one value of {name}, was none.")
    return tuple(sorted({above_zero(name, value) for value in values}))


def whole_number(name: str, value: int, low: int, high: int) -> int:
    """Return a parameter; raises ConfigError unless it is a whole number in [low, high]."""
    if value != int(value) or not low <= value <= high:
        raise ConfigError(f"Expected {name} as a whole number in [{low}, {high}], was {value}.")
    return int(value)


def window_seconds(name: str, values: Sequence[int]) -> tuple[int, ...]:
    """Return different windows in ascending order, whole seconds up to an hour; ConfigError."""
    if not values:
        raise ConfigError(f"Expected at least one value of {name}, was none.")
    return tuple(sorted({whole_number(name, value, 1, 3600) for value in values}))

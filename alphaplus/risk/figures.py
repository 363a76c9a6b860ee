"""A published risk number: its name says level and horizon, and its origin stands beside it."""

import math
from dataclasses import dataclass
from typing import Final, Literal

from alphaplus.errors import RiskError

Scaling = Literal["none", "bootstrap", "sqrt_time"]
HOUR_NS: Final = 3_600_000_000_000
DAY_NS: Final = 24 * HOUR_NS


@dataclass(frozen=True, slots=True, kw_only=True)
class RiskFigure:
    """One number with its name, such as `var_99_1d`; None if `missing` says what it needs."""

    name: str
    value: float | None
    method: str
    n_obs: int
    as_of: int | None
    """Time of the newest observation, ns UTC."""
    scaling: Scaling = "none"
    missing: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.value is None:
            if not self.missing:
                raise RiskError(f"Expected a reason why {self.name} is unknown, was none.")
        elif not math.isfinite(self.value):
            raise RiskError(f"Expected {self.name} to be finite, was {self.value}.")


def figure_name(measure: str, level: float, horizon_ns: int) -> str:
    """Return the published name of a measure at a level and horizon.

    >>> figure_name("es", 0.975, 24 * 3_600_000_000_000)
    'es_975_1d'
    """
    digits = f"{100 * level:.10g}".replace(".", "")
    return f"{measure}_{digits}_{horizon_name(horizon_ns)}"


def horizon_name(horizon_ns: int) -> str:
    """Return a horizon in the largest unit that it is a multiple of: `1d`, `8h`, `5m`."""
    for unit, size in (("d", DAY_NS), ("h", HOUR_NS), ("m", HOUR_NS // 60), ("s", HOUR_NS // 3600)):
        if horizon_ns > 0 and horizon_ns % size == 0:
            return f"{horizon_ns // size}{unit}"
    raise RiskError(f"Expected a horizon of whole seconds above 0, was {horizon_ns} ns.")

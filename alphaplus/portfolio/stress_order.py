"""An order for a stress run as programs send it, checked, and the answer to it.

One of three kinds: a named scenario, shocks by symbol, or a grid of shock x depth x correlation.
The fields are those of `StressOrder`; a misspelt one is refused.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Final

from alphaplus.errors import RiskError
from alphaplus.portfolio.stress_exchange import StressRules
from alphaplus.portfolio.stress_inputs import StressInputs
from alphaplus.portfolio.stress_markets import StressMarkets
from alphaplus.portfolio.stress_run import MOST_CELLS, run_stress, stress_grid
from alphaplus.portfolio.stress_shocks import custom_shock, named_shock

REFERENCE: Final = "BTC-USDT-PERP"
LEVELS: Final = ("estimated", "none")
MOST_SHOCK: Final = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class StressOrder:
    """What to run; make one with `of`, which checks."""

    scenario: str | None = None
    """Name of a scenario, see docs/cascade.md."""
    shocks: Mapping[str, float] | None = None
    """Simple returns by symbol, or by exchange:symbol."""
    common: float | None = None
    """Simple return of all that `shocks` does not name; 0 if unset."""
    grid: Mapping[str, Sequence[float]] | None = None
    """`shocks` to the reference, `depths` and `correlations`: lists, every combination is run."""
    reference: str = REFERENCE
    """Symbol that scenarios and grids measure others by."""
    depth: float = 1.0
    """Share of the depth that is left before a shock, in (0, 1]; scenarios bring their own."""
    insurance_fund: float = 0.0
    """Balance of each exchange's fund, quote currency."""
    levels: str = "estimated"
    """Whether estimated liquidation levels of others take part: `estimated`, or `none`."""

    @classmethod
    def of(cls, wanted: Mapping[str, Any]) -> "StressOrder":
        """Return the order in a decoded object; raises RiskError for the first that is wrong."""
        known = [field.name for field in fields(cls)]
        for name in wanted:
            if name not in known:
                raise RiskError(f"Expected fields of {', '.join(known)}, was {name!r} too.")
        given = {name: value for name, value in wanted.items() if value is not None}
        kinds: list[str] = [name for name in ("scenario", "grid") if name in given]
        if "shocks" in given or "common" in given:
            kinds.append("shocks")
        if len(kinds) != 1:
            raise RiskError(
                "Expected one of scenario, shocks (with common) and grid, was "
                f"{' and '.join(kinds) if kinds else 'none of them'}."
            )
        if "depth" in given and kinds[0] != "shocks":
            raise RiskError(f"Expected no depth beside {kinds[0]}, which has its own, was one.")
        for name in ("scenario", "reference"):
            if not isinstance(given.get(name, ""), str):
                raise RiskError(f"Expected {name} to be a name, was {given[name]!r}.")
        if given.get("levels", "none") not in LEVELS:
            raise RiskError(f"Expected levels estimated or none, was {given['levels']!r}.")
        _check_numbers(given)
        return cls(**given)


def answer_order(order: StressOrder, inputs: StressInputs, *, now_ns: int) -> dict[str, Any]:
    """Return plain values, ready for JSON: an outcome, or for a grid its cells under `cells`.

    `inputs` are what the desk gives for `now_ns`. Raises RiskError if the order names what is
    not watched or not known.
    """
    rules = StressRules(
        insurance_fund=order.insurance_fund,
        estimated_levels=order.levels == "estimated",
        at_par=inputs.at_par,
    )
    markets = StressMarkets.of_rows(
        inputs.rows,
        inputs.tiers,
        betas=inputs.betas,
        funding_rates=inputs.funding_rates,
        sigmas=inputs.sigmas,
        now_ns=now_ns,
    )
    common = {"as_of": now_ns, "reference": order.reference}
    if order.grid is not None:
        cells = stress_grid(
            markets,
            inputs.holdings,
            inputs.tiers,
            reference=order.reference,
            shocks=order.grid["shocks"],
            depths=order.grid.get("depths", (1.0,)),
            correlations=order.grid.get("correlations", (1.0,)),
            rules=rules,
            now_ns=now_ns,
        )
        return {**common, "cells": cells}
    if order.scenario is not None:
        shock = named_shock(order.scenario, markets, order.reference)
    else:
        shock = custom_shock(
            markets, order.shocks or {}, common=order.common or 0.0, depth=order.depth
        )
    outcome = run_stress(markets, inputs.holdings, inputs.tiers, shock, rules, now_ns=now_ns)
    return {**common, **outcome.as_dict()}


def _check_numbers(given: Mapping[str, Any]) -> None:
    """Refuse what is no number or out of range, with the name of the field."""
    shocks, grid = given.get("shocks", {}), given.get("grid", {})
    if not isinstance(shocks, Mapping) or not all(isinstance(name, str) for name in shocks):
        raise RiskError(f"Expected shocks as an object of symbols, was {shocks!r}.")
    for name, value in shocks.items():
        _check(f"shocks.{name}", value, -1.0, MOST_SHOCK)
    for name, low, high in (("common", -1.0, MOST_SHOCK), ("insurance_fund", 0.0, 1e15)):
        if name in given:
            _check(name, given[name], low, high, open_low=name == "common")
    _check("depth", given.get("depth", 1.0), 0.0, 1.0)
    if not isinstance(grid, Mapping) or ("grid" in given and "shocks" not in grid):
        raise RiskError(f"Expected grid as an object with a list of shocks, was {grid!r}.")
    ranges = {"shocks": (-1.0, MOST_SHOCK), "depths": (0.0, 1.0), "correlations": (0.0, 1.0)}
    for name, values in grid.items():
        if name not in ranges:
            raise RiskError(f"Expected shocks, depths and correlations in grid, was {name!r} too.")
        if not isinstance(values, Sequence) or isinstance(values, str) or not values:
            raise RiskError(f"Expected grid.{name} as a list of numbers, was {values!r}.")
        for value in values:
            _check(f"grid.{name}", value, *ranges[name], open_low=name != "correlations")
    cells = math.prod(len(values) for values in grid.values())
    if cells > MOST_CELLS:
        raise RiskError(f"Expected at most {MOST_CELLS} cells of a grid, was {cells}.")


def _check(name: str, value: Any, low: float, high: float, *, open_low: bool = True) -> None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not low <= value <= high or (open_low and value == low):
        least = f"above {low:g}" if open_low else f"from {low:g}"
        raise RiskError(f"Expected {name} {least} to {high:g}, was {value!r}.")

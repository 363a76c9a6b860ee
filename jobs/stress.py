"""Stress a portfolio of the running fleet: a scenario, shocks of your own, or a grid of them.

    python -m jobs.stress --scenario common_down_20 --portfolio main
    python -m jobs.stress --file order.json --json
    ray job submit --working-dir . -- python -m jobs.stress --scenario btc_down_10

The file holds one object as POST /v1/portfolio/stress takes it (docs/cascade.md). Tables are
printed on a terminal, one JSON object otherwise.
"""

import argparse
import json
import logging
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import ray
from ray.exceptions import GetTimeoutError, RayActorError, RayTaskError
from rich.console import Console
from rich.table import Table

from actors import names
from alphaplus.errors import AlphaPlusError, ConfigError, RiskError
from alphaplus.portfolio.stress_inputs import StressInputs
from alphaplus.portfolio.stress_order import StressOrder, answer_order
from jobs.arguments import finish

TIMEOUT_S: Final = 20.0
MOST_MARKETS: Final = 10
"""Rows of the table of markets: those that moved most."""


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Run the order on what the fleet knows; returns the answer, or nothing once it is printed."""
    order = order_of(arguments)
    inputs = ask(arguments.portfolio)
    try:
        answer = answer_order(order, inputs, now_ns=time.time_ns())
    except RiskError as error:
        raise ConfigError(str(error)) from error
    if arguments.json or not sys.stdout.isatty():
        arguments.json = True
        return answer
    print_tables(answer, Console())
    return {}


def order_of(arguments: argparse.Namespace) -> StressOrder:
    """Return the order of the command line, checked; raises ConfigError."""
    if (arguments.scenario is None) == (arguments.file is None):
        raise ConfigError("Expected either --scenario NAME or --file FILE, was both or neither.")
    order: Any = {"scenario": arguments.scenario}
    if arguments.file is not None:
        try:
            order = json.loads(arguments.file.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise ConfigError(
                f"Expected a JSON object in {arguments.file}, was: {error}."
            ) from error
    if not isinstance(order, dict):
        raise ConfigError(f"Expected a JSON object in {arguments.file}, was another value.")
    try:
        return StressOrder.of(order)
    except RiskError as error:
        raise ConfigError(str(error)) from error


def ask(portfolio: str, timeout_s: float = TIMEOUT_S) -> StressInputs:
    """Return what the fleet knows for a portfolio; raises ConfigError if there is no fleet."""
    try:
        ray.init(
            address="auto",
            namespace=names.NAMESPACE,
            log_to_driver=False,
            logging_level=logging.WARNING,
            ignore_reinit_error=True,
        )
        asked: Any = names.portfolio().stress_inputs.remote(portfolio)
        inputs: StressInputs = ray.get(asked, timeout=timeout_s)
        return inputs
    except ConnectionError as error:
        raise ConfigError(
            "No Ray cluster is running here; start the fleet with 'alphaplus up' first."
        ) from error
    except LookupError as error:
        raise ConfigError(str(error)) from error
    except RayTaskError as error:
        if isinstance(error.cause, AlphaPlusError):
            raise ConfigError(str(error.cause)) from error
        raise
    except (RayActorError, GetTimeoutError) as error:
        raise RiskError(
            f"The portfolio's actor gave no answer within {timeout_s:g} s; try again."
        ) from error


def print_tables(answer: Mapping[str, Any], console: Console) -> None:
    """Print an answer: totals, accounts, the markets that moved most, and what is missing."""
    if "cells" in answer:
        console.print(_grid(answer["cells"]))
        return
    totals = Table(title=answer["name"], show_header=False)
    for name, value in answer["figures"].items():
        totals.add_row(name, _shown(value))
    console.print(totals)
    if answer["accounts"]:
        console.print(
            _table(
                "accounts",
                answer["accounts"],
                ("name", "exchange", "state", "equity_before", "loss", "margin_ratio_after"),
            )
        )
    moved = sorted(answer["markets"], key=lambda item: -(item["total_move"] or 0.0))
    columns = ("exchange", "symbol", "shock", "total_move", "amplification", "liquidated_long",
               "liquidated_short")  # fmt: skip
    console.print(_table("markets that moved most", moved[:MOST_MARKETS], columns))
    for reason in _reasons(answer["missing"]):
        console.print(f"missing: {reason}", highlight=False)
    if not answer["settled"]:
        console.print("The cascade had not come to rest when its steps were used up.")


def _grid(cells: Iterable[Mapping[str, Any]]) -> Table:
    figures = ("portfolio_loss", "portfolio_loss_pct", "accounts_liquidated",
               "liquidated_notional", "worst_amplification")  # fmt: skip
    rows = [
        {**{name: cell[name] for name in ("shock", "depth", "correlation")}, **cell["figures"]}
        for cell in cells
    ]
    return _table("grid", rows, ("shock", "depth", "correlation", *figures))


def _table(title: str, rows: Iterable[Mapping[str, Any]], columns: tuple[str, ...]) -> Table:
    table = Table(title=title)
    for name in columns:
        table.add_column(name)
    for row in rows:
        table.add_row(*(_shown(row[name]) for name in columns))
    return table


def _shown(value: Any) -> str:
    if value is None:
        return "unknown"
    return value if isinstance(value, str) else f"{value:,.6g}"


def _reasons(missing: Mapping[str, Iterable[str]]) -> list[str]:
    return list(dict.fromkeys(reason for reasons in missing.values() for reason in reasons))


def main() -> None:
    """Parse the command line and run."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--scenario", metavar="NAME", help="a named scenario")
    options.add_argument(
        "--file", type=Path, help="an order, as POST /v1/portfolio/stress takes it"
    )
    options.add_argument("--portfolio", default="main", metavar="ID", help="default: main")
    options.add_argument("--json", action="store_true", help="end with one JSON object")
    finish(run, options.parse_args())


if __name__ == "__main__":
    main()

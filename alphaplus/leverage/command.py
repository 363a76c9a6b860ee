"""`alphaplus margin`: the engine on one account from standard input."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import orjson
import typer
from pydantic import ValidationError
from rich.console import Console
from rich.table import Table

from alphaplus.errors import ConfigError, RiskError
from alphaplus.leverage.account_input import AccountInput, quote

if TYPE_CHECKING:
    from alphaplus.leverage.tiers import TierBook

SHOWN: Final = (
    "state",
    "notional",
    "unrealized_pnl",
    "initial_margin",
    "maintenance_margin",
    "liquidation_price",
    "bankruptcy_price",
    "adl_rank",
)


def margin(
    venue: Annotated[
        str, typer.Option(help="Whose rules: binance, binancecoinm, bybit, okx, gate, ...")
    ],
    tiers: Annotated[
        Path | None, typer.Option(help="File of leverage tiers, ours or ccxt's; may be gzipped.")
    ] = None,
    json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object, for programs.")
    ] = False,
) -> None:
    """Compute margins and liquidation prices of the account (JSON) on standard input."""
    answer = margin_of(sys.stdin.buffer.read(), venue, tiers)
    if json:
        sys.stdout.write(orjson.dumps(answer).decode() + "\n")
        sys.stdout.flush()
    else:
        _show(answer)


def margin_of(text: bytes, venue: str, tiers: Path | None) -> dict[str, Any]:
    """Return the answer as plain values; raises ConfigError that says what is wrong."""
    wanted = account_input(text)
    try:
        book = None if tiers is None else read_book(tiers, venue)
        return quote(wanted, venue, book)
    except RiskError as error:  # of the input, so the user's to correct
        raise ConfigError(str(error)) from error


def read_book(tiers: Path, venue: str) -> "TierBook":
    """Return the tiers in a file of a venue."""
    from alphaplus.leverage.tier_files import read_tiers  # this loads the kernels

    return read_tiers(tiers, venue=venue)


def account_input(text: bytes) -> AccountInput:
    """Return the checked input; raises ConfigError, one sentence, for the first fault."""
    try:
        # json first: pydantic's own reader takes NaN and Infinity for numbers
        return AccountInput.model_validate(orjson.loads(text))
    except orjson.JSONDecodeError as error:
        raise ConfigError(
            f"Expected an account as JSON on standard input, was: {error}."
        ) from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the account"
        given = "" if first["type"] == "missing" else f", was {first['input']!r:.60}"
        raise ConfigError(f"Expected {where} to be valid: {first['msg']}{given}.") from error


def _show(answer: dict[str, Any]) -> None:
    """Print a column per position, as there are more values than a line is wide."""
    console, positions = Console(), answer["positions"]
    table = Table("", *(f"{item['symbol']} {item['side']}" for item in positions), box=None)
    for name in SHOWN:
        table.add_row(name, *(_cell(item[name]) for item in positions))
    console.print(table)
    for name in ("state", "equity", "margin_ratio", "margin_utilisation", "liquidatable"):
        console.print(f"{name}: {_cell(answer[name])}", highlight=False)
    for reason in answer["missing"]:
        console.print(f"missing: {reason}", highlight=False)


def _cell(value: Any) -> str:
    if value is None:
        return "--"
    return f"{value:,.8g}" if isinstance(value, float) else str(value)

"""`alphaplus margin`: the engine on one account from standard input."""

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import orjson
import typer
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from rich.console import Console
from rich.table import Table

from alphaplus.errors import ConfigError, RiskError

Number = Annotated[float, Field(allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
AtLeastZero = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Symbol = Annotated[str, Field(min_length=1)]

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


class PositionInput(BaseModel):
    """One position, as in docs/margin.md."""

    model_config = ConfigDict(extra="forbid", strict=True)
    symbol: Symbol
    side: Literal["long", "short"]
    quantity: AtLeastZero
    entry_price: Positive
    mark_price: Positive | None = None
    leverage: Annotated[float, Field(ge=1, allow_inf_nan=False)]
    isolated_margin: Number | None = None
    contract_size: Positive = 1.0
    inverse: bool | None = None
    maintenance_margin_rate: Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)] | None = None
    maintenance_amount: AtLeastZero | None = None
    taker_fee: Annotated[float, Field(ge=0, lt=1, allow_inf_nan=False)] | None = None


class AccountInput(BaseModel):
    """One account, as in docs/margin.md."""

    model_config = ConfigDict(extra="forbid", strict=True)
    margin_mode: Literal["cross", "isolated"]
    position_mode: Literal["one_way", "hedge"] = "one_way"
    wallet_balance: Number
    open_interest: dict[str, AtLeastZero] = Field(default_factory=dict)
    positions: list[PositionInput]


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
    from alphaplus.leverage.account import MarginAccount, MarginPosition  # these load the kernels
    from alphaplus.leverage.account_margin import evaluate_account
    from alphaplus.leverage.tier_files import read_tiers

    wanted = account_input(text)
    try:
        account = MarginAccount(
            venue=venue,
            margin_mode=wanted.margin_mode,
            position_mode=wanted.position_mode,
            wallet_balance=wanted.wallet_balance,
            open_interest=wanted.open_interest,
            positions=tuple(MarginPosition(**item.model_dump()) for item in wanted.positions),
        )
        book = None if tiers is None else read_tiers(tiers, venue=venue)
        found = evaluate_account(account, book)
    except RiskError as error:  # of the input, so the user's to correct
        raise ConfigError(str(error)) from error
    return asdict(found) | {"tiers_hash": None if book is None else book.hash}


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

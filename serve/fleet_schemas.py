"""Which symbols the fleet watches, and what it is told about them."""

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from alphaplus.errors import UnknownSymbol
from alphaplus.instruments import symbol_to_ccxt
from serve.schemas import Answer

MAX_NAMED = 1000
"""Symbols that one command may name; `fleet.max_symbols` limits those that are watched."""


def _well_formed(symbol: str) -> str:
    try:
        symbol_to_ccxt(symbol)
    except UnknownSymbol as error:
        raise ValueError(str(error)) from None
    return symbol


def _named(text: str) -> str:
    names = split_names(text)
    if not names:
        raise ValueError("Expected symbols to name at least one, was empty.")
    for name in names:
        _well_formed(name)
    return text


def split_names(text: str) -> list[str]:
    """Return the symbols of `A,B`."""
    return [name.strip() for name in text.split(",") if name.strip()]


Symbol = Annotated[str, Field(max_length=64), AfterValidator(_well_formed)]


class SymbolsIn(BaseModel):
    """Symbols to watch beside those that are; a name that is there twice counts once."""

    model_config = ConfigDict(extra="forbid")

    symbols: list[Symbol] = Field(
        description="Our names of the instruments.",
        min_length=1,
        max_length=MAX_NAMED,
        examples=[["DOGE-USDT-PERP"]],
    )


class SymbolsQuery(BaseModel):
    """Symbols to watch no longer."""

    model_config = ConfigDict(extra="forbid")

    symbols: Annotated[str, AfterValidator(_named)] = Field(
        description="Our names of the instruments, with commas between them.",
        max_length=32_000,
        examples=["DOGE-USDT-PERP"],
    )


class WatchedSymbol(Answer):
    """Where a symbol of the fleet stands."""

    symbol: str = Field(description="Our name of the instrument.", examples=["DOGE-USDT-PERP"])
    exchange: str = Field(description="Where it is traded.", examples=["binance"])
    state: Literal["pending", "starting", "running", "failed", "leaving"] = Field(
        description="pending: its actor waits, `detail` says for what; leaving: its rows are "
        "written and its actor ends, then it is not listed any more.",
        examples=["pending"],
    )
    detail: str = Field(
        description="Why it is not running; empty if nothing is in the way.",
        examples=["no node with 0.05 CPU and 130 MB free"],
    )
    actor: str | None = Field(
        None,
        description="The actor that keeps it, maybe with others; null while it has no place.",
        examples=["symbol:DOGE-USDT-PERP"],
    )
    feed: str | None = Field(
        None, description="The feed that sends its events.", examples=["feed:binance:0"]
    )


class WatchedSymbols(Answer):
    """Symbols of the fleet in the order in which they start."""

    count: int = Field(description="How many items follow.", examples=[1])
    symbols: list[WatchedSymbol] = Field(description="One per symbol.")

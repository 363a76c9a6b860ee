"""`alphaplus symbols`: which symbols a running fleet watches, and telling it of more or fewer."""

import json as jsons
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.table import Table

from alphaplus.client import Client, WatchedSymbol, address
from alphaplus.config import load_settings
from alphaplus.errors import AlphaPlusError

LOOK_EVERY_S: Final = 1.0

app = typer.Typer(
    help="See and change which symbols a running fleet watches.", no_args_is_help=True
)

ConfigFile = Annotated[
    Path | None, typer.Option("--config", help="Settings file; default alphaplus.toml, if present.")
]
Url = Annotated[
    str | None, typer.Option(help="Address of the API; default that of serve.host and port.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object, for programs.")]
Symbols = Annotated[list[str], typer.Argument(help="Symbols such as BTC-USDT-PERP.")]
WaitS = Annotated[
    float | None, typer.Option("--wait", min=0, help="Wait so many seconds until it is done.")
]


@app.command("list")
def list_symbols(config: ConfigFile = None, url: Url = None, json: AsJson = False) -> None:
    """Say of every watched symbol where it stands, and why it does not run."""
    _show(_client(config, url).watched_symbols(), json)


@app.command()
def add(
    symbols: Symbols,
    config: ConfigFile = None,
    url: Url = None,
    wait: WaitS = None,
    json: AsJson = False,
) -> None:
    """Watch more symbols; those that are watched already stay."""
    client = _client(config, url)
    found = client.add_symbols(symbols)
    if wait is not None:
        found = await_states(
            client.watched_symbols,
            symbols,
            lambda states: all(states.get(symbol) == "running" for symbol in symbols),
            wait,
        )
    _show(found, json)


@app.command()
def remove(
    symbols: Symbols,
    config: ConfigFile = None,
    url: Url = None,
    wait: WaitS = None,
    json: AsJson = False,
) -> None:
    """Watch symbols no longer: all of them or, if one cannot be removed, none."""
    client = _client(config, url)
    found = client.remove_symbols(symbols)
    if wait is not None:
        found = await_states(client.watched_symbols, symbols, lambda states: not states, wait)
    _show(found, json)


def await_states(
    ask: Callable[[], list[WatchedSymbol]],
    symbols: Sequence[str],
    is_done: Callable[[dict[str, str]], bool],
    wait_s: float,
) -> list[WatchedSymbol]:
    """Ask until the states of `symbols` are as wanted; raises AlphaPlusError if they never are."""
    give_up = time.monotonic() + wait_s
    while True:
        found = [item for item in ask() if item.symbol in symbols]
        if is_done({item.symbol: item.state for item in found}):
            return found
        if time.monotonic() >= give_up:
            rest = [f"{i.symbol} is {i.state} ({i.detail or 'no reason'})" for i in found]
            raise AlphaPlusError(
                f"Expected it to be done within {wait_s:g} s, was not: {'; '.join(rest)}."
            )
        time.sleep(LOOK_EVERY_S)


def _client(config: Path | None, url: str | None) -> Client:
    return Client(address(load_settings(config).serve, url))


def _show(found: Sequence[WatchedSymbol], json: bool) -> None:
    if json:
        told = {"count": len(found), "symbols": [asdict(item) for item in found]}
        sys.stdout.write(jsons.dumps(told) + "\n")
        sys.stdout.flush()
        return
    table = Table("symbol", "state", "actor", "feed", "detail", box=None, pad_edge=False)
    for item in found:
        table.add_row(item.symbol, item.state, item.actor or "", item.feed or "", item.detail)
    Console().print(table)

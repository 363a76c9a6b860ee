"""The `alphaplus` command. Exit codes: 0 done, 1 failed, 2 wrong usage or settings.

3: `up` has ended, and rows remain in the spool for its next start.
"""

import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, NoReturn

import orjson
import typer
from rich.console import Console
from rich.table import Table

from alphaplus.config import Settings, load_settings, settings_environment
from alphaplus.errors import (
    AlphaPlusError,
    CaptureError,
    ConfigError,
    StorageError,
    UnknownSymbol,
)
from alphaplus.leverage.command import margin
from alphaplus.local.symbols import app as symbols_app

app = typer.Typer(
    name="alphaplus",
    help="Order books, liquidity and leverage risk of crypto perpetual futures, in real time.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
config_app = typer.Typer(help="Look at the settings.", no_args_is_help=True)
app.add_typer(config_app, name="config")
db_app = typer.Typer(help="Look after the database.", no_args_is_help=True)
app.add_typer(db_app, name="db")
app.add_typer(symbols_app, name="symbols")
app.command()(margin)

ConfigFile = Annotated[
    Path | None, typer.Option("--config", help="Settings file; default alphaplus.toml, if present.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object, for programs.")]


@app.command()
def up(
    config: ConfigFile = None,
    capture: Annotated[
        Path | None, typer.Option(help="Serve this recording instead of a generated market.")
    ] = None,
    symbols: Annotated[int | None, typer.Option(min=1, help="How many symbols to watch.")] = None,
    speed: Annotated[float | None, typer.Option(help="Market seconds per second.")] = None,
    duration: Annotated[
        float | None, typer.Option(min=1, help="Stop after so many seconds.")
    ] = None,
    port: Annotated[int | None, typer.Option(help="Port of the API.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the generated market.")] = None,
    json: AsJson = False,
) -> None:
    """Start Ray, database, venue, fleet and API on this machine; Ctrl-C stops them all."""
    from alphaplus.feeds.capture import RawCapture
    from alphaplus.local.up import up as bring_up
    from alphaplus.storage.check import check_storage
    from alphaplus.storage.draining import ROWS_LEFT

    flags = _venue_flags(capture, symbols=symbols, speed=speed, seed=seed)
    settings = load_settings(config, {"venue": flags, "serve": _given(port=port)})
    if settings.venue.capture is not None and settings.venue.source == "capture":
        RawCapture.check(settings.venue.capture)
    check_storage(settings.storage)
    summary = bring_up(settings, duration_s=duration)
    _print(summary, json, title="What was done")
    if left := summary["rows_left"]:
        typer.echo(f"{left:,} rows remain in the spool; the next start writes them.", err=True)
        raise typer.Exit(ROWS_LEFT)


@app.command()
def replay(
    file: Annotated[Path, typer.Argument(help="A recording, .raw.gz or .parquet.")],
    batch: Annotated[int, typer.Option(min=1, help="Frames per batch.")] = 1000,
    json: AsJson = False,
) -> None:
    """Run a recording through decoder, book and measures in this process."""
    from alphaplus.feeds.replay import replay as run

    _print(asdict(run(file, batch=batch)), json, title=str(file))


@app.command()
def venue(
    config: ConfigFile = None,
    capture: Annotated[Path | None, typer.Option(help="Serve this recording.")] = None,
    symbols: Annotated[int | None, typer.Option(min=1, help="How many symbol names.")] = None,
    speed: Annotated[float | None, typer.Option(help="Market seconds per second.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the generated market.")] = None,
    port: Annotated[int | None, typer.Option(help="Port; default any free one.")] = None,
) -> None:
    """Serve the local venue, a Binance-compatible exchange on this machine, until Ctrl-C."""
    from alphaplus.venue.__main__ import main as run
    from alphaplus.venue.process import venue_arguments

    flags = _venue_flags(capture, symbols=symbols, speed=speed, seed=seed, port=port)
    raise typer.Exit(run(venue_arguments(load_settings(config, {"venue": flags}).venue)))


@app.command()
def doctor(config: ConfigFile = None, json: AsJson = False) -> None:
    """Check Python, Ray, database, ports, clock and disk; one line each, with the fix."""
    from alphaplus.local.doctor import examine

    found = examine(load_settings(config))
    if json:
        _write([asdict(item) for item in found])
    else:
        for item in found:
            mark = "[green]ok  [/]" if item.ok else "[red]FIX [/]"
            fix = f" -> {item.fix}" if item.fix else ""
            Console().print(f"{mark} {item.name}: {item.detail}{fix}", highlight=False)
    raise typer.Exit(0 if all(item.ok for item in found) else 1)


@app.command()
def top(
    config: ConfigFile = None,
    url: Annotated[
        str | None, typer.Option(help="Address of the API; default that of serve.host and port.")
    ] = None,
    once: Annotated[bool, typer.Option(help="Show it once and end.")] = False,
    sort: Annotated[
        str, typer.Option(help="symbol, p99, messages, batch, backlog, drops, cpu or memory.")
    ] = "symbol",
    interval: Annotated[float, typer.Option(min=0.5, help="Seconds between two looks.")] = 2.0,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object per look.")] = False,
) -> None:
    """Watch a running fleet: lag, rate, batch, drops, backlog, CPU and memory of each market."""
    from alphaplus.client import address
    from alphaplus.local.top import top as watch

    watch(
        address(load_settings(config).serve, url),
        once=once,
        as_json=json,
        sort=sort,
        interval_s=interval,
    )


@app.command()
def migrate(
    config: ConfigFile = None,
    dry_run: Annotated[bool, typer.Option(help="Say what would be applied.")] = False,
    json: AsJson = False,
) -> None:
    """Bring the database at storage.dsn to this version of the schema."""
    import asyncio

    from alphaplus.storage.migrations import migrate as run

    dsn = load_settings(config).storage.dsn
    if dsn is None:
        raise ConfigError(
            "Expected ALPHAPLUS_STORAGE__DSN to name the database; "
            "the embedded one is migrated when it starts."
        )
    report = asyncio.run(run(dsn.get_secret_value(), dry_run=dry_run))
    _print(asdict(report), json, title="Migrations")


@db_app.command("status")
def db_status(config: ConfigFile = None, json: AsJson = False) -> None:
    """Say what the database holds: tables, archive, alerts and hints, and this machine's spool."""
    import asyncio

    from alphaplus.storage.access import database
    from alphaplus.storage.database_status import database_status
    from alphaplus.storage.maintenance_report import Policy
    from alphaplus.storage.spool_status import spool_status
    from alphaplus.storage.status_table import print_status

    storage = load_settings(config).storage
    policy = Policy.from_settings(storage)
    with database(storage) as dsn:
        found = asyncio.run(database_status(dsn, policy))
    spool = spool_status(storage.data_dir)
    if json:
        _write({**asdict(found), "spool": asdict(spool)})
    else:
        print_status(Console(), found, spool)


@config_app.command("show")
def config_show(config: ConfigFile = None, json: AsJson = False) -> None:
    """Print every setting; those that are not the default are marked. Secrets are masked."""
    settings = load_settings(config)
    changed = settings_environment(settings)
    if json:
        _write(settings.model_dump(mode="json"))
        return
    table = Table("setting", "value", "", box=None)
    for section in Settings.model_fields:
        for field, value in getattr(settings, section):
            mark = "*" if f"ALPHAPLUS_{section}__{field}".upper() in changed else ""
            shown = ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)
            table.add_row(f"{section}.{field}", shown, mark)
    Console().print(table)


def main() -> None:
    """Run the command; every expected error is one line and an exit code."""
    _guarded(app)


def _guarded(run: Callable[[], Any]) -> None:
    try:
        run()
    except (ConfigError, CaptureError, StorageError, UnknownSymbol) as error:
        _fail(error, 2)
    except AlphaPlusError as error:
        _fail(error, 1)
    except KeyboardInterrupt:
        sys.exit(130)


def _fail(error: Exception, code: int) -> NoReturn:
    Console(stderr=True).print(f"[red]error:[/] {error}", highlight=False, soft_wrap=True)
    sys.exit(code)


def _given(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _venue_flags(capture: Path | None, **values: Any) -> dict[str, Any]:
    flags = _given(**values)
    if capture is not None:
        flags |= {"source": "capture", "capture": capture.absolute()}
    return flags


def _print(found: dict[str, Any], json: bool, *, title: str) -> None:
    if json:
        _write(found)
        return
    table = Table(title=title, box=None, show_header=False, title_justify="left")
    for name, value in found.items():
        table.add_row(name, f"{value:,}" if isinstance(value, int | float) else str(value))
    Console().print(table)


def _write(value: Any) -> None:
    sys.stdout.write(orjson.dumps(value, default=str).decode() + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()

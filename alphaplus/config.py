"""Settings: defaults here, then `alphaplus.toml`, then the environment, then flags.

Every field can be set as `ALPHAPLUS_SECTION__FIELD`, for instance
`ALPHAPLUS_STORAGE__DSN`. Units are part of the names. Secrets come from the environment
or from a file, never from the TOML, and are masked in every `repr`.
"""

import difflib
import math
import os
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from platformdirs import user_data_path
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
)

from alphaplus.errors import ConfigError

ENV_PREFIX: Final = "ALPHAPLUS_"
SECRETS: Final = frozenset({("storage", "dsn"), ("feeds", "api_key"), ("feeds", "api_secret")})
"""Settings that come from the environment only and are never shown."""
ENV_OTHER: Final = frozenset({"ALPHAPLUS_CONFIG", "ALPHAPLUS_DATA", "ALPHAPLUS_TEST_TIMESCALE_DSN"})
"""Variables with our prefix that are no settings."""

_UNITS_NS: Final = {"m": 60 * 10**9, "h": 3600 * 10**9, "d": 86_400 * 10**9}

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1)]
Port = Annotated[int, Field(ge=0, le=65535)]


def _divides_five_minutes(value: Any) -> float:
    seconds = float(value)
    if not 1 <= seconds <= 300 or 300 % seconds:
        raise ValueError(f"Expected 1 to 300 that divides 300, was {value}.")
    return seconds


def _is_positive(text: str) -> bool:
    try:
        return 0 < float(text) < math.inf
    except ValueError:
        return False


class Section(BaseModel):
    """One table of the TOML file."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Feeds(Section):
    """Where market data comes from."""

    exchange: str = "binance"
    source: Literal["local", "live"] = "local"
    """`local`: the local venue; `live`: the exchange itself."""
    symbols: tuple[str, ...] = ()
    """Symbols to watch, such as BTC-USDT-PERP; empty: all that the local venue lists."""
    url: str = ""
    """Address of a running local venue; empty: one is started."""
    streams: tuple[Literal["depth", "book_ticker", "trade", "mark_price", "liquidation"], ...] = (
        "depth",
        "book_ticker",
        "trade",
        "mark_price",
        "liquidation",
    )
    symbols_per_feed: Count = 50
    snapshot_limit: Literal[5, 10, 20, 50, 100, 500, 1000] = 1000
    open_interest_poll_s: Positive = 15.0
    volume_poll_s: Positive = 300.0
    """How often the volume of the last 24 hours is asked for; first right after the start."""
    flush_ms: Annotated[float, Field(ge=0, le=100)] = 1.0
    """How long frames may wait for company before they are decoded together."""
    max_buffered_frames: Count = 5000
    """Depth frames kept per symbol while its snapshot is awaited."""
    silent_after_s: Positive = 10.0
    """A connection without a frame for this long is closed and opened again."""
    api_key: SecretStr | None = None
    """Key of an account of the exchange that may read; some tell leverage tiers to no one else."""
    api_secret: SecretStr | None = None
    """Its secret."""
    record_dir: Path | None = None
    """Folder for recordings of everything received; unset: nothing is recorded."""


class Venue(Section):
    """The local venue: a Binance-compatible server on this machine."""

    source: Literal["generated", "capture"] = "generated"
    capture: Path | None = None
    symbols: Count = 10
    """How many symbol names the venue lists."""
    speed: Positive = 1.0
    """Market seconds per second."""
    seed: int = 7
    host: str = "127.0.0.1"
    port: Port = 0
    """0: any free port."""
    faults: tuple[str, ...] = ()
    """Faults that it commits at random moments, as KIND=RATE with the rate a minute, such as
    drop_frame=6; docs/venue.md lists them. Empty: none."""
    fault_seed: Annotated[int, Field(ge=0)] = 7
    """Two venues with the same seed commit the same faults."""
    fault_start_s: Annotated[float, Field(ge=0, le=86_400)] = 0.0
    fault_length_s: Annotated[float, Field(ge=0, le=86_400)] = 600.0
    """How long, after `fault_start_s` from its start, faults come."""


class Fleet(Section):
    """The Ray actors and what each asks of the cluster."""

    stale_after_ms: Positive = 10_000.0
    """A book without an event for this long is marked stale."""
    state_interval_ms: Positive = 1000.0
    """How often a symbol tells the portfolio where it stands."""
    liquidation_bar_s: Annotated[float, BeforeValidator(_divides_five_minutes)] = 60.0
    """Length of the bars that liquidation maps are made of; divides 300."""
    symbol_cpus: Positive = 0.01
    symbol_memory_mb: Positive = 80.0
    """Of its own; an actor that is not forked from a template takes 150."""
    symbols_per_actor: Literal["auto"] | Count = "auto"
    """How many symbols share an actor, which is a process. `auto`: each has its own, unless one
    machine with more than 12 symbols a processor is all there is: then up to 14 share one."""
    next_symbol_memory_mb: Positive = 8.0
    """What each further symbol of an actor takes."""
    feed_cpus: Positive = 0.1
    feed_memory_mb: Positive = 250.0
    portfolio_cpus: Positive = 0.05
    portfolio_memory_mb: Positive = 400.0
    store_cpus: Positive = 0.05
    store_memory_mb: Positive = 400.0
    start_timeout_s: Positive = 180.0
    start_wave: Count = 4
    """How many actors start at once."""
    template: bool = True
    """Fork symbols' actors from one process per node, which has imported everything (Linux)."""
    max_symbols: Count = 500
    """Symbols that may be watched at once, those added while the fleet runs included."""
    rebalance: Literal["off", "spread", "pack"] = "off"
    """Move symbols when nodes come and go: `spread` evens nodes out, `pack` empties the one with
    the fewest, so that an autoscaler can take it away. A move makes a symbol stale for seconds."""
    drain_timeout_s: Positive = 30.0
    """How long each step of the end may take; writing rows: how long without any progress."""
    drain_limit_s: Positive = 300.0
    """How long rows are written at the end while that makes progress; what is left then stays in
    the spool and is written at the next start."""

    @property
    def longest_drain_s(self) -> float:
        """How long the end takes at most: feeds and symbols, then the rows."""
        return 2 * self.drain_timeout_s + self.drain_limit_s


class Streams(Section):
    """The way of the data between processes."""

    transport: Literal["auto", "ipc", "tcp"] = "auto"
    """`ipc`: socket files of one machine; `tcp`: encrypted with CURVE, for all; `auto`: files where
    Ray listens on loopback only, else tcp between nodes and files within one."""
    host: str = ""
    """IPv4 address that tcp streams bind to; empty: that of each node, as Ray knows it."""
    ports: str = ""
    """Ports that tcp streams may take, such as 20000-24999; empty: any that is free."""
    max_backlog_events: Count = 200_000
    """Events kept for a busy receiver; past it they are dropped and the book resynchronised."""
    max_unacked_rows: Annotated[int, Field(ge=50_000)] = 500_000
    """Rows that each actor of symbols keeps until the store has accepted them; past it new ones are
    refused, counted as dropped and logged."""
    max_unacked_mb: Annotated[float, Field(ge=8, allow_inf_nan=False)] = 64.0
    """The same in megabytes."""

    @field_validator("ports")
    @classmethod
    def _check_ports(cls, value: str) -> str:
        first, _, last = value.partition("-")
        if value and not (
            first.isdecimal() and last.isdecimal() and 1024 <= int(first) <= int(last) <= 65535
        ):
            raise ValueError(f"Expected a range in 1024-65535 like 20000-24999, was {value!r}.")
        return value

    @property
    def port_range(self) -> tuple[int, int] | None:
        """`ports` as its first and last, None if any may be taken."""
        first, _, last = self.ports.partition("-")
        return (int(first), int(last)) if self.ports else None


class Analysis(Section):
    """Which measures are taken of a market."""

    measures: tuple[str, ...] = ()
    """Names of the measures to take, as docs/measures.md lists them; empty: all."""
    imbalance_levels: tuple[Annotated[int, Field(ge=1, le=20)], ...] = (1, 5, 10, 20)
    depth_bps: tuple[Positive, ...] = (1.0, 5.0, 10.0, 25.0, 50.0, 100.0)
    cost_notionals: tuple[Positive, ...] = (10_000.0, 100_000.0, 1_000_000.0, 5_000_000.0)
    """In quote currency."""
    volume_bucket: Positive | None = None
    """VPIN's volume bucket, base units; unset: a 50th of the volume of the past 24 hours."""


class Storage(Section):
    """The database."""

    dsn: SecretStr | None = None
    """Address of a PostgreSQL or TimescaleDB server; unset: an embedded one is started."""
    data_dir: Path = Field(default_factory=lambda: user_data_path("alphaplus"))
    """Folder of the embedded database and of the spool."""
    deltas: bool = True
    """Store every level update."""
    snapshot_interval_ms: Positive = 1000.0
    snapshot_depth: Annotated[int, Field(ge=1, le=20)] = 20
    analysis_interval_ms: Positive = 1000.0
    writers: Annotated[int, Field(ge=1, le=64)] = 1
    """Actors among which the rows of all symbols are divided, each with its spool and connection;
    one writes over 100,000 rows a second."""
    flush_rows: Count = 50_000
    """Rows that go to the database at once, at the latest."""
    flush_ms: Positive = 500.0
    """How long rows wait for company in a symbol's actor, and again in the store."""
    max_spool_mb: Annotated[float, Field(ge=16, allow_inf_nan=False)] = 10_240.0
    """Room on disk for rows that the database does not have yet; full, the store takes no more."""
    accepted_log: Path | None = None
    """Folder in which every accepted batch is written down beside the spool, so that a test can
    compare it with the database; unset: it is not."""
    maintain_every_min: Positive = 10.0
    """How often the stream job makes partitions, archives closed ones and drops old ones."""
    partitions_ahead_h: Annotated[float, Field(ge=1, le=168)] = 24.0
    """How far ahead partitions are made, on plain PostgreSQL."""
    archive_after_h: Annotated[float, Field(ge=0.25)] | None = None
    """Age at which partitions are packed, on plain PostgreSQL; unset: 2 hours, or 2 days."""
    retention: tuple[str, ...] = ()
    """Days that tables are kept, such as order_book_deltas=30; tables not named: for ever."""

    @field_validator("retention")
    @classmethod
    def _check_retention(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for item in value:
            name, _, days = item.partition("=")
            if not (name and _is_positive(days)):
                raise ValueError(f"Expected entries like order_book_deltas=30, was {item!r}.")
        return value

    @property
    def retention_days(self) -> dict[str, float]:
        """`retention` by table."""
        return {name: float(days) for name, _, days in (x.partition("=") for x in self.retention)}

    latest_rows: Annotated[int, Field(ge=0, le=10_000)] = 1000
    """Rows of each table and symbol that its actor keeps in memory for queries; 0: none."""


class Portfolio(Section):
    """Positions and what is assumed about them."""

    default_leverage: Annotated[float, Field(ge=1, le=125)] = 5.0
    """Leverage of a position that states none, for margin used."""


class Risk(Section):
    """How the risk of portfolios is computed; all of these are conventions."""

    model: Literal["fhs", "fhs_garch", "historical", "ewma_normal", "evt"] = "fhs"
    """Model of value at risk that is kept up and answers unless another is asked for."""
    at_par: tuple[str, ...] = ()
    """Currencies that count as one, such as USDT, USDC, USD; empty: all are told apart."""
    reference_equity: Positive = 10_000.0
    """Equity that a symbol's leverage is advised for without a portfolio, quote currency."""
    volatility_target: Positive = 1.0
    """Volatility of equity that leverage aims at, a fraction a year."""
    shortfall_budget: Annotated[float, Field(gt=0, le=1)] = 0.2
    """Largest ES 97.5 % over a day that leverage may lead to, a fraction of equity."""
    maximum_leverage: Annotated[float, Field(ge=1, le=125)] = 10.0
    """Leverage that is never advised beyond."""
    level_band: Annotated[float, Field(gt=0, le=0.1)] = 0.005
    """Fraction of the price around a liquidation price in which depth and levels count."""
    history_reload_s: Positive = 300.0
    """How often price histories are read again from the database."""
    history_days: Annotated[float, Field(ge=0, le=3650)] = 90.0
    """How far back candles, funding and open interest are asked for at the start; 0: not at all."""
    history_step: Literal["1m", "5m", "15m", "30m", "1h", "4h", "1d"] = "1h"
    """Length of the candles of the history; value at risk takes those of an hour."""
    history_pause_s: Annotated[float, Field(ge=0)] = 0.15
    """Pause between two requests for history, so that books have their share of the weight."""
    tiers_file: Path | None = None
    """File of leverage tiers (see docs/margin.md), instead of asking the exchange."""
    tiers_poll_s: Positive = 86_400.0
    """How often leverage tiers are asked for; first right after the start."""

    @property
    def history_step_ns(self) -> int:
        """`history_step` in ns."""
        return int(self.history_step[:-1]) * _UNITS_NS[self.history_step[-1]]


class Serve(Section):
    """The HTTP API."""

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=1, le=65535)] = 8000


class Log(Section):
    """What the programs say while they work."""

    level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    format: Literal["text", "json"] = "text"


class Metrics(Section):
    """What the fleet exposes to Prometheus; docs/monitoring.md lists it."""

    enabled: bool = True
    interval_s: Annotated[float, Field(ge=0.5, le=10)] = 5.0
    """How often metrics are told to Ray, which reports what was told in the last 10 s."""


class Settings(Section):
    """All settings, one attribute per section."""

    feeds: Feeds = Feeds()
    venue: Venue = Venue()
    fleet: Fleet = Fleet()
    streams: Streams = Streams()
    analysis: Analysis = Analysis()
    storage: Storage = Field(default_factory=Storage)
    portfolio: Portfolio = Portfolio()
    risk: Risk = Risk()
    serve: Serve = Serve()
    log: Log = Log()
    metrics: Metrics = Metrics()


def load_settings(
    path: Path | None = None,
    flags: dict[str, dict[str, Any]] | None = None,
    environ: dict[str, str] | None = None,
) -> Settings:
    """Merge defaults, file, environment and flags (section -> field -> value).

    `path` names the file; without it `ALPHAPLUS_CONFIG`, then `alphaplus.toml` in the
    current folder, if present. Raises ConfigError with one sentence that names the field.
    """
    environ = dict(os.environ) if environ is None else environ
    merged: dict[str, dict[str, Any]] = {}
    for layer in (_from_file(path, environ), _from_environment(environ), flags or {}):
        for section, fields in layer.items():
            merged.setdefault(section, {}).update(fields)
    try:
        return Settings.model_validate(merged)
    except ValidationError as error:
        raise ConfigError(_explain(error)) from error


def _from_file(path: Path | None, environ: dict[str, str]) -> dict[str, dict[str, Any]]:
    named = path or (Path(environ["ALPHAPLUS_CONFIG"]) if "ALPHAPLUS_CONFIG" in environ else None)
    file = named or Path("alphaplus.toml")
    if named is None and not file.is_file():
        return {}
    try:
        table = tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"The settings file {file} does not exist.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"The settings file {file} cannot be read: {error}.") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"The settings file {file} is not valid TOML: {error}.") from error
    for section, fields in table.items():
        if not isinstance(fields, dict):
            raise ConfigError(
                f"Expected only sections at the top of {file}, was the field {section!r}; "
                f"put it under one of {_listed(Settings.model_fields)}."
            )
    for section, field in SECRETS:
        if field in table.get(section, {}):
            variable = f"{ENV_PREFIX}{section}__{field}".upper()
            raise ConfigError(
                f"{section}.{field} is a secret and does not belong in {file}; "
                f"set {variable} instead."
            )
    return table


def _from_environment(environ: dict[str, str]) -> dict[str, dict[str, Any]]:
    layer: dict[str, dict[str, Any]] = {}
    for name, value in environ.items():
        if not name.startswith(ENV_PREFIX) or name in ENV_OTHER:
            continue
        section, divider, field = name.removeprefix(ENV_PREFIX).lower().partition("__")
        if not divider:
            known = [
                f"{ENV_PREFIX}{s}__{f}".upper()
                for s, info in Settings.model_fields.items()
                for f in _fields_of(info.annotation)
            ]
            raise ConfigError(f"The variable {name} is no setting{_closest(name, known)}")
        annotation = _annotation(section, field)
        is_list = getattr(annotation, "__origin__", None) is tuple
        layer.setdefault(section, {})[field] = (
            [item.strip() for item in value.split(",") if item.strip()] if is_list else value
        )
    return layer


def _fields_of(section: Any) -> dict[str, Any]:
    return (
        section.model_fields if isinstance(section, type) and issubclass(section, Section) else {}
    )


def _annotation(section: str, field: str) -> Any:
    info = Settings.model_fields.get(section)
    found = _fields_of(info.annotation).get(field) if info else None
    return found.annotation if found else None


def _explain(error: ValidationError) -> str:
    found = error.errors()
    first = found[0]
    path = _path(first["loc"])
    name = ".".join(path)
    if first["type"] == "extra_forbidden":
        if len(path) == 1:
            return f"There is no section [{name}]{_closest(name, Settings.model_fields)}"
        fields = _fields_of(Settings.model_fields[path[0]].annotation)
        return f"There is no setting {name}{_closest(path[1], fields)}"
    shown = "a secret" if tuple(path) in SECRETS else repr(first["input"])
    reasons = [item["msg"] for item in found if _path(item["loc"]) == path]  # one per alternative
    more = [f" or {reason.removeprefix('Input should be ')}" for reason in reasons[1:]]
    reason = f"{reasons[0][0].lower()}{reasons[0][1:]}{''.join(more)}"
    return f"The setting {name} cannot be {shown}: {reason}."


def _path(loc: Sequence[str | int]) -> list[str]:
    """Return section, field and places in lists, without pydantic's names of alternatives."""
    places = [part for part in loc[2:] if isinstance(part, int)]
    return [str(part) for part in (*loc[:2], *places)]


def _closest(name: str, known: Any) -> str:
    matches = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f"; did you mean {matches[0]}?" if matches else f"; known are {_listed(known)}."


def _listed(names: Any) -> str:
    return ", ".join(sorted(names))


def settings_environment(settings: Settings) -> dict[str, str]:
    """Return the variables that give a child process these settings (secrets included)."""
    variables: dict[str, str] = {}
    for section, info in Settings.model_fields.items():
        chosen = getattr(settings, section)
        default = info.get_default(call_default_factory=True)
        for field in type(chosen).model_fields:
            value = getattr(chosen, field)
            if value == getattr(default, field):
                continue
            if isinstance(value, SecretStr):
                value = value.get_secret_value()
            text = ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
            variables[f"{ENV_PREFIX}{section}__{field}".upper()] = text
    return variables

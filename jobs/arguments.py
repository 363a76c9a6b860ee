"""The arguments that all jobs share, and how every job ends: a summary or one clear sentence."""

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from alphaplus.config import Settings, load_settings
from alphaplus.errors import (
    AlphaPlusError,
    CaptureError,
    ConfigError,
    StorageError,
    UnknownSymbol,
)
from alphaplus.storage.draining import ROWS_LEFT

WRONG_USAGE = (ConfigError, CaptureError, UnknownSymbol, StorageError)
"""What the user can mend: exit code 2."""


def parser(description: str) -> argparse.ArgumentParser:
    """Return a parser with the options that every job has."""
    result = argparse.ArgumentParser(description=description)
    result.add_argument("--config", type=Path, help="settings file; default alphaplus.toml")
    result.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="SECTION.FIELD=VALUE",
        help="one setting, such as feeds.source=live; may be given several times",
    )
    result.add_argument("--json", action="store_true", help="end with one JSON object")
    return result


def settings_of(arguments: argparse.Namespace) -> Settings:
    """Merge the settings of file, environment and `--set`; raises ConfigError."""
    flags: dict[str, dict[str, Any]] = {}
    for item in arguments.set:
        name, found, value = item.partition("=")
        section, dot, field = name.partition(".")
        if not (found and dot):
            raise ConfigError(f"Expected --set section.field=value, was {item!r}.")
        is_list = isinstance(getattr(getattr(Settings(), section, None), field, None), tuple)
        flags.setdefault(section, {})[field] = value.split(",") if is_list else value
    return load_settings(arguments.config, flags)


def finish(run: Callable[[argparse.Namespace], dict[str, Any]], arguments: Any) -> NoReturn:
    """Run a job and exit with its summary: 0, or 3 if rows remain in the spool for the next start.

    Without one: 2 for what the user can mend, 1 otherwise.
    """
    try:
        summary = run(arguments)
    except AlphaPlusError as error:
        _end_with_error(error, arguments.json)
    if arguments.json:
        print(json.dumps({"summary": summary}), flush=True)
    else:
        for name, value in summary.items():
            print(f"{name}: {value}", flush=True)
    sys.exit(ROWS_LEFT if summary.get("rows_left") else 0)


def _end_with_error(error: AlphaPlusError, as_json: bool) -> NoReturn:
    cause = getattr(error, "cause", error)  # Ray wraps what an actor raised
    code = 2 if isinstance(cause, WRONG_USAGE) else 1
    if as_json:
        print(json.dumps({"error": str(cause), "exit_code": code}), flush=True)
    else:
        print(f"error: {cause}", file=sys.stderr, flush=True)
    sys.exit(code)

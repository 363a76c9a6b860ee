"""`alphaplus top`: what every market and every role of a running fleet does and costs, live."""

import json
import sys
import time
from collections.abc import Mapping, Sequence
from itertools import count
from typing import Any, Final

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from alphaplus.client import call
from alphaplus.errors import ConfigError

Load = Mapping[str, Any]

MARGIN_LINES: Final = 12
"""Lines of the terminal that are not markets."""
LEAST_ROWS: Final = 5
LATE_MS: Final = 10.0
"""A p99 above this is shown as late."""
SORTS: Final = {
    "symbol": "symbol",
    "p99": "p99_ms",
    "messages": "messages_per_s",
    "batch": "batch_events",
    "backlog": "backlog_events",
    "drops": "dropped_events",
    "cpu": "cpu",
    "memory": "memory_bytes",
}
"""What markets can be ordered by, and of which field; all but the name with the largest first."""


def top(url: str, *, once: bool, as_json: bool, sort: str, interval_s: float) -> None:
    """Show the load until Ctrl-C, or once; raises AlphaPlusError if the API does not answer."""
    if sort not in SORTS:
        raise ConfigError(f"Expected --sort to be one of {', '.join(SORTS)}, was {sort!r}.")
    if as_json:
        for at in count():
            if at:
                time.sleep(interval_s)
            sys.stdout.write(json.dumps(fetch(url)) + "\n")
            sys.stdout.flush()
            if once:
                return
    console = Console()
    load = fetch(url)
    if once:
        console.print(screen(load, sort=sort))
        return
    with Live(console=console, screen=console.is_terminal, auto_refresh=False) as live:
        while True:
            rows = max(console.height - MARGIN_LINES, LEAST_ROWS)
            live.update(screen(load, sort=sort, rows=rows), refresh=True)
            time.sleep(interval_s)
            newest = fetch(url)
            load = {**newest, "roles": with_rates(newest, load)}


def fetch(url: str) -> dict[str, Any]:
    """Ask the API at `url` for the load; raises AlphaPlusError with what to do."""
    return call(url, "/v1/fleet/load")


def with_rates(now: Load, before: Load) -> list[dict[str, Any]]:
    """Return the roles of `now`, their CPU from their seconds where they tell no rate."""
    seconds = (now["ts"] - before["ts"]) / 1e9
    earlier = {role["role"]: role["cpu_s"] for role in before["roles"]}
    rows = []
    for role in now["roles"]:
        then, cpu = earlier.get(role["role"]), role["cpu"]
        if cpu is None and then is not None and role["cpu_s"] is not None and seconds > 0:
            grown = role["cpu_s"] - then
            cpu = grown / seconds if grown >= 0 else None  # less: one of them started again
        rows.append({**role, "cpu": cpu})
    return rows


def ordered(markets: Sequence[Load], sort: str) -> list[Load]:
    """Return the markets in the order of `sort`, a key of `SORTS`; unknown ones come last."""
    if sort == "symbol":
        return sorted(markets, key=lambda row: (row["symbol"], row["exchange"]))
    name = SORTS[sort]
    return sorted(markets, key=lambda row: (row[name] is None, -(row[name] or 0), row["symbol"]))


def screen(load: Load, *, sort: str = "symbol", rows: int | None = None) -> Group:
    """Lay out a summary, the roles, and the first `rows` markets (default: all)."""
    markets = ordered(load["markets"], sort)
    return Group(_headline(load), role_table(load["roles"]), market_table(markets, rows))


def _headline(load: Load) -> Text:
    markets = load["markets"]
    stale = sum(bool(row["stale"]) for row in markets)
    rate = sum(row["messages_per_s"] or 0 for row in markets)
    worst = max((row["p99_ms"] or 0 for row in markets), default=0)
    nodes = load["nodes"]
    cpus = sum(node["cpus"] for node in nodes)
    return Text(
        f"{len(markets)} markets, {stale} stale, {rate:,.0f} messages/s, "
        f"worst p99 {worst:,.1f} ms, nodes: {len(nodes)} with {cpus:g} cores",
        style="bold yellow" if stale else "bold",
    )


def role_table(roles: Sequence[Load]) -> Table:
    """Lay out one row per role."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("role")
    for name in ("actors", "CPU", "MB"):
        table.add_column(name, justify="right")
    for role in roles:
        table.add_row(
            role["role"],
            str(role["actors"]),
            _number(role["cpu"], ",.2f"),
            _megabytes(role["memory_bytes"]),
        )
    return table


def market_table(markets: Sequence[Load], rows: int | None) -> Table:
    """Lay out one row per market, in the order given."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("market", no_wrap=True)
    for name in (
        "p50 ms", "p99 ms", "messages/s", "batch", "gaps", "drops", "backlog", "CPU %", "MB",
    ):  # fmt: skip
        table.add_column(name, justify="right")
    shown = markets if rows is None else markets[:rows]
    for row in shown:
        drops = (
            None if row["dropped_events"] is None else row["dropped_events"] + row["dropped_rows"]
        )
        table.add_row(
            Text(f"{row['exchange']}:{row['symbol']}", style="yellow" if row["stale"] else ""),
            _number(row["p50_ms"], ",.1f"),
            Text(
                _number(row["p99_ms"], ",.1f"),
                style="yellow" if (row["p99_ms"] or 0) > LATE_MS else "",
            ),
            _number(row["messages_per_s"], ",.0f"),
            _number(row["batch_events"], ",.0f"),
            _count(row["gaps"]),
            _count(drops),
            _count(row["backlog_events"]),
            _number(None if row["cpu"] is None else row["cpu"] * 100, ",.1f"),
            _megabytes(row["memory_bytes"]),
        )
    if len(shown) < len(markets):
        table.caption = f"and {len(markets) - len(shown)} more"
    return table


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)


def _count(value: int | None) -> Text:
    return Text("-" if value is None else f"{value:,}", style="yellow" if value else "")


def _megabytes(value: int | None) -> str:
    return "-" if value is None else f"{value / 1e6:,.0f}"

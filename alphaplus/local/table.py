"""What `alphaplus up` shows while it runs: a live table on a terminal, plain lines otherwise."""

import sys
import time
from collections.abc import Sequence
from typing import Any, Final

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

PLAIN_EVERY_S: Final = 10.0
MAX_ROWS: Final = 40


class LiveView:
    """Shows the fleet's summaries, as the API gives them, on standard error."""

    def __init__(self) -> None:
        self._console = Console(file=sys.stderr)
        self._live = (
            Live(console=self._console, refresh_per_second=4, transient=True)
            if self._console.is_terminal
            else None
        )
        self._previous: dict[str, int] = {}
        self._previous_s = time.monotonic()
        self._next_line_s = 0.0

    def __enter__(self) -> "LiveView":
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live:
            self._live.stop()

    def show(self, symbols: Sequence[dict[str, Any]]) -> None:
        """Take the newest summaries."""
        rates = self._rates(symbols)
        if self._live:
            self._live.update(fleet_table(symbols, rates))
        elif time.monotonic() >= self._next_line_s:
            self._next_line_s = time.monotonic() + PLAIN_EVERY_S
            self._console.print(plain_line(symbols, rates), highlight=False)

    def _rates(self, symbols: Sequence[dict[str, Any]]) -> dict[str, float]:
        now_s = time.monotonic()
        elapsed = max(now_s - self._previous_s, 1e-3)
        counts = {_key(item): int(item["messages"]) for item in symbols}
        rates = {
            key: max(0.0, (count - self._previous.get(key, count)) / elapsed)
            for key, count in counts.items()
        }
        self._previous, self._previous_s = counts, now_s
        return rates


def fleet_table(symbols: Sequence[dict[str, Any]], rates: dict[str, float]) -> Table:
    """Lay out one row per symbol; stale rows say so."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("symbol")
    for name in ("mid", "spread bps", "age", "messages/s", "gaps"):
        table.add_column(name, justify="right")
    table.add_column("state")
    for item in symbols[:MAX_ROWS]:
        style = "dim" if item["stale"] else ""
        table.add_row(
            Text(item["symbol"], style=style),
            Text(_number(item["mid"], ",.8g"), style=style),
            Text(_number(item["spread_bps"], ".3f"), style=style),
            Text("-" if item["age_ms"] is None else _age(item["age_ms"]), style=style),
            f"{rates.get(_key(item), 0.0):,.0f}",
            Text(str(item["gaps"]), style="yellow" if item["gaps"] else ""),
            Text(
                f"stale: {item['stale_reason']}" if item["stale"] else "fresh",
                style="yellow" if item["stale"] else "green",
            ),
        )
    if len(symbols) > MAX_ROWS:
        table.caption = f"and {len(symbols) - MAX_ROWS} more"
    return table


def plain_line(symbols: Sequence[dict[str, Any]], rates: dict[str, float]) -> str:
    """Say the same in one line."""
    stale = sum(bool(item["stale"]) for item in symbols)
    gaps = sum(int(item["gaps"]) for item in symbols)
    return (
        f"{len(symbols)} symbols, {stale} stale, {sum(rates.values()):,.0f} messages/s, {gaps} gaps"
    )


def _key(item: dict[str, Any]) -> str:
    return f"{item['exchange']}:{item['symbol']}"


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)


def _age(milliseconds: float) -> str:
    return f"{milliseconds:,.0f} ms" if milliseconds < 10_000 else f"{milliseconds / 1000:,.0f} s"

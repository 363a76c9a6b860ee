"""`alphaplus db status` for people: one line a table, then what needs attention."""

from datetime import UTC, datetime
from typing import Final

from rich.console import Console
from rich.table import Table

from alphaplus.storage.database_status import DatabaseStatus, TableStatus
from alphaplus.storage.spool_status import SpoolStatus

WIDTH: Final = 200
_COLUMNS: Final = (
    "table", "chunks", "rows (estimate)", "MB", "archived rows", "archived MB", "saved",
    "oldest", "newest", "in default", "kept",
)  # fmt: skip


def print_status(console: Console, status: DatabaseStatus, spool: SpoolStatus) -> None:
    """Print a database and a spool."""
    if not console.is_terminal:  # a file has no width that the table must fit
        console.width = WIDTH
    console.print(
        f"{status.server}: {status.version}, {status.flavor} flavour, {status.migrations} "
        f"migrations, {status.bytes / 1e6:,.1f} MB",
        highlight=False,
        soft_wrap=True,
    )
    table = Table(*_COLUMNS, box=None)
    for item in status.tables:
        table.add_row(*_cells(item))
    console.print(table)
    console.print(
        f"spool {spool.directory}: {spool.segments} segments of {spool.bytes / 1e6:,.1f} MB, "
        f"{spool.dead_letters} dead letters, {spool.quarantined_bytes} damaged bytes",
        highlight=False,
        soft_wrap=True,
    )
    for mark, sentences in (("[red]ALERT[/]", status.alerts), ("[yellow]hint[/]", status.hints)):
        for sentence in sentences:
            console.print(f"{mark} {sentence}", highlight=False, soft_wrap=True)


def _cells(item: TableStatus) -> tuple[str, ...]:
    return (
        item.table,
        str(item.chunks),
        _number(item.rows_estimate),
        f"{item.bytes / 1e6:,.1f}",
        _number(item.archived_rows),
        f"{item.archived_bytes / 1e6:,.1f}",
        "" if item.archived_saved_pct is None else f"{item.archived_saved_pct:.1f} %",
        _time(item.oldest_ns),
        _time(item.newest_ns),
        str(item.rows_in_default),
        "ever" if item.retention_days is None else f"{item.retention_days:g} days",
    )


def _number(value: int | None) -> str:
    return "unknown" if value is None else f"{value:,}"


def _time(time_ns: int | None) -> str:
    if time_ns is None:
        return ""
    return datetime.fromtimestamp(time_ns // 10**9, UTC).strftime("%Y-%m-%d %H:%M")

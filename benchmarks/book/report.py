"""The tables for a terminal."""

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from benchmarks.book.inputs import Details
from benchmarks.book.ratios import Claim
from benchmarks.book.rounds import Outcome, Result
from benchmarks.book.tasks import Task

_HEADS = {
    Task.APPLY: "apply",
    Task.APPLY_EACH: "apply,\none a call",
    Task.TOP: "top",
    Task.TOP_20: "top 20",
    Task.BYTES_BOOK: "bytes to\nbook",
    Task.BYTES_TOP_20: "bytes to\ntop 20",
    Task.BYTES_TOP_20_EACH: "the same,\none a call",
    Task.BYTES_MEASURES: "bytes to\nmeasures",
    Task.BYTES_MEASURES_ALL: "all frames\nto measures",
}


def print_report(details: Details, outcome: Outcome, found: dict[str, Claim]) -> None:
    """Print messages per second, the rest of the figures, and the ratios."""
    console = Console()
    width = 150 if not console.is_terminal else None
    if width:
        console = Console(width=width)
    console.print(
        f"{details.symbol}: {details.messages:,} messages, {details.level_updates:,} levels; "
        "thousands of messages a second"
    )
    console.print(_rates(outcome))
    console.print(_others(outcome))
    console.print(_claims(found))
    for name, reason in outcome.skipped.items():
        console.print(f"{name} skipped: {reason}", markup=False)


def _rates(outcome: Outcome) -> Table:
    tasks = [
        task for task in Task if any(task in r.messages_per_s for r in outcome.results.values())
    ]
    table = Table()
    table.add_column("book")
    for task in tasks:
        table.add_column(_HEADS[task], justify="right")
    for name, result in outcome.results.items():
        rates = [result.messages_per_s.get(task) for task in tasks]
        table.add_row(name, *("-" if rate is None else f"{rate / 1e3:,.1f}" for rate in rates))
    return table


def _others(outcome: Outcome) -> Table:
    table = Table()
    table.add_column("book")
    for head in ("KB a book", "start s", "cold start s"):
        table.add_column(head, justify="right")
    for head in ("same book", "version", "Python", "calls"):
        table.add_column(head)
    for name, result in outcome.results.items():
        table.add_row(
            name,
            _number(result.kb_per_book, 0),
            _number(result.startup_s, 2),
            _number(result.cold_startup_s, 2),
            _agreement(result),
            result.version,
            result.python,
            escape(result.uses),
        )
    return table


def _claims(found: dict[str, Claim]) -> Table:
    table = Table()
    table.add_column("ratio")
    for head in ("measured", "target"):
        table.add_column(head, justify="right")
    for head in ("beside", "meaning"):
        table.add_column(head)
    for name, claim in found.items():
        sign = "" if claim.target is None else (">= " if claim.at_least else "<= ")
        mark = {True: "[green]", False: "[red]", None: ""}[claim.reached]
        table.add_row(
            name,
            mark + _number(claim.value, 2),
            sign + _number(claim.target, 0),
            claim.against or "",
            claim.meaning,
        )
    return table


def _agreement(result: Result) -> str:
    found = result.agreement
    if found is None:
        return "-"
    if found.agrees:
        return "yes" if found.high is None else "yes, in its range"
    return f"no: top {found.equal_tops}/{found.messages}, {found.different_levels} levels differ"


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:,.{digits}f}"

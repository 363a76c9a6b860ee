"""What a fleet of a size takes: nodes, memory, network and database, one step after the other."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from benchmarks.capacity.model import Cost

EVENT_BYTES: Final = 48
"""One event between feed and symbol (alphaplus/events.py)."""
BYTES_PER_ROW: Final = {"levels": (241.0, 2.7), "others": (1053.0, 75.0)}
"""On disk in partitions with their index, and packed: docs/storage.md."""
ROWS_PER_BOOK: Final = 2.0
"""Depth analysis and snapshot of each book, each second."""
DAY_S: Final = 86_400
PER_NODE: Final = ("ray system", "template")
"""Roles that each node has."""
FRONT: Final = ("symbols", "feeds", "portfolio", "supervisor", "serve", "store")
"""Roles that run on the worker nodes; the database has machines of its own, a venue is not ours."""


Add = Callable[[str, str, str, float, str], float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """The fleet that is asked for."""

    symbols: int = 1000
    venues: int = 10
    """Each symbol is listed on all of them; its actor owns a book of each."""
    rate: float = 10.0
    """Messages a second of each book."""
    levels: float = 68.0
    """Of a message, mean."""
    store_levels: bool = True
    node_cores: int = 4
    node_mb: float = 11_000.0
    """What a node offers to actors: cluster.yaml."""
    busy: float = 0.7
    """Share of a node's cores that may be in use: see the simulation."""
    books_per_feed: int = 50
    """feeds.symbols_per_feed."""
    mb_of_another_book: float = 5.0
    """Of an actor that owns one more; assumed, the measured actors own one each."""
    bytes_per_message: float = 1559.0
    """JSON of a depth message of 68 levels, the mean of the recording."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One line of arithmetic."""

    what: str
    formula: str
    value: float
    unit: str


def plan(wish: Wish, cores: Mapping[str, Cost], memory: Mapping[str, Cost]) -> dict[str, Step]:
    """Return all steps by name, in order."""
    steps: dict[str, Step] = {}

    def add(name: str, what: str, formula: str, value: float, unit: str) -> float:
        steps[name] = Step(what=what, formula=formula, value=value, unit=unit)
        return value

    books = add(
        "books", "books", f"{wish.symbols:,} symbols x {wish.venues} venues",
        wish.symbols * wish.venues, "",
    )  # fmt: skip
    messages = add(
        "messages", "messages", f"{books:,.0f} books x {wish.rate:g}/s", books * wish.rate, "/s"
    )
    levels = add(
        "levels", "levels", f"{messages:,.0f} x {wish.levels:g}", messages * wish.levels, "/s"
    )
    others = books * ROWS_PER_BOOK
    rows = add(
        "rows", "rows",
        f"{levels:,.0f} levels + {books:,.0f} x {ROWS_PER_BOOK:g}" if wish.store_levels
        else f"{books:,.0f} x {ROWS_PER_BOOK:g}, levels not stored",
        levels * wish.store_levels + others, "/s",
    )  # fmt: skip
    amounts = {
        "one": 1.0, "symbols": float(wish.symbols), "messages": messages, "levels": levels,
        "rows": rows,
    }  # fmt: skip
    for role in FRONT:
        add(f"cores/{role}", f"cores of {role}", _terms(cores[role], amounts),
            cores[role].at(amounts), "cores")  # fmt: skip
    front = sum(steps[f"cores/{role}"].value for role in FRONT)
    feeds = add(
        "feeds", "feeds",
        f"{wish.venues} venues x {wish.symbols:,} / {wish.books_per_feed}, rounded up",
        wish.venues * math.ceil(wish.symbols / wish.books_per_feed), "actors",
    )  # fmt: skip
    _memory(wish, memory, feeds, add)
    mb = sum(step.value for name, step in steps.items() if name.startswith("mb/"))
    system_mb = sum(memory[role].coefficients.get("one", 0.0) for role in PER_NODE)
    system_cores = sum(cores[role].coefficients.get("one", 0.0) for role in PER_NODE)
    each = sum(cores[role].coefficients.get("symbols", 0.0) for role in PER_NODE)
    front += add(
        "cores/ray", "cores of Ray for actors", f"{wish.symbols:,} x {each:.5f}",
        wish.symbols * each, "cores",
    )  # fmt: skip
    usable = wish.node_cores * wish.busy - system_cores
    by_cores = add(
        "nodes_by_cores", "nodes by cores",
        f"{front:.1f} / ({wish.node_cores} x {wish.busy:.2f} - {system_cores:.3f} of Ray)",
        math.ceil(front / usable), "nodes",
    )  # fmt: skip
    by_memory = add(
        "nodes_by_memory", "nodes by memory",
        f"{mb:,.0f} MB / ({wish.node_mb:,.0f} - {system_mb:,.0f} of Ray)",
        math.ceil(mb / (wish.node_mb - system_mb)), "nodes",
    )  # fmt: skip
    add("nodes", "nodes", "the larger", max(by_cores, by_memory), "nodes")
    add("net/in", "from the venues", f"{messages:,.0f} x {wish.bytes_per_message:,.0f} B",
        messages * wish.bytes_per_message / 1e6, "MB/s")  # fmt: skip
    add("net/events", "events to the actors", f"{levels:,.0f} x {EVENT_BYTES} B",
        levels * EVENT_BYTES / 1e6, "MB/s")  # fmt: skip
    stored = levels * wish.store_levels
    for at, kind in enumerate(("in partitions", "packed")):
        size = stored * BYTES_PER_ROW["levels"][at] + others * BYTES_PER_ROW["others"][at]
        add(
            f"disk/{kind}", f"database, {kind}",
            f"({stored:,.0f} x {BYTES_PER_ROW['levels'][at]:g} B + "
            f"{others:,.0f} x {BYTES_PER_ROW['others'][at]:g} B) x {DAY_S:,} s",
            size * DAY_S / 1e12, "TB/day",
        )  # fmt: skip
    add("cores/database", "cores of databases", _terms(cores["database"], amounts),
        cores["database"].at(amounts), "cores")  # fmt: skip
    return steps


def _memory(wish: Wish, memory: Mapping[str, Cost], feeds: float, add: Add) -> None:
    actor = memory["symbols"].coefficients["symbols"]
    more = wish.venues - 1
    add("mb/symbols", "memory of symbols",
        f"{wish.symbols:,} x ({actor:.1f} + {more} x {wish.mb_of_another_book:g})",
        wish.symbols * (actor + more * wish.mb_of_another_book), "MB")  # fmt: skip
    feed = memory["feeds"].at({"one": 1.0, "symbols": float(wish.books_per_feed)})
    add("mb/feeds", "memory of feeds", f"{feeds:,.0f} x {feed:.0f}", feeds * feed, "MB")
    amounts = {"one": 1.0, "symbols": float(wish.symbols)}
    for role in ("portfolio", "supervisor", "serve", "store"):
        add(f"mb/{role}", f"memory of {role}", _terms(memory[role], amounts),
            memory[role].at(amounts), "MB")  # fmt: skip


def _terms(cost: Cost, amounts: Mapping[str, float]) -> str:
    """Return the sum that a cost is, written out."""
    terms = [
        f"{value:.3g}" if name == "one" else f"{value:.3g} x {amounts[name]:,.0f} {name}"
        for name, value in cost.coefficients.items()
        if value
    ]
    return " + ".join(terms) or "0"

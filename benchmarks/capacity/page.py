"""The calculation as the tables of a page."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from benchmarks.capacity.plan import Wish
from benchmarks.capacity.points import MEASURED, commands, cpus_of, read_points
from benchmarks.capacity.report import report

SCALES: Final = {
    "one": ("a fleet or node", 1.0, "cores"),
    "symbols": ("a symbol's actor", 1e3, "ms/s"),
    "messages": ("a message", 1e6, "us"),
    "levels": ("a level", 1e9, "ns"),
    "rows": ("a row", 1e6, "us"),
}
"""How coefficients of cores are said, by quantity: of what, factor and unit."""


def scaling_tables() -> str:
    """Return the tables of docs/scaling.md, from the checked-in points."""
    return page(report(read_points(MEASURED), Wish(), cpus_of(MEASURED)), commands())


def page(found: Mapping[str, Any], commands: Sequence[str]) -> str:
    """Return the report as the tables of docs/scaling.md."""
    parts = [
        "Measured by:",
        "```",
        *commands,
        "```",
        "### Cost",
        _table(("role", "of", "CPU"), _cost_rows(found["cores"])),
        _table(("role", "of", "memory"), _memory_rows(found["mb"])),
        "### The model beside the measurements",
        _table(
            ("symbols", "messages/s", "cores measured", "cores modelled", "error"),
            [
                (
                    r["symbols"],
                    f"{r['messages_per_s']:,.0f}",
                    f"{r['measured_cores']:.2f}",
                    f"{r['modelled_cores']:.2f}",
                    f"{r['error']:+.1%}",
                )
                for r in found["residuals"]
            ],
        ),
        "### The simulation beside the measurements",
        _table(
            ("symbols", "cores busy", "p99 measured, ms", "p99 simulated, ms"),
            [
                (r["symbols"], f"{r['busy']:.0%}", _said(r["measured_p99_ms"]),
                 _said(r["simulated_p99_ms"]))
                for r in found["predictions"]
            ],
        ),
        "### " + _title(found["wish"]),
        _table(
            ("what", "arithmetic", "result"),
            [
                (s["what"], s["formula"], f"{s['value']:,.{_digits(s['value'])}f} {s['unit']}")
                for s in found["steps"].values()
            ],
        ),
        f"### {found['wish']['symbols']:,} books of one venue",
        _table(
            ("venue", "streams", "connections", "opened within", "snapshots", "addresses", "page"),
            [
                (
                    v["venue"],
                    f"{v['streams']:,}",
                    v["connections"],
                    "-" if v["connect_s"] is None else f"{v['connect_s']:g} s",
                    "-" if v["snapshots_min"] is None else f"{v['snapshots_min']:g} min",
                    v["addresses"],
                    f"[{v['page']}]({v['url']})",
                )
                for v in found["venues"]
            ],
        ),
    ]  # fmt: skip
    return "\n".join(parts) + "\n"


def _cost_rows(costs: Mapping[str, Mapping[str, float]]) -> list[tuple[str, str, str]]:
    return [
        (role, SCALES[name][0], f"{value * SCALES[name][1]:,.3g} {SCALES[name][2]}")
        for role, of in costs.items()
        for name, value in of.items()
        if value
    ]


def _memory_rows(costs: Mapping[str, Mapping[str, float]]) -> list[tuple[str, str, str]]:
    return [
        (role, SCALES[name][0], f"{value:,.1f} MB")
        for role, of in costs.items()
        for name, value in of.items()
        if value >= 0.05
    ]


def _title(wish: Mapping[str, Any]) -> str:
    stored = "each level stored" if wish["store_levels"] else "levels not stored"
    return (
        f"{wish['symbols']:,} symbols on {wish['venues']} venues, {wish['rate']:g} messages/s of "
        f"{wish['levels']:g} levels each, {stored}"
    )


def _said(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"


def _digits(value: float) -> int:
    return 0 if value >= 100 or value == int(value) else 2


def _table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines) + "\n"

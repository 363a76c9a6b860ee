"""The Grafana dashboards: what they show is the table here, `make docs` writes the JSON from it."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

FOLDER: Final = Path(__file__).resolve().parent / "grafana"
SOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}
COLUMNS: Final = 3
WIDTH: Final = 24 // COLUMNS
HEIGHT: Final = 8
SCHEMA_VERSION: Final = 39
"""Of Grafana 11; newer ones migrate it by themselves."""

OF: Final = 'exchange=~"$exchange",symbol=~"$symbol"'
"""What the variables of the market's dashboard choose."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One graph: queries with their legends, in a unit of Grafana's."""

    title: str
    unit: str
    queries: tuple[tuple[str, str], ...]
    help: str


def _of(metric: str) -> str:
    return f"ray_alphaplus_{metric}{{{OF}}}"


def _of_symbol(metric: str) -> str:
    return f'sum by (symbol) (rate(ray_alphaplus_{metric}{{symbol=~"$symbol"}}[1m]))'


def _rate(metric: str, by: str, where: str = "") -> str:
    return f"sum by ({by}) (rate(ray_alphaplus_{metric}{where}[1m]))"


FLEET: Final = (
    Panel(
        title="Books",
        unit="short",
        queries=(
            ("ray_alphaplus_symbols", "watched"),
            ("ray_alphaplus_stale_symbols", "stale"),
            ("sum(ray_alphaplus_book_crossed)", "crossed"),
        ),
        help="A stale or crossed book is served with the reason, never as fresh.",
    ),
    Panel(
        title="Messages",
        unit="cps",
        queries=((_rate("messages_total", "exchange"), "{{exchange}}"),),
        help="Messages applied per second.",
    ),
    Panel(
        title="Lag, socket to analysis",
        unit="s",
        queries=(
            ("max(ray_alphaplus_lag_p99_seconds)", "worst p99"),
            ("quantile(0.5, ray_alphaplus_lag_p99_seconds)", "p99 of the median market"),
            ("quantile(0.5, ray_alphaplus_lag_p50_seconds)", "p50 of the median market"),
        ),
        help="Of the last seconds. A rise of all at once is a full machine, of one a busy actor.",
    ),
    Panel(
        title="Lost and found",
        unit="short",
        queries=(
            ("sum(increase(ray_alphaplus_sequence_gaps_total[5m]))", "gaps"),
            ("sum(increase(ray_alphaplus_resyncs_total[5m]))", "resyncs"),
            ("sum(increase(ray_alphaplus_feed_dropped_events_total[5m]))", "dropped events"),
            ("sum(increase(ray_alphaplus_dropped_rows_total[5m]))", "dropped rows"),
        ),
        help="In five minutes. After a gap or a drop the book starts again from a snapshot.",
    ),
    Panel(
        title="Backlog",
        unit="short",
        queries=(
            ("sum(ray_alphaplus_backlog_events)", "all"),
            ("max(ray_alphaplus_backlog_events)", "the largest"),
        ),
        help="Events that wait in feeds; past streams.max_backlog_events they are dropped.",
    ),
    Panel(
        title="Feeds",
        unit="short",
        queries=(
            ("sum by (exchange) (increase(ray_alphaplus_feed_reconnects_total[5m]))",
             "{{exchange}} reconnects"),
            ("sum by (exchange) (increase(ray_alphaplus_feed_rate_limited_total[5m]))",
             "{{exchange}} refused requests"),
            ("sum by (exchange) (increase(ray_alphaplus_feed_bad_frames_total[5m]))",
             "{{exchange}} bad frames"),
            ("sum by (exchange) (increase(ray_alphaplus_feed_dropped_frames_total[5m]))",
             "{{exchange}} dropped frames"),
            ("sum by (exchange) (increase(ray_alphaplus_feed_duplicate_frames_total[5m]))",
             "{{exchange}} duplicates"),
        ),
        help="In five minutes.",
    ),
    Panel(
        title="CPU",
        unit="short",
        queries=(
            ("sum(rate(ray_alphaplus_symbol_cpu_seconds_total[1m]))", "symbols"),
            ("sum(rate(ray_alphaplus_feed_cpu_seconds_total[1m]))", "feeds"),
        ),
        help="Cores in use by role.",
    ),
    Panel(
        title="Memory of symbols",
        unit="bytes",
        queries=(
            ("sum(ray_alphaplus_symbol_memory_bytes)", "all"),
            ("max(ray_alphaplus_symbol_memory_bytes)", "the largest"),
        ),
        help="Proportional set size, of an actor that several share a part.",
    ),
    Panel(
        title="Memory of symbols' actors beside what they asked for",
        unit="percentunit",
        queries=(("max(ray_alphaplus_symbol_memory_ratio)", "the largest"),),
        help="Above 100 % nodes may be overfilled: raise fleet.symbol_memory_mb.",
    ),
    Panel(
        title="Audit",
        unit="short",
        queries=(
            ("sum(increase(ray_alphaplus_audit_equal_total[5m]))", "equal"),
            ("sum(increase(ray_alphaplus_audit_different_total[5m]))", "different"),
        ),
        help="Best prices of the books beside those of the venue's ticker.",
    ),
)  # fmt: skip

MARKET: Final = (
    Panel(
        title="Lag, socket to analysis",
        unit="s",
        queries=(
            (_of("lag_p50_seconds"), "p50 {{exchange}} {{symbol}}"),
            (_of("lag_p99_seconds"), "p99 {{exchange}} {{symbol}}"),
        ),
        help="Of the last seconds.",
    ),
    Panel(
        title="Age of the book",
        unit="s",
        queries=((_of("book_age_seconds"), "{{exchange}} {{symbol}}"),),
        help="Past fleet.stale_after_ms it is stale.",
    ),
    Panel(
        title="Stale, crossed",
        unit="short",
        queries=(
            (_of("book_stale"), "stale {{exchange}} {{symbol}}"),
            (_of("book_crossed"), "crossed {{exchange}} {{symbol}}"),
        ),
        help="1 while it is.",
    ),
    Panel(
        title="Messages, level updates, trades",
        unit="cps",
        queries=tuple(
            (_rate(f"{name}_total", "exchange, symbol", f"{{{OF}}}"), f"{name} {{{{symbol}}}}")
            for name in ("messages", "book_updates", "trades")
        ),
        help="Per second.",
    ),
    Panel(
        title="Size of a batch",
        unit="short",
        queries=(
            (f"{_of_symbol('batch_events_total')} / {_of_symbol('batches_total')}", "{{symbol}}"),
        ),
        help="Events applied together; grows when the actor cannot keep up with single ones.",
    ),
    Panel(
        title="Time to apply a batch",
        unit="s",
        queries=(
            (f"{_of_symbol('batch_apply_seconds_total')} / {_of_symbol('batches_total')}",
             "{{symbol}}"),
        ),
        help="Book, audit and measures.",
    ),
    Panel(
        title="Gaps, resyncs, drops",
        unit="short",
        queries=tuple(
            (f"sum by (exchange, symbol) (increase({_of(name)}[5m]))", f"{word} {{{{symbol}}}}")
            for name, word in (
                ("sequence_gaps_total", "gaps"),
                ("resyncs_total", "resyncs"),
                ("feed_dropped_events_total", "dropped events"),
                ("dropped_rows_total", "dropped rows"),
            )
        ),
        help="In five minutes.",
    ),
    Panel(
        title="Backlog",
        unit="short",
        queries=((_of("backlog_events"), "{{exchange}} {{symbol}}"),),
        help="Events that wait in the feed.",
    ),
    Panel(
        title="CPU and memory",
        unit="short",
        queries=(
            (_of_symbol("symbol_cpu_seconds_total"), "cores {{symbol}}"),
            ('ray_alphaplus_symbol_memory_bytes{symbol=~"$symbol"} / 1e9', "GB {{symbol}}"),
        ),
        help="Of the symbol; a part of its actor's where several share one.",
    ),
)  # fmt: skip

STORE_AND_RISK: Final = (
    Panel(
        title="Rows",
        unit="cps",
        queries=tuple(
            (f"sum(rate(ray_alphaplus_store_rows_{name}_total[1m]))", name)
            for name in ("accepted", "written", "duplicate", "retried")
        ),
        help="Per second; accepted rows are on disk in the spool.",
    ),
    Panel(
        title="Rows that wait for the database",
        unit="short",
        queries=(("sum(ray_alphaplus_store_rows_pending)", "pending"),),
        help="They are safe in the spool; storage.max_spool_mb bounds it.",
    ),
    Panel(
        title="How far the database is behind",
        unit="s",
        queries=(("max(ray_alphaplus_store_behind_seconds)", "behind"),),
        help="How long the oldest row in the spool waits.",
    ),
    Panel(
        title="Spool",
        unit="bytes",
        queries=(("sum(ray_alphaplus_store_spool_bytes)", "on disk"),),
        help="Bounded by storage.max_spool_mb; full, no more rows are taken.",
    ),
    Panel(
        title="Dead rows",
        unit="short",
        queries=(("sum(increase(ray_alphaplus_store_rows_dead_total[5m]))", "dead"),),
        help="In five minutes; the database refuses them, and the spool keeps them.",
    ),
    Panel(
        title="Portfolio main",
        unit="short",
        queries=(
            ("ray_alphaplus_portfolio_equity", "equity"),
            ("ray_alphaplus_portfolio_var_99_1d", "value at risk 99 %, a day"),
            ("ray_alphaplus_portfolio_es_975_1d", "expected shortfall 97.5 %, a day"),
        ),
        help="Quote currency; absent while it is unknown.",
    ),
)

DASHBOARDS: Final = {
    "fleet": ("AlphaPlus: fleet", FLEET, ()),
    "market": ("AlphaPlus: market", MARKET, ("exchange", "symbol")),
    "store-and-risk": ("AlphaPlus: store and risk", STORE_AND_RISK, ()),
}


def dashboard(name: str) -> dict[str, Any]:
    """Return one dashboard as Grafana imports it."""
    title, panels, chosen = DASHBOARDS[name]
    return {
        "uid": f"alphaplus-{name}",
        "title": title,
        "tags": ["alphaplus"],
        "schemaVersion": SCHEMA_VERSION,
        "editable": True,
        "timezone": "utc",
        "refresh": "10s",
        "time": {"from": "now-30m", "to": "now"},
        "templating": {"list": [_source_variable(), *map(_label_variable, chosen)]},
        "panels": [_panel(at, panel) for at, panel in enumerate(panels)],
    }


def _source_variable() -> dict[str, Any]:
    return {
        "name": "datasource",
        "label": "Data source",
        "type": "datasource",
        "query": "prometheus",
    }


def _label_variable(label: str) -> dict[str, Any]:
    query = f"label_values(ray_alphaplus_book_stale, {label})"
    return {
        "name": label,
        "type": "query",
        "datasource": SOURCE,
        "definition": query,
        "query": {"query": query, "refId": label},
        "refresh": 2,
        "includeAll": True,
        "multi": True,
        "current": {"text": "All", "value": "$__all"},
    }


def _panel(at: int, panel: Panel) -> dict[str, Any]:
    row, column = divmod(at, COLUMNS)
    return {
        "id": at + 1,
        "type": "timeseries",
        "title": panel.title,
        "description": panel.help,
        "datasource": SOURCE,
        "gridPos": {"x": column * WIDTH, "y": row * HEIGHT, "w": WIDTH, "h": HEIGHT},
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []},
        "options": {"legend": {"displayMode": "list", "placement": "bottom"}},
        "targets": [
            {"refId": chr(ord("A") + n), "datasource": SOURCE, "expr": expr, "legendFormat": legend}
            for n, (expr, legend) in enumerate(panel.queries)
        ],
    }


def text(name: str) -> str:
    """Return the file of a dashboard."""
    return json.dumps(dashboard(name), indent=1) + "\n"

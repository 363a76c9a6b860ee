"""Every metric that AlphaPlus exposes to Prometheus: one table for code, dashboards, alerts, docs.

Ray puts `ray_` before the names and serves them on the metrics port of the node on which the
portfolio's actor runs. Labels are `exchange` and `symbol` only, so the number of series is that
of the markets; Ray adds labels of its own (node, session, worker).
"""

from dataclasses import dataclass
from typing import Final, Literal

Kind = Literal["counter", "gauge"]
MARKET: Final = ("exchange", "symbol")
SYMBOL: Final = ("symbol",)
EXCHANGE: Final = ("exchange",)
FLEET: Final[tuple[str, ...]] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One metric: what it is called, what it says, and of which field of a reading."""

    name: str
    kind: Kind
    unit: str
    help: str
    labels: tuple[str, ...]
    source: str
    """Field of a reading with these labels, see `actors/metric_readings.py`."""

    @property
    def exposed(self) -> str:
        """The name that Prometheus scrapes."""
        return f"ray_{self.name}"


_ROWS: Final[tuple[tuple[tuple[str, ...], Kind, str, str, str, str], ...]] = (
    (MARKET, "counter", "messages_total", "messages", "messages", "Messages applied."),
    (
        MARKET, "counter", "book_updates_total", "levels", "level_updates",
        "Levels of the book set or removed.",
    ),
    (MARKET, "counter", "trades_total", "trades", "trades", "Trades received."),
    (
        MARKET, "counter", "sequence_gaps_total", "gaps", "gaps",
        "Breaks in the venue's numbering; each ends with a new snapshot.",
    ),
    (
        MARKET, "counter", "resyncs_total", "snapshots", "resyncs",
        "Books rebuilt from a snapshot after they had been in step.",
    ),
    (
        MARKET, "counter", "dropped_rows_total", "rows", "dropped",
        "Rows that the store was too far behind to take.",
    ),
    (
        MARKET, "counter", "feed_dropped_events_total", "events", "feed_dropped",
        "Events that the feed gave up because the symbol's actor was busy for too long.",
    ),
    (
        MARKET, "counter", "audit_equal_total", "comparisons", "audit_equal",
        "Best prices that were those of the venue's ticker.",
    ),
    (
        MARKET, "counter", "audit_different_total", "comparisons", "audit_different",
        "Best prices that were not those of the venue's ticker.",
    ),
    (
        MARKET, "gauge", "book_age_seconds", "seconds", "age_s",
        "Time since the market's newest update was received.",
    ),
    (
        MARKET, "gauge", "book_stale", "0 or 1", "stale",
        "1 while the book is not known to be in step with the exchange.",
    ),
    (MARKET, "gauge", "book_crossed", "0 or 1", "crossed", "1 while bids meet asks."),
    (
        MARKET, "gauge", "lag_p50_seconds", "seconds", "lag_p50_s",
        "Socket to published analysis, median of the last seconds.",
    ),
    (
        MARKET, "gauge", "lag_p99_seconds", "seconds", "lag_p99_s",
        "Socket to published analysis, 99th percentile of the last seconds.",
    ),
    (
        MARKET, "gauge", "backlog_events", "events", "backlog",
        "Events that wait in the feed for the symbol's actor.",
    ),
    (
        SYMBOL, "counter", "batches_total", "batches", "batches",
        "Batches of events that the symbol's actor applied.",
    ),
    (
        SYMBOL, "counter", "batch_events_total", "events", "events",
        "Events in these batches; divided by batches_total, the mean size of a batch.",
    ),
    (
        SYMBOL, "counter", "batch_apply_seconds_total", "seconds", "apply_s",
        "Time to apply these batches: book, audit and measures.",
    ),
    (
        SYMBOL, "counter", "symbol_cpu_seconds_total", "seconds", "cpu_s",
        "CPU time of the symbol, a part of its actor's.",
    ),
    (
        SYMBOL, "gauge", "symbol_memory_bytes", "bytes", "memory_bytes",
        "Proportional set size of the symbol, a part of its actor's.",
    ),
    (
        SYMBOL, "gauge", "symbol_memory_ratio", "1", "memory_ratio",
        "Memory of the symbol's actor, as a part of what that asked a node for.",
    ),
    (
        EXCHANGE, "counter", "feed_reconnects_total", "connections", "reconnects",
        "Connections to the exchange that were opened again.",
    ),
    (
        EXCHANGE, "counter", "feed_rate_limited_total", "requests", "rate_limited",
        "Requests that the exchange refused as too many.",
    ),
    (
        EXCHANGE, "counter", "feed_bad_frames_total", "frames", "bad_frames",
        "Frames that could not be read.",
    ),
    (
        EXCHANGE, "counter", "feed_dropped_frames_total", "frames", "dropped_frames",
        "Frames given up while a snapshot was awaited.",
    ),
    (
        EXCHANGE, "counter", "feed_duplicate_frames_total", "frames", "duplicate_frames",
        "Frames that had been seen before.",
    ),
    (
        EXCHANGE, "counter", "feed_cpu_seconds_total", "seconds", "cpu_s",
        "CPU time of the exchange's feeds.",
    ),
    (
        FLEET, "counter", "store_rows_accepted_total", "rows", "rows_accepted",
        "Rows that are on disk in the spool, those of an earlier life included.",
    ),
    (
        FLEET, "counter", "store_rows_written_total", "rows", "rows_written",
        "Rows written to the database.",
    ),
    (
        FLEET, "counter", "store_rows_duplicate_total", "rows", "rows_duplicate",
        "Rows that were in the database already.",
    ),
    (
        FLEET, "counter", "store_rows_retried_total", "rows", "rows_retried",
        "Rows sent to the database again after it had failed.",
    ),
    (
        FLEET, "counter", "store_rows_dead_total", "rows", "rows_dead",
        "Rows that the database will never take; they are kept in the spool's dead letters.",
    ),
    (
        FLEET, "gauge", "store_rows_pending", "rows", "rows_pending",
        "Rows in the spool that are not in the database yet.",
    ),
    (
        FLEET, "gauge", "store_behind_seconds", "seconds", "behind_s",
        "How long the oldest row in the spool waits for the database.",
    ),
    (
        FLEET, "gauge", "store_spool_bytes", "bytes", "spool_bytes",
        "Size of the spool on disk, which storage.max_spool_mb bounds.",
    ),
    (FLEET, "gauge", "symbols", "books", "symbols", "Books watched."),
    (FLEET, "gauge", "stale_symbols", "books", "stale_symbols", "Books that are stale."),
    (
        FLEET, "gauge", "portfolio_equity", "quote currency", "equity",
        "Equity of the portfolio main.",
    ),
    (
        FLEET, "gauge", "portfolio_var_99_1d", "quote currency", "var_99_1d",
        "Value at risk of the portfolio main, 99 % over a day.",
    ),
    (
        FLEET, "gauge", "portfolio_es_975_1d", "quote currency", "es_975_1d",
        "Expected shortfall of the portfolio main, 97.5 % over a day.",
    ),
)  # fmt: skip

METRICS: Final = tuple(
    Metric(name=f"alphaplus_{name}", kind=kind, unit=unit, help=text, labels=labels, source=source)
    for labels, kind, name, unit, source, text in _ROWS
)
"""A gauge that is unknown is not set, and so is absent from a scrape rather than 0."""

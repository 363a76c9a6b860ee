"""What flows and how late it is, in windows of about a second; no clock, no I/O."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

from alphaplus.latency import LatencyHistogram

CALM_MS: Final = 10.0
"""Latency, 99th percentile of a window, below which a fleet is calm."""
BEGUN_S: Final = 0.1
"""A window that began so shortly before the end of the burst is one after it."""
CALM_WINDOWS: Final = 3
"""Successive windows that are calm where it has recovered: one alone may be luck, and a single
late one later on is not of the burst."""
CALM_WAITING_S: Final = 0.1
"""Messages that may be under way in a calm fleet, in seconds of the base rate."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """Totals at a moment."""

    at_s: float
    sent: int
    """Messages that the venue has sent."""
    processed: int
    """Messages whose analysis was published."""
    levels: int
    latencies: LatencyHistogram
    unsent_bytes: int
    """Bytes that the venue could not hand over yet."""
    backlog_events: int
    """Events that the feeds could not hand over yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """What happened between two readings."""

    from_s: float
    to_s: float
    sent_per_s: float
    processed_per_s: float
    levels_per_s: float
    p50_ms: float | None
    p99_ms: float | None
    waiting: int
    """Messages at its end that were sent and not processed, wherever they are."""
    unsent_bytes: int
    backlog_events: int


def windows(readings: Sequence[Reading], idle: int) -> list[Window]:
    """Return what happened between successive readings; `idle` is `sent - processed` at rest."""
    found = []
    for before, after in pairwise(readings):
        seconds = after.at_s - before.at_s
        recent = after.latencies.since(before.latencies)
        known = len(recent) > 0
        found.append(
            Window(
                from_s=round(before.at_s, 3),
                to_s=round(after.at_s, 3),
                sent_per_s=round((after.sent - before.sent) / seconds, 1),
                processed_per_s=round((after.processed - before.processed) / seconds, 1),
                levels_per_s=round((after.levels - before.levels) / seconds, 1),
                p50_ms=round(recent.percentile(50) / 1e6, 3) if known else None,
                p99_ms=round(recent.percentile(99) / 1e6, 3) if known else None,
                waiting=after.sent - after.processed - idle,
                unsent_bytes=after.unsent_bytes,
                backlog_events=after.backlog_events,
            )
        )
    return found


def recovery_s(seen: Sequence[Window], burst_end_s: float, base_rate: float) -> float | None:
    """Return seconds from the end of a burst to the end of the first of three calm windows;
    None if there are none.

    Calm is a p99 below 10 ms with no more than a tenth of a second of the base rate under way:
    what still waits in a socket has no latency yet.
    """
    after = [window for window in seen if window.from_s >= burst_end_s - BEGUN_S]
    calm = [_is_calm(window, base_rate) for window in after]
    for place in range(len(after) - CALM_WINDOWS + 1):
        if all(calm[place : place + CALM_WINDOWS]):
            return round(after[place].to_s - burst_end_s, 2)
    return None


def _is_calm(window: Window, base_rate: float) -> bool:
    return (
        window.p99_ms is not None
        and window.p99_ms < CALM_MS
        and window.waiting <= CALM_WAITING_S * base_rate
    )


def sustained(seen: Sequence[Window]) -> dict[str, Any]:
    """Return the rates over all windows, and the largest backlogs."""
    seconds = sum(window.to_s - window.from_s for window in seen)

    def mean(name: str) -> float:
        total = sum(getattr(w, name) * (w.to_s - w.from_s) for w in seen)
        return round(total / seconds, 1)

    slow = [window.p99_ms for window in seen if window.p99_ms is not None]
    return {
        "seconds": round(seconds, 1),
        "messages_per_s": mean("processed_per_s"),
        "level_updates_per_s": mean("levels_per_s"),
        "offered_per_s": mean("sent_per_s"),
        "worst_p99_ms": max(slow, default=None),
        "most_waiting_messages": max(window.waiting for window in seen),
        "most_unsent_bytes": max(window.unsent_bytes for window in seen),
        "most_backlog_events": max(window.backlog_events for window in seen),
    }


def reading(
    at_s: float, venue: Mapping[str, Any], told: Sequence[Mapping[str, Any]], backlog_events: int
) -> Reading:
    """Make a reading of the venue's state and the progress of all symbols.

    Counted are changes of the book alone, as the venue plays nothing else; what feeds poll for
    is left out.
    """
    latencies = sum(
        (LatencyHistogram.from_bytes(item["book_latencies"]) for item in told),
        LatencyHistogram(),
    )
    return Reading(
        at_s=at_s,
        sent=venue["messages"],
        processed=len(latencies),
        levels=sum(item["level_updates"] for item in told),
        latencies=latencies,
        unsent_bytes=venue["unsent_bytes"],
        backlog_events=backlog_events,
    )

"""Who was stale when, what had hit him, and how long he took to come back."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

SLACK_S: Final = 0.6
"""Looks are a quarter of a second apart, and clocks of processes are read one after the other."""
GRACE_S: Final = 2.5
"""So long after a hit staleness may still come of it..."""
SILENT_GRACE_S: Final = 13.0
"""... or so long, if all that shows is silence, which is stale after ten seconds."""
SILENT: Final = frozenset({"feed", "stall_socket"})
WHOLE: Final = frozenset({"job", "head", "outage"})
"""Causes that take everything away; their recovery is told apart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """Something that was done to symbols at `at`, and may be felt from then until `ends`.

    Recovery is counted from `counts_from`: of a kill from the kill, of a fault that lasts from
    its end. All are seconds of one clock.
    """

    cause: str
    at: float
    ends: float
    counts_from: float
    symbols: frozenset[str]


@dataclass(frozen=True, slots=True)
class Interval:
    """A symbol was not fresh, from its first to after its last look that said so."""

    symbol: str
    start: float
    end: float


class Freshness:
    """Notes what each look says, and keeps the intervals in which a symbol was not fresh."""

    def __init__(self) -> None:
        self.intervals: list[Interval] = []
        self.looks = 0
        self._stale_since: dict[str, float] = {}

    def add(self, now: float, fresh: Mapping[str, bool]) -> None:
        """Note one look at all symbols."""
        self.looks += 1
        for symbol, is_fresh in fresh.items():
            if not is_fresh:
                self._stale_since.setdefault(symbol, now)
            elif symbol in self._stale_since:
                self.intervals.append(Interval(symbol, self._stale_since.pop(symbol), now))

    def all_fresh(self) -> bool:
        """Say whether the last look found everybody fresh."""
        return bool(self.looks) and not self._stale_since

    def close(self, now: float) -> None:
        """End the intervals that are still open."""
        self.add(now, dict.fromkeys(list(self._stale_since), True))


def judge(intervals: Iterable[Interval], hits: Sequence[Hit]) -> dict[str, Any]:
    """Attribute staleness to hits.

    Returns the worst seconds from a hit (the end of one that lasts) until its symbol was fresh,
    by cause; the seconds in which symbols were stale that nothing had hit; and those intervals.
    """
    worst: dict[str, float] = defaultdict(float)
    unhit: list[Interval] = []
    for interval in intervals:
        known = [
            hit
            for hit in hits
            if interval.symbol in hit.symbols
            and hit.at - SLACK_S <= interval.end
            and hit.ends + (SILENT_GRACE_S if hit.cause in SILENT else GRACE_S) >= interval.start
        ]
        before = [hit for hit in known if hit.at - SLACK_S <= interval.start]
        if not before:
            unhit.append(interval)
            continue
        larger = [hit for hit in known if hit.cause in WHOLE]
        cause = larger[-1] if larger else max(before, key=lambda hit: hit.at)
        since = cause.counts_from if cause.counts_from < interval.end else cause.at
        worst[cause.cause] = max(worst[cause.cause], interval.end - since)
    return {
        "recovery_s": {cause: round(seconds, 2) for cause, seconds in sorted(worst.items())},
        "worst_recovery_s": round(
            max((s for cause, s in worst.items() if cause not in WHOLE), default=0.0), 2
        ),
        "stale_unhit_s": round(sum(item.end - item.start for item in unhit), 2),
        "unhit": [{"symbol": item.symbol, "s": round(item.end - item.start, 2)} for item in unhit],
    }

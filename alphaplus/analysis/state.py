"""Where one instrument stands, as one fixed record: what a symbol tells the portfolio.

`STATE` crosses processes as bytes. Unknown floats are nan, unknown times 0; `summary`
turns a record into the dictionary that people and programs read, with None for unknown.
"""

import math
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from alphaplus.events import FeedStatus

StateRecord = npt.NDArray[np.void]
"""An array of one row of dtype `STATE`."""

PRICES: Final = (
    "best_bid",
    "best_bid_quantity",
    "best_ask",
    "best_ask_quantity",
    "spread",
    "spread_bps",
    "mid",
    "weighted_mid",
    "imbalance_1",
    "imbalance_5",
    "imbalance_20",
    "last_price",
    "mark_price",
    "index_price",
    "funding_rate",
    "open_interest",
    "volume_24h",
    "turnover_24h",
)
COUNTERS: Final = (
    "messages",
    "level_updates",
    "trades",
    "gaps",
    "resyncs",
    "dropped",
    "audit_equal",
    "audit_different",
)
STATE: Final = np.dtype(
    [
        ("exchange", "U16"),
        ("symbol", "U40"),
        ("status", "u1"),
        ("crossed", "?"),
        ("hole", "?"),
        ("ts_event", "<i8"),
        ("ts_recv", "<i8"),
        ("ts_publish", "<i8"),
        ("sequence", "<i8"),
        ("next_funding_ts", "<i8"),
        *((name, "<f8") for name in PRICES),
        *((name, "<i8") for name in COUNTERS),
    ]
)
_BLANK: Final[dict[str, Any]] = {
    **dict.fromkeys(STATE.names or (), 0),
    "exchange": "",
    "symbol": "",
    **dict.fromkeys(PRICES, math.nan),
}


def state_record(values: Mapping[str, Any]) -> StateRecord:
    """Return a record of named values; those that are not given, or None, are unknown.

    All fields are set at once: one at a time takes a microsecond each.
    """
    row = []
    for name, blank in _BLANK.items():
        value = values.get(name)
        row.append(blank if value is None else value)
    return np.array([tuple(row)], dtype=STATE)


def blank_state() -> StateRecord:
    """Return the record of an instrument of which nothing is known."""
    return state_record({})


def stale_reason(
    *, status: FeedStatus, hole: bool, crossed: bool, age_ms: float | None, stale_after_ms: float
) -> str | None:
    """Say why a book must not be taken for the market's, or None if it may."""
    if status is not FeedStatus.SYNCED:
        return f"the feed is {status.name.lower()}"
    if hole:
        return "updates were lost on the way; waiting for a snapshot"
    if crossed:
        return "the book is crossed"
    if age_ms is None:
        return "nothing has been received yet"
    if age_ms > stale_after_ms:
        return f"nothing has been received for {age_ms / 1000:.1f} s"
    return None


def age_ms(ts_recv: int, now_ns: int) -> float | None:
    """Return milliseconds since `ts_recv` (ns, our clock), None if there was none."""
    return (now_ns - ts_recv) / 1e6 if ts_recv else None


def freshness(
    ts_event: int, ts_recv: int, *, reason: str | None, now_ns: int
) -> dict[str, int | float | bool | str | None]:
    """Return the five fields that every answer carries."""
    return {
        "ts_event": ts_event or None,
        "ts_recv": ts_recv or None,
        "age_ms": age_ms(ts_recv, now_ns),
        "stale": reason is not None,
        "stale_reason": reason,
    }


def summary(state: np.void, *, now_ns: int, stale_after_ms: float) -> dict[str, Any]:
    """Return one `STATE` row as a dictionary, aged to `now_ns`."""
    ts_recv = int(state["ts_recv"])
    status = FeedStatus(int(state["status"]))
    reason = stale_reason(
        status=status,
        hole=bool(state["hole"]),
        crossed=bool(state["crossed"]),
        age_ms=age_ms(ts_recv, now_ns),
        stale_after_ms=stale_after_ms,
    )
    return {
        "symbol": str(state["symbol"]),
        "exchange": str(state["exchange"]),
        "status": status.name.lower(),
        **freshness(int(state["ts_event"]), ts_recv, reason=reason, now_ns=now_ns),
        "sequence": int(state["sequence"]) or None,
        **{name: _known(float(state[name])) for name in PRICES},
        "next_funding_ts": int(state["next_funding_ts"]) or None,
        **{name: int(state[name]) for name in COUNTERS},
    }


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None

"""Which kinds of events there are, and the changes of levels among them as rows."""

from functools import cache
from typing import Any, Final

import numpy as np

from alphaplus.events import EventArray, Kind, empty_events, plain
from alphaplus.jit import kernel
from alphaplus.storage.tables import FIRST, SECOND, TABLES, RowArray

_BEGIN: Final = int(Kind.SNAPSHOT_BEGIN)
_DEPTH: Final = int(Kind.DEPTH)
_END: Final = int(Kind.SNAPSHOT_END)
_BID_CODE: Final = int(FIRST)
_ASK_CODE: Final = int(SECOND)


@cache
def warm_event_kernels() -> None:
    """Compile, or load, what is here, unless this process or its template has."""
    events = plain(empty_events(1))
    rows = np.empty(1, dtype=TABLES["order_book_deltas"].dtype)
    kinds_of(events)
    fill_deltas(events, rows, 1, 1.0)


@kernel
def kinds_of(events: EventArray) -> int:
    """Return a number with bit k set where an event of kind k is among them."""
    found = 0
    for i in range(len(events)):
        found |= 1 << events[i].kind
    return found


@kernel
def fill_deltas(events: Any, rows: RowArray, tick_units: int, scale: float) -> int:
    """Write the changes of levels as rows of `order_book_deltas`, and return how many there are.

    A depth message without any level travels as one empty event, which is no change.
    """
    count = 0
    inside = 0
    for i in range(len(events)):
        event = events[i]
        if event.kind == _BEGIN:
            inside += 1
        elif event.kind == _END:
            inside -= 1
        elif event.kind == _DEPTH and (event.price_tick != 0 or event.value != 0.0):
            row: Any = rows[count]
            row.time = event.ts_event
            row.recv_time = event.ts_recv
            row.seq = event.sequence
            row.side = _ASK_CODE if event.side < 0 else _BID_CODE
            row.price = event.price_tick * tick_units / scale
            row.qty = event.value
            row.is_snapshot = inside > 0
            count += 1
    return count

"""Faults that the venue commits on request: what there is, what is waiting, what was committed.

Frame faults wait, per symbol, for depth frames. The others last: a stalled socket for those who
listen to a symbol, the rest for everybody. Times are seconds on one monotonic clock, handed in.
"""

import math
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from alphaplus.errors import ConfigError

MAX_COUNT: Final = 10_000
MAX_FOR_S: Final = 600.0
OUTAGE_NOTICE_S: Final = 0.1
"""An outage begins so long after it was ordered, so that the order is still answered."""


class FaultKind(StrEnum):
    """What goes wrong."""

    DROP_FRAME = "drop_frame"
    """A depth frame is not sent."""
    DUPLICATE_FRAME = "duplicate_frame"
    """It is sent twice."""
    REORDER_FRAMES = "reorder_frames"
    """It is sent after the one that follows it."""
    TORN_JSON = "torn_json"
    """The first half of its text is sent in its place."""
    WRONG_PRICE = "wrong_price"
    """Its bids are sent at ten times their prices and its asks at a tenth, none of them deleted."""
    WRONG_SIZE = "wrong_size"
    """Its sizes are sent with a minus sign."""
    WRONG_SEQUENCE = "wrong_sequence"
    """Its ids are well formed and wrong, in turn: off by one, far ahead, far behind."""
    CLOSE_SOCKET = "close_socket"
    """Every socket that carries it is closed instead, without a closing handshake."""
    STALL_SOCKET = "stall_socket"
    """Every socket that carries the symbol's depth stays open and says nothing."""
    SLOW_REST = "slow_rest"
    """REST answers come late."""
    FAILING_REST = "failing_rest"
    """REST requests are answered with a server's error."""
    RATE_LIMIT = "rate_limit"
    """REST requests are refused as too many, with Retry-After."""
    CLOCK_SKEW = "clock_skew"
    """What the venue says now is stamped with a clock that is wrong."""
    OUTAGE = "outage"
    """Nobody listens at the venue's address, and its sockets are gone."""


OF_FRAMES: Final = frozenset(
    {
        FaultKind.DROP_FRAME,
        FaultKind.DUPLICATE_FRAME,
        FaultKind.REORDER_FRAMES,
        FaultKind.TORN_JSON,
        FaultKind.WRONG_PRICE,
        FaultKind.WRONG_SIZE,
        FaultKind.WRONG_SEQUENCE,
        FaultKind.CLOSE_SOCKET,
    }
)
OF_SYMBOLS: Final = OF_FRAMES | {FaultKind.STALL_SOCKET}
"""Faults that name a symbol; the others are everybody's."""
OF_REST: Final = frozenset({FaultKind.SLOW_REST, FaultKind.FAILING_REST, FaultKind.RATE_LIMIT})

_PARAMETERS: Final[dict[FaultKind, dict[str, tuple[float, float, float]]]] = {
    FaultKind.SLOW_REST: {"delay_s": (0.001, 60.0, 1.0)},
    FaultKind.FAILING_REST: {"status": (500, 599, 503)},
    FaultKind.RATE_LIMIT: {"status": (418, 429, 429), "retry_after_s": (0, 600, 1)},
    FaultKind.CLOCK_SKEW: {"skew_s": (-3600.0, 3600.0, 5.0)},
}
"""What may be said of a kind beside how long: least, most, default."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultOrder:
    """One fault; `count` depth frames, or `for_s` seconds.

    `delay_s` and `skew_s` in seconds, `status` an HTTP status, `retry_after_s` what the
    refusal says; each only where the kind has it.
    """

    kind: FaultKind
    symbol: str | None = None
    count: int = 1
    for_s: float = 1.0
    delay_s: float = 0.0
    status: int = 0
    retry_after_s: int = 0
    skew_s: float = 0.0

    def view(self) -> dict[str, Any]:
        """Return what was ordered, without what the kind does not have."""
        shown: dict[str, Any] = {"kind": str(self.kind)}
        if self.symbol is not None:
            shown["symbol"] = self.symbol
        if self.kind in OF_FRAMES:
            return {**shown, "count": self.count}
        known = {name: getattr(self, name) for name in _PARAMETERS.get(self.kind, {})}
        return {**shown, "for_s": self.for_s, **known}


def fault_order(body: Mapping[str, Any]) -> FaultOrder:
    """Return the fault that a body describes; raises ConfigError with one sentence."""
    kind = fault_kind(body.get("kind"))
    of_frames = kind in OF_FRAMES
    own = _PARAMETERS.get(kind, {})
    fields = {"kind", "count" if of_frames else "for_s", *own}
    if kind in OF_SYMBOLS:
        fields.add("symbol")
    unknown = [name for name in body if name not in fields]
    if unknown:
        raise ConfigError(
            f"Expected {kind} with the fields {', '.join(sorted(fields))}, was {unknown[0]!r} too."
        )
    symbol = body.get("symbol")
    if kind in OF_SYMBOLS and not isinstance(symbol, str):
        raise ConfigError(f"Expected symbol to be one that the venue lists, was {symbol!r}.")
    if of_frames:
        count = _within(body, "count", (1, MAX_COUNT, 1), whole=True)
        return FaultOrder(kind=kind, symbol=symbol, count=int(count))
    found = {
        name: _within(body, name, bounds, whole=name in ("status", "retry_after_s"))
        for name, bounds in own.items()
    }
    status = int(found.get("status", 0))
    if kind is FaultKind.RATE_LIMIT and status not in (418, 429):
        raise ConfigError(f"Expected status 429 or 418, was {status}.")
    return FaultOrder(
        kind=kind,
        symbol=symbol,
        for_s=_within(body, "for_s", (0.001, MAX_FOR_S, 1.0)),
        delay_s=found.get("delay_s", 0.0),
        status=status,
        retry_after_s=int(found.get("retry_after_s", 0)),
        skew_s=found.get("skew_s", 0.0),
    )


def fault_kind(name: Any) -> FaultKind:
    """Return the kind of a name; raises ConfigError."""
    try:
        return FaultKind(name)
    except ValueError:
        known = ", ".join(FaultKind)
        raise ConfigError(f"Expected kind to be one of {known}, was {name!r}.") from None


@dataclass(slots=True)
class _Lasting:
    """A fault that lasts, from and until when."""

    order: FaultOrder
    begins: float
    ends: float


class Faults:
    """The faults that wait or last, and a count of those committed."""

    def __init__(self) -> None:
        self.committed: Counter[tuple[int | None, FaultKind]] = Counter()
        """By the symbol's place in the listing, None for everybody's; for REST in requests."""
        self._waiting: dict[int, deque[FaultKind]] = {}
        self._lasting: dict[tuple[int | None, FaultKind], _Lasting] = {}

    def request(self, order: FaultOrder, index: int | None, now: float) -> None:
        """Take an order; one that lasts replaces one of its kind that does."""
        if order.kind in OF_FRAMES:
            assert index is not None
            self._waiting.setdefault(index, deque()).extend([order.kind] * order.count)
            return
        begins = now + (OUTAGE_NOTICE_S if order.kind is FaultKind.OUTAGE else 0.0)
        self._lasting[index, order.kind] = _Lasting(order, begins, begins + order.for_s)
        if order.kind not in OF_REST:  # those count the requests that they meet
            self.committed[index, order.kind] += 1

    def clear(self) -> None:
        """End all of them."""
        self._waiting.clear()
        self._lasting.clear()

    def next(self, index: int) -> FaultKind | None:
        """Take the fault for the depth frame that is about to be sent, if there is one."""
        waiting = self._waiting.get(index)
        if not waiting:
            return None
        fault = waiting.popleft()
        self.committed[index, fault] += 1
        return fault

    def now(self, kind: FaultKind, now: float, index: int | None = None) -> FaultOrder | None:
        """Return the fault of a kind that lasts at `now`; what is over is forgotten."""
        lasting = self._lasting.get((index, kind))
        if lasting is None or now < lasting.begins:
            return None
        if now >= lasting.ends:
            del self._lasting[index, kind]
            return None
        return lasting.order

    def stalled(self, now: float) -> frozenset[int]:
        """Return the places of the symbols whose sockets say nothing."""
        places = [
            i for i, kind in self._lasting if kind is FaultKind.STALL_SOCKET and i is not None
        ]
        return frozenset(i for i in places if self.now(FaultKind.STALL_SOCKET, now, i))

    def state(self, index: int | None) -> dict[str, int]:
        """Return how often each fault was committed on a symbol, None: on everybody."""
        return {
            str(kind): n for (i, kind), n in sorted(self.committed.items(), key=str) if i == index
        }

    def lasting(self, now: float) -> list[dict[str, Any]]:
        """Return the faults that last, with the seconds that are left of each."""
        return [
            {**item.order.view(), "left_s": round(item.ends - now, 3)}
            for item in self._lasting.values()
            if now < item.ends
        ]


def _within(
    body: Mapping[str, Any], name: str, bounds: tuple[float, float, float], *, whole: bool = False
) -> float:
    """Return a field that is a number within bounds, or its default where it is missing."""
    low, high, default = bounds
    value = body.get(name, default)
    good = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if not good or not low <= value <= high or (whole and value != int(value)):
        kind = "a whole number " if whole else ""
        raise ConfigError(f"Expected {name} to be {kind}from {low:g} to {high:g}, was {value!r}.")
    return float(value)

"""What is asked of the history, and the cursor by which an answer goes on."""

import base64
import hashlib
import json
import math
from dataclasses import dataclass, replace
from typing import Any, Final, Self

from alphaplus.errors import StorageError
from alphaplus.storage.copy_rows import check_columns
from alphaplus.storage.row_order import Key, key_types
from alphaplus.storage.tables import (
    MAX_TIME_NS,
    MIN_TIME_NS,
    Table,
    Type,
    table_of,
)

_VERSION: Final = 1
MAX_SYMBOLS: Final = 1000
MAX_NAME: Final = 255


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryQuery:
    """Rows of a table with start_ns <= time < end_ns, ns since 1970 UTC.

    No exchange and no symbols mean all of them, no columns all columns. Raises StorageError,
    one sentence that names the fix, for what cannot be asked.
    """

    table: str
    exchange: str | None = None
    symbols: tuple[str, ...] = ()
    start_ns: int = MIN_TIME_NS
    end_ns: int = MAX_TIME_NS
    columns: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_columns(self.spec, [name for name in self.columns if name not in SERIES])
        for name, time in (("start", self.start_ns), ("end", self.end_ns)):
            if not MIN_TIME_NS <= time <= MAX_TIME_NS:
                raise StorageError(
                    f"Expected {name} between 2000-01-01 and 2100-01-01, was {time} ns; "
                    "give ISO 8601 or nanoseconds since 1970 UTC."
                )
        if self.start_ns >= self.end_ns:
            raise StorageError(
                f"Expected start before end, was {self.start_ns} and {self.end_ns} ns; swap them."
            )
        if len(self.symbols) > MAX_SYMBOLS:
            raise StorageError(
                f"Expected at most {MAX_SYMBOLS} symbols, was {len(self.symbols)}; ask in parts."
            )
        for name in (*self.symbols, *([self.exchange] if self.exchange is not None else [])):
            if not 0 < len(name) <= MAX_NAME or "\0" in name:
                raise StorageError(
                    f"Expected exchange and symbol of 1 to {MAX_NAME} characters, "
                    f"was {name[:40]!r}; see /v1/history for those that are stored."
                )

    @property
    def spec(self) -> Table:
        """The table's description."""
        return table_of(self.table)

    @property
    def mark(self) -> str:
        """A short hash of what is asked, but for columns and end: cursors belong to it."""
        asked = json.dumps([self.table, self.exchange, sorted(self.symbols), self.start_ns])
        return hashlib.sha256(asked.encode()).hexdigest()[:8]


SERIES: Final = ("exchange", "symbol")
"""The columns that name an instrument: they come with every answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cursor:
    """The place after one row: its instrument and key, and the end that the first page had.

    The end travels along, so that reading in pages comes to one however fast rows arrive.
    """

    exchange: str
    symbol: str
    key: Key
    end_ns: int

    def to_text(self, query: HistoryQuery) -> str:
        """Return an opaque text that goes into a URL as it is."""
        content = [_VERSION, query.mark, self.end_ns, self.exchange, self.symbol, list(self.key)]
        text = json.dumps(content, separators=(",", ":"), ensure_ascii=False)
        return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")

    @classmethod
    def from_text(cls, text: str, query: HistoryQuery) -> Self:
        """Read what `to_text` wrote for the same question; raises StorageError."""
        try:
            padded = text.encode("ascii") + b"=" * (-len(text) % 4)
            version, mark, end_ns, exchange, symbol, key = json.loads(
                base64.b64decode(padded, altchars=b"-_", validate=True)
            )
            cursor = cls(exchange=exchange, symbol=symbol, key=tuple(key), end_ns=end_ns)
            whole = version == _VERSION and cursor.fits(query.spec)
        except (ValueError, TypeError):
            whole = False
        if not whole:
            raise StorageError(
                f"Expected a cursor as the last answer gave it, was {text[:40]!r}; "
                "leave it out to begin anew."
            )
        if mark != query.mark:
            raise StorageError(
                "Expected a cursor of the same question, was another's; keep table, exchange, "
                "symbol and start as they were, or leave the cursor out."
            )
        return cursor

    def fits(self, spec: Table) -> bool:
        """Say whether every value has the type and range that a key of the table has."""
        names = (self.exchange, self.symbol)
        if not all(isinstance(name, str) and 0 < len(name) <= MAX_NAME for name in names):
            return False
        if any("\0" in name for name in names):
            return False
        types = key_types(spec)
        values = (*self.key, self.end_ns)
        return (
            len(self.key) == len(types)
            and all(map(_fits, values, (*types, Type.TIME)))
            and MIN_TIME_NS <= self.end_ns <= MAX_TIME_NS
        )

    def resumed(self, query: HistoryQuery) -> HistoryQuery:
        """Return the question with the end that its first page had."""
        if not query.start_ns <= int(self.key[0]) < self.end_ns:
            raise StorageError("Expected a cursor after start, was before; leave it out.")
        return replace(query, end_ns=self.end_ns)


def _fits(value: Any, kind: Type) -> bool:
    if kind is Type.TEXT:
        return isinstance(value, str) and len(value) <= MAX_NAME and "\0" not in value
    if kind is Type.FLOAT8:
        return type(value) in (int, float) and math.isfinite(value)
    if type(value) is not int or not -(2**63) <= value < 2**63:
        return False
    limits = {Type.INT2: 2**15, Type.INT4: 2**31}
    if kind is Type.TIME:
        return MIN_TIME_NS <= value <= MAX_TIME_NS
    limit = limits.get(kind, 2**63)
    return -limit <= value < limit

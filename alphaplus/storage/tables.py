"""The tables as numpy row types, and `TableBatch`, the unit in which rows travel.

Every table has one structured dtype; its fields are the table's columns except `exchange` and
`symbol`, which are constant in a batch and stand in its header. The conventions:

- times are int64 nanoseconds UTC, floored to microseconds before they are spooled, as the
  database keeps microseconds; `NAT` is NULL;
- a float that is nan is NULL;
- a side is `FIRST` (bid, buy, long) or `SECOND` (ask, sell, short), see `side_codes`;
- text, and JSON as text, is UTF-8 in a fixed field (numpy `S`); empty is NULL where the column
  may be NULL;
- an array column is a fixed subarray plus a `<side>_levels` count that says how many elements
  of it are meant; counts are not columns of the database.

`TABLES[name].rows(n)` gives rows in which everything that may be NULL is NULL.
"""

import hashlib
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt

from alphaplus.errors import StorageError
from alphaplus.storage.depth_columns import MEASURED, TOUCH

RowArray = npt.NDArray[np.void]
"""A one-dimensional array of the dtype of one table."""

NAT: Final = -(2**63)
"""The time that is NULL (numpy's NaT)."""

FIRST: Final = 0
"""Code of bids, buyers and long positions."""
SECOND: Final = 1
"""Code of asks, sellers and short positions."""

SNAPSHOT_LEVELS: Final = 20
LIQUIDATION_LEVELS: Final = 100
TIERS_BYTES: Final = 32_768
"""Room for the tiers of one symbol as JSON: more than 200 of them."""
ASSUMPTIONS_BYTES: Final = 4096


class Type(StrEnum):
    """Column types of the database that we use."""

    TIME = "timestamptz"
    INT8 = "int8"
    INT4 = "int4"
    INT2 = "int2"
    FLOAT8 = "float8"
    BOOL = "bool"
    TEXT = "text"
    JSON = "jsonb"
    FLOAT8_ARRAY = "float8[]"
    COUNT = ""
    """Length of array columns: travels with the row, is no column."""


_FORMATS: Final[dict[Type, str]] = {
    Type.TIME: "<i8",
    Type.INT8: "<i8",
    Type.INT4: "<i4",
    Type.INT2: "<i2",
    Type.FLOAT8: "<f8",
    Type.BOOL: "?",
    Type.COUNT: "<i2",
}


@dataclass(frozen=True, slots=True)
class Column:
    """One field of a row: `width` is the bytes of a text or JSON, or the elements of an array."""

    name: str
    type: Type
    width: int = 0
    nullable: bool = False
    count: str = ""

    @property
    def format(self) -> Any:
        """The numpy field description."""
        if self.type in (Type.TEXT, Type.JSON):
            return (self.name, f"S{self.width}")
        if self.type is Type.FLOAT8_ARRAY:
            return (self.name, "<f8", (self.width,))
        return (self.name, _FORMATS[self.type])


@dataclass(frozen=True, slots=True)
class Table:
    """One table: its columns in order, and the natural key besides exchange and symbol."""

    name: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    dtype: np.dtype[np.void] = field(init=False)
    fingerprint: int = field(init=False)
    blank: RowArray = field(init=False, repr=False, compare=False)
    """One row in which everything that may be NULL is NULL."""

    def __post_init__(self) -> None:
        dtype = np.dtype([column.format for column in self.columns])
        blank = np.zeros(1, dtype=dtype)
        for column in self.columns:
            if column.type in (Type.FLOAT8, Type.FLOAT8_ARRAY):
                blank[column.name] = np.nan
            elif column.type is Type.TIME and column.nullable:
                blank[column.name] = NAT
        object.__setattr__(self, "blank", blank)
        object.__setattr__(self, "dtype", dtype)
        object.__setattr__(self, "fingerprint", fingerprint(self.name, dtype))

    @property
    def stored(self) -> tuple[Column, ...]:
        """The fields that are columns of the database."""
        return tuple(c for c in self.columns if c.type is not Type.COUNT)

    def rows(self, count: int) -> RowArray:
        """Return `count` rows: floats nan, times that may be NULL `NAT`, the rest zero."""
        rows = np.empty(count, dtype=self.dtype)
        rows[:] = self.blank
        return rows


def fingerprint(name: str, dtype: np.dtype[Any]) -> int:
    """Return 64 bits that change with any change of a table's row type."""
    text = f"{name}:{dtype.descr}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little")


def side_codes(side: npt.NDArray[np.int8]) -> npt.NDArray[np.int16]:
    """Translate the sides of events (+1 bid, -1 ask) to the codes of the tables."""
    return np.where(side < 0, SECOND, FIRST).astype(np.int16)


def _times(*names: str) -> tuple[Column, ...]:
    return tuple(Column(name, Type.TIME) for name in names)


def _floats(*names: str) -> tuple[Column, ...]:
    return tuple(Column(name, Type.FLOAT8) for name in names)


def _optional(*names: str) -> tuple[Column, ...]:
    return tuple(Column(name, Type.FLOAT8, nullable=True) for name in names)


def _arrays(width: int, count: str, *names: str) -> tuple[Column, ...]:
    return tuple(Column(name, Type.FLOAT8_ARRAY, width=width, count=count) for name in names)


_SEQ: Final = Column("seq", Type.INT8)
_SIDE: Final = Column("side", Type.INT2)

_ALL: Final = (
    Table(
        "enhanced_order_book_snapshots",
        (
            *_times("time", "recv_time"),
            _SEQ,
            Column("bid_levels", Type.COUNT),
            Column("ask_levels", Type.COUNT),
            *_arrays(SNAPSHOT_LEVELS, "bid_levels", "bid_px", "bid_qty"),
            *_arrays(SNAPSHOT_LEVELS, "ask_levels", "ask_px", "ask_qty"),
            Column("depth", Type.INT2),
            Column("is_rebuilt", Type.BOOL),
            *_optional(
                "spread",
                "total_bid_volume",
                "total_ask_volume",
                "bid_ask_imbalance",
                "liquidity_score",
                "order_flow_toxicity",
                "depth_pressure",
            ),
        ),
        ("time", "seq"),
    ),
    Table(
        "order_book_deltas",
        (
            *_times("time", "recv_time"),
            _SEQ,
            _SIDE,
            *_floats("price", "qty"),
            Column("is_snapshot", Type.BOOL),
        ),
        ("time", "seq", "side", "price"),
    ),
    Table(
        "market_trades",
        (
            *_times("time", "recv_time"),
            Column("trade_id", Type.INT8),
            _SIDE,
            *_floats("price", "qty"),
            Column("is_liquidation", Type.BOOL),
            Column("trade_ref", Type.TEXT, width=64, nullable=True),
        ),
        ("time", "trade_id"),
    ),
    Table(
        "trades",
        (
            *_times("time", "recv_time"),
            Column("portfolio", Type.TEXT, width=64),
            Column("fill_id", Type.INT8),
            _SIDE,
            *_floats("price", "qty"),
            *_optional(
                "fee",
                "leverage_ratio",
                "margin_used",
                "liquidation_price",
                "risk_score",
                "liquidity_score",
                "order_book_imbalance",
                "funding_rate",
                "open_interest_at_entry",
            ),
            Column("depth_analysis_time", Type.TIME, nullable=True),
            Column("depth_analysis_window_ms", Type.INT4),
        ),
        ("portfolio", "time", "fill_id"),
    ),
    Table(
        "market_depth_analysis",
        (
            *_times("time", "recv_time"),
            Column("window_ms", Type.INT4),
            _SEQ,
            *_optional(*TOUCH, *MEASURED),
        ),
        ("time", "window_ms"),
    ),
    Table(
        "liquidation_events",
        (
            *_times("time", "recv_time"),
            Column("event_id", Type.INT8),
            _SIDE,
            *_floats("price", "qty"),
            *_optional("avg_price", "usd"),
            Column("order_state", Type.TEXT, width=32, nullable=True),
            Column("source", Type.TEXT, width=32),
            Column("sampled", Type.BOOL),
        ),
        ("time", "event_id"),
    ),
    Table(
        "liquidation_levels",
        (
            *_times("time", "recv_time"),
            Column("model_id", Type.INT8),
            Column("assumptions_id", Type.INT8),
            *_optional("mark_price"),
            Column("long_levels", Type.COUNT),
            Column("short_levels", Type.COUNT),
            *_arrays(LIQUIDATION_LEVELS, "long_levels", "long_px", "long_usd"),
            *_arrays(LIQUIDATION_LEVELS, "short_levels", "short_px", "short_usd"),
        ),
        ("time", "model_id"),
    ),
    Table(
        "liquidation_assumptions",
        (
            *_times("time", "recv_time"),
            Column("id", Type.INT8),
            Column("hash", Type.TEXT, width=64),
            Column("assumptions", Type.JSON, width=ASSUMPTIONS_BYTES),
        ),
        ("time", "id"),
    ),
    Table(
        "open_interest",
        (
            *_times("time", "recv_time"),
            Column("source", Type.TEXT, width=32),
            *_optional("oi_base", "oi_usd", "mark_price"),
        ),
        ("time", "source"),
    ),
    Table(
        "enhanced_funding_rates",
        (
            *_times("time", "recv_time"),
            Column("kind", Type.TEXT, width=16),
            *_floats("rate"),
            *_optional("interval_hours"),
            Column("next_time", Type.TIME, nullable=True),
            Column("raw_time", Type.TIME, nullable=True),
            *_optional("mark_price", "index_price", "premium"),
        ),
        ("time", "kind"),
    ),
    Table(
        "candles",
        (
            *_times("time", "recv_time"),
            Column("kind", Type.TEXT, width=16),
            Column("step_s", Type.INT4),
            *_floats("open", "high", "low", "close"),
            *_optional("volume"),
            Column("source", Type.TEXT, width=64),
        ),
        ("time", "kind", "step_s"),
    ),
    Table(
        "leverage_tiers",
        (
            *_times("time", "recv_time"),
            Column("effective_to", Type.TIME, nullable=True),
            Column("hash", Type.TEXT, width=16),
            Column("tiers", Type.JSON, width=TIERS_BYTES),
            Column("source", Type.TEXT, width=64),
        ),
        ("time", "hash"),
    ),
)

TABLES: Final[dict[str, Table]] = {table.name: table for table in _ALL}
"""Every table that is written in batches, by name."""

_MAGIC: Final = b"APTB"
_VERSION: Final = 1
_HEAD: Final = struct.Struct("<4sHBBBxQI")
"""Magic, version, lengths of table, exchange and symbol, fingerprint, rows."""

MIN_TIME_NS: Final = 946_684_800 * 10**9
MAX_TIME_NS: Final = 4_102_444_800 * 10**9
"""Event times outside 2000 to 2100 are a defect of the source and are not stored."""


@dataclass(frozen=True, slots=True)
class TableBatch:
    """Rows of one table for one instrument. `rows` has the dtype of the table."""

    table: str
    exchange: str
    symbol: str
    rows: RowArray

    def __post_init__(self) -> None:
        spec = table_of(self.table)
        if self.rows.dtype != spec.dtype or self.rows.ndim != 1:
            raise StorageError(
                f"Expected one-dimensional rows of {self.table}, was {self.rows.dtype} of shape "
                f"{self.rows.shape}; make them with TABLES[{self.table!r}].rows(n)."
            )
        for name in (self.exchange, self.symbol):
            if not 0 < len(name.encode()) < 256 or "\0" in name:
                raise StorageError(
                    f"Expected exchange and symbol of 1 to 255 bytes, was {name[:40]!r}."
                )

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def spec(self) -> Table:
        """The table's description."""
        return TABLES[self.table]

    @property
    def key(self) -> str:
        """Table, exchange and symbol as one text, for streams that carry only rows beside it."""
        return f"{self.table} {self.exchange} {self.symbol}"

    @classmethod
    def from_key(cls, key: str, payload: bytes) -> Self:
        """Put together what `key` and the bytes of `rows` say; raises StorageError."""
        names = key.split(" ")
        if len(names) != 3:
            raise StorageError(f"Expected a table, an exchange and a symbol, was {key!r}.")
        dtype = table_of(names[0]).dtype
        if len(payload) % dtype.itemsize:
            raise StorageError(
                f"Expected rows of {names[0]} of {dtype.itemsize} bytes, was another version's; "
                "run the same version of alphaplus everywhere."
            )
        return cls(names[0], names[1], names[2], np.frombuffer(payload, dtype=dtype))

    def floored(self) -> Self:
        """Return the batch with its times floored to microseconds, as the database keeps them."""
        rows = self.rows.copy()
        for column in self.spec.columns:
            if column.type is Type.TIME:
                times = rows[column.name]
                floored = times // 1000 * 1000
                rows[column.name] = (
                    np.where(times == NAT, NAT, floored) if column.nullable else floored
                )
        return type(self)(self.table, self.exchange, self.symbol, rows)

    def pieces(self, max_bytes: int) -> Iterator[Self]:
        """Cut the batch so that no piece has more than `max_bytes` of rows (but one row)."""
        step = max(1, max_bytes // self.rows.dtype.itemsize)
        for start in range(0, len(self.rows), step):
            rows = self.rows[start : start + step]
            yield type(self)(self.table, self.exchange, self.symbol, rows)

    def to_bytes(self) -> bytes:
        """Serialise: a head, the three names, the raw rows."""
        names = [name.encode() for name in (self.table, self.exchange, self.symbol)]
        lengths = [len(name) for name in names]
        head = _HEAD.pack(_MAGIC, _VERSION, *lengths, self.spec.fingerprint, len(self.rows))
        return b"".join((head, *names, self.rows.tobytes()))

    @classmethod
    def from_bytes(cls, payload: bytes, schemas: Mapping[int, np.dtype[Any]] | None = None) -> Self:
        """Read what `to_bytes` wrote; rows of the current type are a read-only view.

        `schemas` maps fingerprints of other versions to their row types (see `read_schemas`):
        columns that are new are NULL, columns that no longer exist are an error.
        Raises StorageError if the payload is not a batch, or of an unknown row type.
        """
        head = _head(payload)
        names, offset = _names(payload, head)
        spec = table_of(names[0])
        dtype = spec.dtype if head[5] == spec.fingerprint else (schemas or {}).get(head[5])
        if dtype is None:
            raise StorageError(
                f"Expected rows of {spec.name} as this version defines them, was another "
                "version's; run the same version of alphaplus everywhere."
            )
        if len(payload) != offset + head[6] * dtype.itemsize:
            raise StorageError(f"Expected {head[6]} rows of {spec.name}, was a torn batch.")
        rows = np.frombuffer(payload, dtype=dtype, count=head[6], offset=offset)
        if dtype != spec.dtype:
            rows = _upgraded(rows, spec)
        return cls(names[0], names[1], names[2], rows)


def table_of(name: str) -> Table:
    """Return the description of a table; raises StorageError if there is none."""
    try:
        return TABLES[name]
    except KeyError:
        known = ", ".join(sorted(TABLES))
        raise StorageError(f"There is no table {name!r}; known are {known}.") from None


def row_count(payload: bytes) -> int:
    """Return the number of rows of a serialised batch, 0 if it is none."""
    try:
        return int(_head(payload)[6])
    except StorageError:
        return 0


def write_schemas() -> bytes:
    """Describe the row types of this version, for readers of a later one."""
    lines = (
        f"{t.fingerprint:016x}\t{t.name}\t{','.join(_describe(c) for c in t.columns)}" for t in _ALL
    )
    return "\n".join(lines).encode()


@lru_cache(maxsize=16)
def read_schemas(text: bytes) -> Mapping[int, np.dtype[Any]]:
    """Read what `write_schemas` of any version wrote: row types by fingerprint.

    Every frame of a spool asks for those of its segment, hence the cache.
    """
    schemas: dict[int, np.dtype[Any]] = {}
    for line in text.decode().splitlines():
        mark, _, columns = line.split("\t")
        fields: list[Any] = []
        for name, code, width in (column.split(":") for column in columns.split(",")):
            fields.append((name, code, (int(width),)) if width else (name, code))
        schemas[int(mark, 16)] = np.dtype(fields)
    return MappingProxyType(schemas)


def _describe(column: Column) -> str:
    name, code, *shape = column.format
    return f"{name}:{code}:{shape[0][0] if shape else ''}"


def _head(payload: bytes) -> tuple[Any, ...]:
    if len(payload) < _HEAD.size or payload[:4] != _MAGIC:
        raise StorageError("Expected a batch of rows, was something else.")
    head = _HEAD.unpack_from(payload)
    if head[1] != _VERSION:
        raise StorageError(f"Expected a batch of format {_VERSION}, was {head[1]}; update.")
    return head


def _names(payload: bytes, head: tuple[Any, ...]) -> tuple[list[str], int]:
    names, offset = [], _HEAD.size
    for length in head[2:5]:
        names.append(payload[offset : offset + length].decode(errors="replace"))
        offset += length
    return names, offset


def _upgraded(rows: npt.NDArray[Any], spec: Table) -> RowArray:
    assert rows.dtype.names is not None
    gone = set(rows.dtype.names) - {column.name for column in spec.columns}
    if gone:
        raise StorageError(
            f"Expected no column besides those of {spec.name}, was {', '.join(sorted(gone))}; "
            "drain the spool with the version that wrote it."
        )
    current = spec.rows(len(rows))
    for name in rows.dtype.names:
        current[name] = rows[name]
    return current

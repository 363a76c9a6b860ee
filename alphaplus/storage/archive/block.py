"""A block: rows of one table and instrument, in key order, as one compressed payload.

    payload = format (u16), rows (u32), bytes of the body (u32), zstd of the body
    body    = the columns (columns.py)

The checksum is BLAKE2b of 16 bytes over whose rows they are, their times and number, and the
payload. Nothing of a payload is used before it agrees, so damage is an error, never wrong rows.
"""

import hashlib
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa

from alphaplus.errors import StorageError
from alphaplus.storage.archive.columns import put_rows, take_rows
from alphaplus.storage.archive.streams import Sink, Source
from alphaplus.storage.tables import RowArray, TableBatch, table_of

FORMAT_VERSION: Final = 1
BLOCK_ROWS: Final = 4096
BLOCK_BYTES: Final = 2**20
"""Limits of a block, before packing: smaller ones make reads of few rows faster, larger ones make
the archive smaller."""
LEVEL: Final = 6
"""Of zstd: a higher one saves 1 to 2 % and takes twice the time."""
MAX_BODY: Final = 2**30
_HEAD: Final = struct.Struct("<HII")
_CHECKED: Final = struct.Struct("<qqIH")


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """One row of `archive_blocks`. Times are those of the first and the last row, int64 ns."""

    table: str
    exchange: str
    symbol: str
    time_from: int
    time_to: int
    rows: int
    format_version: int
    checksum: bytes
    payload: bytes

    @property
    def label(self) -> str:
        """Whose rows these are, for messages."""
        start = np.datetime64(self.time_from, "ns").astype("datetime64[ms]")
        return f"{self.table} of {self.exchange}:{self.symbol} from {start}Z"


def pack(batch: TableBatch) -> Block:
    """Pack rows that are in key order; raises StorageError if there are none."""
    if not len(batch):
        raise StorageError("Expected at least one row for a block, was none.")
    sink = Sink()
    put_rows(sink, batch.spec, batch.rows)
    body = sink.joined()
    packed = pa.Codec("zstd", compression_level=LEVEL).compress(body, asbytes=True)
    payload = _HEAD.pack(FORMAT_VERSION, len(batch), len(body)) + packed
    times = batch.rows["time"]
    identity: dict[str, Any] = {
        "table": batch.table,
        "exchange": batch.exchange,
        "symbol": batch.symbol,
        "time_from": int(times.min()) // 1000 * 1000,  # the database keeps microseconds
        "time_to": int(times.max()) // 1000 * 1000,
        "rows": len(batch),
        "format_version": FORMAT_VERSION,
    }
    checksum = _checksum(**identity, payload=payload)
    return Block(**identity, checksum=checksum, payload=payload)


def unpack(block: Block) -> RowArray:
    """Return the rows of a block, bit for bit as they were packed.

    Raises StorageError if the block is damaged, of a later format, or of columns that this
    version does not have.
    """
    if block.format_version != FORMAT_VERSION:
        raise StorageError(
            f"Expected a block of format {FORMAT_VERSION}, was {block.format_version} in "
            f"{block.label}; update alphaplus."
        )
    expected = _checksum(
        table=block.table,
        exchange=block.exchange,
        symbol=block.symbol,
        time_from=block.time_from,
        time_to=block.time_to,
        rows=block.rows,
        format_version=block.format_version,
        payload=block.payload,
    )
    if expected != block.checksum:
        raise StorageError(
            f"Expected the checksum {block.checksum.hex()} of the block of {block.label}, was "
            f"{expected.hex()}: it is damaged; restore archive_blocks from a backup."
        )
    version, count, size = _HEAD.unpack_from(block.payload)
    if version != block.format_version or count != block.rows or size > MAX_BODY:
        raise StorageError(
            f"Expected {block.rows} rows in the block of {block.label}, was {count}."
        )
    body = pa.Codec("zstd").decompress(block.payload[_HEAD.size :], size, asbytes=True)
    source = Source(body)
    rows = take_rows(source, table_of(block.table), count)
    if source.rest:
        raise StorageError(f"Expected the end of the block of {block.label}, was more.")
    return rows


def block_rows(table: str) -> int:
    """Return how many rows of a table make a full block."""
    return min(BLOCK_ROWS, max(1, BLOCK_BYTES // table_of(table).dtype.itemsize))


def pack_all(batch: TableBatch) -> Iterator[Block]:
    """Pack rows that are in key order into blocks; the last two share what is left."""
    limit = block_rows(batch.table)
    start, left = 0, len(batch)
    while left:
        count = left if left <= limit else min(limit, (left + 1) // 2)
        rows = batch.rows[start : start + count]
        yield pack(TableBatch(batch.table, batch.exchange, batch.symbol, rows))
        start += count
        left -= count


def _checksum(
    *,
    table: str,
    exchange: str,
    symbol: str,
    time_from: int,
    time_to: int,
    rows: int,
    format_version: int,
    payload: bytes,
) -> bytes:
    digest = hashlib.blake2b(digest_size=16)
    digest.update(f"{table}\0{exchange}\0{symbol}\0".encode())
    digest.update(_CHECKED.pack(time_from // 1000, time_to // 1000, rows, format_version))
    digest.update(payload)
    return digest.digest()

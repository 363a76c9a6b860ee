"""The table `archive_blocks`: blocks in and out."""

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Any, Final

from alphaplus.storage.archive.block import Block
from alphaplus.storage.queries import to_datetime, to_ns

PREFETCH: Final = 8
"""Blocks that are fetched at once; each has up to some 100 KB."""
_COLUMNS: Final = (
    "table_name", "exchange", "symbol", "chunk_from", "ordinal", "time_from", "time_to", "rows",
    "plain_bytes", "format_version", "checksum", "payload",
)  # fmt: skip


async def insert_blocks(
    connection: Any,
    blocks: Sequence[Block],
    chunk_from: datetime,
    *,
    plain_bytes_a_row: float = 0.0,
) -> None:
    """Write all blocks of one instrument and partition.

    `plain_bytes_a_row` is what a row took in its partition, heap and index.
    """
    records = [
        (
            block.table,
            block.exchange,
            block.symbol,
            chunk_from,
            at,
            to_datetime(block.time_from),
            to_datetime(block.time_to),
            block.rows,
            round(block.rows * plain_bytes_a_row),
            block.format_version,
            block.checksum,
            block.payload,
        )
        for at, block in enumerate(blocks)
    ]
    await connection.copy_records_to_table("archive_blocks", records=records, columns=_COLUMNS)


async def delete_blocks(
    connection: Any, table: str, exchange: str, symbol: str, chunk_from: datetime
) -> None:
    """Remove the blocks of an instrument and partition, which others replace."""
    await connection.execute(
        "DELETE FROM archive_blocks "
        "WHERE table_name = $1 AND exchange = $2 AND symbol = $3 AND chunk_from = $4",
        table,
        exchange,
        symbol,
        chunk_from,
    )


async def chunk_blocks(
    connection: Any, table: str, exchange: str, symbol: str, chunk_from: datetime
) -> AsyncIterator[Block]:
    """Yield the blocks of an instrument and partition in order; to be called in a transaction."""
    sql = (
        f"SELECT {', '.join(_COLUMNS)} FROM archive_blocks "
        "WHERE table_name = $1 AND exchange = $2 AND symbol = $3 AND chunk_from = $4 "
        "ORDER BY ordinal"
    )
    arguments = (table, exchange, symbol, chunk_from)
    async for record in connection.cursor(sql, *arguments, prefetch=PREFETCH):
        yield block_of(record)


async def blocks_in(
    connection: Any,
    table: str,
    *,
    exchange: str | None,
    symbol: str | None,
    start: datetime,
    end: datetime,
) -> AsyncIterator[Block]:
    """Yield blocks that may have rows in [start, end), by instrument in key order.

    To be called in a transaction.
    """
    # A block lies within its partition, so the key's chunk_from bounds the search both ways.
    sql = (
        f"SELECT {', '.join(f'b.{name}' for name in _COLUMNS)} FROM archive_blocks b "
        "WHERE table_name = $1 AND ($2::text IS NULL OR exchange = $2) "
        "AND ($3::text IS NULL OR symbol = $3) "
        "AND chunk_from < $5 AND chunk_from > $4::timestamptz - "
        "(SELECT chunk FROM ap_timeseries WHERE table_name = $1) "
        "AND time_to >= $4 AND time_from < $5 "
        "ORDER BY exchange, symbol, chunk_from, ordinal"
    )
    arguments = (table, exchange, symbol, start, end)
    async for record in connection.cursor(sql, *arguments, prefetch=PREFETCH):
        yield block_of(record)


def block_of(record: Any) -> Block:
    """Return a block from a record of the driver."""
    return Block(
        table=record["table_name"],
        exchange=record["exchange"],
        symbol=record["symbol"],
        time_from=to_ns(record["time_from"]),
        time_to=to_ns(record["time_to"]),
        rows=record["rows"],
        format_version=record["format_version"],
        checksum=record["checksum"],
        payload=record["payload"],
    )

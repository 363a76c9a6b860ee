"""The writer: rows are safe once `accept` returns, and reach the database once.

`accept` appends to the spool and returns after fdatasync. One task reads the spool in order,
merges the batches of a table, writes them with binary COPY and acks them after the commit, so
memory holds at most one segment however long the database is away.

A COPY goes straight into the table. Only where rows may be there already (the connection was
lost in mid-COPY, the spool was left by a former process, a key is violated) they go through a
temporary table and INSERT ... ON CONFLICT DO NOTHING, which costs about 40 %. With keys that
never change on replay this makes at-least-once delivery exactly-once storage.

========================  =================================================================
what happens              what the writer does
========================  =================================================================
connection lost           state degraded, again with growing pauses, through staging
key violated              again through staging; rows already there count as duplicate
bad data (SQL classes     the group is halved until the bad rows are alone; they go to
22, 23)                   `dead-letters.jsonl`, counted and logged, the others are stored
any other SQL error       state degraded, again with growing pauses; nothing is given up
spool full                state degraded, `accept` waits; nothing is dropped
========================  =================================================================

For every batch handed in: accepted + replayed = written + duplicate + dead + pending
(+ quarantined, if the disk damages the spool).
"""

import asyncio
import contextlib
import json
import logging
import math
import os
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import asyncpg
import numpy as np
from asyncpg import exceptions as pg

from alphaplus.errors import StorageError
from alphaplus.storage.connection import LOST, connect, describe, explained
from alphaplus.storage.copy import copy_columns, copy_pieces
from alphaplus.storage.draining import Drain, Ending, Tell
from alphaplus.storage.lag import Lag
from alphaplus.storage.merging import Group, merge
from alphaplus.storage.spool import MAX_BYTES, Frame, Spool, SpoolFull
from alphaplus.storage.tables import NAT, TABLES, TableBatch, Type, row_count, write_schemas

FRAME_BYTES: Final = 2 * 2**20
"""Larger batches are cut before they are spooled."""
COPY_TIMEOUT_S: Final = 120.0
LOOK_S: Final = 1.0
"""How often a drain looks how far it is."""
RETRY_S: Final = (0.1, 5.0)
"""First and longest pause between attempts."""
MAX_NEW_CHUNKS: Final = 400
"""A group that needs more new partitions than this leaves its rows to the default partition."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_BAD_DATA: Final = (pg.DataError, pg.IntegrityConstraintViolationError)

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class WriterStats:
    """Counters since the start, in rows unless they say otherwise."""

    accepted: int = 0
    replayed: int = 0
    """Found in the spool of a former process."""
    written: int = 0
    duplicate: int = 0
    """Twice in a batch, or already in the database."""
    retried: int = 0
    """Sent to the database more than once."""
    dead: int = 0
    """In the dead-letter file."""
    pending: int = 0
    """Accepted or replayed, and not yet settled."""
    quarantined: int = 0
    """Damaged on the disk of the spool."""
    refused: int = 0
    """Times that `accept` had to wait for room in the spool."""
    reconnects: int = 0
    misplaced: int = 0
    """Groups whose partition could not be made; their rows are in the default partition."""
    spool_bytes: int = 0
    behind_s: float = 0.0
    """How long the oldest of the pending rows waits, to a second."""
    state: str = "ok"
    """`ok` or `degraded`."""
    reason: str = ""
    """What is wrong while degraded."""


class Writer:
    """Write batches of rows durably and once.

    `flush_rows` and `flush_ms` say how long rows may wait for company before a COPY. One
    writer per `spool_dir`. Use `start`, `accept`, `drain`, `close`, or `async with`.
    """

    def __init__(
        self,
        dsn: str,
        spool_dir: Path,
        *,
        flush_rows: int = 1000,
        flush_ms: float = 200.0,
        max_spool_bytes: int = MAX_BYTES,
    ) -> None:
        self._dsn = dsn
        self._dir = Path(spool_dir)
        self._flush_rows = flush_rows
        self._flush_s = flush_ms / 1000
        self._max_bytes = max_spool_bytes
        self._counts = WriterStats()
        self._lag = Lag()
        self._reasons: dict[str, str] = {}
        self._spool: Spool | None = None
        self._connection: asyncpg.Connection | None = None
        self._task: asyncio.Task[None] | None = None
        self._chunk_ns: dict[str, int] = {}
        self._chunks: set[tuple[str, int]] = set()
        self._accepting = asyncio.Lock()
        self._work = asyncio.Event()
        self._full = asyncio.Event()
        self._settled = asyncio.Condition()
        self._draining = 0

    async def __aenter__(self) -> "Writer":
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @property
    def stats(self) -> WriterStats:
        """Where the writer stands."""
        spool = self._spool
        return replace(
            self._counts,
            pending=spool.pending if spool else 0,
            quarantined=spool.quarantined_weight if spool else 0,
            spool_bytes=spool.size_bytes if spool else 0,
            behind_s=self._lag.behind_s(time.monotonic()),
            state="degraded" if self._reasons else "ok",
            reason="; ".join(self._reasons.values()),
        )

    async def start(self, *, patient: bool = False) -> None:
        """Open database and spool, and begin with what the spool holds.

        Raises StorageError if the spool cannot be used, or if the database cannot be written or
        lacks the tables; `patient` waits for that one, degraded, and takes rows meanwhile.
        """
        try:
            await self._connected()
        except StorageError as error:
            if not patient:
                raise
            self._degrade("database", str(error))
        try:
            self._spool = await asyncio.to_thread(
                Spool,
                self._dir,
                head=write_schemas(),
                weigh=row_count,
                max_bytes=self._max_bytes,
            )
        except BaseException:
            self._hang_up()
            raise
        if self._spool.pending:
            self._count(replayed=self._spool.pending)
            self._lag.accept(self._total, time.monotonic())
            log.info("writing %d rows that the spool still held", self._spool.pending)
        self._task = asyncio.create_task(self._run(self._spool), name="storage writer")

    async def accept(self, batches: Sequence[TableBatch]) -> None:
        """Return once the rows are durable in the spool; waits while the spool is full.

        Raises StorageError if the writer is closed or its disk fails: the rows were then not
        accepted. After a cancellation they may have been; sending them again is harmless.
        """
        pieces = [
            piece.to_bytes()
            for batch in batches
            if len(batch)
            for piece in batch.floored().pieces(FRAME_BYTES)
        ]
        room = self._max_bytes // 2
        if pieces and max(map(len, pieces)) > room:
            raise StorageError(
                "Expected batches of at most half of storage.max_spool_mb, was "
                f"{max(map(len, pieces))} bytes; raise it, or send less at once."
            )
        async with self._accepting:
            for run in _runs(pieces, room):
                await self._append(run)
                self._note_accepted(sum(map(row_count, run)))

    def _note_accepted(self, rows: int) -> None:
        self._count(accepted=rows)
        self._lag.accept(self._total, time.monotonic())
        self._work.set()
        if self._opened().pending >= self._flush_rows:
            self._full.set()

    async def drain(self, timeout_s: float = 30.0) -> None:
        """Return once everything accepted is in the database (or in the dead letters).

        Raises StorageError after `timeout_s`; the rows then wait in the spool for a later
        writer.
        """
        if not await self._is_in_time(self._is_empty, timeout_s):
            raise self._late(timeout_s)

    async def catch_up(self, timeout_s: float = 30.0) -> None:
        """The same for what has been accepted so far, however much comes meanwhile."""
        wanted = self._total
        if not await self._is_in_time(
            lambda: self._total - self._opened().pending >= wanted, timeout_s
        ):
            raise self._late(timeout_s)

    async def write_out(self, *, stalled_s: float, limit_s: float, tell: Tell) -> Ending:
        """Drain as long as that makes progress, and say how it ended; `tell` hears how it goes.

        Over when all is written, when no row was for `stalled_s`, and after `limit_s`; what is
        left then waits in the spool for a later writer. Raises StorageError if the writer fails.
        """
        drain = Drain(
            self._opened().pending, time.monotonic(), stalled_s=stalled_s, limit_s=limit_s
        )
        while (ending := drain.ending) is None:
            await self._is_in_time(self._is_empty, min(LOOK_S, stalled_s, limit_s))
            drain.observe(self._opened().pending, time.monotonic())
            tell(drain.progress)
        return ending

    @property
    def _total(self) -> int:
        """Rows that have come, of this life and the one before."""
        return self._counts.accepted + self._counts.replayed

    def _is_empty(self) -> bool:
        return not self._opened().pending

    async def _is_in_time(self, is_settled: Callable[[], bool], timeout_s: float) -> bool:
        """Have rows written without waiting for company until that is true, or time is over."""
        self._draining += 1
        self._full.set()
        try:
            async with asyncio.timeout(timeout_s), self._settled:
                await self._settled.wait_for(is_settled)
        except TimeoutError:
            return False
        finally:
            self._draining -= 1
        return True

    def _late(self, timeout_s: float) -> StorageError:
        stats = self.stats
        return StorageError(
            f"{stats.pending} rows are not in the database after {timeout_s:g} s"
            f"{f' ({stats.reason})' if stats.reason else ''}; they are safe in {self._dir} "
            "and will be written at the next start."
        )

    async def close(self) -> None:
        """Stop at once; what is not written stays in the spool. Call `drain` first."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        self._hang_up()
        if self._spool is not None:
            self._spool.close()
            self._spool = None

    # Into the spool

    async def _append(self, pieces: list[bytes]) -> None:
        while True:
            spool = self._opened()
            try:
                await asyncio.to_thread(spool.append, pieces)
            except SpoolFull as error:
                self._count(refused=1)
                self._degrade("spool", str(error))
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(0.5), self._settled:
                        await self._settled.wait()
                continue
            self._recovered("spool")
            return

    def _opened(self) -> Spool:
        if self._task is not None and self._task.done() and not self._task.cancelled():
            raise StorageError("The storage writer has failed; see the log.") from (
                self._task.exception()
            )
        if self._spool is None:
            raise StorageError("The storage writer is not open.")
        return self._spool

    # Out of the spool

    async def _run(self, spool: Spool) -> None:
        try:
            while True:
                await self._wait_for_rows(spool)
                frames = await asyncio.to_thread(spool.read)
                await self._settle(frames)
                spool.ack(frames)
                self._lag.settle(self._total - spool.pending)
                async with self._settled:
                    self._settled.notify_all()
        except Exception:
            log.exception("the storage writer failed; rows stay in %s", self._dir)
            async with self._settled:
                self._settled.notify_all()
            raise

    async def _wait_for_rows(self, spool: Spool) -> None:
        while not spool.has_unread:
            self._work.clear()
            await self._work.wait()
        if spool.pending < self._flush_rows and not self._draining:
            self._full.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._full.wait(), self._flush_s)

    async def _settle(self, frames: list[Frame]) -> None:
        merged = await asyncio.to_thread(merge, frames)
        self._count(duplicate=merged.duplicate)
        for frame, reason in merged.unreadable:
            self._bury([_unreadable(frame, reason)], row_count(frame.payload), reason)
        for batch, reason in merged.dead:
            self._bury_rows(batch, reason)
        for group in merged.groups:
            await self._store(group)

    async def _store(self, group: Group) -> None:
        """Bring one group into the database, however long that takes."""
        pause = RETRY_S[0]
        while True:
            try:
                connection = await self._connected()
                await self._ensure_partitions(connection, group)
                written = await self._send(connection, group)
            except pg.UniqueViolationError:
                group.staged = True
                self._count(retried=group.rows)
                continue
            except _BAD_DATA as error:
                # Its other lines repeat the row, which the dead letter has.
                await self._bisect(group, str(error).splitlines()[0])
                return
            except (*LOST, pg.PostgresError, StorageError) as error:
                # The batch is ambiguous now: it may have been committed. A new connection finds
                # out whether the server (perhaps another one) is there and takes writes.
                self._hang_up()
                group.staged = True
                self._count(retried=group.rows)
                reason = error if isinstance(error, StorageError) else explained(error, self._dsn)
                self._degrade("database", str(reason))
                await asyncio.sleep(pause)
                pause = min(2 * pause, RETRY_S[1])
                continue
            self._recovered("database")
            self._count(written=written, duplicate=group.rows - written)
            return

    async def _send(self, connection: Any, group: Group) -> int:
        """Write a group in one transaction and return how many rows were new."""
        if not group.staged:
            return await _copy(connection, group.table, group)
        stage = f"stage_{group.table}"
        columns = ", ".join(f'"{name}"' for name in copy_columns(group.table))
        async with connection.transaction():
            await connection.execute("SET LOCAL client_min_messages = warning")
            await connection.execute(
                f"CREATE TEMP TABLE IF NOT EXISTS {stage} (LIKE {group.table}) "
                "ON COMMIT DELETE ROWS"
            )
            await _copy(connection, stage, group)
            tag = await connection.execute(
                f"INSERT INTO {group.table} ({columns}) SELECT {columns} FROM {stage} "
                "ON CONFLICT DO NOTHING",
                timeout=COPY_TIMEOUT_S,
            )
        return int(tag.rsplit(" ", 1)[1])

    async def _bisect(self, group: Group, reason: str) -> None:
        if group.rows == 1:
            (batch,) = (part for part in group.parts if len(part))
            self._bury_rows(batch, reason)
            return
        for half in group.halves():
            await self._store(half)

    async def _ensure_partitions(self, connection: Any, group: Group) -> None:
        """Make the partitions that a group needs, if they were not made before."""
        width = self._chunk_ns[group.table]
        times = np.concatenate([part.rows["time"] for part in group.parts])
        chunks = [int(chunk) for chunk in np.unique(times // width)]
        missing = [chunk for chunk in chunks if (group.table, chunk) not in self._chunks]
        if not missing:
            return
        if len(missing) > MAX_NEW_CHUNKS:
            self._misplace(group.table, f"its rows span {len(missing)} partitions")
            return
        try:
            for chunk in missing:
                start = _EPOCH + timedelta(microseconds=chunk * width // 1000)
                await connection.fetchval(
                    "SELECT ap_ensure_partitions($1, $2, $2::timestamptz)", group.table, start
                )
                self._chunks.add((group.table, chunk))
        except pg.PostgresError as error:
            if isinstance(error, LOST):
                raise
            self._misplace(group.table, str(error))

    def _misplace(self, table: str, reason: str) -> None:
        self._count(misplaced=1)
        log.warning("rows of %s go to its default partition: %s", table, reason)

    # The connection

    async def _connected(self) -> Any:
        if self._connection is None or self._connection.is_closed():
            self._hang_up()
            connection = await connect(self._dsn, write=True)
            try:
                if not self._chunk_ns:  # the first one: this is a database of ours
                    await self._check_tables(connection)
                else:
                    self._count(reconnects=1)
            except BaseException:
                connection.terminate()
                raise
            self._connection = connection
        return self._connection

    def _hang_up(self) -> None:
        # Never close(): it would wait for a server that may not answer.
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None

    async def _check_tables(self, connection: Any) -> None:
        missing = await connection.fetch(
            "SELECT name FROM unnest($1::text[]) AS t (name) WHERE to_regclass(name) IS NULL",
            list(TABLES),
        )
        if missing:
            raise StorageError(
                f"The database {describe(self._dsn)} lacks the table {missing[0]['name']}; "
                "apply the migrations first."
            )
        widths = await connection.fetch(
            "SELECT table_name, extract(epoch FROM chunk)::int8 AS seconds FROM ap_timeseries"
        )
        self._chunk_ns = {row["table_name"]: row["seconds"] * 10**9 for row in widths}

    # Accounting

    def _count(self, **added: int) -> None:
        sums = {name: getattr(self._counts, name) + value for name, value in added.items()}
        self._counts = replace(self._counts, **sums)

    def _degrade(self, what: str, reason: str) -> None:
        if what not in self._reasons:
            log.warning("storage is degraded: %s", reason)
        self._reasons[what] = reason

    def _recovered(self, what: str) -> None:
        if self._reasons.pop(what, None) is not None:
            log.info("storage: the %s is well again", what)

    def _bury_rows(self, batch: TableBatch, reason: str) -> None:
        self._bury(
            [_readable(batch, index, reason) for index in range(len(batch))], len(batch), reason
        )

    def _bury(self, letters: list[dict[str, Any]], rows: int, reason: str) -> None:
        with (self._dir / "dead-letters.jsonl").open("a", encoding="utf-8") as file:
            file.writelines(json.dumps(letter) + "\n" for letter in letters)
            file.flush()
            os.fsync(file.fileno())
        self._count(dead=rows)
        log.error("%d rows went to the dead letters: %s", rows, reason)


def _runs(pieces: list[bytes], max_bytes: int) -> Iterator[list[bytes]]:
    """Cut a list into runs of at most `max_bytes`."""
    run: list[bytes] = []
    room = max_bytes
    for piece in pieces:
        if run and len(piece) > room:
            yield run
            run, room = [], max_bytes
        run.append(piece)
        room -= len(piece)
    if run:
        yield run


async def _copy(connection: Any, table: str, group: Group) -> int:
    tag = await connection.copy_to_table(
        table,
        source=_encoded(group.parts),
        columns=copy_columns(group.table),
        format="binary",
        timeout=COPY_TIMEOUT_S,
    )
    return int(tag.rsplit(" ", 1)[1])


async def _encoded(parts: list[TableBatch]) -> AsyncIterator[bytes]:
    """Yield a COPY stream; its next piece is encoded while the server works on the last."""
    pieces = copy_pieces(parts)
    ahead = asyncio.create_task(asyncio.to_thread(next, pieces, b""))
    try:
        while piece := await ahead:
            ahead = asyncio.create_task(asyncio.to_thread(next, pieces, b""))
            yield piece
    finally:
        await asyncio.wait([ahead])


def _readable(batch: TableBatch, index: int, reason: str) -> dict[str, Any]:
    """Describe one row for the dead-letter file."""
    row = batch.rows[index]
    values = {column.name: _plain(row[column.name], column.type) for column in batch.spec.columns}
    return {
        "buried_at": time.time_ns(),
        "reason": reason,
        "table": batch.table,
        "exchange": batch.exchange,
        "symbol": batch.symbol,
        "row": values,
    }


def _unreadable(frame: Frame, reason: str) -> dict[str, Any]:
    return {"buried_at": time.time_ns(), "reason": reason, "payload": frame.payload.hex()}


def _plain(value: Any, kind: Type) -> Any:
    if kind in (Type.TEXT, Type.JSON):
        return bytes(value).decode(errors="backslashreplace")
    if kind is Type.FLOAT8_ARRAY:
        return [_plain(item, Type.FLOAT8) for item in value]
    item = value.item()
    if isinstance(item, float) and not math.isfinite(item):
        return None if math.isnan(item) else str(item)
    return None if kind is Type.TIME and item == NAT else item

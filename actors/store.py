"""The actor that writes: rows come by stream, are made durable, acknowledged, then stored."""

import asyncio
import logging
import os
import time
from pathlib import Path
from typing import Any, Final

import orjson
import ray

from actors import names
from actors.environment import set_up_actor_logging
from actors.node import this_node
from actors.process_load import ProcessLoad
from actors.stream_plan import StreamPlan
from alphaplus.errors import StorageError, StreamClosed
from alphaplus.storage.accepted_log import AcceptedLog
from alphaplus.storage.draining import Progress, last_words
from alphaplus.storage.lag import Alarm
from alphaplus.storage.latest_rows import LatestRows
from alphaplus.storage.newest_stored import stored_rows
from alphaplus.storage.read_pool import ReadPool
from alphaplus.storage.tables import TableBatch
from alphaplus.storage.writer import Writer, WriterStats
from alphaplus.streams import Endpoint, LatestSender, RowBatch, RowReceiver

log = logging.getLogger(__name__)

TELL_EVERY_S: Final = 1.0
RETRY_S: Final = 0.2
GATHER_S: Final = 0.1
"""Rows wait so long for those of other markets: they are made durable together, at one wake-up
and one fdatasync. The senders keep them until then."""
BEHIND_S: Final = 10.0
"""The store is behind while its oldest row waits so long for the database."""
NICENESS: Final = 10
"""Rows may wait a moment for the processor; books may not."""


class Store:
    """One shard of the writers; `StoreActor` is the same as a Ray actor."""

    def __init__(
        self,
        shard: int,
        dsn: str,
        spool_dir: Path,
        streams: StreamPlan,
        *,
        flush_rows: int,
        flush_ms: float,
        max_spool_mb: float,
        accepted_log: Path | None = None,
        log_level: str = "INFO",
    ) -> None:
        self._name = names.store_name(shard)
        set_up_actor_logging(log_level, actor=self._name)
        os.nice(NICENESS)
        self._load = ProcessLoad()
        self._spool_limit = int(max_spool_mb * 1e6)
        self._keys = streams.keys
        self._node = this_node()
        self._writer = Writer(
            dsn,
            spool_dir,
            flush_rows=flush_rows,
            flush_ms=flush_ms,
            max_spool_bytes=self._spool_limit,
        )
        self._accepted = None if accepted_log is None else AcceptedLog(accepted_log)
        self._reads = ReadPool(dsn, size=1)
        self._receiver = RowReceiver(streams.here())
        self._board: LatestSender | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._progress: Progress | None = None
        self._alarm = Alarm(BEHIND_S)
        self._unusable = 0

    async def start(self, board: Endpoint) -> Endpoint:
        """Replay what an earlier life has left, then take in rows; return where they go.

        Without a database, which the job has seen before us, rows wait in the spool.
        """
        board = board.seen_from(self._node)
        if self._board is None:
            await self._writer.start(patient=True)
            self._board = LatestSender(board, name=self._name, keys=self._keys)
            self._tasks = [
                asyncio.create_task(self._receive(), name="receive"),
                asyncio.create_task(self._tell(), name="tell"),
            ]
            for task in self._tasks:
                task.add_done_callback(_end_with_task)
        else:
            self._board.reconnect(board)
        return self._receiver.endpoint

    async def drain(self, stalled_s: float, limit_s: float) -> dict[str, Any]:
        """Write what was accepted as long as that makes progress, and report.

        Symbols drain before the store. Over when no row was written for `stalled_s`, and after
        `limit_s`: `rows_pending` of the report then remain in the spool for the next start.
        """
        ending = await self._writer.write_out(
            stalled_s=stalled_s, limit_s=limit_s, tell=self._take_progress
        )
        self._tasks[1].cancel()
        report = self.report()
        if report["rows_pending"]:
            log.warning("%s: %s", self._name, last_words(ending, report["rows_pending"]))
        return report

    async def draining(self) -> Progress | None:
        """Return how far a drain has come; None before there is one."""
        return self._progress

    def _take_progress(self, progress: Progress) -> None:
        self._progress = progress

    async def newest(self, exchange: str, symbol: str, count: int) -> list[LatestRows]:
        """Return the newest rows of an instrument of each table that its actor keeps some of.

        Whatever was accepted before is in the database by then. Raises StorageError.
        """
        await self._writer.catch_up()
        async with self._reads.connection() as connection:
            return await stored_rows(connection, exchange, symbol, count)

    def report(self) -> dict[str, Any]:
        """Return the writer's counters and this process's costs."""
        times = os.times()
        return {**self._counters(), "pid": os.getpid(), "cpu_s": times.user + times.system}

    async def close(self) -> None:
        """End the connections; to be called after `drain`."""
        for task in self._tasks:
            task.remove_done_callback(_end_with_task)
            task.cancel()
        self._receiver.close()
        if self._board is not None:
            self._board.close()
        await self._writer.close()
        if self._accepted is not None:
            self._accepted.close()
        await self._reads.close()

    async def _receive(self) -> None:
        while True:
            await asyncio.sleep(GATHER_S)
            try:
                arrived = await self._receiver.recv_async()
            except StreamClosed:
                return
            batches = [batch for item in arrived if (batch := self._read(item)) is not None]
            while True:
                try:
                    await self._writer.accept(batches)
                    break
                except StorageError as error:  # full: senders keep their rows until it is not
                    log.error("%s: %s", self._name, error)
                    await asyncio.sleep(RETRY_S)
            if self._accepted is not None:
                self._accepted.write(batches)
            self._receiver.ack(*arrived)

    def _read(self, item: RowBatch) -> TableBatch | None:
        try:
            return TableBatch.from_key(item.table, item.payload)
        except StorageError as error:
            self._unusable += item.count
            log.error("%s: %d rows from %s: %s", self._name, item.count, item.sender.name, error)
            return None

    async def _tell(self) -> None:
        assert self._board is not None  # set before the task starts
        while True:
            self._board.send(f"{names.COUNTERS}{self._name}", orjson.dumps(self._counters()))
            load = {"ts": time.time_ns(), **self._load.read(), **self._health(), "markets": {}}
            self._board.send(f"{names.LOADS}{self._name}", orjson.dumps(load))
            await asyncio.sleep(TELL_EVERY_S)

    def _health(self) -> dict[str, Any]:
        """Return what `store_health` makes of all writers; say once when it falls behind."""
        stats = self._writer.stats
        if self._alarm.turns(stats.behind_s):
            if self._alarm.is_on:
                log.warning("%s: %s", self._name, _behind(stats))
            else:
                log.info("%s: the database has caught up", self._name)
        state, reason = stats.state, stats.reason
        if state == "ok" and self._alarm.is_on:
            state, reason = "behind", _behind(stats)
        return {
            "state": state,
            "reason": reason,
            "behind_s": round(stats.behind_s, 1),
            "rows_pending": stats.pending,
            "spool_bytes": stats.spool_bytes,
            "spool_limit_bytes": self._spool_limit,
        }

    def _counters(self) -> dict[str, int]:
        stats = self._writer.stats
        return {
            "rows_accepted": stats.accepted + stats.replayed,
            "rows_written": stats.written,
            "rows_duplicate": stats.duplicate,
            "rows_retried": stats.retried,
            "rows_dead": stats.dead + stats.quarantined + self._unusable,
            "rows_pending": stats.pending,
        }


def _behind(stats: WriterStats) -> str:
    return (
        f"the database is behind: {stats.pending} rows wait, the oldest for "
        f"{stats.behind_s:.0f} s; give it more processor time, or set storage.deltas to false"
    )


def _end_with_task(task: asyncio.Task[None]) -> None:
    """A task that failed takes the actor along: Ray starts it again and the spool is replayed."""
    if task.cancelled() or task.exception() is None:
        return
    log.error("the store failed", exc_info=task.exception())
    os._exit(1)


StoreActor: Any = ray.remote(Store)

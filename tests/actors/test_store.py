"""The store without Ray: rows by stream into the database, and what it tells of itself."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest

from actors import names
from actors import store as store_module
from actors.store import Store
from actors.stream_plan import StreamPlan
from alphaplus.storage.tables import TableBatch
from alphaplus.streams import LatestReceiver, RowSender, make_run_directory
from tests.storage.rows import batch

pytestmark = pytest.mark.db


class Board:
    """What the store tells, newest first wins."""

    def __init__(self, receiver: LatestReceiver) -> None:
        self._receiver = receiver
        self.told: dict[str, Any] = {}

    def load(self) -> dict[str, Any]:
        for value in self._receiver.recv(timeout_ms=0):
            self.told[value.key] = orjson.loads(value.payload)
        found: dict[str, Any] = self.told.get(f"{names.LOADS}{names.store_name(0)}", {})
        return found


@asynccontextmanager
async def running_store(
    dsn: str, spool: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[Store, RowSender, Board]]:
    monkeypatch.setattr(store_module.os, "nice", lambda _: 0)
    monkeypatch.setattr(store_module, "set_up_actor_logging", lambda *_, **__: None)
    monkeypatch.setattr(store_module, "TELL_EVERY_S", 0.05)
    plan = StreamPlan(directory=make_run_directory())
    store = Store(0, dsn, spool, plan, flush_rows=1000, flush_ms=20, max_spool_mb=16)
    receiver = LatestReceiver(plan.here())
    endpoint = await store.start(receiver.endpoint)
    sender = RowSender(endpoint, name="one")
    try:
        yield store, sender, Board(receiver)
    finally:
        sender.close()
        await store.close()
        receiver.close()


async def until(condition: Callable[[], bool]) -> None:
    """Wait for what another process or task brings about; nothing signals it."""
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


def send(sender: RowSender, made: TableBatch) -> None:
    assert sender.send(made.key, made.rows)


async def test_rows_are_acknowledged_stored_and_counted(
    dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running_store(dsn, tmp_path, monkeypatch) as (store, sender, board):
        send(sender, batch("order_book_deltas", 300))
        send(sender, batch("market_depth_analysis", 1))
        await until(sender.pump)
        await until(lambda: board.load().get("state") == "ok")
        report = await store.drain(60.0, 60.0)
        assert report["rows_accepted"] == report["rows_written"] == 301
        assert report["rows_pending"] == 0


async def test_a_store_that_falls_behind_says_so_once_and_leaves_its_rows_in_the_spool(
    dsn: str,
    connection: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(store_module, "BEHIND_S", 0.3)
    async with running_store(dsn, tmp_path, monkeypatch) as (store, sender, board):
        await connection.execute("BEGIN")
        await connection.execute("LOCK TABLE order_book_deltas IN ACCESS EXCLUSIVE MODE")
        send(sender, batch("order_book_deltas", 300))
        await until(sender.pump)
        await until(lambda: board.load().get("state") == "behind")
        load = board.load()
        assert load["rows_pending"] == 300
        assert load["behind_s"] >= 0.3
        assert 0 < load["spool_bytes"] < load["spool_limit_bytes"] == 16_000_000
        assert "300 rows wait" in load["reason"]
        report = await store.drain(0.2, 60.0)
        assert report["rows_pending"] == 300
        progress = await store.draining()
        assert progress is not None
        assert progress.rows_left == 300
        said = [record.message for record in caplog.records]
        assert sum("the database is behind" in text for text in said) == 1
        assert any("300 rows remain in the spool on disk" in text for text in said)
        await connection.execute("ROLLBACK")
    async with running_store(dsn, tmp_path, monkeypatch) as (store, _, board):
        report = await store.drain(60.0, 60.0)
        assert (report["rows_pending"], report["rows_dead"]) == (0, 0)
        assert report["rows_written"] + report["rows_duplicate"] == 300

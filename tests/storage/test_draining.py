"""A drain goes on while rows become fewer, and says how far it is and why it ended."""

import asyncio
import contextlib

import pytest

from alphaplus.storage.draining import Drain, Ending, Progress, last_words, together
from alphaplus.storage.writer import Writer
from tests.storage.rows import batch
from tests.storage.test_writer import until


def drain(rows_left=1000, stalled_s=10.0, limit_s=60.0):
    return Drain(rows_left, 100.0, stalled_s=stalled_s, limit_s=limit_s)


def test_nothing_left_is_done_at_once():
    found = drain(0)
    assert found.ending is Ending.DONE
    assert found.progress == Progress(rows_left=0, rows_per_s=0.0, eta_s=0.0)


def test_it_goes_on_past_its_patience_while_rows_become_fewer():
    going = drain()
    for seconds in range(1, 51):
        going.observe(1000 - 10 * seconds, 100.0 + seconds)
        assert going.ending is None, "50 s are five times the patience, with progress"
    assert going.progress == Progress(rows_left=500, rows_per_s=10.0, eta_s=50.0)
    assert str(going.progress) == "500 rows left, 10 rows/s, about 50 s"
    going.observe(0, 151.0)
    assert going.ending is Ending.DONE


def test_it_ends_without_progress_and_at_its_limit():
    stuck = drain()
    stuck.observe(900, 101.0)
    stuck.observe(900, 110.9)
    assert stuck.ending is None
    stuck.observe(900, 111.0)
    assert stuck.ending is Ending.STALLED
    slow = drain(10_000)
    for seconds in range(1, 60):
        slow.observe(10_000 - seconds, 100.0 + seconds)
        assert slow.ending is None
    slow.observe(9_000, 160.0)
    assert slow.ending is Ending.LIMIT


def test_before_the_first_row_nobody_knows_when():
    waiting = drain()
    waiting.observe(1000, 103.0)
    assert waiting.progress.eta_s is None
    assert str(waiting.progress) == "1,000 rows left, 0 rows/s"


def test_several_writers_end_with_the_slowest():
    fast = Progress(rows_left=10, rows_per_s=5.0, eta_s=2.0)
    slow = Progress(rows_left=30, rows_per_s=3.0, eta_s=10.0)
    assert together([fast, slow]) == Progress(rows_left=40, rows_per_s=8.0, eta_s=10.0)
    unknown = Progress(rows_left=7, rows_per_s=0.0, eta_s=None)
    assert together([fast, unknown]).eta_s is None
    assert together([]) == Progress(rows_left=0, rows_per_s=0, eta_s=None)


def test_the_last_words_are_no_error():
    assert last_words(Ending.LIMIT, 5) == (
        "5 rows remain in the spool on disk, as the time for it is over; they will be written at "
        "the next start"
    )
    assert last_words(Ending.DONE, 0) == "every row is in the database"


@contextlib.asynccontextmanager
async def hidden_table(connection):
    await connection.execute("ALTER TABLE order_book_deltas RENAME TO hidden")
    try:
        yield
    finally:
        await connection.execute("ALTER TABLE hidden RENAME TO order_book_deltas")


@pytest.mark.db
async def test_a_writer_writes_a_backlog_out_and_tells(dsn, connection, tmp_path):
    told = []
    async with Writer(dsn, tmp_path, flush_ms=60_000) as writer:
        await writer.accept([batch("order_book_deltas", 3000)])
        ending = await writer.write_out(stalled_s=60, limit_s=60, tell=told.append)
        assert ending is Ending.DONE
        assert writer.stats.written == 3000
    assert told[-1].rows_left == 0
    assert told[-1].rows_per_s > 0


@pytest.mark.db
@pytest.mark.parametrize("why", [Ending.STALLED, Ending.LIMIT])
async def test_what_a_drain_leaves_is_written_by_the_next_start(dsn, connection, tmp_path, why):
    limits = {"stalled_s": 60.0, "limit_s": 60.0}
    limits["stalled_s" if why is Ending.STALLED else "limit_s"] = 0.3
    told = []
    async with Writer(dsn, tmp_path) as writer, hidden_table(connection):
        await writer.accept([batch("order_book_deltas", 500)])
        assert await writer.write_out(**limits, tell=told.append) is why
        assert writer.stats.pending == told[-1].rows_left == 500
        await writer.close()
    async with Writer(dsn, tmp_path) as writer:
        assert await writer.write_out(stalled_s=60, limit_s=60, tell=told.append) is Ending.DONE
        assert (writer.stats.replayed, writer.stats.written) == (500, 500)


@pytest.mark.db
async def test_a_drain_comes_to_its_end_when_the_database_comes_back(dsn, connection, tmp_path):
    async with Writer(dsn, tmp_path) as writer:
        async with hidden_table(connection):
            await writer.accept([batch("order_book_deltas", 500)])
            drained = asyncio.create_task(
                writer.write_out(stalled_s=60, limit_s=60, tell=lambda _: None)
            )
            await until(lambda: writer.stats.state == "degraded")
        assert await drained is Ending.DONE
        assert writer.stats.pending == 0

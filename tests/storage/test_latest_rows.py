"""The newest rows in memory: always those of the database, or none."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alphaplus.errors import StorageError
from alphaplus.storage.latest_rows import KEPT, LatestOfMarket, RowRing
from alphaplus.storage.newest_stored import stored_rows
from alphaplus.storage.tables import TABLES, TableBatch
from alphaplus.storage.writer import Writer
from tests.storage.rows import T0, rows

TABLE = "market_trades"


def trades(times):
    """Trades at these microseconds; ids go on with them."""
    made = TABLES[TABLE].rows(len(times))
    made["time"] = [T0 + 1000 * time + time % 7 for time in times]  # not whole microseconds
    made["trade_id"] = times
    return made


def ids(found):
    return None if found is None else found["trade_id"].tolist()


def test_newest_rows_come_in_order_and_only_if_they_are_certain():
    ring = RowRing(TABLE, 5)
    assert ring.newest(1) is None
    ring.add(trades([1, 2, 3]))
    assert ids(ring.newest(2)) == [2, 3]
    assert ring.newest(3) is None  # the database may have more of the time of the first
    ring.add(trades([4, 5, 6]))
    assert ids(ring.newest(5)) == [2, 3, 4, 5, 6]
    ring.add(trades([9, 7, 8]))  # out of order: 2, 3 and 4 are gone
    assert ids(ring.newest(4)) == [6, 7, 8, 9]
    assert ids(ring.newest(5)) == [5, 6, 7, 8, 9]
    assert ring.newest(6) is None
    ring.add(trades(list(range(20, 40))))
    assert ids(ring.newest(5)) == [35, 36, 37, 38, 39]
    assert (ring.newest(5)["time"] % 1000 == 0).all()
    assert ring.nbytes == 5 * TABLES[TABLE].dtype.itemsize


def test_a_late_row_that_was_pushed_out_makes_its_time_uncertain():
    ring = RowRing(TABLE, 3)
    ring.add(trades([10, 50, 11]))
    ring.add(trades([12, 13]))  # 50 is gone, and it is the newest of all
    assert ring.newest(1) is None


def test_refilled_ring_knows_whether_the_database_has_more():
    ring = RowRing(TABLE, 4)
    ring.refill(trades([1, 2]))  # all there are
    assert ids(ring.newest(4)) == [1, 2]
    ring.add(trades([3, 4, 5]))
    assert ids(ring.newest(4)) == [2, 3, 4, 5]
    full = RowRing(TABLE, 4)
    full.add(trades([5, 6]))
    full.refill(trades([2, 3, 4, 5]))  # one of them came again
    assert ids(full.newest(3)) == [4, 5, 6]
    assert full.newest(4) is None or ids(full.newest(4)) == [3, 4, 5, 6]
    empty = RowRing(TABLE, 4)
    empty.refill(trades([]))
    assert ids(empty.newest(4)) == []
    late = RowRing(TABLE, 2)
    late.add(trades([8, 9]))
    late.refill(trades([1, 2]))  # no room: what there is stays
    assert ids(late.newest(1)) == [9]


@given(
    st.integers(1, 6),
    st.lists(st.integers(0, 30), unique=True, max_size=20),
    st.lists(st.lists(st.integers(0, 40), unique=True, max_size=8), max_size=6),
    st.integers(0, 6),
    st.integers(1, 8),
)
def test_an_answer_is_what_the_database_would_say(capacity, before, lives, at, count):
    """Rows of an earlier life are in the database; the ring hears of all since, and of the
    newest ones before at some moment. Event times may go back, within a life."""
    ring = RowRing(TABLE, capacity)
    stored = sorted(before)
    # The exchange's clock goes on between two lives.
    shift = max(stored, default=0) + 1
    for number, life in enumerate(lives):
        if number == at:
            ring.refill(trades(stored[-capacity:]))
        batch = [shift + time for time in life if shift + time not in stored]
        ring.add(trades(batch))
        stored = sorted({*stored, *batch})
        found = ids(ring.newest(count))
        assert found is None or found == stored[-count:]


async def whole(dsn, folder, *batches):
    async with Writer(dsn, folder / "spool") as writer:
        await writer.accept(batches)
        await writer.catch_up()
        assert writer.stats.pending == 0


@pytest.mark.db
async def test_rings_are_filled_up_from_the_database(dsn, connection, tmp_path):
    symbol, made = "BTC-USDT-PERP", {table: rows(table, 33) for table in KEPT}
    stored = [TableBatch(table, "binance", symbol, made[table][:30]) for table in KEPT]
    await whole(dsn, tmp_path, *stored)
    latest = LatestOfMarket(20)
    for item in await stored_rows(connection, "binance", symbol, 20):
        latest.refill(item.table, item.rows)
    for table in KEPT:
        latest.add(table, made[table][28:])  # two came again
        found = latest.newest(table, 12)
        assert np.array_equal(found["time"], (T0 + np.arange(21, 33) * 1_000_000))
        assert latest.newest(table, 21) is None
    assert latest.newest("candles", 1) is None
    assert LatestOfMarket(0).newest(TABLE, 1) is None


def test_memory_of_a_market_is_bounded():
    latest = LatestOfMarket(1000)
    for table in KEPT:
        for start in range(0, 3000, 500):
            latest.add(table, rows(table, 500, start=start))
    assert latest.nbytes == 1000 * sum(TABLES[table].dtype.itemsize for table in KEPT)
    assert latest.nbytes < 1_700_000


def test_a_ring_without_room_is_refused():
    with pytest.raises(StorageError, match="at least 1 row"):
        RowRing(TABLE, 0)

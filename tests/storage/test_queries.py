"""Reading rows back."""

import pytest

from alphaplus.errors import StorageError
from alphaplus.storage import queries
from alphaplus.storage.writer import Writer
from tests.storage.rows import T0, batch

pytestmark = pytest.mark.db

KEY = ("market_trades", "binance", "BTC-USDT-PERP")


async def test_latest_first_and_count(dsn, connection, tmp_path):
    async with Writer(dsn, tmp_path / "spool") as writer:
        await writer.accept([batch("market_trades", 50), batch("market_trades", 9, symbol="OTHER")])
        await writer.drain()
    newest = await queries.latest(connection, *KEY, 3)
    assert [row["trade_id"] for row in newest] == [49, 48, 47]
    assert newest[0]["time"] == T0 + 49_000_000
    bounded = await queries.latest(connection, *KEY, 2, start_ns=T0, end_ns=T0 + 10_000_000)
    assert [row["trade_id"] for row in bounded] == [9, 8]
    assert await queries.count(connection, "market_trades") == 59
    assert await queries.count(connection, "market_trades", end_ns=T0 + 5_000_000) == 10


async def test_bad_questions_are_refused(connection):
    with pytest.raises(StorageError, match="no table"):
        await queries.latest(connection, "users; DROP TABLE trades", "binance", "X", 1)
    with pytest.raises(StorageError, match="1 to 10000 rows"):
        await queries.latest(connection, *KEY, 0)
    with pytest.raises(StorageError, match="range of time"):
        await queries.latest(connection, *KEY, 1, start_ns=T0, end_ns=T0)

"""Portfolios in a real database: what was set comes back, and one equity a day."""

import math

import asyncpg
import pytest

from alphaplus.errors import StorageError
from alphaplus.storage import portfolios
from tests.storage.rows import T0

pytestmark = pytest.mark.db

DAY = 86_400 * 10**9
MIDNIGHT = T0 // DAY * DAY
ACCOUNTS = [
    {
        "id": "hedge",
        "exchange": "binance",
        "wallet_balance": 1000.1,
        "collateral": [],
        "positions": [{"symbol": "BTC-USDT-PERP", "quantity": -0.1, "entry_price": 60000.0}],
    }
]


@pytest.fixture
async def connection(dsn):
    opened = await asyncpg.connect(dsn)
    yield opened
    await opened.close()


async def test_portfolios_come_back_as_they_were_last_set(connection):
    assert await portfolios.load_portfolios(connection) == {}
    await portfolios.save_portfolio(connection, "main", [])
    await portfolios.save_portfolio(connection, "fund", ACCOUNTS[:0])
    await portfolios.save_portfolio(connection, "fund", ACCOUNTS)
    assert await portfolios.load_portfolios(connection) == {"main": [], "fund": ACCOUNTS}
    await portfolios.delete_portfolio(connection, "fund")
    assert await portfolios.load_portfolios(connection) == {"main": []}


async def test_what_is_no_json_is_refused_and_the_old_stays(connection):
    await portfolios.save_portfolio(connection, "main", ACCOUNTS)
    for value in (math.nan, object()):
        with pytest.raises(StorageError, match="plain values for portfolio main"):
            await portfolios.save_portfolio(connection, "main", [{"wallet_balance": value}])
    assert await portfolios.load_portfolios(connection) == {"main": ACCOUNTS}


async def test_the_last_reading_of_a_day_is_its_equity(connection):
    for time, equity in ((1, 100.0), (DAY - 1000, 90.0), (DAY // 2, 95.0), (DAY, 80.0)):
        await portfolios.save_equity(connection, "main", MIDNIGHT + time // 1000 * 1000, equity)
    times, values = await portfolios.equity_curve(connection, "main")
    assert (times - MIDNIGHT).tolist() == [DAY - 1000, DAY]
    assert values.tolist() == [90.0, 80.0]
    assert len((await portfolios.equity_curve(connection, "other"))[0]) == 0


async def test_an_equity_that_is_no_number_is_refused(connection):
    with pytest.raises(StorageError, match="equity of main as a number, was nan"):
        await portfolios.save_equity(connection, "main", T0, math.nan)

"""Portfolios through restarts of their actor, without Ray: a desk, threads and a real database."""

import asyncio
from collections.abc import Iterator

import asyncpg
import pytest

from actors.live_desk import LiveDesk
from alphaplus.risk.figures import DAY_NS
from alphaplus.storage import portfolios
from tests.fleet.conftest import own_database
from tests.portfolio.desk_cases import ETH, NOW, account, desk, position

pytestmark = pytest.mark.db

NOWHERE = "postgresql://alphaplus:secret@127.0.0.1:1/alphaplus"


@pytest.fixture
def dsn(database_server: str) -> Iterator[str]:
    with own_database(database_server) as dsn:
        yield dsn


def life(dsn: str) -> LiveDesk:
    """One life of the actor's desk; its thread does not run, `_restore` is what it does first."""
    made = LiveDesk(desk(), dsn=dsn, reload_s=60.0, clock=lambda: NOW)
    made._restore()
    return made


def held(made: LiveDesk, portfolio_id: str = "main") -> list[tuple[str, float]]:
    accounts = made.ask(lambda d, _: d.accounts(portfolio_id))
    return [(item.symbol, item.quantity) for a in accounts for item in a.positions]


def test_what_portfolios_hold_comes_back_after_a_restart(dsn: str) -> None:
    first = life(dsn)
    first.hold("main", lambda d: d.set_accounts("main", [account(position())]))
    first.hold("fund", lambda d: d.set_accounts("fund", [account(position(ETH, quantity=-3.0))]))
    assert first.saved("main")
    assert first.saved("fund")
    second = life(dsn)
    assert held(second) == held(first)
    assert held(second, "fund") == [(ETH, -3.0)]
    second.hold("fund", lambda d: d.set_accounts("fund", []))
    assert life(dsn).ask(lambda d, _: d.portfolio_ids) == ("main",)


def test_a_portfolio_that_cannot_be_read_is_kept_and_the_others_come_back(
    dsn: str, caplog: pytest.LogCaptureFixture
) -> None:
    strange = [account(position()) | {"exchange": "nowhere"}]

    async def write() -> None:
        connection = await asyncpg.connect(dsn)
        await portfolios.save_portfolio(connection, "strange", strange)
        await portfolios.save_portfolio(connection, "main", [account(position())])
        await connection.close()

    asyncio.run(write())
    made = life(dsn)
    assert made.ask(lambda d, _: d.portfolio_ids) == ("main",)
    assert len(held(made)) == 1
    assert "portfolio strange cannot be restored" in caplog.text

    async def read() -> dict[str, list[dict[str, object]]]:
        connection = await asyncpg.connect(dsn)
        found = await portfolios.load_portfolios(connection)
        await connection.close()
        return found

    assert asyncio.run(read())["strange"] == strange


def test_without_the_database_a_change_counts_says_so_and_is_saved_later(
    dsn: str, caplog: pytest.LogCaptureFixture
) -> None:
    made = life(NOWHERE)
    made.hold("main", lambda d: d.set_accounts("main", [account(position())]))
    assert len(held(made)) == 1
    assert not made.saved("main")
    assert made.counters()["archive_failures"] >= 1
    assert "secret" not in caplog.text
    made._archive._dsn = dsn  # the database is back
    made._restore()  # what was set meanwhile stands
    made._archive.retry()
    assert made.saved("main")
    assert held(life(dsn)) == held(made)


def test_past_equity_comes_back(dsn: str) -> None:
    first = life(dsn)
    first.hold("main", lambda d: d.set_accounts("main", [account(position())]))
    for days_ago, equity in ((3, 80_000.0), (2, 90_000.0), (1, 85_000.0)):
        first._archive.save_equity(NOW - days_ago * DAY_NS, {"main": equity})
    second = life(dsn)
    figures = second.report("main", None)["figures"]
    equity = figures["equity"]["value"]
    assert figures["drawdown"]["value"] == pytest.approx(max(0.0, 1 - equity / 90_000.0))
    second._archive.save_equity(NOW, second.ask(lambda d, _: d.equities()))

    async def curve() -> list[float]:
        connection = await asyncpg.connect(dsn)
        _, values = await portfolios.equity_curve(connection, "main")
        await connection.close()
        return list(values)

    assert asyncio.run(curve()) == [80_000.0, 90_000.0, 85_000.0, equity]

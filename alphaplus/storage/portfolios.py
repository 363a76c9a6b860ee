"""Portfolios in the database: what they hold, and their equity day by day.

Both are small and must survive everything, so they are written at once, not through the spool:
a call returns when the database has committed. `connection` is an asyncpg connection.
"""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from alphaplus.errors import StorageError
from alphaplus.storage.queries import to_datetime, to_ns

MAX_DAYS: Final = 3650
"""Days of equity that are read back at most, the newest ones."""


async def save_portfolio(
    connection: Any, portfolio_id: str, accounts: Sequence[Mapping[str, Any]]
) -> None:
    """Replace what a portfolio holds; `accounts` are plain values, ready for JSON.

    Raises StorageError for a value that JSON cannot hold, such as nan.
    """
    try:
        document = json.dumps(list(accounts), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise StorageError(
            f"Expected accounts of plain values for portfolio {portfolio_id}, was not so: {error}."
        ) from error
    await connection.execute(
        "INSERT INTO portfolios (id, accounts) VALUES ($1, $2::jsonb) "
        "ON CONFLICT (id) DO UPDATE SET accounts = excluded.accounts, updated_at = now()",
        portfolio_id,
        document,
    )


async def delete_portfolio(connection: Any, portfolio_id: str) -> None:
    """Forget what a portfolio holds; its equity of past days stays."""
    await connection.execute("DELETE FROM portfolios WHERE id = $1", portfolio_id)


async def load_portfolios(connection: Any) -> dict[str, list[dict[str, Any]]]:
    """Return the accounts of every portfolio, by its id, as they were saved."""
    rows = await connection.fetch("SELECT id, accounts::text AS accounts FROM portfolios")
    return {row["id"]: json.loads(row["accounts"]) for row in rows}


async def save_equity(connection: Any, portfolio_id: str, time_ns: int, equity: float) -> None:
    """Note the equity of a portfolio at a time, ns UTC; the last reading of a day stands.

    Raises StorageError for an equity that is not finite.
    """
    if not math.isfinite(equity):
        raise StorageError(f"Expected equity of {portfolio_id} as a number, was {equity}.")
    await connection.execute(
        "INSERT INTO portfolio_equity (portfolio, day, time, equity) "
        "VALUES ($1, ($2::timestamptz AT TIME ZONE 'UTC')::date, $2, $3) "
        "ON CONFLICT (portfolio, day) DO UPDATE SET time = excluded.time, equity = excluded.equity "
        "WHERE excluded.time >= portfolio_equity.time",
        portfolio_id,
        to_datetime(time_ns),
        equity,
    )


async def equity_curve(
    connection: Any, portfolio_id: str
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Return times (ns UTC, ascending) and equities, one of each day, at most `MAX_DAYS`."""
    rows = await connection.fetch(
        "SELECT time, equity FROM portfolio_equity WHERE portfolio = $1 ORDER BY day DESC LIMIT $2",
        portfolio_id,
        MAX_DAYS,
    )
    times = np.array([to_ns(row["time"]) for row in rows], dtype=np.int64)
    values = np.array([row["equity"] for row in rows], dtype=np.float64)
    return times[::-1].copy(), values[::-1].copy()

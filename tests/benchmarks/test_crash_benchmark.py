"""Writer and server are killed in mid-stream: nothing accepted is lost, halved or doubled."""

import asyncio
import os
from pathlib import Path

import asyncpg
import numpy as np
import pytest

from alphaplus.storage.migrations import TIMESCALE
from benchmarks.crash.__main__ import crash
from benchmarks.crash.rows import BAD_EVERY, COLUMNS, ROWS, batches, is_bad, values
from benchmarks.crash.run import Outcome
from benchmarks.crash.verify import _compared
from tests.storage.servers import TIMESCALE_VARIABLE


def check(outcome: Outcome, kills: int, database_kills: int) -> None:
    verdict, killed = outcome.verdict, outcome.killed
    assert verdict.is_exact, verdict
    assert verdict.stored + verdict.dead == verdict.accepted + verdict.unlogged
    assert verdict.accepted >= (kills + database_kills) * ROWS
    assert verdict.dead > 0
    assert killed["writer"] == kills
    assert killed.get("database", 0) + killed.get("both", 0) == database_kills


@pytest.mark.db
def test_kills_of_writer_and_server_lose_and_repeat_nothing() -> None:
    check(crash(seed=5, kills=3, database_kills=2), 3, 2)


@pytest.mark.db
@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_many_kills_at_random_and_delicate_moments(seed: int) -> None:
    outcome = crash(seed=seed, kills=10, database_kills=4)
    check(outcome, 10, 4)
    assert any("staging" in where for where in outcome.killed)


@pytest.mark.db
@pytest.mark.slow
def test_many_kills_with_timescale() -> None:
    outcome = crash(
        seed=4, kills=10, database_kills=4, programs=timescale_programs(), preload="timescaledb"
    )
    check(outcome, 10, 4)
    assert outcome.flavor == TIMESCALE


def timescale_programs() -> Path:
    """The programs of the TimescaleDB that is named, if it is on this machine; else skip.

    The named server itself is not killed: it is not ours.
    """
    named = os.environ.get(TIMESCALE_VARIABLE)
    if not named:
        pytest.skip(f"no TimescaleDB: {TIMESCALE_VARIABLE} names no server")

    async def ask() -> str:
        connection = await asyncpg.connect(named)
        try:
            return str(
                await connection.fetchval("SELECT setting FROM pg_config() WHERE name = 'BINDIR'")
            )
        finally:
            await connection.close()

    programs = Path(asyncio.run(ask()))
    if not (programs / "initdb").exists():
        pytest.skip(f"the server of {TIMESCALE_VARIABLE} has its programs on another machine")
    return programs


def test_rows_are_as_numbered_and_some_are_bad() -> None:
    made = {batch.table: batch.rows for batch in batches(BAD_EVERY * ROWS)}
    assert made.keys() == COLUMNS.keys()
    number = made["market_trades"]["trade_id"]
    assert np.isnan(made["market_trades"]["price"]).tolist() == is_bad(number).tolist()
    assert np.count_nonzero(is_bad(number)) == 1
    for table, (name, value) in COLUMNS.items():
        assert (made[table][value] == values(made[table][name])).all()


def test_every_defect_is_seen() -> None:
    accepted = np.arange(4 * ROWS)
    dead = accepted[is_bad(accepted)]
    found = np.setdiff1d(np.arange(5 * ROWS), dead)

    def defects(found: np.ndarray, dead: np.ndarray = dead) -> dict[str, int]:
        compared = _compared(accepted, found, values(found), dead)
        names = ("missing", "partial", "duplicated", "different", "unlogged")
        return {name: compared[name] for name in names if compared[name]}

    assert defects(found) == {"unlogged": ROWS}
    assert defects(found[found < 4 * ROWS]) == {}
    assert defects(found[:-1]) == {"partial": 1, "unlogged": ROWS - 1}
    assert defects(found[10:]) == {"missing": 10, "partial": 1, "unlogged": ROWS}
    assert defects(np.append(found, 7)) == {"duplicated": 1, "unlogged": ROWS}
    assert defects(found, np.append(dead, 7))["different"] == 1
    wrong = values(found) + (found == 9)
    assert _compared(accepted, found, wrong, dead)["different"] == 1

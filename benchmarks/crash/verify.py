"""Compare what was accepted with what is stored, row by row."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from alphaplus.storage.connection import connect
from benchmarks.crash.rows import COLUMNS, ROWS, is_bad, values


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Rows of all tables, unless said otherwise."""

    accepted: int
    stored: int
    dead: int
    """Distinct rows in the dead letters."""
    unlogged: int
    """Stored, of batches whose producer was killed before it could say that it was accepted."""
    missing: int
    """Accepted, and neither stored nor in the dead letters."""
    partial: int
    """Batches of a table of which only some rows are stored or dead, accepted or not."""
    duplicated: int
    different: int
    """Stored with another value than was written."""

    @property
    def is_exact(self) -> bool:
        """Whether all rows are there, once, whole and as they were."""
        return not (self.missing or self.partial or self.duplicated or self.different)


async def verify(dsn: str, log: Path, dead_letters: Path) -> Verdict:
    """Read everything; `log` names the batches that were accepted."""
    starts = np.array([int(line) for line in log.read_text().split()], dtype=np.int64)
    accepted = (starts[:, None] + np.arange(ROWS)).ravel()
    dead = _dead(dead_letters)
    sums: dict[str, int] = dict.fromkeys(Verdict.__dataclass_fields__, 0)
    connection = await connect(dsn)
    try:
        for table, (name, value) in COLUMNS.items():
            records = await connection.fetch(f"SELECT {name}, {value} FROM {table}")
            found = np.array([record[0] for record in records], dtype=np.int64)
            stored = np.array([record[1] for record in records], dtype=np.float64)
            gone = dead.get(table, np.empty(0, np.int64))
            for key, count in _compared(accepted, found, stored, gone).items():
                sums[key] += count
    finally:
        await connection.close()
    return Verdict(**sums)


def _compared(
    accepted: npt.NDArray[np.int64],
    found: npt.NDArray[np.int64],
    stored: npt.NDArray[np.float64],
    dead: npt.NDArray[np.int64],
) -> dict[str, int]:
    known = np.union1d(found, dead)
    _, rows_of_batch = np.unique(known // ROWS, return_counts=True)
    wrongly_dead = np.count_nonzero(~is_bad(dead))
    return {
        "accepted": len(accepted),
        "stored": len(found),
        "dead": len(dead),
        "unlogged": len(np.setdiff1d(known, accepted)),
        "missing": len(np.setdiff1d(accepted, known)),
        "partial": int(np.count_nonzero(rows_of_batch != ROWS)),
        "duplicated": len(found) - len(np.unique(found)) + len(np.intersect1d(found, dead)),
        "different": int(np.count_nonzero(stored != values(found)) + wrongly_dead),
    }


def _dead(path: Path) -> dict[str, npt.NDArray[np.int64]]:
    """Return the numbers of the rows in the dead letters; one buried twice counts once."""
    found: dict[str, set[int]] = {}
    for line in path.read_text().splitlines() if path.exists() else ():
        letter = json.loads(line)
        table = letter["table"]
        found.setdefault(table, set()).add(letter["row"][COLUMNS[table][0]])
    return {table: np.array(sorted(rows), dtype=np.int64) for table, rows in found.items()}

"""A process that writes without end and is killed: the writer under test.

python -m benchmarks.crash.producer DSN SPOOL LOG LIFE: appends the number of the first row to LOG
after each batch that was accepted. On its output it says which delicate phase begins (`+`) and
ends (`-`), so that a kill can be aimed at one.
"""

import asyncio
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from alphaplus.storage.writer import Writer
from benchmarks.crash.rows import LIFE, ROWS, batches


class _TellingWriter(Writer):
    """The writer, which says where it is."""

    async def _ensure_partitions(self, connection: Any, group: Any) -> None:
        with _phase("partition"):
            await super()._ensure_partitions(connection, group)

    async def _send(self, connection: Any, group: Any) -> int:
        with _phase("staging" if group.staged else "copy"):
            return await super()._send(connection, group)


@contextmanager
def _phase(name: str) -> Iterator[None]:
    os.write(1, f"+{name}\n".encode())
    yield
    os.write(1, f"-{name}\n".encode())


async def main(dsn: str, spool: str, log: str, life: str) -> None:
    """Accept batches until killed."""
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    start = int(life) * LIFE
    async with _TellingWriter(dsn, Path(spool), flush_rows=200, flush_ms=20) as writer:
        while True:
            await writer.accept(batches(start))
            os.write(file, f"{start}\n".encode())
            start += ROWS
            await asyncio.sleep(0.004)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))

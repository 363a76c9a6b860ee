"""What the store has accepted, written down apart from the spool and the database.

For tests that compare: a batch is written after the spool has it and before its sender is told,
so all that a sender believes to be safe is here, whoever is killed when. It costs a second copy
of every row, and nothing is ever deleted.
"""

import secrets
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from alphaplus.storage.tables import TableBatch

SUFFIX: Final = ".accepted"
_LENGTH: Final = struct.Struct("<I")


class AcceptedLog:
    """One file of one life of a store, in a folder that many lives share."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._file = (folder / f"{secrets.token_hex(8)}{SUFFIX}").open("xb", buffering=0)

    def write(self, batches: Sequence[TableBatch]) -> None:
        """Write batches down; the page cache keeps them if the process is killed."""
        frames = [batch.floored().to_bytes() for batch in batches if len(batch)]
        parts = (part for frame in frames for part in (_LENGTH.pack(len(frame)), frame))
        whole = memoryview(b"".join(parts))
        while whole:
            whole = whole[self._file.write(whole) :]

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def read_accepted(folder: Path) -> Iterator[TableBatch]:
    """Yield what all lives have written; an end that a kill has torn was never acknowledged."""
    for path in sorted(folder.glob(f"*{SUFFIX}")):
        data, at = path.read_bytes(), 0
        while at + _LENGTH.size <= len(data):
            (length,) = _LENGTH.unpack_from(data, at)
            end = at + _LENGTH.size + length
            if end > len(data):
                break
            yield TableBatch.from_bytes(data[at + _LENGTH.size : end])
            at = end

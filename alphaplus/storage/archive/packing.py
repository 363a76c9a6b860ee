"""Rows of one instrument and partition to blocks, with the proof that nothing is lost on the way.

No I/O: rows come in key order, piece by piece; blocks gather in memory, where they are small.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from alphaplus.errors import StorageError
from alphaplus.rows import join_rows
from alphaplus.storage.archive.block import Block, block_rows, pack, unpack
from alphaplus.storage.row_order import after, key_of, merged
from alphaplus.storage.tables import RowArray, TableBatch, table_of


@dataclass(slots=True)
class Packer:
    """Cuts rows of one instrument into full blocks as they come."""

    table: str
    exchange: str
    symbol: str
    blocks: list[Block] = field(default_factory=list)
    digests: list[bytes] = field(default_factory=list)
    """Of the rows of each block, as they were before packing."""
    rows: int = 0
    _waiting: list[RowArray] = field(default_factory=list)

    def add(self, rows: RowArray) -> None:
        """Take the next rows in key order."""
        self._waiting.append(rows)
        full = block_rows(self.table)
        # One block stays behind: the last two share what is left.
        if sum(map(len, self._waiting)) < 2 * full:
            return
        joined = join_rows(self._waiting)
        ready = (len(joined) // full - 1) * full
        for start in range(0, ready, full):
            self._pack(joined[start : start + full])
        self._waiting = [joined[ready:]]

    def keep(self, block: Block) -> None:
        """Take a block as it is, after all rows that were added."""
        self.finish()
        self.blocks.append(block)
        self.digests.append(digest(unpack(block)))
        self.rows += block.rows

    def finish(self) -> None:
        """Pack what is left."""
        if not self._waiting:
            return
        rows = join_rows(self._waiting)
        self._waiting = []
        parts = max(1, -(-len(rows) // block_rows(self.table)))
        for part in np.array_split(rows, parts):
            if len(part):
                self._pack(part)

    def _pack(self, rows: RowArray) -> None:
        self.blocks.append(pack(TableBatch(self.table, self.exchange, self.symbol, rows)))
        self.digests.append(digest(rows))
        self.rows += len(rows)


def digest(rows: RowArray) -> bytes:
    """Return BLAKE2b of 16 bytes of rows, every bit of them."""
    return hashlib.blake2b(np.ascontiguousarray(rows).tobytes(), digest_size=16).digest()


def add_late(packer: Packer, blocks: Iterable[Block], late: RowArray) -> int:
    """Merge rows that came late, in key order, into blocks; return how many were there already.

    Blocks that no row falls into are kept as they are. Of two rows of one key the packed one stays.
    """
    spec = table_of(packer.table)
    before = packer.rows
    taken = 0
    blocks = list(blocks)
    for at, block in enumerate(blocks):
        rows = unpack(block)
        taken += len(rows)
        is_last = at == len(blocks) - 1
        later = late[:0] if is_last else after(late, key_of(rows, len(rows) - 1, spec), spec)
        fitting = late[: len(late) - len(later)]
        late = later
        if len(fitting):
            taken += len(fitting)
            packer.add(merged(rows, fitting, spec))
        else:
            packer.keep(block)
    if len(late):
        taken += len(late)
        packer.add(late)
    packer.finish()
    return taken - (packer.rows - before)


def verify(packer: Packer, stored: Iterable[Block]) -> None:
    """Raise StorageError unless blocks, read back, have every row that was packed, bit for bit."""
    digests = [digest(unpack(block)) for block in stored]
    if digests != packer.digests:
        raise StorageError(
            f"Expected {packer.rows} rows of {packer.table} of {packer.exchange}:{packer.symbol} "
            "to read back from the archive as they were, was something else; they stay where "
            "they are."
        )

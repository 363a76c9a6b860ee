"""Packing piece by piece, and merging what came late: every row once, in key order."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alphaplus.errors import StorageError
from alphaplus.storage.archive import block as blocks
from alphaplus.storage.archive.block import unpack
from alphaplus.storage.archive.packing import Packer, add_late, verify
from alphaplus.storage.tables import TABLES, TableBatch
from tests.storage.rows import batch

TABLE = "order_book_deltas"
FULL = 10
"""Rows of a full block in these tests."""
EVERYTHING = batch(TABLE, 200).floored().rows
EVERYTHING["time"][50:90] = EVERYTHING["time"][50]  # a full book: many rows of one time


@pytest.fixture(scope="module", autouse=True)
def small_blocks():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocks, "BLOCK_ROWS", FULL)
        yield


def packed(rows, pieces=(7,)):
    """Pack rows that come in pieces of these sizes, over and over."""
    packer = Packer(TABLE, "binance", "BTC-USDT-PERP")
    at = turn = 0
    while at < len(rows):
        size = pieces[turn % len(pieces)]
        packer.add(rows[at : at + size])
        at, turn = at + size, turn + 1
    packer.finish()
    return packer


def content(packer):
    return np.concatenate([TABLES[TABLE].rows(0), *map(unpack, packer.blocks)])


@given(
    count=st.integers(0, 200),
    pieces=st.lists(st.integers(1, 90), min_size=1, max_size=4),
)
def test_however_rows_come_they_make_full_blocks_in_order(count, pieces):
    packer = packed(EVERYTHING[:count], pieces)
    assert packer.rows == count
    assert content(packer).tobytes() == EVERYTHING[:count].tobytes()
    sizes = [item.rows for item in packer.blocks]
    assert all(size == FULL for size in sizes[:-2])
    assert all(FULL // 2 <= size <= FULL for size in sizes) or count < FULL // 2
    verify(packer, packer.blocks)


@given(late=st.sets(st.integers(0, 199), max_size=60), again=st.sets(st.integers(0, 199)))
def test_late_rows_are_merged_and_the_packed_one_of_a_key_stays(late, again):
    is_late = np.zeros(200, dtype=bool)
    is_late[sorted(late)] = True
    early = packed(EVERYTHING[~is_late])
    comes = is_late.copy()
    comes[sorted(again)] = True
    rows = EVERYTHING[comes].copy()
    rows["qty"][~is_late[comes]] = -7.0  # under a key that is packed: it does not count
    merged = Packer(TABLE, "binance", "BTC-USDT-PERP")
    repeated = add_late(merged, early.blocks, rows)
    assert repeated == np.count_nonzero(~is_late[comes])
    assert merged.rows == 200
    assert content(merged).tobytes() == EVERYTHING.tobytes()
    verify(merged, merged.blocks)


def test_blocks_that_no_late_row_falls_into_are_kept_as_they_are():
    early = packed(np.delete(EVERYTHING, 105))
    merged = Packer(TABLE, "binance", "BTC-USDT-PERP")
    assert add_late(merged, early.blocks, EVERYTHING[105:106]) == 0
    changed = {b.checksum for b in merged.blocks} - {b.checksum for b in early.blocks}
    assert 1 <= len(changed) <= 2


@pytest.mark.parametrize("flaw", ["missing", "other", "order", "more"])
def test_what_reads_back_otherwise_is_refused(flaw):
    packer = packed(EVERYTHING[:40])
    stored = list(packer.blocks)
    if flaw == "missing":
        stored.pop()
    elif flaw == "order":
        stored.reverse()
    elif flaw == "more":
        stored.append(stored[-1])
    else:
        rows = unpack(stored[2])
        rows["side"][1] ^= 1
        stored[2] = blocks.pack(TableBatch(TABLE, "binance", "BTC-USDT-PERP", rows))
    with pytest.raises(StorageError, match=r"Expected 40 rows of order_book_deltas of binance:BTC"):
        verify(packer, stored)


def test_a_damaged_block_stops_a_merge():
    early = packed(EVERYTHING[:40])
    bad = dataclasses.replace(early.blocks[1], payload=early.blocks[1].payload[:-1])
    merged = Packer(TABLE, "binance", "BTC-USDT-PERP")
    with pytest.raises(StorageError, match="it is damaged"):
        add_late(merged, [early.blocks[0], bad, *early.blocks[2:]], EVERYTHING[41:42])

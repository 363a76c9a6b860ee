"""Columns of arrays: the levels of one side of a book, row after row.

The first column is the price: kept as steps from level to level. The others are amounts: one that
is what the same price last had, in whichever row that was, is one bit; only others are kept.
Books that follow each other share most of their levels, so most of their amounts vanish.
"""

import numpy as np
import numpy.typing as npt

from alphaplus.storage.archive.grid import Floats, from_whole, put_whole, take_grid
from alphaplus.storage.archive.integers import Integers, put_integers, take_integers
from alphaplus.storage.archive.streams import Sink, Source

Counts = npt.NDArray[np.int16]
Bools = npt.NDArray[np.bool_]


def put_levels(sink: Sink, columns: list[Floats], counts: Counts) -> None:
    """Append arrays (rows, width) that share their lengths `counts`; what lies past is not kept."""
    meant = _meant(columns[0].shape[1], counts)
    if not meant.any():
        return
    prices = put_whole(sink, columns[0][meant])
    best = _best(counts)
    put_integers(sink, prices[best])
    put_integers(sink, np.diff(prices)[~best[1:]])
    order, again = _by_price(prices)
    before = _before(order, again)
    for column in columns[1:]:
        amounts = put_whole(sink, column[meant])
        changed = before < 0
        known = ~changed
        changed[known] = amounts[known] != amounts[before[known]]
        sink.raw(np.packbits(changed[known]).tobytes())
        put_integers(sink, amounts[changed])


def take_levels(source: Source, number: int, width: int, counts: Counts) -> list[Floats]:
    """Read `number` columns (rows, width); past their lengths they are nan."""
    meant = _meant(width, counts)
    columns = [np.full(meant.shape, np.nan) for _ in range(number)]
    if not meant.any():
        return columns
    grid = take_grid(source)
    prices = _take_prices(source, counts)
    columns[0][meant] = from_whole(grid, prices)
    order, again = _by_price(prices)
    before = _before(order, again)
    for column in columns[1:]:
        grid = take_grid(source)
        changed = before < 0
        known = ~changed
        number_known = int(np.count_nonzero(known))
        packed = np.frombuffer(source.raw((number_known + 7) // 8), dtype=np.uint8)
        changed[known] = np.unpackbits(packed, count=number_known).view(np.bool_)
        amounts = np.zeros(len(prices), dtype=np.int64)
        amounts[changed] = take_integers(source, int(np.count_nonzero(changed)))
        # Of one price, in order of the rows, each amount holds until the next that is kept.
        by_price = changed[order]
        held = np.maximum.accumulate(np.where(by_price, np.arange(len(order)), 0))
        amounts[order] = amounts[order][held]
        column[meant] = from_whole(grid, amounts)
    return columns


def _take_prices(source: Source, counts: Counts) -> Integers:
    best = _best(counts)
    rows = int(np.count_nonzero(counts))
    first = take_integers(source, rows)
    steps = np.zeros(len(best), dtype=np.int64)
    steps[~best] = take_integers(source, len(best) - rows)
    climbed = np.cumsum(steps)
    return climbed + np.repeat(first - climbed[best], counts[counts > 0])


def _meant(width: int, counts: Counts) -> Bools:
    meant: Bools = np.arange(width) < counts[:, None]
    return meant


def _best(counts: Counts) -> Bools:
    """Return which of all levels in order is the first one of its row."""
    best = np.zeros(int(counts.sum(dtype=np.int64)), dtype=np.bool_)
    ends = np.cumsum(counts, dtype=np.int64)
    best[(ends - counts)[counts > 0]] = True
    return best


def _by_price(prices: Integers) -> tuple[npt.NDArray[np.int64], Bools]:
    """Return the order by price, then row, and which in that order have the price before them."""
    above = prices.view(np.uint64) - np.uint64(int(prices.min()) & 0xFFFFFFFFFFFFFFFF)
    # numpy sorts 16 bits by radix, which is several times as fast
    keys = above.astype(np.uint16) if int(above.max()) < 2**16 else above
    order = np.argsort(keys, kind="stable")
    sorted_prices = prices[order]
    again = np.zeros(len(prices), dtype=np.bool_)
    again[1:] = sorted_prices[1:] == sorted_prices[:-1]
    return order, again


def _before(order: npt.NDArray[np.int64], again: Bools) -> npt.NDArray[np.int64]:
    """Return where each level's price was last, -1 if it was not."""
    before = np.full(len(order), -1)
    before[order[1:][again[1:]]] = order[:-1][again[1:]]
    return before

"""Rows of events: how one is written, but for its times, which the whole frame shares."""

from alphaplus.feeds._kernels.layout import Record, Records
from alphaplus.feeds._kernels.words import Word
from alphaplus.jit import borrowing_kernel


@borrowing_kernel
def marks_of(kind: int, side: int, flags: int) -> int:
    return kind | (side & 255) << 8 | flags << 16


@borrowing_kernel
def write_row(event: Record, marks: int, tick: int, value: float, sequence: int) -> None:
    """Write a row but for its times."""
    event.marks = marks
    event.price_tick = tick
    event.value = value
    event.sequence = sequence


@borrowing_kernel
def put_row(
    events: Records, scan: Record, marks: int, tick: int, value: float, sequence: int
) -> None:
    """Write the next row but for its times."""
    write_row(events[Word(scan.row)], marks, tick, value, sequence)
    scan.row += 1

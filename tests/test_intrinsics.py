"""What the intrinsics do, inside a kernel."""

import numpy as np
import pytest

from alphaplus.intrinsics import lowest_bit, prefetch
from alphaplus.jit import borrowing_kernel


@borrowing_kernel
def _place(word: int) -> int:
    return lowest_bit(word)  # type: ignore[no-any-return]


@borrowing_kernel
def _sum_with_prefetch(values: object, ahead: int) -> int:
    total = 0
    for i in range(len(values)):  # type: ignore[arg-type]
        prefetch(values, np.uint64(i + ahead))
        total += values[i]  # type: ignore[index]
    return total


@pytest.mark.parametrize("place", range(64))
def test_lowest_bit_is_the_place_of_the_lowest_one(place: int) -> None:
    lowest = 1 << place
    for higher in (0, lowest << 1, -lowest << 1):
        word = int(np.uint64((lowest | higher) & (2**64 - 1)).view(np.int64))
        assert _place(word) == place


@pytest.mark.parametrize("ahead", [0, 1, 64, 10**12])
def test_prefetch_changes_nothing_wherever_it_points(ahead: int) -> None:
    values = np.arange(100)
    assert _sum_with_prefetch(values, ahead) == 4950
    assert values.tolist() == list(range(100))

"""Rows joined are the rows, in order."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alphaplus.events import EVENT, empty_events
from alphaplus.rows import join_rows


@given(st.lists(st.integers(0, 4), min_size=1, max_size=6))
def test_equals_concatenation(counts: list[int]) -> None:
    parts = []
    for number, count in enumerate(counts):
        part = empty_events(count)
        part["sequence"] = number
        part["value"] = number / 3
        parts.append(part)
    joined = join_rows(parts)
    assert joined.dtype == EVENT
    assert np.array_equal(joined, np.concatenate(parts))


def test_parts_with_gaps_between_their_rows_are_refused() -> None:
    with pytest.raises(TypeError):
        join_rows([empty_events(4)[::2], empty_events(1)])

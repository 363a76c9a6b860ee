"""A contender that keeps another book must not pass for one that keeps ours."""

from pathlib import Path

import pytest

from benchmarks.book.agreement import Agreement, compare
from benchmarks.book.contender import Record

TICK = 0.1
BIDS = [(100.0, 1.0), (99.9, 2.0), (99.0, 3.0)]
ASKS = [(100.1, 1.5), (100.4, 2.5)]


def found(
    tmp_path: Path, bids: list[tuple[float, float]], *, low: float = 0.0, messages: int = 2
) -> Agreement:
    """Compare a record that differs in its bids, after the last message only, with ours."""
    for name, last in (("ours", BIDS), ("theirs", bids)):
        record = Record(messages, low=low if name == "theirs" else 0.0)
        for number in range(messages):
            record.add(last if number == messages - 1 else BIDS, ASKS)
        record.finish(last, ASKS).save(tmp_path / f"{name}.npz")
    return compare(tmp_path / "ours.npz", tmp_path / "theirs.npz", TICK)


def test_equal_books_agree(tmp_path: Path) -> None:
    same = [(100.00000000000001, 1.0), (99.9, 2.0 + 1e-12), (99.0, 3.0)]
    agreement = found(tmp_path, same)
    assert agreement.agrees
    assert agreement.equal_tops == agreement.equal_top_20 == agreement.messages == 2
    assert agreement.levels == 5


@pytest.mark.parametrize(
    ("bids", "equal_tops", "different_levels"),
    [
        pytest.param([(100.0, 1.1), *BIDS[1:]], 1, 1, id="quantity at the touch"),
        pytest.param([(99.9, 2.0), BIDS[2]], 1, 1, id="no best level"),
        pytest.param([*BIDS[:2], (99.1, 3.0)], 2, 2, id="deep price"),
        pytest.param(BIDS[:2], 2, 1, id="deep level missing"),
        pytest.param([*BIDS, (98.0, 1.0)], 2, 1, id="a level too many"),
    ],
)
def test_a_difference_is_found(
    tmp_path: Path, bids: list[tuple[float, float]], equal_tops: int, different_levels: int
) -> None:
    agreement = found(tmp_path, bids)
    assert not agreement.agrees
    assert agreement.equal_tops == equal_tops
    assert agreement.equal_top_20 == 1
    assert agreement.different_levels == different_levels


def test_levels_outside_the_range_do_not_count_at_the_end(tmp_path: Path) -> None:
    agreement = found(tmp_path, BIDS[:2], low=99.5)
    assert agreement.different_levels == 0
    assert agreement.levels == 4

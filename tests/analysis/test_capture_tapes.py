"""The helper that cuts recordings into tapes loses and repeats nothing."""

from pathlib import Path

import numpy as np
import pytest

from tests.analysis.capture_tapes import capture_stream, capture_tapes, random_cuts


@pytest.mark.parametrize(
    ("market", "counts"), [("perp", (66_089, 21_313, 6_548)), ("spot", (28_040, 9_757, 3_450))]
)
def test_tapes_hold_the_recording_however_it_is_cut(
    data_dir: Path, market: str, counts: tuple[int, int, int]
) -> None:
    stream = capture_stream(data_dir, market)
    whole = stream.whole
    assert (len(whole.quotes), len(whole.trades), len(whole.best_levels)) == counts
    tapes = list(stream.tapes(random_cuts(7, 300, len(stream.events))))
    assert len(tapes) > 250
    for name in ("quotes", "trades", "best_levels"):
        joined = np.concatenate([getattr(tape, name) for tape in tapes])
        assert np.array_equal(joined, getattr(whole, name))
    times = [tape.ts_event for tape in tapes]
    assert times == sorted(times)
    assert times[-1] == whole.ts_event


def test_tapes_are_bounded_by_events(data_dir: Path) -> None:
    tapes = list(capture_tapes(data_dir, "spot", max_events=50_000))
    assert len(tapes) == 4
    assert sum(len(tape.trades) for tape in tapes) == 9_757

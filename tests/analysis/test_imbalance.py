"""Imbalance of the best levels against its plain twin, published cases, and any cut."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alphaplus.analysis.imbalance import Imbalance, imbalance, imbalance_of_levels, imbalances
from alphaplus.analysis.tape import Tape
from alphaplus.book.best_levels import BEST_COUNT, BEST_LEVELS, BestLevelsArray
from alphaplus.errors import ConfigError
from alphaplus.instruments import Instrument
from tests.analysis import shape_twins as twins
from tests.analysis.capture_tapes import capture_stream, capture_tapes, random_cuts
from tests.analysis.shape_books import LINEAR, UNIT, Ladder, ladders, mirrored, times

COUNTS = (1, 5, 10, 20)


def rows_of(*books: tuple[Ladder, Ladder]) -> BestLevelsArray:
    rows = np.zeros(len(books), dtype=BEST_LEVELS)
    for row, sides in zip(rows, books, strict=True):
        for name, side in zip(("bid", "ask"), sides, strict=True):
            for i, (tick, quantity) in enumerate(side[:BEST_COUNT]):
                row[f"{name}_tick"][i], row[f"{name}_quantity"][i] = tick, quantity
    return rows


def measured(*books: tuple[Ladder, Ladder], instrument: Instrument = LINEAR) -> Imbalance:
    measure = Imbalance(instrument)
    measure.update(Tape.of(best_levels=rows_of(*books)))
    return measure


@given(books=st.lists(ladders(), min_size=1, max_size=4))
@settings(max_examples=100)
def test_equals_the_plain_twin(books: list[tuple[Ladder, Ladder]]) -> None:
    found = imbalances(rows_of(*books), COUNTS)
    for row, book in zip(found, books, strict=True):
        for k, value in zip(COUNTS, row, strict=True):
            exact = float(twins.imbalance(*book, k))
            assert value == pytest.approx(exact, rel=1e-12, abs=1e-12)
            bids, asks = (np.array([quantity for _, quantity in side]) for side in book)
            assert imbalance_of_levels(bids, asks, k) == pytest.approx(exact, rel=1e-12, abs=1e-12)
    latest = list(measured(*books).values().values())
    assert latest == found[-1].tolist()


def test_published_cases(data_dir: Path) -> None:
    cases = json.loads((data_dir / "analysis/book_metrics_orderbook_rs.json").read_text())["cases"]
    checked = 0
    for case in cases:
        for k, value in case.get("imbalance", {}).items():
            measure = Imbalance(UNIT, counts=[int(k)])
            measure.update(Tape.of(best_levels=rows_of((case["bids"], case["asks"]))))
            found = measure.values()[f"imbalance_{k}"]
            if case["bids"] and case["asks"]:
                assert found == pytest.approx(value, rel=1e-12)
            else:  # the source prints 0 for what is unknown
                assert (found, value) == (None, 0.0)
            checked += 1
    assert checked == 7


@given(book=ladders(), size=st.floats(0.001, 1e3), k=st.sampled_from(COUNTS))
@settings(max_examples=60)
def test_more_bids_never_lower_and_more_asks_never_raise(
    book: tuple[Ladder, Ladder], size: float, k: int
) -> None:
    def value(bids: Ladder, asks: Ladder) -> float:
        found = measured((bids, asks)).values()[f"imbalance_{k}"]
        assert isinstance(found, float)
        assert -1 <= found <= 1
        return found

    bids, asks = book
    before = value(bids, asks)
    assert value([(bids[0][0], bids[0][1] + size), *bids[1:]], asks) >= before
    assert value(bids, [(asks[0][0], asks[0][1] + size), *asks[1:]]) <= before


@given(book=ladders(lowest=10_000), power=st.integers(-3, 6))
@settings(max_examples=40)
def test_mirror_flips_the_sign_and_scale_changes_nothing(
    book: tuple[Ladder, Ladder], power: int
) -> None:
    before = measured(book).values()
    flipped = measured(mirrored(*book)).values()
    assert flipped == {name: -value for name, value in before.items()}
    assert measured(tuple(times(side, 2.0**power) for side in book)).values() == before  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("bids", "asks"),
    [
        ([], []),
        ([(100, 1.0)], []),
        ([], [(100, 1.0)]),
        ([(100, 1.0)], [(100, 1.0)]),
        ([(101, 1.0)], [(100, 1.0)]),
    ],
)
def test_book_without_two_uncrossed_sides_has_none(bids: Ladder, asks: Ladder) -> None:
    measure = measured(([(1, 1.0)], [(2, 1.0)]), (bids, asks))
    assert set(measure.values().values()) == {None}
    assert measure.missing() == {}
    quantities = [np.array([q for _, q in side]) for side in (bids, asks)]
    if not (bids and asks):
        assert imbalance_of_levels(*quantities, 5) is None


def test_interruption_forgets_the_book() -> None:
    measure = measured(([(1, 3.0)], [(2, 1.0)]))
    assert measure.values()["imbalance_1"] == imbalance(3.0, 1.0) == 0.5
    measure.update(Tape.of(ts_event=9))
    assert measure.values()["imbalance_1"] == 0.5
    measure.interrupt()
    assert set(measure.values().values()) == {None}
    assert measure.missing() == dict.fromkeys(measure.values(), "a message of the book")


@pytest.mark.parametrize("wrong", [0, 21, 2.5])
def test_wrong_number_of_levels_is_refused(wrong: int) -> None:
    with pytest.raises(ConfigError, match="Expected counts as a whole number"):
        Imbalance(LINEAR, counts=(1, wrong))


@pytest.mark.parametrize("seed", [1, 2])
def test_cut_of_the_stream_does_not_matter(data_dir: Path, seed: int) -> None:
    stream = capture_stream(data_dir, "perp")
    cuts = random_cuts(seed, 300, len(stream.events))
    pieces, whole = Imbalance(stream.instrument), Imbalance(stream.instrument)
    for tape in stream.tapes(cuts):
        pieces.update(tape)
    for tape in capture_tapes(data_dir, "perp"):
        whole.update(tape)
    assert pieces.values() == whole.values()
    assert None not in whole.values().values()

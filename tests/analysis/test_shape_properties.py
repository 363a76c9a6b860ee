"""What holds for every measure of the book's shape, whatever messages made the book."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alphaplus.analysis.book_levels import BookLevels
from alphaplus.analysis.book_slope import BookSlope
from alphaplus.analysis.cost import CostToFill, NotionalWithinSlippage
from alphaplus.analysis.depth import DepthBands
from alphaplus.analysis.distance_weighted_imbalance import DistanceWeightedImbalance
from alphaplus.analysis.imbalance import Imbalance
from alphaplus.analysis.liquidity_score import LiquidityScore
from alphaplus.analysis.measure import Measure
from alphaplus.analysis.static_pressure import StaticPressure
from alphaplus.analysis.tape import Tape
from alphaplus.book import L2Book
from alphaplus.book.best_levels import BEST_LEVELS
from alphaplus.events import Side
from alphaplus.instruments import Instrument
from tests.analysis.shape_books import (
    INSTRUMENTS,
    LINEAR,
    SIZES,
    Ladder,
    l2_book,
    ladders,
    updates_of,
)
from tests.book.events import Level, message

FAMILY: list[type[Any]] = [
    BookSlope,
    CostToFill,
    DepthBands,
    DistanceWeightedImbalance,
    LiquidityScore,
    NotionalWithinSlippage,
    StaticPressure,
]


def every_value(book: L2Book) -> dict[str, Any]:
    """The values of all measures of a book, by the name of the measure."""
    levels = BookLevels.of(book)
    found = {}
    for kind in FAMILY:
        measure: Measure = kind(book.instrument)
        if levels is not None:
            measure.observe(levels)
        found[measure.name] = measure.values()
    return found


@given(instrument=INSTRUMENTS, ladder=ladders(), away=st.integers(1, 300), size=SIZES)
@settings(max_examples=60)
def test_inserting_and_deleting_a_level_restores_every_value(
    instrument: Instrument, ladder: tuple[Ladder, Ladder], away: int, size: float
) -> None:
    book = l2_book(instrument, *ladder)
    before = every_value(book)
    tick = ladder[0][0][0] - away
    if tick <= 0 or tick in dict(ladder[0]):
        return
    book.apply(message([(Side.BID, tick, size)], sequence=6))
    changed = BookLevels.of(book)
    assert changed is not None
    assert tick in changed.bids.ticks
    book.apply(message([(Side.BID, tick, 0.0)], sequence=7))
    assert every_value(book) == before


@given(ladder=ladders(), other=ladders(), random=st.randoms(use_true_random=False))
@settings(max_examples=60)
def test_order_and_grouping_of_updates_change_nothing(
    ladder: tuple[Ladder, Ladder], other: tuple[Ladder, Ladder], random: Any
) -> None:
    updates: list[Level] = updates_of(*other)
    shuffled = list(updates)
    random.shuffle(shuffled)
    cuts = [updates], [shuffled], [[update] for update in shuffled]
    found = []
    for messages in cuts:
        book = l2_book(LINEAR, *ladder)
        imbalances = Imbalance(LINEAR)
        for number, levels in enumerate(messages):
            best = np.zeros(1, dtype=BEST_LEVELS)
            assert len(book.apply(message(levels, sequence=6 + number), best)) == 1
            imbalances.update(Tape.of(best_levels=best))
        found.append(every_value(book) | {imbalances.name: imbalances.values()})
    assert found[0] == found[1] == found[2]


@given(instrument=INSTRUMENTS, ladder=ladders())
@settings(max_examples=60)
def test_values_are_plain_and_what_is_missing_is_none(
    instrument: Instrument, ladder: tuple[Ladder, Ladder]
) -> None:
    levels = BookLevels.of(l2_book(instrument, *ladder))
    assert levels is not None
    for kind in FAMILY:
        measure: Measure = kind(instrument)
        for _ in range(2):
            values = measure.values()
            assert json.loads(json.dumps(values, allow_nan=False)) == values
            for name, phrase in measure.missing().items():
                assert values[name] is None
                assert phrase
            measure.observe(levels)


@pytest.mark.parametrize("kind", FAMILY)
def test_looking_at_a_book_again_changes_nothing(kind: type[Any]) -> None:
    book = l2_book(LINEAR, [(19_990 - i, 1.0 + i) for i in range(50)], [(20_000, 300.0)])
    levels = BookLevels.of(book)
    assert levels is not None
    measure: Measure = kind(LINEAR)
    measure.observe(levels)
    first = measure.values()
    measure.observe(levels)
    assert measure.values() == first
    assert kind.look is Measure.look  # it depends on the last book alone
    measure.interrupt()
    assert set(measure.values().values()) == {None}

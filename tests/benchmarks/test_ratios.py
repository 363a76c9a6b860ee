"""The claims and their targets."""

import pytest

from benchmarks.book.contenders.registry import CONTENDERS, OURS
from benchmarks.book.ratios import claims
from benchmarks.book.rounds import Result
from benchmarks.book.tasks import Task


def result(rates: dict[Task, float], *, agrees: bool = True, kb: float | None = None) -> Result:
    return Result(
        version="1",
        python="3.13",
        interpreter="python",
        messages_per_s={task: rates.get(task) for task in Task},
        agrees=agrees,
        resident_kb_per_book=kb,
    )


def test_ratio_is_against_the_fastest_that_keeps_the_book() -> None:
    results = {
        OURS: result({Task.BYTES_TOP_20: 300.0}),
        "ccxt": result({Task.BYTES_TOP_20: 10.0}),
        "sortedcontainers": result({Task.BYTES_TOP_20: 20.0}),
        "order_book": result({Task.BYTES_TOP_20: 100.0}, agrees=False),
    }
    found = claims(results)
    assert found["bytes_top_20_vs_ccxt"].value == pytest.approx(30)
    assert found["bytes_top_20_vs_ccxt"].reached is False
    best = found["bytes_top_20_vs_best_peer"]
    assert (best.value, best.against, best.reached) == (15.0, "sortedcontainers", True)


def test_absent_figures_claim_nothing() -> None:
    for name, claim in claims({}).items():
        assert claim.value is None, name
        assert claim.reached is None, name


def test_memory_and_time_must_stay_below_their_targets() -> None:
    ours = result({Task.BYTES_MEASURES_ALL: 50_000.0}, kb=151.0)
    found = claims({OURS: ours}, 94_000)
    assert found["kb_per_book"].reached is False
    assert found["recording_to_measures_s"].value == pytest.approx(1.88)
    ours.resident_kb_per_book = 149.0
    assert claims({OURS: ours}, 40_000)["kb_per_book"].reached is True
    assert claims({OURS: ours}, 40_000)["recording_to_measures_s"].reached is True


def test_memory_is_the_larger_of_two_figures() -> None:
    ours = result({}, kb=60.0)
    ours.allocated_kb_per_book = 76.0
    assert ours.kb_per_book == 76.0


def test_every_peer_of_a_claim_is_a_contender() -> None:
    results = {name: result(dict.fromkeys(Task, 1.0), kb=1.0) for name in CONTENDERS}
    for name, claim in claims(results, 1).items():
        assert claim.value is not None, name

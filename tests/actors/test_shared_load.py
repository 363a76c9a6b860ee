"""What symbols of one process cost: all together what it does, each by what was done for it."""

from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.shared_load import SharedLoad


class Process:
    """A process whose load is what the test says."""

    def __init__(self) -> None:
        self.cpu_s = 0.0
        self.memory_bytes: int | None = 300

    def read(self) -> dict[str, Any]:
        return {"pid": 7, "cpu_s": self.cpu_s, "memory_bytes": self.memory_bytes}


@dataclass(eq=False)
class Worker:
    worked_ns: int = 0
    told: list[float] = field(default_factory=list)


def share(load: SharedLoad, *workers: Worker) -> list[dict[str, Any]]:
    return [told for _, told in load.shared(workers)]


def test_processor_time_goes_by_work_and_memory_in_equal_parts() -> None:
    process = Process()
    load = SharedLoad(process)  # type: ignore[arg-type]
    busy, calm = Worker(900), Worker(100)
    process.cpu_s = 10.0
    assert share(load, busy, calm) == [
        {"pid": 7, "cpu_s": pytest.approx(9.0), "memory_bytes": 150, "memory_ratio": None},
        {"pid": 7, "cpu_s": pytest.approx(1.0), "memory_bytes": 150, "memory_ratio": None},
    ]
    calm.worked_ns += 50
    process.cpu_s = 12.0
    assert [told["cpu_s"] for told in share(load, busy, calm)] == pytest.approx([9.0, 3.0])


def test_a_process_in_which_nobody_works_is_shared_equally() -> None:
    process = Process()
    load = SharedLoad(process)  # type: ignore[arg-type]
    process.cpu_s = 4.0
    assert [told["cpu_s"] for told in share(load, Worker(), Worker())] == [2.0, 2.0]


def test_memory_that_is_not_told_is_unknown_for_all() -> None:
    process = Process()
    process.memory_bytes = None
    found = share(SharedLoad(process), Worker(), Worker())  # type: ignore[arg-type]
    assert [told["memory_bytes"] for told in found] == [None, None]


def test_each_tells_what_part_of_the_memory_that_was_asked_for_is_taken_in_all() -> None:
    process = Process()
    load = SharedLoad(process, asked_bytes=120)  # type: ignore[arg-type]
    assert [told["memory_ratio"] for told in share(load, Worker(), Worker())] == [2.5, 2.5]
    process.memory_bytes = None
    assert [told["memory_ratio"] for told in share(load, Worker())] == [None]


def test_with_nobody_there_nothing_is_told_and_nothing_is_lost() -> None:
    process = Process()
    load = SharedLoad(process)  # type: ignore[arg-type]
    process.cpu_s = 3.0
    assert share(load) == []
    assert [told["cpu_s"] for told in share(load, Worker())] == [3.0]


@given(
    st.lists(
        st.tuples(
            st.floats(0, 10),
            st.dictionaries(st.integers(0, 4), st.integers(0, 10**9), min_size=1),
        ),
        max_size=20,
    )
)
def test_all_together_cost_what_the_process_does_whoever_comes_and_goes(
    rounds: list[tuple[float, dict[int, int]]],
) -> None:
    """In each round the process has worked, and so have those that are there."""
    process = Process()
    load = SharedLoad(process)  # type: ignore[arg-type]
    everyone = [Worker() for _ in range(5)]
    for cpu_s, worked in rounds:
        process.cpu_s += cpu_s
        present = [everyone[number] for number in worked]
        for number, ns in worked.items():
            everyone[number].worked_ns += ns
        for worker, told in load.shared(present):
            worker.told.append(told["cpu_s"])
    assert sum(worker.told[-1] for worker in everyone if worker.told) == pytest.approx(
        process.cpu_s
    )
    for worker in everyone:
        assert all(later >= earlier for earlier, later in pairwise(worker.told))

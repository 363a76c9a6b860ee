"""Run all contenders on one recording: a process each, tasks and contenders interleaved."""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from benchmarks.book.agreement import Agreement, compare
from benchmarks.book.contenders.registry import OURS
from benchmarks.book.tasks import EACH, Task

REPOSITORY: Final = Path(__file__).resolve().parents[2]
EXTRA: Final = "bench"


class ContenderFailed(Exception):
    """A contender that is there, but whose process ended or answered with an error."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What to measure, and how long: `min_seconds` for each figure in each round."""

    folder: Path
    tick_size: str
    contenders: Sequence[str]
    tasks: Sequence[Task]
    interpreters: Sequence[str]
    """Where peers are looked for, in this order: ours first, as the same book may well be
    faster or slower in another version of Python."""
    rounds: int
    min_seconds: float
    clock: str
    books: int
    """Books that are built for the memory of one; 0 for none."""
    starts: int
    """Times that a contender is started; 0 for none."""
    cold: bool
    """Whether it is also started with an empty cache of compiled kernels."""


@dataclass(kw_only=True)
class Result:
    """What one contender came to."""

    version: str
    python: str
    interpreter: str
    uses: str = ""
    batches: bool = True
    """Whether it has calls for many messages; if not, a rate with one a call is the same."""
    messages_per_s: dict[str, float | None] = field(default_factory=dict)
    spread: dict[str, float | None] = field(default_factory=dict)
    """(fastest - slowest) / median of the rounds."""
    resident_kb_per_book: float | None = None
    allocated_kb_per_book: float | None = None
    startup_s: float | None = None
    cold_startup_s: float | None = None
    agrees: bool | None = None
    agreement: Agreement | None = None

    @property
    def kb_per_book(self) -> float | None:
        """The larger of what the system saw and what the book says."""
        figures = (self.resident_kb_per_book, self.allocated_kb_per_book)
        return max((figure for figure in figures if figure is not None), default=None)

    def as_dict(self) -> dict[str, Any]:
        """Return plain values; times and rates to four digits."""
        return asdict(self) | {"kb_per_book": self.kb_per_book}


@dataclass(kw_only=True)
class Outcome:
    """The results of all contenders, and why others have none."""

    results: dict[str, Result] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    frames_of_all: int | None = None
    """Frames in the task that takes all of them."""


class Process:
    """A worker process and its conversation."""

    def __init__(
        self, name: str, folder: Path, interpreter: str, cache: Path | None = None
    ) -> None:
        self.name = name
        self.interpreter = interpreter
        environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
        if cache is not None:
            environment["NUMBA_CACHE_DIR"] = str(cache)
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed with the process
        self._process = subprocess.Popen(
            [interpreter, "-m", "benchmarks.book.worker", name, str(folder)],
            cwd=REPOSITORY,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
        )

    def ask(self, do: str, **arguments: Any) -> dict[str, Any]:
        """Return the answer to a command; raises ContenderFailed if there is none."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps({"do": do, **arguments}) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise ContenderFailed(f"its process ended: {self._last_error()}")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise ContenderFailed(answer["error"])
        return answer

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let the process end, and wait for it."""
        self._process.communicate()
        self._errors.close()

    def _last_error(self) -> str:
        self._process.wait()
        self._errors.seek(0)
        lines = self._errors.read().strip().splitlines()
        return lines[-1] if lines else f"exit status {self._process.returncode}"


def run(plan: Plan) -> Outcome:
    """Measure every contender that is there."""
    outcome = Outcome()
    with ExitStack() as stack:
        live = {
            name: stack.enter_context(process)
            for name in plan.contenders
            if (process := _find(name, plan, outcome)) is not None
        }
        for name in list(live):
            with _failing(name, live, outcome):
                answer = live[name].ask("start")
                outcome.results[name].uses = answer["uses"]
                outcome.results[name].batches = answer["batches"]
        _compare_all(plan, live, outcome)
        _rates(plan, live, outcome)
    for name, result in list(outcome.results.items()):
        with _failing(name, live, outcome):
            _measure_process(plan, name, result)
    return outcome


def _find(name: str, plan: Plan, outcome: Outcome) -> Process | None:
    """Start a contender in the first interpreter that has it."""
    for interpreter in [sys.executable] if name == OURS else plan.interpreters:
        process = Process(name, plan.folder, interpreter)
        try:
            answer = process.ask("hello")
        except ContenderFailed as error:
            process.close()
            outcome.skipped[name] = f"{interpreter} could not run it: {error}"
            continue
        if "missing" not in answer:
            outcome.skipped.pop(name, None)
            outcome.results[name] = Result(interpreter=interpreter, **answer)
            return process
        process.close()
        outcome.skipped.setdefault(
            name,
            f"{answer['missing']} is not installed: pip install 'alphaplus[{EXTRA}]', or where "
            "that leaves it out, do as benchmarks/book/peers.txt says",
        )
    return None


@contextmanager
def _failing(name: str, live: dict[str, Process], outcome: Outcome) -> Iterator[None]:
    """Set a contender aside that fails, and say why."""
    try:
        yield
    except ContenderFailed as error:
        outcome.results.pop(name, None)
        live.pop(name, None)
        outcome.skipped[name] = f"failed: {error}"


def _compare_all(plan: Plan, live: dict[str, Process], outcome: Outcome) -> None:
    """Let each contender write down its book, and compare it with ours."""
    for name in list(live):
        with _failing(name, live, outcome):
            live[name].ask("record", path=str(plan.folder / f"{name}.npz"))
    if OURS not in live:
        return
    for name in live:
        found = compare(
            plan.folder / f"{OURS}.npz", plan.folder / f"{name}.npz", float(plan.tick_size)
        )
        outcome.results[name].agreement = found
        outcome.results[name].agrees = found.agrees


def _rates(plan: Plan, live: dict[str, Process], outcome: Outcome) -> None:
    figures: dict[str, dict[Task, list[float]]] = {
        name: {task: [] for task in plan.tasks} for name in live
    }
    for _ in range(plan.rounds):
        for task in plan.tasks:
            for name in list(live):
                if task in EACH and not outcome.results[name].batches:
                    continue
                with _failing(name, live, outcome):
                    answer = live[name].ask("rate", task=task, min_seconds=plan.min_seconds)
                    if answer["messages"]:
                        if task is Task.BYTES_MEASURES_ALL:
                            outcome.frames_of_all = answer["messages"] // answer["runs"]
                        seconds = max(answer[plan.clock], 1e-9)
                        figures[name][task].append(answer["messages"] / seconds)
    for name in live:
        result = outcome.results[name]
        for task, rates in figures[name].items():
            median = statistics.median(rates) if rates else None
            result.messages_per_s[task] = median
            result.spread[task] = (max(rates) - min(rates)) / median if median else None
        if not result.batches:
            for task in EACH.keys() & set(plan.tasks):
                result.messages_per_s[task] = result.messages_per_s.get(EACH[task])
                result.spread[task] = result.spread.get(EACH[task])


def _measure_process(plan: Plan, name: str, result: Result) -> None:
    """Measure memory and start in processes that have done nothing else."""
    if plan.books:
        with Process(name, plan.folder, result.interpreter) as process:
            answer = process.ask("memory", books=plan.books)
        result.resident_kb_per_book = answer["resident_kb"]
        result.allocated_kb_per_book = answer["allocated_kb"]
    if plan.starts:
        times = [_startup_s(plan, name, result) for _ in range(plan.starts)]
        result.startup_s = statistics.median(times)
        if plan.cold:
            with tempfile.TemporaryDirectory() as cache:
                result.cold_startup_s = _startup_s(plan, name, result, Path(cache))


def _startup_s(plan: Plan, name: str, result: Result, cache: Path | None = None) -> float:
    """Return the seconds from starting the interpreter to a book with its start applied."""
    begin = time.perf_counter()
    with Process(name, plan.folder, result.interpreter, cache) as process:
        process.ask("start")
        return time.perf_counter() - begin

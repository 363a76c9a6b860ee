"""One contender in a process of its own: `python -m benchmarks.book.worker NAME FOLDER`.

Reads commands from its input and answers each with one line, both JSON. It needs nothing of
AlphaPlus, so it runs in any interpreter that has the contender's library.
"""

import gc
import importlib.metadata
import json
import os
import platform
import resource
import sys
import time
from typing import Any, TextIO

from benchmarks.book.contender import Contender
from benchmarks.book.contenders.registry import CONTENDERS
from benchmarks.book.inputs import Inputs
from benchmarks.book.tasks import Task


class Worker:
    """Does what the commands say; their names are those of its methods."""

    def __init__(self, name: str, folder: str) -> None:
        self._entry = CONTENDERS[name]
        self._inputs = Inputs(folder)
        self._made: Contender | None = None
        self._warm: set[Task] = set()

    @property
    def _contender(self) -> Contender:
        if self._made is None:
            self._made = self._entry.load()(self._inputs)
        return self._made

    def hello(self) -> dict[str, Any]:
        """Say which version of the library is here, or that it is missing."""
        versions = []
        for distribution in self._entry.distributions:
            try:
                versions.append(importlib.metadata.version(distribution))
            except importlib.metadata.PackageNotFoundError:
                return {"missing": distribution}
        return {"version": versions[0], "python": platform.python_version()}

    def start(self) -> dict[str, Any]:
        """Show life: the library imported, one book with the start applied."""
        self._contender.start()
        return {"uses": self._contender.uses, "batches": self._contender.batches}

    def rate(self, task: str, min_seconds: float) -> dict[str, Any]:
        """Do a task again and again for so long; return its messages and seconds."""
        chosen, contender = Task(task), self._contender
        if contender.compiles and chosen not in self._warm:
            first = contender.prepare(chosen)
            if first is not None:
                first.call()
            self._warm.add(chosen)
        messages, runs, wall, cpu = 0, 0, 0.0, 0.0
        while wall < min_seconds or not messages:
            run = contender.prepare(chosen)
            if run is None:
                return {"messages": 0, "runs": 0, "wall": 0.0, "cpu": 0.0}
            # Prebuilt inputs are many objects, which the collector should not walk again
            # and again on account of a benchmark.
            gc.collect()
            gc.freeze()
            wall_begin, cpu_begin = time.perf_counter(), time.process_time()
            run.call()
            wall += time.perf_counter() - wall_begin
            cpu += time.process_time() - cpu_begin
            messages += run.messages
            runs += 1
            del run
            gc.unfreeze()
        return {"messages": messages, "runs": runs, "wall": wall, "cpu": cpu}

    def record(self, path: str) -> dict[str, Any]:
        """Write down what the book said."""
        self._contender.record().save(path)
        return {}

    def memory(self, books: int) -> dict[str, Any]:
        """Return the memory of one book of a thousand levels a side, KB (1000 bytes)."""
        kept = [self._contender.new_book() for _ in range(2)]
        gc.collect()
        before = _resident_bytes()
        kept += [self._contender.new_book() for _ in range(books)]
        gc.collect()
        resident = (_resident_bytes() - before) / books
        allocated = self._contender.allocated_bytes(kept[-1])
        return {
            "resident_kb": resident / 1000,
            "allocated_kb": None if allocated is None else allocated / 1000,
        }


def _resident_bytes() -> float:
    try:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except FileNotFoundError:  # no Linux: the peak does as well, as memory only grows here
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return float(peak if sys.platform == "darwin" else peak * 1024)


def serve(worker: Worker, commands: TextIO, answers: TextIO) -> None:
    """Answer each command with its result, or with what went wrong."""
    for line in commands:
        command = json.loads(line)
        try:
            answer = getattr(worker, command.pop("do"))(**command)
        except Exception as error:  # the one boundary: the other process reports it
            answer = {"error": f"{type(error).__name__}: {error}"}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def main() -> None:
    """Serve on the standard streams; what a library prints goes to the error stream."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    serve(Worker(*sys.argv[1:3]), sys.stdin, answers)


if __name__ == "__main__":
    main()

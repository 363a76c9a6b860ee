"""What each symbol of an actor costs, where several share its process.

Processor time goes to the symbols as the receiving thread has worked for them, memory in equal
parts; all together they cost what the process does.
"""

from collections.abc import Collection, Iterator
from typing import Any, Protocol, TypeVar
from weakref import WeakKeyDictionary

from actors.process_load import ProcessLoad


class Worker(Protocol):
    """Who shares a process."""

    @property
    def worked_ns(self) -> int:
        """How long it has worked so far."""


Sharer = TypeVar("Sharer", bound=Worker)


class SharedLoad:
    """The load of this process, divided."""

    def __init__(
        self, process: ProcessLoad | None = None, *, asked_bytes: int | None = None
    ) -> None:
        """`asked_bytes` is the memory that the process is meant to take at most."""
        self._process = process or ProcessLoad()
        self._asked_bytes = asked_bytes
        self._told_cpu_s = 0.0
        self._cpu_s: WeakKeyDictionary[Any, float] = WeakKeyDictionary()
        self._worked: WeakKeyDictionary[Any, int] = WeakKeyDictionary()

    def shared(self, workers: Collection[Sharer]) -> Iterator[tuple[Sharer, dict[str, Any]]]:
        """Yield what each costs: `pid`, `cpu_s` and `memory_bytes`, as `ProcessLoad.read`.

        `cpu_s` is a total that grows. What a worker that has left did cost stays with it.
        `memory_ratio` is the memory of the whole process, as a part of what it asked for.
        """
        if not workers:
            return
        load = self._process.read()
        grown, self._told_cpu_s = load["cpu_s"] - self._told_cpu_s, load["cpu_s"]
        worked = {each: each.worked_ns - self._worked.get(each, 0) for each in workers}
        total = sum(worked.values())
        memory, asked = load["memory_bytes"], self._asked_bytes
        ratio = None if memory is None or asked is None else memory / asked
        for each, ns in worked.items():
            part = ns / total if total else 1 / len(worked)
            self._worked[each] = each.worked_ns
            self._cpu_s[each] = self._cpu_s.get(each, 0.0) + grown * part
            yield (
                each,
                {
                    "pid": load["pid"],
                    "cpu_s": self._cpu_s[each],
                    "memory_bytes": None if memory is None else memory // len(worked),
                    "memory_ratio": ratio,
                },
            )

"""Looks at cluster and fleet twice a second: how many nodes, where each symbol is, is it fresh?"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import ray
from ray.exceptions import RayError

from actors import names
from benchmarks.autoscale.cluster import AutoscaledCluster

LOOK_EVERY_S: Final = 0.5
ANSWER_S: Final = 2.0


@dataclass(frozen=True, slots=True)
class Look:
    """What was seen at one moment."""

    at_s: float
    """Since the beginning."""
    workers: frozenset[str]
    places: dict[str, str] = field(default_factory=dict)
    """Node of every symbol's actor that answered."""
    fresh: frozenset[str] = frozenset()
    """Symbols whose actor says that its book is fresh."""
    stale: frozenset[str] = frozenset()
    """Symbols whose actor says that it is not; the others were away, or silent."""


class Timeline:
    """Looks in a thread of its own, at the symbols that it is told to."""

    def __init__(self, cluster: AutoscaledCluster) -> None:
        self.looks: list[Look] = []
        self._cluster = cluster
        self._began = time.monotonic()
        self._symbols: tuple[str, ...] = ()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="timeline", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def watch(self, symbols: tuple[str, ...]) -> None:
        """Look at these symbols from now on."""
        self._symbols = symbols

    def stop(self) -> None:
        """End."""
        self._over.set()
        self._thread.join()

    def until(self, condition: Callable[[Look], bool], timeout_s: float, what: str) -> Look:
        """Wait for a look of which `condition` holds, and return it.

        Raises TimeoutError, which says what did not come.
        """
        began, known = time.monotonic(), len(self.looks)
        while time.monotonic() < began + timeout_s:
            for look in self.looks[known:]:
                known += 1
                if condition(look):
                    return look
            time.sleep(0.05)
        last = self.looks[-1] if self.looks else None
        raise TimeoutError(f"{what} did not come within {timeout_s:g} s; last: {last}")

    def nodes_over_time(self) -> list[dict[str, Any]]:
        """Return the number of workers, of placed and of fresh symbols, whenever one changes."""
        found: list[dict[str, Any]] = []
        for look in self.looks:
            row = {
                "workers": len(look.workers),
                "placed": len(look.places),
                "fresh": len(look.fresh),
            }
            if not found or row != {name: found[-1][name] for name in row}:
                found.append({"at_s": round(look.at_s, 1), **row})
        return found

    def longest_stale_s(self, symbols: frozenset[str], since_s: float) -> float:
        """Return for how long at most one of `symbols` said it was stale, from a moment on."""
        worst = 0.0
        for symbol in symbols:
            begun: float | None = None
            for look in self.looks:
                if look.at_s < since_s:
                    continue
                if symbol not in look.stale:
                    begun = None
                else:
                    begun = look.at_s if begun is None else begun
                    worst = max(worst, look.at_s - begun + LOOK_EVERY_S)
        return round(worst, 1)

    @property
    def now_s(self) -> float:
        """Seconds since the beginning."""
        return time.monotonic() - self._began

    def _run(self) -> None:
        while not self._over.wait(LOOK_EVERY_S):
            symbols, at_s = self._symbols, self.now_s
            workers = frozenset(self._cluster.workers())
            endpoints = _answers(symbols, "ready")
            summaries = _answers(symbols, "summary")
            self.looks.append(
                Look(
                    at_s=at_s,
                    workers=workers,
                    places={symbol: found.node for symbol, found in endpoints.items()},
                    fresh=frozenset(s for s, found in summaries.items() if not found["stale"]),
                    stale=frozenset(s for s, found in summaries.items() if found["stale"]),
                )
            )


def _answers(symbols: tuple[str, ...], method: str) -> dict[str, Any]:
    """Ask the actors of symbols; who is away, or starting, or silent is left out."""
    asked: dict[str, Any] = {}
    for symbol in symbols:
        try:
            asked[symbol] = getattr(names.symbol(symbol), method).remote()
        except (LookupError, RayError):
            continue
    if asked:
        ray.wait(list(asked.values()), num_returns=len(asked), timeout=ANSWER_S)
    found: dict[str, Any] = {}
    for symbol, answer in asked.items():
        try:
            found[symbol] = ray.get(answer, timeout=0)
        except RayError:  # a time-out as well
            continue
    return found

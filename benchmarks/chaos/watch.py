"""Looks at every symbol's own actor four times a second: is its book fresh?"""

import threading
import time
from collections.abc import Sequence
from typing import Any, Final

import ray
from ray.exceptions import RayError

from actors import names
from benchmarks.chaos.freshness import Freshness

LOOK_EVERY_S: Final = 0.25
ANSWER_S: Final = 1.0
"""Who has not answered by then is not fresh."""


class Watch:
    """Looks in a thread of its own; `pause` while Ray itself is down: then nobody is fresh."""

    def __init__(self, symbols: Sequence[str]) -> None:
        self._symbols = tuple(symbols)
        self._freshness = Freshness()
        self._lock = threading.Lock()
        self._handles: dict[str, Any] = {}
        self._ended = threading.Event()
        self._paused = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)
        self.reasons: dict[str, str] = {}
        """Why each symbol was last not fresh."""

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self) -> Freshness:
        """End, and return what was seen."""
        self._ended.set()
        self._thread.join(10)
        self._freshness.close(time.monotonic())
        return self._freshness

    def pause(self) -> None:
        """Ask nobody from now on."""
        self._paused.set()
        with self._lock:
            self._handles.clear()

    def resume(self) -> None:
        """Ask again."""
        self._paused.clear()

    def all_fresh(self) -> bool:
        """Say whether everybody was fresh at the last look."""
        with self._lock:
            return self._freshness.all_fresh()

    def _run(self) -> None:
        while not self._ended.wait(LOOK_EVERY_S):
            with self._lock:
                if self._paused.is_set():
                    fresh = dict.fromkeys(self._symbols, False)
                else:
                    fresh = self._look()
                self._freshness.add(time.monotonic(), fresh)

    def _look(self) -> dict[str, bool]:
        asked: dict[str, Any] = {}
        for symbol in self._symbols:
            try:
                if symbol not in self._handles:
                    self._handles[symbol] = names.symbol(symbol)
                asked[symbol] = self._handles[symbol].summary.remote()
            except Exception as error:  # Ray has no class of its own for a call to the dead
                self._handles.pop(symbol, None)
                self.reasons[symbol] = str(error)
        if asked:
            ray.wait(list(asked.values()), num_returns=len(asked), timeout=ANSWER_S)
        return {symbol: self._is_fresh(symbol, asked.get(symbol)) for symbol in self._symbols}

    def _is_fresh(self, symbol: str, answer: Any) -> bool:
        if answer is None:
            return False
        try:
            summary = ray.get(answer, timeout=0)
        except RayError as error:  # dead, restarting, or silent
            self._handles.pop(symbol, None)
            self.reasons[symbol] = str(error).splitlines()[0]
            return False
        if summary["stale"]:
            self.reasons[symbol] = summary["stale_reason"]
        return not summary["stale"]

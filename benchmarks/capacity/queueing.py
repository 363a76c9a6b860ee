"""A small queueing simulation: messages through a feed and symbols' actors on shared cores.

Discrete events. A message arrives at the feed, waits for company, is decoded, and goes to its
symbol's actor; whoever has work waits for a free core, first come first served, and works off all
that waits for it at once or message by message. Other processes take cores as well, in short
jobs. What Linux does beyond that (preemption, caches) is not in it: it is compared with
measurements, and with the closed forms of M/D/1 and M/M/1 by the tests.
"""

import heapq
from collections import deque
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from alphaplus.latency import LatencyHistogram

WARM_UP: Final = 0.1
"""Share of the time whose messages are not counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What is simulated; times in seconds."""

    symbols: int
    rate: float
    """Messages a second of each symbol, at random moments (Poisson)."""
    cores: int
    feed_s: float
    """Service of a message at the feed, mean; 0: there is no feed."""
    symbol_s: float
    """Service of a message at its symbol's actor, mean."""
    spread: float = 0.0
    """Of the messages' sizes: sigma of the logarithm, 0 where all are alike."""
    sized: float = 1.0
    """Share of a service that grows with the size; the rest is the same for all."""
    exponential: bool = False
    """Service times are exponential instead."""
    company_s: float = 0.0
    """How long the first message waits at the feed for others."""
    other_cores: float = 0.0
    """What other processes take in the mean."""
    other_job_s: float = 0.0005
    """Length of one of their jobs."""
    batches: bool = True
    """An actor works off all that waits for it at once; their messages are done together."""
    seconds: float = 30.0
    seed: int = 1


@dataclass(slots=True)
class _Server:
    """A process: it runs on one core at a time."""

    kind: int
    waiting: deque[tuple[float, float, int]] = field(default_factory=deque)
    """Arrival, size and symbol of each message."""
    in_hand: list[tuple[float, float, int]] = field(default_factory=list)
    is_queued: bool = False
    """It waits for a core, or has one."""


_ARRIVAL: Final = 0
_OTHER: Final = 1
_DONE: Final = 2
_COMPANY: Final = 3
_FEED: Final = 0
_SYMBOL: Final = 1
_OTHERS: Final = 2


def simulate(setting: Setting) -> LatencyHistogram:
    """Return the times from arrival to the end of a message's service at its symbol."""
    return _Simulation(setting).run()


class _Simulation:
    def __init__(self, setting: Setting) -> None:
        self._set = setting
        self._rng = np.random.default_rng(setting.seed)
        self._events: list[tuple[float, int, int, object]] = []
        self._number = 0
        self._idle = setting.cores
        self._ready: deque[_Server] = deque()
        self._feed = _Server(_FEED)
        self._symbols = [_Server(_SYMBOL) for _ in range(setting.symbols)]
        self._latencies = LatencyHistogram()

    def run(self) -> LatencyHistogram:
        self._plan()
        while self._events:
            now, _, kind, what = heapq.heappop(self._events)
            if kind == _ARRIVAL:
                assert isinstance(what, tuple)
                self._arrive(now, what)
            else:
                assert isinstance(what, _Server)
                if kind == _DONE:
                    self._finish(now, what)
                else:
                    self._want(now, what)
        return self._latencies

    def _plan(self) -> None:
        """Draw all arrivals."""
        of = self._set
        total = of.symbols * of.rate * of.seconds
        count = int(self._rng.poisson(total))
        times = np.sort(self._rng.random(count) * of.seconds)
        places = self._rng.integers(0, of.symbols, count)
        sizes = self._sizes(count)
        for at, place, size in zip(times.tolist(), places.tolist(), sizes, strict=True):
            self._put(at, _ARRIVAL, (at, size, place))
        if of.other_cores > 0:
            jobs = int(self._rng.poisson(of.other_cores / of.other_job_s * of.seconds))
            for at in (self._rng.random(jobs) * of.seconds).tolist():
                self._put(at, _OTHER, _Server(_OTHERS))

    def _sizes(self, count: int) -> list[float]:
        """Return sizes of mean 1."""
        of = self._set
        if of.exponential:
            return list(self._rng.exponential(1.0, count).tolist())
        if of.spread:
            drawn = self._rng.lognormal(-(of.spread**2) / 2, of.spread, count)
            return list((1 - of.sized + of.sized * drawn).tolist())
        return [1.0] * count

    def _arrive(self, now: float, message: tuple[float, float, int]) -> None:
        if not self._set.feed_s:
            self._give(now, self._symbols[message[2]], message)
            return
        first = not self._feed.waiting
        self._feed.waiting.append(message)
        if self._set.company_s and first:
            self._put(now + self._set.company_s, _COMPANY, self._feed)
        elif not self._set.company_s:
            self._want(now, self._feed)

    def _give(self, now: float, server: _Server, message: tuple[float, float, int]) -> None:
        server.waiting.append(message)
        self._want(now, server)

    def _want(self, now: float, server: _Server) -> None:
        """Have a server wait for a core, if it has work and neither waits nor runs."""
        if server.is_queued or not (server.waiting or server.kind == _OTHERS):
            return
        server.is_queued = True
        if self._idle:
            self._idle -= 1
            self._begin(now, server)
        else:
            self._ready.append(server)

    def _begin(self, now: float, server: _Server) -> None:
        if server.kind == _OTHERS:
            self._put(now + self._set.other_job_s, _DONE, server)
            return
        takes = len(server.waiting) if self._set.batches else 1
        server.in_hand = [server.waiting.popleft() for _ in range(takes)]
        each = self._set.feed_s if server.kind == _FEED else self._set.symbol_s
        work = sum(size for _, size, _ in server.in_hand) * each
        self._put(now + work, _DONE, server)

    def _finish(self, now: float, server: _Server) -> None:
        server.is_queued = False
        self._idle += 1
        done, server.in_hand = server.in_hand, []
        if server.kind == _FEED:
            for message in done:
                self._give(now, self._symbols[message[2]], message)
        elif server.kind == _SYMBOL:
            for arrived, _, _ in done:
                if arrived >= WARM_UP * self._set.seconds:
                    self._latencies.record(int((now - arrived) * 1e9))
        while self._idle and self._ready:
            self._idle -= 1
            self._begin(now, self._ready.popleft())
        if server.waiting and not (server.kind == _FEED and self._set.company_s):
            self._want(now, server)
        elif server.waiting:
            self._put(now, _COMPANY, server)  # these have waited for the feed itself

    def _put(self, at: float, kind: int, what: object) -> None:
        self._number += 1
        heapq.heappush(self._events, (at, self._number, kind, what))

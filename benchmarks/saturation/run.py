"""One fleet under a venue whose speed is changed while it runs."""

import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import ray
from ray.exceptions import RayError

from actors import names
from alphaplus.config import Settings, load_settings
from alphaplus.errors import AlphaPlusError
from alphaplus.kernels import ensure_compiled
from alphaplus.venue.process import VenueProcess
from alphaplus.venue.protocol import Channel
from alphaplus.venue.recording import read_recording
from alphaplus.venue.split_recording import split_recording
from benchmarks.chaos.system import System, ask, stopped_afterwards
from benchmarks.saturation.windows import Reading, Window, reading, recovery_s, sustained, windows
from benchmarks.scale.processes import cores_by_role, family
from benchmarks.scale.system import ask as ask_http

FRESH_WITHIN_S: Final = 300.0
WINDOW_S: Final = 1.0
WARM_S: Final = 2.0
CALM_S: Final = 6.0
"""How long a fleet runs calmly before it is loaded."""
WATCHED_AFTER_S: Final = 15.0
BURST_S: Final = 10.0
START_SPEED: Final = 0.5
"""While the fleet starts: the venue begins symbols one after the other in market time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Market:
    """What the venue plays."""

    capture: Path
    symbols: int
    levels: int | None
    """Levels of a depth message at most; None: as recorded."""
    rate: float
    """Depth messages a second of one symbol at speed 1."""

    def speed(self, messages_per_s: float) -> float:
        """Return the speed at which all symbols together have so many messages a second."""
        return messages_per_s / (self.rate * self.symbols)


class Fleet:
    """A running fleet and its venue."""

    def __init__(self, market: Market, system: System, venue: VenueProcess, folder: Path) -> None:
        self._market = market
        self._system = system
        self._venue = venue
        self._folder = folder
        self._began = time.monotonic()
        self._readings: list[Reading] = []
        self._idle = 0
        self._handles: list[Any] = []

    def start(self) -> None:
        """Start Ray and the job, and wait until all books are fresh."""
        self._system.start_head()
        self._system.submit()
        give_up = time.monotonic() + FRESH_WITHIN_S
        while not self._is_fresh():
            if time.monotonic() > give_up:
                raise AlphaPlusError(f"The books are not fresh:\n{self._system.last_words()}")
            time.sleep(0.5)
        listed = ask_http(f"{self._venue.url}/fapi/v1/exchangeInfo")["symbols"]
        board = ask(names.portfolio(), "board")
        assert len(board) == len(listed) == self._market.symbols
        self._handles = [names.symbol(item["symbol"]) for item in board]
        self.watch(CALM_S)
        self._idle = min(item.sent - item.processed for item in self._readings[-3:])

    def saturate(self, offered_per_s: float, seconds: float) -> dict[str, Any]:
        """Offer more than can be taken, the venue waiting for its readers; return the rates."""
        self.go(offered_per_s, waits=True)
        self.watch(WARM_S)
        first = len(self._readings)
        before, began = self._processes(), time.monotonic()
        self.watch(seconds)
        cores = cores_by_role(before, self._processes(), time.monotonic() - began)
        batch = self._batch_events()
        self._check_played()
        seen = windows(self._readings[first:], self._idle)
        return {
            "symbols": self._market.symbols,
            **sustained(seen),
            "events_per_batch": batch,
            "cores_by_role": cores,
            **self._losses(),
        }

    def burst(self, base_per_s: float, factor: float) -> dict[str, Any]:
        """Let ten seconds at a multiple follow the base rate; return when it is calm again."""
        self.go(base_per_s, waits=False)
        self.watch(CALM_S)
        first = len(self._readings) - 3
        self.go(base_per_s * factor, waits=False)
        begun = self.elapsed_s
        self.watch(BURST_S)
        ended = self.elapsed_s
        self.go(base_per_s, waits=False)
        self.watch(WATCHED_AFTER_S)
        self._check_played()
        seen = windows(self._readings[first:], self._idle)
        during = [w for w in seen if begun <= w.from_s and w.to_s <= ended + WINDOW_S / 2]
        return {
            "symbols": self._market.symbols,
            "base_per_s": round(base_per_s, 1),
            "factor": factor,
            "during": sustained(during),
            "recovered_after_s": recovery_s(seen, ended, base_per_s),
            "windows": [_short(window, begun) for window in seen],
            **self._losses(),
        }

    def go(self, messages_per_s: float, *, waits: bool) -> None:
        """Have the venue play so many messages a second, all symbols together."""
        body = {"speed": self._market.speed(messages_per_s), "waits_for_readers": waits}
        ask_http(f"{self._venue.url}/control/speed", body)

    def watch(self, seconds: float) -> None:
        """Take a reading each second."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            due = time.monotonic() + WINDOW_S
            self._readings.append(self._read())
            time.sleep(max(0.0, due - time.monotonic()))

    @property
    def elapsed_s(self) -> float:
        """Seconds since the beginning."""
        return time.monotonic() - self._began

    def _read(self) -> Reading:
        told = ray.get([handle.progress.remote() for handle in self._handles], timeout=60.0)
        # the venue last: what it has sent since is at most counted as waiting
        state = ask_http(f"{self._venue.url}/control/state?symbols=false")
        backlog = sum(m["backlog_events"] or 0 for m in self._loads()["markets"])
        return reading(self.elapsed_s, state, told, backlog)

    def _loads(self) -> dict[str, Any]:
        return dict(ask(names.portfolio(), "loads"))

    def _batch_events(self) -> float | None:
        sizes = [m["batch_events"] for m in self._loads()["markets"] if m["batch_events"]]
        return round(sum(sizes) / len(sizes), 1) if sizes else None

    def _check_played(self) -> None:
        """Raise AlphaPlusError if the recording came to its end: rates would be too low."""
        state = ask_http(f"{self._venue.url}/control/state")
        if any(symbol["ended"] for symbol in state["symbols"].values()):
            raise AlphaPlusError(
                "Expected the recording to last, was at its end before the measurement was; "
                "take more --symbols, or fewer --seconds."
            )

    def _losses(self) -> dict[str, Any]:
        stats = ask(names.portfolio(), "stats")
        state = ask_http(f"{self._venue.url}/control/state?symbols=false")
        lost = {name: stats.get(name, 0) for name in ("gaps", "dropped_events", "reconnects")}
        return {**lost, "rows_refused": stats["dropped"], "slow_clients": state["slow_clients"]}

    def _processes(self) -> dict[int, Any]:
        pid = self._venue.pid
        assert pid is not None
        assert self._system.head.pid is not None
        return {
            **family(self._system.head.pid, str(self._folder)),
            **family(pid, str(self._folder)),
        }

    def _is_fresh(self) -> bool:
        try:
            stats = ask(names.portfolio(), "stats")
        except (LookupError, RayError):
            return False
        return stats["symbols"] == self._market.symbols and stats["stale_symbols"] == 0


@contextmanager
def fleet_of(market: Market) -> Iterator[Fleet]:
    """Run a fleet on the market; it, the venue and all folders end with the block."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # and take everything down
    ensure_compiled()
    folder = Path(tempfile.mkdtemp(prefix="apsat-", dir="/tmp"))
    arguments = [
        "--source=capture",
        f"--capture={market.capture}",
        f"--symbols={market.symbols}",
        f"--speed={START_SPEED}",
        *(() if market.levels is None else (f"--message-levels={market.levels}",)),
    ]
    try:
        with VenueProcess(arguments) as venue:
            system = System(_settings(folder, venue.url), folder)
            with stopped_afterwards(system):
                fleet = Fleet(market, system, venue, folder)
                fleet.start()
                yield fleet
                system.drain()
    finally:
        # where the server's user cannot enter the folder its cluster is elsewhere
        shutil.rmtree((folder / "data" / "postgres").resolve(), ignore_errors=True)
        shutil.rmtree(folder, ignore_errors=True)


def _settings(folder: Path, venue_url: str) -> Settings:
    """Return the settings of the fleet: depth alone, each level analysed, not each one stored."""
    return load_settings(
        flags={
            "feeds": {"url": venue_url, "streams": ("depth",)},
            "storage": {"data_dir": folder / "data", "deltas": False},
            "fleet": {"start_timeout_s": FRESH_WITHIN_S},
            "risk": {"history_days": 0},
        },
        environ={},
    )


def _short(window: Window, begun_s: float) -> dict[str, Any]:
    found = asdict(window)
    found["from_s"] = round(window.from_s - begun_s, 2)
    found["to_s"] = round(window.to_s - begun_s, 2)
    return found


def depth_rate(capture: Path, levels: int | None) -> float:
    """Return the depth messages a second of a recording, cut to `levels` if given."""
    recording = read_recording(capture)
    if levels is not None:
        recording = split_recording(recording, levels)
    depth = [line for line, c in enumerate(recording.channels) if c == Channel.DEPTH]
    span_s = (recording.times[depth[-1]] - recording.times[depth[0]]) / 1e9
    return len(depth) / span_s

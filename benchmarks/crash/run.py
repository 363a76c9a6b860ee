"""Kill writer and database at random and at delicate moments, and start them again."""

import asyncio
import contextlib
import random
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import psutil

from alphaplus.storage.migrations import migrate
from alphaplus.storage.postgres import EmbeddedPostgres
from alphaplus.storage.writer import Writer
from benchmarks.crash.verify import Verdict, verify

PHASES: Final = ("staging", "partition", None)
"""Moments that kills are aimed at in turn; None is any."""
LONGEST_S: Final = 1.0
"""Of a random wait before a kill, and of an outage of the database."""
PATIENCE_S: Final = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What was done and what came of it."""

    flavor: str
    lives: int
    killed: dict[str, int]
    """Kills by what was killed (`writer`, `database`, `both`) and where it was then."""
    verdict: Verdict
    seconds: float


class _Producer:
    """One life of the process that writes, and where it says it is."""

    def __init__(self, process: Any) -> None:
        self.process = process
        self.phase = ""
        self._changed = asyncio.Condition()
        self._listening = asyncio.create_task(self._listen())

    async def _listen(self) -> None:
        while line := await self.process.stdout.readline():
            said = line.decode().strip()
            async with self._changed:
                self.phase = said[1:] if said.startswith("+") else ""
                self._changed.notify_all()
        async with self._changed:
            self._changed.notify_all()

    async def reaches(self, phase: str) -> None:
        """Return when it is in a phase, or has been waited for long enough."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(2 * LONGEST_S), self._changed:
                await self._changed.wait_for(lambda: self.phase == phase or self._listening.done())

    async def kill(self) -> str:
        """SIGKILL it; return the phase that it was in."""
        self.process.kill()
        await self.process.wait()
        await self._listening
        return self.phase


@dataclass(slots=True)
class Crash:
    """One run: `kills` of the writer and `database_kills` of the whole server, in random order."""

    server: EmbeddedPostgres
    folder: Path
    seed: int
    kills: int
    database_kills: int
    _killed: Counter[str] = field(default_factory=Counter)
    _lives: int = 0

    async def run(self) -> Outcome:
        """Kill, restart, replay, compare. Raises RuntimeError if the producer ends by itself."""
        begun = time.monotonic()
        chance = random.Random(self.seed)
        dsn = await asyncio.to_thread(self.server.start)
        flavor = (await migrate(dsn)).flavor
        (self.folder / "log").touch()
        plan = ["writer"] * self.kills + ["database"] * self.database_kills
        chance.shuffle(plan)
        producer = await self._spawn(dsn)
        for number, what in enumerate(plan):
            await asyncio.sleep(chance.uniform(0.0, LONGEST_S))
            phase = PHASES[number % len(PHASES)]
            if phase is not None:
                await producer.reaches(phase)
            if what == "database":
                await self._kill_database(producer, chance)
            else:
                self._count("writer", await producer.kill())
            if producer.process.returncode is not None:
                producer = await self._spawn(dsn)
        self._count("writer at the end", await producer.kill())
        await self._replay(dsn)
        verdict = await verify(dsn, self.folder / "log", self._spool / "dead-letters.jsonl")
        return Outcome(
            flavor=flavor,
            lives=self._lives,
            killed=dict(sorted(self._killed.items())),
            verdict=verdict,
            seconds=round(time.monotonic() - begun, 1),
        )

    @property
    def _spool(self) -> Path:
        return self.folder / "spool"

    async def _kill_database(self, producer: _Producer, chance: random.Random) -> None:
        """Kill the server, let the writer go on without it or kill it too, start it again."""
        phase = producer.phase
        kill_tree(self.server.pid)
        await asyncio.sleep(chance.uniform(0.0, LONGEST_S))
        if chance.random() < 0.5:
            self._count("both", phase)
            await producer.kill()
        else:
            self._count("database", phase)
        await asyncio.to_thread(self.server.start)

    def _count(self, what: str, phase: str) -> None:
        self._killed[what] += 1
        if phase:
            self._killed[f"{what}, during {phase}"] += 1

    async def _spawn(self, dsn: str) -> _Producer:
        """Start the producer and wait until it has accepted something."""
        log = self.folder / "log"
        before = log.stat().st_size
        self._lives += 1
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "benchmarks.crash.producer"),
            *(dsn, str(self._spool), str(log), str(self._lives)),
            stdout=asyncio.subprocess.PIPE,
        )
        producer = _Producer(process)
        deadline = time.monotonic() + PATIENCE_S
        while log.stat().st_size == before:
            if process.returncode is not None or time.monotonic() > deadline:
                raise RuntimeError("Expected a producer that accepts rows; see its message above.")
            await asyncio.sleep(0.005)
        return producer

    async def _replay(self, dsn: str) -> None:
        async with Writer(dsn, self._spool) as writer:
            await writer.drain(600)


def kill_tree(pid: int | None) -> None:
    """SIGKILL a server and all its processes, as when the machine takes them."""
    process = psutil.Process(pid)
    for one in (process, *process.children(recursive=True)):
        with contextlib.suppress(psutil.NoSuchProcess):
            one.kill()

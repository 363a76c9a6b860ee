"""What the rows of a fleet cost: processor time of the store and of the database, apart.

python -m benchmarks.storage.flow [--symbols 100] [--messages 10] [--levels 68] [--seconds 30]
    [--warm 5] [--json]

Every symbol sends its level updates each 500 ms and a snapshot and measures each second, at a
phase of its own, over the fleet's streams to the fleet's store, which writes to an embedded
database. Only the processor time of those processes counts, so others may use the machine.
"""

import argparse
import asyncio
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import psutil

from alphaplus.storage.migrations import migrate
from alphaplus.storage.postgres import EmbeddedPostgres
from alphaplus.storage.tables import TABLES, RowArray
from alphaplus.streams import Endpoint, RowSender, make_run_directory
from benchmarks.storage.database import open_folder

FLUSH_NS: Final = 500_000_000
DRAIN_S: Final = 600.0
EXCHANGE: Final = "binance"
DELTAS: Final = "order_book_deltas"
MOMENTS: Final = ("enhanced_order_book_snapshots", "market_depth_analysis")
_SPREAD: Final = 600
"""Levels of a message lie within so many ticks of the mid."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Processor time of the measured span, and of each row that was written in it."""

    rows_per_s: float
    """Written; less than is sent where the processor has no time for more."""
    store_cores: float
    database_cores: float
    store_us_per_row: float
    database_us_per_row: float
    drain_s: float
    """From the last row sent to the last one written."""


class Symbol:
    """Makes the rows of one market; prices walk, and a message is one moment."""

    def __init__(self, number: int, messages: int, levels: int) -> None:
        self.name = f"FLOW{number:03}-USDT-PERP"
        self._random = np.random.default_rng(number)
        self._every_ns = 10**9 // messages
        self._levels = levels
        self._sequence = 1_000_000 * (number + 1)
        self._mid = 600_000

    def deltas(self, start_ns: int, end_ns: int) -> RowArray:
        """Return the level updates of a span of time."""
        times = np.arange(start_ns, end_ns, self._every_ns)
        rows = TABLES["order_book_deltas"].rows(len(times) * self._levels)
        rows["time"] = np.repeat(times, self._levels)
        rows["recv_time"] = rows["time"] + 2_000_000
        rows["seq"] = np.repeat(
            self._sequence + self._levels * np.arange(1, len(times) + 1), self._levels
        )
        self._sequence += self._levels * len(times)
        for message in rows.reshape(len(times), self._levels):
            self._fill(message)
        rows["qty"] = self._random.integers(0, 90_000, len(rows)) / 1000
        return rows

    def _fill(self, message: Any) -> None:
        self._mid += int(self._random.integers(-3, 4))
        bids = self._levels // 2
        message["side"][bids:] = 1
        for part, sign in ((message[:bids], -1), (message[bids:], 1)):
            steps: npt.NDArray[np.int64] = np.sort(
                self._random.choice(_SPREAD, len(part), replace=False)
            )
            part["price"] = (self._mid + sign * (1 + steps)) / 10

    def moment(self, table: str, now_ns: int) -> RowArray:
        """Return a row of snapshots or measures in which nothing is NULL."""
        rows = TABLES[table].rows(1)
        for name in TABLES[table].dtype.names or ():
            values = rows[name]
            if values.dtype.base == np.float64:
                rows[name] = self._random.random(values.shape)
        rows["time"], rows["recv_time"], rows["seq"] = now_ns, now_ns, self._sequence
        for name in ("bid_levels", "ask_levels"):
            if name in (TABLES[table].dtype.names or ()):
                rows[name] = 20
        return rows


def send(symbols: list[Symbol], senders: list[RowSender], seconds: float) -> int:
    """Send in real time for `seconds` and return how many rows; a refusal is a RuntimeError."""
    begun, step, sent = time.time_ns(), FLUSH_NS // len(symbols), 0
    for turn in range(int(seconds * 1e9 / step)):
        due = begun + turn * step
        time.sleep(max(due - time.time_ns(), 0) / 1e9)
        symbol, sender = symbols[turn % len(symbols)], senders[turn % len(symbols)]
        parts = [(DELTAS, symbol.deltas(due - FLUSH_NS, due))]
        if turn // len(symbols) % 2:
            parts += [(table, symbol.moment(table, due)) for table in MOMENTS]
        for table, rows in parts:
            if not sender.send(f"{table} {EXCHANGE} {symbol.name}", rows):
                raise RuntimeError("Expected a store that keeps up, was one that refuses rows.")
            sent += len(rows)
    return sent


@dataclass(frozen=True, slots=True)
class Reading:
    """Where both processes stand: processor seconds so far, and rows in the database."""

    store_s: float
    database_s: float
    written: int


class Meter:
    """Reads a store, which answers a line of its input with its report, and a database server."""

    def __init__(self, store: Any, server: int) -> None:
        self._store = store
        self._server = psutil.Process(server)

    def read(self) -> Reading:
        """Return the sums so far."""
        self._store.stdin.write("\n")
        self._store.stdin.flush()
        report = json.loads(self._store.stdout.readline())
        times = self._server.cpu_times()
        # Of processes that have ended the server knows, as it waited for them.
        database = times.user + times.system + times.children_user + times.children_system
        for child in self._server.children():
            times = child.cpu_times()
            database += times.user + times.system
        return Reading(report["cpu_s"], database, report["rows_written"])


def measure(dsn: str, server: int, folder: Path, options: Any) -> Cost:
    """Send for the warm-up and for the measured span."""
    symbols = [Symbol(n, options.messages, options.levels) for n in range(options.symbols)]
    with make_sockets() as sockets, _store(dsn, folder, sockets) as (process, endpoint):
        senders = [RowSender(endpoint, name=symbol.name) for symbol in symbols]
        meter = Meter(process, server)
        sent = send(symbols, senders, options.warm)
        before, begun = meter.read(), time.monotonic()
        sent += send(symbols, senders, options.seconds)
        after, ended = meter.read(), time.monotonic()
        for sender in senders:
            sender.wait_drained(DRAIN_S)
            sender.close()
        report = json.loads(process.communicate()[0])
        drain_s = time.monotonic() - ended
    if report["rows_written"] != sent:
        raise RuntimeError(f"Expected {sent} rows written, was {report['rows_written']}.")
    rows, seconds = after.written - before.written, ended - begun
    store, database = after.store_s - before.store_s, after.database_s - before.database_s
    return Cost(
        rows_per_s=round(rows / seconds),
        store_cores=round(store / seconds, 3),
        database_cores=round(database / seconds, 3),
        store_us_per_row=round(store / rows * 1e6, 2),
        database_us_per_row=round(database / rows * 1e6, 2),
        drain_s=round(drain_s, 2),
    )


@contextmanager
def make_sockets() -> Iterator[Path]:
    """A private folder for the sockets of one run."""
    folder = make_run_directory()
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


@contextmanager
def _store(dsn: str, folder: Path, sockets: Path) -> Iterator[tuple[Any, Endpoint]]:
    """Run the store as a process of its own; the end of its input stops it."""
    command = [sys.executable, "-m", "benchmarks.storage.flow_store"]
    with subprocess.Popen(
        [*command, dsn, str(folder / "spool"), str(sockets)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        try:
            yield process, Endpoint(json.loads(process.stdout.readline())["address"])
        finally:
            process.kill()


def main() -> None:
    """Measure once and print what was found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--symbols", type=int, default=100)
    parser.add_argument("--messages", type=int, default=10, help="a second and symbol")
    parser.add_argument("--levels", type=int, default=68, help="of a message")
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--warm", type=float, default=5.0, help="seconds left out before")
    parser.add_argument("--json", action="store_true", help="one line of JSON")
    options = parser.parse_args()
    with open_folder() as folder:
        server = EmbeddedPostgres(folder / "database")
        try:
            dsn = server.start()
            asyncio.run(migrate(dsn))
            found = measure(dsn, server.pid or 0, folder, options)
        finally:
            server.stop()
    result = {"benchmark": "storage flow", **vars(options), **asdict(found)}
    print(json.dumps(result) if options.json else json.dumps(result, indent=2))


if __name__ == "__main__":
    main()

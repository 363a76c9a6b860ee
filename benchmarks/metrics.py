"""What it costs to expose the metrics of many markets: the board's own time, and Ray's agent.

python -m benchmarks.metrics [--symbols 100] [--interval 5] [--seconds 60] [--json]

A Ray of its own runs one actor that stands for the board, first idle, then telling everything.
"""

import argparse
import json
import os
import time
from typing import Any

import psutil
import ray

from actors.fleet_loads import FleetLoads
from actors.metric_readings import BoardContents, readings
from actors.metrics import FleetMetrics
from alphaplus.analysis.state import StateRecord, blank_state, summary
from alphaplus.latency import LatencyHistogram

EXCHANGE = "binance"
SYMBOLS_PER_FEED = 50
AGENT = "dashboard/agent.py"


class Board:
    """A board of made-up markets, each of which moves before every tick."""

    def __init__(self, symbols: int) -> None:
        self._states: list[StateRecord] = []
        self._loads = FleetLoads()
        self._totals = LatencyHistogram()
        self._ticks = 0
        for at in range(symbols):
            state = blank_state()
            state["exchange"], state["symbol"] = EXCHANGE, f"C{at:03}-USDT-PERP"
            state["status"], state["ts_recv"] = 2, time.time_ns()
            self._states.append(state)

    def move(self) -> None:
        """Let every market and actor tell something new."""
        self._ticks += 1
        now = time.time_ns()
        self._totals.record(1_000_000 + self._ticks)
        told = LatencyHistogram() + self._totals
        for state in self._states:
            for name in ("messages", "level_updates", "trades", "audit_equal"):
                state[name] += 7
            state["ts_recv"] = now
            symbol = str(state["symbol"][0])
            self._loads.take_latencies(f"{EXCHANGE}:{symbol}", told)
            load = {"ts": now, "cpu_s": self._ticks, "memory_bytes": 10**8, "batches": self._ticks}
            more = {"events": self._ticks * 68, "apply_s": self._ticks / 1e3, "markets": {}}
            self._loads.take(f"symbol:{symbol}", load | more)
        for start in range(0, len(self._states), SYMBOLS_PER_FEED):
            part = self._states[start : start + SYMBOLS_PER_FEED]
            counts = {"backlog_events": 0, "dropped_events": self._ticks}
            markets = {str(state["symbol"][0]): counts for state in part}
            feed = {"ts": now, "cpu_s": 1.0, "exchange": EXCHANGE, "markets": markets}
            self._loads.take(f"feed:{EXCHANGE}:{start // SYMBOLS_PER_FEED}", feed)

    def contents(self) -> BoardContents:
        """Return what the metrics are taken from."""
        now = time.time_ns()
        return BoardContents(
            summaries=[
                summary(state[0], now_ns=now, stale_after_ms=1e4) | {"crossed": False}
                for state in self._states
            ],
            counters={"store:0": {"rows_written": self._ticks, "rows_pending": 5}},
            loads=self._loads,
            figures={},
        )


@ray.remote(num_cpus=1)
class Exposer:
    """Tells metrics every so often, and what that took of this process."""

    def pid(self) -> int:
        return os.getpid()

    def run(self, symbols: int, interval_s: float, seconds: float) -> dict[str, float]:
        board, metrics = Board(symbols), FleetMetrics()
        spent, ticks, end = 0.0, 0, time.monotonic() + seconds
        while time.monotonic() < end:
            board.move()
            begun = time.process_time()
            metrics.export(list(readings(board.contents())))
            spent += time.process_time() - begun
            ticks += 1
            time.sleep(interval_s)
        return {"ticks": ticks, "ms_a_tick": spent / ticks * 1e3}


def measure(symbols: int, interval_s: float, seconds: float) -> dict[str, Any]:
    """Return the costs, in ms of CPU and in cores."""
    ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    try:
        exposer: Any = Exposer.remote()
        ray.get(exposer.pid.remote())
        agent = _agent()
        idle = _cores(agent, lambda: time.sleep(seconds))
        found: dict[str, float] = {}
        busy = _cores(
            agent,
            lambda: found.update(ray.get(exposer.run.remote(symbols, interval_s, seconds))),
        )
    finally:
        ray.shutdown()
    return {
        "symbols": symbols,
        "interval_s": interval_s,
        "board_ms_a_tick": round(found["ms_a_tick"], 2),
        "board_cores": round(found["ms_a_tick"] / 1e3 / interval_s, 5),
        "agent_cores_idle": round(idle, 4),
        "agent_cores": round(busy, 4),
    }


def _agent() -> psutil.Process:
    """Return Ray's agent of this run."""
    found = [
        process
        for process in psutil.Process().children(recursive=True)
        if AGENT in " ".join(process.cmdline())
    ]
    if len(found) != 1:
        raise RuntimeError(f"Expected one agent of Ray's below this process, was {len(found)}.")
    return found[0]


def _cores(process: psutil.Process, work: Any) -> float:
    before = process.cpu_times()
    begun = time.monotonic()
    work()
    after = process.cpu_times()
    return (after.user + after.system - before.user - before.system) / (time.monotonic() - begun)


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--symbols", type=int, default=100)
    options.add_argument("--interval", type=float, default=5.0, help="seconds between two ticks")
    options.add_argument("--seconds", type=float, default=60.0, help="of each half")
    options.add_argument("--json", action="store_true")
    wanted = options.parse_args()
    found = measure(wanted.symbols, wanted.interval, wanted.seconds)
    if wanted.json:
        print(json.dumps(found))
    else:
        for name, value in found.items():
            print(f"{name}: {value}")


if __name__ == "__main__":
    main()

"""A day of market time played at speed: does memory, the number of files or lag grow?

    python -m benchmarks.endurance --hours 24 --json [--symbols 2] [--speed 60] [--every 10]

The whole system, `alphaplus up`, on a generated market that plays as fast as the fleet takes it,
`--speed` at the most, and stamps its messages with its own time. It begins so long ago that it
ends today: windows, bars and partitions of all these hours are really passed through. Rows
that are stored at an interval are stored as often per simulated second as in life; level updates
are not stored. A portfolio is held all the time. Partitions are not archived meanwhile.

Each `--every` seconds memory, file handles and threads of every role, latency and backlogs are
read. A series grows if the median of its later half is above that of its earlier half by more
than its bound while it still rises; the first fifth is not judged. Exit code 1 if anything grows,
or if anything was lost. 24 hours take some 25 minutes on two cores.
"""

import argparse
import json
import sys
import time
import urllib.request
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Final

from alphaplus.venue.process import VenueProcess
from benchmarks.endurance.samples import Sample, sample, series
from benchmarks.endurance.verdict import judge_all
from benchmarks.scale.processes import family
from benchmarks.scale.system import RunFailed, System

START_WITHIN_S: Final = 300.0
LEAST_INTERVAL_MS: Final = 10.0
STUCK_S: Final = 60.0
"""Without an event for so long the run has failed."""
POSITIONS: Final = {
    "wallet_balance": 100_000,
    "positions": [{"symbol": "BTC-USDT-PERP", "quantity": 1, "entry_price": 60_000}],
}
LOST: Final = ("gaps", "dropped", "bad_frames", "rows_dead")


def main() -> None:
    """Run once and print what was found."""
    options = _options()
    try:
        found = run(options)
    except (RunFailed, OSError) as error:
        sys.exit(f"The run failed: {error}")
    print(json.dumps(found) if options.json else json.dumps(found, indent=2))
    sys.exit(not found["steady"])


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Play the hours and judge them."""
    market_s = options.hours * 3600 + START_WITHIN_S * options.speed
    begins_ms = int((time.time() - market_s) * 1e3)
    arguments = [f"--symbols={options.symbols}", f"--speed={options.speed}"]
    with (
        VenueProcess([*arguments, f"--seed={options.seed}", f"--begins-at={begins_ms}"]) as venue,
        System.started([], _environment(options, venue.url)) as system,
    ):
        system.wait_fresh(START_WITHIN_S, options.symbols, _say)
        _hold_portfolio(system.url)
        begun = time.monotonic()
        samples = _watch(options, system, venue, begins_ms * 1_000_000)
        seconds = time.monotonic() - begun
        _say("draining")
        summary = system.drain()
    judged = judge_all([item.hour for item in samples], series(samples))
    growing = sorted(name for name, found in judged.items() if found["grows"])
    lost = {name: summary[name] for name in LOST}
    lost["rows_missing"] = summary["rows_sent"] - summary["rows_written"] - summary["rows_dead"]
    hours = samples[-1].hour - samples[0].hour
    return {
        "benchmark": "endurance",
        "symbols": options.symbols,
        "simulated_hours": round(hours, 2),
        "real_s": round(seconds, 1),
        "speed": round(hours * 3600 / seconds, 1),
        "messages": summary["messages"],
        "rows_written": summary["rows_written"],
        "audit": summary["audit"],
        **lost,
        "growing": growing,
        "steady": not growing and not any(lost.values()) and bool(judged),
        "judged": judged,
        "samples": [asdict(item) for item in _some(samples)],
    }


def _watch(
    options: argparse.Namespace, system: System, venue: VenueProcess, begins_ns: int
) -> list[Sample]:
    """Take samples until the hours are over, from the first on that knows a latency; raises
    RunFailed if the market stands still."""
    begun = time.monotonic()
    samples: list[Sample] = []
    moved_s = begun
    while _sample(system, venue, begins_ns, 0.0).p99_ms is None:
        system.check()
        if time.monotonic() - begun > STUCK_S:
            raise RunFailed(f"No latency was told within {STUCK_S:g} s.")
        time.sleep(1.0)
    while True:
        due = time.monotonic() + options.every
        system.check()
        found = _sample(system, venue, begins_ns, time.monotonic() - begun)
        if not samples or found.messages > samples[-1].messages:
            moved_s = time.monotonic()
        if time.monotonic() - moved_s > max(STUCK_S, 3 * options.every):
            raise RunFailed(f"No message came for {STUCK_S:g} s, after {found.hour:.2f} hours.")
        samples.append(found)
        _tell(samples, options.hours)
        if found.hour - samples[0].hour >= options.hours:
            return samples
        time.sleep(max(0.0, due - time.monotonic()))


def _sample(system: System, venue: VenueProcess, begins_ns: int, at_s: float) -> Sample:
    assert venue.pid is not None
    processes = {**system.processes(), **family(venue.pid, system.folder)}
    return sample(at_s, begins_ns, processes, system.fleet(), system.load())


def _tell(samples: Sequence[Sample], hours: float) -> None:
    first, last = samples[0], samples[-1]
    gone = last.hour - first.hour
    minutes = (hours - gone) * (last.at_s - first.at_s) / gone / 60 if gone > 0 else None
    left = "" if minutes is None else f", {minutes:.1f} min left"
    memory = " ".join(f"{role} {last.mb[role]:.0f}" for role in ("symbols", "feeds", "store"))
    _say(
        f"{gone:6.2f} of {hours:g} h{left}; MB: {memory}; "
        f"p99 {last.p99_ms} ms; {last.rows_waiting} rows wait"
    )


def _hold_portfolio(url: str) -> None:
    request = urllib.request.Request(
        f"{url}/v1/portfolio/positions",
        data=json.dumps(POSITIONS).encode(),
        headers={"Content-Type": "application/json"},
        method="PUT",
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        answer.read()


def _environment(options: argparse.Namespace, venue_url: str) -> dict[str, str]:
    interval_ms = max(1000.0 / options.speed, LEAST_INTERVAL_MS)
    return {
        "ALPHAPLUS_FEEDS__URL": venue_url,
        "ALPHAPLUS_STORAGE__DELTAS": "false",
        "ALPHAPLUS_STORAGE__SNAPSHOT_INTERVAL_MS": f"{interval_ms}",
        "ALPHAPLUS_STORAGE__ANALYSIS_INTERVAL_MS": f"{interval_ms}",
        "ALPHAPLUS_STORAGE__ARCHIVE_AFTER_H": f"{options.hours + 24}",
        "ALPHAPLUS_RISK__HISTORY_DAYS": "10",
    }


def _some(samples: Sequence[Sample], most: int = 48) -> Sequence[Sample]:
    """Return at most so many samples, evenly spread."""
    return samples[:: -(-len(samples) // most)]


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _options() -> argparse.Namespace:
    summary, _, usage = (__doc__ or "").partition("\n")
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.endurance",
        description=summary,
        epilog=usage,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--hours", type=float, default=24.0, help="of market time")
    parser.add_argument("--symbols", type=int, default=2)
    parser.add_argument("--speed", type=float, default=60.0, help="market seconds per second")
    parser.add_argument("--every", type=float, default=10.0, help="seconds between samples")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--json", action="store_true", help="one line of JSON")
    options = parser.parse_args()
    if not 0 < options.hours <= 24 * 31 or not 1 <= options.symbols <= 50:
        parser.error("expected --hours above 0 and at most 744, and --symbols from 1 to 50")
    if options.every < 1 or not 0 < options.speed <= 1000:
        parser.error("expected --every of 1 or more, and --speed above 0 and at most 1000")
    return options


if __name__ == "__main__":
    main()

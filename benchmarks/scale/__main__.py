"""What a fleet costs as it grows: the whole system at several numbers of symbols.

    python -m benchmarks.scale --symbols 10,25,50,100,200 --rate 10 --json
    python -m benchmarks.scale --symbols 100@10,200@5      # each at a rate of its own
        [--capture FILE] [--duration 60] [--streams depth]

Each point is `alphaplus up` on a recording that the local venue plays under as many names, at
the speed at which a name has `--rate` depth messages a second. Venue, database, Ray and API run
on the same processors. Latency is from the socket to the published analysis; MB are proportional
set sizes at the end of the steady state; neither the start nor the drain counts.

A point is printed as soon as it is there; with --json as a line of its own, and the last line
is one object with all. A point that fails is told with its reason, the others go on, and the
exit code is 1.
"""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from benchmarks.scale.point import Load, Market, depth_rate, measure
from benchmarks.scale.system import RunFailed

DEFAULT: Final = "captures/binance_usdm_btcusdt_20240808.raw.gz"
COLUMNS: Final = (
    ("symbols", "symbols"),
    ("rate", "messages/s each"),
    ("fresh_s", "start s"),
    ("actors_s", "actors s"),
    ("processed_per_s", "messages/s"),
    ("dropped", "dropped"),
    ("gaps", "gaps"),
    ("p50_ms", "p50 ms"),
    ("p99_ms", "p99 ms"),
    ("cores", "cores"),
    ("actors", "actors"),
    ("mb_per_actor", "MB/actor"),
    ("ray_calls_per_s", "Ray calls/s"),
)
FAILED: Final = "failed"
"""Key of the reason in a point that was not measured."""


def main() -> None:
    """Measure every point, and print what was found."""
    options = _options()
    if not options.capture.is_file():
        sys.exit(f"Expected --capture to be a recording, was {options.capture}; name one.")
    market = Market(
        capture=options.capture,
        recorded_rate=depth_rate(options.capture),
        streams=options.streams.split(","),
    )
    points = []
    for load in loads(options.symbols, options.rate):
        points.append(_attempt(market, load, options.duration))
        if options.json:
            print(json.dumps(points[-1]), flush=True)
        else:
            _print(points[-1:])
    if options.json:
        print(json.dumps(report(options, points)))
    else:
        _print(points)
    sys.exit(any(FAILED in point for point in points))


def loads(points: Sequence[tuple[int, float | None]], rate: float) -> list[Load]:
    """Return what is to be measured; `rate` is that of points that name none."""
    return [Load(symbols=count, rate=own or rate) for count, own in points]


def parse_points(text: str) -> tuple[tuple[int, float | None], ...]:
    """Return symbols and rate of each point: 10,25 or 100@10,200@5; no rate is None."""
    found = []
    for part in text.split(","):
        count, divider, rate = part.partition("@")
        try:
            found.append((int(count), float(rate) if divider else None))
        except ValueError:
            raise argparse.ArgumentTypeError(
                f"Expected points like 10,25 or 100@10,200@5, was {text!r}."
            ) from None
    if not all(1 <= count <= 1000 for count, _ in found):
        raise argparse.ArgumentTypeError(f"Expected numbers of symbols from 1 to 1000, was {text}.")
    if not all(rate is None or 0 < rate <= 1000 for _, rate in found):
        raise argparse.ArgumentTypeError(f"Expected rates above 0 and at most 1000, was {text}.")
    return tuple(found)


def report(options: argparse.Namespace, points: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the object that the last line is."""
    return {
        "benchmark": "scale",
        "duration_s": options.duration,
        "streams": options.streams,
        "cpus": os.cpu_count(),
        "points": list(points),
        "cost_of_a_symbol_at_the_last_over_the_first": growth_of_cost(points),
    }


def growth_of_cost(points: Sequence[dict[str, Any]]) -> float | None:
    """Return the cores of a symbol at the most symbols over those at the fewest, at one rate.

    The rate is the commonest of the points that were measured; None with fewer than two of it.
    """
    measured = [point for point in points if FAILED not in point]
    rates = [point["rate"] for point in measured]
    if not rates:
        return None
    usual = max(rates, key=rates.count)
    same = sorted((p for p in measured if p["rate"] == usual), key=lambda p: p["symbols"])
    first, last = same[0], same[-1]
    if first["symbols"] == last["symbols"]:
        return None
    return round(last["cores"] / last["symbols"] / (first["cores"] / first["symbols"]), 3)


def _attempt(market: Market, load: Load, duration_s: float) -> dict[str, Any]:
    def say(text: str) -> None:
        print(f"{load.symbols} symbols at {load.rate:g}/s: {text}", file=sys.stderr, flush=True)

    say("starting")
    try:
        point = measure(market, load, duration_s, say)
    except (RunFailed, OSError, KeyError, ValueError) as error:
        say(f"failed: {error}")
        return {**asdict(load), FAILED: str(error) or repr(error)}
    return asdict(point)


def _options() -> argparse.Namespace:
    data = Path(os.environ.get("ALPHAPLUS_DATA", "../shared/data"))
    summary, _, usage = (__doc__ or "").partition("\n")
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.scale",
        description=summary,
        epilog=usage,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--symbols", type=parse_points, default=parse_points("10,25,50,100"), help="see above"
    )
    parser.add_argument("--rate", type=float, default=10.0, help="depth messages/s of a symbol")
    parser.add_argument("--duration", type=float, default=60.0, help="seconds of each point")
    parser.add_argument("--capture", type=Path, default=data / DEFAULT)
    parser.add_argument("--streams", default="depth", help="with commas; see feeds.streams")
    parser.add_argument("--json", action="store_true", help="JSON lines, no table")
    return parser.parse_args()


def _print(points: Sequence[dict[str, Any]]) -> None:
    table = Table(*(title for _, title in COLUMNS))
    for point in points:
        cells = [point.get(name) for name, _ in COLUMNS]
        table.add_row(*("-" if cell is None else f"{cell:,}" for cell in cells))
    Console().print(table)
    for point in points:
        if FAILED in point:
            Console().print(f"{point['symbols']} symbols failed: {point[FAILED]}")


if __name__ == "__main__":
    main()

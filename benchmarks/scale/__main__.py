"""What a fleet costs as it grows: the whole system at several numbers of symbols.

    python -m benchmarks.scale --symbols 10,25,50,100 --rate 10 --json
        [--capture FILE] [--duration 60] [--streams depth]

Each point is `alphaplus up` on a recording that the local venue plays under as many names, at
the speed at which a name has `--rate` depth messages a second. Venue, database, Ray and API run
on the same processors. Latency is from the socket to the published analysis; MB are proportional
set sizes while data flows, the largest of what was seen.
"""

import argparse
import json
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from benchmarks.scale.point import Point, depth_rate, measure

DEFAULT: Final = "captures/binance_usdm_btcusdt_20240808.raw.gz"
COLUMNS: Final = (
    ("symbols", "symbols"),
    ("start_s", "start s"),
    ("messages_per_s", "messages/s"),
    ("dropped", "dropped"),
    ("gaps", "gaps"),
    ("p50_ms", "p50 ms"),
    ("p99_ms", "p99 ms"),
    ("cpu_per_s", "cores used"),
    ("mb_per_symbol", "MB/symbol"),
    ("mb", "MB"),
)


def main() -> None:
    """Measure every point, and print what was found."""
    options = _options()
    if not options.capture.is_file():
        sys.exit(f"Expected --capture to be a recording, was {options.capture}; name one.")
    speed = options.rate / depth_rate(options.capture)
    points = []
    for symbols in options.symbols:
        print(f"{symbols} symbols for {options.duration:g} s", file=sys.stderr, flush=True)
        points.append(
            measure(options.capture, symbols, speed, options.duration, options.streams.split(","))
        )
    if options.json:
        print(json.dumps(_as_json(options, points)))
    else:
        _print(points)


def _options() -> argparse.Namespace:
    data = Path(os.environ.get("ALPHAPLUS_DATA", "../shared/data"))
    summary, _, usage = (__doc__ or "").partition("\n")
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.scale",
        description=summary,
        epilog=usage,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--symbols", type=_counts, default=(10, 25, 50, 100))
    parser.add_argument("--rate", type=float, default=10.0, help="depth messages/s of a symbol")
    parser.add_argument("--duration", type=float, default=60.0, help="seconds of each point")
    parser.add_argument("--capture", type=Path, default=data / DEFAULT)
    parser.add_argument("--streams", default="depth", help="with commas; see feeds.streams")
    parser.add_argument("--json", action="store_true", help="one JSON object, no table")
    return parser.parse_args()


def _counts(text: str) -> tuple[int, ...]:
    counts = tuple(int(part) for part in text.split(","))
    if not all(1 <= count <= 1000 for count in counts):
        raise argparse.ArgumentTypeError(f"Expected numbers from 1 to 1000, was {text}.")
    return counts


def _as_json(options: argparse.Namespace, points: list[Point]) -> dict[str, Any]:
    per_symbol = {point.symbols: point.cpu_per_s / point.symbols for point in points}
    low, high = min(per_symbol), max(per_symbol)
    return {
        "rate": options.rate,
        "duration_s": options.duration,
        "streams": options.streams,
        "cpus": os.cpu_count(),
        "points": [asdict(point) for point in points],
        "cost_of_a_symbol_at_the_last_over_the_first": round(per_symbol[high] / per_symbol[low], 3),
    }


def _print(points: list[Point]) -> None:
    table = Table(*(title for _, title in COLUMNS))
    for point in points:
        row = asdict(point)
        table.add_row(*("-" if row[name] is None else f"{row[name]:,}" for name, _ in COLUMNS))
    Console().print(table)


if __name__ == "__main__":
    main()

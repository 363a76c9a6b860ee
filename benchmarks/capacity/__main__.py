"""What a fleet of a size takes, from what fleets were measured to take.

    python -m benchmarks.capacity --json [--points FILE] [--symbols 1000] [--venues 10]
        [--rate 10] [--levels 68] [--no-store-levels] [--busy 0.7]

Reads measured points (the checked-in table, or `--points` with the output of
`python -m benchmarks.scale --json`), fits a linear cost model to them and shows how far it is off,
simulates the queues of each point and shows the latency beside the measured one, and adds up what
the wished fleet takes: nodes, memory, network, database, and what the venues allow.

`--keep` writes the points to the checked-in table, which docs/scaling.md is made of by
`make docs`; give the command that made them with `--by`.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from alphaplus.errors import ConfigError
from benchmarks.capacity.page import page
from benchmarks.capacity.plan import Wish
from benchmarks.capacity.points import MEASURED, commands, cpus_of, keep, read_points
from benchmarks.capacity.report import report


def main() -> None:
    """Calculate and print."""
    options = _options()
    try:
        points = read_points(options.points)
        if options.keep:
            keep(options.points, options.by)
        found = report(points, _wish(options), cpus_of(options.points))
    except ConfigError as error:
        sys.exit(str(error))
    made_by = options.by or (commands() if options.points == MEASURED else [str(options.points)])
    print(json.dumps(found) if options.json else page(found, made_by))


def _wish(options: argparse.Namespace) -> Wish:
    return Wish(
        symbols=options.symbols,
        venues=options.venues,
        rate=options.rate,
        levels=options.levels,
        store_levels=options.store_levels,
        busy=options.busy,
    )


def _options() -> argparse.Namespace:
    summary, _, usage = (__doc__ or "").partition("\n")
    usual = Wish()
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.capacity",
        description=summary,
        epilog=usage,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--points", type=Path, default=MEASURED, help="see above")
    parser.add_argument("--symbols", type=int, default=usual.symbols)
    parser.add_argument("--venues", type=int, default=usual.venues, help="of each symbol")
    parser.add_argument("--rate", type=float, default=usual.rate, help="messages/s of a book")
    parser.add_argument("--levels", type=float, default=usual.levels, help="of a message")
    parser.add_argument("--store-levels", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--busy", type=float, default=usual.busy, help="share of cores in use")
    parser.add_argument("--keep", action="store_true", help="make the points the checked-in table")
    parser.add_argument("--by", action="append", help="a command that made the points")
    parser.add_argument("--json", action="store_true", help="one JSON object, no tables")
    options = parser.parse_args()
    checks: dict[str, Any] = {
        "--symbols from 1 to 100,000": 1 <= options.symbols <= 100_000,
        "--venues from 1 to 100": 1 <= options.venues <= 100,
        "--rate and --levels above 0": options.rate > 0 and options.levels > 0,
        "--busy above 0.1 and at most 1": 0.1 < options.busy <= 1,
        "--by with --keep": bool(options.by) or not options.keep,
    }
    for expected, holds in checks.items():
        if not holds:
            parser.error(f"expected {expected}")
    return options


if __name__ == "__main__":
    main()

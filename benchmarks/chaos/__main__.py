"""Kill, drop, reorder, corrupt and stall by a seed, then compare everything.

    python -m benchmarks.chaos --seed 1 --json [--duration 120] [--symbols 6] [--per-actor 3]
        [--capture FILE]

Runs the whole system on a recording (`--capture`, default the USD-M recording of ALPHAPLUS_DATA;
`--generated` for an invented market) in folders and on ports of its own. For `--duration` seconds
it kills actors of symbols, feeds, store and portfolio, the database and the job, while the venue
drops, doubles, reorders, tears and falsifies frames, stalls and closes sockets, fails at REST and
goes away. Then the faults end, all of Ray is killed once, and when all is calm it compares:

- every book with the venue's own, by a hash of all levels within the range that the book knows;
- the measures of depth with those of the venue's book, within 1e-9;
- every row that the store has acknowledged with the database, key by key;
- the positions of a portfolio with those set before.

Exit code 0 if books, rows and positions are right, 1 otherwise.
"""

import argparse
import json
import os
import secrets
import sys
from pathlib import Path
from typing import Final

CAPTURE: Final = "captures/binance_usdm_btcusdt_20240808.raw.gz"
RAY: Final = {
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # loopback stays loopback, as where Ray is started
    "RAY_ENABLE_AUTO_CONNECT": "0",  # who asks while Ray is down gets an error
    "RAY_IGNORE_UNHANDLED_ERRORS": "1",  # an answer that came too late is nobody's
    "RAY_AUTH_MODE": "token",
}
"""What Ray reads when it is imported."""


def main() -> None:
    """Run once and print what was found."""
    data = Path(os.environ.get("ALPHAPLUS_DATA", "../shared/data"))
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="one line of JSON")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--duration", type=float, default=120.0, help="seconds of chaos")
    parser.add_argument("--symbols", type=int, default=6)
    parser.add_argument("--per-actor", type=int, default=1, help="symbols that share an actor")
    parser.add_argument("--capture", type=Path, default=data / CAPTURE)
    parser.add_argument("--generated", action="store_true", help="an invented market")
    options = parser.parse_args()
    if not options.generated and not options.capture.is_file():
        parser.error(f"{options.capture} is no recording; name one, or take --generated")
    for name in ("symbols", "per_actor"):
        if getattr(options, name) < 1:
            parser.error(f"--{name.replace('_', '-')} cannot be less than 1")
    options.capture = options.capture.absolute()
    os.environ |= {**RAY, "RAY_AUTH_TOKEN": secrets.token_hex(16)}
    from benchmarks.chaos.run import is_right, run  # only now, as it imports Ray

    found = run(options)
    print(json.dumps(found) if options.json else json.dumps(found, indent=2))
    sys.exit(0 if is_right(found) else 1)


if __name__ == "__main__":
    main()

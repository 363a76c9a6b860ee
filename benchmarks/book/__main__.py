"""AlphaPlus beside other order books, on one recording in one run.

python -m benchmarks.book --capture FILE [--json]
    [--peers-python PYTHON]      an interpreter that has the peers which are absent in this one
    [--contenders NAME ...] [--tasks NAME ...] [--rounds 5] [--messages N] [--clock cpu]

Peers: python3.13 -m venv .venv-peers && .venv-peers/bin/pip install -r benchmarks/book/peers.txt
(`.venv-peers` is found without --peers-python), or pip install '.[bench]' for those that can
be installed beside AlphaPlus. Absent peers are skipped, saying so.
"""

import argparse
import json
import os
import platform
import shutil
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from alphaplus.errors import AlphaPlusError
from benchmarks.book.contenders.registry import CONTENDERS
from benchmarks.book.inputs import Details
from benchmarks.book.ratios import Claim, claims
from benchmarks.book.report import print_report
from benchmarks.book.rounds import REPOSITORY, Outcome, Plan, run
from benchmarks.book.tasks import Task
from benchmarks.book.workload import read_workload, write_inputs

DEFAULT: Final = "captures/binance_usdm_btcusdt_20240808.raw.gz"
PEERS_PYTHON: Final = REPOSITORY / ".venv-peers" / "bin" / "python"


def main() -> None:
    """Read the recording, run all contenders, print what was found."""
    options = _options()
    with tempfile.TemporaryDirectory(prefix="alphaplus-bench-") as name:
        folder = Path(name)
        try:
            workload = read_workload(options.capture, max_messages=options.messages)
        except AlphaPlusError as error:
            sys.exit(str(error))
        details = write_inputs(workload, options.capture, folder, batch=options.batch)
        load = os.getloadavg()[0]
        outcome = run(_plan(options, folder, details))
    found = claims(outcome.results, outcome.frames_of_all)
    if options.json:
        print(json.dumps(_as_json(options, details, outcome, found, load)))
    else:
        print_report(details, outcome, found)


def _options() -> argparse.Namespace:
    data = Path(os.environ.get("ALPHAPLUS_DATA", "../shared/data"))
    summary, _, usage = (__doc__ or "").partition("\n")
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.book",
        description=summary,
        epilog=usage,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--capture", type=Path, default=data / DEFAULT, help="a .raw.gz recording")
    parser.add_argument("--json", action="store_true", help="one JSON object, no table")
    parser.add_argument(
        "--peers-python",
        default=None,
        metavar="PYTHON",
        help="where to run peers that are absent here",
    )
    parser.add_argument("--contenders", nargs="*", choices=CONTENDERS, default=list(CONTENDERS))
    parser.add_argument("--tasks", nargs="*", type=Task, choices=list(Task), default=list(Task))
    parser.add_argument("--rounds", type=int, default=5, help="the median of these counts")
    parser.add_argument("--seconds", type=float, default=0.2, help="least time of a figure a round")
    parser.add_argument("--batch", type=int, default=1000, help="messages in a batch")
    parser.add_argument("--messages", type=int, default=None, help="only so many messages")
    parser.add_argument("--clock", choices=["wall", "cpu"], default="wall")
    parser.add_argument("--books", type=int, default=50, help="books built for memory; 0: none")
    parser.add_argument("--starts", type=int, default=3, help="starts to measure; 0: none")
    parser.add_argument("--no-cold", action="store_true", help="no start with an empty cache")
    options = parser.parse_args()
    for name in ("rounds", "batch"):
        if getattr(options, name) < 1:
            parser.error(f"Expected --{name} of at least 1, was {getattr(options, name)}.")
    if options.messages is not None and options.messages < 1:
        parser.error(f"Expected --messages of at least 1, was {options.messages}.")
    if options.peers_python is not None and shutil.which(options.peers_python) is None:
        parser.error(f"Expected an interpreter, was {options.peers_python}; see --help.")
    return options


def _plan(options: argparse.Namespace, folder: Path, details: Details) -> Plan:
    given = options.peers_python or (str(PEERS_PYTHON) if PEERS_PYTHON.exists() else None)
    return Plan(
        folder=folder,
        tick_size=details.tick_size,
        contenders=options.contenders,
        tasks=options.tasks,
        interpreters=[sys.executable, given] if given else [sys.executable],
        rounds=options.rounds,
        min_seconds=options.seconds,
        clock=options.clock,
        books=options.books,
        starts=options.starts,
        cold=not options.no_cold,
    )


def _as_json(
    options: argparse.Namespace,
    details: Details,
    outcome: Outcome,
    found: dict[str, Claim],
    load: float,
) -> dict[str, Any]:
    return {
        "benchmark": "book",
        "capture": options.capture.name,
        "symbol": details.symbol,
        "messages": details.messages,
        "level_updates": details.level_updates,
        "rounds": options.rounds,
        "batch": options.batch,
        "clock": options.clock,
        "machine": {
            "cpus": os.cpu_count(),
            "platform": platform.platform(),
            "load_at_start": round(load, 2),
        },
        "contenders": {name: _rounded(r.as_dict()) for name, r in outcome.results.items()},
        "skipped": outcome.skipped,
        "ratios": {
            name: _rounded(asdict(claim)) | {"reached": claim.reached}
            for name, claim in found.items()
        },
    }


def _rounded(value: Any) -> Any:
    """Return the value with floats of five significant digits."""
    if isinstance(value, float):
        return float(f"{value:.5g}")
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    return value


if __name__ == "__main__":
    main()

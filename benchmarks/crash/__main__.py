"""Kill writer and database in mid-stream, then compare what was accepted with what is stored.

python -m benchmarks.crash [--kills 10] [--database-kills 4] [--seed 1] [--json]
    [--programs DIR --preload timescaledb]

The server is always one of our own, as it is killed. `--programs` names the `bin` directory of
another PostgreSQL than the embedded one, for example one that has TimescaleDB.
"""

import argparse
import asyncio
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from alphaplus.storage.binaries import binaries_in
from alphaplus.storage.postgres import EmbeddedPostgres
from benchmarks.crash.run import Crash, Outcome
from benchmarks.storage.database import open_folder


def crash(
    *, seed: int, kills: int, database_kills: int, programs: Path | None = None, preload: str = ""
) -> Outcome:
    """Do one run on a server of its own."""
    binaries = None if programs is None else binaries_in(programs)
    if programs is not None and binaries is None:
        raise SystemExit(f"Expected the programs of PostgreSQL in {programs}, was none.")
    settings = {"shared_preload_libraries": preload} if preload else {}
    with open_folder() as folder:
        server = EmbeddedPostgres(folder / "database", binaries=binaries, settings=settings)
        run = Crash(server, folder, seed, kills, database_kills)
        try:
            return asyncio.run(run.run())
        finally:
            server.stop()


def main() -> None:
    """Do one run, print what came of it; exit code 1 unless every row is there, once."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=10, help="of the writer")
    parser.add_argument("--database-kills", type=int, default=4)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--programs", type=Path, help="bin directory of the server to use")
    parser.add_argument("--preload", default="", help="its shared_preload_libraries")
    parser.add_argument("--json", action="store_true", help="one line of JSON")
    options = vars(parser.parse_args())
    as_json = options.pop("json")
    outcome = crash(**options)
    found: dict[str, Any] = asdict(outcome)
    verdict = found.pop("verdict")
    result = {"benchmark": "crash", "seed": options["seed"], **found, **verdict}
    result["exact"] = outcome.verdict.is_exact
    print(json.dumps(result) if as_json else json.dumps(result, indent=2))
    sys.exit(0 if outcome.verdict.is_exact else 1)


if __name__ == "__main__":
    main()

"""A fleet on a cluster of machines: `python -m tests.nodes.scenario ADDRESS FOLDER`.

It says where everybody listens and whether books are right, waits for a line while a machine is
killed, and says it again once all are fresh. At the end it drains and compares all rows.
"""

import asyncio
import json
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import ray

from actors import names
from alphaplus.storage.migrations import migrate
from alphaplus.storage.postgres import EmbeddedPostgres
from alphaplus.streams import EventSender, StreamKeys
from benchmarks.chaos.books import compare_books
from benchmarks.chaos.rows import compare_rows
from benchmarks.chaos.run import listed_instruments
from benchmarks.chaos.system import ask
from benchmarks.own_output import own_output
from tests.fleet.conftest import Fleet, running_fleet, until
from tests.fleet.test_recovery import all_fresh
from tests.streams.helpers import numbered

PATIENCE_S = 120.0


OUT = own_output() if __name__ == "__main__" else sys.stdout


def say(**told: Any) -> None:
    print(json.dumps(told), file=OUT, flush=True)


def endpoints(fleet: Fleet) -> dict[str, list[str]]:
    """Return address and socket file of everybody who receives."""
    asked = [names.symbol_name(symbol) for symbol in fleet.symbols] + [names.PORTFOLIO]
    found = {name: ray.get(names.member(name).ready.remote(), timeout=10) for name in asked}
    return {name: [item.address, item.near] for name, item in found.items()}


def are_books_right(fleet: Fleet) -> bool:
    """Compare every book, and its measures of depth, with the venue's."""
    listed = asyncio.run(listed_instruments(fleet.venue_url))
    found = compare_books(
        {symbol: listed[symbol] for symbol in fleet.symbols},
        fleet.venue,
        lambda symbol, *words: ask(names.symbol(symbol), *words),
    )
    return bool(found["books_equal"] == len(fleet.symbols) and not found["measures_apart"])


def holes(fleet: Fleet) -> int:
    reports = [names.symbol(symbol).report.remote() for symbol in fleet.symbols]
    return sum(int(item["holes"]) for item in ray.get(reports, timeout=10))


def stranger_sent(fleet: Fleet) -> int:
    """Return how many events somebody without the fleet's keys gets rid of in two seconds."""
    endpoint = ray.get(names.symbol(fleet.symbols[0]).ready.remote(), timeout=10)
    with EventSender(endpoint, name="spy", exchange="binance", keys=StreamKeys.generate()) as spy:
        spy.send(numbered(1, 1))
        give_up = time.monotonic() + 2
        while time.monotonic() < give_up:
            spy.pump()
            time.sleep(0.01)
        return spy.counters.sent


def is_whole(fleet: Fleet) -> bool:
    """Say whether everybody lives and is fresh, by their own word."""
    try:
        endpoints(fleet)
    except (ray.exceptions.RayError, LookupError):
        return False
    return all_fresh(fleet)


def run(address: str, folder: Path) -> None:
    ray.init(address=address, namespace=names.NAMESPACE, log_to_driver=False)
    server = EmbeddedPostgres(folder / "pg")
    dsn = server.start()
    try:
        asyncio.run(migrate(dsn))
        storage = {"data_dir": folder, "accepted_log": folder / "accepted"}
        with running_fleet(dsn, folder, ["--symbols=2", "--seed=12"], storage=storage) as fleet:
            until(lambda: is_whole(fleet), PATIENCE_S)
            say(
                endpoints=endpoints(fleet),
                right=are_books_right(fleet),
                holes=holes(fleet),
                stranger_sent=stranger_sent(fleet),
            )
            sys.stdin.readline()
            killed = time.monotonic()
            until(lambda: is_whole(fleet), PATIENCE_S)
            recovered_s = time.monotonic() - killed
            say(
                endpoints=endpoints(fleet),
                right=are_books_right(fleet),
                recovered_s=round(recovered_s, 1),
            )
            report = fleet.drain()
            found = asdict(asyncio.run(compare_rows(dsn, folder / "accepted")))
            say(rows=found, dropped=sum(item["dropped_events"] for item in report["feeds"]))
    finally:
        server.stop()
        ray.shutdown()


if __name__ == "__main__":
    run(sys.argv[1], Path(sys.argv[2]))

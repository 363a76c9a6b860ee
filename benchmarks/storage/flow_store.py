"""The store of `benchmarks.storage.flow`: the class behind the fleet's actor, without Ray.

python -m benchmarks.storage.flow_store DSN SPOOL SOCKETS: prints its address as JSON, then its
report for every line of its input; at the end of that it writes what is left and reports once more.
"""

import asyncio
import json
import sys
from pathlib import Path
from typing import Final

from actors.store import Store
from actors.stream_plan import StreamPlan
from alphaplus.config import Storage
from alphaplus.streams import LatestReceiver

DRAIN_S: Final = 600.0


async def main(dsn: str, spool: str, sockets: str) -> None:
    """Store until standard input ends."""
    settings, streams = Storage(), StreamPlan(directory=Path(sockets))
    store = Store(
        0,
        dsn,
        Path(spool),
        streams,
        flush_rows=settings.flush_rows,
        flush_ms=settings.flush_ms,
        max_spool_mb=settings.max_spool_mb,
    )
    board = LatestReceiver(streams.here())
    endpoint = await store.start(board.endpoint)
    print(json.dumps({"address": endpoint.address}), flush=True)
    while await asyncio.to_thread(sys.stdin.readline):
        print(json.dumps(store.report()), flush=True)
    report = await store.drain(DRAIN_S, DRAIN_S)
    await store.close()
    board.close()
    print(json.dumps(report), flush=True)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))

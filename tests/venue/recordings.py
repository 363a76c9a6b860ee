"""Recordings made up for tests: a generated market written down as it would be received."""

import gzip
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from alphaplus.venue.generated_market import SymbolMarket, SymbolProfile
from alphaplus.venue.protocol import Channel, depth_snapshot

START_NS = 1_700_000_000_000_000_000
STEP_NS = 100_000_000
PROFILE = SymbolProfile(61_800.0, 1, 3, 1_500_000.0, 0.55)
_STREAMS = {
    Channel.DEPTH: "depth@0ms",
    Channel.BOOK_TICKER: "bookTicker",
    Channel.TRADE: "trade",
    Channel.FORCE_ORDER: "forceOrder",
}


def recorded_lines(steps: int, symbol: str = "BTCUSDT", snapshot_after: int = 3) -> list[bytes]:
    """Return a recording whose book was received after some steps, and is two steps old."""
    market = SymbolMarket(symbol, PROFILE, np.random.default_rng(3))
    lines: list[bytes] = []
    snapshot = b""
    for step in range(steps):
        time_ns = START_NS + step * STEP_NS
        for number, (channel, payload) in enumerate(market.step(0.1, time_ns // 1_000_000)):
            stream = f"{symbol.lower()}@{_STREAMS[channel]}".encode()
            frame = b'{"stream":"%s","data":%s}' % (stream, payload)
            lines.append(b"%d %s" % (time_ns + number * 1_000_000, frame))
        if step == max(0, snapshot_after - 2):
            bids, asks = market.levels(1000)
            snapshot = depth_snapshot(market.sequence, time_ns // 1_000_000, bids, asks)
        if step == snapshot_after:
            lines.append(b"%d %s" % (time_ns + 90_000_000, snapshot))
    return lines


def write_recording(path: Path, lines: Iterable[bytes]) -> Path:
    """Write lines as a `.raw.gz` file."""
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.writelines(line + b"\n" for line in lines)
    return path

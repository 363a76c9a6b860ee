"""A warm market compiles nothing more, whatever a venue then sends."""

import subprocess
import sys
import textwrap
from pathlib import Path

from tests.conftest import REPOSITORY

PROGRAM = textwrap.dedent(
    """
    import sys
    from pathlib import Path

    from alphaplus.analysis import views
    from alphaplus.analysis.analyzer import Analyzer
    from alphaplus.analysis.market import Market
    from alphaplus.analysis.market_risk import market_risk
    from alphaplus.event_latencies import EventLatencies
    from alphaplus.events import FeedStatus, status_event
    from alphaplus.feeds.capture import RawCapture
    from alphaplus.feeds.discover import discover
    from alphaplus.feeds.market_feed import MarketFeed
    from alphaplus.jit import variants
    from alphaplus.kernels import compile_all

    compile_all()
    capture = RawCapture.read(Path(sys.argv[1]))
    found = discover(capture.frames)
    warm = variants()
    feed = MarketFeed(found.instruments)
    market = Market(found.instruments[0], Analyzer(found.instruments[0]), stale_after_ms=1.0)
    latencies = EventLatencies()
    for at in range(0, 20_000, 7):
        part = slice(at, at + 7)
        output = feed.on_frames(capture.frames[part], capture.ts_recv[part], found.hints[part])
        for batch in output.batches:
            market.apply(batch.events)
            latencies.record(batch.events, 1)
        if at % 700 == 0:
            views.analysis(market, 0)
            views.state(market, 0)
            market_risk(market, market.ts_recv)
            if market.mid is not None:
                views.liquidity(market, 1e6, 0)
    market.apply(status_event(FeedStatus.DISCONNECTED, ts_recv=1))
    new = {name: count for name, count in variants().items() if warm.get(name) != count}
    assert not new, f"compiled while data waited: {new}"
    """
)


def test_nothing_is_compiled_while_data_waits(data_dir: Path) -> None:
    recording = data_dir / "captures" / "binance_usdm_btcusdt_20240808.raw.gz"
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(recording)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=250,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]

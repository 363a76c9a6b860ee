"""How AlphaPlus takes all measures: the one place to change when that changes."""

from collections.abc import Callable

from alphaplus.events import EventArray
from alphaplus.instruments import Instrument

STALE_AFTER_MS = 5_000.0


def measures_of(instrument: Instrument) -> Callable[[EventArray], object]:
    """Return what takes the events of a feed and keeps book, audit and measures."""
    from alphaplus.analysis.analyzer import Analyzer
    from alphaplus.analysis.market import Market
    from alphaplus.config import Storage

    # Those of the last book as often as a fleet takes them for its rows, read or not.
    every_ms = Storage().analysis_interval_ms
    analyzer = Analyzer(instrument, every_ms=every_ms)
    return Market(instrument, analyzer, stale_after_ms=STALE_AFTER_MS).apply

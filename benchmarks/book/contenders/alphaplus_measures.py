"""How AlphaPlus takes all measures: the one place to change when that changes."""

from collections.abc import Callable

from alphaplus.events import EventArray
from alphaplus.instruments import Instrument

STALE_AFTER_MS = 5_000.0


def measures_of(instrument: Instrument) -> Callable[[EventArray], object]:
    """Return what takes the events of a feed and keeps book, audit and measures."""
    from alphaplus.analysis.analyzer import Analyzer
    from alphaplus.analysis.market import Market

    # Eager: every measure takes each of its turns, whether somebody reads it or not.
    analyzer = Analyzer(instrument, eager=True)
    return Market(instrument, analyzer, stale_after_ms=STALE_AFTER_MS).apply

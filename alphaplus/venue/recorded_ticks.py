"""The prices of a recording, line by line, as candles can be made of them."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import orjson

from alphaplus.venue.candles import CandleArray, of_ticks
from alphaplus.venue.protocol import Channel
from alphaplus.venue.recording import Recording


@dataclass(frozen=True, slots=True)
class Ticks:
    """Prices in the order of the recording, by the time they were received."""

    lines: npt.NDArray[np.int64]
    """The line of each."""
    candles: CandleArray
    """A candle of each alone."""


def traded_ticks(recording: Recording) -> Ticks:
    """Return the trades."""
    trades = recording.trades
    return _ticks(recording, trades.line, trades.price, trades.quantity)


def mark_ticks(recording: Recording) -> Ticks:
    """Return the mark prices; none if they were not recorded."""
    lines = [n for n, channel in enumerate(recording.channels) if channel == Channel.MARK_PRICE]
    symbol = recording.symbol.encode()
    prices = [float(orjson.loads(recording.json(line, symbol))["p"]) for line in lines]
    return _ticks(recording, lines, prices, [0.0] * len(lines))


def _ticks(
    recording: Recording, lines: list[int], prices: list[float], quantities: list[float]
) -> Ticks:
    times = np.array([recording.times[line] for line in lines], dtype=np.int64) // 1_000_000
    return Ticks(
        np.array(lines, dtype=np.int64),
        of_ticks(times, np.array(prices, np.float64), np.array(quantities, np.float64)),
    )

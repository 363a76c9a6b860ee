"""The shape of the book after every depth message of the shared recordings, read once a run."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from alphaplus.analysis.book_levels import BookLevels
from alphaplus.analysis.cost import NOTIONALS, cost_curve, round_trip_bps
from alphaplus.analysis.depth import depth_profile
from alphaplus.analysis.distance import Distances
from alphaplus.analysis.distance_weighted_imbalance import DistanceWeightedImbalance
from alphaplus.analysis.liquidity_score import liquidity_scores
from alphaplus.analysis.spread import spread_bps
from alphaplus.book import L2Book
from alphaplus.events import Flag, Kind
from tests.book import captures

READERS = {"perp": captures.perpetual, "spot": captures.spot}


@dataclass(frozen=True)
class Shapes:
    """Arrays of one entry, or one row, for each applied depth message."""

    first: BookLevels
    last: BookLevels
    spread_bps: npt.NDArray[np.float64]
    spread_ticks: npt.NDArray[np.float64]
    depths: npt.NDArray[np.float64]
    """Shape (messages, 2, 3): bids and asks within 1, 10 and 25 bps."""
    round_trips_bps: npt.NDArray[np.float64]
    """Shape (messages, 4): of the four notionals."""
    score_book: npt.NDArray[np.float64]
    weighted: npt.NDArray[np.float64]
    """Shape (messages, 3): DWI at lengths of 1, 5 and 25 bps."""


@cache
def shapes(data_dir: Path, market: str) -> Shapes:
    recording = READERS[market](data_dir)
    events = recording.events[recording.events["kind"] != Kind.BOOK_TICKER]
    ends = np.flatnonzero((events["flags"] & Flag.LAST) != 0) + 1
    book = L2Book(recording.instrument)
    distances = Distances("distances_bps", (1.0, 10.0, 25.0))
    weighing = DistanceWeightedImbalance(recording.instrument)
    first = last = None
    rows: list[list[float]] = []
    for begin, end in zip([0, *ends[:-1]], ends, strict=True):
        book.apply(events[begin:end])
        if events["kind"][end - 1] == Kind.SNAPSHOT_END:
            continue
        last = BookLevels.of(book)
        assert last is not None
        first = first or last
        bid, ask = int(last.bids.ticks[0]), int(last.asks.ticks[0])
        profile = depth_profile(last, distances)
        curve = cost_curve(last, NOTIONALS)
        trips = [round_trip_bps(*pair) for pair in zip(curve.buys, curve.sells, strict=True)]
        weighing.observe(last)
        rows.append(
            [
                spread_bps(bid, ask),
                ask - bid,
                *profile.bid_notionals,
                *profile.ask_notionals,
                *(np.nan if trip is None else trip for trip in trips),
                liquidity_scores(last).total.score_book,
                *weighing.values().values(),
            ]
        )
    assert first is not None
    assert last is not None
    assert len(rows) == recording.messages
    table = np.array(rows)
    return Shapes(
        first=first,
        last=last,
        spread_bps=table[:, 0],
        spread_ticks=table[:, 1],
        depths=table[:, 2:8].reshape(-1, 2, 3),
        round_trips_bps=table[:, 8:12],
        score_book=table[:, 12],
        weighted=table[:, 13:16],
    )

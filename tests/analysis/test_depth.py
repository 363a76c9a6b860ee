"""Depth against its plain twin, an independent replay of Bitstamp, recordings, and edges."""

import csv
import gzip
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alphaplus.analysis.book_levels import side_levels
from alphaplus.analysis.depth import Depth, DepthBands, depth_profile, depth_within
from alphaplus.analysis.distance import Distances
from alphaplus.book import L2Book
from alphaplus.errors import ConfigError
from alphaplus.events import Flag, Kind, Side, empty_events
from alphaplus.instruments import Instrument
from tests.analysis import shape_twins as twins
from tests.analysis.shape_books import (
    INSTRUMENTS,
    LINEAR,
    UNIT,
    Ladder,
    ladders,
    levels_of,
    scaled,
)
from tests.analysis.shape_captures import shapes
from tests.book.events import snapshot

BPS = (0.5, 1.0, 2.5, 5.0, 10.0, 25.0, 50.0, 400.0)


@given(instrument=INSTRUMENTS, ladder=ladders(), reference=st.sampled_from(["mid", "best"]))
@settings(max_examples=150)
def test_equals_the_plain_twin(
    instrument: Instrument, ladder: tuple[Ladder, Ladder], reference: str
) -> None:
    book = levels_of(instrument, *ladder)
    distances = Distances("distances_bps", BPS)
    found = depth_profile(book, distances, "mid" if reference == "mid" else "best")
    middle = twins.mid(instrument, *ladder)
    for side, read, sign in ((ladder[0], found.bid, -1), (ladder[1], found.ask, 1)):
        measured = middle if reference == "mid" else twins.price(instrument, side[0][0])
        for i, bps in enumerate(BPS):
            exact = twins.depth(instrument, side, measured, bps)
            assert read(i).notional == pytest.approx(float(exact), rel=1e-12)
            edge = measured * (1 + sign * twins.Fraction(str(bps)) / 10_000)
            # The next level that there could be, one tick beyond the last one known.
            unseen = twins.price(instrument, side[-1][0] + sign)
            assert read(i).truncated == ((edge - unseen) * sign >= 0)


@given(instrument=INSTRUMENTS, ladder=ladders())
@settings(max_examples=50)
def test_array_form_gives_the_same(instrument: Instrument, ladder: tuple[Ladder, Ladder]) -> None:
    book = levels_of(instrument, *ladder)
    found = depth_profile(book, Distances("distances_bps", BPS))
    for side, notionals in ((book.bids, found.bid_notionals), (book.asks, found.ask_notionals)):
        plain = depth_within(side.prices, side.notionals, book.mid, BPS)
        assert notionals == pytest.approx(plain, rel=1e-12)
        assert (np.diff(notionals) >= 0).all()
        one = depth_within(side.prices, side.notionals, book.mid, BPS[3])
        assert one == pytest.approx(notionals[3], rel=1e-12)


def test_level_exactly_at_the_distance_counts() -> None:
    # Mid 10_000: one basis point is 1, which floats at 9_999 and 10_001 would round past.
    bids, asks = [(19_999, 1.0), (19_998, 1.0)], [(20_001, 1.0), (20_002, 1.0)]
    found = depth_profile(levels_of(LINEAR, bids, asks), Distances("bps", (0.5, 0.9, 1.0)))
    assert found.bid_notionals.tolist() == [9999.5, 9999.5, 19998.5]
    assert found.ask_notionals.tolist() == [10000.5, 10000.5, 20001.5]


def test_wide_spread_leaves_near_bands_empty() -> None:
    found = depth_profile(
        levels_of(UNIT, [(90, 1.0)], [(110, 1.0)]), Distances("bps", (10.0, 1000.0))
    )
    assert found.bid_notionals.tolist() == [0.0, 90.0]
    best = depth_profile(
        levels_of(UNIT, [(90, 1.0)], [(110, 1.0)]), Distances("bps", (10.0,)), "best"
    )
    assert (best.bid(0), best.ask(0)) == (Depth(90.0, False), Depth(110.0, False))


def test_depth_beyond_the_snapshot_is_a_lower_bound() -> None:
    book = levels_of(
        LINEAR,
        [(19_999, 1.0), (19_990, 1.0)],
        [(20_001, 1.0), (20_100, 1.0)],
        later=[(19_000, 5.0)],
    )
    found = depth_profile(book, Distances("bps", (1, 5, 50)))
    assert found.truncated[0].tolist() == [False, False, True]
    assert found.truncated[1].tolist() == [False, False, False]


def test_measure_gives_plain_values_by_distance() -> None:
    measure = DepthBands(UNIT, distances_bps=(100.0, 2.5))
    assert measure.values() == {"2.5": None, "100": None}
    assert measure.missing() == dict.fromkeys(("2.5", "100"), "a book with both sides")
    measure.observe(levels_of(UNIT, [(199, 2.0)], [(201, 1.0)]))
    assert measure.missing() == {}
    assert measure.values() == {
        "2.5": {"bid": 0.0, "ask": 0.0, "bid_truncated": False, "ask_truncated": False},
        "100": {"bid": 398.0, "ask": 201.0, "bid_truncated": True, "ask_truncated": True},
    }
    measure.interrupt()
    assert measure.values()["100"] is None


def test_measure_from_the_best_prices() -> None:
    measure = DepthBands(UNIT, distances_bps=(100.0,), reference="best")
    measure.observe(levels_of(UNIT, [(100, 2.0), (99, 1.0)], [(200, 1.0), (203, 1.0)]))
    assert measure.values()["100"]["bid"] == 299.0
    assert measure.values()["100"]["ask"] == 200.0


def test_wrong_parameters_are_refused() -> None:
    with pytest.raises(ConfigError, match="Expected distances_bps above 0"):
        DepthBands(UNIT, distances_bps=(0.0,))
    with pytest.raises(ConfigError, match='Expected reference "mid" or "best"'):
        DepthBands(UNIT, reference="touch")  # type: ignore[arg-type]


@given(ladder=ladders(), power=st.integers(1, 5))
@settings(max_examples=30)
def test_scaled_prices_scale_notionals(ladder: tuple[Ladder, Ladder], power: int) -> None:
    distances = Distances("bps", BPS)
    found = depth_profile(levels_of(LINEAR, *ladder), distances)
    other = depth_profile(levels_of(scaled(LINEAR, power), *ladder), distances)
    assert (other.bid_notionals == found.bid_notionals * 2**power).all()
    assert (other.ask_notionals == found.ask_notionals * 2**power).all()
    assert (other.truncated == found.truncated).all()


# ---- an independent replay, and the recordings


def test_replay_of_bitstamp_agrees_with_its_published_depth(data_dir: Path) -> None:
    """Best prices and the sum of twenty bins of 25 bps, from the row's own best price."""
    cents = Instrument(
        symbol="BTC-USD-SPOT",
        exchange="bitstamp",
        venue_symbol="btcusd",
        tick_size=Decimal("0.01"),
        lot_size=Decimal("0.01"),
    )
    updates = _rows(data_dir / "analysis/bitstamp_depth_20150501.csv.gz")
    expected = _rows(data_dir / "analysis/bitstamp_depth_summary_expected_A.csv.gz")
    events = empty_events(len(updates))
    events["kind"], events["flags"] = Kind.DEPTH, Flag.LAST
    events["price_tick"] = [round(100 * float(row["price"])) for row in updates]
    events["value"] = [float(row["volume"]) for row in updates]  # 1e-8 BTC: whole numbers
    events["side"] = [Side.BID if row["side"] == "bid" else Side.ASK for row in updates]
    stamps = np.array([float(row["timestamp"]) for row in updates])
    ends = np.searchsorted(stamps, [float(row["timestamp"]) for row in expected], side="right")
    book = L2Book(cents)
    book.apply(snapshot([]))
    counts = dict.fromkeys(("bid_price", "ask_price", "ask_best", "bid", "ask"), 0)
    for begin, end, row in zip([0, *ends[:-1]], ends, expected, strict=True):
        book.apply(events[begin:end])
        for side, name, sign in ((Side.BID, "bid", -1), (Side.ASK, "ask", 1)):
            levels = side_levels(cents, *book.levels(side), 0)
            best = float(row[f"best.{name}.price"])
            is_best = levels.ticks[0] == round(100 * best)
            counts[f"{name}_price"] += is_best
            if name == "ask":
                counts["ask_best"] += is_best and levels.quantities[0] == float(row["best.ask.vol"])
            outward = sign * (levels.prices - best) >= 0  # a crossed moment has better ones
            reach = 1e4 * abs(round((1 + 0.05 * sign) * best, 2) - best) / best
            total = depth_within(levels.prices[outward], levels.quantities[outward], best, reach)
            bins = [float(row[f"{name}.vol{25 * i}bps"]) for i in range(1, 21)]
            counts[name] += total == sum(bins)
    assert len(expected) == 4922
    assert counts["bid_price"] >= 4860
    assert counts["ask_price"] >= 4914
    assert counts["ask_best"] >= 4914
    assert counts["bid"] >= 4917
    assert counts["ask"] >= 4920


# Bids and asks within 1 and 10 bps after the first and the last depth message, quote currency.
REFERENCE = {
    "perp": (
        [[1597343.4771, 8189103.4572], [189052.6153, 7969671.6705]],
        [[635322.6163, 6484666.1630], [585031.3599, 7224056.0972]],
    ),
    "spot": (
        [[426960.347098, 2943314.0787058], [139179.2923427, 3067370.3601502]],
        [[857456.9153675, 2315962.6139056], [275283.8285725, 2947552.6027024]],
    ),
}
# Medians over all messages: bids and asks within 1, 10 and 25 bps, to the printed digits.
MEDIANS = {
    "perp": [[417.0e3, 8.025e6, 25.89e6], [451.0e3, 9.718e6, 51.37e6]],
    "spot": [[244.8e3, 2.426e6, 5.090e6], [291.7e3, 3.128e6, 6.998e6]],
}


@pytest.mark.parametrize("market", ["perp", "spot"])
def test_recordings_have_their_reference_depths(data_dir: Path, market: str) -> None:
    found = shapes(data_dir, market)
    for at, expected in zip((0, -1), REFERENCE[market], strict=True):
        assert found.depths[at, :, :2] == pytest.approx(np.array(expected), rel=1e-8)
    medians = np.median(found.depths, axis=0)
    assert medians == pytest.approx(np.array(MEDIANS[market]), rel=3e-4)
    for narrow, wide in pairwise(np.moveaxis(found.depths, 2, 0)):
        assert (narrow <= wide).all()


def _rows(path: Path) -> list[dict[str, str]]:
    with gzip.open(path, "rt") as file:
        return list(csv.DictReader(file))

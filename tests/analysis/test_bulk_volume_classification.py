"""Bulk-classified VPIN against a plain loop and the published summary of a data set."""

import gzip
import json
import math
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alphaplus.analysis.bulk_volume_classification import bought_volumes, bulk_vpin, time_bars
from alphaplus.errors import ConfigError

Floats = npt.NDArray[np.float64]


def plain_vpin(changes: Floats, volumes: Floats, bucket: float, window: int) -> list[float]:
    """Fill buckets bar by bar; return the means of |bought - sold| / bucket."""
    mean = sum(changes) / len(changes)
    sigma = math.sqrt(sum((x - mean) ** 2 for x in changes) / (len(changes) - 1))
    net, fill, found = 0.0, 0.0, []
    for change, volume in zip(changes.tolist(), volumes.tolist(), strict=True):
        share = 0.5 * (1 + math.erf(change / sigma / math.sqrt(2))) if sigma else 0.5
        left = volume
        while left > 1e-9 * bucket:
            take = min(left, bucket - fill)
            net, fill, left = net + take * (2 * share - 1), fill + take, left - take
            if fill >= bucket * (1 - 1e-9):
                found.append(abs(net) / bucket)
                net = fill = 0.0
    if fill > 1e-9 * bucket:
        found.append(abs(net) / bucket)
    return [sum(found[at - window + 1 : at + 1]) / window for at in range(window - 1, len(found))]


@given(
    bars=st.lists(st.tuples(st.integers(-5, 5), st.integers(0, 40)), min_size=2, max_size=40),
    bucket=st.sampled_from([3.0, 7.0, 50.0]),
)
@settings(max_examples=100)
def test_buckets_equal_a_plain_loop(bars: list[tuple[int, int]], bucket: float) -> None:
    changes, volumes = np.array(bars, dtype=np.float64).T
    found = bulk_vpin(changes, volumes, bucket, window=3)
    assert len(found) == math.ceil(volumes.sum() / bucket)
    expected = plain_vpin(changes, volumes, bucket, 3)
    assert found[2:].tolist() == pytest.approx(expected, abs=1e-9)
    assert np.isnan(found[:2]).all()
    known = found[~np.isnan(found)]
    assert ((known >= 0) & (known <= 1 + 1e-12)).all()


def test_bars_run_from_the_first_trade_to_the_last_on_days_with_trades() -> None:
    day = 19_000 * 86_400
    seconds = [day + 610, day + 899, day + 900, day + 3 * 86_400 + 299]
    times = np.array(seconds) * 1_000_000_000
    changes, volumes = time_bars(times, np.array([5.0, 7.0, 9.0, 1.0]), np.array([1.0, 2, 3, 4]))
    assert len(changes) == len(volumes) == 286 + 1
    assert (changes[0], changes.sum()) == (2.0, 2.0)
    assert volumes[[0, 1, -1]].tolist() == [3.0, 3.0, 4.0]
    assert volumes.sum() == 10.0
    empty = time_bars(np.empty(0, np.int64), np.empty(0), np.empty(0))
    assert [len(part) for part in empty] == [0, 0]


def test_bars_without_moves_are_bought_by_half() -> None:
    assert bought_volumes(np.zeros(3), np.array([2.0, 4.0, 0.0])).tolist() == [1.0, 2.0, 0.0]
    shares = bought_volumes(np.array([-1.0, 0.0, 1.0]), np.ones(3))
    assert shares.tolist() == pytest.approx([0.158655254, 0.5, 0.841344746], abs=1e-9)


def test_bad_parameters_are_refused() -> None:
    with pytest.raises(ConfigError, match="divide 86400"):
        time_bars(np.zeros(1, np.int64), np.ones(1), np.ones(1), bar_s=7)
    with pytest.raises(ConfigError, match="bucket_volume above 0"):
        bulk_vpin(np.zeros(1), np.ones(1), 0.0)


class PublishedSummary:
    """PINstimation 0.2.0, README: figures of vpin(hfdata, timebarsize=300), of 69 days."""

    def __init__(self, folder: Path, trades: str) -> None:
        self.expected = json.loads((folder / "vpin_hfdata_expected.json").read_text())
        if not (folder / trades).exists():
            pytest.skip(f"no {trades} in {folder}")
        with gzip.open(folder / trades) as file:
            rows = np.genfromtxt(file, delimiter=",", names=True)
        self.times_ns = np.round(rows["timestamp"] * 1e6).astype(np.int64) * 1000
        self.prices, self.volumes = rows["price"], rows["volume"]

    def figures(self) -> Floats:
        """The printed figures: minimum, first quartile, median, mean, third quartile, maximum."""
        return np.array(
            [self.expected[name] for name in ("min", "q1", "median", "mean", "q3", "max")]
        )

    def found(self, times_ns: npt.NDArray[np.int64]) -> Floats:
        """VPIN after each bucket, with the trades at these times."""
        changes, volumes = time_bars(times_ns, self.prices, self.volumes)
        return bulk_vpin(changes, volumes, self.expected["VBS"])


def summary(vpin: Floats) -> Floats:
    low, q1, median, q3, high = np.nanquantile(vpin, [0, 0.25, 0.5, 0.75, 1])
    return np.array([low, q1, median, np.nanmean(vpin), q3, high])


def test_published_summary(data_dir: Path) -> None:
    """With the trades' own times, every figure agrees to the last digit printed."""
    published = PublishedSummary(data_dir / "analysis", "vpin_hfdata_exact.csv.gz")
    found = published.found(published.times_ns)
    assert np.count_nonzero(np.isnan(found)) == published.expected["NA"]
    assert summary(found) == pytest.approx(published.figures(), abs=0.0006)


def test_published_summary_from_rounded_times(data_dir: Path) -> None:
    """Times of this file are rounded to seconds, which moves trades at a bar's edge to the next.

    353 trades stand on an edge, and half of them belong before it. So the times are drawn anew
    within their half seconds: the published figures must lie among those of the draws, and
    within 2 standard deviations of their mean. (The maximum's is 0.0018, the median's 0.0008.)
    """
    published = PublishedSummary(data_dir / "analysis", "vpin_hfdata_pinstimation.csv.gz")
    days = len(np.unique(published.times_ns // (86_400 * 1_000_000_000)))
    assert days == published.expected["ndays"]
    bucket = float(published.volumes.sum()) / days / 50
    assert bucket == pytest.approx(published.expected["VBS"], abs=0.001)
    rng = np.random.default_rng(1)
    draws = []
    for _ in range(100):
        shift = rng.integers(-500_000_000, 500_000_000, len(published.times_ns))
        # Trades of one second keep their order: it is known.
        found = published.found(np.sort(published.times_ns + shift))
        assert len(found) == 3450
        assert np.count_nonzero(np.isnan(found)) == published.expected["NA"]
        draws.append(summary(found))
    spread = np.std(draws, axis=0)
    assert (spread < 0.002).all()
    off = np.abs(published.figures() - np.mean(draws, axis=0))
    assert (off <= 2 * spread + 0.0005).all()
    assert (published.figures() >= np.min(draws, axis=0) - 0.0005).all()
    assert (published.figures() <= np.max(draws, axis=0) + 0.0005).all()


def test_buckets_of_the_data_set_equal_a_plain_loop(data_dir: Path) -> None:
    published = PublishedSummary(data_dir / "analysis", "vpin_hfdata_pinstimation.csv.gz")
    changes, volumes = time_bars(published.times_ns, published.prices, published.volumes)
    found = bulk_vpin(changes, volumes, published.expected["VBS"])
    plain = plain_vpin(changes, volumes, published.expected["VBS"], 50)
    assert found[49:].tolist() == pytest.approx(plain, abs=1e-9)

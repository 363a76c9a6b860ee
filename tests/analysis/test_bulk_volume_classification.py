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


def test_bars_cover_every_day_with_trades() -> None:
    day = 19_000 * 86_400
    times = np.array([day + 10, day + 299, day + 300, day + 3 * 86_400 + 86_399])
    changes, volumes = time_bars(times, np.array([5.0, 7.0, 9.0, 1.0]), np.array([1.0, 2, 3, 4]))
    assert len(changes) == len(volumes) == 2 * 288
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


def test_published_summary(data_dir: Path) -> None:
    """Figures of the README of PINstimation 0.2.0 for its own data set, 300-s bars.

    The times in the file are whole seconds. 353 trades stand in the first second of a bar, and
    the bar in which a trade counts decides its figures: moved one second back, they change
    the maximum by 0.0014 and the median by 0.0010. So the figures agree to 0.0013, and to
    0.004 at the maximum, where rounding to the printed digits alone would leave 0.0006.
    """
    text = (data_dir / "analysis/vpin_hfdata_expected.json").read_text()
    expected = json.loads(text)
    with gzip.open(data_dir / "analysis/vpin_hfdata_pinstimation.csv.gz") as file:
        rows = np.genfromtxt(file, delimiter=",", names=True)
    times = rows["timestamp"].astype(np.int64)
    days = len(np.unique(times // 86_400))
    bucket = float(rows["volume"].sum()) / days / 50
    assert days == expected["ndays"]
    assert bucket == pytest.approx(expected["VBS"], abs=0.001)
    changes, volumes = time_bars(times, rows["price"], rows["volume"])
    assert len(changes) == days * 288
    found = bulk_vpin(changes, volumes, bucket)
    assert len(found) == 3450
    assert np.count_nonzero(np.isnan(found)) == expected["NA"]
    quantiles = np.nanquantile(found, [0, 0.25, 0.5, 0.75, 1])
    assert quantiles[[0, 3]] == pytest.approx([expected["min"], expected["q3"]], abs=0.0006)
    names = ("q1", "median", "mean")
    summary = [quantiles[1], quantiles[2], np.nanmean(found)]
    assert summary == pytest.approx([expected[name] for name in names], abs=0.0013)
    assert quantiles[4] == pytest.approx(expected["max"], abs=0.004)
    assert found[49:].tolist() == pytest.approx(plain_vpin(changes, volumes, bucket, 50), abs=1e-9)

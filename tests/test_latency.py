import math
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alphaplus.latency import BINS, LatencyHistogram

latencies = st.lists(
    st.integers(-(10**6), 2 * 10**11)
    | st.integers(-10, 5000)
    | st.integers(0, 36).map(lambda n: 2**n),
    max_size=60,
)


def recorded(values):
    histogram = LatencyHistogram()
    histogram.record(np.array(values, dtype=np.int64))
    return histogram


@given(latencies)
def test_array_and_scalars_fill_the_same_bins(values):
    one_by_one = LatencyHistogram()
    for value in values:
        one_by_one.record(value)
    together = recorded(values)
    assert np.array_equal(one_by_one.counts, together.counts)
    assert (one_by_one.negative, one_by_one.above) == (together.negative, together.above)
    assert len(together) + together.negative == len(values)


@given(st.integers(1_000, 100 * 10**9), st.integers(1_000, 100 * 10**9))
def test_percentile_is_within_one_percent(value, other):
    low, high = sorted((value, other))
    histogram = recorded([low, value, high])
    exact = sorted([low, value, high])[1]
    assert histogram.percentile(50) == pytest.approx(exact, rel=0.01)
    assert histogram.percentile(0) == low
    assert histogram.percentile(100) == high


@given(st.lists(st.integers(1_000, 10**10), min_size=1, max_size=50), st.floats(0, 100))
def test_percentile_follows_the_nearest_rank(values, q):
    rank = max(1, math.ceil(q / 100 * len(values)))
    assert recorded(values).percentile(q) == pytest.approx(sorted(values)[rank - 1], rel=0.01)


@given(latencies, latencies)
def test_merge_equals_recording_everything_in_one(left, right):
    merged, whole = recorded(left) + recorded(right), recorded(left + right)
    assert np.array_equal(merged.counts, whole.counts)
    assert (merged.negative, merged.above) == (whole.negative, whole.above)
    for q in (0, 50, 99, 100):
        assert merged.percentile(q) == pytest.approx(whole.percentile(q), nan_ok=True)


@given(latencies)
def test_bytes_bring_everything_back(values):
    histogram = recorded(values)
    assert LatencyHistogram.from_bytes(histogram.to_bytes()) == histogram
    assert pickle.loads(pickle.dumps(histogram)) == histogram


def test_negative_and_huge_latencies_are_counted_apart():
    histogram = recorded([-1, 10**12])
    histogram.record(-7)
    histogram.record(10**12)
    assert (histogram.negative, histogram.above, len(histogram)) == (2, 2, 2)
    assert histogram.counts.sum() == 0
    assert histogram.percentile(50) == 10**12


def test_every_bin_is_reached_by_its_own_values():
    edges = np.unique(
        np.concatenate(
            [np.arange(0, 1024, 16), *(2**o + (2**o // 64) * np.arange(64) for o in range(10, 37))]
        )
    )
    histogram = recorded(edges)
    assert edges.size == BINS
    assert (histogram.counts == 1).all()


def test_empty_histogram_knows_nothing():
    histogram = LatencyHistogram()
    assert math.isnan(histogram.percentile(99))
    assert math.isnan(histogram.mean)
    assert len(histogram) == 0


def test_mean_is_exact():
    assert recorded([1_000, 2_000, -50]).mean == 1_500


@pytest.mark.parametrize("packed", [b"", b"APL1", b"x" * 60, LatencyHistogram().to_bytes() + b"x"])
def test_other_bytes_are_refused(packed):
    with pytest.raises(ValueError, match=r"Expected"):
        LatencyHistogram.from_bytes(packed)


def test_percentile_outside_its_range_is_refused():
    with pytest.raises(ValueError, match="from 0 to 100, was 101"):
        LatencyHistogram().percentile(101)


@given(latencies, latencies)
def test_since_is_what_was_recorded_in_between(before, after):
    earlier = recorded(before)
    recent, alone = (earlier + recorded(after)).since(earlier), recorded(after)
    assert np.array_equal(recent.counts, alone.counts)
    assert (recent.negative, recent.above) == (alone.negative, alone.above)
    for q in (0, 50, 99):
        expected = alone.percentile(q)
        if not alone.above:
            assert recent.percentile(q) == pytest.approx(expected, rel=0.01, abs=16, nan_ok=True)


def test_a_histogram_that_began_anew_is_all_recent():
    old, anew = recorded([1_000, 2_000, 3_000]), recorded([2_000])
    assert anew.since(old) == anew
    assert anew.since(None) == anew

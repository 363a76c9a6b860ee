"""Latencies of messages, beside a histogram that is filled one by one."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alphaplus.event_latencies import EventLatencies
from alphaplus.events import Flag, Kind, empty_events
from alphaplus.latency import LatencyHistogram

latencies = st.lists(
    st.integers(-(10**6), 2 * 10**11)
    | st.integers(-10, 5000)
    | st.integers(0, 36).map(lambda n: 2**n),
    max_size=60,
)


@given(latencies)
def test_messages_of_a_batch_are_counted_by_their_receive_times(values):
    now = 10**12
    events = empty_events(2 * len(values) + 1)
    events["kind"] = Kind.DEPTH
    events["ts_recv"][1::2] = now - np.array(values, dtype=np.int64)
    events["flags"][1::2] = Flag.LAST
    events["kind"][-1], events["flags"][-1] = Kind.STATUS, Flag.LAST
    counted = EventLatencies()
    counted.record(events[:-2], now)
    counted.record(events[-2:], now)
    histogram = counted.of_all
    assert counted.of_book == histogram
    expected = LatencyHistogram()
    for value in values:
        expected.record(value)
    assert np.array_equal(histogram.counts, expected.counts)
    assert (histogram.negative, histogram.above) == (expected.negative, expected.above)
    assert histogram.percentile(0) == pytest.approx(expected.percentile(0), nan_ok=True)
    assert histogram.percentile(100) == pytest.approx(expected.percentile(100), nan_ok=True)
    assert histogram.mean == pytest.approx(expected.mean, nan_ok=True)


def test_changes_of_the_book_alone_can_be_counted():
    events = empty_events(3)
    events["kind"] = Kind.DEPTH, Kind.TRADE, Kind.DEPTH
    events["flags"] = Flag.LAST
    events["ts_recv"] = 1_000, 2_000, 3_000
    counted = EventLatencies()
    counted.record(events, 4_000)
    histogram = counted.of_book
    assert len(counted.of_all) == 3
    assert (len(histogram), histogram.percentile(0), histogram.percentile(100)) == (2, 1000, 3000)

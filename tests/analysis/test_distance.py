"""The last tick within a distance, against exact fractions."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alphaplus.analysis.distance import Distance, Distances, distances_bps
from alphaplus.errors import ConfigError
from alphaplus.events import Side

BPS = st.one_of(
    st.sampled_from([0.1, 0.25, 1.0, 2.5, 5.0, 100.0, 1 / 3, 1e-7, 20_000.0]),
    st.floats(0.01, 500.0),
)


@given(
    bps=st.lists(BPS, min_size=1, max_size=4),
    bid=st.one_of(st.integers(1, 10**7), st.integers(1, 2**61)),
    spread=st.integers(1, 1000),
    reference=st.sampled_from(["mid", "best"]),
)
@settings(max_examples=300)
def test_limits_are_the_last_ticks_within_each_distance(
    bps: list[float], bid: int, spread: int, reference: str
) -> None:
    ask = bid + spread
    limits = Distances("bps", bps).limits(bid, ask, "mid" if reference == "mid" else "best")
    twice = (bid + ask, bid + ask) if reference == "mid" else (2 * bid, 2 * ask)
    for i, value in enumerate(sorted(set(bps))):
        away = Fraction(repr(value)) / 10_000
        lowest = math.ceil(Fraction(twice[0], 2) * (1 - away))
        highest = math.floor(Fraction(twice[1], 2) * (1 + away))
        assert limits[0, i] == max(lowest, -(2**63) + 1)
        assert limits[1, i] == min(highest, 2**63 - 1)


@given(bps=BPS, twice=st.integers(1, 2**60))
def test_single_distance_gives_the_same(bps: float, twice: int) -> None:
    away = Fraction(repr(bps)) / 10_000
    distance = Distance.of(bps)
    assert distance.limit(Side.BID, twice) == math.ceil(Fraction(twice, 2) * (1 - away))
    assert distance.limit(Side.ASK, twice) == math.floor(Fraction(twice, 2) * (1 + away))


def test_distance_of_prices_is_in_basis_points() -> None:
    assert distances_bps(np.array([99.0, 101.0]), 100.0).tolist() == [100.0, 100.0]


@pytest.mark.parametrize("wrong", [0.0, -1.0, math.inf, math.nan])
def test_distance_that_is_none_is_refused(wrong: float) -> None:
    with pytest.raises(ConfigError, match="Expected depth_bps above 0"):
        Distances("depth_bps", (1.0, wrong))


def test_no_distance_is_refused() -> None:
    with pytest.raises(ConfigError, match="at least one value of depth_bps"):
        Distances("depth_bps", ())

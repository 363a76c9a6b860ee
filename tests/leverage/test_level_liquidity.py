import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alphaplus.errors import ConfigError, RiskError
from alphaplus.leverage.level_liquidity import EMPTY, Ladder, level_liquidity

levels = st.lists(st.tuples(st.floats(50.0, 150.0), st.floats(0.0, 100.0)), max_size=30)


def ladder(pairs: list[tuple[float, float]]) -> Ladder:
    return Ladder.of([p for p, _ in pairs], [q for _, q in pairs])


def naive_between(pairs: list[tuple[float, float]], low: float, high: float) -> float:
    return sum(q for p, q in pairs if low <= p <= high)


@given(levels, levels, levels, st.sampled_from([1.0, -1.0]), st.floats(60.0, 140.0))
def test_it_equals_a_sum_over_levels(
    bids: list[tuple[float, float]],
    asks: list[tuple[float, float]],
    standing: list[tuple[float, float]],
    side: float,
    price: float,
) -> None:
    band = 0.1
    met = level_liquidity(
        [side],
        [price],
        [3.0],
        bids=ladder(bids),
        asks=ladder(asks),
        long_levels=ladder(standing) if side > 0 else EMPTY,
        short_levels=ladder(standing) if side < 0 else EMPTY,
        band=band,
    )
    low, high = price * (1 - band), price * (1 + band)
    depth = naive_between(bids, low, price) if side > 0 else naive_between(asks, price, high)
    assert met.depth[0] == pytest.approx(depth, abs=1e-9)
    assert met.to_close[0] == pytest.approx(3.0 + naive_between(standing, low, high), abs=1e-9)


def test_beyond_the_visible_book_nothing_counts_and_it_says_so() -> None:
    bids = Ladder.of([99.0, 98.0], [1.0, 1.0])
    met = level_liquidity([1, 1], [98.9, 90.0], [1.0, 1.0], bids=bids, asks=EMPTY, band=0.005)
    assert met.depth.tolist() == [0.0, 0.0]
    assert met.complete.tolist() == [True, False]
    short = level_liquidity([-1], [101.0], [1.0], bids=bids, asks=EMPTY)
    assert not short.complete[0]


def test_an_unknown_liquidation_price_stays_unknown() -> None:
    met = level_liquidity([1], [np.nan], [1.0], bids=EMPTY, asks=EMPTY)
    assert np.isnan(met.to_close[0])
    assert np.isnan(met.depth[0])


def test_bad_levels_are_refused() -> None:
    with pytest.raises(RiskError, match="prices above 0"):
        Ladder.of([1.0, np.nan], [1.0, 1.0])
    with pytest.raises(ConfigError, match="band"):
        level_liquidity([1], [1.0], [1.0], bids=EMPTY, asks=EMPTY, band=0.0)

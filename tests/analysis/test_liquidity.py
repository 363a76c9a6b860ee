"""The answer about one size: every part equals the measure it comes from."""

import json
import math

import pytest

from alphaplus.analysis.cost import cost_of_notional, round_trip_bps
from alphaplus.analysis.depth import depth_profile
from alphaplus.analysis.distance import Distances
from alphaplus.analysis.liquidity import LiquidityAnalysis, analyze_liquidity
from alphaplus.analysis.liquidity_score import ScoreParameters, liquidity_scores
from alphaplus.errors import ConfigError
from alphaplus.events import Side
from tests.analysis.shape_books import UNIT, levels_of

BOOK = levels_of(
    UNIT,
    [(9_999 - i, 10.0 + i) for i in range(120)],
    [(10_001 + i, 12.0) for i in range(120)],
)


def test_every_part_equals_its_measure() -> None:
    parameters = ScoreParameters(volume_reference=1e6)
    found = analyze_liquidity(
        BOOK, 2e5, volume_24h_quote=3e6, distances_bps=(5, 10), parameters=parameters
    )
    buy, sell = cost_of_notional(BOOK, Side.ASK, 2e5), cost_of_notional(BOOK, Side.BID, 2e5)
    assert buy is not None
    assert sell is not None
    assert (found.buy, found.sell) == (buy, sell)
    assert found.round_trip_bps == round_trip_bps(buy, sell)
    assert (found.symbol, found.exchange) == ("A-B-SPOT", "test")
    assert (found.ts_event, found.ts_recv, found.sequence) == (7, 7, 5)
    assert (found.notional, found.mid, found.spread_bps) == (2e5, 10_000.0, 2.0)
    assert found.scores == liquidity_scores(BOOK, volume_24h_quote=3e6, parameters=parameters)
    profile = depth_profile(BOOK, Distances("distances_bps", (5, 10)))
    assert found.depth.as_dict() == profile.as_dict()
    assert not found.truncated


def test_plain_values_are_ready_for_json() -> None:
    found = analyze_liquidity(BOOK, 2e5)
    plain = found.as_dict()
    assert json.loads(json.dumps(plain, allow_nan=False)) == plain
    assert list(plain["depth"]) == ["1", "5", "10", "25", "50", "100"]
    assert plain["liquidity_score"]["score"] is None
    assert plain["liquidity_score"]["score_book"] == found.scores.total.score_book
    assert set(plain["liquidity_score"]["bid"]["components"]) == {
        "volume",
        "spread",
        "depth",
        "cost_small",
        "cost_large",
    }
    assert plain["buy"]["slippage_bps"] == found.buy.slippage_bps


def test_size_larger_than_the_book_is_truncated_and_unpriced() -> None:
    found = analyze_liquidity(BOOK, 1e12)
    assert found.truncated
    assert found.round_trip_bps is None
    assert found.buy.vwap is None
    assert 0 < found.buy.fill_ratio < 1e-4


@pytest.mark.parametrize("wrong", [0.0, -5.0, math.nan, math.inf])
def test_size_of_nothing_is_refused(wrong: float) -> None:
    with pytest.raises(ConfigError, match="Expected notional above 0 and finite"):
        analyze_liquidity(BOOK, wrong)


def test_answer_cannot_change() -> None:
    found = analyze_liquidity(BOOK, 2e5)
    assert isinstance(found, LiquidityAnalysis)
    with pytest.raises(AttributeError):
        found.mid = 1.0  # type: ignore[misc]

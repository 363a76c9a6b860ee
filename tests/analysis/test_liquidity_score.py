"""The liquidity score: its formula, its properties, and the rank test on the recordings."""

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr

from alphaplus.analysis.book_levels import BookLevels
from alphaplus.analysis.cost import cost_of_notional
from alphaplus.analysis.liquidity_score import (
    LiquidityScore,
    Score,
    ScoreParameters,
    Scores,
    liquidity_score,
    liquidity_scores,
    one_sided_scores,
)
from alphaplus.analysis.tape import DayVolume
from alphaplus.errors import ConfigError
from alphaplus.events import Side
from alphaplus.instruments import Instrument
from tests.analysis import shape_twins as twins
from tests.analysis.shape_books import (
    INSTRUMENTS,
    INVERSE,
    LINEAR,
    UNIT,
    Ladder,
    ladders,
    levels_of,
    mirrored,
    scaled,
    times,
)
from tests.analysis.shape_captures import shapes

# Notionals that the small books of these tests fill in part, mostly, or not at all.
SMALL = ScoreParameters(depth_reference=1e5, small_notional=1e4, large_notional=1e6)
AMOUNTS = st.floats(0.0, 1e9)


def components(score: Score) -> list[float | None]:
    return [score.volume, score.spread, score.depth, score.cost_small, score.cost_large]


def naive(
    instrument: Instrument, ladder: tuple[Ladder, Ladder], volume: float, p: ScoreParameters
) -> list[float]:
    """Return score of the whole book, of the bids and of the asks, from the plain twins."""
    middle = twins.mid(instrument, *ladder)
    touch = [twins.price(instrument, side[0][0]) for side in ladder]
    spread = float(10_000 * (touch[1] - touch[0]) / middle)
    depths, slippages = [], []
    for side, sign in zip(ladder, (-1, 1), strict=True):
        depths.append(float(twins.depth(instrument, side, middle, 10.0)))
        vwaps = [twins.fill(instrument, side, q)[0] for q in (p.small_notional, p.large_notional)]
        slippages.append(
            [math.inf if v is None else float(10_000 * sign * (v - middle) / middle) for v in vwaps]
        )
    (sell_small, sell_large), (buy_small, buy_large) = slippages
    return [
        (volume / (volume + 50e6)) ** 0.2
        * (
            (1 / (1 + spread)) ** 0.2
            * (depth / (depth + p.depth_reference)) ** 0.3
            * (1 / (1 + small)) ** 0.25
            * (5 / (5 + large)) ** 0.25
        )
        ** 0.8
        for depth, small, large in (
            (min(depths), sell_small + buy_small, sell_large + buy_large),
            (depths[0], 2 * sell_small, 2 * sell_large),
            (depths[1], 2 * buy_small, 2 * buy_large),
        )
    ]


@given(instrument=INSTRUMENTS, ladder=ladders(lowest=20_000, gap=9), volume=AMOUNTS)
@settings(max_examples=100)
def test_equals_the_plain_twin(
    instrument: Instrument, ladder: tuple[Ladder, Ladder], volume: float
) -> None:
    book = levels_of(instrument, *ladder)
    for taken, side in ((Side.BID, ladder[0]), (Side.ASK, ladder[1])):
        for wanted in (SMALL.small_notional, SMALL.large_notional):
            cost = cost_of_notional(book, taken, wanted)
            assert cost is not None  # leave out orders that end where the book does
            exact = twins.fill(instrument, side, wanted)[0]
            assume((cost.vwap is None) == (exact is None))
    found = liquidity_scores(book, volume_24h_quote=volume, parameters=SMALL)
    expected = naive(instrument, ladder, volume, SMALL)
    for score, value in zip((found.total, found.bid, found.ask), expected, strict=True):
        assert score.score == pytest.approx(value, rel=1e-7)
        assert score.score is not None
        assert 0 <= score.score <= 1
        assert 0 <= score.score_book <= 1
        assert all(part is not None and 0 <= part <= 1 for part in components(score))


INPUTS = st.fixed_dictionaries(
    {
        "spread_bps": st.floats(1e-3, 1e4),
        "depth": AMOUNTS,
        "cost_small_bps": st.floats(1e-3, 1e4),
        "cost_large_bps": st.floats(1e-3, 1e4),
        "volume_24h_quote": AMOUNTS,
    }
)


@given(inputs=INPUTS, name=st.sampled_from(["spread_bps", "cost_small_bps", "cost_large_bps"]))
def test_lower_spread_or_cost_never_lowers_the_score(inputs: dict[str, float], name: str) -> None:
    better = liquidity_score(**{**inputs, name: inputs[name] / 2})
    assert_at_least(better, liquidity_score(**inputs))


@given(inputs=INPUTS, name=st.sampled_from(["depth", "volume_24h_quote"]))
def test_more_depth_or_volume_never_lowers_the_score(inputs: dict[str, float], name: str) -> None:
    better = liquidity_score(**{**inputs, name: inputs[name] * 2 + 1})
    assert_at_least(better, liquidity_score(**inputs))


def assert_at_least(better: Score, worse: Score) -> None:
    assert better.score is not None
    assert worse.score is not None
    assert better.score >= worse.score * (1 - 1e-12)
    assert better.score_book >= worse.score_book * (1 - 1e-12)


@pytest.mark.parametrize(
    ("dead", "is_book"),
    [
        ({"depth": 0.0}, True),
        ({"cost_small_bps": None}, True),
        ({"cost_large_bps": math.inf}, True),
        ({"spread_bps": math.inf}, True),
        ({"volume_24h_quote": 0.0}, False),
    ],
)
def test_dead_component_makes_the_score_zero(dead: dict[str, float | None], is_book: bool) -> None:
    inputs = {
        "spread_bps": 1.0,
        "depth": 1e6,
        "cost_small_bps": 1.0,
        "cost_large_bps": 5.0,
        "volume_24h_quote": 50e6,
    }
    alive = liquidity_score(**inputs)
    assert alive.score == pytest.approx(0.5)
    assert components(alive) == [0.5] * 5
    found = liquidity_score(**{**inputs, **dead})  # type: ignore[arg-type]
    assert found.score == 0.0
    assert found.score_book == (0.0 if is_book else pytest.approx(0.5))


def test_unknown_volume_leaves_the_score_of_the_book() -> None:
    found = liquidity_score(spread_bps=1.0, depth=1e6, cost_small_bps=1.0, cost_large_bps=5.0)
    assert (found.score, found.volume) == (None, None)
    assert found.score_book == pytest.approx(0.5)


def test_symmetric_book_has_equal_sides() -> None:
    sides = [(100_000 - i, 2.0) for i in range(1, 99)], [(100_000 + i, 2.0) for i in range(1, 99)]
    found = liquidity_scores(
        levels_of(INVERSE, *sides),
        parameters=ScoreParameters(small_notional=1e3, large_notional=1e4, depth_reference=1e4),
    )
    for side in (found.bid, found.ask):
        assert side.score_book == pytest.approx(found.total.score_book, rel=1e-3)
        assert side.depth == found.total.depth


@given(ladder=ladders(lowest=100_000, gap=9))
@settings(max_examples=40)
def test_mirror_swaps_the_sides(ladder: tuple[Ladder, Ladder]) -> None:
    parameters = ScoreParameters(small_notional=100.0, large_notional=1e4, depth_reference=1e4)
    upside_down = mirrored(*ladder)
    found, other = (
        liquidity_scores(levels_of(INVERSE, *book), parameters=parameters)
        for book in (ladder, upside_down)
    )
    assert other.bid.depth == found.ask.depth
    # A notional buys other base amounts at mirrored prices: equal but for 1 in 1,000.
    for a, b in ((found.total, other.total), (found.bid, other.ask), (found.ask, other.bid)):
        assert b.score_book == pytest.approx(a.score_book, rel=2e-2)


@given(ladder=ladders(), power=st.integers(1, 6))
@settings(max_examples=40)
def test_other_quote_currency_changes_nothing(ladder: tuple[Ladder, Ladder], power: int) -> None:
    """Prices times 2^k in a currency worth 2^-k dollars are the same market."""
    factor = 2.0**power
    converted = ScoreParameters(
        depth_reference=1e5, small_notional=1e4, large_notional=1e6, quote_usd=1 / factor
    )
    found = liquidity_scores(levels_of(LINEAR, *ladder), volume_24h_quote=1e6, parameters=SMALL)
    other = liquidity_scores(
        levels_of(scaled(LINEAR, power), *ladder),
        volume_24h_quote=factor * 1e6,
        parameters=converted,
    )
    assert other == found


@given(ladder=ladders())
@settings(max_examples=40)
def test_inverse_and_linear_books_of_equal_notionals_score_the_same(
    ladder: tuple[Ladder, Ladder],
) -> None:
    linear = Instrument(
        symbol="BTC-USD-PERP",
        exchange="binance",
        venue_symbol="X",
        tick_size=INVERSE.tick_size,
        lot_size=LINEAR.lot_size,
    )
    parameters = ScoreParameters(small_notional=123.0, large_notional=12_345.6)
    sides = [[(t, 100.0 * q / linear.price(t)) for t, q in side] for side in ladder]
    found = liquidity_scores(levels_of(INVERSE, *ladder), parameters=parameters)
    other = liquidity_scores(levels_of(linear, *sides), parameters=parameters)
    assert other.total.score_book == pytest.approx(found.total.score_book, rel=1e-9)
    assert other.bid.score_book == pytest.approx(found.bid.score_book, rel=1e-9)


@given(instrument=INSTRUMENTS, ladder=ladders(), power=st.integers(0, 6))
@settings(max_examples=60)
def test_more_size_everywhere_never_lowers_the_score(
    instrument: Instrument, ladder: tuple[Ladder, Ladder], power: int
) -> None:
    found = liquidity_scores(levels_of(instrument, *ladder), parameters=SMALL)
    more = [times(side, 2.0**power) for side in ladder]
    other = liquidity_scores(levels_of(instrument, *more), parameters=SMALL)
    for before, after in (
        (found.total, other.total),
        (found.bid, other.bid),
        (found.ask, other.ask),
    ):
        assert after.score_book >= before.score_book * (1 - 1e-12)


# ---- the measure


def thick_book(known: bool = True) -> BookLevels:
    bids: Ladder = [(99_999 - i, 10.0) for i in range(200)]
    asks: Ladder = [(100_001 + i, 10.0) for i in range(200)]
    if known:
        return levels_of(UNIT, bids, asks)
    return levels_of(UNIT, bids[:20], asks, later=bids[20:])


def test_measure_follows_book_volume_and_interruptions() -> None:
    measure = LiquidityScore(UNIT)
    assert set(measure.values().values()) == {None}
    assert set(measure.missing()) == set(measure.values())
    measure.observe(thick_book())
    assert measure.values()["score"] is None
    assert measure.missing() == {"score": "the volume of 24 hours"}
    measure.volume_24h_quote = 50e6
    assert measure.volume_24h_quote == 50e6
    assert measure.missing() == {}
    assert measure.scores == liquidity_scores(thick_book(), volume_24h_quote=50e6)
    values = measure.values()
    assert list(values) == ["score", "score_book", "components", "bid", "ask", "truncated"]
    assert list(values["components"]) == ["volume", "spread", "depth", "cost_small", "cost_large"]
    assert values["components"]["volume"] == 0.5
    assert set(values["bid"]) == {"score", "score_book", "components"}
    assert values["truncated"] is False
    measure.interrupt()
    assert set(measure.values().values()) == {None}


def test_synchronised_book_without_a_side_scores_zero() -> None:
    measure = LiquidityScore(UNIT)
    measure.told(DayVolume(volume=1e3, turnover=50e6))
    measure.told(DayVolume(volume=2e3))  # says nothing of the turnover
    assert measure.volume_24h_quote == 50e6
    measure.observe(thick_book())
    measure.observe_one_sided()
    values = measure.values()
    assert (values["score"], values["score_book"]) == (0.0, 0.0)
    assert values["components"]["volume"] == 0.5
    assert (values["bid"]["score"], values["ask"]["score"]) == (0.0, 0.0)
    assert measure.missing() == {}
    measure.observe(thick_book())
    assert measure.values()["score"] > 0
    unknown = one_sided_scores()
    assert isinstance(unknown, Scores)
    assert (unknown.total.score, unknown.total.volume) == (0.0, None)


def test_score_from_beyond_the_known_range_is_truncated() -> None:
    assert liquidity_scores(thick_book(known=False)).truncated
    assert not liquidity_scores(thick_book()).truncated


@pytest.mark.parametrize("wrong", [-1.0, math.nan, math.inf])
def test_wrong_volume_is_refused(wrong: float) -> None:
    measure = LiquidityScore(UNIT)
    with pytest.raises(ConfigError, match="Expected volume_24h_quote at least 0"):
        measure.volume_24h_quote = wrong
    with pytest.raises(ConfigError, match="Expected volume_24h_quote at least 0"):
        LiquidityScore(UNIT, volume_24h_quote=wrong)


def test_wrong_parameters_are_refused() -> None:
    with pytest.raises(ConfigError, match="Expected depth_reference above 0"):
        ScoreParameters(depth_reference=0.0)
    with pytest.raises(ConfigError, match="Expected small_notional below large_notional"):
        ScoreParameters(small_notional=1e6)


# ---- recordings


def test_score_ranks_the_recorded_states_as_their_costs_do(data_dir: Path) -> None:
    """All applied messages of both markets pooled: more than spread and depth alone reach."""
    markets = [shapes(data_dir, market) for market in ("perp", "spot")]
    scores = np.concatenate([found.score_book for found in markets])
    trips = np.concatenate([found.round_trips_bps for found in markets])
    assert len(scores) == 9_996
    assert spearmanr(scores, -(trips[:, 1] + trips[:, 2])).statistic >= 0.90


@pytest.mark.parametrize(("market", "median"), [("perp", 0.856), ("spot", 0.733)])
def test_recordings_have_their_median_scores(data_dir: Path, market: str, median: float) -> None:
    scores = shapes(data_dir, market).score_book
    assert float(np.median(scores)) == pytest.approx(median, abs=5e-4)
    assert ((scores > 0) & (scores < 1)).all()

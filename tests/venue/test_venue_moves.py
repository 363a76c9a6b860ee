"""Moves of the price on request: smooth, additive, and as fast as quotes can follow."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alphaplus.errors import ConfigError
from alphaplus.venue.price_moves import PriceMove, PriceMoves

FAST = 1e9


@given(
    shock=st.floats(-0.9, 5).filter(lambda x: x != 0),
    over_s=st.floats(0.05, 1000),
    dt=st.floats(0.01, 50),
)
def test_a_shock_arrives_whole_whatever_the_step(shock: float, over_s: float, dt: float) -> None:
    moves = PriceMoves()
    moves.add(PriceMove.of_shock(shock, over_s), FAST)
    made = 0.0
    while len(moves):
        step = moves.step(dt)
        assert step * shock >= -1e-12, "it never goes back"
        made += step
        assert math.isclose(made + moves.left, math.log1p(shock), abs_tol=1e-9)
    assert math.isclose(math.expm1(made), shock, rel_tol=1e-9, abs_tol=1e-9)


def test_a_shock_begins_and_ends_slowly_and_a_drift_does_not() -> None:
    shock, drift = PriceMove.of_shock(0.1, 100.0), PriceMove.of_drift(0.001, 100.0)
    assert shock.done(10.0) < 0.03 * shock.log_return
    assert shock.done(50.0) == pytest.approx(shock.log_return / 2)
    assert shock.log_return - shock.done(90.0) == pytest.approx(shock.done(10.0))
    assert drift.done(10.0) == pytest.approx(0.01)
    assert drift.done(200.0) == drift.log_return == pytest.approx(0.1)


def test_the_peak_rate_is_the_fastest_of_all_steps() -> None:
    move = PriceMove.of_shock(-0.2, 30.0)
    dt = 1e-3
    fastest = max(
        abs(move.done((i + 1) * dt) - move.done(i * dt)) / dt for i in range(int(30 / dt))
    )
    assert fastest == pytest.approx(move.peak_rate_per_s, rel=1e-6)


def test_moves_at_the_same_time_add_up_and_are_too_fast_together() -> None:
    moves = PriceMoves()
    move = PriceMove.of_drift(0.004, 10.0)
    moves.add(move, 0.01)
    moves.add(move, 0.01)
    with pytest.raises(ConfigError, match=r"Expected a move of at most 0\.01 .* was 0\.012"):
        moves.add(move, 0.01)
    assert moves.step(1.0) == pytest.approx(0.008)
    assert len(moves) == 2
    assert [item["elapsed_s"] for item in moves.state()] == [1.0, 1.0]


def test_the_sentence_says_how_long_a_move_must_take() -> None:
    moves = PriceMoves()
    with pytest.raises(ConfigError, match="give it over_s of 15 or more"):
        moves.add(PriceMove.of_shock(-0.1, 1.0), 0.01134)
    moves.add(PriceMove.of_shock(-0.1, 15.0), 0.01134)


@pytest.mark.parametrize(
    ("shock", "drift", "over_s", "sentence"),
    [
        (0.0, None, 1.0, "Expected shock from -0.9 to 5 and not 0, was 0"),
        (-0.95, None, 1.0, "Expected shock from -0.9"),
        (math.nan, None, 1.0, "Expected shock from -0.9"),
        (None, 0.02, 1.0, "Expected drift_per_s from -0.01 to 0.01"),
        (0.1, None, 0.0, "Expected over_s above 0"),
        (None, 0.001, 1e6, "Expected over_s above 0 to 86400"),
    ],
)
def test_what_is_out_of_range_is_refused(
    shock: float | None, drift: float | None, over_s: float, sentence: str
) -> None:
    size, make = (shock, PriceMove.of_shock) if drift is None else (drift, PriceMove.of_drift)
    assert size is not None
    with pytest.raises(ConfigError, match=sentence):
        make(size, over_s)

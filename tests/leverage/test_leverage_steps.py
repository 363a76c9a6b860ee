from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alphaplus.errors import ConfigError
from alphaplus.leverage.dynamic_leverage import Cap, LeverageAdvice, LeverageCaps
from alphaplus.leverage.leverage_steps import (
    Action,
    LeverageState,
    LeverageSteps,
    StepParameters,
    step,
)

MINUTE = 60 * 10**9
CAPS = LeverageCaps(
    volatility_target=1.0, margin_survival=1.0, liquidity=1.0, portfolio=1.0, venue_maximum=1.0
)


def advice(
    leverage: float | None, binding: Cap = Cap.VOLATILITY_TARGET, throttle: float = 1.0
) -> LeverageAdvice:
    return LeverageAdvice(
        leverage=leverage, binding=binding, caps=CAPS, throttle=throttle, missing=()
    )


def holding(leverage: float) -> LeverageState:
    return step(LeverageState(), advice(leverage), 0)


def test_the_first_advice_is_taken() -> None:
    state = holding(3.0)
    assert (state.leverage, state.action) == (3.0, Action.STARTED)


def test_unknown_advice_makes_leverage_unknown_and_remembers_what_was_held() -> None:
    state = step(holding(3.0), advice(None), MINUTE)
    assert (state.leverage, state.held, state.action) == (None, 3.0, Action.UNKNOWN)
    back = step(state, advice(9.0), 2 * MINUTE)
    assert back.leverage == pytest.approx(3.3)


@pytest.mark.parametrize("binding", [cap for cap in Cap if cap is not Cap.VOLATILITY_TARGET])
def test_a_hard_cap_cuts_at_once_even_within_the_band(binding: Cap) -> None:
    state = step(holding(3.0), advice(2.99, binding), 1)
    assert (state.leverage, state.action, state.cut_ns) == (2.99, Action.CUT, 1)


def test_the_volatility_target_cuts_only_out_of_the_band() -> None:
    assert step(holding(3.0), advice(2.9), 1).action is Action.HELD
    assert step(holding(3.0), advice(2.0), 1).leverage == 2.0
    assert step(holding(3.0), advice(2.9, throttle=0.9), 1).leverage == 2.9


def test_raises_are_stepped_and_spaced() -> None:
    state = step(holding(1.0), advice(2.0), 1)
    assert (state.leverage, state.action) == (1.1, Action.RAISED)
    early = step(state, advice(2.0), 1 + MINUTE - 1)
    assert (early.leverage, early.action) == (1.1, Action.COOLING)
    later = step(early, advice(2.0), 1 + MINUTE)
    assert later.leverage == pytest.approx(1.21)
    assert step(holding(1.0), advice(1.04), 1).action is Action.HELD
    assert step(holding(1.0), advice(1.06), 1).leverage == 1.06


def test_after_a_cut_raises_wait_for_the_cooldown() -> None:
    cut = step(holding(3.0), advice(1.0, Cap.LIQUIDITY), MINUTE)
    assert step(cut, advice(3.0), 15 * MINUTE).action is Action.COOLING
    assert step(cut, advice(3.0), 16 * MINUTE).leverage == pytest.approx(1.1)


def test_a_clock_that_goes_back_only_waits() -> None:
    cut = step(holding(3.0), advice(1.0, Cap.LIQUIDITY), 100 * MINUTE)
    assert step(cut, advice(3.0), 0).action is Action.COOLING
    assert step(cut, advice(0.5, Cap.LIQUIDITY), 0).leverage == 0.5


def test_zero_is_left_again() -> None:
    cut = step(holding(3.0), advice(0.0, Cap.PORTFOLIO), 0)
    assert step(cut, advice(5.0), 60 * MINUTE).leverage == 0.1
    assert step(cut, advice(0.05), 60 * MINUTE).leverage == 0.05
    assert step(cut, advice(0.0, Cap.PORTFOLIO), 60 * MINUTE).leverage == 0.0


@given(
    st.floats(0.0, 50.0),
    st.floats(0.0, 50.0),
    st.sampled_from(list(Cap)),
    st.sampled_from([1.0, 0.5]),
)
def test_constant_advice_comes_to_rest(
    start: float, target: float, binding: Cap, throttle: float
) -> None:
    parameters = StepParameters()
    state, seen = holding(start), [start]
    for k in range(1, 200):
        state = step(state, advice(target, binding, throttle), k * 15 * MINUTE, parameters)
        assert state.leverage is not None
        seen.append(state.leverage)
    rising = all(b >= a for a, b in pairwise(seen))
    falling = all(b <= a for a, b in pairwise(seen))
    assert rising or falling  # no oscillation
    assert seen[-1] == seen[-2]
    assert abs(seen[-1] - target) <= parameters.band * seen[-1] + 1e-12


advices = st.tuples(
    st.one_of(st.none(), st.floats(0.0, 50.0)),
    st.sampled_from(list(Cap)),
    st.integers(0, 30),
)


@settings(max_examples=100)
@given(st.lists(advices, max_size=40))
def test_hard_caps_are_never_exceeded_and_raises_never_jump(
    series: list[tuple[float | None, Cap, int]],
) -> None:
    steps, now = LeverageSteps(), 0
    for target, binding, minutes in series:
        now += minutes * MINUTE
        before = steps.state("x").held
        after = steps.update("x", advice(target, binding), now)
        if target is None:
            assert after.leverage is None
            continue
        assert after.leverage is not None
        if binding is not Cap.VOLATILITY_TARGET:
            assert after.leverage <= target
        else:
            assert after.leverage <= target / (1 - steps.parameters.band) + 1e-12
        if before is not None:
            assert after.leverage <= max(before * 1.1, 0.1) + 1e-12


def test_keys_are_apart_and_can_be_forgotten() -> None:
    steps = LeverageSteps()
    steps.update(("symbol", "BTC-USDT-PERP"), advice(3.0), 0)
    steps.update(("position", "p1", "BTC-USDT-PERP"), advice(2.0), 0)
    steps.update("portfolio", advice(1.0), 0)
    assert steps.state(("symbol", "BTC-USDT-PERP")).leverage == 3.0
    assert steps.state("portfolio").leverage == 1.0
    steps.forget("portfolio")
    assert steps.state("portfolio") == LeverageState()


@pytest.mark.parametrize(
    "wrong", [{"raise_step": 0.0}, {"band": 1.0}, {"cooldown_s": -1.0}, {"restart": 0.0}]
)
def test_parameters_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="Expected"):
        StepParameters(**wrong)

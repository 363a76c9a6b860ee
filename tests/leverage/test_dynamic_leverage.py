import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alphaplus.errors import ConfigError
from alphaplus.leverage.dynamic_leverage import (
    Cap,
    LeverageCaps,
    LeverageParameters,
    advise,
    drawdown_throttle,
    half_kelly,
    half_kelly_bet,
)

NAMES = ("volatility_target", "margin_survival", "liquidity", "portfolio", "venue_maximum")
KNOWN: dict[str, Any] = {
    "volatility_target": 5.0,
    "margin_survival": 4.0,
    "liquidity": 3.0,
    "portfolio": 6.0,
    "venue_maximum": 50.0,
}
values = st.floats(0.0, 200.0)
all_caps = st.fixed_dictionaries(dict.fromkeys(NAMES, values))
drawdowns = st.floats(0.0, 1.0)


@given(all_caps, drawdowns)
def test_the_least_cap_is_advised_and_named(caps: dict[str, float], drawdown: float) -> None:
    advice = advise(LeverageCaps(**caps), drawdown)
    throttle = drawdown_throttle(drawdown)
    assert throttle is not None
    ordered = [*((name, caps[name]) for name in NAMES), ("user_maximum", 10.0)]
    least = min(value for _, value in ordered)
    assert advice.leverage == throttle * least
    assert advice.binding == next(name for name, value in ordered if value == least)
    assert advice.missing == ()


@given(all_caps, drawdowns, st.sampled_from(NAMES), st.floats(0.0, 1.0), drawdowns)
def test_a_lower_cap_or_a_deeper_drawdown_never_raises_the_advice(
    caps: dict[str, float], drawdown: float, name: str, factor: float, deeper: float
) -> None:
    base = advise(LeverageCaps(**caps), drawdown).leverage
    lower = advise(LeverageCaps(**{**caps, name: caps[name] * factor}), drawdown).leverage
    worse = advise(LeverageCaps(**caps), max(drawdown, deeper)).leverage
    assert base is not None
    assert lower is not None
    assert worse is not None
    assert lower <= base
    assert worse <= base


def test_ties_go_to_the_cap_that_stands_first() -> None:
    caps = LeverageCaps(**dict.fromkeys(NAMES, 10.0))
    assert advise(caps, 0.0).binding is Cap.VOLATILITY_TARGET
    later = LeverageCaps(**{**dict.fromkeys(NAMES, 10.0), "volatility_target": 11.0})
    assert advise(later, 0.0).binding is Cap.MARGIN_SURVIVAL
    free = LeverageCaps(**dict.fromkeys(NAMES, math.inf))
    assert advise(free, 0.0).binding is Cap.USER_MAXIMUM


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("unknown", [None, math.nan])
def test_an_unknown_required_cap_gives_no_advice(name: str, unknown: float | None) -> None:
    advice = advise(LeverageCaps(**{**KNOWN, name: unknown}), 0.0)
    assert advice.leverage is None
    assert advice.binding is None
    assert advice.missing == (name,)


def test_an_unknown_cap_that_is_not_required_is_left_out() -> None:
    parameters = LeverageParameters(required=(Cap.MARGIN_SURVIVAL,))
    caps = LeverageCaps(**{**KNOWN, "liquidity": None})
    advice = advise(caps, 0.0, parameters)
    assert (advice.leverage, advice.binding) == (4.0, Cap.MARGIN_SURVIVAL)


def test_an_unknown_drawdown_gives_no_advice() -> None:
    assert advise(LeverageCaps(**KNOWN), None).missing == ("drawdown",)
    assert drawdown_throttle(math.nan) is None


def test_the_throttle_also_works_where_the_user_maximum_binds() -> None:
    caps = LeverageCaps(**dict.fromkeys(NAMES, 1000.0))
    assert advise(caps, 0.15).leverage == 5.0


def test_payload_is_plain_and_has_no_infinity() -> None:
    caps = LeverageCaps(**{**KNOWN, "portfolio": math.inf})
    told = advise(caps, 0.0).payload()
    assert json.loads(json.dumps(told, allow_nan=False)) == told
    assert told["binding"] == "liquidity"
    assert told["caps"]["portfolio"] is None
    assert told["unbounded"] == ["portfolio"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"user_maximum": 0.0},
        {"drawdown_start": 0.5},
        {"required": (Cap.USER_MAXIMUM,)},
    ],
)
def test_parameters_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="Expected"):
        LeverageParameters(**wrong)
    with pytest.raises(ConfigError, match="liquidity"):
        LeverageCaps(**{**KNOWN, "liquidity": -1.0})


def test_kelly_is_halved_and_only_told() -> None:
    assert half_kelly(0.1, 0.04) == pytest.approx(1.25)
    assert half_kelly(None, 0.04) is None
    assert half_kelly(0.1, 0.0) is None
    assert half_kelly_bet(0.6, 1.0) == pytest.approx(0.1)
    with pytest.raises(ConfigError, match="odds"):
        half_kelly_bet(0.6, 0.0)

"""Faults by a seed: the same for the same seed, at the rates and on the symbols asked for."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alphaplus.errors import ConfigError
from alphaplus.venue.fault_schedule import LASTING_S, PlannedFault, plan_faults, read_rates
from alphaplus.venue.faults import OF_FRAMES, OF_SYMBOLS, FaultKind, fault_order

EVERY = {kind: 6.0 for kind in FaultKind}
SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT")


def planned(seed: int = 1, **options: Any) -> tuple[PlannedFault, ...]:
    asked = {"symbols": SYMBOLS, "length_s": 120.0, "per_minute": EVERY, **options}
    return plan_faults(seed=seed, **asked)


@given(seed=st.integers(0, 2**31), start_s=st.floats(0, 100))
def test_a_plan_is_in_order_within_its_window_and_can_be_ordered(seed: int, start_s: float) -> None:
    plan = planned(seed, start_s=start_s)
    assert plan == planned(seed, start_s=start_s)
    times = [item.at_s for item in plan]
    assert times == sorted(times)
    for item in plan:
        assert start_s - 0.001 <= item.at_s <= start_s + 120.001  # times are told in ms
        assert fault_order(item.order.view()) == item.order
        assert (item.order.symbol in SYMBOLS) == (item.order.kind in OF_SYMBOLS)
        if item.order.kind not in OF_FRAMES:
            low, high = LASTING_S[item.order.kind]
            assert low <= item.order.for_s <= high


def test_other_seeds_make_other_plans() -> None:
    assert len({planned(seed) for seed in range(20)}) == 20


def test_a_kind_is_the_same_whatever_else_is_planned() -> None:
    drop = {FaultKind.DROP_FRAME: 6.0}
    alone = planned(per_minute=drop)
    together = [item for item in planned() if item.order.kind is FaultKind.DROP_FRAME]
    assert list(alone) == together


def test_rates_are_kept_over_time() -> None:
    plan = planned(length_s=36_000.0, per_minute={FaultKind.DROP_FRAME: 2.0})
    assert len(plan) == pytest.approx(1200, abs=5 * 1200**0.5)
    assert planned(per_minute={FaultKind.OUTAGE: 0.0}) == ()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"seed": -1}, "Expected a fault seed of 0 or more"),
        ({"symbols": []}, "Expected at least one symbol"),
        ({"length_s": -1.0}, "Expected length_s from 0 to 86400"),
        ({"start_s": float("nan")}, "Expected start_s from 0 to 86400"),
        ({"per_minute": {FaultKind.OUTAGE: 601.0}}, "Expected outage from 0 to 600 times a minute"),
        ({"per_minute": {FaultKind.OUTAGE: float("nan")}}, "Expected outage from 0 to 600"),
    ],
)
def test_what_is_out_of_range_is_refused(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError) as refused:
        planned(**options)
    assert sentence in str(refused.value)


def test_rates_are_read_by_name() -> None:
    assert read_rates({"outage": "0.5"}) == {FaultKind.OUTAGE: 0.5}
    with pytest.raises(ConfigError, match="Expected kind to be one of"):
        read_rates({"melt": 1})
    for value in (None, "often", True):
        with pytest.raises(ConfigError, match=r"number of times a minute|from 0 to 600"):
            planned(per_minute=read_rates({"outage": value}))

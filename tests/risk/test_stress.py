import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alphaplus.errors import RiskError
from alphaplus.risk.cascade import Accounts, Market, simulate
from alphaplus.risk.impact import Depth
from alphaplus.risk.stress import Account, grid, joint_distance, smallest_reaching

sizes = st.floats(-1000.0, 1000.0)


@st.composite
def accounts(draw: st.DrawFn) -> Account:
    notional = np.array(draw(st.lists(sizes, min_size=3, max_size=3)))
    return Account(
        equity=draw(st.floats(1.0, 500.0)),
        notional=notional,
        coins=np.array([draw(st.floats(0.0, 100.0)), 0.0, 0.0]),
        maintenance=0.01 * np.abs(notional),
        amount=0.0,
        betas=np.array([1.0, draw(st.floats(0.2, 2.0)), draw(st.floats(-0.5, 2.0))]),
        inverse=np.array([draw(st.booleans()), False, False]),
    )


@given(accounts(), st.floats(-0.4, 0.4))
def test_headroom_is_equity_less_margin_revalued(account: Account, shock: float) -> None:
    expected = account.equity + account.amount
    for at in range(3):
        ratio = 1 + account.betas[at] * shock
        gain = 1 - 1 / ratio if account.inverse[at] else ratio - 1
        margin = account.maintenance[at] * (1 / ratio if account.inverse[at] else ratio)
        expected += account.notional[at] * gain + account.coins[at] * (ratio - 1) - margin
    assert account.headroom(shock) == pytest.approx(expected, rel=1e-9, abs=1e-6)


@settings(max_examples=60)
@given(accounts())
def test_distance_is_the_first_shock_without_headroom(account: Account) -> None:
    found = joint_distance(account)
    if account.headroom(0.0) <= 0:
        assert (found.down, found.up) == (0.0, 0.0)
        return
    scale = float(np.abs(account.notional).sum()) + account.equity
    for shock, way in ((found.down, -1), (found.up, 1)):
        if shock is None:
            continue
        assert math.copysign(1, shock) == way
        ratio = 1 + account.betas.max() * shock
        if ratio > 1e-3 and 1 + account.betas.min() * shock > 1e-3:
            assert account.headroom(shock) == pytest.approx(0.0, abs=1e-7 * scale)
        before = np.linspace(0.0, shock * (1 - 1e-9), 30)
        assert all(account.headroom(float(x)) > -1e-7 * scale for x in before)


@settings(max_examples=40)
@given(accounts(), st.floats(0.0, 500.0))
def test_more_equity_is_farther(account: Account, more: float) -> None:
    near = joint_distance(account)
    far = joint_distance(replace(account, equity=account.equity + more))
    for a, b in ((near.down, far.down), (near.up, far.up)):
        assert b is None or (a is not None and abs(b) >= abs(a) - 1e-9)


def test_a_linear_long_by_hand() -> None:
    # 300 + 1000 x = 10 (1 + x) at x = -290 / 990; no rise ends it
    account = Account(
        equity=300.0,
        notional=np.array([1000.0]),
        coins=np.zeros(1),
        maintenance=np.array([10.0]),
        amount=0.0,
        betas=np.ones(1),
        inverse=np.array([False]),
    )
    found = joint_distance(account)
    assert found.down == pytest.approx(-290 / 990, rel=1e-9)
    assert found.up is None
    assert found.nearest == found.down
    # inverse: 300 + 1000 (1 - 1/r) = 10 / r at r = 1010 / 1300
    inverse = joint_distance(replace(account, inverse=np.array([True])))
    assert inverse.down == pytest.approx(1010 / 1300 - 1, rel=1e-9)


def test_nothing_held_has_no_distance() -> None:
    empty = Account(
        equity=1.0,
        notional=np.zeros(1),
        coins=np.zeros(1),
        maintenance=np.zeros(1),
        amount=0.0,
        betas=np.ones(1),
        inverse=np.array([False]),
    )
    assert joint_distance(empty).nearest is None


@given(st.floats(0.01, 10.0), st.floats(0.0, 200.0))
def test_the_smallest_that_reaches_a_target(slope: float, target: float) -> None:
    found = smallest_reaching(lambda size: slope * size, target, 10.0)
    if target > slope * 10:
        assert found is None
    else:
        assert found == pytest.approx(target / slope, abs=1e-7)


def test_a_range_is_needed() -> None:
    with pytest.raises(RiskError, match="most"):
        smallest_reaching(lambda size: size, 1.0, 0.0)


def test_reverse_stress_and_a_cap_of_open_interest_by_cascade() -> None:
    market = Market(
        prices=np.array([100.0]),
        depth=Depth.of_power_law([1000.0], 1.16, 0.04, 500.0),
        accounts=Accounts.of([0, 0], [1, 1], [50, 80], [96, 93], [95, 92]),
    )

    def drained(shock: float, depth: float = 1.0, scale: float = 1.0) -> float:
        scaled = replace(
            market,
            depth=market.depth.scaled(depth),
            accounts=replace(market.accounts, quantity=scale * market.accounts.quantity),
        )
        return simulate(scaled, [-shock]).residual_deficit

    shock = smallest_reaching(drained, 50.0, 0.5)
    assert shock is not None
    assert drained(shock) >= 50.0 > drained(shock * (1 - 1e-6))
    cap = smallest_reaching(lambda scale: drained(0.05, scale=scale), 20.0, 4.0)
    assert cap is not None
    assert drained(0.05, scale=cap) >= 20.0
    shocks, depths = np.array([0.02, 0.05, 0.1]), np.array([1.0, 0.3])
    found = grid(lambda s, d, _: drained(s, d), shocks, depths, np.array([0.0]))
    assert found.shape == (3, 2, 1)
    assert (np.diff(found, axis=0) >= -1e-9).all()
    assert (np.diff(found, axis=1) >= -1e-9).all()

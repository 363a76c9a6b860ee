"""The margin engine against its slow twin, and the properties that any engine must have."""

import math
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from alphaplus.errors import RiskError
from alphaplus.leverage.engine import (
    POSITION,
    MarginState,
    evaluate,
    joint_distance,
    surplus_at,
    warm_engine,
)
from alphaplus.leverage.tier_files import read_tiers
from alphaplus.leverage.tiers import TIER
from tests.leverage import margin_twin as twin
from tests.leverage.margin_books import Records, arrays, legs_of, run, table, tier_rows
from tests.leverage.margin_twin import Leg

OWN = [table().rows, table(scale=0.01).rows]
BRACKETS = "binance_leverage_tiers_2024-10.json.gz"


@cache
def venue_tables(data_dir: Path) -> list[Records]:
    book = read_tiers(data_dir / "risk" / BRACKETS)
    return [tables[0].rows for tables in book.tables.values()]


def leg(side: int = 1, quantity: float = 1.0, entry: float = 100.0, mark: float = 100.0) -> Leg:
    return Leg(side=side, quantity=quantity, entry=entry, mark=mark, tiers=tier_rows(OWN[0]))


def margin_of(item: Leg, leverage: float) -> float:
    return item.notional(item.entry) / leverage


@settings(max_examples=150)
@given(legs_of(OWN, inverse=None), st.floats(1.0, 120.0))
def test_isolated_price_equals_bisection(item: Leg, leverage: float) -> None:
    wallet = margin_of(item, leverage)
    found, _ = run([[item]], [wallet])
    price = found["liquidation_price"][0]
    expected = twin.liquidation_price(wallet, [item], [0])
    if expected is None:
        assert math.isnan(price)
    else:
        assert price == pytest.approx(expected, rel=1e-9)
        assert abs(twin.surplus(wallet, [item], [price])) <= 1e-9 * item.notional(price)


@settings(max_examples=100)
@given(st.lists(legs_of(OWN, inverse=None), min_size=2, max_size=6), st.floats(0.01, 1.0))
def test_cross_price_equals_bisection_with_other_marks_frozen(
    legs: list[Leg], share: float
) -> None:
    wallet = share * math.fsum(item.notional(item.mark) for item in legs)
    found, buckets = run([legs], [wallet])
    surplus = twin.surplus(wallet, legs, [item.mark for item in legs])
    assert buckets["equity"][0] - buckets["maintenance_margin"][0] == pytest.approx(
        surplus, abs=1e-9 * wallet / share
    )
    for i, item in enumerate(legs):
        expected = twin.liquidation_price(wallet, legs, [i])
        price = found["liquidation_price"][i]
        # far outside of what the twin looks at, one over a rounding error decides
        if expected is not None and 1e-6 < expected / item.mark < 1e6:
            residual = wallet / share / item.notional(expected)
            assert price == pytest.approx(expected, rel=1e-9 + 1e-12 * residual)
        elif expected is None:
            assert math.isnan(price) or not 1e-6 < price / item.mark < 1e6


@settings(max_examples=60)
@given(st.lists(legs_of(OWN, inverse=None), min_size=1, max_size=4), st.floats(0.01, 0.5))
def test_at_the_bankruptcy_price_equity_covers_only_the_close_fee(
    legs: list[Leg], share: float
) -> None:
    whole = math.fsum(item.notional(item.mark) for item in legs)
    found, _ = run([legs], [share * whole])
    for i, item in enumerate(legs):
        price = float(found["bankruptcy_price"][i])
        if math.isnan(price):
            continue
        prices = [price if k == i else other.mark for k, other in enumerate(legs)]
        profits = [leg.profit(p) for leg, p in zip(legs, prices, strict=True)]
        left = math.fsum([share * whole, *profits, -item.notional(price) * item.close_fee])
        assert abs(left) <= 1e-9 * max(whole, item.notional(price))


@settings(max_examples=60)
@given(st.data())
def test_properties_over_the_brackets_of_a_venue(data_dir: Path, data: st.DataObject) -> None:
    item = data.draw(legs_of(venue_tables(data_dir)))
    leverage = data.draw(st.floats(1.0, 100.0))
    wallet = margin_of(item, leverage)
    found, buckets = run([[item]], [wallet])
    price = float(found["liquidation_price"][0])
    if buckets["state"][0] == MarginState.SAFE and not math.isnan(price):
        assert item.side * (item.mark - price) > 0  # long LP < mark < short LP
    assume(not math.isnan(price))
    assert price == pytest.approx(twin.liquidation_price(wallet, [item], [0]), rel=1e-9)
    assert abs(twin.surplus(wallet, [item], [price])) <= 1e-9 * item.notional(price)
    further = float(run([[item]], [wallet * 1.1])[0]["liquidation_price"][0])
    assert math.isnan(further) or item.side * (price - further) > 0  # more collateral
    nearer = float(run([[item]], [margin_of(item, leverage * 1.1)])[0]["liquidation_price"][0])
    assert item.side * (nearer - price) > 0  # higher leverage


@settings(max_examples=60)
@given(legs_of(OWN), st.floats(1.0, 100.0), st.floats(1e-3, 1e3))
def test_scaling_all_prices_scales_the_price(item: Leg, leverage: float, scale: float) -> None:
    wallet = margin_of(item, leverage)
    price = run([[item]], [wallet])[0]["liquidation_price"][0]
    tiers = tuple((f * scale, c * scale, m, a * scale) for f, c, m, a in item.tiers)
    scaled = replace(item, entry=item.entry * scale, mark=item.mark * scale, tiers=tiers)
    moved = run([[scaled]], [wallet * scale])[0]["liquidation_price"][0]
    assert moved == pytest.approx(price * scale, rel=1e-9, nan_ok=True)


@settings(max_examples=60)
@given(st.lists(legs_of(OWN), min_size=1, max_size=4), st.floats(0.02, 1.0))
def test_an_extra_flat_position_changes_nothing(legs: list[Leg], share: float) -> None:
    wallet = share * math.fsum(item.notional(item.mark) for item in legs)
    flat = replace(legs[0], quantity=0.0)
    alone, bucket = run([legs], [wallet])
    with_flat, same = run([[*legs, flat]], [wallet])
    for before, after in zip([*alone, *bucket], [*with_flat[:-1], *same], strict=True):
        assert list(after) == pytest.approx(list(before), nan_ok=True)
    assert with_flat["state"][-1] == MarginState.NO_POSITION
    assert math.isnan(with_flat["liquidation_price"][-1])


@settings(max_examples=60)
@given(st.lists(legs_of(OWN, inverse=None), min_size=2, max_size=5), st.randoms())
def test_order_and_batch_change_nothing(legs: list[Leg], random: object) -> None:
    wallets = [margin_of(item, 10.0) for item in legs]
    alone = [run([[item]], [w])[0][0].tolist() for item, w in zip(legs, wallets, strict=True)]
    positions, tiers = arrays([[item] for item in legs])
    shuffle = np.arange(len(legs))
    random.shuffle(shuffle)  # type: ignore[attr-defined]
    together, _ = evaluate(positions[shuffle], tiers, np.array(wallets))
    for place, i in enumerate(shuffle):
        assert together[place].tolist() == pytest.approx(alone[i], nan_ok=True)


@settings(max_examples=80)
@given(legs_of(OWN), st.floats(0.05, 3.0), st.floats(0.9, 1.1), st.floats(0.001, 0.5))
def test_hedged_legs_share_their_roots(item: Leg, ratio: float, moved: float, share: float) -> None:
    long = replace(item, side=1)
    short = replace(item, side=-1, quantity=item.quantity * ratio, entry=item.entry * moved)
    wallet = share * (long.notional(item.mark) + short.notional(item.mark))
    found, buckets = run([[long, short]], [wallet], joined=True)
    assert found["liquidation_price"][0] == pytest.approx(
        found["liquidation_price"][1], nan_ok=True
    )
    assume(buckets["state"][0] == MarginState.SAFE)
    down, up = found["liquidation_price_down"][0], found["liquidation_price_up"][0]

    def at(price: float) -> float:
        return twin.surplus(wallet, [long, short], [price, price])

    size = item.notional(item.mark)
    for root in (down, up):
        assert math.isnan(root) or abs(at(root)) <= 1e-9 * max(size, long.notional(root))
    low = item.mark * 1e-12
    if not math.isnan(down):
        assert down < item.mark
        assert down == pytest.approx(twin.bisect(at, low, item.mark, rising=True), rel=1e-6)
    else:
        assert at(low) > -1e-9 * size
    if not math.isnan(up):
        assert up > item.mark
        bound = item.mark * 1e12
        assert up == pytest.approx(twin.bisect(at, item.mark, bound, rising=False), rel=1e-6)


def test_a_hedged_book_has_a_lower_and_an_upper_root() -> None:
    long, short = leg(quantity=600.0), leg(side=-1, quantity=600.0)
    found, _ = run([[long, short]], [2_000.0], joined=True)
    assert math.isnan(found["liquidation_price_down"][0])  # equity stays, MM falls with the price
    assert found["liquidation_price_up"][0] > 100.0
    bigger = replace(long, quantity=700.0)
    found, _ = run([[bigger, short]], [2_000.0], joined=True)
    down, up = found["liquidation_price_down"][0], found["liquidation_price_up"][0]
    assert down < 100.0
    nearer = down if 100 - down <= up - 100 or math.isnan(up) else up
    assert found["liquidation_price"].tolist() == [nearer, nearer]


@settings(max_examples=60)
@given(legs_of(OWN))
def test_maintenance_is_continuous_over_every_boundary(item: Leg) -> None:
    caps = [tier[1] for tier in item.tiers[:-1]]
    prices = [cap / item.quantity for cap in caps]
    below = [replace(item, mark=p * (1 - 1e-12), close_fee=0.0) for p in prices]
    above = [replace(item, mark=p * (1 + 1e-12), close_fee=0.0) for p in prices]
    legs = [[each] for each in (*below, *above)]
    margins = run(legs, [0.0] * len(legs))[0]["maintenance_margin"]
    n = len(caps)
    assert margins[:n] == pytest.approx(margins[n:], rel=1e-9)


def test_the_root_is_in_the_tier_of_its_own_notional() -> None:
    item = leg(side=-1, quantity=500.0)  # 50,000 at the mark, more at the root
    found, _ = run([[item]], [5_000.0])
    price = found["liquidation_price"][0]
    assert found["tier"][0] == 0
    assert item.quantity * price > 50_000.0
    assert price == pytest.approx((5_000.0 + 50.0 + 50_000.0) / (500 * 1.005), rel=1e-12)


def test_an_over_collateralised_long_has_no_liquidation_price() -> None:
    found, _ = run([[leg()], [leg(side=-1)]], [150.0, 150.0])
    assert found["state"].tolist() == [MarginState.NO_LIQUIDATION_PRICE, MarginState.SAFE]
    assert math.isnan(found["liquidation_price"][0])
    assert found["liquidation_price"][1] > 100.0


def test_an_inverse_short_at_leverage_1_has_no_liquidation_price() -> None:
    short = replace(leg(side=-1, quantity=1_000.0), inverse=True)
    found, _ = run([[short]], [1_000.0 / 100.0])
    assert found["state"][0] == MarginState.NO_LIQUIDATION_PRICE


def test_liquidatable_now_still_has_its_root() -> None:
    found, buckets = run([[leg(mark=90.2)], [leg(mark=80.0)]], [10.0, 10.0])
    assert buckets["state"].tolist() == [MarginState.LIQUIDATABLE_NOW, MarginState.BANKRUPT]
    assert found["liquidation_price"].tolist() == pytest.approx([90 / 0.996] * 2, rel=1e-12)
    assert buckets["margin_ratio"][0] > 1
    assert math.isnan(buckets["margin_ratio"][1])


@pytest.mark.parametrize(("strict", "state"), [(False, 3), (True, 1)])
def test_equality_liquidates_unless_the_venue_is_strict(strict: bool, state: int) -> None:
    tiers = np.array([(0.0, math.inf, 0.125, 0.0, 4.0)], TIER)
    row = (0, 0, 1.0, 1.0, 100.0, 100.0, 0.25, 0.0, 0.0, 0, 1, False, False)
    positions = np.array([row], POSITION)
    _, buckets = evaluate(positions, tiers, np.array([12.5]), strict=strict)
    assert buckets["state"][0] == state


def test_a_rate_of_one_has_no_slope_for_a_long() -> None:
    item = replace(leg(), tiers=((0.0, math.inf, 1.0, 0.0),))
    found, buckets = run([[item], [item]], [150.0, 50.0])
    assert np.isnan(found["liquidation_price"]).all()
    assert found["state"].tolist() == [
        MarginState.NO_LIQUIDATION_PRICE,
        MarginState.LIQUIDATABLE_NOW,
    ]
    assert buckets["margin_ratio"].tolist() == pytest.approx([100 / 150, 2.0])


def test_an_unknown_mark_makes_the_account_unknown_and_no_other() -> None:
    known, unknown = leg(), leg(mark=math.nan)
    found, buckets = run([[known, unknown], [known]], [100.0, 10.0])
    assert np.isnan(found["liquidation_price"][:2]).all()
    assert found["state"].tolist() == [5, 5, MarginState.SAFE]
    assert math.isnan(buckets["equity"][0])
    assert not math.isnan(found["liquidation_price"][2])


def test_no_tiers_is_unknown_and_never_zero_maintenance() -> None:
    found, buckets = run([[replace(leg(), tiers=())]], [10.0])
    assert math.isnan(found["maintenance_margin"][0])
    assert math.isnan(found["liquidation_price"][0])
    assert buckets["state"][0] == MarginState.UNKNOWN


def test_negative_equity_without_positions_is_not_liquidatable() -> None:
    _, buckets = run([[replace(leg(), quantity=0.0)]], [-1.0])
    assert buckets["state"][0] == MarginState.NO_POSITION


def test_above_the_last_tier_is_flagged() -> None:
    found, _ = run([[leg(quantity=6e6)]], [1e8])
    assert found["above_max_notional"][0]
    assert found["tier"][0] == 5


@pytest.mark.parametrize(
    ("field", "value"),
    [("bucket", 1), ("tier_end", 99), ("quantity", -1.0), ("side", 0.0), ("entry", 0.0),
     ("mark", -1.0), ("mark", math.inf)],
)  # fmt: skip
def test_arrays_that_do_not_fit_are_refused(field: str, value: float) -> None:
    positions, tiers = arrays([[leg()]])
    positions[field] = value
    with pytest.raises(RiskError):
        evaluate(positions, tiers, np.array([1.0]))


@settings(max_examples=60)
@given(st.lists(legs_of(OWN, inverse=None), min_size=1, max_size=4), st.floats(0.05, 0.5))
def test_the_joint_distance_is_a_root_of_the_common_shock(legs: list[Leg], share: float) -> None:
    wallet = share * math.fsum(item.notional(item.mark) for item in legs)
    positions, tiers = arrays([legs])
    wallets = np.array([wallet])
    shocks = joint_distance(positions, tiers, wallets)[0]
    now = surplus_at(positions, tiers, wallets)[0]
    if now <= 0:
        assert shocks.tolist() == [0.0, 0.0]
        return
    for shock in shocks[~np.isnan(shocks)]:
        left = surplus_at(positions, tiers, wallets, float(shock))[0]
        moved = max(item.notional(item.mark * (1 + shock)) for item in legs)
        assert abs(left) <= 1e-6 * max(moved, wallet / share)
        for part in (0.2, 0.5, 0.9):  # nothing nearer was passed over
            assert surplus_at(positions, tiers, wallets, float(shock) * part)[0] > 0


def test_the_joint_distance_of_one_position_is_its_own() -> None:
    positions, tiers = arrays([[leg()], [leg(side=-1)]])
    wallets = np.array([10.0, 10.0])
    found, _ = evaluate(positions, tiers, wallets)
    shocks = joint_distance(positions, tiers, wallets)
    own = found["liquidation_price"] / 100.0 - 1.0
    assert [shocks[0, 0], shocks[1, 1]] == pytest.approx(own.tolist(), rel=1e-9)
    assert np.isnan([shocks[0, 1], shocks[1, 0]]).all()


def test_frozen_marks_understate_the_risk_of_legs_that_fall_together() -> None:
    legs = [leg(), leg()]
    positions, tiers = arrays([legs])
    wallets = np.array([20.0])
    alone = 1 - evaluate(positions, tiers, wallets)[0]["liquidation_price"][0] / 100.0
    assert -joint_distance(positions, tiers, wallets)[0, 0] == pytest.approx(alone / 2, rel=0.01)
    halved = joint_distance(positions, tiers, wallets, [1.0, 0.0])[0, 0]
    assert -halved == pytest.approx(alone, rel=1e-9)


def test_no_positions_at_all() -> None:
    margins, buckets = evaluate(np.zeros(0, POSITION), np.zeros(0, TIER), np.array([5.0]))
    assert len(margins) == 0
    assert buckets["equity"].tolist() == [5.0]
    assert np.isnan(joint_distance(np.zeros(0, POSITION), np.zeros(0, TIER), np.array([5.0]))).all()


def test_the_kernels_compile_without_an_account() -> None:
    warm_engine()

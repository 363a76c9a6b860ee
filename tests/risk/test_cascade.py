"""Cascades: what a shock liquidates, who pays for it, and that more stress never helps."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alphaplus.errors import RiskError
from alphaplus.risk.cascade import (
    MEDIAN_THINNING,
    WORST_DECILE_THINNING,
    Accounts,
    Cascade,
    Market,
    Rules,
    depth_survival_draws,
    simulate,
)
from alphaplus.risk.impact import BUY, SELL, Depth

NO_ACCOUNTS = Accounts.of([], [], [], [], [])
EXAMPLES = settings(max_examples=60)


def depth(symbols: int = 1, scale: float = 1000.0) -> Depth:
    return Depth.of_power_law(np.full(symbols, scale), 1.16, 0.04, 500.0, levels=12)


@st.composite
def markets(draw: st.DrawFn) -> Market:
    """Two symbols near 100, some dozen accounts, a shallow book."""
    count = draw(st.integers(0, 24))

    def column(low: float, high: float) -> np.ndarray[Any, Any]:
        return np.array(draw(st.lists(st.floats(low, high), min_size=count, max_size=count)))

    side = np.array(
        draw(st.lists(st.sampled_from([-1.0, 1.0]), min_size=count, max_size=count)), np.float64
    )
    trigger = 100 * (1 - side * column(0.005, 0.3))
    places = draw(st.lists(st.integers(0, 1), min_size=count, max_size=count))
    accounts = Accounts.of(
        places,
        side,
        column(0.0, 30.0),
        trigger,
        trigger * (1 - side * column(0.0, 0.03)),
        adl_rank=column(-1.0, 3.0),
    )
    rules = Rules(
        withdrawal=draw(st.sampled_from([0.0, 0.5, 1.0, 2.0])),
        mark_weight=draw(st.sampled_from([0.3, 1.0])),
        mark_cap=draw(st.sampled_from([0.02, 1.0])),
        fee_rate=draw(st.sampled_from([0.0, 0.0005])),
        surplus_to_fund=draw(st.sampled_from([0.0, 0.4, 1.0])),
    )
    return Market(
        prices=np.array([100.0, 100.0]),
        depth=depth(2, draw(st.floats(100.0, 5000.0))),
        accounts=accounts,
        fund=draw(st.sampled_from([0.0, 10.0, 1000.0])),
        survival=draw(st.sampled_from([0.2, 1.0])),
        rules=rules,
    )


falls = st.floats(0.002, 0.25)
ways = st.sampled_from([-1.0, 1.0])


def shocked(market: Market, shock: float) -> Cascade:
    return simulate(market, np.full(len(market.prices), shock))


def burdens(found: Cascade) -> dict[str, float]:
    """What must not fall when the stress grows."""
    moves = {f"move_{number}": float(move) for number, move in enumerate(found.total_move)}
    return moves | {
        "liquidated": found.liquidated_value,
        "draw": found.fund_draw,
        "deleveraged": found.adl_value,
        "passed_on": found.adl_loss + found.residual_deficit,
    }


def assert_not_less(worse: Cascade, better: Cascade) -> None:
    for name, value in burdens(better).items():
        assert burdens(worse)[name] >= value - 1e-7 * max(1.0, abs(value)), name


@given(falls, ways)
def test_without_accounts_the_move_is_the_shock(size: float, way: float) -> None:
    found = shocked(
        Market(prices=np.array([100.0]), depth=depth(), accounts=NO_ACCOUNTS), way * size
    )
    assert found.amplification[0] == pytest.approx(1.0, abs=1e-12)
    assert found.branching[0] == pytest.approx(0.0, abs=1e-12)
    assert found.accounts_wiped == 0
    assert found.fund_draw == found.adl_value == found.liquidated_value == 0.0


@EXAMPLES
@given(markets(), falls, ways)
def test_one_leg(market: Market, size: float, way: float) -> None:
    found = shocked(market, way * size)
    assert (found.amplification >= 1 - 1e-12).all()
    assert found.branching == pytest.approx(1 - 1 / found.amplification)
    # only one side is liquidated, and no more than stood there
    against = market.accounts.side == way
    assert not found.liquidated[against].any()
    standing = market.accounts.quantity * market.accounts.trigger_price
    assert found.liquidated_value <= standing[~against].sum() * (1 + 1e-12)
    # each that the mark has crossed, and none else
    mark = found.final_mark[market.accounts.symbol]
    crossed = ~against & (market.accounts.side * (market.accounts.trigger_price - mark) >= 0)
    assert (found.liquidated == crossed & (market.accounts.quantity > 0)).all()
    assert found.fund_balance >= 0
    assert found.settled
    assert found.path[0] == pytest.approx(market.prices)
    assert found.path[-1] == pytest.approx(found.final_price)


@EXAMPLES
@given(markets(), st.lists(st.floats(-0.2, 0.2), min_size=1, max_size=3))
def test_money_and_contracts_are_conserved(market: Market, legs: list[float]) -> None:
    found = simulate(market, np.tile(np.array(legs)[:, None], (1, 2)), gap_s=60.0)
    fund = found.fund_balance - market.fund
    total = found.account_pnl.sum() + found.book_pnl + found.rest_pnl + found.fees + fund
    scale = float((market.accounts.quantity * 100).sum()) + market.fund + 1
    assert total - found.residual_deficit == pytest.approx(0.0, abs=1e-9 * scale)
    assert found.fund_balance >= 0
    assert fund == pytest.approx(found.fund_surplus - found.fund_draw, abs=1e-9 * scale)
    assert (found.adl_quantity <= market.accounts.quantity * (1 + 1e-12)).all()


@EXAMPLES
@given(markets(), falls, ways, st.floats(1.0, 2.0))
def test_a_larger_shock_is_never_better(
    market: Market, size: float, way: float, more: float
) -> None:
    assert_not_less(shocked(market, way * size * more), shocked(market, way * size))


@EXAMPLES
@given(markets(), falls, ways, st.floats(0.1, 1.0))
def test_less_depth_or_survival_is_never_better(
    market: Market, size: float, way: float, less: float
) -> None:
    found = shocked(market, way * size)
    assert_not_less(shocked(replace(market, depth=market.depth.scaled(less)), way * size), found)
    thinner = replace(market, survival=market.survival * less)
    assert_not_less(shocked(thinner, way * size), found)


@EXAMPLES
@given(markets(), falls, ways)
def test_doubling_book_and_accounts_changes_no_price(
    market: Market, size: float, way: float
) -> None:
    reach = replace(market, depth=market.depth.scaled(1e5))  # stays within the ladder
    twice = replace(
        reach,
        depth=reach.depth.scaled(2.0),
        accounts=replace(market.accounts, quantity=2 * market.accounts.quantity),
    )
    a, b = shocked(reach, way * size), shocked(twice, way * size)
    assert a.path.shape == b.path.shape
    np.testing.assert_allclose(a.path, b.path, rtol=1e-12)
    assert b.liquidated_value == pytest.approx(2 * a.liquidated_value)


@EXAMPLES
@given(markets(), falls, ways)
def test_the_plain_loop_ends_at_the_same_price(market: Market, size: float, way: float) -> None:
    found = shocked(market, way * size)
    for symbol in range(2):
        assert found.final_price[symbol] == pytest.approx(
            plain_price(market, symbol, way * size), rel=1e-9
        )


def plain_price(market: Market, symbol: int, shock: float) -> float:
    """Follow one symbol as the text of the module says, account by account."""
    accounts, rules = market.accounts, market.rules
    way = math.copysign(1, shock)
    start = float(market.prices[symbol])
    index, price, sigma = start * (1 + shock), start * (1 + shock), market.depth.sigma[symbol]
    side = SELL if shock < 0 else BUY
    left = {
        i
        for i in range(len(accounts.symbol))
        if accounts.symbol[i] == symbol and accounts.side[i] == -way
    }
    ordered, seen = 0.0, abs(shock) / sigma
    for _ in range(rules.most_steps):
        premium = min(rules.mark_weight * abs(price / index - 1), rules.mark_cap)
        mark = index * (1 + way * premium)
        hit = {i for i in left if way * (accounts.trigger_price[i] - mark) <= 0}
        left -= hit
        ordered += sum(float(accounts.quantity[i]) for i in hit)
        share = max(rules.withdrawal_floor, (1 + seen) ** -rules.withdrawal) * market.survival
        rest, moved = ordered, 1.0
        for distance, quantity in zip(
            market.depth.distance[symbol, side], market.depth.quantity[symbol, side], strict=True
        ):
            if rest > 0:
                moved, rest = 1 + way * distance, rest - quantity * share
        if rest > 1e-12 * ordered:
            root = math.sqrt(rest / share / market.depth.volume[symbol])
            moved *= math.exp(way * rules.impact * sigma * root)
        price = index * moved
        seen = max(seen, abs(price / start - 1) / sigma)
    return price


@given(st.integers(0, 2**32))
def test_draws_are_equal_for_equal_seeds(seed: int) -> None:
    assert (depth_survival_draws(20, seed) == depth_survival_draws(20, seed)).all()


def test_draws_have_the_quantiles_that_they_are_made_of() -> None:
    draws = 1 / depth_survival_draws(200_000, 5)
    assert np.median(draws) == pytest.approx(MEDIAN_THINNING, rel=0.02)
    assert np.quantile(draws, 0.9) == pytest.approx(WORST_DECILE_THINNING, rel=0.03)
    assert draws.min() >= 1.0


def test_a_simulation_is_the_same_twice() -> None:
    accounts = Accounts.of([0, 0], [1, 1], [5, 9], [97, 95], [96, 94])
    market = Market(prices=np.array([100.0]), depth=depth(), accounts=accounts)
    a, b = shocked(market, -0.04), shocked(market, -0.04)
    assert (a.path == b.path).all()
    assert (a.account_pnl == b.account_pnl).all()


def one_level(distance: float, quantity: float, volume: float = 1e12) -> Depth:
    ladder = np.full((1, 2, 1), distance)
    return Depth(
        distance=ladder,
        quantity=np.full((1, 2, 1), quantity),
        sigma=np.array([0.04]),
        volume=np.array([volume]),
    )


PLAIN = Rules(withdrawal=0.0)


def test_a_fill_above_the_bankruptcy_price_pays_into_the_fund() -> None:
    # the row of margin-and-risk: long, bankruptcy 3000, fill 3060, quantity 1 gives +60
    accounts = Accounts.of([0], [1], [1], [3100], [3000])
    book = one_level(0.01, 10)
    market = Market(prices=np.array([3100.0 / 0.99]), depth=book, accounts=accounts, rules=PLAIN)
    shock = 3060 / 0.99 / market.prices[0] - 1
    found = shocked(market, shock)
    assert found.fill_price[0] == pytest.approx(3060)
    assert found.fund_surplus == pytest.approx(60)
    assert found.fund_balance == pytest.approx(60)


def test_an_empty_fund_deleverages_the_best_ranked_at_the_bankruptcy_price() -> None:
    # long 10 from 100, bankrupt at 95, filled at 90 * 0.99 = 89.1: 59 are missing, the fund has 20
    accounts = Accounts.of(
        [0, 0, 0, 0],
        [1, -1, -1, -1],
        [10, 3, 9, 4],
        [96, 150, 150, 150],
        [95, 160, 160, 160],
        adl_rank=[0.0, 1.0, 0.0, 2.0],
    )
    market = Market(
        prices=np.array([100.0]),
        depth=one_level(0.01, 1000),
        accounts=accounts,
        fund=20.0,
        rules=PLAIN,
    )
    found = shocked(market, -0.10)
    gap = 95 - 89.1
    deleveraged = 10 - 20 / gap
    assert found.fund_draw == pytest.approx(20)
    assert found.fund_balance == 0.0
    assert found.adl_value == pytest.approx(deleveraged * 100)
    assert found.adl_loss == pytest.approx(deleveraged * gap)
    assert found.residual_deficit == 0.0
    assert found.adl_quantity == pytest.approx([0.0, deleveraged - 4, 0.0, 4.0])
    assert found.final_price[0] == pytest.approx(89.1)  # the same as with a full fund
    assert shocked(replace(market, fund=1e6), -0.10).final_price[0] == found.final_price[0]
    assert found.account_pnl[0] == pytest.approx(-50)


def test_ranks_that_tie_go_to_the_larger_then_to_the_first() -> None:
    accounts = Accounts.of(
        [0] * 4, [1, -1, -1, -1], [5, 2, 3, 3], [96, 150, 150, 150], [95, 160, 160, 160]
    )
    market = Market(
        prices=np.array([100.0]), depth=one_level(0.0, 1000), accounts=accounts, rules=PLAIN
    )
    assert shocked(market, -0.10).adl_quantity == pytest.approx([0.0, 0.0, 3.0, 2.0])


def test_what_no_one_can_take_is_a_residual_deficit() -> None:
    accounts = Accounts.of([0], [1], [10], [96], [95])
    market = Market(
        prices=np.array([100.0]), depth=one_level(0.0, 1000), accounts=accounts, rules=PLAIN
    )
    found = shocked(market, -0.10)
    assert found.residual_deficit == pytest.approx(50)
    assert found.adl_value == 0.0


def test_a_rebound_liquidates_the_other_side() -> None:
    accounts = Accounts.of([0, 0], [1, -1], [1, 1], [95, 105], [90, 110])
    market = Market(
        prices=np.array([100.0]), depth=one_level(0.001, 100), accounts=accounts, rules=PLAIN
    )
    assert shocked(market, -0.06).liquidated.tolist() == [True, False]
    found = simulate(market, [[-0.06], [0.15]])
    assert found.liquidated.tolist() == [True, True]
    assert found.liquidated_short[0] == pytest.approx(105)


def test_depth_comes_back_between_legs() -> None:
    accounts = Accounts.of([0, 0], [1, 1], [40, 40], [95, 80], [60, 50])
    market = Market(prices=np.array([100.0]), depth=depth(scale=500.0), accounts=accounts)
    legs = [[-0.12], [-0.03]]
    soon, late = simulate(market, legs), simulate(market, legs, gap_s=1e5)
    assert late.total_move[0] < soon.total_move[0]


def test_a_mark_that_does_not_follow_the_price_stops_the_cascade() -> None:
    accounts = Accounts.of([0, 0], [1, 1], [200, 200], [97, 95], [90, 90])
    market = Market(prices=np.array([100.0]), depth=depth(), accounts=accounts)
    assert shocked(market, -0.04).accounts_wiped == 2
    blind = replace(market, rules=Rules(mark_weight=0.0))
    assert shocked(blind, -0.04).accounts_wiped == 1


def test_the_last_margin_ratio() -> None:
    # short from anywhere: at its trigger it is 1, and nan once it is closed
    accounts = Accounts.of([0, 0], [-1, 1], [1, 1], [150, 95], [160, 80])
    market = Market(
        prices=np.array([100.0]), depth=one_level(0.0, 100), accounts=accounts, rules=PLAIN
    )
    found = shocked(market, -0.10)
    assert found.margin_ratio[0] == pytest.approx((10 / 150) * 90 / (160 - 90))
    assert math.isnan(found.margin_ratio[1])


def test_steps_that_do_not_suffice_are_said() -> None:
    accounts = Accounts.of([0, 0], [1, 1], [200, 200], [97, 95], [90, 90])
    market = Market(
        prices=np.array([100.0]), depth=depth(), accounts=accounts, rules=Rules(most_steps=1)
    )
    assert not shocked(market, -0.04).settled


def test_no_shock_is_no_amplification() -> None:
    found = shocked(Market(prices=np.array([100.0]), depth=depth(), accounts=NO_ACCOUNTS), 0.0)
    assert math.isnan(found.amplification[0])
    assert found.total_move[0] == 0.0


def test_orders_beyond_a_ladder_need_volume_and_volatility() -> None:
    accounts = Accounts.of([0], [1], [1e4], [97], [95])
    unknown = replace(depth(), volume=np.array([math.nan]))
    market = Market(prices=np.array([100.0]), depth=unknown, accounts=accounts)
    with pytest.raises(RiskError, match="exceed"):
        shocked(market, -0.05)
    still = replace(depth(), sigma=np.array([math.nan]))
    with pytest.raises(RiskError, match="sigma"):
        shocked(replace(market, depth=still), -0.05)


@pytest.mark.parametrize("shock", [-1.0, math.nan, math.inf])
def test_impossible_shocks_are_refused(shock: float) -> None:
    with pytest.raises(RiskError, match="shocks"):
        shocked(Market(prices=np.array([100.0]), depth=depth(), accounts=NO_ACCOUNTS), shock)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (lambda: Accounts.of([0], [2], [1], [97], [95]), "side"),
        (lambda: Accounts.of([0], [1], [-1], [97], [95]), "quantity"),
        (lambda: Accounts.of([0], [1], [1], [97], [98]), "beyond"),
        (lambda: Accounts.of([0], [1], [1], [math.nan], [95]), "finite"),
        (lambda: Accounts.of([0], [1], [1], [97], [0]), "above 0"),
        (lambda: Accounts.of([0], [1, 1], [1], [97], [0]), "length"),
        (lambda: Rules(withdrawal_floor=0.0), "withdrawal_floor"),
        (lambda: Rules(mark_weight=1.5), "mark_weight"),
        (lambda: Rules(impact=-1.0), "impact"),
        (lambda: market_of(fund=-1.0), "fund"),
        (lambda: market_of(survival=0.0), "survival"),
        (lambda: market_of(prices=np.array([0.0])), "prices"),
        (lambda: market_of(prices=np.array([1.0, 2.0])), "depth"),
        (lambda: market_of(accounts=Accounts.of([1], [1], [1], [97], [95])), "symbols"),
    ],
)
def test_wrong_input_is_refused(wrong: Any, says: str) -> None:
    with pytest.raises(RiskError, match=says):
        wrong()


def market_of(**changes: Any) -> Market:
    given: dict[str, Any] = {
        "prices": np.array([100.0]),
        "depth": depth(),
        "accounts": NO_ACCOUNTS,
    }
    return Market(**(given | changes))

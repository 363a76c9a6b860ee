import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alphaplus.errors import ConfigError, RiskError
from alphaplus.leverage.account import MarginAccount, MarginPosition
from alphaplus.leverage.account_arrays import arrays_of
from alphaplus.leverage.account_margin import evaluate_account, evaluate_accounts
from alphaplus.leverage.tiers import LeverageTier, TierBook, TierTable
from tests.leverage.margin_books import table

BOOK = TierBook([table("BTC/USDT:USDT"), table("ETH/USDT:USDT"), table("BTC/USD:BTC", 1e-4)])


def position(**changes: Any) -> MarginPosition:
    base: dict[str, Any] = {
        "symbol": "BTC/USDT:USDT",
        "side": "long",
        "quantity": 1.0,
        "entry_price": 100.0,
        "mark_price": 100.0,
        "leverage": 10.0,
    }
    return MarginPosition(**(base | changes))


def account(*positions: MarginPosition, **changes: Any) -> MarginAccount:
    base: dict[str, Any] = {
        "venue": "binance",
        "margin_mode": "cross",
        "position_mode": "one_way",
        "wallet_balance": 10.0,
        "positions": positions,
    }
    return MarginAccount(**(base | changes))


def test_a_cross_account() -> None:
    found = evaluate_account(account(position(mark_price=98.0)), BOOK)
    assert found.state == "safe"
    assert found.equity == 8.0
    assert found.margin_ratio == pytest.approx(0.392 / 8.0)
    assert found.margin_level == pytest.approx(8.0 / 0.392)
    assert found.margin_utilisation == pytest.approx(9.8 / 8.0)
    assert found.available_margin == 0.0
    assert found.liquidatable is False
    own = found.positions[0]
    assert own.liquidation_price == pytest.approx(90.0 / 0.996)
    assert own.bankruptcy_price == pytest.approx(90.0)
    assert own.distance_to_liquidation == pytest.approx(1 - 90.0 / 0.996 / 98.0)
    assert own.adl_rank == pytest.approx(-2.0 / 10.0 * 0.392 / 8.0)
    assert (own.tier, own.missing) == (1, ())


def test_an_isolated_position_has_its_own_collateral() -> None:
    other = position(symbol="ETH/USDT:USDT", isolated_margin=50.0)
    found = evaluate_account(
        account(position(), other, margin_mode="isolated", wallet_balance=1000.0), BOOK
    )
    alone = evaluate_account(account(position()), BOOK).positions[0]
    assert found.positions[0].liquidation_price == alone.liquidation_price  # 100 / 10 assigned
    assert found.positions[1].bankruptcy_price == pytest.approx(50.0)
    assert found.equity == 1000.0
    assert found.margin_ratio == found.positions[0].margin_ratio  # the nearest to liquidation


@settings(max_examples=50)
@given(st.floats(0.1, 1e4), st.floats(2.0, 50.0), st.sampled_from(("long", "short")),
       st.sampled_from(("binance", "okx", "gate", "hyperliquid")))  # fmt: skip
def test_isolated_equals_cross_with_one_position(
    quantity: float, leverage: float, side: Any, venue: str
) -> None:
    item = position(quantity=quantity, leverage=leverage, side=side)
    wallet = quantity * 100.0 / leverage
    cross = evaluate_account(account(item, wallet_balance=wallet, venue=venue), BOOK)
    isolated = evaluate_account(
        account(item, wallet_balance=wallet, venue=venue, margin_mode="isolated"), BOOK
    )
    assert cross == isolated


@pytest.mark.parametrize("inverse", [None, True])
def test_coin_margined_contracts(inverse: bool | None) -> None:
    item = position(symbol="BTC/USD:BTC", quantity=10.0, contract_size=100.0, inverse=inverse)
    found = evaluate_account(account(item, venue="binancecoinm", wallet_balance=1.0), BOOK)
    own = found.positions[0]
    assert own.notional == pytest.approx(10.0)  # 1,000 USD in coin
    assert own.maintenance_margin == pytest.approx(10.0 * 0.005 - 50.0 * 1e-4)
    root = 1000.0 * (1 + 0.005) / (1.0 + 0.005 + 10.0)  # in its tier, 5 to 60 coins
    assert own.liquidation_price == pytest.approx(root)


def test_many_accounts_at_once_equal_each_alone() -> None:
    accounts = [
        account(position(), wallet_balance=20.0),
        account(position(), position(symbol="ETH/USDT:USDT", side="short"), venue="hyperliquid"),
        account(venue="dydx"),
        account(position(side="short"), venue="bybit", margin_mode="isolated"),
    ]
    together = evaluate_accounts(accounts, BOOK)
    assert list(together) == [evaluate_account(item, BOOK) for item in accounts]
    arrays = arrays_of(accounts, BOOK)
    assert arrays.first_position == (0, 1, 3, 3)
    assert arrays.strict.tolist() == [False, True, True, False]


def test_marks_can_be_moved_in_the_arrays() -> None:
    arrays = arrays_of([account(position())], BOOK)
    arrays.positions["mark"][0] = 98.0
    _, buckets = arrays.evaluate()
    assert buckets["equity"][0] == 8.0


def test_no_mark_is_null_with_its_reason() -> None:
    other = position(symbol="ETH/USDT:USDT")
    found = evaluate_account(account(position(mark_price=None), other), BOOK)
    assert (found.state, found.equity, found.margin_ratio) == ("unknown", None, None)
    assert found.liquidatable is None
    assert found.missing == ("mark price of BTC/USDT:USDT",)
    assert found.positions[0].notional is None
    assert found.positions[1].notional == 100.0
    assert found.positions[1].liquidation_price is None
    assert found.positions[1].missing == ("mark price of BTC/USDT:USDT",)


def test_no_tiers_is_null_with_its_reason() -> None:
    delisted = position(symbol="GONE/USDT:USDT")
    found = evaluate_account(account(delisted), BOOK)
    assert found.equity == 10.0
    assert found.maintenance_margin is None
    assert found.positions[0].liquidation_price is None
    assert found.missing == ("Expected tiers of GONE/USDT:USDT, were none.",)
    assert evaluate_account(account(position()), None).liquidatable is None


def test_broken_tiers_are_not_used() -> None:
    tiers = [
        LeverageTier(
            min_notional=floor,
            max_notional=floor + 10,
            maintenance_margin_rate=0.01,
            max_leverage=50,
        )
        for floor in (0, 20)
    ]
    book = TierBook([TierTable.of("BTC/USDT:USDT", tiers)])
    found = evaluate_account(account(position()), book)
    assert found.positions[0].maintenance_margin is None
    assert "tier 2: floor 20 after cap 10" in found.missing[0]


def test_a_given_rate_or_amount_overrides_the_tiers() -> None:
    rate = evaluate_account(account(position(maintenance_margin_rate=0.02)), BOOK)
    assert rate.maintenance_margin == pytest.approx(2.0)
    amount = evaluate_account(account(position(maintenance_amount=0.1)), BOOK)
    assert amount.maintenance_margin == pytest.approx(0.4 - 0.1)


def test_bounds_in_contracts_follow_the_quantity_not_the_price() -> None:
    tiers = [
        LeverageTier(
            min_notional=floor, max_notional=cap, maintenance_margin_rate=rate, max_leverage=lev
        )
        for floor, cap, rate, lev in ((0, 100, 0.01, 50), (101, 200, 0.02, 25))
    ]
    book = TierBook([TierTable.of("BTC/USDT:USDT", tiers, unit="contracts")])

    def margin(quantity: float) -> Any:
        item = position(quantity=quantity, contract_size=0.01, taker_fee=0.0)
        return evaluate_account(account(item, venue="okx"), book).positions[0]

    assert margin(100).maintenance_margin == pytest.approx(100 * 0.01 * 100 * 0.01)
    assert margin(150).maintenance_margin == pytest.approx(150 * 0.01 * 100 * 0.02)
    assert not margin(200).above_max_notional
    assert margin(201).above_max_notional


def test_open_interest_raises_the_initial_margin_of_dydx() -> None:
    tier = LeverageTier(
        min_notional=0,
        max_notional=math.inf,
        maintenance_margin_rate=0.05,
        max_leverage=10,
        initial_margin_rate=0.1,
    )
    book = TierBook([TierTable.of("X-USD", [tier], open_interest_caps=(20e6, 50e6))])
    item = position(symbol="X-USD", quantity=10.0)

    def initial(open_interest: dict[str, float]) -> float | None:
        wanted = account(item, venue="dydx", wallet_balance=500.0, open_interest=open_interest)
        return evaluate_account(wanted, book).initial_margin

    assert initial({"X-USD": 10e6}) == pytest.approx(100.0)
    assert initial({"X-USD": 35e6}) == pytest.approx(550.0)
    assert initial({"X-USD": 80e6}) == pytest.approx(1000.0)
    assert initial({}) is None
    unknown = evaluate_account(account(item, venue="dydx", wallet_balance=500.0), book)
    assert unknown.missing == ("open interest of X-USD",)
    assert unknown.liquidatable is False  # maintenance does not need it


def test_states_of_an_account() -> None:
    def state(wallet: float, **changes: Any) -> tuple[str, bool | None, float | None]:
        found = evaluate_account(account(position(**changes), wallet_balance=wallet), BOOK)
        return found.state, found.liquidatable, found.margin_ratio

    assert state(10.0) == ("safe", False, pytest.approx(0.04))
    assert state(0.3) == ("liquidatable_now", True, pytest.approx(0.4 / 0.3))
    assert state(0.0) == ("bankrupt", True, None)
    assert state(10.0, quantity=0.0) == ("no_position", False, None)
    flat = evaluate_account(account(wallet_balance=-1.0, venue="dydx"), BOOK)
    assert (flat.state, flat.liquidatable, flat.margin_ratio) == ("no_position", False, None)


def test_owed_funding_lowers_equity() -> None:
    found = evaluate_account(account(position(), accrued=4.0), BOOK)
    assert found.equity == 6.0
    assert found.positions[0].bankruptcy_price == pytest.approx(94.0)


def test_hedged_legs_share_one_price() -> None:
    legs = (position(quantity=700.0), position(quantity=600.0, side="short"))
    found = evaluate_account(account(*legs, position_mode="hedge", wallet_balance=2_000.0), BOOK)
    long, short = found.positions
    assert long.liquidation_price == short.liquidation_price
    assert long.liquidation_price_down is not None
    assert long.liquidation_price_up is not None


@pytest.mark.parametrize(
    ("positions", "changes", "message"),
    [
        ([position(), position()], {}, "one-way, were several"),
        ([position(), position()], {"position_mode": "hedge"}, "one long leg"),
        ([position(), position(side="short", mark_price=99.0)], {"position_mode": "hedge"},
         "one mark_price"),
        ([position(), position(symbol="BTC/USDC:USDC")], {}, "one currency, were USDC and USDT"),
        ([position(symbol="A"), position(symbol="B", inverse=True)], {}, "were both"),
        ([], {"wallet_balance": math.nan}, "wallet_balance"),
    ],
)  # fmt: skip
def test_an_account_that_cannot_be_is_one_sentence(
    positions: list[MarginPosition], changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(RiskError, match=message):
        account(*positions, **changes)


@pytest.mark.parametrize(
    "changes",
    [{"quantity": -1.0}, {"quantity": math.nan}, {"entry_price": 0.0}, {"leverage": 0.0},
     {"mark_price": 0.0}, {"mark_price": math.nan}, {"contract_size": 0.0}],
)  # fmt: skip
def test_a_position_that_cannot_be_is_one_sentence(changes: dict[str, float]) -> None:
    with pytest.raises(RiskError, match="above 0"):
        position(**changes)


def test_an_unknown_venue_is_refused() -> None:
    with pytest.raises(ConfigError, match="Expected venue to be one of"):
        account(position(), venue="nowhere")


def test_the_order_of_positions_changes_nothing() -> None:
    first, second = position(), position(symbol="ETH/USDT:USDT", side="short", quantity=2.0)
    one = evaluate_account(account(first, second), BOOK)
    other = evaluate_account(account(second, first), BOOK)
    assert one.positions == tuple(reversed(other.positions))
    assert replace(one, positions=()) == replace(other, positions=())

"""Margin mistakes of other frameworks, each with where it happened; none may come in here."""

from typing import Any

import pytest

from alphaplus.leverage.account import MarginAccount, MarginPosition
from alphaplus.leverage.account_margin import AccountMargin, evaluate_account
from alphaplus.leverage.adl import AdlCandidate, deleverage
from alphaplus.leverage.liquidation_price import read_liquidation_price
from alphaplus.leverage.profiles import VENUES, profile_of
from alphaplus.leverage.tiers import LeverageTier, TierBook, TierTable
from tests.leverage.margin_books import table

BOOK = TierBook([table("BTC/USDT:USDT"), table("ETH/USDT:USDT")])


def position(symbol: str = "BTC/USDT:USDT", **changes: Any) -> MarginPosition:
    base: dict[str, Any] = {
        "side": "long", "quantity": 1_000.0, "entry_price": 100.0, "mark_price": 100.0,
        "leverage": 10.0,
    }  # fmt: skip
    return MarginPosition(symbol=symbol, **(base | changes))


def evaluate(*positions: MarginPosition, wallet: float = 10_000.0, **more: Any) -> AccountMargin:
    base: dict[str, Any] = {
        "venue": "binance", "margin_mode": "cross", "position_mode": "one_way",
    }  # fmt: skip
    account = MarginAccount(wallet_balance=wallet, positions=positions, **(base | more))
    return evaluate_account(account, BOOK)


def test_the_tier_is_that_of_the_notional_not_of_the_stake() -> None:
    """freqtrade #10422, #7294: 100,000 at 10x is tier 2; its stake of 10,000 would be tier 1."""
    found = evaluate(position()).positions[0]
    assert found.tier == 2
    assert found.maintenance_margin == pytest.approx(100_000 * 0.005 - 50)


def test_a_short_among_the_others_counts_with_its_own_sign() -> None:
    """freqtrade #11318, #13456, #10503, #11916, #11952: a winning short gives room."""
    short = position("ETH/USDT:USDT", side="short", entry_price=110.0)
    found = evaluate(position(), short).positions[0]
    others = 10_000.0 - (100_000 * 0.005 - 50)  # +10 a coin, less its maintenance
    collateral = 10_000.0 + others
    root = (collateral + 50 - 100_000) / (1_000 * 0.005 - 1_000)
    assert found.liquidation_price == pytest.approx(root)
    alone = evaluate(position()).positions[0].liquidation_price
    assert found.liquidation_price is not None
    assert alone is not None
    assert found.liquidation_price < alone


def test_adding_to_a_position_moves_its_price() -> None:
    """freqtrade #9205: there is no stored price that could go stale."""
    before = evaluate(position()).positions[0].liquidation_price
    after = evaluate(position(quantity=1_500.0)).positions[0].liquidation_price
    assert before is not None
    assert after is not None
    assert after > before


def test_the_maintenance_of_others_takes_collateral() -> None:
    """torchtrade #344."""
    flat_other = position("ETH/USDT:USDT")  # no profit, only maintenance
    with_other = evaluate(position(), flat_other).positions[0].liquidation_price
    alone = evaluate(position()).positions[0].liquidation_price
    assert with_other is not None
    assert alone is not None
    assert with_other - alone == pytest.approx(450.0 / 995.0)


def test_maintenance_is_not_divided_by_leverage() -> None:
    """nautilus LeveragedMarginModel, #2530; and `mmr / leverage` of liquidation maps."""
    low, high = (evaluate(position(leverage=x)) for x in (2.0, 20.0))
    assert low.maintenance_margin == high.maintenance_margin
    assert low.initial_margin == pytest.approx(10 * (high.initial_margin or 0))


@pytest.mark.parametrize("venue", VENUES)
@pytest.mark.parametrize("mode", ["cross", "isolated"])
def test_no_venue_has_a_margin_rate_of_zero(venue: str, mode: Any) -> None:
    """nautilus #5024: without tiers the margin is unknown, with a table it is above zero."""
    found = evaluate(position(inverse=False), venue=venue, margin_mode=mode)
    assert (found.maintenance_margin or 0) > 0
    unknown = evaluate(position("NEW/USDT:USDT", inverse=False), venue=venue, margin_mode=mode)
    assert unknown.maintenance_margin is None
    assert profile_of(venue, mode).source
    zero = LeverageTier(
        min_notional=0, max_notional=1e9, maintenance_margin_rate=0.0, max_leverage=100
    )
    assert TierTable.of("X", [zero]).violations


@pytest.mark.parametrize("stated", ["0", "", "--", 0.0])
def test_no_liquidation_price_is_never_the_number_zero(stated: str | float) -> None:
    """ccxt #8311, #14747, #12208."""
    assert read_liquidation_price(stated) is None
    found = evaluate(position(), wallet=200_000.0).positions[0]
    assert found.liquidation_price is None
    assert found.state == "no_liquidation_price"
    assert found.missing == ()  # nothing is missing: there is none


def test_the_leverage_setting_is_not_the_exposure() -> None:
    """go-trader #497: the setting moves the initial margin of a cross account, nothing else."""
    low, high = (evaluate(position(leverage=x)) for x in (2.0, 50.0))
    assert low.positions[0].liquidation_price == high.positions[0].liquidation_price
    assert low.margin_ratio == high.margin_ratio
    assert low.positions[0].notional == high.positions[0].notional


def test_a_bar_liquidates_by_the_extreme_of_its_mark_not_by_its_close() -> None:
    """Vibe-Trading #889, nautilus #3788, PR #4077: the low touched the price, the close did not."""
    price = evaluate(position()).positions[0].liquidation_price
    assert price is not None
    bar = {"low": price - 1.0, "close": 100.0}
    due = {name: evaluate(position(mark_price=mark)).liquidatable for name, mark in bar.items()}
    assert due == {"low": True, "close": False}


def test_the_size_of_the_market_does_not_choose_the_tier() -> None:
    """gptprojectmanager/liquidations: the tier came from total open interest."""
    plain = evaluate(position())
    assert evaluate(position(), open_interest={"BTC/USDT:USDT": 1e12}) == plain


def test_an_old_table_is_not_used_for_a_later_time() -> None:
    """gptprojectmanager/liquidations: hard-coded brackets of years before."""
    rows = table().tiers
    book = TierBook([TierTable.of("BTC/USDT:USDT", rows, effective_to=1_000)])
    account = MarginAccount(
        venue="binance",
        margin_mode="cross",
        position_mode="one_way",
        wallet_balance=10_000.0,
        positions=(position(),),
    )
    assert evaluate_account(account, book, now_ns=999).maintenance_margin == pytest.approx(450.0)
    late = evaluate_account(account, book, now_ns=1_000)
    assert late.maintenance_margin is None
    assert "at that time" in late.missing[0]


def test_the_other_leg_of_a_deleveraged_hedge_is_seen_to_be_naked() -> None:
    """hummingbot #3103: the fill names the leg, and the account is another one after it."""
    legs = (position(), position(side="short", quantity=900.0))
    before = evaluate(*legs, position_mode="hedge")
    fill = deleverage(
        900.0, 100.0, [AdlCandidate(account="own", quantity=900.0, rank_score=1.0, leg="short")]
    ).fills[0]
    assert (fill.leg, fill.remaining) == ("short", 0.0)
    after = evaluate(legs[0], position_mode="hedge")
    down = (before.positions[0].liquidation_price_down, after.positions[0].liquidation_price_down)
    assert (down[0] or 0.0) < (down[1] or 0.0)


def test_unknown_is_not_zero_anywhere() -> None:
    found = evaluate(position(mark_price=None))
    assert [found.equity, found.margin_ratio, found.maintenance_margin] == [None] * 3
    assert [found.available_margin, found.initial_margin, found.liquidatable] == [None] * 3

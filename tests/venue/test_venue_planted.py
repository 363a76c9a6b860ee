"""Planted accounts: valued at every mark, liquidated when their margin is used up."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alphaplus.errors import ConfigError
from alphaplus.leverage.account import MarginAccount, MarginPosition
from alphaplus.leverage.account_margin import evaluate_account
from alphaplus.leverage.tiers import LeverageTier, TierBook, TierTable
from alphaplus.venue.brackets import BRACKETS, maintenance_margin
from alphaplus.venue.planted_accounts import PlantedAccounts, PlantOrder, account_view

SYMBOLS = {"BTCUSDT": "BTC/USDT:USDT", "ETHUSDT": "ETH/USDT:USDT"}
TIERS = [
    LeverageTier(
        min_notional=item.floor,
        max_notional=item.cap,
        maintenance_margin_rate=item.rate,
        max_leverage=item.leverage,
    )
    for item in BRACKETS
]
BOOK = TierBook([TierTable.of(name, TIERS) for name in SYMBOLS.values()], venue="binance")


def order(**changes: Any) -> PlantOrder:
    values: dict[str, Any] = {
        "account": None,
        "symbol": "BTCUSDT",
        "side": 1,
        "quantity": 2.0,
        "entry_price": 100.0,
        "margin_mode": "isolated",
        "leverage": 20.0,
        "wallet_balance": None,
    }
    return PlantOrder(**{**values, **changes})


def engine_price(
    mode: Any, wallet: float, positions: list[tuple[str, int, float, float, float]], symbol: str
) -> float | None:
    """The margin engine's liquidation price of `symbol`; (symbol, side, quantity, entry, mark)."""
    account = MarginAccount(
        venue="binance",
        margin_mode=mode,
        position_mode="one_way",
        wallet_balance=wallet,
        positions=tuple(
            MarginPosition(
                symbol=SYMBOLS[name],
                side="long" if side > 0 else "short",
                quantity=quantity,
                entry_price=entry,
                mark_price=mark,
                leverage=1.0,
                isolated_margin=wallet if mode == "isolated" else None,
            )
            for name, side, quantity, entry, mark in positions
        ),
    )
    found = evaluate_account(account, BOOK)
    return next(p.liquidation_price for p in found.positions if p.symbol == SYMBOLS[symbol])


def walk_until_liquidated(
    planted: PlantedAccounts, symbol: str, start: float, step: float, most: int = 20_000
) -> tuple[float, float]:
    """Move the mark by `step` at a time; return the marks before and at the trigger."""
    mark = start
    for _ in range(most):
        before, mark = mark, mark + step
        if planted.due(symbol, mark, 1):
            return before, mark
    raise AssertionError(f"never liquidated down to {mark}")


@settings(deadline=None)
@given(
    side=st.sampled_from([1, -1]),
    leverage=st.floats(2, 18),
    notional=st.floats(1e3, 11e6),
    entry=st.floats(0.5, 5e4),
    slip=st.floats(-0.01, 0.01),
)
def test_an_isolated_account_goes_where_the_engine_says(
    side: int, leverage: float, notional: float, entry: float, slip: float
) -> None:
    planted, mark = PlantedAccounts(), entry * (1 + slip)
    quantity = notional / entry
    account = planted.plant(
        order(side=side, quantity=quantity, entry_price=entry, leverage=leverage), mark
    )
    price = engine_price(
        "isolated", account.wallet_balance, [("BTCUSDT", side, quantity, entry, mark)], "BTCUSDT"
    )
    assert price is not None
    before, at = walk_until_liquidated(planted, "BTCUSDT", mark, -side * entry * 1e-3)
    assert side * (before - price) > -1e-9 * entry
    assert side * (at - price) <= 1e-9 * entry
    trigger = account_view(account)["liquidated_at"]
    assert (trigger["mark_price_before"], trigger["mark_price"]) == (before, at)
    assert trigger["equity"] <= trigger["maintenance_margin"]


@settings(deadline=None)
@given(
    sides=st.tuples(st.sampled_from([1, -1]), st.sampled_from([1, -1])),
    quantities=st.tuples(st.floats(1, 1000), st.floats(1, 1000)),
    margin=st.floats(0.05, 0.4),
    other_moves=st.floats(-0.02, 0.02),
)
def test_a_cross_account_goes_where_the_engine_says_with_its_other_position(
    sides: tuple[int, int], quantities: tuple[float, float], margin: float, other_moves: float
) -> None:
    planted = PlantedAccounts()
    wallet = margin * 100.0 * sum(quantities)
    for symbol, side, quantity in zip(SYMBOLS, sides, quantities, strict=True):
        planted.plant(
            order(
                account="desk",
                symbol=symbol,
                side=side,
                quantity=quantity,
                margin_mode="cross",
                leverage=None,
                wallet_balance=wallet / 2,
            ),
            100.0,
        )
    other = 100.0 * (1 + other_moves)
    assert planted.due("ETHUSDT", other, 0) == []
    price = engine_price(
        "cross",
        wallet,
        [
            ("BTCUSDT", sides[0], quantities[0], 100.0, 100.0),
            ("ETHUSDT", sides[1], quantities[1], 100.0, other),
        ],
        "BTCUSDT",
    )
    if price is None or not 5 < price < 500:
        return  # it outlives any fall, or a rise that is not walked here
    before, at = walk_until_liquidated(planted, "BTCUSDT", 100.0, -sides[0] * 0.05)
    assert sides[0] * (before - price) > -1e-7
    assert sides[0] * (at - price) <= 1e-7
    assert [item.symbol for item in planted.due("ETHUSDT", other, 2)] == ["ETHUSDT"]


def test_fills_close_the_account_and_the_rest_goes_to_the_fund() -> None:
    planted = PlantedAccounts()
    account = planted.plant(order(), 100.0)
    assert planted.open_interest("BTCUSDT") == 2.0
    assert account.wallet_balance == 10.0
    (forced,) = planted.due("BTCUSDT", 95.0, 7)
    assert (forced.side, forced.quantity, forced.bankruptcy_price) == (1, 2.0, 95.0)
    planted.filled(forced, 0.5, 0.5 * 95.0)
    assert account.state == "liquidating"
    assert planted.open_interest("BTCUSDT") == 1.5
    (rest,) = planted.due("BTCUSDT", 94.0, 8)
    assert rest.quantity == 1.5
    planted.filled(rest, 1.5, 1.5 * 94.0)
    assert account.state == "liquidated"
    assert planted.due("BTCUSDT", 90.0, 9) == []
    assert planted.open_interest("BTCUSDT") == 0
    view = planted.view()
    assert view["insurance_fund"] == pytest.approx(10 - 0.5 * 5 - 1.5 * 6)
    assert view["accounts"][0]["positions"][0]["fill_price"] == pytest.approx(94.25)
    assert view["accounts"][0]["liquidated_at"]["time_ms"] == 7
    assert view["accounts"][0]["maintenance_margin"] == 0


def test_a_mark_that_comes_back_before_the_trigger_liquidates_nobody() -> None:
    planted = PlantedAccounts()
    planted.plant(order(), 100.0)
    assert planted.due("BTCUSDT", 95.5, 1) == []
    assert planted.due("BTCUSDT", 100.0, 2) == []
    assert planted.view()["accounts"][0]["equity"] == 10.0


@pytest.mark.parametrize(
    ("changes", "mark", "sentence"),
    [
        ({"quantity": 1e7}, 100.0, "Expected a notional of at most 500000000, was 1000000000"),
        ({"quantity": 2e5}, 100.0, "Expected leverage of at most 10 at a notional of 20000000"),
        ({"leverage": 50.0}, 98.0, "Expected equity above the maintenance margin at the mark 98"),
        ({"account": "a"}, 100.0, "Expected a new account for an isolated position, was 'a'"),
        ({"account": "b"}, 100.0, "Expected a new account for an isolated position, was 'b'"),
        ({"account": "b", "margin_mode": "cross"}, 100.0, "Expected one position of BTCUSDT in"),
        ({"account": "c", "margin_mode": "cross"}, 100.0, "Expected an open account, was 'c'"),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence(
    changes: dict[str, Any], mark: float, sentence: str
) -> None:
    planted = PlantedAccounts()
    planted.plant(order(account="a"), 100.0)
    planted.plant(order(account="b", margin_mode="cross"), 100.0)
    planted.plant(order(account="c", margin_mode="cross", symbol="ETHUSDT"), 100.0)
    planted.due("ETHUSDT", 50.0, 1)
    before = planted.view()
    with pytest.raises(ConfigError, match=sentence):
        planted.plant(order(**changes), mark)
    assert planted.view() == before


def test_the_margin_is_continuous_where_brackets_meet() -> None:
    for lower, upper in pairwise(BRACKETS):
        assert lower.cap == upper.floor
        at = maintenance_margin(upper.floor)
        assert at == pytest.approx(maintenance_margin(np.nextafter(upper.floor, np.inf)))
        assert at == pytest.approx(lower.cap * upper.rate - upper.cum)

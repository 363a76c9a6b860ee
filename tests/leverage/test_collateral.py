import pytest

from alphaplus.leverage.collateral import collateral_value

PRICES = {"USDT": 1.0, "BTC": 60_000.0, "ETH": None}
HAIRCUTS = {"USDT": 0.0, "BTC": 0.05}


def test_haircuts_lower_assets_but_not_debts() -> None:
    assert collateral_value({"USDT": 100.0, "BTC": 0.01}, PRICES, HAIRCUTS).value == 670.0
    owed = collateral_value({"USDT": 1_000.0, "BTC": -0.01}, PRICES, HAIRCUTS)
    assert owed.value == pytest.approx(400.0)


def test_a_missing_price_or_haircut_makes_it_unknown() -> None:
    found = collateral_value({"USDT": 1.0, "ETH": 2.0, "SOL": 1.0}, PRICES, HAIRCUTS)
    assert found.value is None
    assert found.missing == ("price of ETH", "price of SOL")
    found = collateral_value({"SOL": 1.0}, {"SOL": 20.0}, HAIRCUTS)
    assert found.missing == ("haircut of SOL",)


def test_nothing_held_needs_no_price() -> None:
    assert collateral_value({"ETH": 0.0}, PRICES, HAIRCUTS).value == 0.0
    assert collateral_value({}, {}, {}).value == 0.0

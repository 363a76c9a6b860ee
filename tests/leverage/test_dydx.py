"""dYdX v4 to the unit: every row of its protocol's tests, and the trap of equality."""

import json
import math
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alphaplus.errors import RiskError
from alphaplus.leverage.dydx import (
    MICRO,
    DydxPosition,
    bankruptcy_quote,
    block_limit,
    fillable_price,
    initial_margin,
    insurance_fund_delta,
    is_liquidatable,
    liquidates_before,
    liquidation_price,
    maintenance_margin,
    maintenance_margin_ppm,
    must_deleverage,
    scaled_initial_margin_ppm,
)
from alphaplus.leverage.tier_files import read_tiers
from tests.conftest import find_data_dir


def rows(name: str, key: str = "vectors") -> list[dict[str, Any]]:
    path = find_data_dir() / "risk" / f"{name}.json"
    return list(json.loads(path.read_text(), parse_float=Decimal)[key])


def micro(value: Any) -> int:
    return round(Fraction(value) * MICRO)


def positions(row: dict[str, Any]) -> list[DydxPosition]:
    return [
        DydxPosition(
            market=item["market"],
            size=item["size"],
            oracle_price=item["oracle"],
            initial_margin_ppm=micro(item["imf"]),
            maintenance_margin_ppm=micro(item["mmf"]),
        )
        for item in row["positions"]
    ]


BTC = DydxPosition(
    market="BTC",
    size=Decimal("0.1"),
    oracle_price=50_000,
    initial_margin_ppm=200_000,
    maintenance_margin_ppm=100_000,
)


@pytest.mark.parametrize("index", range(7))
def test_bankruptcy_price(index: int) -> None:
    row = rows("dydx_bankruptcy_price")[index]
    found = bankruptcy_quote(micro(row["usdc"]), positions(row), row["market"], row["delta_size"])
    assert abs(found - micro(row["expected_bankruptcy_quote_usd"])) <= 1


@pytest.mark.parametrize("index", range(7))
def test_fillable_price(index: int) -> None:
    row = rows("dydx_fillable_price")[index]
    found = fillable_price(
        micro(row["usdc"]),
        positions(row),
        row["market"],
        bankruptcy_adjustment=row["bankruptcy_adjustment"],
        spread_to_maintenance=row["spread_to_mm_ratio"],
    )
    assert float(found) == pytest.approx(float(row["expected_fillable_price"]), rel=1e-9)


@pytest.mark.parametrize("index", range(6))
def test_insurance_fund_delta(index: int) -> None:
    row = rows("dydx_insurance_fund_delta")[index]
    selling = row["close_side"] == "sell"
    size = Fraction(row["size"]) * (1 if selling else -1)
    held = DydxPosition(
        market="BTC",
        size=size,
        oracle_price=50_000,
        initial_margin_ppm=200_000,
        maintenance_margin_ppm=100_000,
    )
    bankruptcy = bankruptcy_quote(micro(row["usdc"]), [held], "BTC", -size)
    fill = micro(size * Fraction(row["fill_price"]))
    found = insurance_fund_delta(fill, bankruptcy, micro(row["max_liq_fee"]))
    assert abs(found - micro(row["expected_insurance_fund_delta_usd"])) <= 1


@pytest.mark.parametrize("index", range(5))
def test_initial_margin_scaled_by_open_interest(index: int) -> None:
    row = rows("dydx_oi_scaled_initial_margin")[index]
    rate = scaled_initial_margin_ppm(
        micro(row["base_imf"]),
        int(row["open_notional"]),
        int(row["oi_lower_cap"]),
        int(row["oi_upper_cap"]),
    )
    found = initial_margin(int(row["notional_quantums"]), rate)
    assert found == row["expected_initial_margin_quantums"]


@pytest.mark.parametrize("index", range(8))
def test_maintenance_trigger_and_limits(index: int) -> None:
    row = rows("dydx_mmf_and_liquidatable")[index]
    if row["kind"] == "mmf_ppm":
        assert maintenance_margin_ppm(row["imf_ppm"], row["fraction_ppm"]) == row["expected_ppm"]
    elif row["kind"] == "liquidatable":
        assert is_liquidatable(micro(row["usdc"]), positions(row)) is row["expected"]
    elif row["kind"] == "block_limit":
        limit = block_limit(row["notional"], row["min_notional"], row["max_portion"])
        assert limit.minimum == Fraction(row["expected_min"])
        assert limit.maximum == Fraction(row["expected_max"])
    else:
        rate = micro(row["imf"])
        item = DydxPosition(
            market="BTC",
            size=row["size"],
            oracle_price=row["price"],
            initial_margin_ppm=rate,
            maintenance_margin_ppm=maintenance_margin_ppm(rate, micro(row["mm_fraction"])),
        )
        assert initial_margin(int(abs(item.net_notional)), rate) == row["expected_im"]
        assert maintenance_margin([item]) == row["expected_mm"]


@pytest.mark.parametrize("index", range(7))
def test_liquidity_tiers(index: int) -> None:
    row = rows("dydx_liquidity_tiers", "tiers")[index]
    table = read_tiers(find_data_dir() / "risk" / "dydx_liquidity_tiers.json").table(row["name"])
    ppm = maintenance_margin_ppm(micro(row["imf"]), micro(row["mm_fraction"]))
    assert table.tiers[0].maintenance_margin_rate == pytest.approx(ppm / 1e6, abs=1e-12)
    assert table.tiers[0].initial_margin_rate == float(row["imf"])
    assert table.open_interest_caps == (float(row["oi_lower"]), float(row["oi_upper"]))


def test_one_unit_below_maintenance_is_liquidatable() -> None:
    assert not is_liquidatable(-4_500 * MICRO, [BTC])
    assert is_liquidatable(-4_500 * MICRO - 1, [BTC])


def test_accounts_are_ordered_without_division() -> None:
    assert liquidates_before((-1, 10), (1, 10))
    assert liquidates_before((10, 100), (9, 10))
    assert not liquidates_before((9, 10), (9, 10))


def test_deleveraging_needs_negative_collateral_or_an_empty_fund() -> None:
    assert must_deleverage(-1, 10**9, 0)
    assert must_deleverage(1, 5, -6)
    assert not must_deleverage(0, 6, -6)


@pytest.mark.parametrize("change", [Decimal("0.1"), Decimal("-0.2"), 0])
def test_a_change_that_does_not_reduce_is_refused(change: Decimal) -> None:
    with pytest.raises(RiskError, match="reduces"):
        bankruptcy_quote(0, [BTC], "BTC", change)
    with pytest.raises(RiskError, match="open position"):
        bankruptcy_quote(0, [BTC], "ETH", Decimal("-0.1"))


def test_no_slope_or_no_positive_root_is_no_price() -> None:
    assert liquidation_price(100.0, 1.0, 50.0, 1.0) is None
    assert liquidation_price(100.0, 1.0, 50.0, 0.05) is None


@settings(max_examples=50)
@given(st.integers(-10_000, 10_000), st.integers(1, 1000), st.booleans(), st.integers(1, 99))
def test_parts_of_a_close_cost_what_the_whole_does(
    usdc: int, lots: int, long: bool, percent: int
) -> None:
    size = Fraction(lots if long else -lots, 100)
    held = DydxPosition(
        market="BTC",
        size=size,
        oracle_price=50_000,
        initial_margin_ppm=200_000,
        maintenance_margin_ppm=100_000,
    )
    whole = bankruptcy_quote(usdc * MICRO, [held], "BTC", -size)
    part = size * Fraction(percent, 100)
    parts = bankruptcy_quote(usdc * MICRO, [held], "BTC", -part)
    rest = bankruptcy_quote(usdc * MICRO, [held], "BTC", part - size)
    assert 0 <= parts + rest - whole <= 1  # each is rounded up
    assert whole == -usdc * MICRO  # closing all at that price leaves nothing
    assert math.ceil(Fraction(whole)) == whole

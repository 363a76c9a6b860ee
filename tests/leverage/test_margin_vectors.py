"""Published liquidation prices and margins, file by file, through the one engine."""

import gzip
import json
import math
from pathlib import Path
from typing import Any

import pytest

from alphaplus.leverage import bybit, dydx, hyperliquid
from alphaplus.leverage.account import MarginAccount, MarginPosition
from alphaplus.leverage.account_margin import AccountMargin, evaluate_account
from alphaplus.leverage.adl import AdlCandidate, adl_queue, deleverage, queue_percentiles
from alphaplus.leverage.insurance_fund import fund_delta
from alphaplus.leverage.liquidation_price import (
    entry_valued_liquidation_price,
    linear_liquidation_price,
)
from alphaplus.leverage.profiles import profile_of
from alphaplus.leverage.tier_files import read_tiers
from alphaplus.leverage.tiers import cumulative_amounts
from tests.conftest import find_data_dir


def rows(name: str) -> list[dict[str, Any]]:
    path = find_data_dir() / "risk" / f"{name}.json"
    return list(json.loads(path.read_text())["vectors"])


def example(name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    found = next(row for row in rows("published_worked_examples") if row["id"] == name)
    return found["inputs"], found["expected"]


def held(row: dict[str, Any], **more: Any) -> MarginPosition:
    """A position of the Binance rows, which state rate and amount."""
    return MarginPosition(
        symbol=row["symbol"],
        side=row["side"],
        quantity=row["qty"],
        entry_price=row["entry"],
        mark_price=row["mark"],
        leverage=more.get("leverage", 10.0),
        maintenance_margin_rate=row["mmr"],
        maintenance_amount=row["cum"],
    )


def one(venue: str, mode: Any, wallet: float, *positions: MarginPosition) -> AccountMargin:
    account = MarginAccount(
        venue=venue,
        margin_mode=mode,
        position_mode="one_way",
        wallet_balance=wallet,
        positions=positions,
    )
    return evaluate_account(account, None)


@pytest.mark.parametrize("index", range(2))
def test_binance_usdm_liq_price_doc_example(data_dir: Path, index: int) -> None:
    row = rows("binance_usdm_liq_price_doc_example")[index]
    position, others = row["position"], row["other_positions"]
    found = one("binance", "cross", row["wallet_balance"], held(position), *map(held, others))
    expected = row["expected_liquidation_price_2dp"]
    assert found.positions[0].liquidation_price == pytest.approx(expected, abs=0.005)
    profit = sum(o["qty"] * (o["mark"] - o["entry"]) for o in others)
    due = sum(o["qty"] * o["mark"] * o["mmr"] - o["cum"] for o in others)
    closed = linear_liquidation_price(
        1,
        position["qty"],
        position["entry"],
        row["wallet_balance"] + profit - due,
        position["mmr"],
        amount=position["cum"],
    )
    assert float(closed) == pytest.approx(expected, abs=0.005)


@pytest.mark.parametrize("index", range(12))
def test_freqtrade_isolated_liq_price(data_dir: Path, index: int) -> None:
    row = rows("freqtrade_isolated_liq_price")[index]
    position = MarginPosition(
        symbol="X/USDT:USDT",
        side="short" if row["is_short"] else "long",
        quantity=row["qty"],
        entry_price=row["entry"],
        mark_price=row["entry"],
        leverage=row["leverage"],
        isolated_margin=row["wallet_margin"],
        maintenance_margin_rate=row["mmr"],
        maintenance_amount=row["maint_amount"],
        taker_fee=row["taker_fee"],
    )
    expected = row["expected_liquidation_price"]
    found = one(row["exchange"], "isolated", row["wallet_margin"], position)
    assert found.positions[0].liquidation_price == pytest.approx(expected, rel=1e-6)
    if row["exchange"] == "bybit":
        side = -1 if row["is_short"] else 1
        simple = bybit.simple_liquidation_price(side, row["entry"], row["leverage"], row["mmr"])
        assert simple == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("index", range(16))
def test_hyperliquid_real_positions_liq_price(data_dir: Path, index: int) -> None:
    row = rows("hyperliquid_real_positions_liq_price")[index]
    rate = hyperliquid.maintenance_rate(row["max_leverage"])
    position = MarginPosition(
        symbol=row["symbol"],
        side=row["side"],
        quantity=row["contracts"],
        entry_price=row["entryPrice"],
        mark_price=row["entryPrice"],
        leverage=row["leverage"],
        isolated_margin=row["collateral"],
        maintenance_margin_rate=rate,
    )
    price = one("hyperliquid", "isolated", row["collateral"], position).positions[0]
    assert price.liquidation_price == pytest.approx(row["liquidationPrice"], rel=1e-4)
    side = 1 if row["side"] == "long" else -1
    own_form = hyperliquid.liquidation_price(
        side, row["contracts"], row["entryPrice"], row["collateral"], row["max_leverage"]
    )
    assert own_form == pytest.approx(price.liquidation_price, rel=1e-9)


def test_bybit_usdt_isolated_long(data_dir: Path) -> None:
    inputs, expected = example("bybit_usdt_isolated_long")
    position = MarginPosition(
        symbol="BTC/USDT:USDT",
        side=inputs["side"],
        quantity=inputs["qty"],
        entry_price=inputs["entry"],
        mark_price=inputs["entry"] * 1.01,  # margins stay at the entry
        leverage=inputs["leverage"],
        maintenance_margin_rate=inputs["mmr"],
    )
    found = one("bybit", "isolated", 400.0, position).positions[0]
    for name, value in expected.items():
        assert getattr(found, name) == pytest.approx(value, rel=1e-6)
    closed = entry_valued_liquidation_price(1, 1, 20_000, 400, 100)
    assert float(closed) == pytest.approx(19_700, rel=1e-12)
    by_mark = one("binance", "isolated", 400.0, position).positions[0].liquidation_price
    assert by_mark == pytest.approx(19_698.49, abs=0.005)  # so the valuation matters


def test_binance_coinm_maint_amount_lvl5(data_dir: Path) -> None:
    inputs, expected = example("binance_coinm_maint_amount_lvl5")
    step = inputs["level_floor_btc"] * (inputs["mmr_n"] - inputs["mmr_n_minus_1"])
    assert inputs["cum_n_minus_1_btc"] + step == pytest.approx(expected["cum_n_btc"], rel=1e-6)
    # the same rule from the first tier: a floor that puts 0.56 before the last
    amounts = cumulative_amounts([0, 0.56 / 0.02, 50], [0.005, 0.025, 0.05])
    assert amounts[2] == pytest.approx(expected["cum_n_btc"], rel=1e-6)


def test_bitmex_adl_queue(data_dir: Path) -> None:
    inputs, expected = example("bitmex_adl_queue")
    longs = [
        AdlCandidate(account=x["account"], quantity=x["qty"], rank_score=x["rank_score"])
        for x in inputs["longs"]
    ]
    assert [item.account for item in adl_queue(longs)] == expected["order"]
    found = deleverage(inputs["liquidated_short_qty"], inputs["bankruptcy_price"], longs)
    fills = [
        {"account": f.account, "closed": f.closed, "remaining": f.remaining, "price": f.price}
        for f in found.fills
    ]
    assert fills == expected["fills"]
    assert found.unmatched == 0
    percentiles = {str(k): v for k, v in queue_percentiles(longs).items()}
    assert percentiles == expected["percentile"]


def test_insurance_fund_fill_vs_bankruptcy(data_dir: Path) -> None:
    inputs, expected = example("insurance_fund_fill_vs_bankruptcy")
    delta = fund_delta(1, inputs["qty"], inputs["fill_price"], inputs["bankruptcy_price"])
    assert float(delta) == pytest.approx(expected["insurance_fund_delta_usd"], rel=1e-6)


def test_binance_real_position_maint_margin(data_dir: Path) -> None:
    inputs, expected = example("binance_real_position_maint_margin")
    position = held(inputs | {"symbol": "ADA/USDT:USDT"}, leverage=inputs["leverage"])
    found = one("binance", "cross", 100.0, position).positions[0]
    assert found.notional == pytest.approx(expected["notional"], rel=1e-6)
    assert found.initial_margin == pytest.approx(expected["initial_margin"], rel=1e-6)
    assert found.maintenance_margin == pytest.approx(expected["maintenance_margin"], rel=1e-6)
    assert found.unrealized_pnl == pytest.approx(expected["unrealised_pnl"], rel=1e-6)


def test_dydx_isolated_liq_price_doc(data_dir: Path) -> None:
    inputs, expected = example("dydx_isolated_liq_price_doc")
    value = expected["liquidation_price"]
    form = dydx.liquidation_price(inputs["equity"], inputs["size"], inputs["price"], inputs["mmf"])
    assert form == pytest.approx(value, rel=1e-6)
    position = MarginPosition(
        symbol="ETH-USD",
        side="short",
        quantity=-inputs["size"],
        entry_price=inputs["price"],
        mark_price=inputs["price"],
        leverage=10.0,
        maintenance_margin_rate=inputs["mmf"],
    )
    found = one("dydx", "cross", inputs["equity"], position).positions[0]
    assert found.liquidation_price == pytest.approx(value, rel=1e-6)


def test_bybit_unified_margins_include_the_close_fee(data_dir: Path) -> None:
    path = data_dir / "feeds" / "liquidation_messages" / "bybit_ws_account_position.json"
    data = json.loads(path.read_text())["data"][0]
    value = float(data["positionValue"]) - float(data["unrealisedPnl"])
    profile = profile_of("bybit", "cross")
    leverage = float(data["leverage"])
    initial = value * profile.initial_rate(-1.0, leverage, profile.fee_rate)
    held_back = value * (0.005 + profile.close_fee(-1.0, leverage, profile.fee_rate))
    assert initial == pytest.approx(float(data["positionIM"]), rel=1e-5)
    assert held_back == pytest.approx(float(data["positionMM"]), rel=1e-5)
    position = MarginPosition(
        symbol="ETH/USDT:USDT",
        side="short",
        quantity=1.0,
        entry_price=value,
        mark_price=value,
        leverage=leverage,
        maintenance_margin_rate=0.005,
    )
    found = one("bybit", "cross", 100.0, position).positions[0]
    assert found.initial_margin == pytest.approx(initial, rel=1e-12)
    assert found.maintenance_margin == pytest.approx(held_back, rel=1e-12)


@pytest.mark.parametrize("index", range(2))
def test_freqtrade_tier_lookup(data_dir: Path, index: int) -> None:
    row = rows("freqtrade_tier_lookup")[index]
    book = read_tiers(data_dir / "risk" / "freqtrade_conftest_tiers.json")
    table = book.table(row["pair"])
    assert table.at(row["notional"]).maintenance_margin_rate == row["expected_mmr"]
    assert table.rows["amount"][table.index(row["notional"])] == row["expected_cum"]


def test_binance_leverage_tiers_are_continuous_at_every_boundary(data_dir: Path) -> None:
    path = data_dir / "risk" / "binance_leverage_tiers_2024-10.json.gz"
    book = read_tiers(path, venue="binance")
    assert len(book) == 349
    assert book.violations == ()
    raw = json.loads(gzip.decompress(path.read_bytes()))
    boundaries = 0
    for symbol, tiers in raw.items():
        table = book.table(symbol)
        stated = [float(tier["info"]["cum"]) for tier in tiers]
        derived = cumulative_amounts(table.rows["floor"], table.rows["rate"])
        assert derived.tolist() == pytest.approx(stated, rel=1e-6, abs=1e-6)
        for cap in table.rows["cap"][:-1]:
            below, above = table.maintenance_margin([cap, math.nextafter(cap, math.inf)])
            assert above == pytest.approx(below, rel=1e-6)
            boundaries += 1
    assert boundaries == 2456


def test_hyperliquid_margin_tiers(data_dir: Path) -> None:
    book = read_tiers(data_dir / "risk" / "hyperliquid_margin_tiers.json")
    assert book.violations == ()
    table = book.table("BTC/USDC:USDC")
    assert table.rows["rate"].tolist() == [1 / 80, 1 / 40]
    assert table.rows["amount"].tolist() == [0.0, 150_000_000 / 80]
    assert book.table("BTC") is table
    assert book.table("LINK/USDC:USDC").at(20_000_001).max_leverage == 5

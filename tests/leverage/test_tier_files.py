import json
import math
from pathlib import Path
from typing import Any

import pytest

from alphaplus.errors import ConfigError, MissingTier
from alphaplus.leverage.tier_files import read_tiers, tiers_from_ccxt, tiers_of, write_tiers

OWN: dict[str, Any] = {
    "format": "alphaplus-tiers-1",
    "venue": "binance",
    "source": "brackets of the day",
    "tables": [
        {
            "symbol": "BTC/USDT:USDT",
            "effective_from": "2024-10-01T00:00:00Z",
            "tiers": [
                {"min_notional": 0, "max_notional": 50000, "maintenance_margin_rate": 0.004,
                 "max_leverage": 125},
                {"min_notional": 50000, "maintenance_margin_rate": 0.005, "max_leverage": 100},
            ],
        }
    ],
}  # fmt: skip


def ccxt_tier(**more: Any) -> dict[str, Any]:
    return {"tier": 1, "currency": "USDT", "minNotional": 0, "maxNotional": 100,
            "maintenanceMarginRate": 0.01, "maxLeverage": 50, "info": {}} | more  # fmt: skip


def test_our_own_format() -> None:
    table = tiers_of(OWN).table("BTC-USDT-PERP", 1_730_000_000 * 1_000_000_000)
    assert table.rows["amount"].tolist() == [0.0, pytest.approx(50.0)]
    assert table.rows["cap"][1] == math.inf
    assert table.source == "brackets of the day"
    assert table.effective_from == 1_727_740_800 * 1_000_000_000
    with pytest.raises(MissingTier):
        tiers_of(OWN).table("BTC-USDT-PERP", 0)


@pytest.mark.parametrize("name", ["tiers.json", "tiers.json.gz"])
def test_what_is_written_is_read_back(tmp_path: Path, data_dir: Path, name: str) -> None:
    for file in ("freqtrade_conftest_tiers.json", "dydx_liquidity_tiers.json"):
        book = read_tiers(data_dir / "risk" / file, venue="somewhere")
        write_tiers(book, tmp_path / name)
        again = read_tiers(tmp_path / name)
        assert again.hash == book.hash
        assert again.venue == "somewhere"
        assert again.violations == book.violations


def test_amounts_of_ccxt_come_from_where_the_venue_states_them() -> None:
    second = {"minNotional": 100, "maxNotional": 200, "maintenanceMarginRate": 0.02,
              "maxLeverage": 25}  # fmt: skip
    for first, info in (({"cum": "0.0"}, {"cum": "1.0"}), ({}, {}),
                        ({"mmDeduction": "0"}, {"mmDeduction": "1"})):  # fmt: skip
        tiers = [ccxt_tier(info=first), ccxt_tier(**second, info=info)]
        table = tiers_from_ccxt({"X/USDT:USDT": tiers}).table("X/USDT:USDT")
        assert table.rows["amount"].tolist() == pytest.approx([0.0, 1.0])


def test_the_bounds_of_okx_count_contracts() -> None:
    info = {"minSz": "0", "maxSz": "100"}
    tiers = [
        ccxt_tier(info=info),
        ccxt_tier(minNotional=101, maxNotional=None, maxLeverage=25,
                  maintenanceMarginRate=0.015, info=info),
    ]  # fmt: skip
    table = tiers_from_ccxt({"X/USDT:USDT": tiers}).table("X/USDT:USDT")
    assert table.unit == "contracts"
    assert table.rows["amount"].tolist() == [0.0, 0.0]
    assert table.at(100).maintenance_margin_rate == 0.01
    assert table.at(101).maintenance_margin_rate == 0.015


def test_markets_of_dydx_are_found_by_their_tier(data_dir: Path) -> None:
    content = json.loads((data_dir / "risk" / "dydx_liquidity_tiers.json").read_text())
    book = tiers_of(content | {"markets": {"BTC-USD": 0, "SUI-USD": 5}})
    assert book.table("BTC-USD").tiers[0].initial_margin_rate == 0.02
    assert book.table("SUI-USD").open_interest_caps == (40e6, 100e6)


@pytest.mark.parametrize(
    "content",
    [
        "not json",
        "[]",
        '{"X": 1}',
        '{"X": [{"minNotional": 0}]}',
        '{"X": []}',
        '{"format": "alphaplus-tiers-2", "tables": []}',
        '{"format": "alphaplus-tiers-1", "tables": [{"symbol": "X", "tiers": []}]}',
        '{"format": "alphaplus-tiers-1", "tables": [], "more": 1}',
        '{"tiers": [{"id": 0}]}',
        '{"mainnet": {"BTC": [[0]]}}',
    ],
)
def test_a_file_of_another_form_is_one_sentence(tmp_path: Path, content: str) -> None:
    path = tmp_path / "tiers.json"
    path.write_text(content)
    with pytest.raises(ConfigError) as error:
        read_tiers(path)
    assert str(error.value).startswith("Expected ")
    assert "\n" not in str(error.value)


def test_a_time_without_a_zone_is_refused() -> None:
    table = OWN["tables"][0] | {"effective_from": "2024-10-01T00:00:00"}
    with pytest.raises(ConfigError, match="without a zone"):
        tiers_of(OWN | {"tables": [table]})


def test_a_missing_file_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="Expected a JSON file of tiers"):
        read_tiers(tmp_path / "none.json")

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from alphaplus.cli import app
from alphaplus.errors import ConfigError
from alphaplus.leverage.command import margin_of

ACCOUNT: dict[str, Any] = {
    "margin_mode": "cross",
    "position_mode": "one_way",
    "wallet_balance": 1535443.01,
    "positions": [
        {"symbol": "ETH/USDT:USDT", "side": "long", "quantity": 3683.979, "entry_price": 1456.84,
         "mark_price": 1335.18, "leverage": 10, "maintenance_margin_rate": 0.1,
         "maintenance_amount": 135365.0},
        {"symbol": "BTC/USDT:USDT", "side": "long", "quantity": 109.488, "entry_price": 32481.98,
         "mark_price": 31967.27, "leverage": 10, "maintenance_margin_rate": 0.025,
         "maintenance_amount": 16300},
    ],
}  # fmt: skip


def answer(account: dict[str, Any], venue: str = "binance", tiers: Path | None = None) -> Any:
    return margin_of(json.dumps(account).encode(), venue, tiers)


def changed(**position: Any) -> dict[str, Any]:
    first = ACCOUNT["positions"][0] | position
    return ACCOUNT | {"positions": [first]}


def test_the_worked_example_of_binance() -> None:
    done = CliRunner().invoke(
        app, ["margin", "--venue", "binance", "--json"], input=json.dumps(ACCOUNT)
    )
    assert done.exit_code == 0
    found = json.loads(done.stdout)
    assert round(found["positions"][0]["liquidation_price"], 2) == 1153.26
    for name in ("notional", "unrealized_pnl", "initial_margin", "maintenance_margin"):
        assert found["positions"][1][name] is not None
    assert {"bankruptcy_price", "adl_rank"} <= set(found["positions"][0])
    assert found["equity"] == pytest.approx(1030895.55638)
    assert found["margin_ratio"] == pytest.approx(427713.319566 / 1030895.55638)
    assert found["liquidatable"] is False


def test_people_get_a_table() -> None:
    done = CliRunner().invoke(app, ["margin", "--venue", "binance"], input=json.dumps(ACCOUNT))
    assert done.exit_code == 0
    assert "1,153.2565" in done.stdout
    assert "liquidatable: False" in done.stdout


def test_tiers_come_from_a_file(data_dir: Path) -> None:
    tiers = data_dir / "risk" / "binance_leverage_tiers_2024-10.json.gz"
    plain = {"quantity": 1.0, "maintenance_margin_rate": None, "maintenance_amount": None}
    account = changed(symbol="BTC-USDT-PERP", entry_price=60_000, mark_price=60_000, **plain)
    found = answer(account, tiers=tiers)
    assert found["positions"][0]["maintenance_margin"] == pytest.approx(60_000 * 0.005 - 50)
    assert len(found["tiers_hash"]) == 16
    missing = answer(account)
    assert missing["positions"][0]["maintenance_margin"] is None
    assert missing["missing"]


def test_nothing_unknown_is_printed_as_a_number() -> None:
    found = answer(changed(mark_price=None))
    assert found["equity"] is None
    assert found["positions"][0]["liquidation_price"] is None
    assert found["missing"] == ("mark price of ETH/USDT:USDT",)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("", "JSON"),
        ("{", "JSON"),
        ("[]", "the account"),
        ('{"margin_mode": "cross"}', "wallet_balance"),
        (json.dumps(ACCOUNT | {"wallet_balance": "1"}), "wallet_balance"),
        (json.dumps(ACCOUNT).replace("1535443.01", "NaN"), "JSON"),
        (json.dumps(ACCOUNT).replace("1535443.01", "1e999"), "wallet_balance|JSON"),
        (json.dumps(ACCOUNT | {"margin_mode": "portfolio"}), "margin_mode"),
        (json.dumps(ACCOUNT | {"more": 1}), "more"),
        (json.dumps(changed(side="buy")), "positions.0.side"),
        (json.dumps(changed(quantity=-1)), "positions.0.quantity"),
        (json.dumps(changed(quantity=True)), "positions.0.quantity"),
        (json.dumps(changed(entry_price=0)), "positions.0.entry_price"),
        (json.dumps(changed(mark_price=-1)), "positions.0.mark_price"),
        (json.dumps(changed(leverage=0.5)), "positions.0.leverage"),
        (json.dumps(changed(symbol="")), "positions.0.symbol"),
        (json.dumps(ACCOUNT | {"positions": ACCOUNT["positions"][:1] * 2}), "several"),
    ],
)
def test_a_wrong_account_is_one_sentence(text: str, names: str) -> None:
    with pytest.raises(ConfigError, match=names) as error:
        margin_of(text.encode(), "binance", None)
    assert str(error.value).startswith("Expected ")
    assert "\n" not in str(error.value)


def test_a_wrong_venue_or_file_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="Expected venue to be one of binance"):
        answer(ACCOUNT, venue="nowhere")
    with pytest.raises(ConfigError, match="Expected a JSON file of tiers"):
        answer(ACCOUNT, tiers=tmp_path / "none.json")


def test_wrong_input_ends_with_exit_code_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import io
    import sys

    from alphaplus import cli

    monkeypatch.setattr(sys, "argv", ["alphaplus", "margin", "--venue", "binance"])
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"{}")))
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 2
    assert capsys.readouterr().err == "error: Expected margin_mode to be valid: Field required.\n"

"""ccxt's markets become instruments; every symbol finds its client."""

from decimal import Decimal
from typing import Any

import pytest

from alphaplus.errors import ConfigError, UnknownSymbol
from alphaplus.feeds.markets import (
    client_id,
    exchange_name,
    instrument_from_market,
    instruments_from_markets,
    select_instruments,
)
from alphaplus.instruments import InstrumentKind


def market(symbol: str = "BTC/USDT:USDT", **changes: Any) -> dict[str, Any]:
    return {
        "id": "BTCUSDT",
        "symbol": symbol,
        "contract": ":" in symbol,
        "active": True,
        "inverse": False,
        "contractSize": 1.0 if ":" in symbol else None,
        "precision": {"price": 0.1, "amount": 0.001},
    } | changes


@pytest.mark.parametrize(
    ("symbol", "client"),
    [
        ("BTC-USDT-SPOT", "binance"),
        ("BTC-USDT-PERP", "binanceusdm"),
        ("BTC-USDC-PERP", "binanceusdm"),
        ("BTC-USDT-260925", "binanceusdm"),
        ("BTC-USD-BTC-PERP", "binancecoinm"),
        ("BTC-USD-BTC-260925", "binancecoinm"),
    ],
)
def test_binance_symbol_finds_its_client(symbol: str, client: str) -> None:
    assert client_id("binance", [symbol]) == client
    assert exchange_name(client) == "binance"


def test_binance_without_symbols_is_usd_margined() -> None:
    assert client_id("binance") == "binanceusdm"


def test_other_exchange_is_its_own_client() -> None:
    assert client_id("bybit", ["BTC-USDT-PERP", "BTC-USDT-SPOT"]) == "bybit"
    assert exchange_name("bybit") == "bybit"


def test_unknown_exchange_is_refused_with_the_closest() -> None:
    with pytest.raises(ConfigError, match=r"no exchange 'binanse'; did you mean binance\?"):
        client_id("binanse")


def test_symbols_of_two_markets_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"one connection for each"):
        client_id("binance", ["BTC-USDT-PERP", "BTC-USDT-SPOT"])


def test_option_of_binance_is_refused() -> None:
    with pytest.raises(ConfigError, match="spot, perpetual or dated"):
        client_id("binance", ["BTC-USDT-260925-90000-C"])


def test_linear_perpetual() -> None:
    instrument = instrument_from_market(market(), "binance")
    assert instrument.key == "binance:BTC-USDT-PERP"
    assert instrument.venue_symbol == "BTCUSDT"
    assert instrument.tick_size == Decimal("0.1")
    assert instrument.lot_size == Decimal("0.001")
    assert instrument.contract_size == 1.0
    assert instrument.kind is InstrumentKind.PERPETUAL
    assert not instrument.inverse


def test_inverse_contract_keeps_its_size() -> None:
    listed = market("BTC/USD:BTC", id="BTCUSD_PERP", inverse=True, contractSize=100.0)
    instrument = instrument_from_market(listed, "binance")
    assert instrument.inverse
    assert instrument.contract_size == 100.0
    assert instrument.symbol == "BTC-USD-BTC-PERP"
    assert instrument.ccxt_symbol == "BTC/USD:BTC"


@pytest.mark.parametrize("step", [1e-08, 0.0001, 0.5, 10.0, 1])
def test_steps_are_the_decimals_of_the_venue(step: float) -> None:
    listed = market("SHIB/USDT", precision={"price": step, "amount": 1.0})
    instrument = instrument_from_market(listed, "binance")
    assert float(instrument.tick_size) == step
    assert instrument.kind is InstrumentKind.SPOT


def test_precision_in_digits() -> None:
    listed = market(precision={"price": 2, "amount": 0})
    instrument = instrument_from_market(listed, "venue", precision_mode=2)
    assert instrument.tick_size == Decimal("0.01")
    assert instrument.lot_size == Decimal(1)


def test_market_without_tick_is_refused_alone_and_left_out_of_many(
    caplog: pytest.LogCaptureFixture,
) -> None:
    odd = market("ETH/USDT:USDT", precision={"price": None, "amount": 0.1})
    with pytest.raises(ConfigError, match="price step of ETH/USDT:USDT"):
        instrument_from_market(odd, "binance")
    closed = market("XRP/USDT:USDT", active=False)
    instruments = instruments_from_markets([market(), odd, closed], "binance")
    assert list(instruments) == ["BTC-USDT-PERP"]
    assert "left out 1 of 2 markets" in caplog.text


def test_selection_keeps_the_order_and_names_the_closest() -> None:
    listed = instruments_from_markets([market(), market("ETH/USDT:USDT")], "binance")
    assert list(select_instruments(listed, ["ETH-USDT-PERP", "BTC-USDT-PERP"])) == [
        "ETH-USDT-PERP",
        "BTC-USDT-PERP",
    ]
    assert select_instruments(listed, ()) == listed
    with pytest.raises(UnknownSymbol, match=r"binance does not list BTC-USDT-PREP; did you mean"):
        select_instruments(listed, ["BTC-USDT-PREP"])

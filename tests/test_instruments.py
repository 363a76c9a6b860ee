from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alphaplus.errors import ConfigError, UnknownSymbol
from alphaplus.instruments import (
    Instrument,
    InstrumentKind,
    instrument_kind,
    symbol_from_ccxt,
    symbol_to_ccxt,
)

CODES = st.from_regex(r"[A-Z0-9]{1,10}", fullmatch=True)


def instrument(tick: str = "0.10", lot: str = "0.001", **changes: object) -> Instrument:
    fields: dict[str, object] = {
        "symbol": "BTC-USDT-PERP",
        "exchange": "binance",
        "venue_symbol": "BTCUSDT",
        "tick_size": Decimal(tick),
        "lot_size": Decimal(lot),
    }
    return Instrument(**{**fields, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("ccxt", "ours", "kind"),
    [
        ("BTC/USDT", "BTC-USDT-SPOT", InstrumentKind.SPOT),
        ("BTC/USDT:USDT", "BTC-USDT-PERP", InstrumentKind.PERPETUAL),
        ("BTC/USD:BTC", "BTC-USD-BTC-PERP", InstrumentKind.PERPETUAL),
        ("BTC/USDT:USDT-260925", "BTC-USDT-260925", InstrumentKind.FUTURE),
        ("BTC/USD:BTC-260925-90000-C", "BTC-USD-BTC-260925-90000-C", InstrumentKind.OPTION),
    ],
)
def test_symbols_translate_both_ways(ccxt: str, ours: str, kind: InstrumentKind) -> None:
    assert symbol_from_ccxt(ccxt) == ours
    assert symbol_to_ccxt(ours) == ccxt
    assert instrument_kind(ours) is kind


@given(CODES, CODES, st.none() | CODES, st.none() | st.from_regex(r"\d{6}", fullmatch=True))
def test_translation_is_lossless(
    base: str, quote: str, settle: str | None, date: str | None
) -> None:
    name = f"{base}/{quote}"
    if settle is not None:
        name += f":{settle}" + (f"-{date}" if date else "")
    assert symbol_to_ccxt(symbol_from_ccxt(name)) == name


@pytest.mark.parametrize("name", ["", "BTCUSDT", "BTC-USDT", "BTC/USDT/X", "-USDT-PERP"])
def test_other_names_are_refused(name: str) -> None:
    with pytest.raises(UnknownSymbol):
        symbol_to_ccxt(name)
    with pytest.raises(UnknownSymbol):
        symbol_from_ccxt(name)


@pytest.mark.parametrize(
    ("tick", "decimals", "units"), [("0.10", 1, 1), ("0.5", 1, 5), ("10", 0, 10), ("1E-8", 8, 1)]
)
def test_a_tick_is_units_of_a_digit(tick: str, decimals: int, units: int) -> None:
    item = instrument(tick)
    assert (item.price_decimals, item.tick_units) == (decimals, units)


@given(st.integers(min_value=1, max_value=10**12), st.sampled_from(["0.1", "0.25", "5", "1E-7"]))
def test_price_is_the_float_nearest_to_the_decimal(tick: int, size: str) -> None:
    item = instrument(size)
    assert item.price(tick) == float(tick * Decimal(size))
    assert item.tick(tick * Decimal(size)) == tick


def test_a_price_off_the_grid_is_refused() -> None:
    with pytest.raises(ValueError, match="on the tick"):
        instrument("0.5").tick("100.3")


def test_notional_of_linear_and_inverse() -> None:
    assert instrument(contract_size=0.01).notional(200.0, 3) == pytest.approx(6.0)
    assert instrument(contract_size=100.0, inverse=True).notional(200.0, 3) == 300.0


@pytest.mark.parametrize("field", ["tick_size", "lot_size"])
@pytest.mark.parametrize("value", ["0", "-1", "NaN", "Infinity"])
def test_sizes_must_be_positive(field: str, value: str) -> None:
    with pytest.raises(ConfigError, match=field):
        instrument(**{field: Decimal(value)})

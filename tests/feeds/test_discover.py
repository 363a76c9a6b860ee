"""What a recording is of, read from its frames alone."""

from decimal import Decimal

import pytest

from alphaplus.errors import UnknownSymbol
from alphaplus.feeds.discover import discover, infer_instrument, split_pair
from alphaplus.instruments import InstrumentKind, symbol_to_ccxt
from tests.feeds.synthetic import SyntheticVenue, is_snapshot, market


def depth(symbol: str, price: str, quantity: str, *, pu: str = "") -> bytes:
    text = (
        f'{{"e":"depthUpdate","E":1,"s":"{symbol}","U":1,"u":2,{pu}"b":[["{price}","{quantity}"]]'
    )
    return f'{text},"a":[]}}'.encode()


@pytest.mark.parametrize(
    ("price", "quantity", "tick", "lot"),
    [
        ("61800.20", "0.010", "0.1", "0.01"),
        ("61800.25000000", "12.00000000", "0.01", "1"),
        ("61800", "1", "1", "1"),
        ("0.00001234", "1500", "1E-8", "1"),
    ],
)
def test_tick_and_lot_are_the_powers_of_ten_that_the_numbers_need(
    price: str, quantity: str, tick: str, lot: str
) -> None:
    instrument = infer_instrument([depth("BTCUSDT", price, quantity)])
    assert instrument.tick_size == Decimal(tick)
    assert instrument.lot_size == Decimal(lot)


@pytest.mark.parametrize(
    ("frame", "symbol", "kind"),
    [
        (depth("BTCUSDT", "1", "1", pu='"pu":1,'), "BTC-USDT-PERP", InstrumentKind.PERPETUAL),
        (depth("BTCUSDT", "1", "1"), "BTC-USDT-SPOT", InstrumentKind.SPOT),
        (depth("BTCUSDT_240927", "1", "1"), "BTC-USDT-240927", InstrumentKind.FUTURE),
        (depth("BTCUSD_PERP", "1", "1"), "BTC-USD-BTC-PERP", InstrumentKind.PERPETUAL),
        (depth("ETHUSD_240927", "1", "1"), "ETH-USD-ETH-240927", InstrumentKind.FUTURE),
        (depth("1000PEPEUSDC", "1", "1", pu='"pu":1,'), "1000PEPE-USDC-PERP", None),
        (b'{"u":1,"s":"ETHBTC","b":"1","B":"1","a":"1","A":"1"}', "ETH-BTC-SPOT", None),
        (b'{"e":"markPriceUpdate","s":"XRPUSDT","p":"1.5","T":0}', "XRP-USDT-PERP", None),
        (
            b'{"e":"forceOrder","E":1,"o":{"s":"BTCUSDT","S":"BUY","q":"1","p":"1"}}',
            "BTC-USDT-PERP",
            None,
        ),
    ],
)
def test_symbol_and_kind_come_from_name_and_fields(
    frame: bytes, symbol: str, kind: InstrumentKind | None
) -> None:
    instrument = infer_instrument([frame])
    assert instrument.symbol == symbol
    assert kind in (None, instrument.kind)
    symbol_to_ccxt(symbol)


def test_coin_margined_contracts_are_inverse_with_their_size_in_dollars() -> None:
    btc = infer_instrument([depth("BTCUSD_PERP", "1", "1")])
    eth = infer_instrument([depth("ETHUSD_PERP", "1", "1")])
    assert (btc.inverse, btc.contract_size) == (True, 100.0)
    assert (eth.inverse, eth.contract_size) == (True, 10.0)


@pytest.mark.parametrize(
    ("pair", "parts"),
    [("BTCUSDT", ("BTC", "USDT")), ("BTCFDUSD", ("BTC", "FDUSD")), ("ETHBTC", ("ETH", "BTC")),
     ("USDTTRY", ("USDT", "TRY")), ("BNBETH", ("BNB", "ETH")), ("AAABBB", ("AAA", "BBB"))],
)  # fmt: skip
def test_pairs_are_split_at_a_known_quote(pair: str, parts: tuple[str, str]) -> None:
    assert split_pair(pair) == parts


def test_nameless_snapshots_go_to_the_symbol_whose_changes_surround_them() -> None:
    left = market()
    right = market(symbol="ETHUSDT", seed=2, start_id=90_000)
    lines = [*left.lines, *right.lines]
    found = discover([frame for _, frame in lines])
    owners = [int(h) for h, line in zip(found.hints, lines, strict=True) if is_snapshot(line)]
    names = [found.instruments[owner].venue_symbol for owner in owners]
    assert names == ["BTCUSDT", "ETHUSDT"]
    assert sum(hint >= 0 for hint in found.hints.tolist()) == 2


def test_snapshot_levels_count_for_the_tick() -> None:
    snapshot = b'{"lastUpdateId":2,"bids":[["1.125","1"]],"asks":[]}'
    found = discover([depth("BTCUSDT", "1.1", "1"), snapshot])
    assert found.instruments[0].tick_size == Decimal("0.001")


def test_given_instruments_stand_and_other_symbols_stay_unknown() -> None:
    venue = market()
    instrument = infer_instrument([frame for _, frame in venue.lines])
    other = SyntheticVenue(symbol="DOGEUSDT").run(500).lines
    found = discover([frame for _, frame in [*other, *venue.lines]], [instrument])
    assert found.instruments == (instrument,)
    assert sum(hint == 0 for hint in found.hints.tolist()) == 1


def test_recording_of_nothing_known_has_no_instrument() -> None:
    with pytest.raises(UnknownSymbol, match="was none"):
        infer_instrument([b"{}", b'{"e":"kline","s":"BTCUSDT"}', b"torn"])
    with pytest.raises(UnknownSymbol, match="ETHUSDT"):
        infer_instrument([depth("BTCUSDT", "1", "1")], "ETHUSDT")

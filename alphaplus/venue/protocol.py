"""The JSON and the frames that Binance USD-M speaks: pure functions, bytes out.

Shapes follow https://developers.binance.com/docs/derivatives/usds-margined-futures.
"""

import re
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final

import orjson

from alphaplus.venue.brackets import BRACKETS

FUNDING_INTERVAL_MS: Final = 8 * 3600 * 1000
WEIGHT_LIMIT: Final = 2400
"""Request weight that one address may use per minute."""
MAX_DEPTH_LIMIT: Final = 1000
_NEVER_MS: Final = 4133404800000  # Binance's delivery date of a contract without one
_QUOTES: Final = ("USDT", "USDC", "BUSD", "FDUSD")
_STREAM = re.compile(
    r"(?P<symbol>[a-z0-9_]+)@(?:(?P<depth>depth(?:@(?:0|100|250|500)ms)?)|(?P<mark>markPrice(?:@[13]s)?)"
    r"|(?P<other>bookTicker|trade|aggTrade|forceOrder))"
)


class Channel(IntEnum):
    """What a stream carries."""

    DEPTH = 0
    BOOK_TICKER = 1
    TRADE = 2
    AGG_TRADE = 3
    MARK_PRICE = 4
    FORCE_ORDER = 5


_CHANNELS: Final = {
    "bookTicker": Channel.BOOK_TICKER,
    "trade": Channel.TRADE,
    "aggTrade": Channel.AGG_TRADE,
    "forceOrder": Channel.FORCE_ORDER,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """A symbol that the venue lists; prices and quantities have this many decimals."""

    symbol: str
    price_decimals: int
    lot_decimals: int

    @property
    def quote(self) -> str:
        """The currency that prices are in."""
        return next((quote for quote in _QUOTES if self.symbol.endswith(quote)), self.symbol[-4:])

    @property
    def base(self) -> str:
        """The asset that quantities are in."""
        return self.symbol.removesuffix(self.quote)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticker:
    """Where a symbol stands: prices in quote currency, quantities and volume in base.

    Both volumes are of 24 hours, or scaled to them; the other figures since the market began.
    """

    time_ms: int
    bid: float
    bid_quantity: float
    ask: float
    ask_quantity: float
    open: float
    high: float
    low: float
    last: float
    volume: float
    quote_volume: float
    trade_count: int
    mark_price: float
    index_price: float
    funding_rate: float
    open_interest: float
    sequence: int


def decimal(value: float, decimals: int) -> str:
    """Write a number as Binance does, with a fixed number of decimals."""
    return f"{value:.{decimals}f}"


def next_funding_ms(time_ms: int) -> int:
    """Return the next multiple of the funding interval."""
    return (time_ms // FUNDING_INTERVAL_MS + 1) * FUNDING_INTERVAL_MS


def parse_stream(name: str) -> tuple[str, Channel] | None:
    """Return symbol and channel of a stream name, or None if there is no such stream.

    >>> parse_stream("btcusdt@depth@100ms")
    ('BTCUSDT', <Channel.DEPTH: 0>)
    """
    match = _STREAM.fullmatch(name)
    if match is None:
        return None
    if match["depth"]:
        channel = Channel.DEPTH
    elif match["mark"]:
        channel = Channel.MARK_PRICE
    else:
        channel = _CHANNELS[match["other"]]
    return match["symbol"].upper(), channel


def text_frame(payload: bytes) -> bytes:
    """Return a whole, unmasked WebSocket text frame (RFC 6455, section 5.2)."""
    length = len(payload)
    if length < 126:
        return struct.pack("!BB", 0x81, length) + payload
    if length < 65_536:
        return struct.pack("!BBH", 0x81, 126, length) + payload
    return struct.pack("!BBQ", 0x81, 127, length) + payload


def error(code: int, message: str) -> bytes:
    """Return the body of a refused REST request."""
    return orjson.dumps({"code": code, "msg": message})


def depth_weight(limit: int) -> int:
    """Return the request weight of a book of so many levels."""
    for levels, weight in ((50, 2), (100, 5), (500, 10)):
        if limit <= levels:
            return weight
    return 20


def depth_snapshot(
    sequence: int, time_ms: int, bids: Sequence[Sequence[str]], asks: Sequence[Sequence[str]]
) -> bytes:
    """Return the REST answer to /fapi/v1/depth; levels are [price, quantity], best first."""
    return orjson.dumps(
        {"lastUpdateId": sequence, "E": time_ms, "T": time_ms, "bids": bids, "asks": asks}
    )


def aggregate_trade(trade: bytes) -> bytes:
    """Return the aggTrade of one trade: the aggregate of just that trade, under its id."""
    t = orjson.loads(trade)
    return orjson.dumps(
        {
            "e": "aggTrade", "E": t["E"], "a": t["t"], "s": t["s"], "p": t["p"], "q": t["q"],
            "f": t["t"], "l": t["t"], "T": t["T"], "m": t["m"],
        }
    )  # fmt: skip


def mark_price(listing: Listing, ticker: Ticker) -> bytes:
    """Return one markPriceUpdate."""
    d = max(listing.price_decimals, 8)
    return orjson.dumps(
        {
            "e": "markPriceUpdate", "E": ticker.time_ms, "s": listing.symbol,
            "p": decimal(ticker.mark_price, d), "i": decimal(ticker.index_price, d),
            "P": decimal(ticker.mark_price, d), "r": decimal(ticker.funding_rate, 8),
            "T": next_funding_ms(ticker.time_ms),
        }
    )  # fmt: skip


def exchange_info(listings: Iterable[Listing], time_ms: int) -> dict[str, Any]:
    """Return the answer to /fapi/v1/exchangeInfo."""
    return {
        "timezone": "UTC",
        "serverTime": time_ms,
        "futuresType": "U_MARGINED",
        "rateLimits": [
            {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1,
             "limit": WEIGHT_LIMIT},
        ],
        "exchangeFilters": [],
        "assets": [{"asset": "USDT", "marginAvailable": True, "autoAssetExchange": "-10000"}],
        "symbols": [_market(listing) for listing in listings],
    }  # fmt: skip


def _market(listing: Listing) -> dict[str, Any]:
    tick = decimal(10.0**-listing.price_decimals, listing.price_decimals)
    lot = decimal(10.0**-listing.lot_decimals, listing.lot_decimals)
    lots = {"stepSize": lot, "minQty": lot, "maxQty": "1000000000"}
    return {
        "symbol": listing.symbol, "pair": listing.symbol, "contractType": "PERPETUAL",
        "deliveryDate": _NEVER_MS, "onboardDate": 1569398400000, "status": "TRADING",
        "maintMarginPercent": "2.5000", "requiredMarginPercent": "5.0000",
        "baseAsset": listing.base, "quoteAsset": listing.quote, "marginAsset": listing.quote,
        "pricePrecision": listing.price_decimals, "quantityPrecision": listing.lot_decimals,
        "baseAssetPrecision": 8, "quotePrecision": 8, "underlyingType": "COIN",
        "underlyingSubType": [], "triggerProtect": "0.0500", "liquidationFee": "0.012500",
        "marketTakeBound": "0.05", "maxMoveOrderLimit": 10000,
        "filters": [
            {"filterType": "PRICE_FILTER", "tickSize": tick, "minPrice": tick,
             "maxPrice": "1000000000"},
            {"filterType": "LOT_SIZE", **lots},
            {"filterType": "MARKET_LOT_SIZE", **lots},
            {"filterType": "MIN_NOTIONAL", "notional": "5"},
            {"filterType": "MAX_NUM_ORDERS", "limit": 200},
        ],
        "orderTypes": ["LIMIT", "MARKET"], "timeInForce": ["GTC", "IOC", "FOK", "GTX"],
    }  # fmt: skip


def premium_index(listing: Listing, ticker: Ticker) -> dict[str, Any]:
    """Return one symbol's answer to /fapi/v1/premiumIndex."""
    mark = decimal(ticker.mark_price, 8)
    return {
        "symbol": listing.symbol, "markPrice": mark, "indexPrice": decimal(ticker.index_price, 8),
        "estimatedSettlePrice": mark, "lastFundingRate": decimal(ticker.funding_rate, 8),
        "interestRate": "0.00010000", "nextFundingTime": next_funding_ms(ticker.time_ms),
        "time": ticker.time_ms,
    }  # fmt: skip


def funding_info(listing: Listing) -> dict[str, Any]:
    """Return one symbol's answer to /fapi/v1/fundingInfo."""
    return {
        "symbol": listing.symbol, "adjustedFundingRateCap": "0.02000000",
        "adjustedFundingRateFloor": "-0.02000000",
        "fundingIntervalHours": FUNDING_INTERVAL_MS // 3_600_000, "disclaimer": False,
    }  # fmt: skip


def funding_rate(listing: Listing, rate: float, time_ms: int, mark: float) -> dict[str, Any]:
    """Return one settlement of /fapi/v1/fundingRate."""
    return {
        "symbol": listing.symbol, "fundingTime": time_ms, "fundingRate": decimal(rate, 8),
        "markPrice": decimal(mark, 8),
    }  # fmt: skip


def open_interest(listing: Listing, ticker: Ticker) -> dict[str, Any]:
    """Return the answer to /fapi/v1/openInterest."""
    return {
        "symbol": listing.symbol, "time": ticker.time_ms,
        "openInterest": decimal(ticker.open_interest, listing.lot_decimals),
    }  # fmt: skip


def ticker_24h(listing: Listing, ticker: Ticker) -> dict[str, Any]:
    """Return one symbol's answer to /fapi/v1/ticker/24hr."""
    p, q = listing.price_decimals, listing.lot_decimals
    change = ticker.last - ticker.open
    average = ticker.quote_volume / ticker.volume if ticker.volume else ticker.last
    return {
        "symbol": listing.symbol, "priceChange": decimal(change, p),
        "priceChangePercent": decimal(100 * change / ticker.open, 3),
        "weightedAvgPrice": decimal(average, p), "lastPrice": decimal(ticker.last, p),
        "lastQty": decimal(0.0, q), "openPrice": decimal(ticker.open, p),
        "highPrice": decimal(ticker.high, p), "lowPrice": decimal(ticker.low, p),
        "volume": decimal(ticker.volume, q), "quoteVolume": decimal(ticker.quote_volume, 2),
        "openTime": ticker.time_ms - 86_400_000, "closeTime": ticker.time_ms,
        "firstId": 0, "lastId": ticker.trade_count, "count": ticker.trade_count,
    }  # fmt: skip


def book_ticker(listing: Listing, ticker: Ticker) -> dict[str, Any]:
    """Return one symbol's answer to /fapi/v1/ticker/bookTicker."""
    p, q = listing.price_decimals, listing.lot_decimals
    return {
        "symbol": listing.symbol, "bidPrice": decimal(ticker.bid, p),
        "bidQty": decimal(ticker.bid_quantity, q), "askPrice": decimal(ticker.ask, p),
        "askQty": decimal(ticker.ask_quantity, q), "time": ticker.time_ms,
        "lastUpdateId": ticker.sequence,
    }  # fmt: skip


def leverage_brackets(listing: Listing) -> dict[str, Any]:
    """Return one symbol's answer to /fapi/v1/leverageBracket."""
    brackets = [
        {"bracket": number, "initialLeverage": item.leverage, "notionalCap": item.cap,
         "notionalFloor": item.floor, "maintMarginRatio": item.rate, "cum": item.cum}
        for number, item in enumerate(BRACKETS, start=1)
    ]  # fmt: skip
    return {"symbol": listing.symbol, "notionalCoef": 1.0, "brackets": brackets}

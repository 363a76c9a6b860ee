"""The control of a generated market: plant accounts in it, and move its prices."""

import math
import time
from typing import Any, Final

from aiohttp import web

from alphaplus.errors import ConfigError
from alphaplus.venue.clock import MarketClock
from alphaplus.venue.control_body import answering, json_object
from alphaplus.venue.generated_source import GeneratedSource
from alphaplus.venue.hub import Hub
from alphaplus.venue.planted_accounts import (
    MARGIN_MODES,
    SIDES,
    PlantOrder,
    account_view,
)
from alphaplus.venue.price_moves import PriceMove
from alphaplus.venue.protocol import Channel
from alphaplus.venue.rest import answer
from alphaplus.venue.source import Source

MOST: Final = 1e15
_ACCOUNT_FIELDS: Final = (
    "account", "symbol", "side", "quantity", "entry_price", "leverage", "wallet_balance",
    "margin_mode",
)  # fmt: skip
_MARKET_FIELDS: Final = ("symbol", "drift_per_s", "shock", "over_s")


class MarketControl:
    """GET and POST /control/accounts, POST /control/market."""

    def __init__(self, source: Source, hub: Hub, clock: MarketClock) -> None:
        self._source = source
        self._hub = hub
        self._clock = clock

    def routes(self) -> list[web.RouteDef]:
        """Return all routes."""
        return [
            web.get("/control/accounts", answering(self._accounts)),
            web.post("/control/accounts", answering(self._plant)),
            web.post("/control/market", answering(self._move)),
        ]

    async def _accounts(self, request: web.Request) -> web.Response:
        return answer(self._generated().planted.view())

    async def _plant(self, request: web.Request) -> web.Response:
        source = self._generated()
        body = json_object(await request.read(), _ACCOUNT_FIELDS)
        index = self._symbol(body)
        listing, mark = source.listings[index], source.ticker(index, time.time_ns()).mark_price
        side = body.get("side")
        if not isinstance(side, str) or side not in SIDES:
            raise ConfigError(f"Expected side long or short, was {side!r}.")
        mode = body.get("margin_mode", "isolated")
        if mode not in MARGIN_MODES:
            raise ConfigError(f"Expected margin_mode isolated or cross, was {mode!r}.")
        name = body.get("account")
        if name is not None and not (isinstance(name, str) and 0 < len(name) <= 64):
            raise ConfigError(f"Expected account to be a name of 1 to 64 characters, was {name!r}.")
        leverage, wallet = body.get("leverage"), body.get("wallet_balance")
        if (leverage is None) == (wallet is None):
            raise ConfigError("Expected either leverage or wallet_balance, was both or neither.")
        lots = _number(body, "quantity", 0.0, MOST) * 10**listing.lot_decimals
        if abs(lots - round(lots)) > 1e-6 * max(lots, 1.0) or round(lots) == 0:
            raise ConfigError(
                f"Expected quantity in steps of {10.0**-listing.lot_decimals:g} for "
                f"{listing.symbol}, was {body['quantity']}."
            )
        order = PlantOrder(
            account=name,
            symbol=listing.symbol,
            side=SIDES[side],
            quantity=round(lots) / 10**listing.lot_decimals,
            entry_price=mark
            if body.get("entry_price") is None
            else _number(body, "entry_price", 0.0, MOST),
            margin_mode=mode,
            leverage=None if leverage is None else _number(body, "leverage", 1.0, 125.0),
            wallet_balance=None if wallet is None else _number(body, "wallet_balance", 0.0, MOST),
        )
        account = source.planted.plant(order, mark)
        self._begin(source, index)
        return answer(account_view(account))

    async def _move(self, request: web.Request) -> web.Response:
        source = self._generated()
        body = json_object(await request.read(), _MARKET_FIELDS)
        index = self._symbol(body)
        if ("shock" in body) == ("drift_per_s" in body):
            raise ConfigError("Expected either shock or drift_per_s, was both or neither.")
        over_s = _number(body, "over_s", 0.0, MOST)
        if "shock" in body:
            move = PriceMove.of_shock(_number(body, "shock", -MOST, MOST), over_s)
        else:
            move = PriceMove.of_drift(_number(body, "drift_per_s", -MOST, MOST), over_s)
        moves = source.move(index, move)
        self._begin(source, index)
        return answer(moves)

    def _begin(self, source: GeneratedSource, index: int) -> None:
        """Let the symbol's market run from here on, whether anyone listens or not."""
        source.start(index, Channel.DEPTH, self._clock.now(time.time_ns()))

    def _generated(self) -> GeneratedSource:
        if not isinstance(self._source, GeneratedSource):
            raise ConfigError(
                "Expected a generated market, was a recording, which goes as it went; start the "
                "venue with --source generated."
            )
        return self._source

    def _symbol(self, body: dict[str, Any]) -> int:
        symbol = body.get("symbol")
        index = self._hub.index(symbol) if isinstance(symbol, str) else None
        if index is None:
            raise ConfigError(f"Expected symbol to be one that the venue lists, was {symbol!r}.")
        return index


def _number(body: dict[str, Any], name: str, low: float, high: float) -> float:
    """Return a finite number within [low, high]; above `low` where that is 0."""
    value = body.get(name)
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        number = float(value)
        if low <= number <= high and not low == number == 0:
            return number
    least = "above 0" if low == 0 else f"from {low:g}"
    raise ConfigError(f"Expected {name} {least} to {high:g}, was {value!r}.")

"""The REST side of the past: candles of trades and marks, and open interest.

https://developers.binance.com/docs/derivatives/usds-margined-futures/market-data/rest-api
"""

import time
from typing import Final

import numpy as np
from aiohttp import web

from alphaplus.venue.candles import HOUR_MS, STEPS_MS, kline
from alphaplus.venue.protocol import decimal
from alphaplus.venue.rest import Refused, RestApi, answer, integer_of, limit_of
from alphaplus.venue.source import Source

MOST_CANDLES: Final = 1500
MOST_INTERESTS: Final = 500
INTEREST_DAYS: Final = 30
"""How far back the open interest is told; an earlier startTime is refused."""
_PERIODS: Final = ("5m", "15m", "30m", "1h", "2h", "4h", "6h", "12h", "1d")


class HistoryApi:
    """/fapi/v1/klines, /fapi/v1/markPriceKlines and /futures/data/openInterestHist."""

    def __init__(self, source: Source, rest: RestApi) -> None:
        self._source = source
        self._rest = rest

    def routes(self) -> list[web.RouteDef]:
        """Return all routes."""
        metered = self._rest.metered
        return [
            web.get("/fapi/v1/klines", metered(_candle_weight, self._klines)),
            web.get("/fapi/v1/markPriceKlines", metered(_candle_weight, self._mark_klines)),
            web.get("/futures/data/openInterestHist", metered(_free, self._open_interest)),
        ]

    async def _klines(self, request: web.Request) -> web.Response:
        return self._candles(request, mark=False)

    async def _mark_klines(self, request: web.Request) -> web.Response:
        return self._candles(request, mark=True)

    def _candles(self, request: web.Request, *, mark: bool) -> web.Response:
        index, limit = self._rest.symbol(request), limit_of(request, 500, MOST_CANDLES)
        step_ms = _step(request, "interval", tuple(STEPS_MS))
        start_ms, end_ms = self._span(request, index, step_ms, limit)
        found = self._source.candles(
            index,
            mark=mark,
            step_ms=step_ms,
            start_ms=start_ms,
            end_ms=end_ms,
            wall_ns=time.time_ns(),
        )
        listing = self._source.listings[index]
        return answer([kline(candle, listing, step_ms, mark=mark) for candle in found[:limit]])

    async def _open_interest(self, request: web.Request) -> web.Response:
        index, limit = self._rest.symbol(request), limit_of(request, 30, MOST_INTERESTS)
        step_ms = _step(request, "period", _PERIODS)
        start_ms, end_ms = self._span(request, index, step_ms, limit)
        wall_ns = time.time_ns()
        oldest = self._now_ms(index) - INTEREST_DAYS * 24 * HOUR_MS
        if "startTime" in request.query and start_ms < oldest:
            raise Refused(-1130, "parameter 'startTime' is invalid.")
        marks = self._source.candles(
            index,
            mark=True,
            step_ms=step_ms,
            start_ms=max(start_ms, oldest),
            end_ms=end_ms,
            wall_ns=wall_ns,
        )[:limit]
        interests = self._source.open_interest_at(index, marks["time_ms"], wall_ns)
        symbol = self._source.listings[index].symbol
        return answer(
            [
                {
                    "symbol": symbol,
                    "sumOpenInterest": decimal(interest, 8),
                    "sumOpenInterestValue": decimal(interest * float(mark["open"]), 8),
                    "timestamp": int(mark["time_ms"]),
                }
                for mark, interest in zip(marks, interests.tolist(), strict=True)
                if not np.isnan(interest)
            ]
        )

    def _span(self, request: web.Request, index: int, step_ms: int, limit: int) -> tuple[int, int]:
        """Return the first and the last opening asked for: from a start on, or up to an end."""
        now_ms = self._now_ms(index)
        end_ms = min(integer_of(request, "endTime", now_ms), now_ms)
        if "startTime" in request.query:
            start_ms = integer_of(request, "startTime", 0)
            start_ms += -start_ms % step_ms
            return start_ms, min(end_ms, start_ms + (limit - 1) * step_ms)
        return end_ms // step_ms * step_ms - (limit - 1) * step_ms, end_ms

    def _now_ms(self, index: int) -> int:
        """Return the time of a symbol's market, which a recording has its own of."""
        return self._source.ticker(index, time.time_ns()).time_ms


def _step(request: web.Request, name: str, known: tuple[str, ...]) -> int:
    step = request.query.get(name, "")
    if not step:
        raise Refused(
            -1102, f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed."
        )
    if step not in known:
        raise Refused(-1120, f"Invalid {name}.")
    return STEPS_MS[step]


def _candle_weight(request: web.Request) -> int:
    limit = request.query.get("limit", "500")
    size = int(limit) if limit.isdigit() else 500
    return next((weight for most, weight in ((99, 1), (499, 2), (1000, 5)) if size <= most), 10)


def _free(request: web.Request) -> int:
    """Binance limits these by number of requests, not by weight."""
    return 0

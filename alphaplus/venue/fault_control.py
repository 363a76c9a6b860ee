"""The control of faults: at once, by a seeded schedule, or none any more."""

import logging
import time
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

from aiohttp import web

from alphaplus.errors import ConfigError
from alphaplus.venue.control_body import answering, json_object
from alphaplus.venue.fault_schedule import PlannedFault, plan_faults, read_rates
from alphaplus.venue.faults import FaultOrder, fault_order
from alphaplus.venue.hub import Hub
from alphaplus.venue.rest import answer

log = logging.getLogger(__name__)

_SCHEDULE_FIELDS = ("seed", "start_s", "length_s", "per_minute", "symbols")


class FaultControl:
    """POST and DELETE /control/faults, POST /control/fault_schedule."""

    def __init__(self, hub: Hub, symbols: Sequence[str]) -> None:
        self._hub = hub
        self._symbols = tuple(symbols)
        self._planned: deque[tuple[float, FaultOrder]] = deque()

    def routes(self) -> list[web.RouteDef]:
        """Return all routes."""
        return [
            web.post("/control/faults", answering(self._order)),
            web.delete("/control/faults", self._clear),
            web.post("/control/fault_schedule", answering(self._schedule)),
        ]

    @property
    def planned(self) -> int:
        """How many faults of schedules are still to come."""
        return len(self._planned)

    def follow(self, planned: Sequence[PlannedFault], now: float) -> None:
        """Commit these faults, counted in seconds from `now`, beside those planned before."""
        added = [(now + item.at_s, item.order) for item in planned]
        self._planned = deque(sorted([*self._planned, *added], key=lambda item: item[0]))

    def commit_due(self, now: float) -> None:
        """Commit what is due."""
        while self._planned and self._planned[0][0] <= now:
            self.commit(self._planned.popleft()[1], now)

    def commit(self, order: FaultOrder, now: float) -> None:
        """Commit one fault; raises ConfigError if its symbol is not listed."""
        index = None
        if order.symbol is not None:
            index = self._hub.index(order.symbol)
            if index is None:
                raise ConfigError(
                    f"Expected symbol to be one that the venue lists, was {order.symbol!r}."
                )
        log.info("fault: %s", order.view())
        self._hub.faults.request(order, index, now)

    async def _order(self, request: web.Request) -> web.Response:
        order = fault_order(json_object(await request.read()))
        self.commit(order, time.monotonic())
        return answer(order.view())

    async def _clear(self, request: web.Request) -> web.Response:
        self._planned.clear()
        self._hub.faults.clear()
        return answer({"planned": 0, "lasting": []})

    async def _schedule(self, request: web.Request) -> web.Response:
        planned = self._plan(json_object(await request.read(), _SCHEDULE_FIELDS))
        self.follow(planned, time.monotonic())
        return answer({"planned": [item.view() for item in planned]})

    def _plan(self, body: Mapping[str, Any]) -> tuple[PlannedFault, ...]:
        rates = body.get("per_minute")
        if not isinstance(rates, dict) or not rates:
            raise ConfigError(
                'Expected per_minute to be rates by kind, such as {"drop_frame": 6}, '
                f"was {rates!r}."
            )
        symbols = body.get("symbols", list(self._symbols))
        if not isinstance(symbols, list) or not all(name in self._symbols for name in symbols):
            raise ConfigError("Expected symbols to be a list of those that the venue lists.")
        numbers = {name: _number(body, name) for name in ("seed", "start_s", "length_s")}
        return plan_faults(
            seed=int(numbers["seed"]),
            symbols=symbols,
            start_s=numbers["start_s"],
            length_s=numbers["length_s"],
            per_minute=read_rates(rates),
        )


def _number(body: Mapping[str, Any], name: str) -> float:
    value = body.get(name, {"length_s": 60.0}.get(name, 0.0))
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ConfigError(f"Expected {name} to be a number, was {value!r}.")
    return float(value)

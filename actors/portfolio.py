"""The actor of the portfolio: the board of all latest states, and the positions valued on it."""

import logging
import math
import os
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import orjson
import ray

from actors import names
from alphaplus.analysis.market_risk import MARKET_RISK
from alphaplus.analysis.state import COUNTERS, STATE, blank_state, summary
from alphaplus.errors import StreamClosed
from alphaplus.instruments import Instrument
from alphaplus.latency import LatencyHistogram
from alphaplus.leverage.tiers import TierBook
from alphaplus.portfolio.desk import RiskDesk, StressInputs
from alphaplus.risk.portfolio import Portfolio
from alphaplus.streams import Endpoint, LatestReceiver, LatestValue, Transport

log = logging.getLogger(__name__)

FRESHNESS = ("ts_event", "ts_recv", "age_ms", "stale", "stale_reason")


class PortfolioRisk:
    """Latest states of all symbols and the positions; `PortfolioRiskActor` as a Ray actor."""

    def __init__(
        self,
        instruments: Sequence[Instrument],
        transport: Transport,
        *,
        default_leverage: float,
        stale_after_ms: float,
        log_level: str = "INFO",
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        logging.basicConfig(level=log_level)
        self._portfolio = Portfolio(instruments, default_leverage=default_leverage)
        self._desk = RiskDesk(
            instruments, stale_after_ms=stale_after_ms, default_leverage=default_leverage
        )
        self._stale_after_ms = stale_after_ms
        self._clock = clock
        self._states: dict[str, np.void] = {
            item.key: _unheard(item) for item in instruments
        }  # a symbol that has not spoken yet is on the board, as stale
        self._latencies: dict[str, LatencyHistogram] = {}
        self._counters: dict[str, dict[str, Any]] = {}
        self._heard: dict[str, int] = {}
        self._receiver = LatestReceiver(transport)
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="board", daemon=True)
        self._thread.start()

    def ready(self) -> Endpoint:
        """Return where states are sent to; proof that the actor lives."""
        return self._receiver.endpoint

    def board(self) -> list[dict[str, Any]]:
        """Return one summary per exchange and symbol."""
        now = self._clock()
        with self._lock:
            states = list(self._states.values())
        return [summary(state, now_ns=now, stale_after_ms=self._stale_after_ms) for state in states]

    def portfolio(self) -> dict[str, Any]:
        """Return positions and totals at the latest marks, as fresh as the oldest of them."""
        board = {(item["exchange"], item["symbol"]): item for item in self.board()}
        marks = {key: _mark(item) for key, item in board.items()}
        with self._lock:
            positions = self._portfolio.positions
            value = self._portfolio.value(marks)
        used = [board[item.exchange, item.symbol] for item in positions] or list(board.values())
        for item, position in zip(used, value["positions"], strict=False):
            position.update({name: item[name] for name in FRESHNESS})
        oldest = max(used, key=lambda item: item["age_ms"] or float("inf"), default=None)
        fresh = {} if oldest is None else {name: oldest[name] for name in FRESHNESS}
        stale = next((item for item in used if item["stale"]), None)
        if stale is not None:
            reason = f"{stale['symbol']}: {stale['stale_reason']}"
            fresh |= {"stale": True, "stale_reason": reason}
        return {**value, **fresh}

    def set_positions(self, positions: list[dict[str, Any]]) -> dict[str, Any]:
        """Replace all positions; raises RiskError and keeps the old ones if one is wrong."""
        with self._lock:
            self._portfolio.replace(positions)
            self._desk.set_positions(positions)
        return self.portfolio()

    def set_accounts(self, portfolio_id: str, accounts: list[dict[str, Any]]) -> None:
        """Replace a portfolio's accounts; raises RiskError and keeps the old if one is wrong."""
        with self._lock:
            self._desk.set_accounts(portfolio_id, accounts)

    def set_tiers(self, exchange: str, book: TierBook) -> None:
        """Take the leverage tiers of an exchange."""
        with self._lock:
            self._desk.set_tiers(exchange, book)

    def stress_inputs(self, portfolio_id: str) -> StressInputs:
        """Return what a stress run takes, which the asker runs; raises RiskError if unknown."""
        with self._lock:
            return self._desk.stress_market(portfolio_id, self._clock())

    def stats(self) -> dict[str, Any]:
        """Return the counters of the whole fleet, as far as the board has heard."""
        with self._lock:
            states = list(self._states.values())
            latencies = list(self._latencies.values())
            counters = list(self._counters.values())
        total: dict[str, Any] = {name: sum(int(s[name]) for s in states) for name in COUNTERS}
        for name, value in ((n, v) for found in counters for n, v in found.items()):
            total[name] = total.get(name, 0) + value
        merged = sum(latencies, LatencyHistogram())
        board = self.board()
        oldest = max(board, key=lambda item: item["age_ms"] or float("inf"), default=None)
        fresh = {} if oldest is None else {name: oldest[name] for name in FRESHNESS}
        return {
            "symbols": len(states),
            "stale_symbols": sum(bool(item["stale"]) for item in board),
            **total,
            "p50_ms": milliseconds(merged, 50),
            "p99_ms": milliseconds(merged, 99),
            **fresh,
        }

    def heard(self) -> dict[str, int]:
        """Return when each actor that ever spoke was last heard of, ns, by its name."""
        with self._lock:
            return dict(self._heard)

    def report(self) -> dict[str, Any]:
        """Return what the run's summary needs of this process."""
        times = os.times()
        return {"pid": os.getpid(), "cpu_s": times.user + times.system}

    def _run(self) -> None:
        try:
            while True:
                for value in self._receiver.recv():
                    self._take(value)
        except StreamClosed:
            log.info("the stream of states is closed")
        except BaseException:  # a board that no longer listens must not answer
            log.exception("the board failed")
            os._exit(1)

    def _take(self, value: LatestValue) -> None:
        kind, _, key = value.key.partition("/")
        with self._lock:
            self._heard[value.sender] = self._clock()
            if f"{kind}/" == names.STATE:
                self._states[key] = np.frombuffer(value.payload, dtype=STATE)[0]
                self._desk.take_state(self._states[key])
            elif f"{kind}/" == names.RISK:
                self._desk.take_risk(np.frombuffer(value.payload, dtype=MARKET_RISK)[0])
            elif f"{kind}/" == names.LATENCIES:
                self._latencies[key] = LatencyHistogram.from_bytes(value.payload)
            elif f"{kind}/" == names.COUNTERS:
                self._counters[key] = orjson.loads(value.payload)
            else:
                log.warning("unknown value %r on the board's stream", value.key)


def milliseconds(histogram: LatencyHistogram, percent: float) -> float | None:
    """Return a percentile in ms, None while nothing was recorded."""
    value = histogram.percentile(percent)
    return None if math.isnan(value) else round(value / 1e6, 3)


def _mark(item: dict[str, Any]) -> float | None:
    """The venue's mark price, or the mid where the venue has told none."""
    mark: float | None = item["mark_price"] if item["mark_price"] is not None else item["mid"]
    return mark


def _unheard(instrument: Instrument) -> np.void:
    state = blank_state()
    state["exchange"], state["symbol"] = instrument.exchange, instrument.symbol
    row: np.void = state[0]
    return row


PortfolioRiskActor: Any = ray.remote(PortfolioRisk)

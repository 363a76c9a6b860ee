"""The actor of the portfolio: the board of all latest states, and the positions valued on it."""

import logging
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import orjson
import ray

from actors import names
from actors.environment import metrics_interval_s, set_up_actor_logging
from actors.fleet_loads import FleetLoads
from actors.live_desk import LiveDesk
from actors.load_table import FRESHNESS, market_rows, milliseconds, role_rows
from actors.metric_readings import FIGURES, BoardContents, readings
from actors.metrics import FleetMetrics
from actors.process_load import ProcessLoad
from actors.store_health import store_health
from actors.stream_plan import StreamPlan
from alphaplus.analysis.market_risk import MARKET_RISK
from alphaplus.analysis.state import COUNTERS, STATE, blank_state, summary
from alphaplus.errors import StreamClosed
from alphaplus.instruments import Instrument
from alphaplus.latency import LatencyHistogram
from alphaplus.leverage.tiers import TierBook
from alphaplus.portfolio.accounts import MAIN
from alphaplus.portfolio.desk import RiskDesk
from alphaplus.portfolio.desk_settings import DeskSettings
from alphaplus.portfolio.scenario_models import Model
from alphaplus.portfolio.stress_inputs import StressInputs
from alphaplus.streams import Endpoint, LatestReceiver, LatestValue

log = logging.getLogger(__name__)


class PortfolioRisk:
    """Latest states of all symbols and the positions; `PortfolioRiskActor` as a Ray actor."""

    def __init__(
        self,
        instruments: Sequence[Instrument],
        streams: StreamPlan,
        *,
        settings: DeskSettings,
        stale_after_ms: float,
        dsn: str | None = None,
        history_reload_s: float = 300.0,
        log_level: str = "INFO",
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        set_up_actor_logging(log_level, actor=names.PORTFOLIO)
        desk = RiskDesk(instruments, stale_after_ms=stale_after_ms, settings=settings)
        self._desk = LiveDesk(desk, dsn=dsn, reload_s=history_reload_s, clock=clock)
        self._stale_after_ms = stale_after_ms
        self._clock = clock
        self._states: dict[str, np.void] = {
            item.key: _unheard(item) for item in instruments
        }  # a symbol that has not spoken yet is on the board, as stale
        self._left = dict.fromkeys(COUNTERS, 0)
        """What symbols that were watched have counted."""
        self._strays = 0
        """Values of symbols that are not watched: they have just left."""
        self._loads = FleetLoads()
        self._load = ProcessLoad()
        self._counters: dict[str, dict[str, Any]] = {}
        self._heard: dict[str, int] = {}
        self._receiver = LatestReceiver(streams.here())
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="board", daemon=True)
        self._thread.start()
        self._desk.start()
        if (interval_s := metrics_interval_s()) is not None:
            threading.Thread(
                target=self._expose, args=(interval_s,), name="metrics", daemon=True
            ).start()

    def ready(self) -> Endpoint:
        """Return where states are sent to; proof that the actor lives."""
        return self._receiver.endpoint

    def set_instruments(self, instruments: Sequence[Instrument]) -> None:
        """Watch these symbols from now on; those that are new are stale until they speak."""
        self._desk.set_instruments(instruments)
        wanted = {item.key: item for item in instruments}
        with self._lock:
            for key in self._states.keys() - wanted.keys():
                self._drop(key)
            for key in wanted.keys() - self._states.keys():
                self._states[key] = _unheard(wanted[key])

    def forget(self, actor: str) -> None:
        """Expect nothing more of an actor that has left, except for what it has counted."""
        with self._lock:
            self._loads.forget(actor, "")
            self._heard.pop(actor, None)

    def release(self, symbols: list[str]) -> dict[str, list[str]]:
        """Watch symbols no longer, all of them or, if a portfolio holds one, none.

        Returns the portfolios that hold each; what still comes of those that left is ignored.
        """
        holders = self._desk.release(symbols)
        if not holders:
            with self._lock:
                for key in [k for k in self._states if k.partition(":")[2] in symbols]:
                    self._drop(key)
        return holders

    def board(self) -> list[dict[str, Any]]:
        """Return one summary per exchange and symbol."""
        now = self._clock()
        with self._lock:
            states = list(self._states.values())
        return [summary(state, now_ns=now, stale_after_ms=self._stale_after_ms) for state in states]

    def portfolio(self, portfolio_id: str = MAIN) -> dict[str, Any]:
        """Return positions and totals at the latest marks; raises RiskError if it is unknown."""
        return self._with_saved(self._desk.ask(lambda desk, now: desk.value(portfolio_id, now)))

    def portfolios(self) -> list[dict[str, Any]]:
        """Return every portfolio with its accounts and totals."""
        found = self._desk.ask(lambda desk, now: desk.overview(now))
        return [self._with_saved(item) for item in found]

    def set_positions(
        self, positions: list[dict[str, Any]], wallet_balance: float | None = None
    ) -> dict[str, Any]:
        """Replace all positions of `main`; raises RiskError and keeps the old ones if one is
        wrong."""
        self._desk.hold(MAIN, lambda desk: desk.set_positions(positions, wallet_balance))
        return self.portfolio()

    def set_accounts(self, portfolio_id: str, accounts: list[dict[str, Any]]) -> dict[str, Any]:
        """Replace the accounts of a portfolio, see `RiskDesk.set_accounts`."""
        self._desk.hold(portfolio_id, lambda desk: desk.set_accounts(portfolio_id, accounts))
        return self._with_saved(
            self._desk.ask(lambda desk, now: desk.overview_of(portfolio_id, now))
        )

    def set_tiers(self, exchange: str, book: TierBook) -> None:
        """Take the leverage tiers of an exchange."""
        self._desk.set_tiers(exchange, book)

    def risk(self, portfolio_id: str, model: Model | None = None) -> dict[str, Any]:
        """Return the risk report of a portfolio; raises RiskError if it is unknown."""
        return self._desk.report(portfolio_id, model)

    def liquidation(self, portfolio_id: str, symbol: str) -> list[dict[str, Any]]:
        """Return liquidation price and score of each position in a symbol."""
        return list(self._desk.ask(lambda desk, now: desk.liquidation(portfolio_id, symbol, now)))

    def leverage(
        self, symbol: str, exchange: str | None, portfolio_id: str, equity: float | None
    ) -> dict[str, Any]:
        """Return the leverage advice of a symbol with all of its inputs."""
        return dict(
            self._desk.ask(
                lambda desk, now: desk.advice(
                    symbol, exchange, now, portfolio_id=portfolio_id, equity=equity
                )
            )
        )

    def margin_quote(self, exchange: str, account: dict[str, Any]) -> dict[str, Any]:
        """Return the margins of an account that nobody has, on the tiers in force."""
        return dict(self._desk.ask(lambda desk, now: desk.margin_quote(exchange, account, now)))

    def stress_inputs(self, portfolio_id: str) -> StressInputs:
        """Return what a stress run takes, which the asker runs; raises UnknownPortfolio."""
        inputs: StressInputs = self._desk.ask(
            lambda desk, now: desk.stress_market(portfolio_id, now)
        )
        return inputs

    def stats(self) -> dict[str, Any]:
        """Return the counters of the whole fleet, as far as the board has heard."""
        with self._lock:
            states = list(self._states.values())
            latencies = list(self._loads.latencies.values())
            counters = list(self._counters.values())
            store = store_health(self._loads)
        total: dict[str, Any] = {
            name: self._left[name] + sum(int(s[name]) for s in states) for name in COUNTERS
        }
        for name, value in ((n, v) for found in counters for n, v in found.items()):
            total[name] = total.get(name, 0) + value
        merged = sum(latencies, LatencyHistogram())
        board = self.board()
        oldest = max(board, key=lambda item: item["age_ms"] or float("inf"), default=None)
        fresh = {} if oldest is None else {name: oldest[name] for name in FRESHNESS}
        return {
            "symbols": len(states),
            "strays": self._strays,
            "stale_symbols": sum(bool(item["stale"]) for item in board),
            **total,
            "p50_ms": milliseconds(merged, 50),
            "p99_ms": milliseconds(merged, 99),
            "store": store,
            **fresh,
        }

    def loads(self) -> dict[str, Any]:
        """Return what each market and each role does and costs, see `load_table`."""
        board, own = self.board(), self._load.read()
        with self._lock:
            markets, roles = market_rows(board, self._loads), role_rows(self._loads)
        this = {
            "role": "portfolio",
            "actors": 1,
            "cpu": None,
            "cpu_s": round(own["cpu_s"], 2),
            "memory_bytes": own["memory_bytes"],
        }
        return {"ts": self._clock(), "markets": markets, "roles": [*roles, this]}

    def heard(self) -> dict[str, int]:
        """Return when each actor that ever spoke was last heard of, ns, by its name."""
        with self._lock:
            return dict(self._heard)

    def report(self) -> dict[str, Any]:
        """Return what the run's summary needs of this process."""
        times = os.times()
        return {"pid": os.getpid(), "cpu_s": times.user + times.system}

    def _with_saved(self, portfolio: Mapping[str, Any]) -> dict[str, Any]:
        return {**portfolio, "saved": self._desk.saved(portfolio["portfolio"])}

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

    def _expose(self, interval_s: float) -> None:
        """Tell Ray's metrics what is known, again and again."""
        metrics = FleetMetrics()
        try:
            while True:
                time.sleep(interval_s)
                figures = self._figures()
                with self._lock:
                    found = list(readings(self._contents(figures)))
                metrics.export(found)
        except BaseException:  # the board goes on; that metrics are absent raises an alert
            log.exception("the metrics failed and are no longer exposed")
            raise

    def _contents(self, figures: Mapping[str, float | None]) -> BoardContents:
        now = self._clock()
        return BoardContents(
            summaries=[
                summary(state, now_ns=now, stale_after_ms=self._stale_after_ms)
                | {"crossed": bool(state["crossed"])}
                for state in self._states.values()
            ],
            counters=self._counters,
            loads=self._loads,
            figures=figures,
        )

    def _figures(self) -> dict[str, float | None]:
        """Return the figures of `main`, none of them while it holds nothing."""
        if not self._desk.ask(lambda desk, _: bool(desk.accounts(MAIN))):
            return {}
        found = self._desk.report(MAIN, None)["figures"]
        return {name: found[name]["value"] for name in FIGURES}

    def _take(self, value: LatestValue) -> None:
        kind, _, key = value.key.partition("/")
        with self._lock:
            if self._is_stray(f"{kind}/", key):
                self._strays += 1
                return
            self._heard[value.sender] = self._clock()
            if f"{kind}/" == names.STATE:
                self._states[key] = np.frombuffer(value.payload, dtype=STATE)[0]
                self._desk.take("state", key, self._states[key])
            elif f"{kind}/" == names.RISK:
                self._desk.take("risk", key, np.frombuffer(value.payload, MARKET_RISK)[0])
            elif f"{kind}/" == names.LATENCIES:
                self._loads.take_latencies(key, LatencyHistogram.from_bytes(value.payload))
            elif f"{kind}/" == names.LOADS:
                self._loads.take(key, orjson.loads(value.payload))
            elif f"{kind}/" == names.COUNTERS:
                self._counters[key] = orjson.loads(value.payload)
            else:
                log.warning("unknown value %r on the board's stream", value.key)

    def _is_stray(self, kind: str, key: str) -> bool:
        """Whether a value is of a symbol that is not watched."""
        if kind in (names.STATE, names.RISK, names.LATENCIES):
            return key not in self._states
        prefix = names.symbol_name("")
        if kind == names.LOADS and key.startswith(prefix):
            symbol = key.removeprefix(prefix)
            return not any(known.partition(":")[2] == symbol for known in self._states)
        return False

    def _drop(self, key: str) -> None:
        """Forget a market that is watched no longer, except for what it has counted."""
        state = self._states.pop(key)
        for name in COUNTERS:
            self._left[name] += int(state[name])
        actor = names.symbol_name(key.partition(":")[2])
        self._loads.forget(actor, key)
        self._heard.pop(actor, None)


def _unheard(instrument: Instrument) -> np.void:
    state = blank_state()
    state["exchange"], state["symbol"] = instrument.exchange, instrument.symbol
    row: np.void = state[0]
    return row


PortfolioRiskActor: Any = ray.remote(PortfolioRisk)

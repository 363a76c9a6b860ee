"""A fleet of plain dictionaries, in the shape that the actors answer in."""

import math
from typing import Any

from alphaplus.errors import StaleBook, UnknownMeasure, UnknownSymbol
from alphaplus.portfolio.desk import RiskDesk
from alphaplus.portfolio.stress_inputs import StressInputs
from alphaplus.storage.latest_rows import LatestOfMarket, LatestRows
from serve.deps import FRESHNESS, FleetUnavailable
from tests.portfolio.desk_cases import desk, modelled
from tests.portfolio.stress_cases import stress_inputs

Record = dict[str, Any]

NOW = 1_723_111_200_000_000_000
"""The clock of these tests, ns since 1970 UTC."""


def at(age_ms: float) -> int:
    """Return the time that lies `age_ms` milliseconds back."""
    return NOW - int(age_ms * 1e6)


def summary(symbol: str = "BTC-USDT-PERP", exchange: str = "binance", **changes: Any) -> Record:
    """Return the summary of a healthy book, received 12.5 ms ago."""
    return {
        "symbol": symbol,
        "exchange": exchange,
        "status": "synced",
        "stale": False,
        "stale_reason": None,
        "ts_event": at(15),
        "ts_recv": at(12.5),
        "age_ms": 0.0,
        "sequence": 5061243786412,
        "best_bid": 57245.1,
        "best_bid_quantity": 3.211,
        "best_ask": 57245.2,
        "best_ask_quantity": 1.874,
        "spread": 0.1,
        "spread_bps": 0.0175,
        "mid": 57245.15,
        "weighted_mid": 57245.163,
        "imbalance_1": 0.263,
        "imbalance_5": -0.041,
        "imbalance_20": 0.118,
        "last_price": 57245.2,
        "mark_price": 57246.31,
        "index_price": 57271.08,
        "funding_rate": 0.0001,
        "next_funding_ts": NOW + 3_600_000_000_000,
        "open_interest": 78123.4,
        "volume_24h": 312044.7,
        "turnover_24h": 17861438000.0,
        "messages": 18231,
        "level_updates": 912345,
        "trades": 4021,
        "gaps": 0,
        "resyncs": 0,
        "dropped": 0,
        "audit_equal": 6547,
        "audit_different": 0,
        **changes,
    }


def unknown_summary(symbol: str, exchange: str = "binance") -> Record:
    """Return the summary of a book that has not been received yet."""
    blank = dict.fromkeys(summary())
    return blank | {"symbol": symbol, "exchange": exchange, "status": "connecting", "stale": True}


def watched(symbol: str, **changes: Any) -> Record:
    """Return where a symbol stands that runs."""
    return {
        "symbol": symbol,
        "exchange": "binance",
        "state": "running",
        "detail": "",
        "actor": "symbols:0",
        "feed": "feed:binance:0",
        **changes,
    }


PENDING: Record = {
    "state": "pending",
    "detail": "no node with 0.05 CPU and 130 MB free",
    "feed": None,
}
FILL: Record = {
    "vwap": 57245.3,
    "slippage_bps": 0.03,
    "worst_price": 57246.0,
    "levels": 4,
    "fill_ratio": 1.0,
    "truncated": False,
}
UNFILLED: Record = {
    "vwap": math.nan,
    "slippage_bps": math.inf,
    "worst_price": 57200.0,
    "levels": 9,
    "fill_ratio": 0.4,
    "truncated": True,
}
WALL: Record = {
    "side": "bid",
    "price": 57200.0,
    "low": 57198.2,
    "high": 57203.8,
    "notional": 2_450_110.0,
    "share": 0.21,
    "z_score": None,
    "age_s": 41.3,
    "persistence": 0.97,
    "distance_bps": 7.9,
    "strength": 0.148,
    "times_tested": 2,
    "traded_notional": 51_200.0,
    "traded_through": False,
    "outcome": "standing",
    "pulled": False,
}
CLUSTER: Record = {
    "side": "ask",
    "price": 57310.4,
    "low": 57300.0,
    "high": 57322.1,
    "notional": 1_980_442.0,
    "levels": 18,
    "share": 0.17,
    "distance_bps": 11.4,
    "round_number": True,
}
MEASURES: dict[str, Record] = {
    "vpin": {"vpin": None, "full_buckets": 12, "fill_ratio": 0.24, "open_bucket_ratio": math.nan},
    "walls": {"walls": [WALL], "ended": [], "removed_walls": 3, "pulled_rate": None},
    "clusters": {"clusters": [CLUSTER], "bid_truncated": False, "ask_truncated": True},
}
MISSING: dict[str, dict[str, str]] = {
    "vpin": {"vpin": "12 of 50 volume buckets"},
    "walls": {"pulled_rate": "3 of 10 removed walls"},
}
REALISED: Record = {
    "ts_event": at(4000),
    "side": "long",
    "price": 57102.4,
    "quantity": 0.418,
    "usd": 23868.8,
    "sampled": True,
}
LEVEL: Record = {
    "symbol": "BTC-USDT-PERP",
    "exchange": "binance",
    "price_level": 54817.9,
    "side": "long",
    "quantity": 18.2,
    "timestamp": at(60_000),
    "risk_score": 0.041,
    "distance_from_price": -0.0424,
}
_NOTHING: Record = {"count": 0, "quantity": 0.0, "usd": 0.0}
_OF = ("symbol", "exchange", "stale", "ts_event", "ts_recv", "age_ms")
_OF_BOOK = (*_OF, "sequence")


_MODELS = modelled().models()


def _desk() -> RiskDesk:
    """A desk of its own for each test; its models are built once."""
    made = desk()
    made.set_models(_MODELS)
    return made


class FakeFleet:
    """Implements `serve.deps.Fleet`; questions about risk go to a desk with made-up markets.

    Put an exception into `failures[method]` to have it raised.
    """

    def __init__(self, board: list[Record] | None = None) -> None:
        self.rows = [summary("BTC-USDT-PERP"), summary("ETH-USDT-PERP")] if board is None else board
        self.positions: list[Record] = []
        self.desk = _desk()
        self.failures: dict[str, Exception] = {}
        self.dsn: str | None = None
        self.rings = LatestOfMarket(100)
        self.asked: list[tuple[Any, ...]] = []

    async def watched_symbols(self) -> list[Record]:
        self._maybe_fail("watched_symbols")
        return [watched(row["symbol"]) for row in self.rows]

    async def add_symbols(self, symbols: list[str]) -> list[Record]:
        self._maybe_fail("add_symbols", *symbols)
        known = {row["symbol"] for row in self.rows}
        return [watched(s, **({} if s in known else PENDING)) for s in symbols]

    async def remove_symbols(self, symbols: list[str]) -> list[Record]:
        self._maybe_fail("remove_symbols", *symbols)
        return [watched(symbol, state="leaving") for symbol in symbols]

    async def board(self) -> list[Record]:
        self._maybe_fail("board")
        return [dict(row) for row in self.rows]

    async def book(self, symbol: str, exchange: str | None, depth: int) -> Record:
        self._maybe_fail("book", symbol, exchange, depth)
        row = self._row(symbol, exchange)
        return {
            **{name: row[name] for name in ("symbol", "exchange", "sequence", "stale")},
            **{name: row[name] for name in ("ts_event", "ts_recv", "age_ms")},
            "bids": [[57245.1 - i / 10, 1.0 + i] for i in range(depth)],
            "asks": [[57245.2 + i / 10, 2.0 + i] for i in range(depth)],
            "known_range": [57011.4, 57480.2],
            "book_hash": "b1946ac92492d234",
        }

    async def analysis(self, symbol: str, exchange: str | None) -> Record:
        self._maybe_fail("analysis", symbol, exchange)
        row = self._row(symbol, exchange)
        touch = ("best_bid", "best_ask", "spread", "spread_bps", "mid")
        return {
            **{name: row[name] for name in (*_OF_BOOK, *touch)},
            "weighted_mid": math.nan,
            "crossed": False,
            "imbalance": {1: 0.263, 5: None, 20: math.nan},
            "depth": {1.0: {"bid": 1e6, "ask": 2e6, "bid_truncated": False, "ask_truncated": True}},
            "cost": {10_000.0: {"buy": FILL, "sell": UNFILLED, "round_trip_bps": None}},
            "measures": MEASURES,
            "missing": MISSING,
        }

    async def depth(self, symbol: str, exchange: str | None) -> Record:
        self._maybe_fail("depth", symbol, exchange)
        row = self._row(symbol, exchange)
        return {
            **{name: row[name] for name in (*_OF_BOOK, "mid", "spread_bps")},
            "timestamp": row["ts_event"],
            "known_range": (57011.4, 57480.2),
            "depth": {"10": {"bid": 1e6, "ask": 2e6, "bid_truncated": False}},
            "cost": {"10000": {"buy": FILL, "sell": UNFILLED}},
            "notional_within_slippage": {"5": {"buy": 1e6, "sell": math.nan}},
            "book_slope": {"book_slope": 805_227.9},
            "static_pressure": 0.063,
            "distance_weighted_imbalance": {"length_5_bps": math.nan},
            "liquidity_score": {"score": None, "score_book": 0.83, "components": None},
            "resiliency": {"bid_half_life_s": math.nan, "bid_sweeps": 3},
        }

    async def liquidity(self, symbol: str, exchange: str | None, notional: float) -> Record:
        self._maybe_fail("liquidity", symbol, exchange, notional)
        row = self._row(symbol, exchange)
        if row["mid"] is None:
            raise StaleBook(f"Expected a book of {symbol} with both sides, was none yet.")
        return {
            **{name: row[name] for name in (*_OF_BOOK, "mid", "spread_bps")},
            "notional": notional,
            "round_trip_bps": None,
            "truncated": True,
            "buy": FILL,
            "sell": UNFILLED,
            "depth": {"10": {"bid": 1e6, "ask": 2e6}},
            "liquidity_score": {"score": None, "score_book": 0.83},
        }

    async def measure(self, symbol: str, exchange: str | None, name: str) -> Record:
        self._maybe_fail("measure", symbol, exchange, name)
        row = self._row(symbol, exchange)
        if name not in MEASURES:
            raise UnknownMeasure(name, tuple(MEASURES))
        return {
            **{field: row[field] for field in _OF},
            "measure": name,
            "values": MEASURES[name],
            "missing": MISSING.get(name, {}),
        }

    async def liquidations(
        self, symbol: str, exchange: str | None, limit: int, levels: int
    ) -> Record:
        self._maybe_fail("liquidations", symbol, exchange, limit, levels)
        row = self._row(symbol, exchange)
        total = {
            "window_s": 3600.0,
            "long": {"count": 1, "quantity": 0.418, "usd": 23868.8},
            "short": _NOTHING,
            "at_least": True,
            "reason": "the source reports at most one order per second",
        }
        return {
            **{name: row[name] for name in _OF},
            "realised": {
                "newest": [REALISED] * min(limit, 2),
                "totals": [total],
                "reported": 2,
                "rejected": 0,
            },
            "estimated": {
                "status": "ok",
                "reason": None,
                "mark_price": row["mark_price"],
                "levels": [LEVEL] * min(levels, 3),
                "assumptions_id": 7,
                "realised_hits": None,
            },
        }

    async def liquidation_map(self, symbol: str, exchange: str | None) -> Record:
        self._maybe_fail("liquidation_map", symbol, exchange)
        row = self._row(symbol, exchange)
        return {
            **{name: row[name] for name in _OF},
            "stale": True,
            "stale_reason": "no leverage tiers yet",
            "status": "stale",
            "reason": "no leverage tiers yet",
            "estimate": True,
            "mark_price": None,
            **dict.fromkeys(("x_axis", "y_axis", "cells", "candles", "assumptions")),
        }

    async def portfolio(self) -> Record:
        self._maybe_fail("portfolio")
        return self._portfolio()

    async def set_positions(
        self, positions: list[Record], wallet_balance: float | None = None
    ) -> Record:
        self._maybe_fail("set_positions", positions, wallet_balance)
        self.positions = positions
        return self._portfolio()

    async def stress_inputs(self, portfolio_id: str) -> StressInputs:
        self._maybe_fail("stress_inputs", portfolio_id)
        return stress_inputs()

    async def portfolios(self) -> list[Record]:
        self._maybe_fail("portfolios")
        return self.desk.overview(NOW)

    async def set_accounts(self, portfolio_id: str, accounts: list[Record]) -> Record:
        self._maybe_fail("set_accounts", portfolio_id, accounts)
        self.desk.set_accounts(portfolio_id, accounts)
        return self.desk.overview_of(portfolio_id, NOW)

    async def risk(self, portfolio_id: str, model: Any) -> Record:
        self._maybe_fail("risk", portfolio_id, model)
        return self.desk.report(portfolio_id, NOW, model)

    async def liquidation(self, portfolio_id: str, symbol: str) -> list[Record]:
        self._maybe_fail("liquidation", portfolio_id, symbol)
        return self.desk.liquidation(portfolio_id, symbol, NOW)

    async def leverage(
        self, symbol: str, exchange: str | None, portfolio_id: str, equity: float | None
    ) -> Record:
        self._maybe_fail("leverage", symbol, exchange, portfolio_id, equity)
        return self.desk.advice(symbol, exchange, NOW, portfolio_id=portfolio_id, equity=equity)

    async def margin_quote(self, exchange: str, account: Record) -> Record:
        self._maybe_fail("margin_quote", exchange, account)
        return self.desk.margin_quote(exchange, account, NOW)

    async def stats(self) -> Record:
        self._maybe_fail("stats")
        return {"symbols": len(self.rows), "gaps": 0, "p99_ms": 4.8, "p50_ms": math.nan, "nodes": 1}

    async def load(self) -> Record:
        self._maybe_fail("load")
        markets = [
            {
                **{name: row[name] for name in ("symbol", "exchange", *FRESHNESS)},
                "actor": "symbols:0",
                "p50_ms": 0.6,
                "p99_ms": 4.8,
                "messages_per_s": 95.2,
                "batch_events": 68.0,
                "apply_ms": 0.12,
                "gaps": 0,
                "dropped_events": 0,
                "dropped_rows": 0,
                "backlog_events": 0,
                "cpu": None,
                "memory_bytes": 95_000_000,
            }
            for row in self.rows
        ]
        roles = [{"role": "symbols", "actors": 2, "cpu": 0.02, "cpu_s": 9.5, "memory_bytes": None}]
        nodes = [{"name": "head", "address": "10.0.0.1", "cpus": 0.0, "memory_bytes": 0}]
        return {"ts": NOW, "markets": markets, "roles": roles, "nodes": nodes}

    async def database(self) -> str:
        self._maybe_fail("database")
        if self.dsn is None:
            raise FleetUnavailable("The fleet is not running; start it with 'alphaplus up'.")
        return self.dsn

    async def latest(
        self, symbol: str, exchange: str | None, table: str, count: int
    ) -> LatestRows | None:
        self._maybe_fail("latest", symbol, exchange, table, count)
        row = self._row(symbol, exchange)
        rows = self.rings.newest(table, count)
        if rows is None:
            return None
        return LatestRows(table=table, exchange=row["exchange"], symbol=symbol, rows=rows)

    def _portfolio(self) -> Record:
        positions = [
            {**position, "mark_price": 57246.31, "notional": position["quantity"] * 57246.31}
            for position in self.positions
        ]
        gross = sum(abs(position["notional"]) for position in positions)
        return {"positions": positions, "gross_notional": gross, "margin_used": None}

    def _row(self, symbol: str, exchange: str | None) -> Record:
        for row in self.rows:
            if row["symbol"] == symbol and exchange in (None, row["exchange"]):
                return row
        raise UnknownSymbol(f"No actor keeps {symbol}.")

    def _maybe_fail(self, method: str, *arguments: Any) -> None:
        self.asked.append((method, *arguments))
        if method in self.failures:
            raise self.failures[method]

"""What a market says: its state as a record, its book and its measures as plain values."""

import math
from typing import Any, Final

from alphaplus.analysis.analyzer import Analyzer
from alphaplus.analysis.fair_price import mid, weighted_mid
from alphaplus.analysis.liquidity import analyze_liquidity
from alphaplus.analysis.market import Market
from alphaplus.analysis.order_book import (
    MarketDepthAnalysis,
    OrderBookAnalysis,
    OrderBookSnapshot,
)
from alphaplus.analysis.spread import spread_bps
from alphaplus.analysis.state import StateRecord, freshness, state_record
from alphaplus.errors import StaleBook, UnknownMeasure

_LAST: Final = (
    "next_funding_ts",
    "mark_price",
    "index_price",
    "funding_rate",
    "open_interest",
    "volume_24h",
    "turnover_24h",
    "messages",
    "level_updates",
    "trades",
)
_STATE_IMBALANCES: Final = ("imbalance_1", "imbalance_5", "imbalance_20")


def state(market: Market, now_ns: int) -> StateRecord:
    """Return where a market stands as one `STATE` row."""
    book, audit, last = market.book, market.audit, market.last
    imbalances = values_of(market.analyzer, "imbalance")
    return state_record(
        {
            "exchange": market.instrument.exchange,
            "symbol": market.instrument.symbol,
            "status": market.status,
            "hole": market.hole,
            "crossed": book.is_valid and book.is_crossed,
            "ts_event": market.ts_event,
            "ts_recv": market.ts_recv,
            "ts_publish": now_ns,
            "sequence": book.sequence,
            **{name: last[name] for name in _LAST},
            "last_price": market.instrument.price(int(last["last_trade_tick"]))
            if last["has_trades"]
            else None,
            **touch(market),
            **{name: imbalances.get(name) for name in _STATE_IMBALANCES},
            "gaps": market.gaps,
            "resyncs": market.resyncs,
            "dropped": market.dropped,
            "audit_equal": audit.equal,
            "audit_different": audit.different,
        }
    )


def touch(market: Market) -> dict[str, float | None]:
    """Return the book's best prices and quantities, and what follows from them alone."""
    instrument, top = market.instrument, market.top
    found: dict[str, float | None] = {}
    if top is None:
        one_sided = market.book.top()
        if market.book.is_valid and not one_sided["crossed"]:
            for side in ("bid", "ask"):
                if one_sided[f"{side}_quantity"] > 0:
                    found[f"best_{side}"] = instrument.price(int(one_sided[f"{side}_tick"]))
                    found[f"best_{side}_quantity"] = float(one_sided[f"{side}_quantity"])
        return found
    bid_tick, ask_tick = int(top["bid_tick"]), int(top["ask_tick"])
    bid, ask = instrument.price(bid_tick), instrument.price(ask_tick)
    bid_quantity, ask_quantity = float(top["bid_quantity"]), float(top["ask_quantity"])
    return {
        "best_bid": bid,
        "best_bid_quantity": bid_quantity,
        "best_ask": ask,
        "best_ask_quantity": ask_quantity,
        "spread": instrument.price(ask_tick - bid_tick),
        "spread_bps": spread_bps(bid_tick, ask_tick),
        "mid": mid(instrument, bid_tick, ask_tick),
        "weighted_mid": weighted_mid(bid, bid_quantity, ask, ask_quantity),
    }


def book(market: Market, depth: int, now_ns: int) -> dict[str, Any]:
    """Return the best `depth` levels a side with float prices, and how fresh they are."""
    view = market.book.view(depth)
    known = _known_range(market)
    return {
        **header(market, now_ns),
        "sequence": view.sequence,
        "bids": [list(level) for level in view.bids],
        "asks": [list(level) for level in view.asks],
        "known_range": None if known is None else list(known),
        "book_hash": market.book.state_hash(),
    }


def analyze(market: Market) -> OrderBookAnalysis:
    """Return every measure of a market as it stands."""
    analyzer = market.refreshed()
    return OrderBookAnalysis(
        symbol=market.instrument.symbol,
        exchange=market.instrument.exchange,
        ts_event=market.ts_event or None,
        ts_recv=market.ts_recv or None,
        sequence=market.book.sequence,
        crossed=market.book.is_valid and market.book.is_crossed,
        **touch(market),
        measures=analyzer.values(),
        missing=analyzer.missing(),
    )


def analysis(market: Market, now_ns: int) -> dict[str, Any]:
    """Return every measure as plain values, and how fresh they are.

    Imbalance, depth and cost stand at the top as well, by the number of their parameter.
    """
    found = analyze(market)
    return {
        **found.as_dict(),
        "imbalance": _imbalances(found.measures.get("imbalance", {})),
        "depth": _present(found.measures.get("depth", {})),
        "cost": _present(found.measures.get("cost", {})),
        **header(market, now_ns),
    }


def analyze_depth(market: Market) -> MarketDepthAnalysis:
    """Return how much stands where in a market's book, and what taking it costs."""
    analyzer = market.refreshed()
    at_touch = touch(market)
    return MarketDepthAnalysis(
        symbol=market.instrument.symbol,
        exchange=market.instrument.exchange,
        timestamp=market.ts_event or None,
        sequence=market.book.sequence,
        mid=at_touch.get("mid"),
        spread_bps=at_touch.get("spread_bps"),
        known_range=_known_range(market),
        depth=_present(values_of(analyzer, "depth")),
        cost=_present(values_of(analyzer, "cost")),
        notional_within_slippage=_present(values_of(analyzer, "notional_within_slippage")),
        book_slope=values_of(analyzer, "book_slope"),
        static_pressure=values_of(analyzer, "static_pressure").get("static_pressure"),
        distance_weighted_imbalance=values_of(analyzer, "distance_weighted_imbalance"),
        liquidity_score=values_of(analyzer, "liquidity_score"),
        resiliency=values_of(analyzer, "resiliency"),
    )


def depth(market: Market, now_ns: int) -> dict[str, Any]:
    """Return the analysis of the depth as plain values, and how fresh they are."""
    return {**analyze_depth(market).as_dict(), **header(market, now_ns)}


def liquidity(market: Market, notional: float, now_ns: int) -> dict[str, Any]:
    """Return what an order for `notional` quote currency meets, and how fresh that is.

    Raises StaleBook while the book is not valid, crossed, or lacks a side.
    """
    levels = market.levels()
    if levels is None:
        raise StaleBook(
            f"Expected a book of {market.instrument.symbol} with both sides in step with the "
            "venue, was none yet; ask again in a moment."
        )
    turnover = float(market.last["turnover_24h"])
    found = analyze_liquidity(
        levels, notional, volume_24h_quote=None if math.isnan(turnover) else turnover
    )
    return {**found.as_dict(), **header(market, now_ns)}


def measure(market: Market, name: str, now_ns: int) -> dict[str, Any]:
    """Return one measure alone, with what it still needs, and how fresh it is.

    Raises UnknownMeasure if it is not taken.
    """
    taken = market.refreshed().measures
    if name not in taken:
        raise UnknownMeasure(name, tuple(taken))
    found = taken[name]
    return {
        "measure": name,
        "values": found.values(),
        "missing": found.missing(),
        **header(market, now_ns),
    }


def order_book_snapshot(market: Market, depth: int) -> OrderBookSnapshot:
    """Return the best `depth` levels a side and the measures that go with them."""
    view = market.book.view(depth)
    analyzer = market.refreshed()
    bid_volume = math.fsum(quantity for _, quantity in view.bids)
    ask_volume = math.fsum(quantity for _, quantity in view.asks)
    both = bid_volume > 0 and ask_volume > 0
    score = values_of(analyzer, "liquidity_score")
    return OrderBookSnapshot(
        symbol=market.instrument.symbol,
        timestamp=market.ts_event,
        exchange=market.instrument.exchange,
        bids=view.bids,
        asks=view.asks,
        spread=touch(market).get("spread"),
        total_bid_volume=bid_volume,
        total_ask_volume=ask_volume,
        depth_levels=depth,
        bid_ask_imbalance=(bid_volume - ask_volume) / (bid_volume + ask_volume) if both else None,
        liquidity_score=score.get("score_book") if score.get("score") is None else score["score"],
        order_flow_toxicity=values_of(analyzer, "vpin").get("vpin"),
        depth_pressure=values_of(analyzer, "depth_pressure").get("depth_pressure_5s"),
    )


def header(market: Market, now_ns: int) -> dict[str, Any]:
    """Return whose answer it is, and how fresh."""
    return {
        "symbol": market.instrument.symbol,
        "exchange": market.instrument.exchange,
        **freshness(
            market.ts_event, market.ts_recv, reason=market.stale_reason(now_ns), now_ns=now_ns
        ),
    }


def values_of(analyzer: Analyzer, name: str) -> dict[str, Any]:
    """Return the values of one measure, none if it is not taken."""
    found = analyzer.measures.get(name)
    return {} if found is None else found.values()


def _known_range(market: Market) -> tuple[float, float] | None:
    known = market.book.known_range
    if known is None:
        return None
    return market.instrument.price(known[0]), market.instrument.price(known[1])


def _imbalances(values: dict[str, Any]) -> dict[str, float | None]:
    """Return imbalances by the number of levels a side."""
    return {name.removeprefix("imbalance_"): value for name, value in values.items()}


def _present(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}

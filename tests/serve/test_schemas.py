"""What the library says must fit the schemas whole: a field they do not know would be lost."""

from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from pydantic import BaseModel

from alphaplus.analysis import views
from alphaplus.analysis.analyzer import Analyzer
from alphaplus.analysis.market import Market
from alphaplus.analysis.state import summary
from alphaplus.events import FeedStatus, Flag, Kind, Side, event, status_event
from alphaplus.instruments import Instrument
from alphaplus.risk.portfolio import Portfolio as Positions
from serve import schemas
from tests.serve.fakes import NOW, at

BTC = Instrument(
    symbol="BTC-USDT-PERP",
    exchange="binance",
    venue_symbol="BTCUSDT",
    tick_size=Decimal("0.1"),
    lot_size=Decimal("0.001"),
)


@pytest.fixture
def market() -> Market:
    """A book of two levels, received 5 ms ago."""
    common: dict[str, Any] = {"ts_recv": at(5), "ts_event": at(7), "sequence": 10}
    part = {**common, "flags": Flag(0)}
    market = Market(BTC, Analyzer(BTC), stale_after_ms=10_000)
    market.apply(
        np.concatenate(
            [
                event(Kind.SNAPSHOT_BEGIN, **part),
                event(Kind.DEPTH, side=Side.BID, price_tick=572451, value=3.0, **part),
                event(Kind.DEPTH, side=Side.ASK, price_tick=572452, value=2.0, **part),
                event(Kind.SNAPSHOT_END, **common),
                status_event(FeedStatus.SYNCED, ts_recv=at(5)),
            ]
        )
    )
    return market


def assert_fits(answer: dict[str, Any], schema: type[BaseModel]) -> BaseModel:
    assert answer.keys() <= schema.model_fields.keys()
    return schema.model_validate(answer)


def test_summary(market: Market) -> None:
    state = views.state(market, NOW)[0]
    found = assert_fits(summary(state, now_ns=NOW, stale_after_ms=10_000), schemas.Summary)
    assert isinstance(found, schemas.Summary)
    assert (found.best_bid, found.best_ask, found.stale) == (57245.1, 57245.2, False)


def test_summary_of_an_unseen_book() -> None:
    market = Market(BTC, Analyzer(BTC), stale_after_ms=10_000)
    state = views.state(market, NOW)[0]
    found = assert_fits(summary(state, now_ns=NOW, stale_after_ms=10_000), schemas.Summary)
    assert isinstance(found, schemas.Summary)
    assert (found.ts_recv, found.age_ms, found.stale) == (None, None, True)


def test_book(market: Market) -> None:
    found = assert_fits(views.book(market, 20, NOW), schemas.Book)
    assert isinstance(found, schemas.Book)
    assert found.bids == [(57245.1, 3.0)]


def test_analysis(market: Market) -> None:
    answer = views.analysis(market, NOW)
    found = assert_fits(answer, schemas.Analysis)
    assert isinstance(found, schemas.Analysis)
    assert set(found.imbalance) == {"1", "5", "20"}
    assert set(found.depth) == {"1", "5", "10", "25", "50"}
    assert set(found.cost) == {"10000", "100000", "1000000"}
    assert found.cost["10000"].buy.vwap == pytest.approx(57245.2)
    assert next(iter(answer["depth"].values())).keys() <= schemas.Depth.model_fields.keys()
    buy = next(iter(answer["cost"].values()))["buy"]
    assert buy.keys() == schemas.FillCost.model_fields.keys()


def test_portfolio() -> None:
    positions = Positions([BTC], default_leverage=5)
    positions.replace([{"symbol": BTC.symbol, "quantity": -0.5, "entry_price": 57000.0}])
    answer = positions.value({("binance", BTC.symbol): 57245.0})
    assert answer.keys() <= schemas.Portfolio.model_fields.keys()
    assert answer["positions"][0].keys() <= schemas.Position.model_fields.keys()

"""What the library says must fit the schemas whole: a field they do not know would be lost."""

import math
from decimal import Decimal
from typing import Any, TypeVar

import numpy as np
import pytest
from pydantic import BaseModel

from alphaplus.analysis import views
from alphaplus.analysis.analyzer import Analyzer
from alphaplus.analysis.market import Market
from alphaplus.analysis.registry import REGISTRY, MeasureParameters
from alphaplus.analysis.state import summary
from alphaplus.errors import UnknownMeasure
from alphaplus.events import EventArray, FeedStatus, Flag, Kind, Side, event, status_event
from alphaplus.instruments import Instrument
from alphaplus.portfolio.desk import RiskDesk
from serve import measure_schemas, schemas
from tests.serve.fakes import NOW

Model = TypeVar("Model", bound=BaseModel)

BTC = Instrument(
    symbol="BTC-USDT-PERP",
    exchange="binance",
    venue_symbol="BTCUSDT",
    tick_size=Decimal("0.1"),
    lot_size=Decimal("0.001"),
)


_PART: dict[str, Any] = {"flags": Flag(0)}
_WALL_TICK = 572_401
"""A bid 9 bps from the mid that holds a hundred times what its neighbours do."""


def _times(ms: int) -> dict[str, Any]:
    """Return the times and the sequence of the message that came `ms` after the first."""
    start = NOW - 6_000_000_000
    at_ns = start + ms * 1_000_000
    return {"ts_event": at_ns, "ts_recv": at_ns + 2_000_000, "sequence": 10 + ms}


def _level(tick: int, quantity: float, ms: int) -> EventArray:
    side = Side.BID if tick <= 572_451 else Side.ASK
    return event(Kind.DEPTH, side=side, price_tick=tick, value=quantity, **_times(ms), **_PART)


def _snapshot() -> EventArray:
    """A book of 60 levels a side, 10 ticks apart, with a wall among the bids."""
    bids = [572_451 - 10 * i for i in range(60)]
    asks = [572_452 + 10 * i for i in range(60)]
    return np.concatenate(
        [
            event(Kind.SNAPSHOT_BEGIN, **_times(0), **_PART),
            *(_level(t, 300.0 if t == _WALL_TICK else 3.0 + t % 7, 0) for t in bids + asks),
            event(Kind.SNAPSHOT_END, **_times(0)),
            status_event(FeedStatus.SYNCED, ts_recv=NOW - 6_000_000_000),
        ]
    )


def _tick(ms: int) -> EventArray:
    """A trade, then a message that changes the best bid."""
    trade = event(
        Kind.TRADE,
        side=Side.BID if ms % 200 else Side.ASK,
        price_tick=572_451,
        value=0.5,
        **_times(ms),
    )
    depth = event(
        Kind.DEPTH,
        side=Side.BID,
        price_tick=572_451,
        value=3.0 + ms % 3,
        **_times(ms),
    )
    return np.concatenate([trade, depth])


@pytest.fixture(scope="module")
def market() -> Market:
    """A book that moved for 6 s, its last message received 8 ms ago."""
    market = Market(BTC, Analyzer(BTC), stale_after_ms=10_000)
    market.apply(_snapshot())
    for ms in range(100, 6000, 10):
        market.apply(_tick(ms))
    return market


@pytest.fixture(scope="module")
def unseen() -> Market:
    return Market(BTC, Analyzer(BTC), stale_after_ms=10_000)


def assert_fits(answer: dict[str, Any], schema: type[Model]) -> Model:
    """Check that a schema takes an answer and gives all of it back."""
    found = schema.model_validate(answer)
    assert_kept(answer, found.model_dump(mode="json"), schema.__name__)
    return found


def assert_kept(given: Any, kept: Any, path: str) -> None:
    if isinstance(given, dict):
        assert given.keys() <= kept.keys(), path
        for name, value in given.items():
            assert_kept(value, kept[name], f"{path}.{name}")
    elif isinstance(given, list | tuple):
        assert len(given) == len(kept), path
        for i, (value, other) in enumerate(zip(given, kept, strict=True)):
            assert_kept(value, other, f"{path}[{i}]")
    else:
        assert given == kept, path
        assert not isinstance(given, float) or math.isfinite(given), path


def test_summary(market: Market) -> None:
    state = views.state(market, NOW)[0]
    found = assert_fits(summary(state, now_ns=NOW, stale_after_ms=10_000), schemas.Summary)
    assert (found.best_bid, found.best_ask, found.stale) == (57245.1, 57245.2, False)
    assert found.imbalance_1 is not None
    assert found.imbalance_5 is not None
    assert found.imbalance_20 is not None


def test_summary_of_an_unseen_book(unseen: Market) -> None:
    state = views.state(unseen, NOW)[0]
    found = assert_fits(summary(state, now_ns=NOW, stale_after_ms=10_000), schemas.Summary)
    assert (found.ts_recv, found.age_ms, found.stale) == (None, None, True)


def test_book(market: Market) -> None:
    found = assert_fits(views.book(market, 20, NOW), schemas.Book)
    assert found.bids[0][0] == 57245.1
    assert len(found.asks) == 20


def test_analysis(market: Market) -> None:
    found = assert_fits(views.analysis(market, NOW), measure_schemas.Analysis)
    assert set(found.imbalance) == {"1", "5", "10", "20"}
    assert set(found.depth) == {"1", "5", "10", "25", "50", "100"}
    assert set(found.cost) == {"10000", "100000", "1000000", "5000000"}
    assert found.cost["10000"].buy.vwap == pytest.approx(57245.2)
    assert set(found.measures) == set(REGISTRY)
    assert found.missing["vpin"]


def test_depth(market: Market) -> None:
    found = assert_fits(views.depth(market, NOW), measure_schemas.MarketDepth)
    assert found.book_slope.book_slope is not None
    assert found.liquidity_score.score_book is not None
    assert found.liquidity_score.components is not None
    assert found.liquidity_score.bid is not None
    assert set(found.notional_within_slippage) == {"1", "5", "10", "25", "50"}


def test_liquidity(market: Market) -> None:
    found = assert_fits(views.liquidity(market, 1e6, NOW), measure_schemas.Liquidity)
    assert found.notional == 1e6
    assert found.buy.fill_ratio == 1.0


def test_walls(market: Market) -> None:
    answer = views.measure(market, "walls", NOW)
    values = assert_fits(answer, measure_schemas.MeasureValues).values
    found = assert_fits({**values, "stale": False, **of(answer)}, measure_schemas.WallList)
    assert found.walls
    assert found.walls[0].price == 57240.1
    assert found.walls[0].outcome == "standing"


def test_clusters(market: Market) -> None:
    answer = views.measure(market, "clusters", NOW)
    values = assert_fits(answer, measure_schemas.MeasureValues).values
    found = assert_fits({**values, "stale": False, **of(answer)}, measure_schemas.ClusterList)
    assert found.clusters


def of(answer: dict[str, Any]) -> dict[str, Any]:
    return {name: answer[name] for name in ("symbol", "exchange", "missing")}


@pytest.mark.parametrize("name", REGISTRY)
@pytest.mark.parametrize("which", ["market", "unseen"])
def test_every_measure(request: pytest.FixtureRequest, which: str, name: str) -> None:
    answer = views.measure(request.getfixturevalue(which), name, NOW)
    found = assert_fits(answer, measure_schemas.MeasureValues)
    assert found.measure == name
    assert found.missing.keys() <= found.values.keys()


def test_measures_of_an_unseen_book(unseen: Market) -> None:
    found = assert_fits(views.analysis(unseen, NOW), measure_schemas.Analysis)
    assert found.stale_reason == "the feed is connecting"
    assert found.depth == found.cost == {}
    depth = assert_fits(views.depth(unseen, NOW), measure_schemas.MarketDepth)
    assert depth.liquidity_score.components is None
    walls = views.measure(unseen, "walls", NOW)
    empty = assert_fits({**walls["values"], "stale": True, **of(walls)}, measure_schemas.WallList)
    assert empty.walls is None


def test_depth_with_few_measures_fits_too() -> None:
    only = Market(BTC, Analyzer(BTC, MeasureParameters(measures=("vpin",))), stale_after_ms=10_000)
    assert assert_fits(views.depth(only, NOW), measure_schemas.MarketDepth).depth == {}
    with pytest.raises(UnknownMeasure, match="Expected one of the measures vpin, was 'walls'"):
        views.measure(only, "walls", NOW)


def test_portfolio() -> None:
    desk = RiskDesk([BTC], stale_after_ms=10_000)
    desk.set_positions([{"symbol": BTC.symbol, "quantity": -0.5, "entry_price": 57000.0}])
    answer = desk.value("main", NOW)
    assert answer.keys() <= schemas.Portfolio.model_fields.keys()
    assert answer["positions"][0].keys() <= schemas.Position.model_fields.keys()


FIRST_FIELDS = {
    schemas.Freshness: "ts_event ts_recv age_ms stale stale_reason",
    schemas.Book: "symbol exchange sequence bids asks known_range book_hash",
    measure_schemas.Depth: "bid ask bid_truncated ask_truncated",
    measure_schemas.FillCost: "vwap slippage_bps worst_price levels fill_ratio",
    measure_schemas.RoundTrip: "buy sell",
    measure_schemas.Analysis: "symbol exchange sequence best_bid best_bid_quantity best_ask "
    "best_ask_quantity spread spread_bps mid weighted_mid crossed imbalance depth cost",
}
"""What the first answers under /v1 had."""


@pytest.mark.parametrize("schema", FIRST_FIELDS, ids=lambda schema: schema.__name__)
def test_no_field_is_renamed_or_removed_within_v1(schema: type[BaseModel]) -> None:
    assert set(FIRST_FIELDS[schema].split()) <= schema.model_fields.keys()

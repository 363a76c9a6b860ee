"""Every measure there is, and how it is made from the parameters of the settings."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from alphaplus.analysis.book_slope import BookSlope
from alphaplus.analysis.clusters import Clusters
from alphaplus.analysis.cost import CostToFill, NotionalWithinSlippage
from alphaplus.analysis.depth import DepthBands
from alphaplus.analysis.depth_pressure import DepthPressure
from alphaplus.analysis.distance_weighted_imbalance import DistanceWeightedImbalance
from alphaplus.analysis.ewma_volatility import EwmaVolatility
from alphaplus.analysis.fair_price import FairPrice
from alphaplus.analysis.illiquidity import Illiquidity
from alphaplus.analysis.imbalance import Imbalance
from alphaplus.analysis.liquidity_score import LiquidityScore
from alphaplus.analysis.measure import Measure
from alphaplus.analysis.microprice import Microprice
from alphaplus.analysis.multi_level_ofi import MultiLevelOrderFlowImbalance
from alphaplus.analysis.ofi import OrderFlowImbalance
from alphaplus.analysis.quoted_spread import QuotedSpread
from alphaplus.analysis.range_volatility import RangeVolatility
from alphaplus.analysis.resiliency import Resiliency
from alphaplus.analysis.static_pressure import StaticPressure
from alphaplus.analysis.trade_cost import TradeCost
from alphaplus.analysis.trade_flow import TradeFlow
from alphaplus.analysis.volatility import RealizedVolatility
from alphaplus.analysis.vpin import Vpin
from alphaplus.analysis.walls import Walls
from alphaplus.errors import ConfigError
from alphaplus.instruments import Instrument


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasureParameters:
    """Which measures are taken, and the parameters that settings may choose.

    `measures` empty: all of `REGISTRY`. `volume_bucket` is VPIN's V in base units; None: a
    50th of the volume of the 24 hours before the current UTC day.
    """

    measures: tuple[str, ...] = ()
    imbalance_levels: tuple[int, ...] = (1, 5, 10, 20)
    depth_bps: tuple[float, ...] = (1.0, 5.0, 10.0, 25.0, 50.0, 100.0)
    cost_notionals: tuple[float, ...] = (1e4, 1e5, 1e6, 5e6)
    volume_bucket: float | None = None


Maker = Callable[[Instrument, MeasureParameters], Measure]

REGISTRY: Final[dict[str, Maker]] = {
    FairPrice.name: lambda i, _: FairPrice(i),
    Microprice.name: lambda i, _: Microprice(i),
    QuotedSpread.name: lambda i, _: QuotedSpread(i),
    TradeCost.name: lambda i, _: TradeCost(i),
    Imbalance.name: lambda i, p: Imbalance(i, counts=p.imbalance_levels),
    DistanceWeightedImbalance.name: lambda i, _: DistanceWeightedImbalance(i),
    DepthBands.name: lambda i, p: DepthBands(i, distances_bps=p.depth_bps),
    CostToFill.name: lambda i, p: CostToFill(i, notionals=p.cost_notionals),
    NotionalWithinSlippage.name: lambda i, _: NotionalWithinSlippage(i),
    BookSlope.name: lambda i, _: BookSlope(i),
    StaticPressure.name: lambda i, _: StaticPressure(i),
    LiquidityScore.name: lambda i, _: LiquidityScore(i),
    OrderFlowImbalance.name: lambda i, _: OrderFlowImbalance(i),
    MultiLevelOrderFlowImbalance.name: lambda i, _: MultiLevelOrderFlowImbalance(i),
    DepthPressure.name: lambda i, _: DepthPressure(i),
    TradeFlow.name: lambda i, _: TradeFlow(i),
    Vpin.name: lambda i, p: Vpin(i, bucket_volume=p.volume_bucket),
    Walls.name: lambda i, _: Walls(i),
    Clusters.name: lambda i, _: Clusters(i),
    Resiliency.name: lambda i, _: Resiliency(i),
    Illiquidity.name: lambda i, _: Illiquidity(i),
    RealizedVolatility.name: lambda i, _: RealizedVolatility(i),
    EwmaVolatility.name: lambda i, _: EwmaVolatility(i),
    RangeVolatility.name: lambda i, _: RangeVolatility(i),
}
"""Measures by name, in the order of an answer. A new measure is one file and one line here."""


def make_measures(instrument: Instrument, parameters: MeasureParameters) -> dict[str, Measure]:
    """Return the measures that the parameters choose; raises ConfigError for an unknown name."""
    check_names(parameters.measures)
    chosen: Sequence[str] = parameters.measures or tuple(REGISTRY)
    return {name: REGISTRY[name](instrument, parameters) for name in REGISTRY if name in chosen}


def check_names(measures: Sequence[str]) -> None:
    """Raise ConfigError for the name of a measure that there is not."""
    for name in measures:
        if name not in REGISTRY:
            raise ConfigError(
                f"Expected analysis.measures among {', '.join(REGISTRY)}, was {name!r}."
            )

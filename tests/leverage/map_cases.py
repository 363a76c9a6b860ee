"""Bars, tiers and a plain twin of the liquidation map that its tests share."""

import math
from dataclasses import replace
from typing import Any

from hypothesis import strategies as st

from alphaplus.leverage.liquidation_map import MapBar
from alphaplus.leverage.map_assumptions import MapAssumptions, MapParameters
from alphaplus.leverage.tiers import LeverageTier, TierTable

BAR_NS = 300 * 10**9


def tiers(max_leverage: float = 125.0) -> TierTable:
    return TierTable.of(
        "BTC-USDT-PERP",
        [
            LeverageTier(
                min_notional=low, max_notional=high, maintenance_margin_rate=rate, max_leverage=most
            )
            for low, high, rate, most in (
                (0.0, 50_000.0, 0.004, max_leverage),
                (50_000.0, 1e12, 0.005, min(100.0, max_leverage)),
            )
        ],
        source="made up",
        effective_from=1,
    )


def assumptions(**changes: Any) -> MapAssumptions:
    table = changes.pop("tiers", None) or tiers()
    return MapAssumptions(
        symbol="BTC-USDT-PERP",
        venues=("binance",),
        parameters=MapParameters(**{"bin_width": 0.005, **changes}),
        tiers=table,
    )


def bar(k: int, interest: float | None = 1000.0, **changes: Any) -> MapBar:
    plain = MapBar(
        ts_event=k * BAR_NS,
        open_interest=interest,
        taker_buy=6.0,
        taker_sell=2.0,
        vwap=100.0,
        mark_low=100.0,
        mark_high=100.0,
        mark_close=100.0,
    )
    return replace(plain, **changes)


_moves = st.tuples(
    st.floats(-200.0, 300.0),  # change of open interest
    st.floats(0.0, 10.0),  # taker buys
    st.floats(0.0, 10.0),  # taker sells
    st.floats(-0.06, 0.06),  # change of the log mark
    st.floats(0.0, 0.03),  # how far the low is below both ends
    st.floats(0.0, 0.03),
    st.floats(0.0, 1.0),  # where the vwap lies between low and high
)


@st.composite
def paths(draw: st.DrawFn) -> list[MapBar]:
    mark, interest, bars = 100.0, 1000.0, [bar(1)]
    for k, move in enumerate(draw(st.lists(_moves, min_size=1, max_size=15)), 2):
        interest = max(interest + move[0], 0.0)
        close = mark * math.exp(move[3])
        low = min(mark, close) * math.exp(-move[4])
        high = max(mark, close) * math.exp(move[5])
        bars.append(
            MapBar(
                ts_event=k * BAR_NS,
                open_interest=interest,
                taker_buy=move[1],
                taker_sell=move[2],
                vwap=low + (high - low) * move[6] if move[1] + move[2] > 0 else None,
                mark_low=low,
                mark_high=high,
                mark_close=close,
            )
        )
        mark = close
    return bars


class PlainMap:
    """The same map as dicts of (leverage, bin) -> quantity, for bars without a gap."""

    def __init__(self, assumed: MapAssumptions) -> None:
        self.assumed = assumed
        self.width = assumed.parameters.bin_width
        self.sides: list[dict[tuple[int, int], float]] = [{}, {}]
        self.interest: float | None = None

    def price(self, k: int) -> float:
        return math.exp(k * self.width)

    def update(self, b: MapBar) -> None:
        assert b.mark_low is not None
        assert b.mark_high is not None
        assert b.mark_close is not None
        assert b.open_interest is not None
        eaten = [0.0, 0.0]
        for side, levels in enumerate(self.sides):
            for key in list(levels):
                price = self.price(key[1])
                if price >= b.mark_low if side == 0 else price <= b.mark_high:
                    eaten[side] += levels.pop(key)
        if self.interest is not None:
            fallen = self.interest - b.open_interest
            for side, levels in enumerate(self.sides):
                left = max(0.0, fallen - eaten[side])
                if left > 0:
                    share = left / (self.interest - eaten[side])
                    for key in levels:
                        levels[key] *= 1 - share
            self.open(b, -fallen, b.mark_close)
        self.interest = b.open_interest

    def open(self, b: MapBar, risen: float, mark: float) -> None:
        if risen <= 0:
            return
        buy, sell = b.taker_buy or 0.0, b.taker_sell or 0.0
        long = buy / (buy + sell) if buy + sell else 0.5
        leverages, shares = self.assumed.cohorts()
        prices = self.assumed.level_prices(b.vwap or mark, leverages)
        for side, part in enumerate((long, 1 - long)):
            for cohort, weight in enumerate(shares):
                price = float(prices[side, cohort])
                if price >= mark if side == 0 else price <= mark:
                    continue
                k = math.floor(math.log(price) / self.width)
                upper = (price - self.price(k)) / (self.price(k + 1) - self.price(k))
                if side == 0 and self.price(k + 1) >= mark:
                    upper = 0.0
                if side == 1 and self.price(k) <= mark:
                    upper = 1.0
                for at, kept in ((k, 1 - upper), (k + 1, upper)):
                    key = (cohort, at)
                    new = risen * part * float(weight) * kept
                    self.sides[side][key] = self.sides[side].get(key, 0.0) + new

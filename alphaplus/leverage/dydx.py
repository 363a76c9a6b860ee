"""dYdX v4 in exact numbers: margins, trigger, bankruptcy and fillable price, fund, limits.

Quote amounts are integers of a micro-USD, rates integers of a millionth (ppm); sizes and prices
are exact fractions. Source: dYdX v4 documentation and protocol tests; rounding is the
protocol's. The long names of its texts: TNC is `net_collateral`, TMMR the sum of maintenance.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Final

from alphaplus.errors import RiskError

PPM: Final = 1_000_000
MICRO: Final = 1_000_000

Exact = int | Decimal | Fraction


@dataclass(frozen=True, slots=True, kw_only=True)
class DydxPosition:
    """A position in base coin (size above 0 is long) at its oracle price in USD."""

    market: str
    size: Exact
    oracle_price: Exact
    initial_margin_ppm: int
    maintenance_margin_ppm: int

    @property
    def net_notional(self) -> Fraction:
        """Signed value, micro-USD."""
        return Fraction(self.size) * Fraction(self.oracle_price) * MICRO


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockLimit:
    """How much notional one block may liquidate, in the unit of what was given."""

    minimum: Fraction
    maximum: Fraction


def maintenance_margin_ppm(initial_margin_ppm: int, fraction_ppm: int) -> int:
    """Return initial rate times fraction, cut to whole ppm.

    >>> maintenance_margin_ppm(637_239, 289_284)
    184343
    """
    return initial_margin_ppm * fraction_ppm // PPM


def scaled_initial_margin_ppm(
    initial_margin_ppm: int, open_notional: int, lower_cap: int, upper_cap: int
) -> int:
    """Return the initial rate raised by open interest between the caps, cut to whole ppm."""
    if upper_cap <= lower_cap:
        return initial_margin_ppm
    share = max(Fraction(open_notional - lower_cap, upper_cap - lower_cap), Fraction(0))
    return min(math.floor(initial_margin_ppm + share * (PPM - initial_margin_ppm)), PPM)


def initial_margin(notional: int, scaled_margin_ppm: int) -> int:
    """Return the initial margin in the unit of the notional, rounded up."""
    return -(-abs(notional) * scaled_margin_ppm // PPM)


def maintenance_margin(positions: Sequence[DydxPosition]) -> int:
    """Return the sum of maintenance margins, micro-USD, each rounded up."""
    return sum(math.ceil(_maintenance(position)) for position in positions)


def net_collateral(quote: int, positions: Sequence[DydxPosition]) -> Fraction:
    """Return quote balance plus signed value of all positions, micro-USD."""
    return quote + sum((position.net_notional for position in positions), Fraction(0))


def is_liquidatable(quote: int, positions: Sequence[DydxPosition]) -> bool:
    """Whether maintenance is above 0 and above the collateral; equality is safe."""
    due = maintenance_margin(positions)
    return due > 0 and due > net_collateral(quote, positions)


def liquidates_before(
    first: tuple[Fraction | int, int], second: tuple[Fraction | int, int]
) -> bool:
    """Whether the first (net collateral, maintenance) is worse; compares without dividing."""
    return first[0] * second[1] < second[0] * first[1]


def bankruptcy_quote(
    quote: int, positions: Sequence[DydxPosition], market: str, size_change: Exact
) -> int:
    """Return what a change of size must bring (above 0) or may cost (below 0), micro-USD.

    -dNNV - TNC |dMMR| / TMMR, rounded toward +infinity. The change reduces the position.
    Raises RiskError if it does not, or there is no such position.
    """
    position = _find(positions, market)
    size, change = Fraction(position.size), Fraction(size_change)
    if size * change >= 0 or abs(change) > abs(size):
        raise RiskError(f"Expected a change that reduces {size} {market}, was {change}.")
    price = Fraction(position.oracle_price) * MICRO
    released = abs(change) * price * position.maintenance_margin_ppm / PPM
    total = sum((_maintenance(item) for item in positions), Fraction(0))
    return math.ceil(-change * price - net_collateral(quote, positions) * released / total)


def fillable_price(
    quote: int,
    positions: Sequence[DydxPosition],
    market: str,
    *,
    bankruptcy_adjustment: Exact = 1,
    spread_to_maintenance: Exact = Fraction(1, 10),
) -> Fraction:
    """Return the worst price, USD, at which a liquidation order fills.

    (PNNV - ABR SMMR PMMR) / PS with ABR = clamp(adjustment (1 - TNC / TMMR), 0, 1).
    """
    position = _find(positions, market)
    total = sum((_maintenance(item) for item in positions), Fraction(0))
    health = net_collateral(quote, positions) / total
    reach = min(max(Fraction(bankruptcy_adjustment) * (1 - health), Fraction(0)), Fraction(1))
    concession = reach * Fraction(spread_to_maintenance) * _maintenance(position)
    return (position.net_notional - concession) / Fraction(position.size) / MICRO


def insurance_fund_delta(fill_quote: int, bankruptcy: int, max_fee_ppm: int) -> int:
    """Return what the fund gains (above 0, at most the fee) or pays (below 0), micro-USD.

    `fill_quote` is what the fill brings (selling) or minus what it costs (buying), as
    `bankruptcy` is.
    """
    gain = fill_quote - bankruptcy
    if gain <= 0:
        return gain
    return min(-(-abs(fill_quote) * max_fee_ppm // PPM), gain)


def block_limit(notional: Exact, min_notional: Exact, max_portion: Exact) -> BlockLimit:
    """Return the bounds of one block: at least the minimum (or all), at most the portion."""
    whole = Fraction(notional)
    minimum = min(Fraction(min_notional), whole)
    return BlockLimit(minimum=minimum, maximum=max(minimum, Fraction(max_portion) * whole))


def must_deleverage(net_collateral: Fraction | int, fund_balance: int, fund_delta: int) -> bool:
    """Whether the loss goes to counterparties: collateral below 0, or the fund would be."""
    return net_collateral < 0 or fund_balance + fund_delta < 0


def liquidation_price(equity: float, size: float, price: float, rate: float) -> float | None:
    """Return (e - S p) / (|S| m - S) of an isolated position; None if there is no such price.

    >>> round(liquidation_price(1000.0, -3.0, 3000.0, 0.05), 4)
    3174.6032
    """
    slope = abs(size) * rate - size
    found = (equity - size * price) / slope if slope != 0 else 0.0
    return found if found > 0 else None


def _maintenance(position: DydxPosition) -> Fraction:
    return abs(position.net_notional) * position.maintenance_margin_ppm / PPM


def _find(positions: Sequence[DydxPosition], market: str) -> DydxPosition:
    for position in positions:
        if position.market == market and position.size != 0:
            return position
    raise RiskError(f"Expected an open position in {market}, was none.")

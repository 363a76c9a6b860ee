"""Measures of the book's shape written plainly, level by level, over exact fractions."""

import math
from fractions import Fraction

from alphaplus.instruments import Instrument
from tests.analysis.shape_books import Ladder


def price(instrument: Instrument, tick: int) -> Fraction:
    return tick * Fraction(instrument.tick_size)


def mid(instrument: Instrument, bids: Ladder, asks: Ladder) -> Fraction:
    return (price(instrument, bids[0][0]) + price(instrument, asks[0][0])) / 2


def notional(instrument: Instrument, tick: int, quantity: float) -> Fraction:
    size = Fraction(quantity) * Fraction(instrument.contract_size)
    return size if instrument.inverse else size * price(instrument, tick)


def distance(instrument: Instrument, tick: int, reference: Fraction) -> Fraction:
    return 10_000 * abs(price(instrument, tick) - reference) / reference


def imbalance(bids: Ladder, asks: Ladder, k: int) -> Fraction:
    bid = sum(Fraction(quantity) for _, quantity in bids[:k])
    ask = sum(Fraction(quantity) for _, quantity in asks[:k])
    return (bid - ask) / (bid + ask)


def depth(instrument: Instrument, side: Ladder, reference: Fraction, bps: float) -> Fraction:
    total = Fraction(0)
    for tick, quantity in side:
        if distance(instrument, tick, reference) <= Fraction(str(bps)):
            total += notional(instrument, tick, quantity)
    return total


def fill(
    instrument: Instrument, side: Ladder, wanted: float, *, by_base: bool = False
) -> tuple[Fraction | None, int | None, int, Fraction]:
    """Return (vwap, tick of the last level used, levels used, share filled)."""
    left, base, quote, used, worst = Fraction(wanted), Fraction(0), Fraction(0), 0, None
    for tick, quantity in side:
        at = price(instrument, tick)
        has = notional(instrument, tick, quantity)
        taken = min(left, has / at if by_base else has)
        base += taken if by_base else taken / at
        quote += taken * at if by_base else taken
        left -= taken
        used, worst = used + 1, tick
        if left == 0:
            return quote / base, worst, used, Fraction(1)
    return None, worst, used, (Fraction(wanted) - left) / Fraction(wanted)


def weighted_imbalance(
    instrument: Instrument, bids: Ladder, asks: Ladder, length: float, cutoff: float
) -> float | None:
    reference = mid(instrument, bids, asks)
    sums = []
    for side in (bids, asks):
        total = 0.0
        for tick, quantity in side:
            away = distance(instrument, tick, reference)
            if away <= Fraction(str(length)) * Fraction(str(cutoff)):
                # Counted from the touch, which is equally far on both sides.
                nearest = distance(instrument, side[0][0], reference)
                weight = math.exp(-float((away - nearest) / Fraction(str(length))))
                total += weight * float(notional(instrument, tick, quantity))
        sums.append(total)
    return (sums[0] - sums[1]) / sum(sums) if sum(sums) > 0 else None


def side_slope(
    instrument: Instrument, side: Ladder, reference: Fraction, levels: int, unit: float
) -> float | None:
    """Return the slope of Naes and Skjeltorp (2006), one side."""
    if side[0][1] / unit <= 1:
        return None
    terms = []
    size = Fraction(0)
    before: tuple[float, Fraction] | None = None
    for tick, quantity in side[:levels]:
        size += Fraction(quantity) / Fraction(str(unit))
        at, logarithm = price(instrument, tick), math.log(size)
        if before is None:
            terms.append(logarithm / float(abs(at / reference - 1)))
        else:
            terms.append((logarithm / before[0] - 1) / float(abs(at / before[1] - 1)))
        before = logarithm, at
    return sum(terms) / len(terms)


def elasticity(
    instrument: Instrument, side: Ladder, reference: Fraction, bps: float
) -> float | None:
    products = squares = total = Fraction(0)
    for tick, quantity in side:
        away = distance(instrument, tick, reference)
        if away <= Fraction(str(bps)):
            total += notional(instrument, tick, quantity)
            products += away * total
            squares += away * away
    return float(products / squares) if squares else None

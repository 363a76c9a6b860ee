"""The measures written plainly, level by level, over exact fractions: what the fast ones equal."""

from fractions import Fraction

from alphaplus.instruments import Instrument

Side = list[tuple[int, float]]
"""(tick, quantity), best first."""


def price(instrument: Instrument, tick: int) -> Fraction:
    return tick * Fraction(instrument.tick_size)


def notional(instrument: Instrument, tick: int, quantity: float) -> Fraction:
    size = Fraction(quantity) * Fraction(instrument.contract_size)
    return size if instrument.inverse else size * price(instrument, tick)


def imbalance(bids: Side, asks: Side, k: int) -> Fraction:
    bid = sum(Fraction(quantity) for _, quantity in bids[:k])
    ask = sum(Fraction(quantity) for _, quantity in asks[:k])
    return (bid - ask) / (bid + ask)


def depth(instrument: Instrument, side: Side, mid: Fraction, bps: float) -> Fraction:
    total = Fraction(0)
    for tick, quantity in side:
        distance = 10_000 * abs(price(instrument, tick) - mid) / mid
        if distance <= Fraction(str(bps)):
            total += notional(instrument, tick, quantity)
    return total


def fill(
    instrument: Instrument, side: Side, wanted: float
) -> tuple[Fraction | None, int | None, int, Fraction]:
    """Return (vwap, tick of the last level used, levels used, share filled)."""
    left, base, used, worst = Fraction(wanted), Fraction(0), 0, None
    for tick, quantity in side:
        taken = min(left, notional(instrument, tick, quantity))
        base += taken / price(instrument, tick)
        left -= taken
        used, worst = used + 1, tick
        if left == 0:
            return Fraction(wanted) / base, worst, used, Fraction(1)
    return None, worst, used, (Fraction(wanted) - left) / Fraction(wanted)

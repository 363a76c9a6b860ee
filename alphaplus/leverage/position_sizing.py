"""Size of a position that loses a fixed share of equity at its stop (fixed fractional sizing).

Exact arithmetic: in floating point 1000 / (1.1 - 1.0) is 9999.999999999991, so rounding down to
lots of 1000 would lose one.
"""

from decimal import Decimal
from fractions import Fraction
from math import floor

from alphaplus.errors import RiskError

Amount = Decimal | Fraction | int | str | float


def fixed_risk_size(
    *,
    entry_price: Amount,
    stop_price: Amount,
    equity: Amount,
    risk: Amount,
    commission_rate: Amount = 0,
    exchange_rate: Amount = 1,
    batch: Amount = 0,
    units: int = 1,
    hard_limit: Amount | None = None,
    max_quantity: Amount | None = None,
) -> Decimal:
    """Return the base units per entry whose loss at the stop is `risk` of the equity; may be 0.

    (equity risk - 2 equity risk commission) / exchange_rate / |entry - stop|, limited to
    `hard_limit` in all, divided into `units` entries, rounded down to a multiple of `batch` (0:
    not rounded) and limited to `max_quantity`. `risk` and `commission_rate` are fractions,
    `exchange_rate` the value of one unit of quote currency in that of the equity. A float is
    taken at its shortest decimal form. Raises RiskError on prices that are not above 0 or equal,
    a risk outside [0, 1], commission that exceeds the risk, or limits below 0.

    >>> fixed_risk_size(entry_price="1.001", stop_price="1", equity=1_000_000, risk="0.001",
    ...                 batch=1000)
    Decimal('1000000')
    """
    entry, stop = _exact("entry_price", entry_price), _exact("stop_price", stop_price)
    if entry <= 0 or stop <= 0 or entry == stop:
        raise RiskError(
            f"Expected different prices above 0, was entry {entry_price} and stop {stop_price}."
        )
    share, rate = _exact("risk", risk), _exact("exchange_rate", exchange_rate)
    money, cost = _exact("equity", equity), _exact("commission_rate", commission_rate)
    if not (0 <= share <= 1 and 0 <= cost <= Fraction(1, 2) and rate > 0 and units >= 1):
        raise RiskError(
            "Expected risk in [0, 1], commission_rate in [0, 0.5], exchange_rate above 0 and "
            f"units of at least 1, was {risk}, {commission_rate}, {exchange_rate} and {units}."
        )
    lot = _exact("batch", batch)
    at_risk = max(money, Fraction(0)) * share * (1 - 2 * cost)
    size = at_risk / rate / abs(entry - stop)
    size = _limited("hard_limit", size, hard_limit) / units
    if lot < 0:
        raise RiskError(f"Expected batch of at least 0, was {batch}.")
    if lot > 0:
        size = floor(size / lot) * lot
    size = _limited("max_quantity", size, max_quantity)
    return Decimal(size.numerator) / Decimal(size.denominator)


def _limited(name: str, size: Fraction, limit: Amount | None) -> Fraction:
    if limit is None:
        return size
    most = _exact(name, limit)
    if most < 0:
        raise RiskError(f"Expected {name} of at least 0, was {limit}.")
    return min(size, most)


def _exact(name: str, value: Amount) -> Fraction:
    try:
        return Fraction(repr(value)) if isinstance(value, float) else Fraction(value)
    except (ValueError, OverflowError, TypeError, ZeroDivisionError):
        raise RiskError(f"Expected {name} to be a number, was {value!r}.") from None

"""Which currencies may be added up: those that are one, and those that a setting counts as one.

USDT, USDC and USD have parted from each other by several percent before. They are told apart
unless the setting `risk.at_par` names them; an answer says where that was used.
"""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Common:
    """The currency of a sum; None if `missing` says why there is none."""

    currency: str | None
    at_par: tuple[str, ...] = ()
    """Currencies that were counted as one; empty where there was only one."""
    missing: tuple[str, ...] = ()


def common_currency(currencies: Iterable[str | None], at_par: tuple[str, ...]) -> Common:
    """Return what values in these currencies may be added up in; None counts as not known.

    >>> common_currency(["USDT", "USDC"], ("USDT", "USDC")).currency
    'USDT'
    >>> common_currency(["USDT", "USDC"], ()).missing
    ('one currency, were USDC and USDT; risk.at_par may count them as one',)
    """
    found = list(currencies)
    if None in found:
        return Common(currency=None, missing=("currency of an account without positions",))
    names = sorted({name for name in found if name is not None})
    if len(names) == 1:
        return Common(currency=names[0])
    if not names:
        return Common(currency=None, missing=("positions",))
    if set(names) <= set(at_par):
        return Common(currency=next(n for n in at_par if n in names), at_par=tuple(names))
    listed = f"{', '.join(names[:-1])} and {names[-1]}"
    return Common(
        currency=None,
        missing=(f"one currency, were {listed}; risk.at_par may count them as one",),
    )

"""Leverage tiers of a symbol: which maintenance rate holds for which notional, and since when.

A tier n charges `MM = N m_n - c_n`. With c_1 = 0 and c_n = c_(n-1) + floor_n (m_n - m_(n-1))
the maintenance margin is continuous, convex and increasing in the notional (Binance, "Leverage
and margin", 2024). A table that breaks this is kept with its violations, but refuses to be used.
"""

import hashlib
import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

from alphaplus.errors import ConfigError, MissingTier, UnknownSymbol
from alphaplus.instruments import symbol_to_ccxt

TIER: Final = np.dtype(
    [("floor", "f8"), ("cap", "f8"), ("rate", "f8"), ("amount", "f8"), ("max_leverage", "f8")],
    align=True,
)
"""One tier: floor and cap of the notional, maintenance rate, cumulative amount."""

CONTINUITY: Final = 1e-6
"""Largest relative error of a cumulative amount, also absolute below 1."""

Unit = Literal["notional", "contracts"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LeverageTier:
    """One tier; notionals in the settlement asset (quote, or coin for inverse contracts).

    In a table of unit "contracts" the bounds count contracts. `initial_margin_rate` is for
    venues that set it apart from 1 / leverage (dYdX).
    """

    min_notional: float
    max_notional: float
    maintenance_margin_rate: float
    max_leverage: float
    maintenance_amount: float | None = None
    """The cumulative amount c_n; None derives it by the continuity rule."""
    initial_margin_rate: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TierViolation:
    """What is wrong with one tier of a symbol; tiers count from 1."""

    symbol: str
    tier: int
    rule: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TierTable:
    """All tiers of one symbol, valid from `effective_from` until before `effective_to` (UTC ns).

    `open_interest_caps` are the bounds, in quote currency, between which dYdX raises the
    initial margin. Make one with `TierTable.of`, which derives missing amounts and checks.
    """

    symbol: str
    tiers: tuple[LeverageTier, ...]
    unit: Unit = "notional"
    source: str = ""
    effective_from: int | None = None
    effective_to: int | None = None
    open_interest_caps: tuple[float, float] | None = None
    rows: npt.NDArray[np.void] = field(repr=False, compare=False)
    """The tiers as a TIER array."""
    violations: tuple[TierViolation, ...] = ()

    @classmethod
    def of(
        cls,
        symbol: str,
        tiers: Sequence[LeverageTier],
        *,
        unit: Unit = "notional",
        source: str = "",
        effective_from: int | None = None,
        effective_to: int | None = None,
        open_interest_caps: tuple[float, float] | None = None,
    ) -> "TierTable":
        """Build and check a table; raises ConfigError only if there is no tier at all."""
        if not tiers:
            raise ConfigError(f"Expected at least one tier of {symbol}, were none.")
        rows = np.zeros(len(tiers), TIER)
        rows["floor"] = [tier.min_notional for tier in tiers]
        rows["cap"] = [tier.max_notional for tier in tiers]
        rows["rate"] = [tier.maintenance_margin_rate for tier in tiers]
        rows["max_leverage"] = [tier.max_leverage for tier in tiers]
        if unit == "notional":
            derived = cumulative_amounts(rows["floor"], rows["rate"])
            given = [tier.maintenance_amount for tier in tiers]
            rows["amount"] = derived if all(x is None for x in given) else _filled(given)
        rows.flags.writeable = False
        return cls(
            symbol=symbol,
            tiers=tuple(tiers),
            unit=unit,
            source=source,
            effective_from=effective_from,
            effective_to=effective_to,
            open_interest_caps=open_interest_caps,
            rows=rows,
            violations=tuple(check_tiers(symbol, rows, unit)),
        )

    @property
    def hash(self) -> str:
        """Sixteen hex digits of what the tiers say: the same for the same numbers."""
        said = [self.symbol, self.unit, self.open_interest_caps, self.rows.tolist()]
        said.append([tier.initial_margin_rate for tier in self.tiers])
        return hashlib.sha256(json.dumps(said).encode()).hexdigest()[:16]

    def usable(self) -> "TierTable":
        """Return the table itself, or raise MissingTier that names its first violation."""
        if self.violations:
            first, more = self.violations[0], len(self.violations) - 1
            others = f" and {more} more" if more else ""
            raise MissingTier(
                f"Expected consistent tiers of {self.symbol}, was tier {first.tier}: "
                f"{first.message}{others}."
            )
        return self

    def index(self, size: float) -> int:
        """Return the row for a notional (or number of contracts): the first that it fits in.

        A size on a boundary belongs to the lower tier; one above the last cap to the last.
        """
        return min(int(np.searchsorted(self.rows["cap"], size, "left")), len(self.rows) - 1)

    def at(self, size: float) -> LeverageTier:
        """Return the tier for a notional: never for a margin or a stake."""
        return self.tiers[self.index(size)]

    def maintenance_margin(self, notional: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Return N m - c of the tiers of these notionals, in the settlement asset."""
        sizes = np.asarray(notional, np.float64)
        last = len(self.rows) - 1
        k = np.minimum(np.searchsorted(self.rows["cap"], sizes, "left"), last)
        return np.asarray(sizes * self.rows["rate"][k] - self.rows["amount"][k])

    def valid_at(self, now_ns: int | None) -> bool:
        """Whether the table holds at a time; None asks for the one that has not ended."""
        if now_ns is None:
            return self.effective_to is None
        begun = self.effective_from is None or self.effective_from <= now_ns
        return begun and (self.effective_to is None or now_ns < self.effective_to)


class TierBook:
    """The tables of one venue, several per symbol where tiers have changed.

    Keys are full symbols (`BTC/USDT:USDT-241227` is not `BTC/USDT:USDT`); ours, ccxt's and,
    where only one symbol has it, the venue's short name (`BTCUSDT`, `BTC`) all find a table.
    """

    def __init__(self, tables: Sequence[TierTable], *, venue: str = "") -> None:
        self.venue = venue
        self.tables: dict[str, tuple[TierTable, ...]] = {}
        for table in sorted(tables, key=lambda item: item.effective_from or 0):
            self.tables[table.symbol] = (*self.tables.get(table.symbol, ()), table)
        self._short = _short_names(self.tables)

    def __len__(self) -> int:
        return len(self.tables)

    @property
    def violations(self) -> tuple[TierViolation, ...]:
        """Everything that is wrong, over all symbols."""
        return tuple(v for tables in self.tables.values() for t in tables for v in t.violations)

    @property
    def hash(self) -> str:
        """Sixteen hex digits of all tables, for the record beside a number."""
        digests = sorted(table.hash for tables in self.tables.values() for table in tables)
        return hashlib.sha256("".join(digests).encode()).hexdigest()[:16]

    def table(self, symbol: str, now_ns: int | None = None) -> TierTable:
        """Return the usable table of a symbol at a time (UTC ns); None asks for the latest.

        Raises MissingTier if there is none, or if it breaks the rules of tiers.
        """
        known = self._find(symbol)
        valid = [table for table in known if table.valid_at(now_ns)]
        if not valid:
            when = "" if not known else " at that time"
            raise MissingTier(f"Expected tiers of {symbol}, were none{when}.")
        return valid[-1].usable()

    def _find(self, symbol: str) -> tuple[TierTable, ...]:
        if symbol in self.tables:
            return self.tables[symbol]
        try:
            name = symbol_to_ccxt(symbol)
        except UnknownSymbol:
            name = symbol
        return self.tables.get(name) or self.tables.get(self._short.get(_short(name), ""), ())


def cumulative_amounts(floors: npt.ArrayLike, rates: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Return the amounts c_n that make the maintenance margin continuous.

    >>> cumulative_amounts([0, 50_000, 250_000], [0.004, 0.005, 0.01]).round(6).tolist()
    [0.0, 50.0, 1300.0]
    """
    floor, rate = np.asarray(floors, np.float64), np.asarray(rates, np.float64)
    return np.concatenate(([0.0], np.cumsum(floor[1:] * np.diff(rate))))


def check_tiers(symbol: str, rows: npt.NDArray[np.void], unit: Unit) -> list[TierViolation]:
    """Return what breaks the rules of tiers: bounds, rates, leverage and continuity."""
    found: list[TierViolation] = []

    def violated(tier: int, rule: str, message: str) -> None:
        found.append(TierViolation(symbol=symbol, tier=tier + 1, rule=rule, message=message))

    for k, row in enumerate(rows.tolist()):
        floor, cap, rate, amount, leverage = row
        if not (all(math.isfinite(x) for x in (floor, rate, amount, leverage)) and cap > floor):
            violated(k, "bounds", f"floor {floor:g}, cap {cap:g}, rate {rate:g}")
        if not (rate > 0 and leverage >= 1 and rate * leverage < 1):
            violated(k, "rate_below_leverage", f"rate {rate:g} at leverage {leverage:g}")
        if k == 0:
            if floor != 0 or (unit == "notional" and amount != 0):
                violated(k, "start", f"floor {floor:g} and amount {amount:g} instead of 0")
            continue
        before = rows[k - 1]
        # venues that count contracts begin a tier one step above the last cap
        if floor != before["cap"] and not (unit == "contracts" and floor > before["cap"]):
            violated(k, "contiguous", f"floor {floor:g} after cap {before['cap']:g}")
        if rate < before["rate"]:
            violated(k, "rate", f"rate {rate:g} after {before['rate']:g}")
        if leverage > before["max_leverage"]:
            violated(k, "leverage", f"leverage {leverage:g} after {before['max_leverage']:g}")
        due = before["amount"] + floor * (rate - before["rate"])
        if unit == "notional" and not abs(amount - due) <= CONTINUITY * max(1.0, abs(due)):
            violated(k, "continuity", f"amount {amount:g} instead of {due:g}")
    return found


def _filled(given: Sequence[float | None]) -> list[float]:
    """Amounts of which only some are given: the others are unknown, and so flagged."""
    return [math.nan if amount is None else amount for amount in given]


def _short(name: str) -> str:
    """`BTC/USDT:USDT` -> `BTCUSDT`; anything else without its separators."""
    pair = name.partition(":")[0] if "-" not in name.partition(":")[2] else name
    return pair.replace("/", "").replace("-", "").upper()


def _short_names(tables: Mapping[str, Any]) -> dict[str, str]:
    """Short names that belong to one symbol only."""
    names = [(short, name) for name in tables for short in {_short(name), _base(name)}]
    count = Counter(short for short, _ in names)
    return {short: name for short, name in names if count[short] == 1}


def _base(name: str) -> str:
    return name.partition("/")[0].upper()

"""The markets of a stress run, as arrays made of what each symbol last said of itself."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from alphaplus.analysis.market_risk import BINS, DISTANCES, ladder, level_prices
from alphaplus.errors import MissingTier
from alphaplus.leverage.tiers import TierBook
from alphaplus.risk.impact import Depth

Floats = npt.NDArray[np.float64]
Gaps = tuple[str, ...]

HOURS_A_DAY: Final = 24.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Levels:
    """Estimated liquidation levels of one market; columns of one length."""

    side: Floats
    """+1 longs, -1 shorts."""
    price: Floats
    """The mark at which they are liquidated."""
    quantity: Floats
    """Base units."""
    bankruptcy_price: Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class StressMarkets:
    """Markets by row; what is unknown is nan, and `gaps` says which input it is.

    Make one with `of_rows`.
    """

    exchange: tuple[str, ...]
    symbol: tuple[str, ...]
    mark_price: Floats
    """Quote currency."""
    depth: Depth
    """Ladders, daily volatility, and daily volume in base units; empty where not known."""
    beta: Floats
    """To the reference, nan where unknown."""
    funding_rate: Floats
    """Of the next interval, a fraction; nan where unknown."""
    levels: tuple[Levels | None, ...]
    gaps: tuple[Gaps, ...]
    """What a cascade in the market lacks beside levels."""
    level_gaps: tuple[Gaps, ...]

    def __len__(self) -> int:
        return len(self.symbol)

    @property
    def names(self) -> tuple[str, ...]:
        """Return exchange:symbol of each."""
        return tuple(f"{e}:{s}" for e, s in zip(self.exchange, self.symbol, strict=True))

    @property
    def exchanges(self) -> tuple[str, ...]:
        """Return each exchange once."""
        return tuple(dict.fromkeys(self.exchange))

    def rows_of(self, symbol: str) -> list[int]:
        """Return the rows of a symbol, one for each exchange that lists it."""
        return [row for row, name in enumerate(self.symbol) if name == symbol]

    @classmethod
    def of_rows(
        cls,
        rows: Sequence[np.void],
        tiers: Mapping[str, TierBook],
        *,
        betas: Mapping[str, float] | None = None,
        funding_rates: Mapping[str, float] | None = None,
        sigmas: Mapping[str, float] | None = None,
        now_ns: int | None = None,
        max_age_ns: int | None = None,
    ) -> "StressMarkets":
        """Return the markets of `MARKET_RISK` rows; one of which nothing is known is a gap.

        `tiers` are by exchange, the others by exchange:symbol; `sigmas`, per square root of an
        hour, take the place of those in the rows. A market last heard of more than `max_age_ns`
        before `now_ns` counts as unknown.
        """
        count = len(rows)
        names = [f"{row['exchange']}:{row['symbol']}" for row in rows]
        distance = np.broadcast_to(DISTANCES, (count, 2, BINS)).copy()
        quantity = np.zeros((count, 2, BINS))
        marks, sigma, volume = np.full((3, count), math.nan)
        levels: list[Levels | None] = []
        gaps, level_gaps = [], []
        for at, (row, name) in enumerate(zip(rows, names, strict=True)):
            hourly = float((sigmas or {}).get(name, row["sigma_per_sqrt_hour"]))
            lacking = _lacking(row, name, hourly, now_ns=now_ns, max_age_ns=max_age_ns)
            book = ladder(row)
            if book is not None:
                quantity[at] = book[1]
            marks[at] = math.nan if lacking else row["mark_price"]
            sigma[at] = hourly * math.sqrt(HOURS_A_DAY)
            volume[at] = row["volume_24h"]
            found, reason = _levels(row, name, tiers.get(str(row["exchange"])), now_ns)
            levels.append(found)
            gaps.append(lacking)
            level_gaps.append(reason)
        return cls(
            exchange=tuple(str(row["exchange"]) for row in rows),
            symbol=tuple(str(row["symbol"]) for row in rows),
            mark_price=marks,
            depth=Depth(distance=distance, quantity=quantity, sigma=sigma, volume=volume),
            beta=_by_name(names, betas),
            funding_rate=_by_name(names, funding_rates),
            levels=tuple(levels),
            gaps=tuple(gaps),
            level_gaps=tuple(level_gaps),
        )


def _lacking(
    row: np.void, name: str, sigma: float, *, now_ns: int | None, max_age_ns: int | None
) -> Gaps:
    """Return what a cascade needs of a market and is not known."""
    received = int(row["ts_recv"])
    if now_ns is not None and max_age_ns is not None and now_ns - received > max_age_ns:
        return (f"update of {name} within {max_age_ns / 1e9:g} s",)
    needs = {
        "mark_price": row["mark_price"] > 0,
        "book": ladder(row) is not None,
        "volatility": sigma > 0,
        "volume_24h": row["volume_24h"] > 0,
    }
    return tuple(f"{what} of {name}" for what, known in needs.items() if not known)


def _levels(
    row: np.void, name: str, book: TierBook | None, now_ns: int | None
) -> tuple[Levels | None, Gaps]:
    """Return the levels of a market; nothing is left of them a maintenance margin beyond."""
    found = level_prices(row)
    if found is None:
        return None, (f"liquidation levels of {name}",)
    if book is None:
        return None, (f"leverage tiers of {name}",)
    try:
        rate = float(book.table(str(row["symbol"]), now_ns).rows["rate"][0])
    except MissingTier as error:
        return None, (str(error),)
    (long, long_quantity), (short, short_quantity) = found
    side = np.repeat([1.0, -1.0], (len(long), len(short)))
    price, quantity = np.append(long, short), np.append(long_quantity, short_quantity)
    standing = quantity > 0
    side, price, quantity = side[standing], price[standing], quantity[standing]
    return Levels(
        side=side, price=price, quantity=quantity, bankruptcy_price=price * (1.0 - side * rate)
    ), ()


def _by_name(names: Sequence[str], values: Mapping[str, float] | None) -> Floats:
    return np.array([(values or {}).get(name, math.nan) for name in names], np.float64)

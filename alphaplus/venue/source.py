"""What the server asks of a source of market data, and the names that it lists."""

from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

import numpy as np
import numpy.typing as npt

from alphaplus.errors import ConfigError
from alphaplus.venue.candles import CandleArray
from alphaplus.venue.protocol import Channel, Listing, Ticker

MAX_SYMBOLS: Final = 1000
WELL_KNOWN: Final = tuple(
    f"{base}USDT"
    for base in (  # noqa: SIM905  # a table of names, not a list of literals
        "BTC ETH SOL BNB XRP DOGE ADA AVAX LINK LTC "
        "DOT BCH TRX UNI NEAR APT ARB OP SUI FIL ATOM ETC INJ TIA SEI AAVE MKR LDO RUNE STX "
        "IMX GRT FTM SAND MANA AXS GALA CHZ EOS XLM ALGO VET HBAR ICP EGLD THETA QNT FLOW KAVA ZEC"
    ).split()
)
"""Perpetuals in the order in which the venue lists them."""

Publish = Callable[[int, Channel, bytes], None]
"""Takes one message: the symbol's place in the listing, what it is, its JSON."""


class Source(Protocol):
    """A market of several symbols, driven by a clock that is handed in.

    `index` is a symbol's place in `listings`. Market time (ns, from 0) runs at the venue's
    speed; wall time is only for what a real venue stamps or bounds with a wall clock.
    """

    @property
    def listings(self) -> Sequence[Listing]:
        """The symbols, in order."""

    def start(self, index: int, channel: Channel, market_ns: int) -> None:
        """Take note that someone listens; the symbol's market may begin with it."""

    def advance(self, market_ns: int, wall_ns: int, publish: Publish) -> int:
        """Publish what is due; return the market time of what comes next."""

    def catch_up(self, index: int) -> bool:
        """Do a slice of the work that reading the book needs; True once it is done."""

    def snapshot(self, index: int, limit: int, wall_ns: int, held: bool) -> bytes | None:
        """Return the REST book of this moment; None: ask again soon, then with `held`."""

    def book(self, index: int) -> dict[str, Any]:
        """Return the whole book: last update id, bids and asks as decimal strings."""

    def ticker(self, index: int, wall_ns: int) -> Ticker:
        """Return prices and volumes of this moment."""

    def trades(self, index: int, limit: int) -> list[dict[str, Any]]:
        """Return the latest trades as they were published, oldest first."""

    def funding_rate(self, index: int, period: int) -> float | None:
        """Return the rate settled at the end of a funding interval, counted from 1970.

        None: the source does not know it.
        """

    def candles(
        self, index: int, *, mark: bool, step_ms: int, start_ms: int, end_ms: int, wall_ns: int
    ) -> CandleArray:
        """Return the candles that open in [start, end], of trades or of mark prices.

        The last may still be open; where the source knows nothing there is nothing.
        """

    def open_interest_at(
        self, index: int, times_ms: npt.NDArray[np.int64], wall_ns: int
    ) -> npt.NDArray[np.float64]:
        """Return the open interest at past times, base units; nan where it is not known."""

    def state(self, index: int) -> dict[str, Any]:
        """Return what /control/state says of the symbol."""

    @property
    def has_mark_price(self) -> bool:
        """True if the source publishes mark prices; otherwise the server derives them."""

    @property
    def has_aggregate_trades(self) -> bool:
        """True if the source publishes aggTrade; otherwise the server derives them."""


def listed_names(count: int, first: str | None = None) -> list[str]:
    """Return symbol names: `first`, the well-known perpetuals, then invented ones.

    Raises ConfigError if the count is not 1 to 1000.
    """
    if not 1 <= count <= MAX_SYMBOLS:
        raise ConfigError(f"Expected 1 to {MAX_SYMBOLS} venue symbols, was {count}.")
    names = [*((first,) if first else ()), *(name for name in WELL_KNOWN if name != first)]
    invented = (f"GEN{number:03d}USDT" for number in range(len(names) + 1, count + 1))
    return [*names, *invented][:count]

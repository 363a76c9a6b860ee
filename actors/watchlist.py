"""Which symbols the fleet is to watch: those of the settings, and what it was told since.

The order is that of the settings, then that in which symbols were added. What it was told is in
the database before its teller hears that it is done, so a new supervisor, or a new job, wants
the same. A plain class but for that database.
"""

import difflib
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence

from alphaplus.errors import FleetConflict, UnknownSymbol
from alphaplus.feeds.markets import client_id, select_instruments
from alphaplus.instruments import Instrument
from alphaplus.storage.fleet_symbols import tell_symbols, told_symbols

log = logging.getLogger(__name__)

LookUp = Callable[[list[str]], Awaitable[list[Instrument]]]


class Watchlist:
    """The wanted symbols of one exchange, in order; `load` before anything else."""

    def __init__(
        self, exchange: str, configured: Sequence[str], *, max_symbols: int, dsn: str
    ) -> None:
        self.instruments: dict[str, Instrument] = {}
        """All that are wanted, by symbol."""
        self._exchange = exchange
        self._configured = configured
        self._max_symbols = max_symbols
        self._dsn = dsn

    async def load(self, listed: Iterable[Instrument]) -> None:
        """Begin with the settings and what was told before, of what the venue lists now.

        Raises UnknownSymbol if the settings name one that it does not list.
        """
        by_symbol = {item.symbol: item for item in listed}
        told = await told_symbols(self._dsn, self._exchange)
        wanted = select_instruments(by_symbol, self._configured)
        for symbol, watched in told.items():
            if not watched:
                if wanted.pop(symbol, None) is not None:
                    log.info("%s was removed by a command and stays out", symbol)
            elif symbol in by_symbol:
                wanted[symbol] = by_symbol[symbol]
            else:
                log.warning("%s, added by a command, is not listed any more", symbol)
        self.instruments = wanted

    async def add(self, symbols: Sequence[str], look_up: LookUp) -> list[str]:
        """Want more symbols; returns those that are new. Those that are wanted stay.

        `look_up` asks the venue for the instruments of symbols, and raises UnknownSymbol. Raises
        that too for a malformed one, ConfigError for one of another market, FleetConflict beyond
        the limit, and StorageError: in all cases nothing has changed.
        """
        new = [symbol for symbol in dict.fromkeys(symbols) if symbol not in self.instruments]
        if not new:
            return []
        client_id(self._exchange, [*self.instruments, *new])  # raises for what does not fit
        found = {item.symbol: item for item in await look_up(new)}
        total = len(self.instruments.keys() | found.keys())
        if total > self._max_symbols:
            raise FleetConflict(
                f"Expected at most {self._max_symbols} symbols (fleet.max_symbols), "
                f"would be {total}; remove some first, or raise the limit and start again."
            )
        await tell_symbols(self._dsn, self._exchange, found, watched=True)
        self.instruments |= found
        return new

    def check_removable(self, symbols: Sequence[str]) -> list[str]:
        """Return the symbols, each once, if they may be removed.

        Raises UnknownSymbol for one that is not wanted, FleetConflict if none would stay.
        """
        gone = list(dict.fromkeys(symbols))
        for symbol in gone:
            if symbol not in self.instruments:
                raise UnknownSymbol(
                    f"Expected a symbol that is watched, was {symbol}"
                    f"{_closest(symbol, self.instruments)}"
                )
        if len(gone) == len(self.instruments):
            raise FleetConflict(
                f"Expected at least one symbol to stay, would be none without {gone[-1]}; "
                "stop the job instead, or add another symbol first."
            )
        return gone

    async def remove(self, symbols: Sequence[str]) -> None:
        """Want symbols no longer; raises StorageError, and nothing has changed."""
        await tell_symbols(self._dsn, self._exchange, symbols, watched=False)
        for symbol in symbols:
            self.instruments.pop(symbol, None)


def _closest(symbol: str, known: Iterable[str]) -> str:
    matches = difflib.get_close_matches(symbol, list(known), n=1, cutoff=0.5)
    return f"; did you mean {matches[0]}?" if matches else "."

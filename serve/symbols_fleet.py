"""The questions and commands about the watched symbols that HTTP puts to the supervisor."""

from typing import Any, Protocol

Record = dict[str, Any]


class SymbolsFleet(Protocol):
    """A part of `deps.Fleet`: every method raises FleetUnavailable if nobody can answer.

    They return where each symbol stands, see `fleet_schemas.WatchedSymbol`, and raise
    FleetConflict while the fleet starts or drains.
    """

    async def watched_symbols(self) -> list[Record]:
        """Return every symbol that is to be watched, and those that leave."""

    async def add_symbols(self, symbols: list[str]) -> list[Record]:
        """Watch more symbols; raises UnknownSymbol, ConfigError, FleetConflict, StorageError."""

    async def remove_symbols(self, symbols: list[str]) -> list[Record]:
        """Watch symbols no longer; raises UnknownSymbol, FleetConflict, StorageError."""

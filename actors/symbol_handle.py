"""A symbol's handle: it asks the actor that keeps the symbol as if that kept no other."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from alphaplus.instruments import Instrument


class _Question(NamedTuple):
    method: Any
    first: tuple[Any, ...]

    def remote(self, *args: Any) -> Any:
        """Call it, and return Ray's reference to the answer."""
        return self.method.remote(*self.first, *args)


class SymbolHandle:
    """Has the methods of a symbol, as `handle.method.remote(...)`; they raise SymbolNotKept."""

    def __init__(self, actor: Any, symbol: str) -> None:
        self.actor = actor
        """Ray's handle of the actor."""
        self.symbol = symbol

    def __getattr__(self, method: str) -> Any:
        if method.startswith("_"):  # what Python and Ray look for in any object
            raise AttributeError(method)
        return _Question(self.actor.ask, (self.symbol, method))

    @property
    def start(self) -> Any:
        """`SymbolHost.start`."""
        return _Question(self.actor.start, (self.symbol,))

    @property
    def drain(self) -> Any:
        """`SymbolHost.drain`."""
        return _Question(self.actor.drain, (self.symbol,))

    @property
    def report(self) -> Any:
        """`SymbolHost.report`."""
        return _Question(self.actor.report, (self.symbol,))


class OwnedSymbol(SymbolHandle):
    """The handle of who owns the symbol: an actor that begins anew is told what to keep."""

    def __init__(self, actor: Any, symbol: str, instruments: Sequence[Instrument]) -> None:
        super().__init__(actor, symbol)
        self._instruments = tuple(instruments)

    @property
    def ready(self) -> Any:
        """`SymbolHost.keep`: where to send the symbol's events."""
        return _Question(self.actor.keep, (self.symbol, self._instruments))

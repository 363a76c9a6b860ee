"""The books under test, by name. Nothing is imported until a book is asked for."""

from dataclasses import dataclass
from importlib import import_module
from typing import Final

from benchmarks.book.contender import Contender


@dataclass(frozen=True, slots=True)
class Entry:
    """Where a contender's class is, and which distributions must be there for it.

    The first is the library itself, whose version is told.
    """

    module: str
    name: str
    distributions: tuple[str, ...]

    def load(self) -> type[Contender]:
        """Import the class, and with it the library; raises ImportError if that is absent."""
        module = import_module(f"benchmarks.book.contenders.{self.module}")
        found: type[Contender] = getattr(module, self.name)
        return found


OURS: Final = "alphaplus"
CONTENDERS: Final = {
    OURS: Entry("alphaplus", "AlphaPlusBook", ("alphaplus",)),
    "ccxt": Entry("ccxt", "CcxtBook", ("ccxt", "orjson")),
    "sortedcontainers": Entry(
        "sortedcontainers", "SortedContainersBook", ("sortedcontainers", "msgspec")
    ),
    "order_book": Entry("order_book", "OrderBookPackage", ("order-book", "msgspec")),
    "nautilus": Entry("nautilus", "NautilusBook", ("nautilus_trader", "msgspec")),
    "hftbacktest_hash": Entry("hftbacktest", "HashBook", ("hftbacktest",)),
    "hftbacktest_roi": Entry("hftbacktest", "RoiBook", ("hftbacktest",)),
    "hftbacktest_roi_local": Entry("hftbacktest", "OneRoiBook", ("hftbacktest",)),
}

"""What histories a folder holds, by the names of its files.

=======================================  =====================================================
file                                     holds
=======================================  =====================================================
SYMBOL-TIMEFRAME-futures.feather         candles of trades; all timeframes, each for itself
SYMBOL-TIMEFRAME-mark.feather            candles of mark prices
SYMBOL-TIMEFRAME-funding_rate.feather    settled funding
EXCHANGE_COIN_funding_rates.json         settled funding
EXCHANGE*tiers*.json, .json.gz           leverage tiers
=======================================  =====================================================
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from alphaplus.errors import ConfigError
from alphaplus.risk.history_files import timeframe_seconds

What = Literal["candles", "mark", "funding", "tiers"]

_FEATHER: Final = re.compile(
    r"(?P<name>[^-]+)-(?P<step>[^-]+)-(?P<kind>futures|mark|funding_rate)\.feather"
)
_FUNDING: Final = re.compile(r"(?P<exchange>[a-z0-9]+)_(?P<name>[A-Z0-9]+)_funding_rates\.json")
_TIERS: Final = re.compile(r"(?P<exchange>[a-z0-9]+)_.*tiers.*\.json(\.gz)?")
_KINDS: Final[dict[str, What]] = {
    "futures": "candles",
    "mark": "mark",
    "funding_rate": "funding",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryFile:
    """One file: what it holds, of what."""

    path: Path
    what: What
    name: str = ""
    """The symbol or coin as the file names it."""
    exchange: str = ""
    """The exchange as the file names it; empty: not stated."""
    step_ns: int = 0
    """Length of its candles."""


def find_files(folder: Path) -> list[HistoryFile]:
    """Return the histories of a folder, by name; raises ConfigError if there are none."""
    if not folder.is_dir():
        raise ConfigError(f"Expected a folder of histories, was {folder}.")
    found = [file for path in sorted(folder.iterdir()) if (file := _file(path)) is not None]
    if not found:
        raise ConfigError(
            f"Expected SYMBOL-TIMEFRAME-futures.feather and the like in {folder}, were none."
        )
    return found


def _file(path: Path) -> HistoryFile | None:
    if match := _FEATHER.fullmatch(path.name):
        what, seconds = _KINDS[match["kind"]], timeframe_seconds(match["step"])
        if not seconds and what != "funding":
            return None
        return HistoryFile(path=path, what=what, name=match["name"], step_ns=seconds * 10**9)
    if match := _FUNDING.fullmatch(path.name):
        return HistoryFile(
            path=path, what="funding", name=match["name"], exchange=match["exchange"]
        )
    if match := _TIERS.fullmatch(path.name):
        return HistoryFile(path=path, what="tiers", exchange=match["exchange"])
    return None

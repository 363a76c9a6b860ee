"""Read price and funding histories from files: feather (candles, mark, funding) and JSON.

A history is what it is: funding stamps jitter by milliseconds and hours may be missing, so a
reader keeps the stamps, and `alphaplus.risk.returns` puts prices onto a grid with its holes.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from alphaplus.errors import ConfigError

Floats = npt.NDArray[np.float64]
Times = npt.NDArray[np.int64]

_MILLISECOND_NS = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class CandleHistory:
    """Candles in a row, oldest first; prices in quote currency, nan where the file has none."""

    times: Times
    """When each candle opens, ns UTC."""
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats

    def __len__(self) -> int:
        return len(self.times)


@dataclass(frozen=True, slots=True, kw_only=True)
class FundingHistory:
    """Funding payments, oldest first; a positive rate is paid by longs."""

    times: Times
    """When each was paid, ns UTC; off the full hour by some milliseconds."""
    rates: Floats
    """Fraction of notional per payment."""

    def __len__(self) -> int:
        return len(self.times)


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenInterestHistory:
    """Open interest over time, oldest first; nan where a value is not known."""

    times: Times
    """When it was observed, ns UTC."""
    base: Floats
    """Base units."""
    usd: Floats
    """Quote currency."""

    def __len__(self) -> int:
        return len(self.times)


def read_candles(path: Path) -> CandleHistory:
    """Read a feather file with the columns date, open, high, low, close, volume.

    Raises ConfigError if it cannot be read, lacks a column, or repeats or reorders times.
    """
    columns = _read_feather(path, ("date", "open", "high", "low", "close", "volume"))
    times = columns.pop("date")
    return CandleHistory(times=_increasing(path, times), **columns)


def read_funding(path: Path) -> FundingHistory:
    """Read funding from a feather file (the rate is in column `open`) or a JSON list.

    JSON rows have `time` in ms and `funding_rate`. Raises ConfigError as `read_candles`.
    """
    if path.suffix == ".json":
        rows = _read_json(path)
        try:
            times = np.array([int(row["time"]) for row in rows], dtype=np.int64) * _MILLISECOND_NS
            rates = np.array([float(row["funding_rate"]) for row in rows])
        except (KeyError, TypeError, ValueError) as error:
            raise ConfigError(f"Expected time and funding_rate in {path}, was {error}.") from error
    else:
        columns = _read_feather(path, ("date", "open"))
        times, rates = columns["date"], columns["open"]
    return FundingHistory(times=_increasing(path, times), rates=rates)


def find_histories(folder: Path, kind: str = "futures") -> dict[str, Path]:
    """Return symbol -> feather file of `kind` (futures, mark, funding_rate) in `folder`.

    File names are SYMBOL-TIMEFRAME-KIND.feather; of several timeframes the shortest is taken.
    Raises ConfigError if the folder is none.
    """
    if not folder.is_dir():
        raise ConfigError(f"Expected a folder of price histories, was {folder}.")
    found: dict[str, tuple[int, Path]] = {}
    for path in sorted(folder.glob(f"*-{kind}.feather")):
        parts = path.stem.split("-")
        if len(parts) != 3:
            continue
        seconds = timeframe_seconds(parts[1])
        if seconds and (parts[0] not in found or seconds < found[parts[0]][0]):
            found[parts[0]] = seconds, path
    return {symbol: path for symbol, (_, path) in sorted(found.items())}


def timeframe_seconds(text: str) -> int:
    """Return the length of `5m`, `1h` or `1d` in seconds, 0 for anything else."""
    size = {"m": 60, "h": 3600, "d": 86_400}.get(text[-1:], 0)
    return int(text[:-1]) * size if text[:-1].isdigit() else 0


def _read_feather(path: Path, names: tuple[str, ...]) -> dict[str, Any]:
    import pyarrow as pa
    from pyarrow import feather

    try:
        table = feather.read_table(path, columns=list(names))
    except (OSError, pa.ArrowInvalid, KeyError) as error:
        raise ConfigError(
            f"Expected a feather file with {', '.join(names)}, was {path}: {error}."
        ) from error
    absent = [name for name in names if name not in table.column_names]
    if absent:
        raise ConfigError(f"Expected columns {', '.join(absent)} in {path}, were none.")
    found: dict[str, Any] = {}
    for name in names:
        column = table[name].combine_chunks()
        if name == "date":
            column = column.cast(pa.timestamp("ns", "UTC")).cast(pa.int64())
            found[name] = column.to_numpy(zero_copy_only=False).astype(np.int64)
        else:
            column = column.cast(pa.float64())
            found[name] = column.to_numpy(zero_copy_only=False).astype(np.float64)
    return found


def _read_json(path: Path) -> list[Any]:
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"Expected a JSON list, was {path}: {error}.") from error
    if not isinstance(rows, list):
        raise ConfigError(f"Expected a JSON list in {path}, was {type(rows).__name__}.")
    return rows


def _increasing(path: Path, times: Times) -> Times:
    if not len(times):
        raise ConfigError(f"Expected rows in {path}, were none.")
    if (np.diff(times) <= 0).any():
        raise ConfigError(f"Expected increasing times in {path}, were repeated or out of order.")
    return times

"""Bars of rows in memory: what `bars` asks SQL for, for rows that SQL cannot see.

Rows come in the order of their key, in pieces; a bar may go on in the next piece.
"""

from typing import Any, Final

import numpy as np

from alphaplus.storage.tables import FIRST, RowArray

Bar = dict[str, Any]
TRADE_COLUMNS: Final = ("side", "price", "qty")


class TradeBars:
    """Open, high, low, close, volume, buy_volume, vwap and trades by interval."""

    def __init__(self, step_ns: int) -> None:
        self._step_ns = step_ns
        self._bars: dict[int, Bar] = {}

    def add(self, rows: RowArray) -> None:
        """Take the next rows."""
        for begin, part in _by_interval(rows, self._step_ns):
            price, quantity = part["price"], part["qty"]
            bar = self._bars.setdefault(
                begin,
                {
                    "trades": 0,
                    "open": float(price[0]),
                    "high": -np.inf,
                    "low": np.inf,
                    "volume": 0.0,
                    "buy_volume": 0.0,
                    "turnover": 0.0,
                },
            )
            bar["trades"] += len(part)
            bar["high"] = max(bar["high"], float(price.max()))
            bar["low"] = min(bar["low"], float(price.min()))
            bar["close"] = float(price[-1])
            bar["volume"] += float(quantity.sum())
            bar["buy_volume"] += float(quantity[part["side"] == FIRST].sum())
            bar["turnover"] += float((price * quantity).sum())

    def bars(self) -> list[Bar]:
        """Return the bars in order."""
        found = []
        for begin, bar in self._bars.items():
            turnover = bar.pop("turnover")
            vwap = turnover / bar["volume"] if bar["volume"] else None
            found.append({"time": begin, **bar, "vwap": vwap})
        return found


class MeasureBars:
    """Mean, least, greatest and last known value of each column by interval."""

    def __init__(self, step_ns: int, columns: tuple[str, ...]) -> None:
        self._step_ns = step_ns
        self._columns = columns
        self._bars: dict[int, Bar] = {}

    def add(self, rows: RowArray) -> None:
        """Take the next rows."""
        for begin, part in _by_interval(rows, self._step_ns):
            bar = self._bars.setdefault(begin, {"rows": 0})
            bar["rows"] += len(part)
            for name in self._columns:
                known = part[name][~np.isnan(part[name])]
                if not len(known):
                    continue
                count, total, least, greatest, _ = bar.get(name, (0, 0.0, np.inf, -np.inf, None))
                bar[name] = (
                    count + len(known),
                    total + float(known.sum()),
                    min(least, float(known.min())),
                    max(greatest, float(known.max())),
                    float(known[-1]),
                )

    def bars(self) -> list[Bar]:
        """Return the bars in order; what is unknown throughout is None."""
        found = []
        for begin, sums in self._bars.items():
            bar = {"time": begin, "rows": sums["rows"]}
            for name in self._columns:
                count, total, least, greatest, last = sums.get(name, (1, None, None, None, None))
                bar[f"{name}_mean"] = None if total is None else total / count
                bar |= {f"{name}_min": least, f"{name}_max": greatest, f"{name}_last": last}
            found.append(bar)
        return found


def _by_interval(rows: RowArray, step_ns: int) -> list[tuple[int, RowArray]]:
    """Cut rows where one interval ends and another begins."""
    if not len(rows):
        return []
    begins = rows["time"] - rows["time"] % step_ns
    cuts = np.flatnonzero(np.diff(begins)) + 1
    parts = np.split(rows, cuts)
    return [(int(begins[at]), part) for at, part in zip([0, *cuts], parts, strict=True)]

"""The picture of a liquidation map over its last bars: axes, cells and candles, bounded."""

from collections import deque
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from alphaplus.leverage.hit_probability import Floats

Candle = tuple[float, float, float, float]
"""Open, high, low and close of the mark."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Column:
    ts_event: int
    candle: Candle
    bins: npt.NDArray[np.int32]
    usd: npt.NDArray[np.float32]
    shown: float


class MapPicture:
    """One column per bar, the newest `columns`, each with its `cells_per_column` largest bins."""

    def __init__(self, *, columns: int, cells_per_column: int, bin_width: float) -> None:
        self._columns: deque[_Column] = deque(maxlen=columns)
        self._most = cells_per_column
        self._width = bin_width

    def add(self, ts_event: int, candle: Candle, first_bin: int, usd: Floats) -> None:
        """Take a bar: the value in each bin, the first of which is number `first_bin`."""
        bins = np.flatnonzero(usd > 0)
        total = float(usd.sum())
        if len(bins) > self._most:
            bins = np.sort(bins[np.argsort(-usd[bins], kind="stable")[: self._most]])
        self._columns.append(
            _Column(
                ts_event=ts_event,
                candle=candle,
                bins=(bins + first_bin).astype(np.int32),
                usd=usd[bins].astype(np.float32),
                shown=float(usd[bins].sum()) / total if total > 0 else 1.0,
            )
        )

    def payload(self) -> dict[str, Any]:
        """Return axes (UTC ns, prices), `[x, y, usd]` cells, candles, and each bar's share shown.

        x and y count the axes. Candles are `[ts, open, high, low, close]`.
        """
        columns = list(self._columns)
        nothing = np.zeros(0, np.int32)
        bins = np.unique(np.concatenate([nothing, *(column.bins for column in columns)]))
        return {
            "x_axis": [column.ts_event for column in columns],
            "y_axis": np.exp(bins * self._width).tolist(),
            "cells": [
                [x, y, round(usd, 2)]
                for x, column in enumerate(columns)
                for y, usd in zip(
                    np.searchsorted(bins, column.bins).tolist(), column.usd.tolist(), strict=True
                )
            ],
            "candles": [[column.ts_event, *column.candle] for column in columns],
            "shown": [column.shown for column in columns],
        }

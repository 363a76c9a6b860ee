"""hftbacktest: the depth of a compiled backtest, read in compiled loops."""

import json
import math
from typing import Any, ClassVar

import numpy as np
from hftbacktest import (
    BUY_EVENT,
    DEPTH_EVENT,
    EXCH_EVENT,
    LOCAL_EVENT,
    SELL_EVENT,
    BacktestAsset,
    HashMapMarketDepthBacktest,
    ROIVectorMarketDepthBacktest,
)
from hftbacktest.types import event_dtype
from numba import njit

from benchmarks.book.contender import Contender, Record, Run
from benchmarks.book.inputs import DEPTH
from benchmarks.book.tasks import Task

_STEP = 1000
"""Time between two messages, ns: a message is what happens in one step."""
_FOREVER = 10**17
_ROI = 0.1
"""The range of interest reaches so far from the touch, as a part of the price."""
_SCAN = 20_000
"""Ticks that are looked at for 20 levels before a side counts as empty."""


class _Backtest(Contender):
    """A backtest of one asset without orders; frames it cannot decode while it runs.

    `_READERS` says whose books it keeps: its converters mark every row for both the
    exchange's and the local one.
    """

    compiles = True
    batches = True
    _READERS: ClassVar[int] = EXCH_EVENT | LOCAL_EVENT
    _IS_ROI: ClassVar[bool]

    def __init__(self, inputs: Any) -> None:
        super().__init__(inputs)
        self._tick = float(self.details.tick_size)
        arrays = inputs.arrays
        best = arrays["start_price"][arrays["start_side"] > 0]
        middle = float(best[0]) if len(best) else float(arrays["start_price"][0])
        self._range = (
            round(middle * (1 - _ROI) / self._tick),
            round(middle * (1 + _ROI) / self._tick),
        )
        self._rows: Any = None
        self._steps = _steps_roi if self._IS_ROI else _steps_hash

    def prepare(self, task: Task) -> Run | None:
        if task in (Task.APPLY, Task.APPLY_EACH):
            backtest = self._backtest(self._events())
            backtest.elapse(_STEP // 2)
            if task is Task.APPLY:
                return self.run(lambda: backtest.elapse(_FOREVER))
            return self.run(lambda: _elapse(backtest, self.details.messages))
        if task in (Task.TOP, Task.TOP_20):
            backtest = self._backtest(self._events())
            backtest.elapse(_STEP // 2)
            depth = 1 if task is Task.TOP else DEPTH
            best = np.zeros((self.details.messages, 2, DEPTH, 2))
            return self.run(lambda: self._steps(backtest, best, depth, *self._range))
        return None

    def record(self) -> Record:
        backtest = self._backtest(self._events())
        backtest.elapse(_STEP // 2)
        low, high = self._range if self._IS_ROI else (0.0, math.inf)
        found = Record(self.details.messages, low=low * self._tick, high=high * self._tick)
        self._steps(backtest, found.best, DEPTH, *self._range)
        found.best[:, :, :, 0] *= self._tick
        return found.finish(*self._levels(backtest.depth(0)))

    def start(self) -> None:
        backtest = self._backtest(self._events())
        assert backtest.elapse(_STEP // 2) == 0

    def new_book(self) -> object:
        rows = _events(*self._thousand(), 1, self._READERS)
        backtest = self._backtest(rows)
        backtest.elapse(_FOREVER)
        return backtest, rows

    def _thousand(self) -> tuple[Any, Any, Any]:
        book = json.loads(self.inputs.thousand)
        rows = [(1, *level) for level in book["bids"]] + [(-1, *level) for level in book["asks"]]
        side, price, quantity = zip(*rows, strict=True)
        return np.array(side), np.array(price, dtype=float), np.array(quantity, dtype=float)

    def _events(self) -> Any:
        """Return start and messages as its rows: message i at time (i + 1) steps."""
        if self._rows is None:
            arrays = self.inputs.arrays
            offset = arrays["offset"]
            times = np.repeat(np.arange(1, len(offset)) * _STEP, np.diff(offset))
            start = (arrays["start_side"], arrays["start_price"], arrays["start_quantity"])
            timed = (arrays["side"], arrays["price"], arrays["quantity"])
            self._rows = np.concatenate(
                [_events(*start, 1, self._READERS), _events(*timed, times, self._READERS)]
            )
        return self._rows

    def _backtest(self, rows: Any) -> Any:
        asset = (
            BacktestAsset()
            .data(rows)
            .linear_asset(1.0)
            .constant_order_latency(0, 0)
            .risk_adverse_queue_model()
            .no_partial_fill_exchange()
            .trading_value_fee_model(0.0, 0.0)
            .tick_size(self._tick)
            .lot_size(float(self.details.lot_size))
        )
        if not self._IS_ROI:
            return HashMapMarketDepthBacktest([asset])
        low, high = self._range
        return ROIVectorMarketDepthBacktest(
            [asset.roi_lb(low * self._tick).roi_ub(high * self._tick)]
        )

    def _levels(self, depth: Any) -> tuple[list[Any], list[Any]]:
        if self._IS_ROI:
            sides = []
            for held in (depth.bid_depth, depth.ask_depth):
                at = np.flatnonzero(held)
                prices = (at + depth.roi_lb_tick) * self._tick
                sides.append(list(zip(prices.tolist(), held[at].tolist(), strict=True)))
            return sides[0], sides[1]
        rows = depth.snapshot()
        is_bid = (rows["ev"] & BUY_EVENT) != 0
        bids, asks = (
            list(zip(rows["px"][of].tolist(), rows["qty"][of].tolist(), strict=True))
            for of in (is_bid, ~is_bid)
        )
        depth.snapshot_free(rows)
        return bids, asks


class RoiBook(_Backtest):
    """Its fastest depth: vectors over a range of interest; levels outside are dropped."""

    uses = "ROIVectorMarketDepthBacktest.elapse in njit loops, range of interest 10 %, two books"
    _IS_ROI = True


class HashBook(_Backtest):
    """Its general depth: hash maps."""

    uses = "HashMapMarketDepthBacktest.elapse in njit loops, two books"
    _IS_ROI = False


class OneRoiBook(_Backtest):
    """The fastest depth with rows that only the local side reads: no exchange, one book.

    Nothing could be traded in such a backtest, and its converters do not write such data.
    """

    uses = "as hftbacktest_roi with rows marked LOCAL_EVENT only, one book"
    _READERS = LOCAL_EVENT
    _IS_ROI = True


def _events(side: Any, price: Any, quantity: Any, times: Any, readers: int) -> Any:
    rows = np.zeros(len(side), dtype=event_dtype)
    rows["ev"] = DEPTH_EVENT | readers | np.where(side > 0, BUY_EVENT, SELL_EVENT).astype("u8")
    rows["exch_ts"] = rows["local_ts"] = times
    rows["px"], rows["qty"] = price, quantity
    return rows


@njit
def _elapse(backtest, messages):  # type: ignore[no-untyped-def]  # compiled for both depths
    backtest.elapse(_STEP // 2)
    for _ in range(messages):
        backtest.elapse(_STEP)


@njit
def _steps_hash(backtest, best, count, low, high):  # type: ignore[no-untyped-def]
    backtest.elapse(_STEP // 2)
    for row in range(len(best)):
        if row:
            backtest.elapse(_STEP)
        depth = backtest.depth(0)
        tick, found, end = depth.best_bid_tick, 0, max(low, depth.best_bid_tick - _SCAN)
        while found < count and tick >= end:
            quantity = depth.bid_qty_at_tick(tick)
            if quantity > 0:
                best[row, 0, found, 0] = tick
                best[row, 0, found, 1] = quantity
                found += 1
            tick -= 1
        tick, found, end = depth.best_ask_tick, 0, min(high, depth.best_ask_tick + _SCAN)
        while found < count and tick <= end:
            quantity = depth.ask_qty_at_tick(tick)
            if quantity > 0:
                best[row, 1, found, 0] = tick
                best[row, 1, found, 1] = quantity
                found += 1
            tick += 1


@njit
def _steps_roi(backtest, best, count, low, high):  # type: ignore[no-untyped-def]
    backtest.elapse(_STEP // 2)
    for row in range(len(best)):
        if row:
            backtest.elapse(_STEP)
        depth = backtest.depth(0)
        if count == 1:
            tick = depth.best_bid_tick
            best[row, 0, 0, 0] = tick
            best[row, 0, 0, 1] = depth.bid_qty_at_tick(tick)
            tick = depth.best_ask_tick
            best[row, 1, 0, 0] = tick
            best[row, 1, 0, 1] = depth.ask_qty_at_tick(tick)
            continue
        bids, asks = depth.bid_depth, depth.ask_depth
        tick, found = depth.best_bid_tick, 0
        while found < count and tick >= low:
            quantity = bids[tick - low]
            if quantity > 0:
                best[row, 0, found, 0] = tick
                best[row, 0, found, 1] = quantity
                found += 1
            tick -= 1
        tick, found = depth.best_ask_tick, 0
        while found < count and tick <= high:
            quantity = asks[tick - low]
            if quantity > 0:
                best[row, 1, found, 0] = tick
                best[row, 1, found, 1] = quantity
                found += 1
            tick += 1

"""Whether a book's cost per update and its memory stay flat over a synthetic day.

The price drifts, and the venue never deletes a level that is left behind: only those that the
price goes through are deleted.

python -m benchmarks.growth [--updates 10_000_000] [--max-levels 10_000] [--json]
"""

import argparse
import itertools
import json
import statistics
import time
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import numpy as np
import psutil

from alphaplus.book import L2Book
from alphaplus.book.l2 import MAX_LEVELS
from alphaplus.events import EventArray, Flag, Kind, empty_events, event
from alphaplus.instruments import Instrument

TENTHS = 10
BATCH = 100
"""Messages a batch."""
NEW = 20
"""Levels set on each side in one message."""
DRIFT, MOVE = 0.5, 3.0
"""Mean and standard deviation of the price's move from message to message, ticks."""
NEAR, FAR, SHARE_FAR = 200.0, 5_000.0, 0.2
"""Mean distances of new levels from the price, ticks, and how many are of the second kind."""


def synthetic_day(updates: int, first_price: int = 600_000, seed: int = 7) -> Iterator[EventArray]:
    """Yield an empty snapshot, then batches of depth messages with `updates` levels in all.

    Prices are ticks; the price starts at `first_price` and never falls below half of it.
    """
    random = np.random.default_rng(seed)
    yield np.concatenate(
        (
            event(Kind.SNAPSHOT_BEGIN, ts_recv=0, flags=Flag(0)),
            event(Kind.SNAPSHOT_END, ts_recv=0),
        )
    )
    price, sequence, left = first_price, 0, updates
    while left > 0:
        moves = np.rint(random.normal(DRIFT, MOVE, BATCH)).astype(np.int64)
        prices = np.maximum(price + np.cumsum(moves), first_price // 2)
        rows = _messages(random, np.concatenate(([price], prices)), sequence)[:left]
        rows["flags"][-1:] = Flag.LAST
        price, sequence, left = int(prices[-1]), sequence + BATCH, left - len(rows)
        yield rows


def _messages(random: np.random.Generator, prices: Any, sequence: int) -> EventArray:
    """One message per move of the price: the levels it went through go, new ones come."""
    moves = np.diff(prices)
    counts = np.abs(moves) + 2 * NEW
    ends = np.cumsum(counts)
    rows = empty_events(int(ends[-1]))
    message = np.repeat(np.arange(len(moves)), counts)
    place = np.arange(len(rows)) - np.repeat(ends - counts, counts) - np.abs(moves)[message]
    passed = place < 0
    side = np.where(passed, -np.sign(moves)[message], np.where(place < NEW, 1, -1))
    mean = np.where(random.random(len(rows)) < SHARE_FAR, FAR, NEAR)
    away = 1 + (random.exponential(size=len(rows)) * mean).astype(np.int64)
    # A price p has bids below it and asks above: going up from p to q takes asks p + 1 to q.
    gone = prices[message] - side * -place
    rows["price_tick"] = np.where(passed, gone, prices[message + 1] - side * away)
    rows["value"] = np.where(passed, 0.0, random.integers(1, 1_000, len(rows)) / 100)
    rows["kind"], rows["side"] = Kind.DEPTH, side
    rows["sequence"] = rows["ts_event"] = rows["ts_recv"] = sequence + 1 + message
    rows["flags"][ends - 1] = Flag.LAST
    return rows


def instrument() -> Instrument:
    """Return a made-up instrument with a tick of 0.1."""
    return Instrument(
        symbol="BTC-USDT-PERP",
        exchange="binance",
        venue_symbol="BTCUSDT",
        tick_size=Decimal("0.1"),
        lot_size=Decimal("0.01"),
    )


def measure(updates: int, max_levels: int) -> list[dict[str, Any]]:
    """Apply the day; return cost and size of each tenth of it.

    `us_per_update` is that of the median batch, as other programs disturb some batches.
    """
    warm = L2Book(instrument())
    for batch in itertools.islice(synthetic_day(100_000), 200):
        warm.apply(batch)
    book, process = L2Book(instrument(), max_levels=max_levels), psutil.Process()
    tenths: list[dict[str, Any]] = []
    costs: list[tuple[float, int]] = []
    done = crossed = 0
    for batch in synthetic_day(updates):
        started = time.perf_counter()
        tops = book.apply(batch)
        costs.append((time.perf_counter() - started, len(batch)))
        crossed += int(tops["crossed"].sum())
        done += int(np.count_nonzero(batch["kind"] == Kind.DEPTH))
        if done >= updates * (len(tenths) + 1) // TENTHS:
            tenths.append(
                {
                    "updates": done,
                    "us_per_update": round(statistics.median(t / n for t, n in costs) * 1e6, 4),
                    "mean_us_per_update": round(_mean(costs) * 1e6, 4),
                    "book_kb": round(book.nbytes / 1000, 1),
                    "process_mb": round(process.memory_info().rss / 1e6, 1),
                    "bids": book.bid_count,
                    "asks": book.ask_count,
                    "pruned": book.pruned,
                    "crossed": crossed,
                }
            )
            costs.clear()
    return tenths


def _mean(costs: list[tuple[float, int]]) -> float:
    return sum(seconds for seconds, _ in costs) / sum(rows for _, rows in costs)


def main() -> None:
    """Print one row per tenth of the day, and the largest ratio between two of them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--updates", type=int, default=10_000_000)
    parser.add_argument("--max-levels", type=int, default=MAX_LEVELS)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    tenths = measure(options.updates, options.max_levels)
    costs = [tenth["us_per_update"] for tenth in tenths]
    report = {
        "updates": options.updates,
        "max_levels": options.max_levels,
        "last_over_first_cost": round(costs[-1] / costs[0], 3),
        "slowest_over_fastest": round(max(costs) / min(costs), 3),
        "largest_book_kb": max(tenth["book_kb"] for tenth in tenths),
        "tenths": tenths,
    }
    if options.json:
        print(json.dumps(report))
        return
    for tenth in tenths:
        print(
            f"{tenth['updates']:>11,} updates: {tenth['us_per_update']:.4f} us each, "
            f"{tenth['book_kb']:,.0f} KB, {tenth['bids']:,} + {tenth['asks']:,} levels, "
            f"{tenth['pruned']:,} pruned, process {tenth['process_mb']:,.0f} MB"
        )
    print(f"slowest over fastest tenth: {report['slowest_over_fastest']}")


if __name__ == "__main__":
    main()

"""Random pieces of a stream, and instruments, for tests of the measures of flow."""

from collections.abc import Callable, Sequence
from decimal import Decimal
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
from hypothesis import strategies as st

from alphaplus.analysis.measure import Measure
from alphaplus.analysis.tape import QUOTE, TRADE, Tape
from alphaplus.book.best_levels import BEST_LEVELS
from alphaplus.instruments import Instrument

Rows = npt.NDArray[np.void]
SECOND = 1_000_000_000
START = 1_723_161_254 * SECOND
"""2024-08-08 23:54:14 UTC, the time of the recordings: midnight is 346 s away."""
LINEAR = Instrument(
    symbol="BTC-USDT-PERP",
    exchange="binance",
    venue_symbol="BTCUSDT",
    tick_size=Decimal("0.5"),
    lot_size=Decimal("0.001"),
)
INVERSE = Instrument(
    symbol="BTC-USD-BTC-PERP",
    exchange="binance",
    venue_symbol="BTCUSD_PERP",
    tick_size=Decimal("0.1"),
    lot_size=Decimal(1),
    contract_size=100.0,
    inverse=True,
)
INSTRUMENTS = st.sampled_from([LINEAR, INVERSE])
QUANTITIES = st.integers(1, 5000).map(lambda units: units / 1000)
GAPS = st.sampled_from([0, 0, 1_000_000, 250_000_000, -3_000_000, SECOND, 7 * SECOND])
"""Nanoseconds between two rows; now and then the venue's clock goes back."""


def rows_of(dtype: np.dtype[Any], rows: Sequence[dict[str, Any]]) -> Rows:
    """Make an array of dictionaries; a `gap` (ns) adds up to the time."""
    array = np.zeros(len(rows), dtype=dtype)
    now = START
    for i, row in enumerate(rows):
        fields = dict(row)
        now += fields.pop("gap", 1_000_000)
        array[i]["ts_event"] = array[i]["ts_recv"] = now
        for name, value in fields.items():
            array[i][name] = value
    return array


def quotes_of(rows: Sequence[dict[str, Any]]) -> Rows:
    return rows_of(QUOTE, rows)


def trades_of(rows: Sequence[dict[str, Any]]) -> Rows:
    return rows_of(TRADE, rows)


def quote(
    bid: int, bid_quantity: float, ask: int, ask_quantity: float, gap: int = 1_000_000
) -> Any:
    return {
        "bid_tick": bid,
        "bid_quantity": bid_quantity,
        "ask_tick": ask,
        "ask_quantity": ask_quantity,
        "gap": gap,
    }


def trade(
    trade_id: int,
    side: int,
    quantity: float,
    *,
    tick: int = 1000,
    gap: int = 1_000_000,
    **more: Any,
) -> Any:
    row = {"trade_id": trade_id, "side": side, "quantity": quantity, "price_tick": tick}
    return row | {"gap": gap} | more


def levels_of(
    books: Sequence[tuple[Sequence[tuple[int, float]], Sequence[tuple[int, float]]]],
    gaps: Sequence[int] | None = None,
) -> Rows:
    """Make best levels of (bids, asks), each a list of (tick, quantity), best first."""
    rows = rows_of(BEST_LEVELS, [{"gap": gap} for gap in gaps or [1_000_000] * len(books)])
    for row, (bids, asks) in zip(rows, books, strict=True):
        for side, levels in (("bid", bids), ("ask", asks)):
            for rank, (tick, quantity) in enumerate(levels):
                row[f"{side}_tick"][rank] = tick
                row[f"{side}_quantity"][rank] = quantity
    return rows


@st.composite
def random_quotes(draw: st.DrawFn, *, only_valid: bool = False) -> Rows:
    """Draw quotes that move by few ticks; now and then a side is empty, or they cross."""
    rows = []
    for _ in range(draw(st.integers(1, 30))):
        bid = 1000 + draw(st.integers(-2, 2))
        width = draw(st.integers(1 if only_valid else -1, 3))
        bid_quantity, ask_quantity = draw(QUANTITIES), draw(QUANTITIES)
        if not only_valid and draw(st.integers(0, 9)) == 0:
            bid_quantity = draw(st.sampled_from([0.0, float("nan"), float("inf"), 1e300, -1.0]))
        rows.append(quote(bid, bid_quantity, bid + width, ask_quantity, draw(GAPS)))
    return quotes_of(rows)


@st.composite
def random_trades(draw: st.DrawFn, *, only_good: bool = False) -> Rows:
    """Draw trades; unless `only_good`, ids repeat and leave gaps, and some rows are odd."""
    rows, last = [], 100
    for _ in range(draw(st.integers(1, 40))):
        row = trade(
            last + 1,
            draw(st.sampled_from([-1, 1])),
            draw(QUANTITIES),
            tick=1000 + draw(st.integers(-3, 3)),
            gap=draw(GAPS),
        )
        if not only_good:
            row["trade_id"] = max(1, last + draw(st.sampled_from([1, 1, 1, 1, 0, -1, -2, 2, 5])))
            row["off_market"] = int(draw(st.integers(0, 9)) == 0)
            if draw(st.integers(0, 9)) == 0:
                row["side"] = 0
            if draw(st.integers(0, 19)) == 0:
                row["quantity"] = draw(st.sampled_from([0.0, -1.0, float("nan"), 1e300]))
        last = max(last, row["trade_id"])
        rows.append(row)
    return trades_of(rows)


@st.composite
def random_levels(draw: st.DrawFn, *, only_valid: bool = False, fixed_mid: bool = False) -> Rows:
    """Draw best levels of up to 12 a side; now and then a side is empty, or they cross."""
    books, gaps = [], []
    for _ in range(draw(st.integers(1, 12))):
        bid = 1000 + draw(st.integers(-2, 2))
        width = draw(st.integers(1 if only_valid else 0, 3))
        if fixed_mid:
            bid, width = 1000 - width, 2 * width
        sides = []
        for first, step in ((bid, -1), (bid + width, 1)):
            count = draw(st.integers(1 if only_valid else 0, 12))
            steps = draw(st.lists(st.integers(1, 3), min_size=count, max_size=count))
            ticks = first + step * (np.cumsum([0, *steps])[:count])
            sides.append([(int(tick), draw(QUANTITIES)) for tick in ticks])
        books.append((sides[0], sides[1]))
        gaps.append(draw(GAPS))
    return levels_of(books, gaps)


def mirrored(rows: Rows) -> Rows:
    """Swap the sides of quotes or levels, prices mirrored at tick 1000."""
    swapped = rows.copy()
    for side, other in (("bid", "ask"), ("ask", "bid")):
        swapped[f"{side}_tick"] = 2000 - rows[f"{other}_tick"]
        swapped[f"{side}_quantity"] = rows[f"{other}_quantity"]
    return swapped


def tapes_of(name: str, rows: Rows, cuts: Sequence[int] = ()) -> list[Tape]:
    """Cut rows into tapes before these places; each tape shows the newest time so far."""
    bounds = sorted({0, len(rows), *(min(cut, len(rows)) for cut in cuts)})
    newest = np.maximum.accumulate(rows["ts_event"])
    return [
        Tape.of(**{name: rows[begin:end].copy()}, ts_event=int(newest[end - 1]))
        for begin, end in pairwise(bounds)
    ]


def values_after(measure: Measure, tapes: Sequence[Tape]) -> dict[str, Any]:
    """Return the values of a measure that took these tapes."""
    for tape in tapes:
        measure.update(tape)
    return measure.values()


def assert_close(found: Any, expected: Any, *, scale: float = 1.0, rel: float = 1e-12) -> None:
    """Compare values, dictionaries or lists of them: None exactly, numbers to `rel`.

    `scale` is the size of what was added up: sums that cancel are exact to so much of it.
    """
    if isinstance(expected, dict):
        assert found.keys() == expected.keys()
        for name, value in expected.items():
            assert_close(found[name], value, scale=scale, rel=rel)
    elif isinstance(expected, list):
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            assert_close(one, other, scale=scale, rel=rel)
    elif isinstance(expected, float):
        assert isinstance(found, float), (found, expected)
        assert abs(found - expected) <= rel * max(abs(expected), scale), (found, expected)
    else:
        assert found == expected


def when_cut(make: Callable[[], Measure], tapes: Sequence[Sequence[Tape]]) -> list[dict[str, Any]]:
    """Return the values of fresh measures that took differently cut streams."""
    return [values_after(make(), cut) for cut in tapes]

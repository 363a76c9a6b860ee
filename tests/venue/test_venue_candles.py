"""Minutes of a running price, and their joining to longer candles."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from alphaplus.venue.candles import (
    CANDLE,
    HOUR_MS,
    KEPT_MINUTES,
    MINUTE_MS,
    MinuteBars,
    joined,
    kline,
    of_ticks,
)
from alphaplus.venue.protocol import Listing

T0 = 1_723_118_400_000

TICKS = st.lists(
    st.tuples(st.integers(0, 90_000), st.integers(1, 1000), st.integers(0, 50)),
    min_size=1,
    max_size=60,
)


def plain(ticks, step_ms):
    """The candles of (time, price, quantity) by the words of their definition."""
    found = {}
    for time, price, quantity in ticks:
        opened = time // step_ms * step_ms
        bar = found.setdefault(opened, [opened, price, price, price, price, 0.0, 0.0, 0])
        bar[2], bar[3], bar[4] = max(bar[2], price), min(bar[3], price), price
        bar[5] += quantity
        bar[6] += quantity * price
        bar[7] += quantity > 0
    return [tuple(map(float, bar)) for bar in found.values()]


@given(TICKS, st.sampled_from([MINUTE_MS, 5 * MINUTE_MS, HOUR_MS]))
def test_candles_of_ticks_are_what_their_definition_says(steps, step_ms):
    times = T0 + np.cumsum([step for step, _, _ in steps])
    prices = np.array([price for _, price, _ in steps], np.float64)
    quantities = np.array([quantity for _, _, quantity in steps], np.float64)
    got = joined(of_ticks(times, prices, quantities), step_ms)
    ticks = zip(times.tolist(), prices.tolist(), quantities.tolist(), strict=True)
    assert [tuple(map(float, row)) for row in got.tolist()] == plain(ticks, step_ms)


@given(TICKS)
def test_bars_are_the_candles_of_their_ticks_with_flat_minutes_between(steps):
    bars, ticks, time = MinuteBars(), [], T0
    for step, price, quantity in steps:
        time += step
        bars.add(time, float(price), float(quantity), int(quantity > 0))
        ticks.append((time, float(price), float(quantity)))
    got = bars.rows(time)
    expected = {row[0]: row for row in plain(ticks, MINUTE_MS)}
    last = ticks[0][1]
    assert bars.began_ms == got["time_ms"][0]
    for row in got.tolist():
        wanted = expected.pop(float(row[0]), (float(row[0]), *[last] * 4, 0.0, 0.0, 0.0))
        assert tuple(map(float, row)) == wanted
        last = wanted[4]
    assert not expected
    assert (np.diff(got["time_ms"]) == MINUTE_MS).all()


def test_bars_forget_what_is_long_ago_and_go_on_while_nothing_trades():
    bars = MinuteBars()
    assert len(bars.rows(T0)) == 0
    bars.add(T0, 5.0, 1.0, 1)
    rows = bars.rows(T0 + 2 * KEPT_MINUTES * MINUTE_MS)
    assert len(rows) == KEPT_MINUTES + 1
    assert rows["close"].tolist() == [5.0] * len(rows)
    assert rows["volume"].sum() == 0


def test_joining_nothing_is_nothing():
    assert len(joined(np.zeros(0, CANDLE), HOUR_MS)) == 0


def test_a_kline_is_what_binance_sends():
    listing = Listing(symbol="BTCUSDT", price_decimals=1, lot_decimals=3)
    candle = np.array([(T0, 1.04, 3.0, 0.5, 2.0, 4.0, 8.0, 7)], dtype=CANDLE)[0]
    assert kline(candle, listing, HOUR_MS, mark=False) == [
        T0, "1.0", "3.0", "0.5", "2.0", "4.000", T0 + HOUR_MS - 1, "8.00", 7, "2.000", "4.00", "0",
    ]  # fmt: skip
    mark = kline(candle, listing, HOUR_MS, mark=True)
    assert mark[1] == "1.04000000"
    assert (mark[5], mark[7]) == ("0", "0")

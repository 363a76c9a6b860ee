"""Candles against a plain twin, of trades and of mids, however the stream is cut."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alphaplus.analysis.candles import CandleSeries
from alphaplus.analysis.tape import Tape
from alphaplus.errors import ConfigError
from alphaplus.instruments import Instrument
from tests.analysis.flow_cases import (
    INSTRUMENTS,
    INVERSE,
    LINEAR,
    SECOND,
    START,
    Rows,
    quote,
    quotes_of,
    random_quotes,
    random_trades,
    tapes_of,
    trade,
    trades_of,
)

CUTS = st.lists(st.integers(1, 40), max_size=5)
PERIOD = 2 * SECOND
NAMES = ("ts", "open", "high", "low", "close", "volume", "quote_volume", "count", "is_whole")


def plain_trade_candles(instrument: Instrument, trades: Rows) -> list[list[Any]]:
    """Group trades by period, and look at each group."""
    groups: dict[int, list[tuple[float, float, float]]] = {}
    last_id, number = 0, 0
    for ts, _, trade_id, tick, quantity, _, off_market in trades.tolist():
        if not 0 < quantity < 1e15 or trade_id <= last_id:
            continue
        last_id = trade_id
        if off_market:
            continue
        number = max(number, ts // PERIOD)
        price = instrument.price(tick)
        base = quantity * instrument.contract_size / (price if instrument.inverse else 1)
        value = instrument.notional(price, quantity)
        groups.setdefault(number, []).append((price, base, value))
    candles: list[list[Any]] = []
    for at, rows in groups.items():
        prices = [price for price, _, _ in rows]
        volumes = [sum(row[i] for row in rows) for i in (1, 2)]
        shape = [prices[0], max(prices), min(prices), prices[-1]]
        candles.append([at * PERIOD, *shape, *volumes, len(rows), int(len(candles) > 0)])
    return candles


def plain_mid_candles(instrument: Instrument, quotes: Rows, now: int) -> list[list[Any]]:
    """Go through the periods one by one with the mid in force at the begin of each."""
    by_period: dict[int, list[float | None]] = {}
    number = 0
    for ts, _, _, bid_tick, ask_tick, bid, ask in quotes.tolist():
        is_valid = 0 < bid < 1e15 and 0 < ask < 1e15 and bid_tick < ask_tick
        number = max(number, ts // PERIOD)
        mid = (instrument.price(bid_tick) + instrument.price(ask_tick)) / 2 if is_valid else None
        by_period.setdefault(number, []).append(mid)
    candles: list[list[Any]] = []
    mid = None
    for at in range(min(by_period), now // PERIOD + 1):
        path = [mid, *by_period.get(at, [])]
        known = [value for value in path if value is not None]
        is_whole = path[0] is not None and (path[-1] is not None or at == now // PERIOD)
        mid = path[-1]
        if known:
            shape = [known[0], max(known), min(known), known[-1]]
            count = len(known) - (path[0] is not None)
            candles.append([at * PERIOD, *shape, 0.0, 0.0, count, int(is_whole)])
    return candles


def assert_same(found: Rows, expected: list[list[Any]]) -> None:
    assert len(found) == len(expected)
    for name, column in zip(NAMES, zip(*expected, strict=True), strict=False):
        assert found[name].tolist() == pytest.approx(list(column), rel=1e-12)


@given(instrument=INSTRUMENTS, trades=random_trades(), cuts=CUTS, wait=st.integers(0, 9 * SECOND))
@settings(max_examples=150)
def test_candles_of_trades_equal_a_plain_twin(
    instrument: Instrument, trades: Rows, cuts: list[int], wait: int
) -> None:
    series = CandleSeries(instrument, period_s=2.0, capacity=100)
    now = int(trades["ts_event"].max()) + wait
    for tape in [*tapes_of("trades", trades, cuts), Tape.of(ts_event=now)]:
        series.update(tape)
    expected = plain_trade_candles(instrument, trades)
    is_over = bool(expected) and expected[-1][0] // PERIOD < now // PERIOD
    assert_same(series.closed(), expected if is_over else expected[:-1])
    assert_same(series.in_progress(), [] if is_over else expected[-1:])
    assert_same(series.closed(), expected if is_over else expected[:-1])  # looking moves nothing


@given(instrument=INSTRUMENTS, quotes=random_quotes(), cuts=CUTS, wait=st.integers(0, 9 * SECOND))
@settings(max_examples=150)
def test_candles_of_mids_equal_a_plain_twin(
    instrument: Instrument, quotes: Rows, cuts: list[int], wait: int
) -> None:
    series = CandleSeries(instrument, period_s=2.0, capacity=1000, source="mid")
    now = int(quotes["ts_event"].max()) + wait
    for tape in [*tapes_of("quotes", quotes, cuts), Tape.of(ts_event=now)]:
        series.update(tape)
    expected = plain_mid_candles(instrument, quotes, now)
    has_now = bool(expected) and expected[-1][0] // PERIOD == now // PERIOD
    assert_same(series.closed(), expected[:-1] if has_now else expected)
    assert_same(series.in_progress(), expected[-1:] if has_now else [])


def test_only_the_newest_candles_are_kept() -> None:
    trades = trades_of([trade(i, 1, 1.0, tick=1000 + i, gap=SECOND) for i in range(1, 21)])
    series = CandleSeries(LINEAR, period_s=1.0, capacity=4)
    series.update(Tape.of(trades=trades))
    assert series.closed()["close"].tolist() == [508.0, 508.5, 509.0, 509.5]
    quotes = quotes_of([quote(999, 1.0, 1001, 1.0, 0), quote(999, 1.0, 1003, 1.0, 10**6 * SECOND)])
    series = CandleSeries(LINEAR, period_s=1.0, capacity=4, source="mid")
    series.update(Tape.of(quotes=quotes))
    assert len(series.closed()) == 4
    assert series.closed()["ts"][-1] == START + (10**6 - 1) * SECOND
    assert series.in_progress()[["open", "close"]].tolist() == [(500.0, 500.5)]


def test_volumes_of_inverse_contracts() -> None:
    series = CandleSeries(INVERSE, period_s=1.0)
    series.update(Tape.of(trades=trades_of([trade(1, 1, 6.0, tick=600_000)])))
    candle = series.in_progress()[0]
    assert candle["quote_volume"] == 600.0
    assert candle["volume"] == pytest.approx(0.01, rel=1e-12)


@pytest.mark.parametrize("source", ["mid", "trade"])
def test_an_interruption_leaves_candles_marked(source: Any) -> None:
    """Those of seconds 0 (the first), 3 (broke off), 6 (began late) lack a part."""
    series = CandleSeries(LINEAR, period_s=1.0, source=source)

    def send(second: float, number: int) -> None:
        gap = round(second * SECOND)
        series.update(
            Tape.of(
                trades=trades_of([trade(number, 1, 1.0, gap=gap)]),
                quotes=quotes_of([quote(999, 1.0, 1001, 1.0, gap)]),
            )
        )

    for number, second in enumerate((0.5, 1.2, 2.2, 3.2)):
        send(second, number + 1)
    series.interrupt()
    for number, second in enumerate((6.5, 7.2, 8.2)):
        send(second, number + 1)  # ids may begin anew
    closed = series.closed()
    seconds = (closed["ts"] - START) // SECOND
    assert dict(zip(seconds.tolist(), closed["is_whole"].tolist(), strict=True)) == {
        0: 0,
        1: 1,
        2: 1,
        3: 0,
        6: 0,
        7: 1,
    }


def test_a_stream_that_is_back_within_its_period_spoils_that_one_only() -> None:
    series = CandleSeries(LINEAR, period_s=1.0)
    for number, gap in enumerate((0, SECOND, SECOND + 10**8, 2 * SECOND, 3 * SECOND)):
        series.update(Tape.of(trades=trades_of([trade(number + 1, 1, 1.0, gap=gap)])))
        if number == 1:
            series.interrupt()
    assert series.closed()["is_whole"].tolist() == [0, 0, 1]


@pytest.mark.parametrize(
    "parameters",
    [{"period_s": 0.0}, {"period_s": 1e6}, {"capacity": 0}, {"source": "last"}],
)
def test_bad_parameters_are_refused(parameters: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"Expected .*, was"):
        CandleSeries(LINEAR, **parameters)


def test_no_candle_before_the_first_valid_quote() -> None:
    series = CandleSeries(LINEAR, period_s=1.0, source="mid")
    bad = [quote(999, 0.0, 1001, 1.0), quote(1001, 1.0, 999, 1.0), quote(999, np.nan, 1001, 1.0)]
    series.update(Tape.of(quotes=quotes_of(bad)))
    assert len(series.closed()) == len(series.in_progress()) == 0

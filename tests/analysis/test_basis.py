"""Basis: the as-of join, staleness, the window, cuts of the stream, and the captures."""

from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alphaplus.analysis.basis import (
    Basis,
    basis_bps,
    basis_series,
    basis_statistics,
    funding_carry,
)
from alphaplus.analysis.tape import QUOTE, QuoteArray, Tape
from alphaplus.errors import ConfigError
from alphaplus.instruments import Instrument, InstrumentKind
from tests.analysis.capture_tapes import capture_stream, capture_tapes

S = 1_000_000_000
PERP = Instrument(
    symbol="BTC-USDT-PERP",
    exchange="binance",
    venue_symbol="BTCUSDT",
    tick_size=Decimal("0.5"),
    lot_size=Decimal("0.001"),
)
SPOT = replace(PERP, symbol="BTC-USDT-SPOT", tick_size=Decimal("0.01"), kind=InstrumentKind.SPOT)


def quotes_of(rows: list[tuple[float, float]], tick: float) -> QuoteArray:
    """Quotes of (time s, mid in price; nan: an empty side), two ticks wide."""
    quotes = np.zeros(len(rows), QUOTE)
    for quote, (time, mid) in zip(quotes, rows, strict=True):
        quote["ts_event"] = quote["ts_recv"] = round(time * S)
        middle = 100 if np.isnan(mid) else round(mid / tick)
        quote["bid_tick"], quote["ask_tick"] = middle - 1, middle + 1
        quote["bid_quantity"], quote["ask_quantity"] = 1.0, 0.0 if np.isnan(mid) else 1.0
    return quotes


def perp_tape(*rows: tuple[float, float], ts_event: float | None = None) -> Tape:
    at = None if ts_event is None else round(ts_event * S)
    return Tape.of(quotes=quotes_of([*rows], 0.5), ts_event=at)


def spot_tape(*rows: tuple[float, float]) -> Tape:
    return Tape.of(quotes=quotes_of([*rows], 0.01))


def test_basis_of_two_mids() -> None:
    basis = Basis(PERP, SPOT)
    assert basis.values()["basis_bps"] is None
    basis.update_perp(perp_tape((10.0, 100.5)))
    assert basis.values()["basis_bps"] is None
    basis.update_spot(spot_tape((10.5, 100.0)))
    assert basis.values()["basis_bps"] == pytest.approx(50.0, rel=1e-12)
    assert basis.values()["mean_bps"] is None
    assert basis.missing()["z"] == "0 of 60 steps with both quotes"


def test_a_quote_older_than_five_seconds_is_no_price() -> None:
    basis = Basis(PERP, SPOT)
    basis.update_spot(spot_tape((10.0, 100.0)))
    basis.update_perp(perp_tape((15.0, 100.5)))
    assert basis.values()["basis_bps"] == pytest.approx(50.0)
    basis.update_perp(perp_tape(ts_event=15.000000001))
    assert basis.values()["basis_bps"] is None
    assert basis.missing()["basis_bps"] == "quotes of both markets of the last 5 s"


@pytest.mark.parametrize("which", ["perp", "spot"])
def test_an_interrupted_or_one_sided_market_has_no_basis(which: str) -> None:
    for how in ("interrupt", "empty"):
        basis = Basis(PERP, SPOT)
        basis.update_perp(perp_tape((1.0, 100.0)))
        basis.update_spot(spot_tape((1.0, 100.0)))
        assert basis.values()["basis_bps"] == 0.0
        if how == "interrupt":
            getattr(basis, f"interrupt_{which}")()
        else:
            tape = {"perp": perp_tape, "spot": spot_tape}[which]((1.0, np.nan))
            getattr(basis, f"update_{which}")(tape)
        assert basis.values()["basis_bps"] is None


def test_the_window_forgets() -> None:
    basis = Basis(PERP, SPOT, window_s=10, min_samples=2)
    for second in range(40):
        basis.update_spot(spot_tape((second, 100.0)))
        basis.update_perp(perp_tape((second, 101.0 if second < 20 else 102.0)))
    found = basis.values()
    assert found["samples"] == 10
    assert (found["mean_bps"], found["sd_bps"]) == (pytest.approx(200.0), 0.0)
    assert (found["z"], basis.missing()) == (None, {"z": "a basis that moves"})
    basis.update_perp(perp_tape(ts_event=60.0))
    assert basis.values()["samples"] == 0


rows = st.lists(
    st.tuples(st.integers(0, 4000), st.sampled_from([99.0, 100.0, 101.5, float("nan")])),
    max_size=30,
)


@settings(max_examples=200)
@given(perp=rows, spot=rows, seed=st.integers(0, 2**32 - 1), late=st.integers(0, 9000))
def test_stream_is_batch_however_it_is_cut(
    perp: list[tuple[int, float]], spot: list[tuple[int, float]], seed: int, late: int
) -> None:
    random = np.random.default_rng(seed)
    basis = Basis(PERP, SPOT, window_s=1000, min_samples=2)
    streams, times = [], []
    for gaps, tick in ((perp, 0.5), (spot, 0.01)):
        seconds = 5 + np.cumsum([gap / 1000 for gap, _ in gaps])
        made = [(float(t), mid) for t, (_, mid) in zip(seconds, gaps, strict=True)]
        streams.append(quotes_of(made, tick))
        times.append(streams[-1]["ts_event"])
    updates = (basis.update_perp, basis.update_spot)
    at = [0, 0]
    while at != [len(streams[0]), len(streams[1])]:
        which = int(random.integers(2))
        until = min(len(streams[which]), at[which] + int(random.integers(0, 5)))
        updates[which](Tape.of(quotes=streams[which][at[which] : until].copy()))
        at[which] = until
        if random.integers(2):
            basis.values()  # looking changes nothing
    newest = max([0, *(int(t.max()) for t in times if len(t))]) + late * S // 1000
    for update in updates:
        update(Tape.of(ts_event=newest))
    grid = np.arange((newest - 1) // S - 999, (newest - 1) // S + 1) * S
    mids = []
    for quotes, tick in zip(streams, (0.5, 0.01), strict=True):
        mid = (quotes["bid_tick"] + quotes["ask_tick"]) * tick / 2
        mids.append(np.where(quotes["ask_quantity"] > 0, mid, np.nan))
    expected = basis_series(times[0], mids[0], times[1], mids[1], grid)
    np.testing.assert_allclose(basis.series(), expected, rtol=1e-12, atol=1e-9)


def test_naive_series() -> None:
    """The join point by point: the first after a new spot, one stale, one before any quote."""
    perp_times, perp = np.array([2, 9]) * S, np.array([101.0, 102.0])
    spot_times, spot = np.array([3, 8]) * S, np.array([100.0, 100.0])
    found = basis_series(perp_times, perp, spot_times, spot, np.array([2, 3, 7, 8, 9, 13, 14]) * S)
    np.testing.assert_allclose(found, [np.nan, 100.0, 100.0, np.nan, 200.0, 200.0, np.nan])


def test_statistics() -> None:
    series = np.array([1.0, np.nan, 2.0, 6.0])
    found = basis_statistics(series, 6.0, min_samples=3)
    assert (found.mean_bps, found.samples) == (3.0, 3)
    assert found.sd_bps == pytest.approx(7**0.5)
    assert found.z == pytest.approx(3 / 7**0.5)
    assert basis_statistics(series, None, min_samples=3).z is None
    assert basis_statistics(series, 6.0, min_samples=4).mean_bps is None


def test_carry_and_scale() -> None:
    assert funding_carry(0.0001, 8) == pytest.approx(0.1095)
    assert funding_carry(-0.0001, 1) == pytest.approx(-0.876)
    with pytest.raises(ConfigError, match="interval_h"):
        funding_carry(0.1, 0)
    np.testing.assert_allclose(basis_bps([101.0, 1.01], [100.0, 1.0]), 100.0)


@pytest.mark.parametrize(
    ("name", "value"),
    [("window_s", 0.0), ("step_s", -1.0), ("max_age_s", float("nan")), ("min_samples", 4000)],
)
def test_wrong_parameters_are_refused(name: str, value: float) -> None:
    with pytest.raises(ConfigError, match=name):
        Basis(PERP, SPOT, **{name: value})  # type: ignore[arg-type]


def test_unknown_clock_and_too_many_points_are_refused() -> None:
    with pytest.raises(ConfigError, match="clock"):
        Basis(PERP, SPOT, clock="ts_sent")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="window of"):
        Basis(PERP, SPOT, step_s=1e-6)


def test_captures_by_event_time(data_dir: Path) -> None:
    """Mids of both books after each depth message, each second from the later first one."""
    times, mids = [], []
    for market in ("perp", "spot"):
        stream = capture_stream(data_dir, market)
        levels = stream.whole.best_levels
        times.append(np.asarray(levels["ts_event"]))
        middle = levels["bid_tick"][:, 0] + levels["ask_tick"][:, 0]
        mids.append(middle * float(stream.instrument.tick_size) / 2)
    begin = max(times[0][0], times[1][0])
    grid = np.arange(begin, max(times[0][-1], times[1][-1]) + 1, S)
    found = basis_series(times[0], mids[0], times[1], mids[1], grid)
    assert np.nanmedian(found) == pytest.approx(-3.633, abs=5e-4)
    assert np.nanmin(found) == pytest.approx(-6.115, abs=5e-4)
    assert np.nanmax(found) == pytest.approx(-1.048, abs=5e-4)


def test_captures_as_a_stream(data_dir: Path) -> None:
    """By receive time, as the spot ticker has no other; cut small, it is what the batch is."""
    streams = [capture_stream(data_dir, market) for market in ("perp", "spot")]
    basis = Basis(streams[0].instrument, streams[1].instrument, clock="ts_recv", window_s=200)
    for market, update in (("perp", basis.update_perp), ("spot", basis.update_spot)):
        for tape in capture_tapes(data_dir, market, max_events=997):
            update(tape)
    times, mids = [], []
    for stream in streams:
        quotes = stream.whole.quotes
        times.append(np.asarray(quotes["ts_recv"]))
        middle = quotes["bid_tick"] + quotes["ask_tick"]
        mids.append(middle * float(stream.instrument.tick_size) / 2)
    newest = max(times[0][-1], times[1][-1])
    grid = np.arange((newest - 1) // S - 199, (newest - 1) // S + 1) * S
    expected = basis_series(times[0], mids[0], times[1], mids[1], grid)
    np.testing.assert_allclose(basis.series()[:-1], expected[:-1], rtol=1e-9)
    found = basis.values()
    assert found["samples"] >= 198
    assert found["mean_bps"] == pytest.approx(float(np.nanmean(expected)), abs=0.02)
    assert -6 < found["mean_bps"] < -1

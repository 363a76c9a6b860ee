import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import feather

from alphaplus.errors import ConfigError, RiskError
from alphaplus.risk.figures import HOUR_NS
from alphaplus.risk.history_files import find_histories, read_candles, read_funding
from alphaplus.risk.returns import close_returns, on_grid

JITTER_NS = 60_000_000_000


def _write(path: Path, columns: dict[str, Any]) -> Path:
    feather.write_feather(pa.table(columns), path)  # type: ignore[no-untyped-call,unused-ignore]
    return path


def _candles(hours: list[int]) -> dict[str, Any]:
    stamps = pa.array([h * HOUR_NS for h in hours], pa.timestamp("ns", "UTC"))
    prices = [100.0 + h for h in hours]
    return {"date": stamps, **dict.fromkeys(("open", "high", "low", "close", "volume"), prices)}


def test_funding_feather_has_its_rate_in_open_and_jitters(data_dir: Path) -> None:
    folder = data_dir / "risk"
    path = folder / "freqtrade_xrp_2021" / "XRP_USDT_USDT-8h-funding_rate.feather"
    funding = read_funding(path)
    assert len(funding) == 91
    assert funding.rates[0] == 0.0001
    off = funding.times % (8 * HOUR_NS)
    assert off.max() > 0
    assert off.max() < JITTER_NS
    times, rates = on_grid(funding.times, funding.rates, 8 * HOUR_NS)
    assert len(times) == 91
    assert np.isfinite(rates).all()


def test_hourly_funding_has_holes_that_stay_holes(data_dir: Path) -> None:
    folder = data_dir / "risk" / "funding_history"
    funding = read_funding(folder / "hl_BTC_funding_rates.json")
    assert len(funding) == 12_192
    widest_h = np.diff(funding.times).max() / HOUR_NS
    assert 220 < widest_h < 222
    times, rates = on_grid(funding.times, funding.rates, HOUR_NS)
    assert (np.diff(times) == HOUR_NS).all()
    assert np.isfinite(rates).sum() == len(np.unique((funding.times + HOUR_NS // 2) // HOUR_NS))
    assert np.isnan(rates).sum() > 220
    regular = read_funding(folder / "binance_BTC_funding_rates.json")
    assert len(regular) == 4_377
    assert regular.rates[0] == 0.0001


def test_timeframes_of_one_symbol_cover_their_own_dates(data_dir: Path) -> None:
    folder = data_dir / "risk" / "freqtrade_xrp_2021"
    hours = read_candles(folder / "XRP_USDT_USDT-1h-futures.feather")
    marks = read_candles(folder / "XRP_USDT_USDT-1h-mark.feather")
    assert len(hours) == len(marks) == 100
    assert hours.times[0] != marks.times[0]
    both = np.intersect1d(hours.times, marks.times)
    assert 0 < len(both) < 100


def test_shortest_timeframe_of_a_folder_is_found(data_dir: Path) -> None:
    xrp = find_histories(data_dir / "risk" / "freqtrade_xrp_2021")
    assert {name: path.name for name, path in xrp.items()} == {
        "XRP_USDT_USDT": "XRP_USDT_USDT-5m-futures.feather"
    }
    hourly = find_histories(data_dir / "risk" / "perps_1h_2024-01_2025-06")
    assert list(hourly) == ["BTCUSDT", "ETHUSDT", "SOLUSDT"]
    assert len(read_candles(hourly["SOLUSDT"])) == 13_128
    marks = find_histories(data_dir / "risk" / "perps_1h_2024-01_2025-06", "mark")
    assert marks["BTCUSDT"].name == "BTCUSDT-1h-mark.feather"


def test_no_return_crosses_a_missing_candle(tmp_path: Path) -> None:
    candles = read_candles(_write(tmp_path / "a.feather", _candles([0, 1, 2, 5, 6])))
    series = close_returns(candles.times, candles.close, HOUR_NS)
    assert np.isnan(series.values).tolist() == [False, False, True, True, True, False]
    assert series.times[0] == HOUR_NS
    assert series.values[0] == pytest.approx(np.log(101 / 100))


@pytest.mark.parametrize("hours", [[0, 1, 1], [2, 1], []])
def test_times_must_increase(tmp_path: Path, hours: list[int]) -> None:
    with pytest.raises(ConfigError, match="Expected"):
        read_candles(_write(tmp_path / "a.feather", _candles(hours)))


def test_files_that_are_something_else_are_named(tmp_path: Path) -> None:
    (tmp_path / "text.feather").write_text("no feather")
    _write(tmp_path / "few.feather", {"date": pa.array([0], pa.timestamp("ns", "UTC"))})
    for name in ("text", "few", "absent"):
        with pytest.raises(ConfigError, match=name):
            read_candles(tmp_path / f"{name}.feather")
    (tmp_path / "a.json").write_text(json.dumps([{"time": 1}]))
    (tmp_path / "b.json").write_text("{}")
    (tmp_path / "c.json").write_text("[")
    for name in "abc":
        with pytest.raises(ConfigError, match=f"{name}.json"):
            read_funding(tmp_path / f"{name}.json")
    with pytest.raises(ConfigError, match="folder"):
        find_histories(tmp_path / "absent")


def test_names_that_do_not_fit_are_passed_over(tmp_path: Path) -> None:
    for name in ("futures", "BTC-x-futures", "A-B-1h-futures", "BTC-1d-futures"):
        _write(tmp_path / f"{name}.feather", _candles([0]))
    assert {key: path.name for key, path in find_histories(tmp_path).items()} == {
        "BTC": "BTC-1d-futures.feather"
    }


def test_later_of_two_values_at_a_grid_point_stays() -> None:
    times, values = on_grid([HOUR_NS - 5, HOUR_NS + 5, 3 * HOUR_NS], [1.0, 2.0, 3.0], HOUR_NS)
    assert (times // HOUR_NS).tolist() == [1, 2, 3]
    assert values[0] == 2.0
    assert np.isnan(values[1])
    with pytest.raises(RiskError, match="step above 0"):
        on_grid([1], [1.0], 0)

"""The invented past of a generated market: always the same, and like a market's."""

import numpy as np
import pytest

from alphaplus.venue.candles import HOUR_MS, MINUTE_MS, joined
from alphaplus.venue.price_history import BEGINS_MS, PriceHistory, season

BEGAN = 1_764_180_000_000 - 1_764_180_000_000 % MINUTE_MS
SIGMA = 0.013


def history(index=0, seed=7):
    return PriceHistory(
        seed=seed,
        index=index,
        price=61_800.0,
        volatility=SIGMA,
        turnover=80.0,
        open_interest=1e5,
    )


def hours(index=0, count=4_000):
    opened = BEGAN // HOUR_MS * HOUR_MS
    return joined(history(index).minutes(opened - count * HOUR_MS, opened, BEGAN), HOUR_MS)


def returns(index):
    return np.diff(np.log(hours(index)["close"]))


def test_it_ends_with_the_price_at_which_the_market_begins():
    minutes = history().minutes(BEGAN - HOUR_MS, BEGAN + HOUR_MS, BEGAN)
    assert minutes["time_ms"][-1] == BEGAN - MINUTE_MS
    assert minutes["close"][-1] == pytest.approx(61_800.0, rel=1e-12)
    assert len(history().minutes(BEGAN, BEGAN + HOUR_MS, BEGAN)) == 0


def test_minutes_join_without_a_gap_and_prices_contain_their_ends():
    minutes = history().minutes(BEGAN - 100 * HOUR_MS, BEGAN, BEGAN)
    assert (np.diff(minutes["time_ms"]) == MINUTE_MS).all()
    assert minutes["open"][1:].tolist() == minutes["close"][:-1].tolist()
    assert (minutes["low"] <= np.minimum(minutes["open"], minutes["close"])).all()
    assert (minutes["high"] >= np.maximum(minutes["open"], minutes["close"])).all()
    assert (minutes["volume"] > 0).all()


def test_any_part_says_the_same_as_the_whole():
    whole = history().minutes(BEGAN - 60 * HOUR_MS, BEGAN, BEGAN)
    part = history().minutes(BEGAN - 7 * HOUR_MS - 1, BEGAN - 90_000, BEGAN)
    same = whole[np.searchsorted(whole["time_ms"], part["time_ms"])]
    assert len(part) == 7 * 60 - 1
    assert part.tobytes() == same.tobytes()


def test_a_later_beginning_bends_the_last_two_days_only():
    early, late = (
        history().minutes(BEGAN - 10 * 24 * HOUR_MS, BEGAN, began)
        for began in (BEGAN, BEGAN + 5 * HOUR_MS)
    )
    old = early["time_ms"] < BEGAN - 48 * HOUR_MS
    assert early[old].tobytes() == late[old].tobytes()
    assert early["close"][-1] != late["close"][-1]


def test_there_is_nothing_before_the_first_year():
    found = history().minutes(BEGINS_MS - HOUR_MS, BEGINS_MS + HOUR_MS, BEGAN)
    assert found["time_ms"][0] == BEGINS_MS
    assert len(found) == 60


def test_returns_have_the_spread_fat_tails_and_clusters_of_a_market():
    moves = returns(0)
    assert moves.std() == pytest.approx(SIGMA, rel=0.25)
    kurtosis = ((moves - moves.mean()) ** 4).mean() / moves.var() ** 2
    assert kurtosis > 5
    size = np.abs(moves)
    assert np.corrcoef(size[1:], size[:-1])[0, 1] > 0.1
    assert abs(np.corrcoef(moves[1:], moves[:-1])[0, 1]) < 0.1


def test_symbols_move_together_in_part_and_seeds_apart():
    assert 0.35 < np.corrcoef(returns(0), returns(1))[0, 1] < 0.75
    other = joined(history(seed=8).minutes(BEGAN - 10 * HOUR_MS, BEGAN, BEGAN), HOUR_MS)
    assert other["open"][0] != hours(count=10)["open"][0]


def test_the_week_has_a_season_of_mean_square_one():
    week = season(np.arange(168))
    assert (week**2).mean() == pytest.approx(1.0)
    monday = 4 * 24  # 1970 began on a Thursday
    assert week[monday + 15] > 1.3 * week[monday + 3]
    assert week[monday + 15] > 1.3 * week[monday - 24 + 15]


def test_open_interest_ends_where_the_market_begins():
    times = BEGAN - np.arange(0, 30 * 24) * HOUR_MS
    found = history().open_interest_at(times, BEGAN)
    assert found[0] == pytest.approx(1e5)
    assert (np.abs(np.diff(np.log(found))) < 0.02).all()
    assert found.std() > 1e3

"""Market-making quotes: the published table, a published example, planted arrival rates."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alphaplus.analysis.market_making import (
    Arrivals,
    Glft,
    arrival_rates,
    avellaneda_stoikov,
    calibrate_intensity,
    glft,
    glft_quotes,
    optimal_spread,
    reservation_price,
)
from alphaplus.errors import ConfigError

MS = 1_000_000


def simulate(params: dict[str, Any], gamma: float, paths: int, seed: int, leans: bool) -> Any:
    """Run the market of the paper's section 3.3 and return its table's five columns.

    A quote at distance delta fills with probability A exp(-k delta) dt a step. `leans` quotes
    about the reservation price; else the same spread stands about the mid.
    """
    random = np.random.default_rng(seed)
    dt, sigma, k = params["dt"], params["sigma"], params["k"]
    steps = round(params["T"] / dt)
    mid = np.full(paths, float(params["S0"]))
    inventory = np.full(paths, float(params["q0"]))
    cash = np.zeros(paths)
    spreads = []
    average = np.mean(
        [
            optimal_spread(gamma=gamma, sigma=sigma, k=k, time_left=params["T"] - i * dt)
            for i in range(steps)
        ]
    )
    for i in range(steps):
        left = params["T"] - i * dt
        if leans:
            quotes = avellaneda_stoikov(
                mid, inventory, gamma=gamma, sigma=sigma, k=k, time_left=left
            )
            bid, ask = quotes.bid, quotes.ask
        else:
            bid, ask = mid - average / 2, mid + average / 2
        spreads.append(float(np.mean(ask - bid)))
        bought = random.random(paths) < params["A"] * np.exp(-k * (mid - bid)) * dt
        sold = random.random(paths) < params["A"] * np.exp(-k * (ask - mid)) * dt
        cash += np.where(sold, ask, 0.0) - np.where(bought, bid, 0.0)
        inventory += bought.astype(float) - sold
        mid += sigma * math.sqrt(dt) * random.choice((-1.0, 1.0), paths)
    profit = cash + inventory * mid
    return (
        float(np.mean(spreads)),
        float(profit.mean()),
        float(profit.std(ddof=1)),
        float(inventory.mean()),
        float(inventory.std(ddof=1)),
    )


def test_table_1_of_avellaneda_and_stoikov(data_dir: Path) -> None:
    """Gamma 0.1, 4,000 paths: leaning against inventory halves the spread of profits."""
    table = json.loads((data_dir / "analysis/avellaneda_stoikov_table1.json").read_text())
    found = {}
    for name, leans, profit_within in (("inventory", True, 0.6), ("symmetric", False, 1.2)):
        found[name] = simulate(table["params"], table["gamma"], 4000, 2008, leans)
        spread, profit, sd, _, sd_q = found[name]
        published = table[name]
        assert spread == pytest.approx(published[0], abs=0.02)
        assert profit == pytest.approx(published[1], abs=profit_within)
        assert sd == pytest.approx(published[2], rel=0.10)
        assert abs(found[name][3]) < 4 * sd_q / math.sqrt(4000)
        assert sd_q == pytest.approx(published[4], rel=0.07)
    assert found["inventory"][2] < 0.6 * found["symmetric"][2]


def test_quotes_by_hand() -> None:
    quotes = avellaneda_stoikov(100.0, 3.0, gamma=0.1, sigma=2.0, k=1.5, time_left=0.5)
    assert quotes.reservation == pytest.approx(100 - 3 * 0.1 * 4 * 0.5)
    spread = 0.1 * 4 * 0.5 + 20 * math.log(1 + 0.1 / 1.5)
    assert quotes.ask - quotes.bid == pytest.approx(spread)
    assert (quotes.ask + quotes.bid) / 2 == pytest.approx(quotes.reservation)


@given(
    gamma=st.floats(0.001, 5.0), sigma=st.floats(0.0, 10.0), k=st.floats(0.01, 50.0),
    left=st.floats(0.0, 2.0), inventory=st.floats(-20, 20),
)  # fmt: skip
def test_quotes_mirror_with_the_inventory(
    gamma: float, sigma: float, k: float, left: float, inventory: float
) -> None:
    long, short = (
        avellaneda_stoikov(0.0, q, gamma=gamma, sigma=sigma, k=k, time_left=left)
        for q in (inventory, -inventory)
    )
    assert float(long.bid) == pytest.approx(-float(short.ask), abs=1e-9)
    assert float(long.ask) >= float(long.bid)
    assert float(long.reservation) * inventory <= 0
    end = avellaneda_stoikov(0.0, inventory, gamma=gamma, sigma=sigma, k=k, time_left=0.0)
    assert float(end.reservation) == 0.0


def test_spread_without_risk_aversion_is_two_over_k() -> None:
    assert float(optimal_spread(gamma=1e-9, sigma=1.0, k=4.0, time_left=1.0)) == pytest.approx(0.5)


def test_glft_example_of_hftbacktest(data_dir: Path) -> None:
    example = json.loads((data_dir / "analysis/glft_hftbacktest_expected.json").read_text())
    model = glft(
        gamma=example["gamma"],
        sigma=example["sigma"],
        intensity=example["A"],
        k=example["k"],
        order_size=example["delta"],
    )
    assert model.half_spread == pytest.approx(example["half_spread_tick"], rel=1e-12)
    assert model.skew == pytest.approx(example["skew"], rel=1e-12)


def test_glft_quotes_lean_against_the_inventory() -> None:
    quotes = glft_quotes(100.0, np.array([-2.0, 0.0, 2.0]), Glft(half_spread=3.0, skew=0.5))
    assert quotes.bid.tolist() == [98.0, 97.0, 96.0]
    assert quotes.ask.tolist() == [104.0, 103.0, 102.0]


def test_glft_without_volatility_has_no_skew_and_survives_extremes() -> None:
    calm = glft(gamma=0.05, sigma=0.0, intensity=3.0, k=0.04)
    assert calm.skew == 0.0
    assert calm.half_spread == pytest.approx(20 * math.log(2.25))
    averse_to_nothing = glft(gamma=1e-12, sigma=1.0, intensity=3.0, k=0.04)
    assert averse_to_nothing.half_spread == pytest.approx(25.0, rel=1e-3)


def test_planted_rates_are_recovered() -> None:
    """Poisson arrivals whose reach is exponential: P(reach >= d) = exp(-k d)."""
    random = np.random.default_rng(5)
    intensity, k, seconds = 8.0, 0.4, 4000
    count = int(random.poisson(intensity * seconds))
    times = np.sort(random.integers(0, seconds * 10**9, count))
    reaches = random.exponential(1 / k, count)
    arrivals = arrival_rates(
        times, reaches, np.arange(0.5, 10.0, 0.5), begin_ns=0, end_ns=seconds * 10**9
    )
    found = calibrate_intensity(arrivals)
    assert found is not None
    assert found.intensity == pytest.approx(intensity, rel=0.03)
    assert found.k == pytest.approx(k, rel=0.03)


@given(
    trades=st.lists(st.tuples(st.integers(-50, 1050), st.integers(-3, 8)), max_size=40),
)
def test_rates_count_windows(trades: list[tuple[int, int]]) -> None:
    times = np.array(sorted(time for time, _ in trades), np.int64) * MS
    reaches = np.array([reach for _, reach in trades], np.float64)
    found = arrival_rates(
        times, reaches, [0, 1, 2, 5], begin_ns=0, end_ns=1050 * MS, window_ns=100 * MS
    )
    for distance, rate in zip((0, 1, 2, 5), found.rates, strict=True):
        windows = {
            time // (100 * MS)
            for time, reach in zip(times.tolist(), reaches.tolist(), strict=True)
            if 0 <= time < 1000 * MS and reach >= distance
        }
        share = len(windows) / 10
        expected = np.nan if share == 1 else -math.log(1 - share) / 0.1
        np.testing.assert_allclose(rate, expected, atol=1e-12)


def test_too_few_distances_or_a_rate_that_does_not_fall_give_none() -> None:
    distances = np.arange(1.0, 8.0)
    falling = np.exp(-0.5 * distances)
    assert calibrate_intensity(Arrivals(distances=distances, rates=falling)) is not None
    empty = np.where(distances < 5, falling, 0.0)
    assert calibrate_intensity(Arrivals(distances=distances, rates=empty)) is None
    assert calibrate_intensity(Arrivals(distances=distances, rates=1 / falling)) is None
    assert calibrate_intensity(Arrivals(distances=distances, rates=np.full(7, 0.3))) is None
    unknown = np.where(distances < 4, np.nan, falling)
    assert calibrate_intensity(Arrivals(distances=distances, rates=unknown)) is None


def test_only_the_nearest_distances_are_fitted() -> None:
    distances = np.arange(1.0, 31.0)
    rates = np.exp(-0.5 * distances)
    rates[20:] = rates[19]  # a flat far tail
    found = calibrate_intensity(Arrivals(distances=distances, rates=rates))
    assert found is not None
    assert (found.intensity, found.k) == (pytest.approx(1.0), pytest.approx(0.5))


def test_wrong_parameters_are_refused() -> None:
    with pytest.raises(ConfigError, match="gamma"):
        reservation_price(1.0, 1.0, gamma=0.0, sigma=1.0, time_left=1.0)
    with pytest.raises(ConfigError, match="k above 0"):
        optimal_spread(gamma=0.1, sigma=1.0, k=-1.0, time_left=1.0)
    with pytest.raises(ConfigError, match="sigma"):
        glft(gamma=0.1, sigma=-1.0, intensity=1.0, k=1.0)
    with pytest.raises(ConfigError, match="intensity"):
        glft(gamma=0.1, sigma=1.0, intensity=math.nan, k=1.0)
    with pytest.raises(ConfigError, match="one window"):
        arrival_rates(np.zeros(0, np.int64), np.zeros(0), [1], begin_ns=0, end_ns=1)
    with pytest.raises(ConfigError, match="nearest"):
        calibrate_intensity(Arrivals(distances=np.ones(1), rates=np.ones(1)), nearest=4)

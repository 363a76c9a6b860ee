import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alphaplus.analysis.book_levels import BookLevels
from alphaplus.analysis.resiliency import mean_reversion, refill_time
from alphaplus.analysis.tape import Tape
from alphaplus.errors import ConfigError
from tests.analysis.planted_books import (
    MS,
    SECOND,
    START,
    book_of,
    instrument_of,
    tape_of,
    trades_of,
)
from tests.analysis.watching import WatchedResiliency

INSTRUMENT = instrument_of("1", size=1.0, inverse=True)  # a contract is worth 1: notional = size


def depths(ts: int, bid: float, ask: float) -> BookLevels:
    """A book whose D(10) is what it says: mid 100,000, and more depth beyond 10 bps."""
    far = [(99_800, 500.0)], [(100_200, 500.0)]
    return book_of(INSTRUMENT, ts, [(99_999, bid), *far[0]], [(100_001, ask), *far[1]])


def eager() -> WatchedResiliency:
    return WatchedResiliency(INSTRUMENT, min_sweeps=1)


def buy(ts: int, size: float) -> Tape:
    return tape_of((ts, 100_001, size, 1))


@pytest.mark.parametrize("rate", [0.05, 0.5, 3.0])
@pytest.mark.parametrize("taken", [0.2, 0.6, 0.95])
def test_exponential_refill_has_its_exact_t90(rate: float, taken: float) -> None:
    exact = math.log(taken / 0.1) / rate
    for step_ms in (100, 10):
        measure = eager()
        measure.observe(depths(START, 1000.0, 1000.0))
        measure.update(buy(START + MS, 1000.0 * taken))
        for k in range(1, 62_000 // step_ms):
            elapsed = k * step_ms / 1e3
            ask = 1000.0 * (1.0 - taken * math.exp(-rate * elapsed))
            measure.observe(depths(START + MS + k * step_ms * MS, 1000.0, ask))
            if measure.values()["ask_sweeps"]:
                break
        values = measure.values()
        assert 0 <= values["ask_t90_median_s"] - exact < step_ms / 1e3 + 1e-9
        assert values["ask_t90_p90_s"] == values["ask_t90_median_s"]
        assert (values["ask_censored_share"], values["bid_sweeps"]) == (0.0, 0)


def test_refill_time_of_arrays() -> None:
    times = np.arange(0, 70_000) * MS
    depth = 100.0 * (1.0 - 0.5 * np.exp(-times / 1e9))
    exact = math.log(5.0) * 1e9
    found = refill_time(times, depth, end=0, before=100.0)
    assert found is not None
    assert 0 <= found - exact < MS
    assert refill_time(times, depth, end=0, before=200.0) is None
    assert refill_time(times, depth, end=0, before=100.0, timeout_ns=SECOND) is None


def test_burst_needs_a_tenth_and_trades_close_together() -> None:
    for sizes, gap, sweeps in (
        ([99.0], 0, 0),
        ([100.0], 0, 1),
        ([50.0, 50.0], 50 * MS, 1),
        ([50.0, 50.0], 50 * MS + 1, 0),
        ([25.0] * 4, 50 * MS, 1),
    ):
        measure = eager()
        measure.observe(depths(START, 1000.0, 1000.0))
        for k, size in enumerate(sizes):
            measure.update(buy(START + MS + k * gap, size))
        assert measure.values()["ask_pending"] == sweeps


def test_sides_have_bursts_of_their_own() -> None:
    measure = eager()
    measure.observe(depths(START, 1000.0, 1000.0))
    measure.update(
        tape_of(
            (START + 1 * MS, 100_001, 60.0, 1),
            (START + 2 * MS, 99_999, 60.0, -1),
            (START + 3 * MS, 100_001, 60.0, 1),
        )
    )
    values = measure.values()
    assert (values["ask_pending"], values["bid_pending"]) == (1, 0)


def test_trades_without_a_side_or_off_market_take_no_depth() -> None:
    measure = eager()
    measure.observe(depths(START, 1000.0, 1000.0))
    rows = trades_of([(START + MS, 100_001, 500.0, 0), (START + MS, 100_001, 500.0, 1)])
    rows[1]["off_market"] = 1
    measure.update(Tape.of(trades=rows))
    measure.update(buy(START + MS, 1e300))  # no market has that
    assert measure.values()["ask_pending"] == 0


def test_depth_before_is_that_of_a_look_before_the_first_trade() -> None:
    measure = eager()
    measure.observe(depths(START, 1000.0, 1000.0))
    measure.observe(depths(START + 100 * MS, 1000.0, 400.0))  # shows what the trade took
    measure.update(buy(START + 60 * MS, 600.0))  # and the trade arrives after it
    measure.observe(depths(START + 200 * MS, 1000.0, 899.0))
    assert measure.values()["ask_sweeps"] == 0
    measure.observe(depths(START + 300 * MS, 1000.0, 900.0))
    assert measure.values()["ask_t90_median_s"] == 0.24


def test_without_a_look_before_nothing_is_timed() -> None:
    measure = eager()
    measure.update(buy(START, 600.0))
    measure.observe(depths(START + 100 * MS, 1000.0, 1000.0))
    measure.update(buy(START + 20 * MS, 600.0))
    measure.observe(depths(START + 900 * MS, 1000.0, 1000.0))
    values = measure.values()
    assert (values["ask_sweeps"], values["ask_pending"]) == (0, 0)


def test_a_burst_that_goes_on_takes_its_refill_back() -> None:
    measure = eager()
    measure.observe(depths(START, 1000.0, 1000.0))
    measure.update(buy(START + 1 * MS, 200.0))
    measure.observe(depths(START + 21 * MS, 1000.0, 950.0))
    measure.update(buy(START + 41 * MS, 500.0))
    measure.observe(depths(START + 141 * MS, 1000.0, 500.0))
    assert measure.values()["ask_pending"] == 1
    measure.observe(depths(START + 541 * MS, 1000.0, 900.0))
    assert measure.values()["ask_t90_median_s"] == 0.5
    assert measure.values()["ask_sweeps"] == 1


def test_no_refill_within_a_minute_is_censored() -> None:
    measure = eager()
    measure.observe(depths(START, 1000.0, 1000.0))
    measure.update(buy(START + MS, 500.0))
    for k in range(1, 600):
        measure.observe(depths(START + MS + k * 100 * MS, 1000.0, 899.0))
    assert measure.values()["ask_pending"] == 1
    measure.observe(depths(START + MS + 60 * SECOND, 1000.0, 1000.0))
    values = measure.values()
    assert (values["ask_sweeps"], values["ask_pending"]) == (1, 0)
    assert (values["ask_censored_share"], values["ask_t90_median_s"]) == (1.0, None)
    assert "ask_t90_median_s" not in measure.missing()  # not for lack of data


def test_quantiles_count_the_censored_as_longest() -> None:
    measure = WatchedResiliency(INSTRUMENT, min_sweeps=3, timeout_s=2.0)
    now = START
    for refill_ms in (300, 100, None):
        measure.observe(depths(now, 1000.0, 1000.0))
        measure.update(buy(now + 100 * MS, 500.0))
        for k in range(1, 30):
            back = refill_ms is not None and k * 100 >= refill_ms
            measure.observe(depths(now + (k + 1) * 100 * MS, 1000.0, 1000.0 if back else 500.0))
        now += 10 * SECOND
    values = measure.values()
    assert values["ask_t90_median_s"] == 0.3
    assert values["ask_t90_p90_s"] is None
    assert values["ask_censored_share"] == pytest.approx(1 / 3)


def test_interruption_drops_what_waits() -> None:
    measure = eager()
    measure.observe(depths(START, 1000.0, 1000.0))
    measure.update(buy(START + MS, 500.0))
    measure.interrupt()
    assert measure.values()["ask_depth_10bps"] is None
    measure.observe(depths(START + SECOND, 1000.0, 1000.0))
    measure.update(buy(START + SECOND - MS, 500.0))  # the depth before it is no longer known
    values = measure.values()
    assert (values["ask_sweeps"], values["ask_pending"]) == (0, 0)


def test_more_sweeps_than_places_are_counted_as_dropped() -> None:
    measure = eager()
    measure.observe(depths(START, 1000.0, 1000.0))
    for k in range(40):
        measure.update(buy(START + (1 + 60 * k) * MS, 500.0))
    values = measure.values()
    assert (values["ask_pending"], values["ask_dropped"]) == (32, 8)


def test_values_say_what_they_lack() -> None:
    measure = WatchedResiliency(INSTRUMENT)
    unknown = {name for name, value in measure.values().items() if value is None}
    assert unknown == set(measure.missing())
    measure.observe(depths(START, 20.0, 30.0))
    values, lacks = measure.values(), measure.missing()
    assert (values["bid_depth_10bps"], values["ask_depth_10bps"]) == (20.0, 30.0)
    assert lacks["bid_t90_median_s"] == "0 of 10 sweeps"
    assert lacks["ask_kappa_per_s"] == "0 of 300 pairs of one-second samples"


def test_depth_ends_at_ten_basis_points_and_knows_when_it_is_cut() -> None:
    measure = eager()
    bids = [(99_999, 1.0), (99_900, 2.0), (99_899, 4.0)]
    asks = [(100_001, 1.0), (100_100, 8.0), (100_101, 16.0)]
    measure.observe(book_of(INSTRUMENT, START, bids, asks, known=(99_901, 100_100)))
    values = measure.values()
    assert (values["bid_depth_10bps"], values["ask_depth_10bps"]) == (3.0, 9.0)
    assert (values["bid_truncated"], values["ask_truncated"]) == (True, False)


# The regression


def ornstein_uhlenbeck(rate: float, count: int, *, seed: int, exact: bool) -> Any:
    rng = np.random.default_rng(seed)
    keep = math.exp(-rate) if exact else 1.0 - rate
    depth = np.empty(count)
    depth[0] = 1e6
    for k, noise in enumerate(rng.normal(0.0, 1e4, count - 1)):
        depth[k + 1] = 1e6 + keep * (depth[k] - 1e6) + noise
    return depth


@pytest.mark.parametrize("rate", [0.1, 0.3, 0.8])
def test_known_kappa_is_recovered(rate: float) -> None:
    for seed in range(3):
        fit = mean_reversion(ornstein_uhlenbeck(rate, 10_000, seed=seed, exact=False))
        assert fit.kappa_per_s is not None
        assert fit.kappa_per_s == pytest.approx(rate, rel=0.1)
        assert fit.half_life_s == pytest.approx(math.log(2) / fit.kappa_per_s, rel=1e-12)
        assert (fit.pairs, round(fit.mean or 0, -4)) == (9_999, 1e6)


def test_rate_of_a_continuous_process_is_recovered() -> None:
    fit = mean_reversion(ornstein_uhlenbeck(0.1, 10_000, seed=1, exact=True))
    assert fit.kappa_per_s == pytest.approx(0.1, rel=0.1)
    assert -math.log(1 - (fit.kappa_per_s or 0)) == pytest.approx(0.1, rel=0.1)


@settings(max_examples=100)
@given(st.lists(st.floats(1.0, 1e7) | st.just(math.nan), max_size=60))
def test_regression_equals_least_squares(samples: list[float]) -> None:
    fit = mean_reversion(samples)
    array = np.array(samples)
    both = ~np.isnan(array[1:]) & ~np.isnan(array[:-1])
    x, dy = array[:-1][both], np.diff(array)[both]
    assert fit.pairs == len(x)
    if len(x) > 1 and np.ptp(x) > 1e-3 * x.max():
        design = np.column_stack((x - x.mean(), np.ones(len(x))))
        slope = float(np.linalg.lstsq(design, dy, rcond=None)[0][0])
        if abs(slope) > 1e-9:
            expected = pytest.approx(-slope, rel=1e-6) if slope < 0 else None
            assert fit.kappa_per_s == expected


def test_depth_that_does_not_return_has_no_half_life() -> None:
    fit = mean_reversion([1.0, 2.0, 4.0, 8.0, 16.0])
    assert (fit.kappa_per_s, fit.half_life_s, fit.pairs) == (None, None, 4)
    constant = mean_reversion([5.0] * 10)
    assert (constant.kappa_per_s, constant.half_life_s) == (None, None)
    assert mean_reversion([]).pairs == 0


def test_streaming_samples_whole_seconds_and_equals_the_batch() -> None:
    rng = np.random.default_rng(5)
    measure = WatchedResiliency(INSTRUMENT, window_s=100, min_pairs=20)
    looks = START + np.cumsum(rng.integers(20, 180, 3_000)) * MS
    looks = looks[((looks - START) // SECOND) % 50 < 46]  # and some time without a look
    bids = 1000 + 100 * rng.standard_normal(len(looks))
    asks = 1000 + 100 * rng.standard_normal(len(looks))
    for ts, bid, ask in zip(looks.tolist(), bids.tolist(), asks.tolist(), strict=True):
        measure.observe(depths(ts, bid, ask))
    seconds = np.arange(-(-looks[0] // SECOND), looks[-1] // SECOND + 1)[-100:] * SECOND
    at = np.searchsorted(looks, seconds, side="right") - 1
    known = seconds - looks[at] < SECOND
    assert 60 < known.sum() < 100
    for side, series in (("bid", bids), ("ask", asks)):
        batch = mean_reversion(np.where(known, series[at], np.nan))
        assert measure.reversion(side) == batch
        assert measure.values()[f"{side}_kappa_per_s"] == batch.kappa_per_s


def test_interruption_is_a_gap_in_the_regression() -> None:
    measure = WatchedResiliency(INSTRUMENT)
    for k in range(5):
        measure.observe(depths(START + k * SECOND, 100.0 + k, 100.0))
    measure.interrupt()
    for k in range(5, 10):
        measure.observe(depths(START + k * SECOND, 100.0 + k, 100.0))
    assert measure.reversion("bid").pairs == 8


def test_an_absurd_depth_does_not_poison_the_window() -> None:
    measure = WatchedResiliency(INSTRUMENT)
    for k in range(20):
        measure.observe(depths(START + k * SECOND, 1e300 if k == 10 else 100.0 + k % 3, 100.0))
    fit = measure.reversion("bid")
    assert (fit.pairs, fit.kappa_per_s is None) == (17, False)
    measure.observe(book_of(INSTRUMENT, START, [(-5, 1.0)], [(-3, 1.0)]))
    measure.observe(book_of(INSTRUMENT, START, [(2**62, 1.0)], [(2**62 + 1, 1.0)]))
    assert measure.reversion("bid") == fit


# Against a plain twin, over random streams


class Twin:
    """Sweeps straight from their definition, with all of the past at hand."""

    def __init__(self) -> None:
        self.looks: list[tuple[int, dict[int, float]]] = []
        self.burst: dict[int, dict[str, Any]] = {}
        self.waiting: list[dict[str, Any]] = []
        self.done: dict[int, list[float | None]] = {-1: [], 1: []}

    def trade(self, ts: int, size: float, side: int) -> None:
        burst = self.burst.get(side)
        if burst is None or ts - burst["end"] > 50 * MS:
            before = [depth[side] for at, depth in self.looks if at < ts]
            known = before[-1] if before else math.inf
            burst = {"side": side, "end": ts, "size": 0.0, "before": known, "back": None}
            self.burst[side] = burst
        if ts > burst["end"]:
            burst["end"], burst["back"] = ts, None
        burst["size"] += size
        if burst["size"] >= 0.1 * burst["before"] and "awaited" not in burst:
            burst["awaited"] = True
            self.waiting.append(burst)

    def look(self, ts: int, bid: float, ask: float) -> None:
        depth = {-1: bid, 1: ask}
        self.looks.append((ts, depth))
        still = []
        for burst in self.waiting:
            elapsed = ts - burst["end"]
            is_back = depth[burst["side"]] >= 0.9 * burst["before"]
            if burst["back"] is None and 0 < elapsed < 2 * SECOND and is_back:
                burst["back"] = elapsed
            if burst["back"] is not None and elapsed > 50 * MS:
                self.done[burst["side"]].append(burst["back"] / 1e9)
            elif elapsed >= 2 * SECOND:
                back = burst["back"]
                self.done[burst["side"]].append(None if back is None else back / 1e9)
            else:
                still.append(burst)
        self.waiting = still


def random_stream(seed: int) -> list[tuple[Any, ...]]:
    """Looks and trades in the order of arrival; trades come up to 80 ms late."""
    rng = np.random.default_rng(seed)
    stream: list[tuple[float, tuple[Any, ...]]] = []
    ts = 0
    for _ in range(400):
        ts += int(rng.integers(20, 130))
        bid, ask = rng.choice((500.0, 880.0, 950.0, 1000.0), 2).tolist()
        stream.append((ts, ("look", START + ts * MS, bid, ask)))
    for _ in range(60):
        at = int(rng.integers(0, ts))
        for _ in range(int(rng.integers(1, 5))):
            at += int(rng.choice((0, 10, 40, 50, 60)))
            late = float(rng.choice((0.5, 80.0)))
            row = ("trade", START + at * MS, float(rng.choice((10.0, 60.0, 300.0))))
            stream.append((at + late, (*row, int(rng.choice((-1, 1))))))
    return [row for _, row in sorted(stream, key=lambda pair: pair[0])]


@pytest.mark.parametrize("seed", range(12))
def test_sweeps_equal_the_twin_however_trades_are_cut(seed: int) -> None:
    rng = np.random.default_rng(1_000 + seed)
    stream = random_stream(seed)
    twin, cut, single = (
        Twin(),
        *(WatchedResiliency(INSTRUMENT, min_sweeps=1, timeout_s=2.0) for _ in range(2)),
    )
    pending: list[tuple[int, int, float, int]] = []
    for kind, ts, *rest in stream:
        if kind == "trade":
            twin.trade(ts, *rest)
            pending.append((ts, 100_001, *rest))
            single.update(tape_of(pending[-1]))
            if rng.random() < 0.3:
                cut.update(tape_of(*pending))
                pending = []
        else:
            twin.look(ts, *rest)
            cut.update(tape_of(*pending))
            pending = []
            cut.observe(depths(ts, *rest))
            single.observe(depths(ts, *rest))
    assert cut.values() == single.values()
    for side, name in ((-1, "bid"), (1, "ask")):
        times = sorted(math.inf if t90 is None else t90 for t90 in twin.done[side])
        assert len(times) > 5
        values = cut.values()
        assert values[f"{name}_sweeps"] == len(times)
        assert values[f"{name}_dropped"] == 0
        median = times[math.ceil(len(times) / 2) - 1]
        assert values[f"{name}_t90_median_s"] == pytest.approx(median, rel=1e-12)
        censored = sum(math.isinf(t90) for t90 in times) / len(times)
        assert values[f"{name}_censored_share"] == pytest.approx(censored, abs=1e-12)


def test_scaling_sizes_or_prices_or_the_mirror_keeps_times() -> None:
    once, scaled, mirrored = (eager() for _ in range(3))
    for k, depth in enumerate((1000.0, 1000.0, 400.0, 600.0, 900.0, 1000.0)):
        ts = START + k * 100 * MS
        once.observe(depths(ts, 1000.0, depth))
        scaled.observe(depths(ts, 8000.0, 8 * depth))
        mirrored.observe(depths(ts, depth, 1000.0))
        if k == 1:
            once.update(buy(ts + MS, 600.0))
            scaled.update(buy(ts + MS, 4800.0))
            mirrored.update(tape_of((ts + MS, 99_999, 600.0, -1)))
    expected = once.values()["ask_t90_median_s"]
    assert expected == pytest.approx(0.299, rel=1e-9)
    assert scaled.values()["ask_t90_median_s"] == expected
    assert mirrored.values()["bid_t90_median_s"] == expected


@pytest.mark.parametrize(
    "options",
    [
        {"range_bps": 0.0},
        {"burst_ms": 0.0},
        {"consumed": 0.0},
        {"refilled": 1.5},
        {"timeout_s": math.inf},
        {"min_sweeps": 0},
    ],
)
def test_bad_parameters_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=f"Expected {next(iter(options))}"):
        WatchedResiliency(INSTRUMENT, **options)


def test_a_window_without_room_is_refused() -> None:
    with pytest.raises(ConfigError, match="min_pairs < window_s"):
        WatchedResiliency(INSTRUMENT, window_s=100)

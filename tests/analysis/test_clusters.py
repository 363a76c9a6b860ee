import math
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.cluster import DBSCAN

from alphaplus.analysis.book_levels import BookLevels
from alphaplus.analysis.clusters import Cluster, Clusters, _median, cluster_levels, round_step
from alphaplus.errors import ConfigError
from alphaplus.instruments import Instrument
from tests.analysis.planted_books import START, book_of, instrument_of


def dbscan(prices: Any, eps: float, min_samples: int, weights: Any) -> list[int]:
    found = DBSCAN(eps=eps, min_samples=min_samples).fit(
        np.array(prices, dtype=float).reshape(-1, 1), sample_weight=weights
    )
    return [int(label) for label in found.labels_]


@settings(max_examples=300)
@given(data=st.data(), eps=st.integers(1, 6), min_samples=st.integers(1, 12))
def test_labels_are_those_of_dbscan_on_whole_prices(
    data: st.DataObject, eps: int, min_samples: int
) -> None:
    prices = data.draw(st.lists(st.integers(0, 60), min_size=1, max_size=40))
    count = len(prices)
    weighted = st.lists(st.integers(0, 5), min_size=count, max_size=count).filter(any)
    weights = data.draw(st.none() | weighted)  # the oracle refuses weights that are all 0
    labels = cluster_levels(prices, eps=eps, min_samples=min_samples, sample_weight=weights)
    assert labels.tolist() == dbscan(prices, eps, min_samples, weights)


@pytest.mark.parametrize("seed", range(40))
def test_labels_are_those_of_dbscan_on_random_levels(seed: int) -> None:
    rng = np.random.default_rng(seed)
    count = int(rng.integers(2, 800))
    prices = rng.choice((1.0, 0.01)) * rng.gamma(2.0, 100.0, count) + 60_000.0
    if seed % 2:
        prices = np.sort(prices)[:: rng.choice((1, -1))]
    weights = rng.lognormal(0.0, 1.5, count)
    eps = float(np.median(np.diff(np.sort(prices)))) * rng.uniform(0.5, 4.0) + 1e-9
    min_samples = int(rng.integers(1, 12))
    labels = cluster_levels(prices, eps=eps, min_samples=min_samples, sample_weight=weights)
    assert labels.tolist() == dbscan(prices, eps, min_samples, weights)
    labels = cluster_levels(prices, eps=eps, min_samples=min_samples)
    assert labels.tolist() == dbscan(prices, eps, min_samples, None)


def test_border_between_two_clusters_goes_to_the_first_in_the_input() -> None:
    prices = [0.0, 1.0, 2.0, 4.0, 6.0, 7.0, 8.0]
    weights = [2.0, 2.0, 2.0, 0.5, 2.0, 2.0, 2.0]
    rising = cluster_levels(prices, eps=2.0, min_samples=5, sample_weight=weights)
    falling = cluster_levels(prices[::-1], eps=2.0, min_samples=5, sample_weight=weights)
    assert rising.tolist() == [0, 0, 0, 0, 1, 1, 1]
    assert falling.tolist() == [0, 0, 0, 0, 1, 1, 1]
    assert dbscan(prices, 2.0, 5, weights) == rising.tolist()


def test_bad_input_of_labels_is_refused() -> None:
    with pytest.raises(ValueError, match="one weight per price"):
        cluster_levels([1.0, 2.0], eps=1.0, sample_weight=[1.0])
    with pytest.raises(ValueError, match="finite prices"):
        cluster_levels([1.0, math.nan], eps=1.0)
    with pytest.raises(ValueError, match="eps above 0"):
        cluster_levels([1.0], eps=0.0)
    assert cluster_levels([], eps=1.0).tolist() == []


@given(
    st.lists(
        st.floats(0.0, 1e300, allow_nan=False) | st.sampled_from((1.0, 1.0, 2.0, 1e-300)),
        min_size=1,
        max_size=60,
    )
)
def test_median_without_a_sort_is_the_median(values: list[float]) -> None:
    array = np.array(values)
    expected = float(np.median(array / 2) * 2)  # halves, as the sum of two may overflow
    assert _median(array, len(array)) == pytest.approx(expected, rel=1e-15)


@pytest.mark.parametrize(
    ("twice_mid", "tick_units", "step"),
    [
        (2 * 617_000, 1, 1000),  # 61,700.0: 20 bps are 123.4
        (2 * 500_000, 1, 1000),  # 50,000.0: 20 bps are exactly 100
        (2 * 499_999, 1, 100),
        (2 * 400, 1, 0),  # 20 bps are less than a tick
        (2 * 5_000, 10, 100),  # a tick of ten last digits, 20 bps are 100 of them
        (2 * 4_999, 1, 0),  # the step would be the tick
    ],
)
def test_round_step(twice_mid: int, tick_units: int, step: int) -> None:
    assert round_step(twice_mid, tick_units) == step


def ladder(big: dict[int, float], *, mid: int = 100_000, gap: int = 25) -> list[Any]:
    """One unit each `gap` ticks over 60 bps of both sides, and some levels above them."""
    bids = {mid - d: 1.0 for d in range(1, 601, gap)}
    asks = {mid + d: 1.0 for d in range(1, 601, gap)}
    for tick, quantity in big.items():
        (bids if tick < mid else asks)[tick] = quantity
    return [list(bids.items()), list(asks.items())]


def look(clusters: Clusters, book: BookLevels) -> tuple[Cluster, ...]:
    clusters.observe(book)
    return clusters.clusters()


def test_planted_cluster_is_summed_up() -> None:
    instrument = instrument_of()
    book = book_of(instrument, START, *ladder({99_800: 5.0, 99_805: 3.0, 99_810: 2.0}))
    found = look(Clusters(instrument, min_notional=150_000.0), book)
    assert [cluster.side for cluster in found] == ["bid"]
    cluster = found[0]
    notionals = {99_800: 5 * 99_800, 99_805: 3 * 99_805, 99_810: 2 * 99_810}
    total = sum(notionals.values())
    depth = total + sum(100_000 - d for d in range(1, 501, 25))
    assert (cluster.low, cluster.high, cluster.levels) == (99_800.0, 99_810.0, 3)
    assert cluster.notional == pytest.approx(total, rel=1e-12)
    assert cluster.share == pytest.approx(total / depth, rel=1e-12)
    center = sum(tick * notional for tick, notional in notionals.items()) / total
    assert cluster.price == pytest.approx(center, rel=1e-12)
    assert cluster.distance_bps == pytest.approx(1e4 * (1e5 - center) / 1e5, rel=1e-9)
    assert cluster.round_number  # 20 bps are 200, so multiples of 100


def test_cluster_off_the_round_numbers_is_not_flagged() -> None:
    instrument = instrument_of()
    book = book_of(instrument, START, *ladder({99_700: 4.0, 99_705: 5.0}))
    (cluster,) = look(Clusters(instrument, min_notional=150_000.0), book)
    assert not cluster.round_number


def test_levels_beyond_the_range_take_no_part() -> None:
    instrument = instrument_of()
    outside = book_of(instrument, START, *ladder({99_499: 50.0, 100_501: 50.0}))
    inside = book_of(instrument, START, *ladder({99_500: 50.0, 100_501: 50.0}))
    clusters = Clusters(instrument, min_notional=1.5e5)
    assert look(clusters, outside) == ()
    # bids from 99,999 and asks from 100,001: the mid is 100,000, and 99,500 is 50 bps away
    assert [cluster.low for cluster in look(clusters, inside)] == [99_500.0]


def test_eps_in_ticks_and_the_demand_on_cores() -> None:
    instrument = instrument_of()
    big = {99_900: 4.0, 99_890: 4.0, 99_880: 4.0, 99_870: 4.0}
    book = book_of(instrument, START, *ladder(big))
    least = 150_000.0
    (joined,) = look(Clusters(instrument, min_notional=least), book)
    assert joined.levels == 4  # 1 bp is 10 ticks: the edge counts
    apart = look(Clusters(instrument, min_notional=least, eps_ticks=9), book)
    assert [cluster.levels for cluster in apart] == [1, 1, 1, 1]
    dense = look(Clusters(instrument, min_notional=least, core_share=0.9), book)
    assert dense == ()


def test_a_tick_wider_than_a_basis_point_still_joins_neighbours() -> None:
    instrument = instrument_of()
    book = book_of(instrument, START, [(999, 1.0), (998, 1.0)], [(1001, 1.0), (1003, 1.0)])
    found = look(Clusters(instrument, min_notional=0.0), book)
    assert [(cluster.side, cluster.levels) for cluster in found] == [
        ("bid", 2),
        ("ask", 1),
        ("ask", 1),
    ]


class Twin:
    """Clusters straight from their definition."""

    def __init__(self, instrument: Instrument, **options: Any) -> None:
        self.instrument, self.options = instrument, options

    def look(self, book: BookLevels) -> list[dict[str, Any]]:
        found = []
        middle = (int(book.bids.ticks[0]) + int(book.asks.ticks[0])) / 2
        eps = max(1.0, middle * 1e-4) if "eps_ticks" not in self.options else 5.0
        for side, levels in (("bid", book.bids), ("ask", book.asks)):
            inside = np.abs(levels.ticks - middle) * 10_000 <= 50 * middle
            ticks, notionals = levels.ticks[inside], levels.notionals[inside]
            depth = notionals.sum()
            taken = notionals >= np.median(notionals) if len(notionals) else inside[:0]
            ticks, notionals = ticks[taken], notionals[taken]
            core = self.options.get("core_share", 0.0) * depth
            for members in self.groups(ticks, notionals, eps, core):
                weight = notionals[members]
                if weight.sum() >= 0.05 * depth:
                    found.append(self.sum_up(side, ticks[members], weight, depth))
        return found

    def groups(self, ticks: Any, notionals: Any, eps: float, core: float) -> list[list[int]]:
        near = np.abs(ticks[:, None] - ticks[None, :]) <= eps
        cores = [i for i in range(len(ticks)) if notionals[near[i]].sum() >= core]
        groups: list[list[int]] = []
        for before, i in pairwise([-1, *cores]):
            if before >= 0 and near[before, i]:
                groups[-1].append(i)
            else:
                groups.append([i])
        for i in sorted(set(range(len(ticks))) - set(cores)):
            for group in groups:
                if any(near[i, j] for j in group if j in cores):
                    group.append(i)
                    break
        return [sorted(group) for group in groups]

    def sum_up(self, side: str, ticks: Any, weight: Any, depth: float) -> dict[str, Any]:
        return {
            "side": side,
            "price": float(ticks @ weight / weight.sum()) / 10,
            "low": float(ticks.min()) / 10,
            "high": float(ticks.max()) / 10,
            "notional": weight.sum(),
            "levels": len(ticks),
            "share": weight.sum() / depth,
            "round_number": int(ticks[weight.argmax()]) % 1000 == 0,
        }


@pytest.mark.parametrize("options", [{}, {"core_share": 0.02}, {"eps_ticks": 5}])
@pytest.mark.parametrize("seed", range(20))
def test_clusters_equal_the_naive_twin(seed: int, options: dict[str, Any]) -> None:
    rng = np.random.default_rng(seed)
    instrument = instrument_of("0.1")
    ticks = 600_000 + np.cumsum(rng.geometric(rng.uniform(0.02, 0.5), 400))
    offsets = np.cumsum(rng.geometric(rng.uniform(0.02, 0.5), 400))
    quantities = rng.lognormal(0.0, 1.5, (2, 400))
    bids = list(zip((600_000 - offsets).tolist(), quantities[0].tolist(), strict=True))
    asks = list(zip(ticks.tolist(), quantities[1].tolist(), strict=True))
    book = book_of(instrument, START, bids, asks)
    found = look(Clusters(instrument, **options), book)
    expected = Twin(instrument, **options).look(book)
    assert len(found) == len(expected) > 0
    for cluster, twin in zip(found, expected, strict=True):
        plain = cluster.as_dict()
        for name, value in twin.items():
            expected_value = pytest.approx(value, rel=1e-12) if isinstance(value, float) else value
            assert plain[name] == expected_value, name


def random_sides(seed: int) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    offsets = np.cumsum(rng.geometric(0.05, (2, 300)), axis=1)
    quantities = rng.lognormal(0.0, 1.0, (2, 300))
    bids = list(zip((50_000 - offsets[0]).tolist(), quantities[0].tolist(), strict=True))
    asks = list(zip((50_000 + offsets[1]).tolist(), quantities[1].tolist(), strict=True))
    return bids, asks


def plain(clusters: tuple[Cluster, ...], *names: str) -> list[tuple[Any, ...]]:
    return [tuple(cluster.as_dict()[name] for name in names) for cluster in clusters]


@pytest.mark.parametrize("seed", range(10))
def test_scaling_sizes_scales_notionals_only(seed: int) -> None:
    bids, asks = random_sides(seed)
    instrument = instrument_of()
    once = look(Clusters(instrument, eps_ticks=8), book_of(instrument, START, bids, asks))
    bids, asks = ([(tick, 3.0 * size) for tick, size in side] for side in (bids, asks))
    thrice = look(Clusters(instrument, eps_ticks=8), book_of(instrument, START, bids, asks))
    assert plain(once, "side", "low", "high", "levels") == plain(
        thrice, "side", "low", "high", "levels"
    )
    for a, b in zip(once, thrice, strict=True):
        assert b.notional == pytest.approx(3 * a.notional, rel=1e-12)
        assert b.share == pytest.approx(a.share, rel=1e-12)
        assert b.price == pytest.approx(a.price, rel=1e-12)


@pytest.mark.parametrize("seed", range(10))
def test_scaling_prices_and_tick_keeps_distances(seed: int) -> None:
    bids, asks = random_sides(seed)
    small, large = instrument_of("1"), instrument_of("10")
    a = look(Clusters(small), book_of(small, START, bids, asks))
    b = look(Clusters(large), book_of(large, START, bids, asks))
    assert plain(a, "side", "levels") == plain(b, "side", "levels")
    for one, other in zip(a, b, strict=True):
        assert other.distance_bps == pytest.approx(one.distance_bps, rel=1e-9)
        assert other.share == pytest.approx(one.share, rel=1e-12)
        assert other.price == pytest.approx(10 * one.price, rel=1e-12)


@pytest.mark.parametrize("seed", range(10))
def test_a_mirrored_book_has_mirrored_clusters(seed: int) -> None:
    bids, asks = random_sides(seed)
    instrument = instrument_of("1", size=10.0, inverse=True)  # notional does not know the price
    twice_mid = max(bids)[0] + min(asks)[0]
    book = book_of(instrument, START, bids, asks)
    mirrored = book_of(
        instrument,
        START,
        [(twice_mid - tick, size) for tick, size in asks],
        [(twice_mid - tick, size) for tick, size in bids],
    )
    found = look(Clusters(instrument), book)
    other = look(Clusters(instrument), mirrored)
    for side, opposite in (("bid", "ask"), ("ask", "bid")):
        here = [cluster for cluster in found if cluster.side == side]
        there = [cluster for cluster in other if cluster.side == opposite]
        assert plain(tuple(here), "notional", "levels", "share") == plain(
            tuple(there), "notional", "levels", "share"
        )
        for a, b in zip(here, there, strict=True):
            assert b.low == twice_mid - a.high
            assert b.distance_bps == pytest.approx(a.distance_bps, rel=1e-9)


def test_values_before_and_after_a_look_and_an_interruption() -> None:
    instrument = instrument_of()
    clusters = Clusters(instrument)
    assert set(clusters.values().values()) == {None}
    assert set(clusters.missing()) == set(clusters.values())
    clusters.observe(book_of(instrument, START, *ladder({}), known=(99_500, 100_499)))
    values = clusters.values()
    assert (values["bid_truncated"], values["ask_truncated"]) == (False, True)
    assert len(values["clusters"]) == len(clusters.clusters()) > 0
    assert clusters.missing() == {}
    clusters.interrupt()
    assert set(clusters.values().values()) == {None}
    assert clusters.clusters() == ()


def test_absurd_books_give_finite_values_or_none() -> None:
    instrument = instrument_of()
    clusters = Clusters(instrument)
    huge = {99_900: 1e300, 99_895: 1e300, 100_100: 1e308}
    clusters.observe(book_of(instrument, START, *ladder(huge)))
    for cluster in clusters.clusters():
        for value in cluster.as_dict().values():
            assert isinstance(value, str | bool) or math.isfinite(value)
    clusters.observe(book_of(instrument, START, [(-5, 1.0)], [(-3, 1.0)]))
    clusters.observe(book_of(instrument, START, [(2**62, 1.0)], [(2**62 + 1, 1.0)]))
    expected = Clusters(instrument)
    expected.observe(book_of(instrument, START, *ladder(huge)))
    assert clusters.values() == expected.values()  # books without a price are not looked at


@pytest.mark.parametrize(
    "options",
    [
        {"eps_bps": 0.0},
        {"eps_ticks": 0},
        {"min_notional": -1.0},
        {"min_share": 0.0},
        {"core_share": 1.5},
        {"range_bps": 10_000.0},
    ],
)
def test_bad_parameters_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=f"Expected {next(iter(options))}"):
        Clusters(instrument_of(), **options)

import math
from collections import defaultdict
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alphaplus.analysis._wall_kernels import median_and_mad
from alphaplus.analysis.book_levels import BookLevels, side_levels
from alphaplus.analysis.tape import Tape
from alphaplus.analysis.wall import Outcome, Wall, classify_removal, strength, z_scores
from alphaplus.analysis.walls import Walls
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
from tests.analysis.watching import WatchedWalls

INSTRUMENT = instrument_of("1", inverse=True)  # a contract is worth 1: notional = size
MID = 100_000  # a bucket of 1 bp is 10 ticks, bids 0 to 9 below 100,000 are the first
SIZES = (8.0, 9.0, 10.0, 11.0, 12.0)


def plain_sides(mid: int = MID) -> tuple[dict[int, float], dict[int, float]]:
    """One level a tick for the best one and then one a bucket, sizes from 8 to 12."""
    bids, asks = {mid - 1: 10.0}, {mid + 1: 10.0}
    for k in range(1, 60):
        bids[mid - 10 * k - 5] = SIZES[k % 5]
        asks[mid + 10 * k + 5] = SIZES[(k + 2) % 5]
    return bids, asks


def with_wall(ts: int, tick: int | None, size: float = 100.0, mid: int = MID) -> BookLevels:
    bids, asks = plain_sides(mid)
    if tick is not None:
        side = bids if tick < mid else asks
        side[tick] = size
    return book_of(INSTRUMENT, ts, bids.items(), asks.items())


def watch(
    walls: WatchedWalls, tick: int | None, since_ms: int, until_ms: int, size: float = 100
) -> None:
    """Show the same book every 100 ms from one moment up to, without, another."""
    for ms in range(since_ms, until_ms, 100):
        walls.observe(with_wall(START + ms * MS, tick, size))


def standing(ms: int = 3_100, tick: int = 99_800, size: float = 100.0) -> WatchedWalls:
    """Walls that have seen one wall for a time."""
    walls = WatchedWalls(INSTRUMENT)
    watch(walls, tick, 0, ms, size)
    return walls


# What a wall is


def test_planted_walls_are_found_and_nothing_else() -> None:
    found = right = 0
    for seed in range(1_000):
        rng = np.random.default_rng(seed)
        away = [1 + np.flatnonzero(rng.random(600) < 0.5) for _ in range(2)]
        sizes = [rng.lognormal(0.0, 0.5, len(offsets)) for offsets in away]
        s, bucket = int(rng.integers(0, 2)), int(rng.integers(1, 48))
        inside = np.bincount(away[s] // 10, sizes[s])[:49]
        at = int(np.searchsorted(away[s], 10 * bucket))
        sizes[s][at] += 10 * float(np.median(inside))
        ticks = MID - away[0], MID + away[1]
        sides = [side_levels(INSTRUMENT, ticks[k], sizes[k], 0) for k in (0, 1)]
        walls = WatchedWalls(INSTRUMENT)
        for ts in (START, START + 3 * SECOND):
            walls.observe(BookLevels.from_sides(INSTRUMENT, *sides, ts_event=ts))
        prices = [wall.price for wall in walls.walls()]
        found += len(prices)
        right += float(ticks[s][at]) in prices
    assert right / 1_000 >= 0.95
    assert right / found >= 0.95


def test_wall_says_what_it_is() -> None:
    (wall,) = standing(10_100).walls()
    depth = 10.0 + sum(SIZES[k % 5] for k in range(1, 50)) + 100.0
    assert (wall.side, wall.price, wall.low, wall.high) == ("bid", 99_800.0, 99_791.0, 99_800.0)
    bucket = 100.0 + SIZES[20 % 5]
    assert wall.notional == bucket
    assert wall.share == pytest.approx(bucket / depth, rel=1e-12)
    assert wall.distance_bps == pytest.approx(20.0, rel=1e-12)
    assert (wall.age_s, wall.persistence, wall.outcome) == (10.0, 1.0, Outcome.STANDING)
    expected = bucket / depth * math.exp(-20 / 25)
    assert wall.strength == pytest.approx(expected, rel=1e-12)
    sizes = [10.0, *(SIZES[k % 5] for k in range(1, 50)), bucket]
    del sizes[20]
    assert wall.z_score == pytest.approx(z_scores(np.array(sizes))[-1], rel=1e-9)
    assert (wall.times_tested, wall.traded_notional, wall.traded_through) == (0, 0.0, False)


def test_it_takes_three_seconds() -> None:
    walls = standing(3_000)
    assert walls.walls() == ()
    watch(walls, 99_800, 3_000, 3_100)
    (wall,) = walls.walls()
    assert (wall.age_s, wall.persistence) == (3.0, 0.31)


def test_a_flash_of_a_second_is_no_wall() -> None:
    walls = WatchedWalls(INSTRUMENT)
    for k in range(10):
        watch(walls, None, 4_000 * k, 4_000 * k + 3_000)
        watch(walls, 99_800, 4_000 * k + 3_000, 4_000 * k + 4_000)
        assert walls.walls() == ()
    assert walls.ended() == ()


def test_nine_tenths_of_ten_seconds_are_enough() -> None:
    walls = WatchedWalls(INSTRUMENT, hold_s=60.0)
    for k in range(99):
        assert walls.walls() == ()
        watch(walls, None if k % 11 == 5 else 99_800, 100 * k, 100 * k + 100)
    watch(walls, 99_800, 9_900, 10_000)
    (wall,) = walls.walls()
    assert wall.persistence == 0.91


def test_fewer_than_eight_buckets_have_no_wall() -> None:
    for buckets, walls_found in ((7, 0), (8, 1)):
        walls = WatchedWalls(INSTRUMENT)
        for ms in range(0, 4_000, 100):
            bids = {MID - 10 * k - 5: SIZES[k % 5] for k in range(buckets)}
            bids[MID - 15] = 500.0
            _, asks = plain_sides()
            walls.observe(book_of(INSTRUMENT, START + ms * MS, bids.items(), asks.items()))
        assert len(walls.walls()) == walls_found


def test_without_deviation_the_share_decides_alone() -> None:
    for size, walls_found in ((16.0, 0), (17.0, 1)):  # of 50 buckets of 1: 17 / 66 is above 1/4
        walls = WatchedWalls(INSTRUMENT)
        for ms in range(0, 4_000, 100):
            bids = {MID - 10 * k - 5: 1.0 for k in range(50)}
            bids[MID - 105] = size
            _, asks = plain_sides()
            walls.observe(book_of(INSTRUMENT, START + ms * MS, bids.items(), asks.items()))
        assert len(walls.walls()) == walls_found
    assert walls.walls()[0].z_score is None
    assert walls.values()["walls"][0]["z_score"] is None


def test_levels_beyond_fifty_basis_points_take_no_part() -> None:
    assert len(standing(tick=99_500, size=200.0).walls()) == 1
    assert standing(tick=99_499, size=200.0).walls() == ()


# Hysteresis


def score_of(size: float) -> tuple[float, float]:
    (wall,) = standing(3_100, size=size).walls()
    assert wall.z_score is not None
    return wall.z_score, wall.share


def test_no_flapping_with_noise_around_either_threshold() -> None:
    rng = np.random.default_rng(3)
    enter, release = 0.1, 0.07  # the share binds, as the sizes of the other buckets are close
    rest = sum(SIZES[k % 5] for k in range(1, 50)) + 10.0 - SIZES[20 % 5]
    for level, walls_found in ((enter, 1), (release, 0)):
        walls = standing(3_100, size=80.0)
        ended = []
        for k in range(300):
            share = level * (1 + 0.05 * rng.standard_normal())
            size = share / (1 - share) * rest - SIZES[20 % 5]
            watch(walls, 99_800, 3_100 + 100 * k, 3_200 + 100 * k, size=size)
            ended.append(len(walls.walls()))
        changes = sum(a != b for a, b in pairwise(ended))
        assert changes == 1 - walls_found
        assert ended[-1] == walls_found


def test_wall_stays_between_release_and_entry() -> None:
    bids, asks = plain_sides()
    size = 0.08 / 0.92 * (sum(bids.values()) - 10 * 10 - SIZES[0])  # of 60 buckets 50 count
    walls = standing()
    watch(walls, 99_800, 3_100, 20_000, size=size)
    assert len(walls.walls()) == 1
    assert standing(20_000, size=size).walls() == ()
    assert asks


# Buckets


def test_a_moving_mid_keeps_every_bucket() -> None:
    walls = WatchedWalls(INSTRUMENT)
    rng = np.random.default_rng(8)
    bids, asks = plain_sides()
    bids[99_800] = 100.0
    lows: set[float] = set()
    for k in range(600):
        walk = int(30 * math.sin(k / 20) + rng.integers(-3, 4))
        best = {MID + walk - 1: 10.0}
        below = {tick: size for tick, size in bids.items() if tick < MID + walk - 1}
        above = {tick: size for tick, size in asks.items() if tick > MID + walk + 1}
        ts = START + k * 100 * MS
        sides = (below | best).items(), (above | {MID + walk + 1: 10.0}).items()
        walls.observe(book_of(INSTRUMENT, ts, *sides))
        lows |= {wall.low for wall in walls.walls()}
    (wall,) = walls.walls()
    assert (wall.price, wall.age_s, len(lows)) == (99_800.0, 59.9, 1)
    assert walls.ended() == ()


def test_buckets_are_laid_anew_a_tenth_away_and_the_wall_goes_on() -> None:
    walls = WatchedWalls(INSTRUMENT)
    walls.observe(with_wall(START, None))
    for k in range(40):
        walls.observe(with_wall(START + k * 100 * MS, 89_900, mid=90_010))
    (wall,) = walls.walls()
    assert (wall.low, wall.high, wall.age_s) == (89_891.0, 89_900.0, 3.9)
    walls.observe(with_wall(START + 4_000 * MS, 89_900, mid=89_990))
    (wall,) = walls.walls()
    assert (wall.low, wall.high, wall.age_s) == (89_892.0, 89_900.0, 4.0)
    assert (wall.persistence, walls.ended()) == (0.41, ())


def test_two_walls_that_come_to_share_a_bucket_are_one() -> None:
    walls = WatchedWalls(INSTRUMENT)
    walls.observe(with_wall(START, None))
    for k, mid in enumerate([109_990] * 40 + [110_010] * 10):
        bids, asks = plain_sides(mid)
        bids |= {109_900: 200.0, 109_890: 150.0}
        ts = START + k * 100 * MS
        walls.observe(book_of(INSTRUMENT, ts, bids.items(), asks.items()))
        assert len(walls.walls()) == (0 if k < 30 else 2 if k < 40 else 1)
    (wall,) = walls.walls()
    assert (wall.price, wall.notional >= 350.0, wall.age_s) == (109_900.0, True, 4.9)
    assert [(wall.price, wall.outcome) for wall in walls.ended()] == [(109_890.0, Outcome.LEFT)]


def test_a_tick_wider_than_a_basis_point_is_a_bucket() -> None:
    walls = WatchedWalls(INSTRUMENT)
    for ms in range(0, 3_100, 100):
        bids = {4_000 - k: SIZES[k % 5] for k in range(1, 21)}
        asks = {4_000 + k: SIZES[k % 5] for k in range(1, 21)}
        asks[4_010] = 200.0
        walls.observe(book_of(INSTRUMENT, START + ms * MS, bids.items(), asks.items()))
    (wall,) = walls.walls()
    assert (wall.side, wall.low, wall.high) == ("ask", 4_010.0, 4_010.0)


# How walls end


def sell(ms: int, size: float, tick: int = 99_800) -> Tape:
    return tape_of((START + ms * MS, tick, size, -1))


def test_a_wall_that_vanishes_without_trades_was_pulled() -> None:
    walls = standing()
    watch(walls, None, 3_100, 3_300)
    assert walls.walls() == ()
    assert walls.ended() == ()  # trades may still arrive
    watch(walls, None, 3_300, 3_400)
    assert walls.ended() == ()
    watch(walls, None, 3_400, 3_500)
    (wall,) = walls.ended()
    assert (wall.outcome, wall.pulled) == (Outcome.PULLED, True)
    assert (wall.price, wall.age_s, wall.notional) == (99_800.0, 3.1, 108.0)


@pytest.mark.parametrize(
    ("at_ms", "size", "outcome"),
    [
        (3_050, 50.0, Outcome.CONSUMED),
        (3_050, 49.9, Outcome.PULLED),
        (2_850, 50.0, Outcome.CONSUMED),  # 250 ms before the look that missed it
        (2_849, 50.0, Outcome.PULLED),
        (3_350, 50.0, Outcome.CONSUMED),  # and 250 ms after it
        (3_351, 50.0, Outcome.PULLED),
    ],
)
def test_half_of_it_traded_within_250_ms_means_consumed(
    at_ms: int, size: float, outcome: Outcome
) -> None:
    walls = standing()
    watch(walls, None, 3_100, 3_200)
    walls.update(sell(at_ms, size))
    watch(walls, None, 3_200, 3_500)
    assert [wall.outcome for wall in walls.ended()] == [outcome]


@pytest.mark.parametrize(
    "row",
    [
        (99_801, 100.0, -1),  # the bucket ends at 99,800
        (99_790, 100.0, -1),
        (99_800, 100.0, 1),  # a buyer takes no bids
    ],
)
def test_trades_elsewhere_or_of_the_other_side_do_not_count(row: tuple[int, float, int]) -> None:
    walls = standing()
    walls.update(tape_of((START + 3_050 * MS, *row)))
    watch(walls, None, 3_100, 3_500)
    assert walls.ended()[0].outcome is Outcome.PULLED


def test_trades_of_unknown_side_count_as_volume_but_not_off_market_ones() -> None:
    for off_market, outcome in ((0, Outcome.CONSUMED), (1, Outcome.PULLED)):
        walls = standing()
        trades = trades_of([(START + 3_050 * MS, 99_795, 100.0, 0)])
        trades["off_market"] = off_market
        walls.update(Tape.of(trades=trades))
        watch(walls, None, 3_100, 3_500)
        assert walls.ended()[0].outcome is outcome


def test_a_wall_eaten_piece_by_piece_was_consumed() -> None:
    walls = standing()
    for k in range(20):
        walls.update(sell(3_050 + 100 * k, 5.0))
        watch(walls, 99_800, 3_100 + 100 * k, 3_200 + 100 * k, size=100.0 - 5.0 * (k + 1) + 0.01)
    watch(walls, None, 5_100, 5_600)
    (wall,) = walls.ended()
    assert wall.outcome is Outcome.CONSUMED
    assert wall.traded_notional >= 50.0


def test_a_wall_that_the_rest_outgrows_has_faded() -> None:
    walls = standing()
    for ms in range(3_100, 4_000, 100):
        bids, asks = plain_sides()
        bids = {tick: 20 * size for tick, size in bids.items()}
        bids[99_800] = 100.0
        walls.observe(book_of(INSTRUMENT, START + ms * MS, bids.items(), asks.items()))
    assert [wall.outcome for wall in walls.ended()] == [Outcome.FADED]
    assert walls.values()["removed_walls"] == 0


def test_a_wall_that_is_back_within_250_ms_goes_on() -> None:
    walls = standing(12_000)
    watch(walls, None, 12_000, 12_200)
    assert walls.walls() == ()
    watch(walls, 99_800, 12_200, 13_000)
    (wall,) = walls.walls()
    assert wall.age_s == 12.9
    assert walls.ended() == ()


def test_a_wall_that_the_mid_leaves_behind_is_not_judged() -> None:
    walls = standing()
    for k in range(10):
        walls.observe(with_wall(START + (3_100 + 100 * k) * MS, 99_800, mid=MID + 400))
    assert [wall.outcome for wall in walls.ended()] == [Outcome.LEFT]
    far = standing()
    far.observe(with_wall(START + 3_100 * MS, None, mid=MID + 2_000))
    assert [wall.outcome for wall in far.ended()] == [Outcome.LEFT]


def test_tests_are_counted_once_an_approach() -> None:
    walls = WatchedWalls(INSTRUMENT)
    for k, best in enumerate([99_990] * 31 + [99_811, 99_810, 99_805, 99_815, 99_809, 99_850] * 2):
        bids, asks = plain_sides()
        bids = {tick: size for tick, size in bids.items() if tick < best - 9}
        bids |= {best: 10.0, 99_800: 100.0}
        walls.observe(book_of(INSTRUMENT, START + k * 100 * MS, bids.items(), asks.items()))
    (wall,) = walls.walls()
    assert wall.times_tested == 2


def test_trades_at_and_beyond_a_wall_are_noted() -> None:
    walls = standing()
    walls.update(tape_of((START + 3_050 * MS, 99_800, 5.0, -1)))
    walls.update(tape_of((START + 3_050 * MS, 99_791, 3.0, -1), (START, 99_700, 7.0, 1)))
    watch(walls, 99_800, 3_100, 3_200)
    (wall,) = walls.walls()
    assert (wall.traded_notional, wall.traded_through) == (8.0, False)
    walls.update(sell(3_150, 1.0, tick=99_790))
    watch(walls, 99_800, 3_200, 3_300)
    (wall,) = walls.walls()
    assert (wall.traded_notional, wall.traded_through) == (8.0, True)


def test_pull_risk_counts_what_was_removed() -> None:
    walls = WatchedWalls(INSTRUMENT)
    for k in range(12):
        begin = 60_000 * k
        watch(walls, 99_800, begin, begin + 3_100 + 1_000 * k)
        if k % 3 == 0:
            walls.update(sell(begin + 3_050 + 1_000 * k, 100.0))
        watch(walls, None, begin + 3_100 + 1_000 * k, begin + 3_500 + 1_000 * k)
        if k == 8:
            assert walls.values()["pulled_rate"] is None
            assert walls.missing()["pulled_rate"] == "9 of 10 removed walls"
    values = walls.values()
    assert values["removed_walls"] == 12
    assert values["pulled_rate"] == pytest.approx(8 / 12)
    assert values["cancel_before_touch_rate"] == pytest.approx(8 / 12)
    assert values["lifetime_median_s"] == pytest.approx(3.1 + 5.5)
    assert walls.missing() == {}
    assert [wall.outcome for wall in walls.ended(3)] == [
        Outcome.PULLED,
        Outcome.PULLED,
        Outcome.CONSUMED,
    ]


def test_ended_walls_are_kept_up_to_a_bound() -> None:
    walls = WatchedWalls(INSTRUMENT, hold_s=0.1)
    for k in range(300):
        begin = 20_000 * k
        watch(walls, 99_800, begin, begin + 200)
        watch(walls, None, begin + 200, begin + 600)
    assert len(walls.ended(1_000)) == walls.values()["removed_walls"] == 256


# P1 to P3


Books = list[tuple[int, dict[int, float], dict[int, float]]]


def random_walk(seed: int, count: int = 120, *, still: int | None = None) -> Books:
    """Books with some walls that come and go, around a mid that moves, or is `still`."""
    rng = np.random.default_rng(seed)
    ts, mid, planted = 0, 5_000, dict[int, float]()
    sizes = {tick: float(rng.lognormal(0.0, 0.25)) for tick in range(4_900, 5_100)}
    books = []
    for _ in range(count):
        ts += int(rng.integers(60, 400))
        mid = int(np.clip(mid + rng.integers(-1, 2), 4_985, 5_015)) if still is None else still
        if rng.random() < 0.2:
            planted[int(rng.integers(4_980, 5_021))] = float(rng.choice((4.0, 6.0, 12.0)))
        if planted and rng.random() < 0.12:
            del planted[int(rng.choice(list(planted)))]
        sizes[int(rng.integers(4_980, 5_021))] *= float(rng.lognormal(0.0, 0.1))
        now = sizes | planted
        bids = {tick: size for tick, size in now.items() if tick < mid}
        asks = {tick: size for tick, size in now.items() if tick > mid}
        books.append((START + ts * MS, bids, asks))
    return books


def run(books: Any, instrument: Any = INSTRUMENT) -> tuple[list[tuple[Wall, ...]], Walls]:
    walls = WatchedWalls(instrument, hold_s=1.0)
    seen = []
    for ts, bids, asks in books:
        walls.observe(book_of(instrument, ts, bids.items(), asks.items()))
        seen.append(walls.walls())
    return seen, walls


def same(wall: Wall, other: Wall, **changed: Any) -> None:
    expected = wall.as_dict() | changed
    for name, value in other.as_dict().items():
        if isinstance(value, float):
            assert value == pytest.approx(expected[name], rel=1e-9, abs=1e-12), name
        else:
            assert value == expected[name], name


@pytest.mark.parametrize("seed", range(8))
def test_scaling_sizes_scales_notionals_only(seed: int) -> None:
    books = random_walk(seed)
    scaled = [
        (ts, *({tick: 3 * size for tick, size in side.items()} for side in sides))
        for ts, *sides in books
    ]
    once, _ = run(books)
    thrice, _ = run(scaled)
    assert sum(map(len, once)) > 20
    for walls, others in zip(once, thrice, strict=True):
        assert len(walls) == len(others)
        for wall, other in zip(walls, others, strict=True):
            same(wall, other, notional=3 * wall.notional)


@pytest.mark.parametrize("seed", range(8))
def test_scaling_prices_and_tick_keeps_distances(seed: int) -> None:
    books = random_walk(seed)
    once, _ = run(books)
    scaled, _ = run(books, instrument_of("10", inverse=True))
    for walls, others in zip(once, scaled, strict=True):
        assert len(walls) == len(others)
        for wall, other in zip(walls, others, strict=True):
            prices = {name: 10 * getattr(wall, name) for name in ("price", "low", "high")}
            same(wall, other, **prices)


@pytest.mark.parametrize("seed", range(8))
def test_a_mirrored_market_has_mirrored_walls(seed: int) -> None:
    books = random_walk(seed, still=5_000)
    if seed % 2:  # a mid between two ticks
        books = [(ts, bids, asks | {5_000: 1.0}) for ts, bids, asks in books]
    twice_mid = max(books[0][1]) + min(books[0][2])

    def mirror(side: dict[int, float]) -> dict[int, float]:
        return {twice_mid - tick: size for tick, size in side.items()}

    def by_size(wall: Wall) -> tuple[float, ...]:
        return wall.notional, wall.share, wall.age_s

    once, ended = run(books)
    mirrored, other_ended = run([(ts, mirror(asks), mirror(bids)) for ts, bids, asks in books])
    assert sum(map(len, once)) > 20
    for walls, others in (
        *zip(once, mirrored, strict=True),
        (ended.ended(99), other_ended.ended(99)),
    ):
        assert len(walls) == len(others)
        pairs = zip(sorted(walls, key=by_size), sorted(others, key=by_size), strict=True)
        for wall, other in pairs:
            turned = {
                "side": {"bid": "ask", "ask": "bid"}[wall.side],
                "price": twice_mid - wall.price,
                "low": twice_mid - wall.high,
                "high": twice_mid - wall.low,
            }
            same(wall, other, **turned)


# Against a plain twin, over random streams


class Twin:
    """Walls straight from their definition, with all of the past at hand (bids only)."""

    def __init__(self) -> None:
        self.anchor = 0
        self.looks: list[tuple[int, dict[int, float], dict[int, bool]]] = []
        self.walls: dict[int, int] = {}
        self.releases: dict[int, tuple[int, int]] = {}
        self.trades: list[tuple[int, int, float, int]] = []
        self.ended: list[tuple[int, str]] = []

    def look(self, ts: int, bids: dict[int, float], asks: dict[int, float]) -> None:
        twice_mid = max(bids) + min(asks)
        if not self.looks:
            self.anchor = twice_mid // 2
        sums: dict[int, float] = defaultdict(float)
        for tick, size in bids.items():
            if 20_000 * tick >= twice_mid * 9_950:
                sums[self.anchor - tick] += size
        depth = sum(sums.values())
        scores = dict(zip(sums, z_scores(np.array(list(sums.values()))), strict=True))
        held = {}
        for bucket, size in sums.items():
            share, z = size / depth, scores[bucket]
            entry, kept = z >= 3.5 and share >= 0.1, z >= 2.5 and share >= 0.07
            held[bucket] = kept if bucket in self.walls else entry
        self.looks.append((ts, sums, held))
        for bucket in {*held, *self.walls, *self.releases}:
            self.follow(ts, bucket, held.get(bucket, False), twice_mid)

    def follow(self, ts: int, bucket: int, held: bool, twice_mid: int) -> None:
        since = ts
        for at, _, states in reversed(self.looks):
            if not states.get(bucket):
                break
            since = at
        stays = ts - since >= SECOND or self.persistence(ts, bucket) >= 90
        if held and stays and bucket not in self.walls:
            self.walls[bucket] = since
            if bucket in self.releases:
                self.walls[bucket] = self.releases.pop(bucket)[1]
        is_beyond = 20_000 * (self.anchor - bucket) < twice_mid * 9_950
        if not held and bucket in self.walls:
            born = self.walls.pop(bucket)
            if is_beyond:
                self.ended.append((bucket, "left"))
            else:
                self.releases[bucket] = ts, born
        if bucket in self.releases and ts - self.releases[bucket][0] >= 250 * MS:
            released, _ = self.releases.pop(bucket)
            self.ended.append((bucket, "left" if is_beyond else self.judge(bucket, released)))

    def persistence(self, ts: int, bucket: int) -> int:
        cell = ts // (100 * MS)
        newest, count = cell, 0
        for at, _, held in reversed(self.looks):
            first = max(at // (100 * MS), cell - 99)
            count += (newest - first + 1) * bool(held.get(bucket))
            newest = min(newest, first - 1)
            if newest < cell - 99:
                break
        return count

    def judge(self, bucket: int, released: int) -> str:
        noted: list[tuple[int, float]] = []
        for at, sums, held in self.looks:
            if held.get(bucket) and (not noted or at - noted[-1][0] >= 100 * MS):
                noted.append((at, sums[bucket]))
        early = [size for at, size in noted[-4:] if at <= released - 250 * MS]
        before = early[-1] if early else noted[-4:][0][1]
        after = self.looks[-1][1].get(bucket, 0.0)
        traded = sum(
            size
            for at, tick, size, side in self.trades
            if abs(at - released) <= 250 * MS and self.anchor - tick == bucket and side <= 0
        )
        if before - after < 0.2 * before:
            return "faded"
        return "consumed" if traded >= 0.5 * (before - after) else "pulled"


@pytest.mark.parametrize("seed", range(8))
def test_walls_equal_the_twin_however_trades_are_cut(seed: int) -> None:
    rng = np.random.default_rng(500 + seed)
    twin, cut, single = (
        Twin(),
        WatchedWalls(INSTRUMENT, hold_s=1.0),
        WatchedWalls(INSTRUMENT, hold_s=1.0),
    )
    last = START
    for ts, bids, asks in random_walk(seed, 160):
        trades = []
        for _ in range(int(rng.integers(0, 6))):
            at = int(rng.integers(last, ts + 1))
            tick = max(bids) - int(rng.integers(0, 20))
            trades.append((at, tick, float(rng.choice((0.5, 4.0))), int(rng.choice((-1, 0, 1)))))
        trades.sort()
        twin.trades += trades
        for row in trades:
            single.update(tape_of(row))
        middle = int(rng.integers(0, len(trades) + 1))
        cut.update(tape_of(*trades[:middle]))
        cut.update(tape_of(*trades[middle:]))
        book = book_of(INSTRUMENT, ts, bids.items(), asks.items())
        twin.look(ts, bids, asks)
        cut.observe(book)
        single.observe(book)
        last = ts
        assert cut.values() == single.values()
        found = {wall.low: wall for wall in cut.walls() if wall.side == "bid"}
        assert set(found) == {float(twin.anchor - bucket) for bucket in twin.walls}
        for bucket, since in twin.walls.items():
            wall = found[float(twin.anchor - bucket)]
            assert wall.age_s == (ts - since) / 1e9
            assert wall.persistence == twin.persistence(ts, bucket) / 100
            assert wall.notional == pytest.approx(twin.looks[-1][1][bucket], rel=1e-12)
    ended = [(w.low, w.outcome.name.lower()) for w in cut.ended(256) if w.side == "bid"]
    expected = [(float(twin.anchor - bucket), outcome) for bucket, outcome in twin.ended]
    assert sorted(ended) == sorted(expected)
    assert len(expected) > 3


@given(st.lists(st.floats(-10.0, 10.0) | st.integers(-3, 3).map(float), min_size=1, max_size=40))
def test_median_and_deviation_in_one_order(values: list[float]) -> None:
    array = np.array(values)
    median, mad = median_and_mad(array.copy(), len(array))
    assert median == pytest.approx(float(np.median(array)), abs=1e-12)
    assert mad == pytest.approx(float(np.median(np.abs(array - np.median(array)))), abs=1e-12)


# The pure functions, and the edges


def test_pure_functions() -> None:
    assert np.isnan(z_scores(np.ones(10))).all()
    assert z_scores(np.array([])).tolist() == []
    assert strength(2.0, 0.5, 25.0) == pytest.approx(0.5 / math.e)
    assert classify_removal(100.0, 81.0, 100.0) is Outcome.FADED
    assert classify_removal(100.0, 80.0, 10.0) is Outcome.CONSUMED
    assert classify_removal(100.0, 120.0, 10.0) is Outcome.FADED


def test_interruption_forgets_the_walls_but_not_the_statistics() -> None:
    walls = standing()
    watch(walls, None, 3_100, 3_500)
    watch(walls, 99_800, 3_500, 7_000)
    assert len(walls.walls()) == len(walls.ended()) == 1
    walls.interrupt()
    assert (walls.walls(), walls.values()["walls"]) == ((), None)
    assert walls.missing()["walls"] == "a first look at the book"
    watch(walls, 99_800, 7_000, 9_900)
    assert walls.walls() == ()  # it must hold anew
    watch(walls, 99_800, 9_900, 10_100)
    assert (len(walls.walls()), len(walls.ended())) == (1, 1)


def test_values_say_where_the_book_is_cut() -> None:
    walls = WatchedWalls(INSTRUMENT)
    assert set(walls.missing()) >= {"walls", "bid_truncated", "ask_truncated"}
    bids, asks = plain_sides()
    known = (99_501, 100_500)
    walls.observe(book_of(INSTRUMENT, START, bids.items(), asks.items(), known=known))
    values = walls.values()
    assert (values["walls"], values["bid_truncated"], values["ask_truncated"]) == ([], True, False)


def test_absurd_books_and_trades_are_survived() -> None:
    walls = standing()
    before = walls.values()
    walls.observe(book_of(INSTRUMENT, START, [(-5, 1.0)], [(-3, 1.0)]))
    walls.observe(book_of(INSTRUMENT, START, [(2**62, 1.0)], [(2**62 + 1, 1.0)]))
    assert walls.values() == before  # no price of a market
    walls.update(tape_of((START, 99_800, 1e300, -1), (START, 99_800, math.nan, -1)))
    walls.update(tape_of((START, 2**62, 1.0, 0), (START, -(2**62), 1.0, 0)))
    watch(walls, 99_800, 3_100, 3_200)
    assert walls.walls()[0].traded_notional == 0.0
    watch(walls, 99_700, 3_200, 3_700, size=1e308)
    walls.observe(with_wall(START + 2**62, 99_800))
    for wall in walls.values()["walls"]:
        assert all(not isinstance(value, float) or math.isfinite(value) for value in wall.values())


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"range_bps": 0.0}, "range_bps"),
        ({"range_bps": 61.0}, "range_bps"),
        ({"z_enter": 2.0}, "z_enter"),
        ({"share_enter": 0.05}, "share_enter"),
        ({"share_flat": math.inf}, "share_flat"),
        ({"hold_s": -1.0}, "hold_s"),
        ({"persistence": 1.1}, "persistence"),
    ],
)
def test_bad_parameters_are_refused(options: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigError, match=f"Expected {named}"):
        WatchedWalls(INSTRUMENT, **options)

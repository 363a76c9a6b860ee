"""Depth pressure against its definition and a plain twin."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alphaplus.analysis.depth_pressure import DepthPressure, depth_pressure
from alphaplus.errors import ConfigError
from alphaplus.instruments import Instrument
from tests.analysis.capture_tapes import capture_stream, random_cuts
from tests.analysis.flow_cases import (
    INSTRUMENTS,
    LINEAR,
    SECOND,
    Rows,
    assert_close,
    levels_of,
    mirrored,
    random_levels,
    tapes_of,
    values_after,
)

CUTS = st.lists(st.integers(1, 12), max_size=4)
BIDS = [(1000, 4.0), (999, 2.0), (997, 3.0)]
ASKS = [(1001, 4.0), (1003, 2.0), (1004, 3.0)]


def plain_pressure(
    instrument: Instrument, rows: Rows, half_life_s: float, scale_bps: float = 5.0, levels: int = 10
) -> float | None:
    """Sum each message's weighted flow with the decay of its age at the last flow."""
    before: dict[tuple[int, int], tuple[int, float]] | None = None
    flows, clock, is_started = [], 0, False
    for row in rows:
        b, bid = row["bid_tick"].tolist(), row["bid_quantity"].tolist()
        a, ask = row["ask_tick"].tolist(), row["ask_quantity"].tolist()
        if not (bid[0] and ask[0] and b[0] < a[0]):
            before = None
            continue
        is_started = True
        middle, now, net, gross = (b[0] + a[0]) / 2, {}, 0.0, 0.0
        for rank in range(levels):
            parts, distances = [], []
            for sign, shown, size in ((1, b[rank], bid[rank]), (-1, a[rank], ask[rank])):
                tick, base = shown, size * instrument.contract_size
                if size and instrument.inverse:
                    base /= instrument.price(tick)
                last = (before or {}).get((sign, rank))
                if not size and last:
                    tick = last[0]
                old_tick, old_base = last or (tick, 0.0)
                part = (sign * tick >= sign * old_tick) * base
                parts.append(part - (sign * tick <= sign * old_tick) * old_base)
                distance = 1e4 * sign * (middle - tick) / middle
                if size or parts[-1]:
                    distances.append(distance)
                if size or last:
                    now[sign, rank] = tick, base
            if before is not None and any(parts):
                distance = float(np.mean(distances))
                weight = math.exp(-max(0.0, distance) / scale_bps)
                net += weight * (parts[0] - parts[1])
                gross += weight * (abs(parts[0]) + abs(parts[1]))
        before = now
        if gross:
            clock = max(clock, int(row["ts_event"]))
            flows.append((clock, net, gross))
    if not flows:
        return 0.0 if is_started else None
    decays = [2.0 ** ((ts - clock) / SECOND / half_life_s) for ts, _, _ in flows]
    total = sum(decay * gross for decay, (_, _, gross) in zip(decays, flows, strict=True))
    return sum(decay * net for decay, (_, net, _) in zip(decays, flows, strict=True)) / total


@given(instrument=INSTRUMENTS, rows=random_levels(), cuts=CUTS)
@settings(max_examples=120)
def test_values_equal_a_plain_twin_however_the_stream_is_cut(
    instrument: Instrument, rows: Rows, cuts: list[int]
) -> None:
    measure = DepthPressure(instrument)
    found = values_after(measure, tapes_of("best_levels", rows, cuts))
    whole = values_after(DepthPressure(instrument), tapes_of("best_levels", rows))
    assert found == whole
    for half_life in (1.0, 5.0, 30.0):
        name = f"depth_pressure_{half_life:g}s"
        assert_close(found[name], plain_pressure(instrument, rows, half_life))
        assert found[name] is None or -1 <= found[name] <= 1
    assert measure.missing().keys() == {name for name, value in found.items() if value is None}


@given(rows=random_levels(), levels=st.sampled_from([1, 4, 20]))
@settings(max_examples=60)
def test_batch_function_gives_the_value_after_each_message(rows: Rows, levels: int) -> None:
    series = depth_pressure(rows, LINEAR, half_life_s=2.0, lambda_bps=9.0, levels=levels)
    for at in range(len(rows)):
        expected = plain_pressure(LINEAR, rows[: at + 1], 2.0, 9.0, levels)
        found = None if np.isnan(series[at]) else float(series[at])
        assert_close(found, expected)


@given(rows=random_levels(fixed_mid=True))
@settings(max_examples=60)
def test_mirror_flips_the_sign(rows: Rows) -> None:
    there, back = depth_pressure(rows, LINEAR), depth_pressure(mirrored(rows), LINEAR)
    assert np.array_equal(there, -back, equal_nan=True)


@given(rows=random_levels(), c=st.sampled_from([0.25, 2.0, 512.0]))
@settings(max_examples=40)
def test_scales_of_size_and_price_do_not_matter(rows: Rows, c: float) -> None:
    large, far = rows.copy(), rows.copy()
    for side in ("bid", "ask"):
        large[f"{side}_quantity"] *= c
        far[f"{side}_tick"] *= 4
    plain = depth_pressure(rows, LINEAR)
    assert np.array_equal(depth_pressure(large, LINEAR), plain, equal_nan=True)
    assert np.array_equal(depth_pressure(far, LINEAR), plain, equal_nan=True)


def grown(side: list[tuple[int, float]], rank: int, by: float) -> list[tuple[int, float]]:
    return [(tick, size + by * (at == rank)) for at, (tick, size) in enumerate(side)]


@pytest.mark.parametrize("rank", [0, 1, 2])
def test_adds_of_one_side_or_of_both(rank: int) -> None:
    only_bids = levels_of([(grown(BIDS, rank, 0.3 * i), ASKS) for i in range(9)])
    assert depth_pressure(only_bids, LINEAR).tolist() == [0.0, *([1.0] * 8)]
    only_asks = levels_of([(BIDS, grown(ASKS, rank, 0.3 * i)) for i in range(9)])
    assert depth_pressure(only_asks, LINEAR).tolist() == [0.0, *([-1.0] * 8)]
    both = levels_of([(grown(BIDS, rank, 0.5 * i), grown(ASKS, rank, 0.5 * i)) for i in range(9)])
    assert depth_pressure(both, LINEAR).tolist() == [0.0] * 9


def test_taking_away_what_was_added_moves_it_back() -> None:
    rows = levels_of([(BIDS, ASKS), (grown(BIDS, 0, 2.0), ASKS), (BIDS, ASKS)])
    assert depth_pressure(rows, LINEAR).tolist()[:2] == [0.0, 1.0]
    assert abs(depth_pressure(rows, LINEAR)[2]) < 1e-3


def test_silence_of_any_length_changes_nothing() -> None:
    moved = [(BIDS, ASKS), (grown(BIDS, 0, 2.0), ASKS), (grown(BIDS, 0, 2.0), grown(ASKS, 1, 1.0))]
    end = moved[-1]
    rows = levels_of([*moved, end, end, end], [1, 1, 1, SECOND, 3600 * SECOND, 10**7 * SECOND])
    series = depth_pressure(rows, LINEAR, half_life_s=1.0)
    assert 0 < series[2] < 1
    assert (series[2:] == series[2]).all()
    after = [*moved, (grown(BIDS, 0, 3.0), grown(ASKS, 1, 1.0))]
    direct = depth_pressure(levels_of(after, [1, 1, 1, 4 * SECOND]), LINEAR)
    split = depth_pressure(
        levels_of([*moved, end, end, after[-1]], [1, 1, 1, SECOND, 2 * SECOND, SECOND]), LINEAR
    )
    assert direct[-1] == split[-1]


def test_flow_near_the_touch_weighs_more() -> None:
    far = levels_of([(BIDS, ASKS), (grown(BIDS, 0, 1.0), grown(ASKS, 2, 1.0))])
    assert depth_pressure(far, LINEAR)[1] > 0.5


def test_levels_that_a_jump_left_beyond_the_mid_count_as_near() -> None:
    low = ([(400, 1.0), (399, 1.0)], [(401, 1.0), (402, 1.0)])
    high = ([(1000, 1.0)], [(1001, 1.0)])
    rows = levels_of([low, high, low, high])
    assert np.isfinite(depth_pressure(rows, LINEAR)).all()
    # Touches: the bid gains 1 and the ask loses 1. Second rank: the bid loses 1, the ask
    # gains -1, and the mean of their distances is not negative.
    touch = np.exp(-1e4 * 0.5 / 1000.5 / 5)
    second = np.exp(-1e4 * 1.5 / 1000.5 / 5)
    expected = (touch * 2 + second * (-1 + 1)) / (touch * 2 + second * 2)
    assert depth_pressure(rows[:2], LINEAR)[1] == pytest.approx(expected, rel=1e-12)

    lone = levels_of([low, ([(1000, 1.0), (999, 1.0)], [(1001, 1.0)]), high])
    assert np.isfinite(depth_pressure(lone, LINEAR)).all()
    back = levels_of([([(1000, 1.0), (999, 1.0)], [(1001, 1.0)]), ([(400, 1.0)], [(401, 1.0)])])
    touch = np.exp(-1e4 * 0.5 / 400.5 / 5)  # the ask gains 1 there, and the bid loses 1
    expected = (-2 * touch - 1) / (2 * touch + 1)  # the lost second bid is near: weight 1
    assert depth_pressure(back, LINEAR)[1] == pytest.approx(expected, rel=1e-12)


def test_interruption_begins_anew() -> None:
    measure = DepthPressure(LINEAR)
    rows = levels_of([(BIDS, ASKS), (grown(BIDS, 0, 1.0), ASKS)])
    assert set(values_after(measure, tapes_of("best_levels", rows)).values()) == {1.0}
    measure.interrupt()
    assert set(measure.values().values()) == {None}
    assert set(measure.missing().values()) == {"no valid book yet"}
    assert set(values_after(measure, tapes_of("best_levels", rows[:1])).values()) == {0.0}
    assert measure.missing() == {}


@pytest.mark.parametrize(
    "parameters",
    [{"levels": 0}, {"lambda_bps": 0.0}, {"half_lives_s": (-1.0,)}, {"half_lives_s": ()}],
)
def test_bad_parameters_are_refused(parameters: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"Expected .*, was"):
        DepthPressure(LINEAR, **parameters)


@pytest.mark.parametrize("market", ["perp", "spot"])
def test_recording_gives_the_same_however_it_is_cut(data_dir: Path, market: str) -> None:
    stream = capture_stream(data_dir, market)

    def take(cuts: list[int]) -> dict[str, Any]:
        return values_after(DepthPressure(stream.instrument), list(stream.tapes(cuts)))

    values = take([])
    assert values == take(random_cuts(3, 1500, len(stream.events)))
    series = depth_pressure(stream.whole.best_levels, stream.instrument)
    assert np.abs(series).max() <= 1
    assert series[-1] == values["depth_pressure_5s"]
    assert 0.1 < series.std() < 0.6

"""The microprice against a plain twin, a known chain, and the traps of its linear algebra."""

import json
import math
from dataclasses import replace
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alphaplus.analysis.fair_price import weighted_mid
from alphaplus.analysis.microprice import Microprice, rising
from alphaplus.analysis.tape import Tape
from alphaplus.errors import ConfigError
from tests.analysis.capture_tapes import capture_stream, random_cuts
from tests.analysis.quote_streams import (
    LINEAR,
    MS,
    START,
    Break,
    Quote,
    Stream,
    feed,
    quote_rows,
    streams,
)

Floats = npt.NDArray[np.float64]
MINUTE = 60_000 * MS
NEXT_MINUTE = (START // MINUTE + 1) * MINUTE

# ---- a plain twin


def place(quote: Quote, buckets: int, spreads: int) -> list[tuple[int, int]]:
    """The states of a quote: two where it lies on the border of the middle buckets."""
    spread = min(quote.ask - quote.bid, spreads) - 1
    imbalance = quote.bid_quantity / (quote.bid_quantity + quote.ask_quantity)
    if imbalance == 0.5:
        return [(spread, (buckets - 1) // 2), (spread, buckets // 2)]
    if imbalance < 0.5:
        bucket = min(int(imbalance * buckets), (buckets - 1) // 2)
    else:
        other = quote.ask_quantity / (quote.bid_quantity + quote.ask_quantity)
        bucket = buckets - 1 - min(int(other * buckets), (buckets - 1) // 2)
    return [(spread, bucket)] * 2


def twin(stream: Stream, buckets: int, spreads: int, least: int, fit_s: float) -> Floats:
    """G from a list of all steps and their mirrors, up to the last whole period."""
    period = round(fit_s * 1e9)
    steps: list[tuple[int, Any, Any, int]] = []  # time, state, next state, jump in half ticks
    time, last = 0, None
    times = []
    for event in stream:
        if isinstance(event, Break):
            last = None
            continue
        assert isinstance(event, Quote)
        time = max(time, event.ts_event)
        times.append(time)
        if last is not None and event.is_valid:
            jump = event.bid + event.ask - last.bid - last.ask
            if abs(jump) <= 2:
                pairs = product(place(last, buckets, spreads), place(event, buckets, spreads))
                steps += [(time, old, new, jump) for old, new in pairs]
        last = event if event.is_valid else None
    crossed = [a // period < b // period for a, b in pairwise(times)]
    if not any(crossed):
        return np.full((spreads, buckets), np.nan)
    until = times[-1] // period * period
    steps = [step for step in steps if step[0] < until]
    steps += [
        (at, (s, buckets - 1 - b), (r, buckets - 1 - c), -jump)
        for at, (s, b), (r, c), jump in steps
    ]
    names = [(s, b) for s in range(spreads) for b in range(buckets)]
    left = {name: [step for step in steps if step[1] == name] for name in names}
    reach = {name for name in names if any(step[3] for step in left[name])}
    for _ in names:
        for name in names:
            if any(step[3] == 0 and step[2] in reach for step in left[name]):
                reach.add(name)
    n = len(names)
    stay, jump_to, expected = np.zeros((n, n)), np.zeros((n, n)), np.zeros(n)
    for i, name in enumerate(names):
        if name not in reach:
            continue
        for _, _, new, jump in left[name]:
            (jump_to if jump else stay)[i, names.index(new)] += 1 / len(left[name])
            expected[i] += jump / 2 / len(left[name])
    inverse = np.linalg.inv(np.eye(n) - stay)
    total = first = inverse @ expected
    for _ in range(5):
        first = inverse @ jump_to @ first
        total = total + first
    seen = np.array([len(left[name]) / 4 for name in names]).reshape(spreads, buckets)
    known = np.array([name in reach for name in names]).reshape(spreads, buckets)
    raw = np.where(known & (seen >= least), total.reshape(spreads, buckets), np.nan)
    for spread, curve in enumerate(raw):
        good = np.isfinite(curve)
        limit = (spread + 1) / 2 * (1 - 1e-6)
        curve[good] = np.clip(pooled(curve[good], seen[spread, good]), -limit, limit)
    return raw


def pooled(values: Floats, weights: Floats) -> Floats:
    """The rising fit by its max-min formula."""
    n = len(values)
    mean = {
        (j, k): np.average(values[j : k + 1], weights=weights[j : k + 1])
        for j in range(n)
        for k in range(j, n)
    }
    return np.array(
        [max(min(mean[j, k] for k in range(i, n)) for j in range(i + 1)) for i in range(n)]
    )


def curve_of(found: dict[str, Any]) -> Floats:
    return np.array(found["adjustment_curve"], dtype=np.float64)


@given(stream=streams(most=120), shape=st.sampled_from([(4, 2), (5, 1), (3, 3), (10, 2)]))
@settings(max_examples=100)
def test_equals_the_plain_twin(stream: Stream, shape: tuple[int, int]) -> None:
    buckets, spreads = shape
    parameters = {"imbalance_buckets": buckets, "spread_states": spreads, "min_visits": 2}
    found = feed(Microprice(LINEAR, **parameters, fit_s=1.0), stream)
    expected = twin(stream, buckets, spreads, 2, 1.0)
    assert curve_of(found) == pytest.approx(expected, rel=1e-9, abs=1e-9, nan_ok=True)


@given(stream=streams(most=120), data=st.data())
@settings(max_examples=60)
def test_any_cut_and_any_look_between_gives_the_same(stream: Stream, data: st.DataObject) -> None:
    cuts = data.draw(st.lists(st.integers(0, len(stream)), max_size=20))

    class Watched(Microprice):
        def update(self, tape: Tape) -> None:
            super().update(tape)
            self.values()

    parameters = {"imbalance_buckets": 4, "min_visits": 2, "fit_s": 1.0}
    whole = feed(Microprice(LINEAR, **parameters), stream)
    assert feed(Watched(LINEAR, **parameters), stream, cuts) == whole


@given(stream=streams(most=120), buckets=st.integers(2, 11), double=st.booleans())
@settings(max_examples=60)
def test_curve_is_odd_rising_and_inside_the_spread(
    stream: Stream, buckets: int, double: bool
) -> None:
    parameters = {"imbalance_buckets": buckets, "min_visits": 1, "fit_s": 0.1}
    found = feed(Microprice(LINEAR, **parameters), stream)
    curve = curve_of(found)
    assert np.array_equal(curve, -curve[:, ::-1], equal_nan=True)
    for spread, row in enumerate(curve):
        known = row[np.isfinite(row)]
        assert (np.diff(known) >= 0).all()
        assert (np.abs(known) < (spread + 1) / 2).all()
    mirrored = [
        replace(
            event,
            bid=3000 - event.ask,
            ask=3000 - event.bid,
            bid_quantity=event.ask_quantity * (2 if double else 1),
            ask_quantity=event.bid_quantity * (2 if double else 1),
        )
        if isinstance(event, Quote) and event.is_valid
        else event
        for event in stream
    ]
    other = feed(Microprice(LINEAR, **parameters), mirrored)
    assert other["adjustment_curve"] == found["adjustment_curve"]
    last = stream[-1] if stream else Break()
    if isinstance(last, Quote) and last.is_valid:
        assert LINEAR.price(last.bid) < found["microprice"] < LINEAR.price(last.ask)
        assert other["microprice"] + found["microprice"] == pytest.approx(300, abs=1e-9)
        assert found["is_fitted"] == other["is_fitted"]
    else:
        assert found["microprice"] is None


# ---- a chain whose Q and R are known

BUCKETS = 10


def known_chain() -> tuple[Floats, Floats]:
    """Chances of each step (jump of -2..2 half ticks, state, next state), and G by its formula."""
    chance = np.zeros((5, 2 * BUCKETS, 2 * BUCKETS))
    after_up = np.linspace(1.5, 0.5, BUCKETS) / BUCKETS  # the next level is thin below
    for spread in range(2):
        for bucket in range(BUCKETS):
            state = spread * BUCKETS + bucket
            moves = 0.2 + 0.3 * spread
            up = 0.5 + 0.3 * (2 * bucket - BUCKETS + 1) / (BUCKETS - 1)
            for step, share in ((-1, 0.4), (0, 0.2), (1, 0.4)):
                near = min(max(bucket + step, 0), BUCKETS - 1)
                chance[2, state, spread * BUCKETS + near] += (1 - moves) * share
            for sign, part, landing in ((1, up, after_up), (-1, 1 - up, after_up[::-1])):
                for half_ticks, share in ((1, 0.6), (2, 0.4)):
                    # Half a tick opens or closes the spread by one; a whole tick keeps it.
                    new = (1 - spread if half_ticks == 1 else spread) * BUCKETS
                    row = chance[2 + sign * half_ticks, state]
                    row[new : new + BUCKETS] += moves * part * share * landing
    assert chance.sum(axis=(0, 2)) == pytest.approx(np.ones(2 * BUCKETS))
    inverse = np.linalg.inv(np.eye(2 * BUCKETS) - chance[2])
    first = inverse @ (chance.sum(axis=2).T @ np.array([-1, -0.5, 0, 0.5, 1]))
    jumps = inverse @ (chance.sum(axis=0) - chance[2])
    total = sum(np.linalg.matrix_power(jumps, k) @ first for k in range(6))
    return chance, np.asarray(total).reshape(2, BUCKETS)


def simulate(chance: Floats, steps: int, seed: int) -> Any:
    """Quotes that walk through the chain, the last one in the next minute."""
    random = np.random.default_rng(seed)
    flat = chance.transpose(1, 0, 2).reshape(2 * BUCKETS, -1).cumsum(axis=1)
    draws, state, middle = random.random(steps), 0, 200_001
    rows = quote_rows([Quote(NEXT_MINUTE - MINUTE, 1, 2)] * steps)
    for row, draw in zip(rows, draws, strict=True):
        spread, bucket = state // BUCKETS + 1, state % BUCKETS
        row["bid_tick"], row["ask_tick"] = (middle - spread) // 2, (middle + spread) // 2
        row["bid_quantity"], row["ask_quantity"] = bucket + 0.5, BUCKETS - bucket - 0.5
        chosen = min(int(np.searchsorted(flat[state], draw)), flat.shape[1] - 1)
        jump, state = chosen // (2 * BUCKETS) - 2, chosen % (2 * BUCKETS)
        middle += jump
    rows["ts_event"][-1] = NEXT_MINUTE
    return rows


def test_estimate_of_a_known_chain_converges() -> None:
    chance, exact = known_chain()
    assert (np.diff(exact, axis=1) > 0).all()
    assert np.abs(exact[0]).max() < 0.5
    errors = []
    for steps in (4_000, 200_000):
        measure = Microprice(LINEAR)
        measure.update(Tape.of(quotes=simulate(chance, steps, seed=11)))
        found = measure.values()
        assert found["fitted_states"] == 20
        assert found["wide_jump_share"] == 0
        errors.append(np.abs(curve_of(found) - exact).max())
    assert errors[1] < 0.01
    assert errors[1] < errors[0] / 2


# ---- traps


def test_market_that_never_moves_is_not_singular() -> None:
    stream = [Quote(START + n * MS, 1000, 1001, 1.0 + n % 3, 2.0) for n in range(300)]
    measure = Microprice(LINEAR)
    found = feed(measure, [*stream, Quote(NEXT_MINUTE, 1000, 1001, 1.0, 3.0)])
    assert found["fitted_states"] == 0
    assert not found["is_fitted"]
    assert found["microprice"] == weighted_mid(100.0, 1.0, 100.1, 3.0)
    assert measure.missing()["wide_jump_share"] == "a move of the mid"


def test_states_that_never_reach_a_jump_fall_back_and_leave_the_rest_alone() -> None:
    def quote(n: int, bid: int, spread: int, size: float) -> Quote:
        return Quote(START + n * MS, bid, bid + spread, size, 4.0 - size)

    moving = [quote(n, 1000 + n // 2 % 2, 1, 3.0 if n // 2 % 2 == 0 else 1.0) for n in range(400)]
    stuck = [quote(400 + n, 1000, 3, 3.5 if n % 2 else 0.5) for n in range(200)]
    end = Quote(NEXT_MINUTE, 1000, 1003, 3.5, 0.5)
    alone = feed(Microprice(LINEAR), [*moving, Quote(NEXT_MINUTE, 1000, 1001, 3.0, 1.0)])
    measure = Microprice(LINEAR)
    found = feed(measure, [*moving, Break(), *stuck, end])
    assert found["adjustment_curve"][0] == alone["adjustment_curve"][0]
    assert found["fitted_states"] == alone["fitted_states"] == 2
    assert set(found["adjustment_curve"][1]) == {None}
    assert found["microprice"] == weighted_mid(100.0, 3.5, 100.3, 0.5)
    assert measure.missing()["adjustment_ticks"] == "a move of the mid by at most a tick"
    assert alone["is_fitted"]
    assert alone["microprice"] == pytest.approx(100.05 + 0.1 * alone["adjustment_ticks"])


def test_state_seen_too_seldom_falls_back_to_the_weighted_mid() -> None:
    def stream(visits: int) -> list[Quote]:
        made = []
        for n in range(visits):
            made.append(Quote(START + 2 * n * MS, 1000, 1001, 3.0, 1.0))
            made.append(Quote(START + (2 * n + 1) * MS, 1001, 1002, 1.0, 3.0))
        # Each state and its mirror were left together so often, less the step into the end.
        return [*made, Quote(NEXT_MINUTE, 1000, 1001, 3.0, 1.0)]

    measure = Microprice(LINEAR)
    few = feed(measure, stream(25))
    assert few["microprice"] == weighted_mid(100.0, 3.0, 100.1, 1.0)
    assert measure.missing() == {"adjustment_ticks": "49 of 50 visits of this state"}
    many = feed(Microprice(LINEAR), stream(26))
    assert many["is_fitted"]


def test_only_quotes_before_the_last_whole_minute_count() -> None:
    made = []
    for n in range(200):
        made.append(Quote(NEXT_MINUTE + 2 * n * MS, 1000, 1001, 3.0, 1.0))
        made.append(Quote(NEXT_MINUTE + (2 * n + 1) * MS, 1001, 1002, 1.0, 3.0))
    measure = Microprice(LINEAR)
    assert feed(measure, made)["fitted_states"] == 0
    assert measure.missing() == {"adjustment_ticks": "0 of 50 visits of this state"}
    fitted = feed(measure, [Quote(NEXT_MINUTE + MINUTE, 1000, 1001, 3.0, 1.0)])
    assert fitted["fitted_states"] == 2
    again = feed(measure, [Quote(NEXT_MINUTE + MINUTE + 1, 1000, 1001, 1.0, 3.0)])
    assert again["adjustment_curve"] == fitted["adjustment_curve"]


def test_equal_sizes_leave_the_mid() -> None:
    chance, _ = known_chain()
    measure = Microprice(LINEAR)
    measure.update(Tape.of(quotes=simulate(chance, 5_000, seed=3)))
    found = feed(measure, [Quote(NEXT_MINUTE + MS, 1000, 1001, 7.0, 7.0)])
    assert found["is_fitted"]
    assert (found["microprice"], found["adjustment_ticks"]) == (100.05, 0.0)


def test_jumps_wider_than_a_tick_are_left_out_and_told() -> None:
    made = [Quote(START + n * MS, 1000 + 5 * (n % 2), 1001 + 5 * (n % 2), 3.0) for n in range(101)]
    found = feed(Microprice(LINEAR), [*made, Quote(NEXT_MINUTE, 1000, 1001, 3.0)])
    assert found["wide_jump_share"] == 1.0
    assert found["fitted_states"] == 0


@pytest.mark.parametrize(
    "quote",
    [
        Quote(START, 1000, 1000),
        Quote(START, 1000, 1001, 0.0),
        Quote(START, 1000, 1001, math.nan),
        Quote(START, 1000, 1001, 1e300, 1e300),
        Quote(START, -(2**63), 2**63 - 1),
    ],
)
def test_unusable_quote_has_no_price_and_is_no_step(quote: Quote) -> None:
    measure = Microprice(LINEAR)
    found = feed(measure, [Quote(START, 1000, 1001), quote])
    assert found["microprice"] is None
    assert measure.missing()["microprice"] == "a valid best quote"
    json.dumps(found, allow_nan=False)


@given(data=st.data(), n=st.integers(1, 12))
def test_rising_is_the_nearest_rising_sequence(data: st.DataObject, n: int) -> None:
    values = np.array(data.draw(st.lists(st.floats(-10, 10), min_size=n, max_size=n)))
    weights = np.array(data.draw(st.lists(st.floats(0.1, 10), min_size=n, max_size=n)))
    assert rising(values, weights) == pytest.approx(pooled(values, weights), abs=1e-9)


@pytest.mark.parametrize("market", ["perp", "spot"])
def test_recording_in_any_pieces_gives_the_same(data_dir: Path, market: str) -> None:
    stream = capture_stream(data_dir, market)
    found = []
    for cuts in ([], random_cuts(9, 3000, len(stream.events))):
        measure = Microprice(stream.instrument)
        for tape in stream.tapes(cuts):
            measure.update(tape)
        found.append(measure.values())
    assert found[0] == found[1]
    curve = curve_of(found[0])
    assert np.isfinite(curve).all()
    assert (np.diff(curve, axis=1) >= 0).all()
    assert curve[0, -1] > 0.25  # with a heavy bid the mid goes up more often than not


@pytest.mark.parametrize(
    "parameters",
    [{"imbalance_buckets": 1}, {"spread_states": 0}, {"min_visits": 0}, {"fit_s": math.nan}],
)
def test_parameters_out_of_range_are_refused(parameters: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="Expected"):
        Microprice(LINEAR, **parameters)

"""MLOFI and PC1-OFI against their definitions, plain twins and the recordings."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alphaplus.analysis.multi_level_ofi import (
    MultiLevelOrderFlowImbalance,
    first_component,
    mlofi,
)
from alphaplus.analysis.ofi import ofi
from alphaplus.analysis.tape import QUOTE, Tape
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
Vectors = npt.NDArray[np.float64]


def plain_flows(
    instrument: Instrument, rows: Rows, levels: int = 10
) -> list[tuple[int, list[float], float] | None]:
    """Return (clock, e by rank, mean size of a level) of each row, None where it is not valid."""
    found: list[tuple[int, list[float], float] | None] = []
    known: dict[tuple[str, int], tuple[int, float]] = {}
    is_first, clock = True, 0
    for row in rows:
        ticks = {side: row[f"{side}_tick"].tolist() for side in ("bid", "ask")}
        sizes = {side: row[f"{side}_quantity"].tolist() for side in ("bid", "ask")}
        if not (sizes["bid"][0] and sizes["ask"][0] and ticks["bid"][0] < ticks["ask"][0]):
            is_first = True
            found.append(None)
            continue
        if is_first:
            known = {}
        clock = max(clock, int(row["ts_event"]))
        flows, depth = [], 0.0
        for rank in range(levels):
            part = {}
            for side, sign in (("bid", 1), ("ask", -1)):
                tick, size = ticks[side][rank], sizes[side][rank] * instrument.contract_size
                before = known.get((side, rank))
                if size > 0 and instrument.inverse:
                    size /= instrument.price(tick)
                if not size and before:
                    tick = before[0]
                old_tick, old_size = before or (tick, 0.0)
                better, worse = sign * tick >= sign * old_tick, sign * tick <= sign * old_tick
                part[side] = better * size - worse * old_size
                depth += size
                if size or before:
                    known[side, rank] = tick, size
            flows.append(0.0 if is_first else part["bid"] - part["ask"])
        is_first = False
        found.append((clock, flows, depth / (2 * levels)))
    return found


@given(instrument=INSTRUMENTS, rows=random_levels(), levels=st.sampled_from([1, 3, 10]))
@settings(max_examples=120)
def test_flows_equal_a_plain_twin(instrument: Instrument, rows: Rows, levels: int) -> None:
    expected = [row[1] if row else [0.0] * levels for row in plain_flows(instrument, rows, levels)]
    assert_close(mlofi(rows, instrument, levels=levels).tolist(), expected, scale=10.0)


@given(instrument=INSTRUMENTS, rows=random_levels(), cuts=CUTS, wait=st.integers(0, 33))
@settings(max_examples=100)
def test_values_equal_a_plain_twin_however_the_stream_is_cut(
    instrument: Instrument, rows: Rows, cuts: list[int], wait: int
) -> None:
    now = int(rows["ts_event"].max()) + wait * SECOND
    later = Tape.of(ts_event=now)
    measure = MultiLevelOrderFlowImbalance(instrument)
    found = values_after(measure, [*tapes_of("best_levels", rows, cuts), later])
    whole = MultiLevelOrderFlowImbalance(instrument)
    assert found == values_after(whole, [*tapes_of("best_levels", rows), later])
    flows = [row for row in plain_flows(instrument, rows) if row]
    second = now // SECOND
    recent = [row for row in flows if row[0] // SECOND > second - 30]
    depth = float(np.mean([row[2] for row in recent])) if recent else 1.0
    for window in (1, 5, 30):
        expected: Any = None
        if flows and second - flows[0][0] // SECOND >= window:
            inside = [row[1] for row in flows if row[0] // SECOND > second - window]
            expected = np.sum([np.zeros(10), *inside], axis=0).tolist()
            pc1 = found[f"pc1_ofi_{window}s"]
            assert_close(pc1, sum(expected) / 10 / depth, scale=100.0)
        assert_close(found[f"mlofi_{window}s"], expected, scale=100.0)
    nulls = {name for name, value in found.items() if value is None}
    assert measure.missing().keys() == nulls


@given(rows=random_levels())
@settings(max_examples=60)
def test_mirror_flips_the_sign(rows: Rows) -> None:
    swapped = mirrored(rows)
    for side in ("bid", "ask"):
        swapped[f"{side}_tick"][swapped[f"{side}_quantity"] == 0] = 0
    assert np.array_equal(mlofi(swapped, LINEAR), -mlofi(rows, LINEAR))


@given(rows=random_levels(only_valid=True))
@settings(max_examples=40)
def test_first_rank_is_the_flow_at_the_touch(rows: Rows) -> None:
    quotes = np.zeros(len(rows), dtype=QUOTE)
    for name in ("bid_tick", "ask_tick", "bid_quantity", "ask_quantity"):
        quotes[name] = rows[name][:, 0]
    assert_close(mlofi(rows, LINEAR)[:, 0].tolist(), ofi(quotes).tolist(), scale=10.0)


def test_one_change_at_a_deeper_rank() -> None:
    bids, asks = [(100, 1.0), (99, 2.0), (98, 3.0)], [(101, 1.0), (102, 2.0)]
    rows = levels_of(
        [
            (bids, asks),
            ([(100, 1.0), (99, 2.5), (98, 3.0)], asks),  # added at rank 2
            ([(100, 1.0), (99, 2.5)], asks),  # the third level is gone
            ([(100, 1.0), (99, 2.5), (98, 4.0)], asks),  # and back at the price it had
            ([(100, 1.0), (99, 2.5), (98, 4.0)], [(101, 1.0), (102, 5.0)]),  # an ask grows
        ]
    )
    assert mlofi(rows, LINEAR, levels=3).tolist() == [
        [0, 0, 0], [0, 0.5, 0], [0, 0, -3.0], [0, 0, 4.0], [0, -3.0, 0],
    ]  # fmt: skip


@pytest.mark.parametrize("quantity", [1e300, float("nan"), float("inf"), -1.0])
def test_a_book_with_an_impossible_size_breaks_the_comparison_and_no_window(
    quantity: float,
) -> None:
    good = ([(100, 1.0), (99, 1.0)], [(101, 1.0)])
    bad = ([(100, 1.0), (99, quantity)], [(101, 1.0)])
    more = ([(100, 2.0), (99, 1.0)], [(101, 1.0)])
    rows = levels_of([good, bad, more, good])
    assert mlofi(rows, LINEAR, levels=2).tolist() == [[0, 0], [0, 0], [0, 0], [-1.0, 0]]
    values = values_after(MultiLevelOrderFlowImbalance(LINEAR), tapes_of("best_levels", rows))
    assert values["pc1_weights"] == [0.1] * 10


def random_walk(seed: int, seconds: int, ranks: int) -> Rows:
    """Return books a second apart whose ranks gain and lose together, unevenly."""
    generator = np.random.default_rng(seed)
    strength = generator.uniform(0.5, 3.0, size=ranks)
    books = []
    for _ in range(seconds):
        move = generator.normal()
        sizes = 20 + move * strength + generator.normal(size=ranks) / 4
        bids = [(1000 - rank, float(abs(size))) for rank, size in enumerate(sizes)]
        asks = [(1001 + rank, 20.0) for rank in range(ranks)]
        books.append((bids, asks))
    return levels_of(books, [SECOND] * seconds)


def plain_weights(vectors: Vectors) -> Vectors:
    """The first right singular vector of the centred rows."""
    weights = np.linalg.svd(vectors - vectors.mean(axis=0))[2][0]
    return weights * np.sign(weights.sum()) / np.abs(weights).sum()


def test_weights_are_fitted_every_five_minutes_on_the_past_only() -> None:
    rows = random_walk(3, 2300, 4)
    options: dict[str, Any] = {"levels": 4, "fit_blocks": 2}
    measure = MultiLevelOrderFlowImbalance(LINEAR, **options)
    first = int(rows["ts_event"][0]) // SECOND
    flows = plain_flows(LINEAR, rows, 4)
    vectors: list[Vectors] = []
    for at, row in enumerate(flows):
        assert row is not None
        depth = np.mean([one[2] for one in flows[max(0, at - 29) : at + 1] if one])
        vectors.append(np.array(row[1]) / depth)
    fitted = [0.25] * 4
    for at, tape in enumerate(tapes_of("best_levels", rows, range(len(rows)))):
        measure.update(tape)
        second = int(rows["ts_event"][at]) // SECOND
        if second > first and (second - first) % 300 == 0:
            past = np.array(vectors[max(0, at - 600) : at])
            fitted = plain_weights(past).tolist()
        found = measure.values()
        assert_close(found["pc1_weights"], fitted, rel=1e-9)
    assert found["pc1_fits"] == 7
    assert_close(
        found["pc1_ofi_1s"], float(vectors[-1] @ np.array(found["pc1_weights"])), rel=1e-12
    )
    for cuts in ([], [299, 300, 301, 1800], [7, 600]):
        other = MultiLevelOrderFlowImbalance(LINEAR, **options)
        assert values_after(other, tapes_of("best_levels", rows, cuts)) == found


def test_quiet_spans_push_the_past_out() -> None:
    rows = random_walk(4, 700, 3)
    rows["ts_event"][350:] += 3600 * SECOND
    measure = MultiLevelOrderFlowImbalance(LINEAR, levels=3, fit_blocks=2)
    values = values_after(measure, tapes_of("best_levels", rows, range(0, 700, 50)))
    assert values["pc1_fits"] == 3  # after 300 s, where the silence ends, and once more
    assert measure._moments[:, 0].sum() < 360


def test_too_few_seconds_or_no_variation_leave_equal_weights() -> None:
    rows = random_walk(5, 400, 3)
    measure = MultiLevelOrderFlowImbalance(LINEAR, levels=3, fit_minimum_s=400)
    assert values_after(measure, tapes_of("best_levels", rows))["pc1_fits"] == 0
    same = levels_of([([(100, 1.0)], [(101, 1.0)])] * 400, [SECOND] * 400)
    measure = MultiLevelOrderFlowImbalance(LINEAR, levels=4)
    values = values_after(measure, tapes_of("best_levels", same))
    assert values["pc1_fits"] == 0
    assert values["pc1_weights"] == [0.25] * 4
    assert first_component(np.ones((5, 3))) is None


def test_with_one_level_it_is_the_flow_over_the_depth() -> None:
    rows = random_walk(6, 400, 1)
    values = values_after(MultiLevelOrderFlowImbalance(LINEAR), tapes_of("best_levels", rows))
    assert values["pc1_fits"] == 1
    flow = values["mlofi_5s"][0]
    assert values["pc1_weights"][0] == pytest.approx(1.0, abs=1e-12)
    depth = np.mean([row[2] for row in plain_flows(LINEAR, rows)[-30:] if row])
    assert values["pc1_ofi_5s"] == pytest.approx(flow / depth, rel=1e-9)


@given(st.integers(0, 1000), st.integers(2, 10))
@settings(max_examples=40)
def test_component_has_a_sign_and_a_size(seed: int, ranks: int) -> None:
    generator = np.random.default_rng(seed)
    strength = generator.uniform(0.5, 2.0, size=ranks)
    vectors = np.outer(generator.normal(size=100), strength) + 0.1 * generator.normal(
        size=(100, ranks)
    )
    weights = first_component(vectors)
    assert weights is not None
    assert weights.sum() > 0
    assert np.abs(weights).sum() == pytest.approx(1.0, rel=1e-12)
    assert np.allclose(weights, plain_weights(vectors), rtol=1e-9, atol=1e-12)


def test_component_without_a_sum_has_a_definite_sign() -> None:
    line = np.linspace(-1, 1, 9)
    weights = first_component(np.column_stack([line, -line]))
    assert weights is not None
    assert np.abs(weights).tolist() == pytest.approx([0.5, 0.5])


def test_interruption_keeps_the_weights_and_starts_the_windows_anew() -> None:
    rows = random_walk(7, 400, 3)
    measure = MultiLevelOrderFlowImbalance(LINEAR, levels=3)
    before = values_after(measure, tapes_of("best_levels", rows))
    measure.interrupt()
    values = measure.values()
    assert values["pc1_weights"] == before["pc1_weights"] != [1 / 3] * 3
    assert values["mlofi_1s"] is None
    assert set(measure.missing().values()) == {"no valid book yet"}
    rows["ts_event"] += 400 * SECOND
    values_after(measure, tapes_of("best_levels", rows[:2]))
    assert measure.missing()["pc1_ofi_30s"] == "1 of 30 s"


@pytest.mark.parametrize(
    "parameters",
    [{"levels": 0}, {"levels": 21}, {"fit_every_s": 60}, {"fit_blocks": 0}, {"windows_s": (0,)}],
)
def test_bad_parameters_are_refused(parameters: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"Expected .*, was"):
        MultiLevelOrderFlowImbalance(LINEAR, **parameters)


@pytest.mark.parametrize("market", ["perp", "spot"])
def test_recording_gives_the_same_however_it_is_cut(data_dir: Path, market: str) -> None:
    stream = capture_stream(data_dir, market)

    def take(cuts: list[int]) -> dict[str, Any]:
        return values_after(
            MultiLevelOrderFlowImbalance(stream.instrument), list(stream.tapes(cuts))
        )

    values = take([])
    assert values == take(random_cuts(2, 1500, len(stream.events)))
    assert values["pc1_fits"] == 1
    assert None not in values.values()


def test_one_component_forecasts_as_well_as_ten_coefficients(data_dir: Path) -> None:
    """The published facts of this recording, bars of 1 s: R2 on the first and second half."""
    rows = capture_stream(data_dir, "perp").whole.best_levels
    mids = (rows["bid_tick"][:, 0] + rows["ask_tick"][:, 0]) / 2
    bars = (rows["ts_recv"] - rows["ts_recv"][0]) // SECOND
    edges = np.flatnonzero(np.diff(bars, append=bars[-1] + 1))
    moves = np.diff(mids[edges])
    flows = np.diff(np.cumsum(mlofi(rows, LINEAR), axis=0)[edges], axis=0)
    half = len(moves) // 2
    weights = first_component(flows[:half])
    assert weights is not None

    def fitted(inputs: Vectors) -> list[float]:
        inputs = np.column_stack([inputs, np.ones(len(inputs))])
        slopes = np.linalg.lstsq(inputs[:half], moves[:half], rcond=None)[0]
        errors = moves - inputs @ slopes
        return [
            1 - float(errors[part] @ errors[part]) / float(np.var(moves[part]) * len(moves[part]))
            for part in (slice(0, half), slice(half, None))
        ]

    assert fitted(flows[:, 0]) == pytest.approx([0.57, 0.38], abs=0.015)
    assert fitted(flows @ weights) == pytest.approx([0.60, 0.40], abs=0.015)
    assert fitted(flows)[0] == pytest.approx(0.62, abs=0.015)

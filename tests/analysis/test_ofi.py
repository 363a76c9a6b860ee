"""OFI at the touch against its definition, a plain twin and the recordings."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alphaplus.analysis.ofi import OrderFlowImbalance, base_units, ofi
from alphaplus.analysis.tape import Tape
from alphaplus.errors import ConfigError
from alphaplus.instruments import Instrument
from tests.analysis.capture_tapes import capture_stream, random_cuts
from tests.analysis.flow_cases import (
    INSTRUMENTS,
    INVERSE,
    LINEAR,
    SECOND,
    START,
    Rows,
    assert_close,
    mirrored,
    quote,
    quotes_of,
    random_quotes,
    tapes_of,
    values_after,
)

CUTS = st.lists(st.integers(1, 30), max_size=5)


def plain_flows(instrument: Instrument, quotes: Rows) -> list[tuple[int, float, float]]:
    """Return (time, e, mean depth) of each valid quote, as the definition reads."""
    found, before, clock = [], None, 0
    for row in quotes.tolist():
        ts, _, _, b, a, bid, ask = row
        if not (0 < bid < 1e15 and 0 < ask < 1e15 and b < a):
            before = None
            continue
        bid, ask = (
            size * instrument.contract_size / (instrument.price(tick) if instrument.inverse else 1)
            for size, tick in ((bid, b), (ask, a))
        )
        clock = max(clock, ts)
        e = 0.0
        if before is not None:
            b0, bid0, a0, ask0 = before
            e = (b >= b0) * bid - (b <= b0) * bid0 - (a <= a0) * ask + (a >= a0) * ask0
        found.append((clock, e, (bid + ask) / 2))
        before = b, bid, a, ask
    return found


def plain_values(flows: list[tuple[int, float, float]], now: int) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for window in (1, 5, 30):
        is_known = bool(flows) and now // SECOND - flows[0][0] // SECOND >= window
        inside = [row for row in flows if row[0] // SECOND > now // SECOND - window]
        total = sum(e for _, e, _ in inside)
        depth = sum(d for _, _, d in inside) / len(inside) if inside else 1.0
        values[f"ofi_{window}s"] = float(total) if is_known else None
        values[f"ofi_normalised_{window}s"] = total / depth if is_known else None
        values[f"ofi_decayed_{window}s"] = (
            float(sum(e * 2.0 ** ((t - now) / (window * SECOND)) for t, e, _ in flows))
            if flows
            else None
        )
    return values


@given(instrument=INSTRUMENTS, quotes=random_quotes(), cuts=CUTS, wait=st.integers(0, 40))
@settings(max_examples=150)
def test_values_equal_a_plain_twin_however_the_stream_is_cut(
    instrument: Instrument, quotes: Rows, cuts: list[int], wait: int
) -> None:
    measure = OrderFlowImbalance(instrument)
    flows = plain_flows(instrument, quotes)
    now = int(quotes["ts_event"].max()) + wait * SECOND
    found = values_after(measure, [*tapes_of("quotes", quotes, cuts), Tape.of(ts_event=now)])
    whole = values_after(
        OrderFlowImbalance(instrument), [*tapes_of("quotes", quotes), Tape.of(ts_event=now)]
    )
    assert found == whole
    scale = 1.0 + sum(abs(e) + d for _, e, d in flows)
    expected = plain_values(flows, now)
    assert_close({name: found[name] for name in expected}, expected, scale=scale)
    assert measure.missing().keys() == {name for name, value in found.items() if value is None}


@given(instrument=INSTRUMENTS, quotes=random_quotes())
@settings(max_examples=100)
def test_batch_function_equals_the_plain_twin(instrument: Instrument, quotes: Rows) -> None:
    flows = ofi(quotes, instrument)
    plain = plain_flows(instrument, quotes)
    scale = 1.0 + sum(d for _, _, d in plain)
    assert_close(float(flows.sum()), float(sum(e for _, e, _ in plain)), scale=scale)
    assert np.isfinite(flows).all()


@given(quotes=random_quotes())
@settings(max_examples=60)
def test_mirror_flips_the_sign(quotes: Rows) -> None:
    assert np.array_equal(ofi(mirrored(quotes), LINEAR), -ofi(quotes, LINEAR))


@given(quotes=random_quotes(only_valid=True), c=st.sampled_from([0.5, 4.0, 1024.0]))
@settings(max_examples=40)
def test_scaled_sizes_scale_the_sums_and_not_the_normalised_ones(quotes: Rows, c: float) -> None:
    scaled = quotes.copy()
    scaled["bid_quantity"] *= c
    scaled["ask_quantity"] *= c
    later = Tape.of(ts_event=int(quotes["ts_event"].max()) + 31 * SECOND)
    plain = values_after(OrderFlowImbalance(LINEAR), [*tapes_of("quotes", quotes), later])
    large = values_after(OrderFlowImbalance(LINEAR), [*tapes_of("quotes", scaled), later])
    for name, value in plain.items():
        assert large[name] == (value if "normalised" in name else value * c)


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        ((100, 3.5, 101, 2.0), 1.5),  # bid size added
        ((100, 2.0, 101, 3.5), -1.5),  # ask size added
        ((101, 7.0, 102, 2.0), 7.0 + 2.0),  # up-tick: the new bid, and the ask that was lifted
        ((99, 7.0, 101, 2.0), -2.0),  # down-tick of the bid: the size that was
        ((100, 2.0, 102, 9.0), 2.0),  # up-tick of the ask
        ((100, 2.0, 101, 2.0), 0.0),  # unchanged
    ],
)
def test_one_change(after: tuple[int, float, int, float], expected: float) -> None:
    quotes = quotes_of([quote(100, 2.0, 101, 2.0), quote(*after)])
    assert ofi(quotes).tolist() == [0.0, expected]


def test_sum_over_a_window_is_that_over_its_parts() -> None:
    generator = np.random.default_rng(5)
    rows = [
        quote(int(b), q / 8, int(b) + 1, a / 8, gap=100_000_000)
        for b, q, a in generator.integers(1, 9, size=(400, 3))
    ]
    quotes = quotes_of(rows)
    measure = OrderFlowImbalance(LINEAR, windows_s=(1, 10))
    seconds, by_second = quotes["ts_event"] // SECOND, {}
    for second in np.unique(seconds):
        (tape,) = tapes_of("quotes", quotes[seconds == second])
        by_second[int(second)] = values_after(measure, [tape])
    known = [second for second, values in by_second.items() if values["ofi_10s"] is not None]
    assert len(known) > 25
    for second in known:
        parts = [by_second[second - back]["ofi_1s"] for back in range(10)]
        assert by_second[second]["ofi_10s"] == sum(parts)


def test_inverse_contracts_are_converted_at_their_own_price() -> None:
    ticks, contracts = np.array([600_000, 500_000]), np.array([6.0, 5.0])
    assert base_units(INVERSE, ticks, contracts).tolist() == [0.01, 0.01]
    quotes = quotes_of([quote(600_000, 6.0, 600_010, 1.0), quote(600_000, 12.0, 600_010, 1.0)])
    assert ofi(quotes, INVERSE)[1] == pytest.approx(0.01, rel=1e-12)


def test_interruption_begins_anew_and_an_empty_side_only_skips_a_step() -> None:
    measure = OrderFlowImbalance(LINEAR)
    first = quotes_of([quote(100, 1.0, 101, 1.0), quote(100, 5.0, 101, 1.0)])
    assert values_after(measure, tapes_of("quotes", first))["ofi_decayed_30s"] == 4.0
    measure.interrupt()
    assert set(measure.values().values()) == {None}
    assert set(measure.missing().values()) == {"no valid best quote yet"}
    again = quotes_of([quote(100, 9.0, 101, 1.0)])
    assert values_after(measure, tapes_of("quotes", again))["ofi_decayed_30s"] == 0.0

    gap = quotes_of(
        [quote(100, 1.0, 101, 1.0), quote(100, 0.0, 101, 1.0), quote(100, 5.0, 101, 1.0)]
    )
    measure = OrderFlowImbalance(LINEAR)
    values = values_after(measure, tapes_of("quotes", gap))
    assert values["ofi_decayed_30s"] == 0.0
    assert measure.missing()["ofi_5s"] == "0 of 5 s"


def test_windows_empty_while_nothing_comes() -> None:
    measure = OrderFlowImbalance(LINEAR)
    values_after(
        measure, tapes_of("quotes", quotes_of([quote(9, 1.0, 10, 1.0), quote(9, 2.0, 10, 1.0)]))
    )
    values = values_after(measure, [Tape.of(ts_event=START + 100 * SECOND)])
    assert values["ofi_30s"] == values["ofi_normalised_30s"] == 0.0
    assert 0 < values["ofi_decayed_30s"] < 0.2


@pytest.mark.parametrize(
    "parameters",
    [
        {"windows_s": ()},
        {"windows_s": (0,)},
        {"windows_s": (1.5,)},
        {"windows_s": (5000,)},
        {"half_lives_s": (0.0,)},
        {"half_lives_s": (float("nan"),)},
        {"half_lives_s": ()},
    ],
)
def test_bad_parameters_are_refused(parameters: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"Expected .*, was"):
        OrderFlowImbalance(LINEAR, **parameters)


@pytest.mark.parametrize(("market", "expected"), [("perp", -108.356), ("spot", -99.47148)])
def test_sum_over_a_recording(data_dir: Path, market: str, expected: float) -> None:
    stream = capture_stream(data_dir, market)
    assert ofi(stream.whole.quotes, stream.instrument).sum() == pytest.approx(expected, rel=1e-8)

    def take(cuts: list[int]) -> dict[str, Any]:
        measure = OrderFlowImbalance(stream.instrument, half_lives_s=(5.0, 1e15))
        return values_after(measure, list(stream.tapes(cuts)))

    values = take(random_cuts(1, 2000, len(stream.events)))
    assert values == take([])
    assert values["ofi_decayed_1e+15s"] == pytest.approx(expected, rel=1e-8)
    assert None not in values.values()


def test_flow_explains_the_move_of_its_second(data_dir: Path) -> None:
    """The published fact of this recording: R2 0.38, 1.95 ticks per BTC, on 1-s bars."""
    quotes = capture_stream(data_dir, "perp").whole.quotes
    mids = (quotes["bid_tick"] + quotes["ask_tick"]) / 2
    bars = (quotes["ts_recv"] - quotes["ts_recv"][0]) // SECOND
    edges = np.flatnonzero(np.diff(bars, append=bars[-1] + 1))
    flows = np.diff(np.cumsum(ofi(quotes))[edges])
    moves = np.diff(mids[edges])
    (slope, _), correlation = np.polyfit(flows, moves, 1), np.corrcoef(flows, moves)[0, 1]
    assert slope == pytest.approx(1.95, abs=0.02)
    assert correlation**2 == pytest.approx(0.38, abs=0.01)

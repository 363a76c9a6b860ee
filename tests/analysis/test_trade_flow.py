"""Trade imbalance and CVD against their definitions, a plain twin and the recordings."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alphaplus.analysis.tape import Tape
from alphaplus.analysis.trade_flow import (
    CvdStart,
    TradeFlow,
    cvd,
    signed_volume,
    trade_imbalance,
)
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
    random_trades,
    tapes_of,
    trade,
    trades_of,
    values_after,
)

CUTS = st.lists(st.integers(1, 40), max_size=5)
MIDNIGHT = 1_723_161_600 * SECOND
Flow = tuple[int, float, float]


def plain_flows(instrument: Instrument, trades: Rows) -> tuple[list[Flow], int, int, int]:
    """Return (clock, D q base, D q p quote) by row; then ids missing, duplicates, rejects."""
    flows, seen, clock, duplicates, rejected, first = [], set(), 0, 0, 0, 0
    for row in trades.tolist():
        ts, _, trade_id, tick, quantity, side, off_market = row
        if trade_id in seen:
            duplicates += 1
            continue
        seen.add(trade_id)
        first = first or trade_id
        clock = max(clock, ts)
        if not 0 < quantity < 1e15:
            rejected += 1
            flows.append((clock, 0.0, 0.0))
            continue
        price, base = instrument.price(tick), quantity * instrument.contract_size
        quote = base * price
        if instrument.inverse:
            base, quote = base / price, base
        sign = 0 if off_market else side
        flows.append((clock, sign * base, sign * quote))
    counted = len([one for one in seen if one >= first])
    return flows, max(seen) - first + 1 - counted, duplicates, rejected


@given(
    instrument=INSTRUMENTS,
    trades=random_trades(),
    cuts=CUTS,
    wait=st.integers(0, 70),
    cvd_start=st.sampled_from(list(CvdStart)),
    shift=st.sampled_from([0, 320, 345]),
)
@settings(max_examples=200)
def test_values_equal_a_plain_twin_however_the_stream_is_cut(
    *, instrument: Instrument, trades: Rows, cuts: list[int], wait: int, cvd_start: str, shift: int
) -> None:
    trades["ts_event"] += shift * SECOND  # some streams pass midnight
    now = int(trades["ts_event"].max()) + wait * SECOND
    later = Tape.of(ts_event=now)
    options: dict[str, Any] = {
        "windows_s": (5, 60), "half_lives_s": (2.0,), "cvd_start": cvd_start,
    }  # fmt: skip
    measure = TradeFlow(instrument, **options)
    found = values_after(measure, [*tapes_of("trades", trades, cuts), later])
    whole = TradeFlow(instrument, **options)
    assert found == values_after(whole, [*tapes_of("trades", trades), later])
    flows, missing, duplicates, rejected = plain_flows(instrument, trades)
    scale = 1.0 + sum(abs(base) + abs(quote) for _, base, quote in flows)
    for window in (5, 60):
        expected: list[float | None] = [None, None]
        if now // SECOND - flows[0][0] // SECOND >= window:
            inside = [base for ts, base, _ in flows if ts // SECOND > now // SECOND - window]
            expected = [sum(b for b in inside if b > 0), -sum(b for b in inside if b < 0)]
        for name, value in zip(("buy", "sell"), expected, strict=True):
            shown = found[f"{name}_volume_{window}s"]
            assert_close(shown, None if value is None else float(value), scale=scale)
        buy, sell = expected
        if buy is not None and sell is not None:
            ratio = (buy - sell) / (buy + sell) if buy + sell else 0.0
            assert_close(found[f"trade_imbalance_{window}s"], ratio)
    decays = [2.0 ** ((ts - flows[-1][0]) / SECOND / 2) for ts, _, _ in flows]
    total = sum(decay * abs(base) for decay, (_, base, _) in zip(decays, flows, strict=True))
    net = sum(decay * base for decay, (_, base, _) in zip(decays, flows, strict=True))
    assert_close(found["trade_imbalance_decayed_2s"], net / total if total else 0.0)
    is_daily = cvd_start == CvdStart.UTC_MIDNIGHT
    start = flows[0][0]
    if is_daily and now >= MIDNIGHT > start:
        start = MIDNIGHT
    assert found["cvd_start_ts"] == start
    today = [flow for flow in flows if flow[0] >= start]
    assert_close(found["cvd_base"], float(sum(base for _, base, _ in today)), scale=scale)
    assert_close(found["cvd_quote"], float(sum(quote for _, _, quote in today)), scale=scale)
    assert (found["duplicate_trades"], found["rejected_trades"]) == (duplicates, rejected)
    if start != MIDNIGHT:
        assert found["cvd_missing_trades"] == missing
        assert found["cvd_complete"] == (missing == 0 and rejected == 0)
    nulls = {name for name, value in found.items() if value is None}
    assert measure.missing().keys() == nulls


@given(instrument=INSTRUMENTS, trades=random_trades())
@settings(max_examples=80)
def test_batch_functions_equal_the_plain_twin(instrument: Instrument, trades: Rows) -> None:
    flows, *_ = plain_flows(instrument, trades)
    total = float(sum(abs(base) for _, base, _ in flows))
    net = float(sum(base for _, base, _ in flows))
    assert_close(float(cvd(trades, instrument)[-1]), net, scale=1 + total)
    assert_close(trade_imbalance(trades, instrument), net / total if total else 0.0)


@given(trades=random_trades(), c=st.sampled_from([0.5, 8.0]))
@settings(max_examples=50)
def test_swapped_sides_flip_the_sign_and_sizes_scale(trades: Rows, c: float) -> None:
    swapped, scaled = trades.copy(), trades.copy()
    swapped["side"] *= -1
    scaled["quantity"] *= c
    plain = signed_volume(trades, LINEAR)
    assert np.array_equal(signed_volume(swapped, LINEAR), -plain)
    assert trade_imbalance(swapped, LINEAR) == -trade_imbalance(trades, LINEAR)
    assert trade_imbalance(scaled, LINEAR) == trade_imbalance(trades, LINEAR)
    values = [
        values_after(TradeFlow(LINEAR), tapes_of("trades", rows)) for rows in (trades, swapped)
    ]
    assert values[0]["cvd_base"] == -values[1]["cvd_base"]
    name = "trade_imbalance_decayed_60s"
    assert values[0][name] == -values[1][name]
    assert -1 <= values[0][name] <= 1


def test_inverse_contracts() -> None:
    trades = trades_of([trade(1, 1, 6.0, tick=600_000), trade(2, -1, 1.0, tick=500_000)])
    assert signed_volume(trades, INVERSE).tolist() == [0.01, -0.002]
    values = values_after(TradeFlow(INVERSE), tapes_of("trades", trades))
    assert values["cvd_base"] == pytest.approx(0.008, rel=1e-12)
    assert values["cvd_quote"] == 500.0


def flow_of(*rows: Any) -> dict[str, Any]:
    return values_after(TradeFlow(LINEAR), tapes_of("trades", trades_of(rows)))


def test_late_trade_fills_its_gap_and_a_repeated_one_counts_once() -> None:
    assert flow_of(trade(7, 1, 1.0), trade(9, 1, 1.0))["cvd_missing_trades"] == 1
    values = flow_of(*(trade(at, 1, 1.0) for at in (7, 9, 9, 8, 8, 7, 10)))
    assert values["cvd_base"] == 4.0
    assert values["cvd_complete"] is True
    assert values["duplicate_trades"] == 3


def test_trades_without_ids_all_count() -> None:
    values = flow_of(*(trade(0, 1, 1.0) for _ in range(5)))
    assert values["cvd_base"] == 5.0
    assert values["cvd_complete"] is True


def test_old_ids_are_repeats_unless_the_venue_starts_again() -> None:
    rows = [trade(5000, 1, 1.0, gap=10), trade(3, 1, 1.0, gap=0)]
    assert flow_of(*rows)["duplicate_trades"] == 1
    rows = [trade(5000, 1, 1.0), trade(3, 1, 1.0), trade(4, 1, 1.0), trade(4, 1, 1.0)]
    values = flow_of(*rows)
    assert values["cvd_base"] == 3.0
    assert values["duplicate_trades"] == 1
    assert values["cvd_missing_trades"] == 0
    assert values["cvd_complete"] is False


def test_off_market_and_unknown_aggressors_keep_ids_whole_and_carry_no_flow() -> None:
    values = flow_of(trade(1, 1, 2.0), trade(2, 0, 5.0), trade(3, -1, 9.0, off_market=1))
    assert values["cvd_base"] == 2.0
    assert values["cvd_complete"] is True
    assert values["trade_imbalance_decayed_60s"] == 1.0


@pytest.mark.parametrize("quantity", [0.0, -1.0, float("nan"), float("inf"), 1e300])
def test_impossible_quantities_are_counted_and_poison_nothing(quantity: float) -> None:
    values = flow_of(trade(1, 1, 2.0), trade(2, 1, quantity), trade(3, 1, 1.0))
    assert values["cvd_base"] == 3.0
    assert values["rejected_trades"] == 1
    assert values["cvd_complete"] is False


def test_interruption_restarts_windows_and_leaves_cvd_to_the_ids() -> None:
    measure = TradeFlow(LINEAR, windows_s=(1,))
    first = trades_of([trade(1, 1, 2.0), trade(2, 1, 2.0, gap=2 * SECOND)])
    assert values_after(measure, tapes_of("trades", first))["trade_imbalance_1s"] == 1.0
    measure.interrupt()
    values = measure.values()
    assert values["trade_imbalance_1s"] is values["trade_imbalance_decayed_60s"] is None
    assert (values["cvd_base"], values["cvd_complete"]) == (4.0, False)
    nothing_lost = trades_of([trade(3, -1, 1.0, gap=3 * SECOND)])
    values = values_after(measure, tapes_of("trades", nothing_lost))
    assert (values["cvd_base"], values["cvd_complete"]) == (3.0, True)
    assert values["trade_imbalance_decayed_60s"] == -1.0
    assert measure.missing()["buy_volume_1s"] == "0 of 1 s"
    measure.interrupt()
    values = values_after(
        measure, tapes_of("trades", trades_of([trade(0, 1, 1.0, gap=4 * SECOND)]))
    )
    assert (values["cvd_missing_trades"], values["cvd_complete"]) == (0, False)


def test_before_the_first_trade_nothing_is_known() -> None:
    measure = TradeFlow(LINEAR)
    measure.interrupt()
    values = values_after(measure, [Tape.of(ts_event=START)])
    assert values["cvd_complete"] is False
    assert {name for name, value in values.items() if value is None} == measure.missing().keys()
    assert set(measure.missing().values()) == {"no trade yet"}
    assert values["trade_imbalance_60s"] is values["cvd_base"] is None


def test_midnight_passes_without_a_trade() -> None:
    measure = TradeFlow(LINEAR)
    values_after(measure, tapes_of("trades", trades_of([trade(1, 1, 2.0), trade(5, 1, 2.0)])))
    assert measure.values()["cvd_complete"] is False
    values = values_after(measure, [Tape.of(ts_event=MIDNIGHT)])
    assert (values["cvd_base"], values["cvd_start_ts"]) == (0.0, MIDNIGHT)
    assert (values["cvd_missing_trades"], values["cvd_complete"]) == (0, True)
    values = values_after(
        measure, tapes_of("trades", trades_of([trade(7, -1, 1.0, gap=MIDNIGHT - START)]))
    )
    assert (values["cvd_base"], values["cvd_missing_trades"]) == (-1.0, 1)


@pytest.mark.parametrize(
    "parameters", [{"windows_s": (0,)}, {"half_lives_s": (0,)}, {"cvd_start": "noon"}]
)
def test_bad_parameters_are_refused(parameters: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"Expected .*, was"):
        TradeFlow(LINEAR, **parameters)


@pytest.mark.parametrize(
    ("market", "count", "buy", "sell", "delta", "imbalance"),
    [
        ("perp", 21_313, 1251.576, 1177.790, 73.786, 0.0303725),
        ("spot", 9_757, 96.65118, 115.38197, -18.73079, -0.0883390),
    ],
)
def test_recordings(
    *,
    data_dir: Path,
    market: str,
    count: int,
    buy: float,
    sell: float,
    delta: float,
    imbalance: float,
) -> None:
    stream = capture_stream(data_dir, market)
    trades = stream.whole.trades
    signed = signed_volume(trades, stream.instrument)
    assert len(trades) == np.count_nonzero(signed) == count
    assert signed[signed > 0].sum() == pytest.approx(buy, rel=1e-8)
    assert -signed[signed < 0].sum() == pytest.approx(sell, rel=1e-8)
    assert cvd(trades, stream.instrument)[-1] == pytest.approx(delta, rel=1e-8)
    assert trade_imbalance(trades, stream.instrument) == pytest.approx(imbalance, abs=5e-8)

    def take(cuts: list[int], **options: Any) -> dict[str, Any]:
        return values_after(
            TradeFlow(stream.instrument, windows_s=(60, 400), **options), list(stream.tapes(cuts))
        )

    values = take([], cvd_start="stream")
    assert values == take(random_cuts(4, 2000, len(stream.events)), cvd_start="stream")
    assert values["cvd_base"] == pytest.approx(delta, rel=1e-8)
    assert values["cvd_complete"] is True
    assert values["trade_imbalance_400s"] is None
    today = take([])
    assert (today["cvd_start_ts"], today["cvd_complete"]) == (MIDNIGHT, True)
    is_today = trades["ts_event"] >= MIDNIGHT
    assert today["cvd_base"] == pytest.approx(float(signed[is_today].sum()), abs=1e-9)

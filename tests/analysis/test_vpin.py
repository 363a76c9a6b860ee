"""VPIN and signed toxicity against published cases, a plain twin and the recordings."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alphaplus.analysis.tape import DayVolume, Tape
from alphaplus.analysis.vpin import Vpin, bucket_imbalances, vpin
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
DAY = 86_400 * SECOND


def plain_buckets(trades: Rows, volume: int) -> list[float]:
    """Return o / V of the full buckets, in whole thousandths of a unit: exact."""
    seen, full, fill, net = set(), [], 0, 0
    for row in trades.tolist():
        _, _, trade_id, _, quantity, side, off_market = row
        if trade_id in seen:
            continue
        seen.add(trade_id)
        if not 0 < quantity < 1e15 or off_market or not side:
            continue
        left = round(quantity * 1000)
        while left:
            take = min(left, volume - fill)
            fill, net, left = fill + take, net + side * take, left - take
            if fill == volume:
                full.append(net / volume)
                fill = net = 0
    return full


def plain_values(full: list[float], window: int) -> dict[str, Any]:
    if len(full) < window:
        return dict.fromkeys(("vpin", "signed_toxicity", "vpin_ewma", "signed_toxicity_ewma"))
    last, alpha = full[-window:], 2 / (window + 1)
    size, sign = abs(full[0]), full[0]
    for net in full[1:]:
        size, sign = size + alpha * (abs(net) - size), sign + alpha * (net - sign)
    return {
        "vpin": sum(map(abs, last)) / window,
        "signed_toxicity": sum(last) / window,
        "vpin_ewma": size,
        "signed_toxicity_ewma": sign,
    }


@given(
    trades=random_trades(),
    cuts=CUTS,
    volume=st.sampled_from([0.7, 2.0, 3.3, 100.0]),
    window=st.sampled_from([1, 2, 5, 9]),
)
@settings(max_examples=200)
def test_values_equal_a_plain_twin_however_the_stream_is_cut(
    trades: Rows, cuts: list[int], volume: float, window: int
) -> None:
    measure = Vpin(LINEAR, window=window, bucket_volume=volume)
    found = values_after(measure, tapes_of("trades", trades, cuts))
    other = Vpin(LINEAR, window=window, bucket_volume=volume)
    assert found == values_after(other, tapes_of("trades", trades))
    full = plain_buckets(trades, round(volume * 1000))
    assert found["full_buckets"] == len(full)
    assert found["fill_ratio"] == min(1.0, len(full) / window)
    expected = plain_values(full, window)
    assert_close({name: found[name] for name in expected}, expected)
    assert_close(bucket_imbalances(trades, volume, LINEAR).tolist(), full)
    nulls = {name for name, value in found.items() if value is None}
    assert measure.missing().keys() == nulls
    if found["vpin"] is not None:
        assert abs(found["signed_toxicity"]) <= found["vpin"] <= 1.0
        one_sided = all(net >= 0 for net in full[-window:]) or all(
            net <= 0 for net in full[-window:]
        )
        if one_sided:
            assert abs(found["signed_toxicity"]) == found["vpin"]
        else:
            assert abs(found["signed_toxicity"]) < found["vpin"]


@given(instrument=INSTRUMENTS, trades=random_trades(), cuts=CUTS)
@settings(max_examples=60)
def test_streaming_equals_the_batch_function(
    instrument: Instrument, trades: Rows, cuts: list[int]
) -> None:
    volume = 1.7 * instrument.contract_size / (instrument.price(1000) if instrument.inverse else 1)
    measure = Vpin(instrument, window=3, bucket_volume=volume)
    found = values_after(measure, tapes_of("trades", trades, cuts))
    sizes, signs = vpin(bucket_imbalances(trades, volume, instrument), 3)
    assert found["full_buckets"] == len(sizes)
    if len(sizes) >= 3:
        assert_close([found["vpin"], found["signed_toxicity"]], [sizes[-1], signs[-1]])
    else:
        assert found["vpin"] is None


@given(trades=random_trades(only_good=True), c=st.sampled_from([0.25, 2.0]))
@settings(max_examples=60)
def test_swap_flips_toxicity_time_and_scale_do_not_matter(trades: Rows, c: float) -> None:
    def take(rows: Rows, volume: float = 2.0) -> dict[str, Any]:
        return values_after(Vpin(LINEAR, window=2, bucket_volume=volume), tapes_of("trades", rows))

    plain = take(trades)
    swapped, warped, scaled = trades.copy(), trades.copy(), trades.copy()
    swapped["side"] *= -1
    warped["ts_event"] = START + 17 * np.arange(len(trades)) ** 3
    scaled["quantity"] *= c
    assert take(warped) == plain
    mirror = take(swapped)
    assert mirror["vpin"] == plain["vpin"]
    if plain["vpin"] is not None:
        assert mirror["signed_toxicity"] == -plain["signed_toxicity"]
    large = take(scaled, 2.0 * c)
    assert large["vpin"] == plain["vpin"]
    assert large["signed_toxicity"] == plain["signed_toxicity"]


@given(trades=random_trades(only_good=True), shares=st.lists(st.floats(0.01, 0.99), max_size=9))
@settings(max_examples=60)
def test_splitting_trades_changes_nothing(trades: Rows, shares: list[float]) -> None:
    rows = []
    for at, row in enumerate(trades.tolist()):
        share = shares[at % len(shares)] if shares else 0.5
        rows += [trade(0, row[5], row[4] * part) for part in (share, 1 - share)]
    options: dict[str, Any] = {"window": 2, "bucket_volume": 1.9}
    whole = values_after(Vpin(LINEAR, **options), tapes_of("trades", trades))
    split = values_after(Vpin(LINEAR, **options), tapes_of("trades", trades_of(rows)))
    for name in ("vpin", "signed_toxicity", "vpin_ewma", "full_buckets"):
        assert_close(split[name], whole[name])


def test_one_side_alone_is_all_toxic() -> None:
    rows = trades_of([trade(at, 1, 0.1) for at in range(1, 400)])
    values = values_after(Vpin(LINEAR, bucket_volume=0.7), tapes_of("trades", rows))
    assert values["vpin"] == values["signed_toxicity"] == pytest.approx(1.0, abs=1e-12)


def test_sums_of_decimals_fill_a_bucket() -> None:
    rows = trades_of([trade(at, 1 if at % 2 else -1, 0.1) for at in range(1, 1001)])
    values = values_after(Vpin(LINEAR, bucket_volume=1.0), tapes_of("trades", rows))
    assert values["full_buckets"] == 100
    assert values["open_bucket_ratio"] == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("quantity", [1e6, 123.456])
def test_one_trade_fills_any_number_of_buckets(quantity: float) -> None:
    rows = trades_of([trade(1, 1, 0.5), trade(2, -1, quantity), trade(3, 1, 0.0011)])
    measure = Vpin(LINEAR, window=5, bucket_volume=0.001)
    values = values_after(measure, tapes_of("trades", rows))
    assert values["full_buckets"] == pytest.approx((quantity + 0.501) * 1000, rel=1e-9)
    assert values["vpin"] == pytest.approx(1.0, abs=1e-6)
    assert values["signed_toxicity"] == pytest.approx(-0.6, abs=1e-6)
    plain = plain_values([1.0] * 500 + [-1.0] * 10_000 + [1.0], 5)
    assert values["signed_toxicity_ewma"] == pytest.approx(plain["signed_toxicity_ewma"], rel=1e-6)


def test_published_cases(data_dir: Path) -> None:
    text = (data_dir / "analysis/vpin_signed_market_maker_rs.json").read_text()
    cases = json.loads(text)["cases"]
    assert len(cases) == 4
    for case in cases:
        rows = trades_of(
            [
                trade(at, 1 if side == "B" else -1, float(quantity))
                for at, (quantity, side) in enumerate(case["trades"], start=1)
            ]
        )
        measure = Vpin(LINEAR, window=case["N"], bucket_volume=case["V"])
        values = values_after(measure, tapes_of("trades", rows))
        assert values["vpin"] == case["vpin"]
        if "buckets" in case:
            assert values["full_buckets"] == case["buckets"]
        if case["vpin"] is None:
            assert measure.missing()["vpin"] == f"{case['buckets']} of {case['N']} volume buckets"


def test_recording(data_dir: Path) -> None:
    stream = capture_stream(data_dir, "perp")
    imbalances = bucket_imbalances(stream.whole.trades, 10.0, stream.instrument)
    assert len(imbalances) == 242
    sizes, signs = vpin(imbalances)
    assert np.isnan(sizes[:49]).all()
    for found, expected in (
        (sizes[49:], (0.783766, 0.571132, 0.892164, 0.698416)),
        (signs[49:], (0.062857, -0.405804, 0.787284, -0.002864)),
    ):
        summary = (found.mean(), found.min(), found.max(), found[-1])
        assert summary == pytest.approx(expected, abs=5e-7)

    measure = Vpin(stream.instrument, bucket_volume=10.0)
    steps: list[tuple[int, Any, Any]] = []
    for tape in stream.tapes(random_cuts(5, 3000, len(stream.events))):
        measure.update(tape)
        values = measure.values()
        steps.append((values["full_buckets"], values["vpin"], values["signed_toxicity"]))
    for full, size, sign in steps:
        if full < 50:
            assert size is sign is None
        else:
            assert size == pytest.approx(sizes[full - 1], rel=1e-12)
            assert sign == pytest.approx(signs[full - 1], abs=1e-12)
    whole = Vpin(stream.instrument, bucket_volume=10.0)
    assert values_after(whole, list(stream.tapes([]))) == measure.values()
    assert measure.missing() == {"vpin_rank_30d": "193 of 1000 values"}


def test_start_of_the_buckets_matters_little(data_dir: Path) -> None:
    trades = capture_stream(data_dir, "perp").whole.trades
    means = [
        float(np.nanmean(vpin(bucket_imbalances(trades[skip:], 10.0))[0]))
        for skip in (0, 11, 37, 80)
    ]
    assert max(means) - min(means) < 0.02


def day_of_trades(day: int, volume: float, first_id: int, count: int = 100) -> Rows:
    """Return trades spread over a UTC day (0: that of START), sides alternating."""
    midnight = START // DAY * DAY + day * DAY
    rows = trades_of(
        [trade(first_id + at, 1 if at % 2 else -1, volume / count) for at in range(count)]
    )
    rows["ts_event"] = midnight + DAY // count * np.arange(count) + DAY // 200
    return rows


def test_volume_is_that_of_the_first_whole_day_frozen_per_day() -> None:
    measure = Vpin(LINEAR, window=10)
    wanted = "the venue's volume of 24 hours, or that of one whole UTC day"
    assert set(measure.missing().values()) == {wanted}
    values_after(measure, tapes_of("trades", day_of_trades(0, 900.0, 1)[50:]))
    wanted += ", which ends on 2024-08-10 at 00:00 UTC"
    assert set(measure.missing().values()) == {wanted}
    values = values_after(measure, tapes_of("trades", day_of_trades(1, 200.0, 101)))
    assert values["bucket_volume"] is values["vpin"] is None
    assert set(measure.missing().values()) == {wanted}
    second_day = day_of_trades(2, 400.0, 201)
    values = values_after(measure, tapes_of("trades", second_day, range(0, 100, 7)))
    assert values["bucket_volume"] == pytest.approx(4.0, rel=1e-12)
    assert values["full_buckets"] == 100
    assert values["vpin"] == pytest.approx(1.0, abs=1e-9)
    values = values_after(measure, tapes_of("trades", day_of_trades(3, 400.0, 301)))
    assert values["bucket_volume"] == pytest.approx(8.0, rel=1e-12)
    assert values["full_buckets"] == 150
    assert values["vpin"] == pytest.approx(0.0, abs=1e-9)


def test_open_bucket_keeps_the_volume_with_which_it_began() -> None:
    measure = Vpin(LINEAR, window=1)
    values_after(measure, tapes_of("trades", day_of_trades(0, 1.0, 1)))
    values_after(measure, tapes_of("trades", day_of_trades(1, 100.0, 101)))
    values_after(measure, tapes_of("trades", day_of_trades(2, 101.0, 201)))
    values = values_after(measure, tapes_of("trades", day_of_trades(3, 4.0, 301)[:1]))
    assert values["bucket_volume"] == pytest.approx(2.0)
    assert values["open_bucket_ratio"] == pytest.approx((1.0 + 0.04) / 2, abs=1e-9)


def test_days_without_trades_or_with_long_losses_keep_the_volume() -> None:
    def measured(*, interrupted_at: int | None, next_day: int) -> Any:
        measure = Vpin(LINEAR)
        values_after(measure, tapes_of("trades", day_of_trades(0, 1.0, 1)))
        values_after(measure, tapes_of("trades", day_of_trades(1, 100.0, 101)))
        rows = day_of_trades(2, 500.0, 201, 100)
        if interrupted_at is not None:
            (before, after) = tapes_of("trades", rows, [interrupted_at])
            measure.update(before)
            measure.interrupt()
            lost = 20  # nearly five hours
            measure.update(Tape.of(trades=after.trades[lost:]))
        else:
            values_after(measure, tapes_of("trades", rows))
        values_after(measure, tapes_of("trades", day_of_trades(next_day, 4.0, 301)[:2]))
        return measure._state["next_volume"][0]

    assert measured(interrupted_at=None, next_day=3) == pytest.approx(10.0)
    assert measured(interrupted_at=40, next_day=3) == pytest.approx(2.0)
    assert measured(interrupted_at=None, next_day=5) == pytest.approx(2.0)


def test_interruption_without_a_missing_id_loses_nothing() -> None:
    measure = Vpin(LINEAR)
    values_after(measure, tapes_of("trades", day_of_trades(0, 1.0, 1)))
    rows = day_of_trades(1, 100.0, 101, 10)
    for tape in tapes_of("trades", rows, range(1, 10)):
        measure.interrupt()
        measure.update(tape)
    values = values_after(measure, tapes_of("trades", day_of_trades(2, 4.0, 111)[:1]))
    assert values["bucket_volume"] == pytest.approx(2.0)


def test_off_market_trades_count_for_the_days_volume_and_fill_no_bucket() -> None:
    measure = Vpin(LINEAR)
    values_after(measure, tapes_of("trades", day_of_trades(0, 1.0, 1)))
    rows = day_of_trades(1, 100.0, 101)
    rows["off_market"][:50] = 1
    values_after(measure, tapes_of("trades", rows))
    values = values_after(measure, tapes_of("trades", day_of_trades(2, 100.0, 201)[:4]))
    assert values["bucket_volume"] == pytest.approx(2.0)
    rows = trades_of([trade(1, 1, 5.0, off_market=1), trade(2, 0, 5.0), trade(3, 1, 5.0)])
    values = values_after(Vpin(LINEAR, bucket_volume=1.0), tapes_of("trades", rows))
    assert values["full_buckets"] == 5


def told(measure: Vpin, volume: float | None) -> None:
    measure.told(DayVolume(volume=volume, turnover=None if volume is None else volume * 5e4))


def bucket(values: dict[str, Any]) -> tuple[float | None, str | None]:
    return values["bucket_volume"], values["bucket_volume_source"]


def test_the_venues_volume_counts_at_once_and_stays_for_the_day() -> None:
    measure = Vpin(LINEAR, window=5)
    for nothing in (None, 0.0, 1e-9):
        told(measure, nothing)
        assert bucket(measure.values()) == (None, None)
        assert measure.values().keys() - measure.missing().keys() == {
            "full_buckets", "fill_ratio", "duplicate_trades", "rejected_trades",
        }  # fmt: skip
    told(measure, 50.0)
    assert bucket(measure.values()) == (1.0, "venue")
    rows = day_of_trades(0, 40.0, 1)
    values_after(measure, tapes_of("trades", rows[:50]))
    told(measure, 100.0)
    values = values_after(measure, tapes_of("trades", rows[50:]))
    assert bucket(values) == (1.0, "venue")
    assert values["full_buckets"] == 40
    assert values["vpin"] == pytest.approx(0.2, abs=1e-9)  # 1.0 = 2.5 trades of 0.4, by turns
    assert "vpin" not in measure.missing()


def test_next_day_has_the_past_days_own_volume_or_the_latest_reading() -> None:
    measure = Vpin(LINEAR, window=5)
    told(measure, 50.0)
    values_after(measure, tapes_of("trades", day_of_trades(0, 40.0, 1)[60:]))
    told(measure, 150.0)
    told(measure, 100.0)
    values = values_after(measure, tapes_of("trades", day_of_trades(1, 400.0, 101)))
    assert bucket(values) == (pytest.approx(2.0), "venue")  # its own first day was not whole
    told(measure, 999.0)
    values = values_after(measure, tapes_of("trades", day_of_trades(2, 500.0, 201)))
    assert bucket(values) == (pytest.approx(8.0), "stream")
    (before, after) = tapes_of("trades", day_of_trades(3, 500.0, 301), [40])
    measure.update(before)
    measure.interrupt()
    told(measure, 600.0)
    measure.update(Tape.of(trades=after.trades[20:]))  # nearly five hours are lost
    values = values_after(measure, tapes_of("trades", day_of_trades(4, 480.0, 401)[:80]))
    assert bucket(values) == (pytest.approx(12.0), "venue")
    values = values_after(measure, tapes_of("trades", day_of_trades(7, 480.0, 501)[:80]))
    assert bucket(values) == (pytest.approx(12.0), "venue")  # nothing newer was told


def test_a_fixed_volume_listens_to_nobody() -> None:
    measure = Vpin(LINEAR, bucket_volume=3.0)
    told(measure, 5e6)
    values = values_after(measure, tapes_of("trades", day_of_trades(0, 40.0, 1)))
    values = values_after(measure, tapes_of("trades", day_of_trades(1, 40.0, 101)))
    assert bucket(values) == (3.0, "fixed")


def test_open_bucket_keeps_its_volume_and_its_source() -> None:
    measure = Vpin(LINEAR, window=1)
    told(measure, 5000.0)
    values_after(measure, tapes_of("trades", day_of_trades(0, 1.0, 1)))
    values = values_after(measure, tapes_of("trades", day_of_trades(1, 60.0, 101)))
    assert bucket(values) == (100.0, "venue")
    values = values_after(measure, tapes_of("trades", day_of_trades(2, 1.0, 201)))
    assert bucket(values) == (100.0, "venue")
    values = values_after(measure, tapes_of("trades", day_of_trades(2, 60.0, 301)))
    assert bucket(values) == (pytest.approx(1.2), "stream")


def test_rank_counts_the_trailing_days_only() -> None:
    measure = Vpin(LINEAR, window=1, bucket_volume=1.0)
    shares = np.linspace(0.0, 1.0, 1000)
    rows = []
    for share in shares:
        rows += [trade(0, 1, (1 + share) / 2, gap=1000), trade(0, -1, (1 - share) / 2, gap=1000)]
    rows = [row for row in rows if row["quantity"] > 0]
    values = values_after(measure, tapes_of("trades", trades_of(rows[:-1])))
    assert values["vpin_rank_30d"] is None
    assert measure.missing() == {"vpin_rank_30d": "999 of 1000 values"}
    values = values_after(measure, tapes_of("trades", trades_of([trade(0, 1, 1.0, gap=DAY)])))
    assert values["vpin_rank_30d"] == pytest.approx(1.0, abs=1e-3)
    half = [trade(0, 1, 0.75, gap=2 * DAY), trade(0, -1, 0.25)]
    values = values_after(measure, tapes_of("trades", trades_of(half)))
    assert values["vpin_rank_30d"] == pytest.approx(0.5, abs=2e-3)
    late = [trade(0, 1, 1.0, gap=31 * DAY)]
    values = values_after(measure, tapes_of("trades", trades_of(late)))
    assert values["vpin_rank_30d"] is None
    assert measure.missing() == {"vpin_rank_30d": "3 of 1000 values"}


def test_absurd_sizes_end_and_leave_values_in_range() -> None:
    rows = trades_of([trade(1, 1, 9e14), trade(2, -1, 9e14), trade(3, 1, 0.25)])
    values = values_after(Vpin(LINEAR, window=3, bucket_volume=1e-9), tapes_of("trades", rows))
    assert 0 <= values["vpin"] <= 1
    assert abs(values["signed_toxicity_ewma"]) <= 1


def test_repeated_and_impossible_trades_are_counted() -> None:
    rows = trades_of(
        [trade(1, 1, 1.0), trade(1, 1, 1.0), trade(2, 1, float("nan")), trade(3, 1, 1e300)]
    )
    values = values_after(Vpin(LINEAR, bucket_volume=1.0), tapes_of("trades", rows))
    assert (values["duplicate_trades"], values["rejected_trades"]) == (1, 2)
    assert values["full_buckets"] == 1


def test_inverse_contracts_fill_in_base_units() -> None:
    rows = trades_of([trade(1, 1, 6.0, tick=600_000)])
    values = values_after(Vpin(INVERSE, bucket_volume=0.005), tapes_of("trades", rows))
    assert values["full_buckets"] == 2


@pytest.mark.parametrize(
    "parameters",
    [
        {"window": 0},
        {"bucket_volume": 0.0},
        {"bucket_volume": float("nan")},
        {"bucket_volume": -1.0},
        {"buckets_per_day": 0},
    ],
)
def test_bad_parameters_are_refused(parameters: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"Expected .*, was"):
        Vpin(LINEAR, **parameters)

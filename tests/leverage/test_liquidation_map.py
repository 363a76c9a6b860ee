import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alphaplus.errors import RiskError
from alphaplus.leverage.liquidation_level import level_columns
from alphaplus.leverage.liquidation_map import LONG, SHORT, LiquidationMap, MapBar
from tests.leverage.map_cases import BAR_NS, PlainMap, assumptions, bar, paths, tiers


def mapped(bars: list[MapBar], **changes: object) -> LiquidationMap:
    found = LiquidationMap(assumptions(**changes))
    for item in bars:
        found.update(item)
    return found


def opened(**changes: object) -> LiquidationMap:
    """Two bars: open interest rose by 100 at 100, three quarters of it by takers who bought."""
    return mapped([bar(1, 1000.0), bar(2, 1100.0)], **changes)


def balance(found: LiquidationMap) -> np.ndarray:
    return found.opened - found.standing - found.consumed - found.closed - found.lost


@settings(max_examples=60)
@given(paths())
def test_it_equals_the_plain_twin(bars: list[MapBar]) -> None:
    fast, plain = LiquidationMap(assumptions(span=2.0)), PlainMap(assumptions(span=2.0))
    for item in bars:
        fast.update(item)
        plain.update(item)
        for side in (LONG, SHORT):
            expected = np.zeros(len(fast.prices))
            first = round(math.log(fast.prices[0]) / plain.width)
            for (_, k), quantity in plain.sides[side].items():
                expected[k - first] += quantity
            np.testing.assert_allclose(fast.mass[side], expected, rtol=1e-9, atol=1e-9)


@settings(max_examples=60)
@given(paths(), st.sampled_from([None, 600.0]))
def test_invariants_hold_after_every_bar(bars: list[MapBar], half_life: float | None) -> None:
    found = LiquidationMap(assumptions(half_life_s=half_life))
    for item in bars:
        found.update(item)
        assert found.mark == item.mark_close
        assert item.open_interest is not None
        longs, shorts = (found.prices[found.mass[side] > 0] for side in (LONG, SHORT))
        assert (longs < item.mark_close).all()
        assert (shorts > item.mark_close).all()
        assert (found.standing.sum(axis=1) <= item.open_interest * (1 + 1e-9) + 1e-9).all()
        assert (found.standing >= 0).all()
        np.testing.assert_allclose(balance(found), 0.0, atol=1e-9)


@settings(max_examples=40)
@given(paths(), st.integers(0, 5), st.integers(0, 1000))
def test_marks_between_bars_change_nothing_at_their_end(
    bars: list[MapBar], count: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    whole, cut = LiquidationMap(assumptions()), LiquidationMap(assumptions())
    for item in bars:
        assert item.mark_low is not None
        assert item.mark_high is not None
        for mark in rng.uniform(item.mark_low, item.mark_high, count):
            cut.observe_mark(float(mark))
        whole.update(item)
        cut.update(item)
    np.testing.assert_allclose(cut.standing, whole.standing, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(cut.consumed, whole.consumed, rtol=1e-9, atol=1e-9)


@settings(max_examples=20)
@given(paths())
def test_replay_is_deterministic(bars: list[MapBar]) -> None:
    first, second = mapped(bars), mapped(bars)
    assert json.dumps(first.payload()) == json.dumps(second.payload())
    assert first.levels() == second.levels()


def test_opening_conserves_mass_and_mean_price_per_cohort() -> None:
    found = opened()
    leverages, shares = found.assumptions.cohorts()
    np.testing.assert_allclose(found.opened[LONG], 75.0 * shares)
    np.testing.assert_allclose(found.opened[SHORT], 25.0 * shares)
    expected = found.assumptions.level_prices(100.0, leverages)
    for side in (LONG, SHORT):
        usd = (found.mass[side] * found.prices).sum()
        assert usd == pytest.approx((found.opened[side] * expected[side]).sum(), rel=1e-9)


def test_without_trades_the_split_is_even() -> None:
    found = mapped([bar(1), bar(2, 1100.0, taker_buy=0.0, taker_sell=0.0, vwap=None)])
    assert found.opened[LONG].sum() == pytest.approx(50.0)
    assert found.opened[SHORT].sum() == pytest.approx(50.0)


def test_a_quiet_bar_leaves_the_map_unchanged() -> None:
    found = opened()
    before = found.mass.copy()
    found.update(bar(3, 1100.0))
    assert (found.mass == before).all()


def test_levels_are_consumed_by_the_low_not_by_the_close() -> None:
    """Seen elsewhere: liquidations in replays decided on the close of a bar."""
    found = opened()
    found.update(bar(3, 1100.0, mark_low=85.0, mark_high=100.0))
    assert found.consumed[LONG].tolist() == [0.0, *found.opened[LONG, 1:].tolist()]
    assert found.consumed[SHORT].sum() == 0.0
    assert found.consumed_usd[LONG] > 0
    found.update(bar(4, 1100.0))
    assert found.standing[LONG, 1:].sum() == 0.0  # what was consumed does not return


def test_a_level_is_crossed_when_it_is_touched() -> None:
    found = opened()
    touched = float(found.prices[found.mass[SHORT] > 0].min())
    before = found.standing[SHORT].sum()
    found.observe_mark(touched)
    assert found.standing[SHORT].sum() < before


def test_falling_interest_closes_each_side_for_what_it_has_not_lost() -> None:
    found = opened()
    found.update(bar(3, 1000.0, mark_low=85.0))
    eaten = float(found.consumed[LONG].sum())
    assert 0 < eaten < 100
    long_share = (100.0 - eaten) / (1100.0 - eaten)
    assert found.closed[LONG].sum() == pytest.approx((75.0 - eaten) * long_share)
    assert found.closed[SHORT].sum() == pytest.approx(25.0 * 100.0 / 1100.0)


def test_half_life_is_off_unless_asked_for() -> None:
    still, faded = opened(), opened(half_life_s=300.0)
    for found in (still, faded):
        found.update(bar(3, 1100.0))
    assert still.closed.sum() == 0.0
    assert faded.standing.sum() == pytest.approx(still.standing.sum() / 2)
    assert "half-life" in str(faded.described()["decay"])


def test_levels_that_the_bar_has_passed_already_are_not_mapped() -> None:
    found = mapped([bar(1), bar(2, 1100.0, mark_low=97.0, mark_close=97.0)])
    assert found.unplaced[LONG] > 0
    assert found.opened[LONG, -1] == 0.0
    assert found.opened[LONG].sum() + found.unplaced[LONG] == pytest.approx(75.0)


def test_before_two_samples_levels_are_withheld() -> None:
    found = LiquidationMap(assumptions())
    assert (found.status, found.levels(), found.coverage(LONG)) == ("stale", None, None)
    found.update(bar(1))
    assert found.status == "stale"
    assert found.payload()["cells"] is None
    found.update(bar(2))
    assert (found.status, found.levels(), found.coverage(LONG)) == ("ok", [], 0.0)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("open_interest", None),
        ("open_interest", math.nan),
        ("open_interest", -1.0),
        ("mark_low", None),
        ("mark_close", 0.0),
        ("mark_high", 99.0),
        ("taker_buy", None),
        ("vwap", None),
    ],
)
def test_a_gap_makes_the_map_stale_not_zero(name: str, value: float | None) -> None:
    found = opened()
    before = found.standing.sum()
    found.update(bar(3, **{"interest" if name == "open_interest" else name: value}))  # type: ignore[arg-type]
    assert found.status == "stale"
    assert found.reason
    assert found.levels() is None
    assert found.payload()["confidence"] is None
    assert found.standing.sum() == before
    found.update(bar(4, 1100.0))
    assert found.status == "ok"
    assert found.standing.sum() == before


def test_a_path_without_interest_still_consumes() -> None:
    found = opened()
    found.update(bar(3, None, mark_low=85.0))
    assert found.consumed[LONG].sum() > 0
    eaten = float(found.consumed[LONG].sum())
    found.update(bar(4, 1100.0 - eaten))
    assert found.closed[LONG].sum() == 0.0  # the fall of the interest was the liquidations


def test_a_long_gap_begins_the_map_anew() -> None:
    found = opened()
    found.update(bar(7, 1300.0))
    assert found.status == "stale"
    assert found.standing.sum() == 0.0
    assert found.lost.sum() == pytest.approx(found.opened.sum())
    found.update(bar(8, 1400.0))
    assert found.status == "ok"
    assert found.first_sample == 7 * BAR_NS
    np.testing.assert_allclose(balance(found), 0.0, atol=1e-9)


def test_an_old_bar_is_counted_and_changes_nothing() -> None:
    found = opened()
    before = found.mass.copy()
    found.update(bar(2, 9000.0))
    found.update(bar(1, 9000.0))
    assert found.ignored_bars == 2
    assert (found.mass == before).all()


def test_bins_follow_the_mark_and_account_for_what_they_lose() -> None:
    found = opened(span=0.5)
    mark = 100.0
    for k in range(3, 13):
        mark *= 1.1
        found.update(bar(k, 1100.0, vwap=mark, mark_low=mark, mark_high=mark, mark_close=mark))
        assert found.prices[0] < mark < found.prices[-1]
    assert found.lost[LONG].sum() > 0
    np.testing.assert_allclose(balance(found), 0.0, atol=1e-9)


def test_new_tiers_hold_from_now_on() -> None:
    found = opened()
    before, first_id = found.mass.copy(), found.described()["id"]
    found.assume(assumptions(tiers=tiers(25.0)))
    assert (found.mass == before).all()
    found.update(bar(3, 1200.0))
    assert found.opened[LONG, 3:].tolist() == opened().opened[LONG, 3:].tolist()
    told = found.described()
    assert told["leverages_in_use"] == [5.0, 10.0, 25.0]
    assert told["assumed_since"] == 2 * BAR_NS
    assert told["id"] != first_id
    with pytest.raises(RiskError, match="parameters"):
        found.assume(assumptions(bin_width=0.01))


def test_levels_have_the_fields_and_shares_of_the_whole() -> None:
    found = opened()
    levels = found.levels()
    assert levels is not None
    assert sum(level.risk_score for level in levels) == pytest.approx(1.0)
    assert sum(x.quantity for x in levels if x.side == "long") == pytest.approx(75.0)
    first = levels[0].payload()
    assert set(first) == {
        "symbol",
        "exchange",
        "price_level",
        "side",
        "quantity",
        "timestamp",
        "risk_score",
        "distance_from_price",
    }
    assert all((x.distance_from_price < 0) == (x.side == "long") for x in levels)
    distances = [abs(x.distance_from_price) for x in levels]
    assert distances == sorted(distances)
    few = found.levels(limit=2)
    assert few is not None
    assert len(few) == 4
    ranked = sorted((x.notional for x in levels if x.side == "long"), reverse=True)
    assert sorted((x.notional for x in few if x.side == "long"), reverse=True) == ranked[:2]


def test_columns_are_those_of_the_table() -> None:
    levels = opened().levels()
    assert levels is not None
    columns = level_columns(reversed(levels))
    assert columns["long_px"] == sorted(columns["long_px"], reverse=True)
    assert columns["short_px"] == sorted(columns["short_px"])
    assert sum(columns["long_usd"]) == pytest.approx(
        sum(x.notional for x in levels if x.side == "long")
    )


def test_payload_carries_cells_candles_and_every_assumption() -> None:
    found = opened(columns=3)
    for k in range(3, 6):
        found.update(bar(k, 1100.0, mark_low=99.0, mark_high=101.0))
    told = found.payload({"lift": None})
    assert json.loads(json.dumps(told, allow_nan=False)) == told
    assert len(told["x_axis"]) == len(told["candles"]) == 3
    assert told["candles"][-1] == [5 * BAR_NS, 100.0, 101.0, 99.0, 100.0]
    assert told["y_axis"] == sorted(told["y_axis"])
    last = sum(usd for x, _, usd in told["cells"] if x == 2)
    assert last == pytest.approx(float((found.mass * found.prices).sum()), rel=1e-5)
    assert {
        "prior",
        "split_rule",
        "typical_notional",
        "tier_source",
        "tier_effective_from",
        "maintenance_rule",
        "bin_width",
        "decay",
        "window",
        "venues",
        "first_sample",
        "last_sample",
        "coverage",
        "id",
    } <= set(told["assumptions"])
    assert told["confidence"] == pytest.approx(min(told["assumptions"]["coverage"].values()))
    assert told["estimate"] is True


def test_cells_past_the_limit_are_left_out_and_told() -> None:
    told = opened(cells_per_column=2).payload()
    assert len([1 for x, _, _ in told["cells"] if x == 1]) == 2
    assert 0 < told["shown"][1] < 1


@pytest.mark.parametrize("mark", [0.0, -1.0, math.nan, math.inf])
def test_a_mark_that_is_no_price_is_refused(mark: float) -> None:
    with pytest.raises(RiskError, match="mark price"):
        opened().observe_mark(mark)

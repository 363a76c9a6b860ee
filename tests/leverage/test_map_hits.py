import numpy as np
import pytest

from alphaplus.errors import ConfigError, RiskError
from alphaplus.leverage.liquidation_map import LONG, LiquidationMap
from alphaplus.leverage.map_hits import MapHits
from tests.leverage.map_cases import assumptions, bar


def standing() -> LiquidationMap:
    found = LiquidationMap(assumptions())
    found.update(bar(1))
    found.update(bar(2, 1100.0))
    return found


def test_lift_is_the_share_found_over_the_share_by_chance() -> None:
    levels = standing()
    price = float(levels.prices[levels.mass[LONG].argmax()])
    hits = MapHits(band=0.15, tolerance_bins=0)
    hits.observe(levels, side="long", price=price, quantity=2.0)
    band = (levels.prices >= 85.0) & (levels.prices <= 100.0)
    mass = levels.mass[LONG, band]
    assert hits.lift == pytest.approx(mass.max() / mass.sum() * len(mass))
    assert hits.payload()["hit_rate"] == 1.0


def test_chance_equals_the_mean_over_shuffled_levels() -> None:
    levels = standing()
    price = float(levels.prices[levels.mass[LONG].argmax()])
    band = (levels.prices >= 85.0) & (levels.prices <= 100.0)
    rng, mass = np.random.default_rng(0), levels.mass[LONG, band].copy()
    lifts = []
    for _ in range(400):
        levels.before[LONG, band] = rng.permutation(mass)
        hits = MapHits(band=0.15)
        hits.observe(levels, side="long", price=price, quantity=1.0)
        lifts.append(hits.lift or 0.0)
    assert np.mean(lifts) == pytest.approx(1.0, abs=0.25)


def test_it_is_held_to_the_bar_before_although_the_mark_has_passed() -> None:
    levels, hits = standing(), MapHits(band=0.15)
    price = float(levels.prices[levels.mass[LONG].argmax()])
    levels.observe_mark(price * 0.999)
    assert levels.mass[LONG].max() < levels.before[LONG].max()
    hits.observe(levels, side="long", price=price, quantity=1.0)
    assert hits.hits == 1


def test_a_miss_is_scored_and_lowers_the_lift() -> None:
    levels, hits = standing(), MapHits(band=0.15, tolerance_bins=0)
    empty = levels.prices[(levels.mass[LONG] == 0) & (levels.prices > 86) & (levels.prices < 99)]
    hits.observe(levels, side="long", price=float(empty[0]), quantity=1.0)
    assert (hits.scored, hits.hits, hits.lift) == (1, 0, 0.0)


def test_what_cannot_be_scored_is_counted() -> None:
    hits = MapHits()
    assert hits.lift is None
    hits.observe(LiquidationMap(assumptions()), side="long", price=99.0, quantity=1.0)
    hits.observe(standing(), side="long", price=101.0, quantity=1.0)
    hits.observe(standing(), side="short", price=150.0, quantity=1.0)
    assert (hits.scored, hits.unscored) == (0, 3)
    assert hits.payload()["hit_rate"] is None


def test_a_report_without_any_match_does_not_claim_success() -> None:
    """Seen elsewhere: a matching report that calls 0 % matched a success."""
    levels, hits = standing(), MapHits(band=0.15, tolerance_bins=0)
    empty = levels.prices[(levels.mass[LONG] == 0) & (levels.prices > 86) & (levels.prices < 99)]
    for price in empty[:5]:
        hits.observe(levels, side="long", price=float(price), quantity=1.0)
    assert hits.payload()["hit_rate"] == 0.0
    assert hits.payload()["lift"] == 0.0


def test_bad_values_are_refused() -> None:
    with pytest.raises(RiskError, match="above 0"):
        MapHits().observe(standing(), side="long", price=0.0, quantity=1.0)
    with pytest.raises(ConfigError, match="band"):
        MapHits(band=0.0)
    with pytest.raises(RiskError, match="tolerance_bins"):
        MapHits(tolerance_bins=-1)

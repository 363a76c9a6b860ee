from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alphaplus.errors import ConfigError, MissingTier
from alphaplus.leverage.tier_files import read_tiers
from alphaplus.leverage.tiers import LeverageTier, TierBook, TierTable
from tests.leverage.margin_books import table

DAY = 86_400 * 1_000_000_000


def tier(floor: float, cap: float, rate: float, leverage: float, **more: float) -> LeverageTier:
    return LeverageTier(
        min_notional=floor,
        max_notional=cap,
        maintenance_margin_rate=rate,
        max_leverage=leverage,
        **more,
    )


def rules(*tiers: LeverageTier) -> list[str]:
    return [violation.rule for violation in TierTable.of("X", tiers).violations]


def test_a_boundary_belongs_to_the_lower_tier() -> None:
    own = table()
    assert own.index(50_000.0) == 0
    assert own.index(np.nextafter(50_000.0, 1e9)) == 1
    assert own.index(0.0) == 0
    assert own.index(1e12) == 5  # above the last cap: the last tier


def test_missing_amounts_are_derived() -> None:
    assert table().rows["amount"][:3].tolist() == pytest.approx([0.0, 50.0, 3050.0])


@settings(max_examples=80)
@given(
    st.lists(st.floats(1.0, 1e6), min_size=1, max_size=8),
    st.lists(st.floats(1e-4, 0.05), min_size=8, max_size=8),
    st.floats(0.0, 1e7),
    st.floats(0.0, 1e6),
)
def test_derived_maintenance_is_continuous_convex_and_increasing(
    widths: list[float], steps: list[float], notional: float, more: float
) -> None:
    caps, rates = np.cumsum(widths), np.cumsum(steps)
    floors = [0.0, *caps[:-1]]
    own = TierTable.of(
        "X", [tier(f, c, m, 1.0) for f, c, m in zip(floors, caps, rates, strict=False)]
    )
    assert own.violations == ()
    low, middle, high = own.maintenance_margin([notional, notional + more / 2, notional + more])
    assert high >= low
    assert middle <= (low + high) / 2 + 1e-9 * (1 + high)


@pytest.mark.parametrize(
    ("tiers", "found"),
    [
        ([tier(0, 10, 0.01, 50), tier(20, 30, 0.02, 25)], ["contiguous"]),
        ([tier(0, 10, 0.02, 25), tier(10, 30, 0.01, 25)], ["rate"]),
        ([tier(0, 10, 0.01, 20), tier(10, 30, 0.02, 25)], ["leverage"]),
        ([tier(0, 10, 0.02, 50)], ["rate_below_leverage"]),
        ([tier(0, 10, 0.0, 50)], ["rate_below_leverage"]),  # a rate of zero is no rate
        ([tier(5, 10, 0.01, 50)], ["start"]),
        ([tier(0, 0, 0.01, 50)], ["bounds"]),
        (
            [
                tier(0, 10, 0.01, 50, maintenance_amount=0.0),
                tier(10, 30, 0.02, 25, maintenance_amount=0.2),
            ],
            ["continuity"],
        ),
        ([tier(0, 10, 0.01, 50, maintenance_amount=0.0), tier(10, 30, 0.02, 25)],
         ["bounds", "continuity"]),
    ],
)  # fmt: skip
def test_each_rule_is_checked(tiers: list[LeverageTier], found: list[str]) -> None:
    assert rules(*tiers) == found


def test_the_broken_table_of_the_fixture_is_flagged_and_refused(data_dir: Path) -> None:
    book = read_tiers(data_dir / "risk" / "freqtrade_conftest_tiers.json")
    assert {violation.symbol for violation in book.violations} == {"AAVE/USDT:USDT"}
    found = [(violation.tier, violation.rule) for violation in book.violations]
    assert found == [(2, "continuity"), (3, "continuity"), (6, "contiguous"), (6, "continuity")]
    with pytest.raises(MissingTier, match="AAVE/USDT:USDT, was tier 2: amount 75 instead of 50"):
        book.table("AAVE/USDT:USDT")
    assert book.table("ADA/USDT:USDT").at(100).max_leverage == 20


def test_full_symbols_are_kept_apart(data_dir: Path) -> None:
    book = read_tiers(data_dir / "risk" / "binance_leverage_tiers_2024-10.json.gz")
    perpetual, dated = book.table("BTC/USDT:USDT"), book.table("BTC/USDT:USDT-241227")
    assert perpetual.hash != dated.hash
    assert book.table("BTC-USDT-PERP") is perpetual
    assert book.table("BTCUSDT") is perpetual
    assert book.table("BTCUSDC").symbol == "BTC/USDC:USDC"
    for several_or_none in ("BTC", "NOPE"):
        with pytest.raises(MissingTier, match=f"Expected tiers of {several_or_none}, were none"):
            book.table(several_or_none)


def test_the_table_of_its_time_is_used() -> None:
    old = TierTable.of("X", [tier(0, 10, 0.01, 50)], effective_to=10 * DAY)
    new = TierTable.of("X", [tier(0, 10, 0.02, 25)], effective_from=10 * DAY)
    book = TierBook([new, old])
    assert book.table("X", 9 * DAY) is old
    assert book.table("X", 10 * DAY) is new
    assert book.table("X") is new
    ended = TierBook([old])
    with pytest.raises(MissingTier, match="at that time"):
        ended.table("X", 11 * DAY)


def test_the_hash_follows_the_numbers_only() -> None:
    first = TierTable.of("X", [tier(0, 10, 0.01, 50)], source="a")
    same = TierTable.of("X", [tier(0, 10, 0.01, 50)], source="b")
    other = TierTable.of("X", [tier(0, 10, 0.011, 50)])
    assert first.hash == same.hash
    assert first.hash != other.hash
    assert TierBook([first]).hash != TierBook([other]).hash


def test_no_tier_at_all_is_refused() -> None:
    with pytest.raises(ConfigError, match="at least one tier"):
        TierTable.of("X", [])

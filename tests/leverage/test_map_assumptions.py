from pathlib import Path

import numpy as np
import pytest

from alphaplus.errors import ConfigError, RiskError
from alphaplus.leverage.map_assumptions import MapAssumptions, MapParameters
from alphaplus.leverage.tier_files import read_tiers
from alphaplus.leverage.tiers import LeverageTier, MissingTier, TierTable
from tests.leverage.map_cases import assumptions, tiers


def test_the_id_is_stable_and_changes_with_any_assumption() -> None:
    first = assumptions()
    assert first.id == assumptions().id
    assert 0 <= first.id < 2**63
    others = [
        assumptions(bin_width=0.001),
        assumptions(typical_notional=1.0),
        assumptions(half_life_s=60.0),
        assumptions(prior=((5.0, 1.0),)),
        assumptions(tiers=tiers(50.0)),
        MapAssumptions(
            symbol="BTC-USDT-PERP", venues=("okx",), parameters=first.parameters, tiers=first.tiers
        ),
    ]
    assert len({x.id for x in others} | {first.id}) == len(others) + 1


def test_the_id_does_not_depend_on_how_the_picture_is_drawn() -> None:
    assert assumptions(columns=1, cells_per_column=2).id == assumptions().id


def test_leverage_above_the_tiers_maximum_is_scaled_away() -> None:
    leverages, shares = assumptions(tiers=tiers(50.0)).cohorts()
    assert leverages.tolist() == [5, 10, 25, 50]
    assert shares.sum() == pytest.approx(1.0)
    assert shares[1] / shares[0] == pytest.approx(2.0)
    with pytest.raises(RiskError, match="prior"):
        assumptions(tiers=tiers(4.0)).cohorts()


def test_the_tier_is_that_of_a_typical_position() -> None:
    """Seen elsewhere: the tier looked up with the whole open interest."""
    small, large = assumptions(), assumptions(typical_notional=1e6)
    assert 100.0 in small.cohorts()[0]
    lever = np.array([50.0])
    rate = [
        1 - (1 - 1 / 50) / (x[0, 0] / 100)
        for x in (m.level_prices(100.0, lever) for m in (small, large))
    ]
    assert rate[0] == pytest.approx(0.004)
    assert rate[1] > 0.0049


def test_levels_are_the_closed_form_of_isolated_margin() -> None:
    """Maintenance is not divided by the leverage, as it is in some tools."""
    leverages = np.array([5.0, 20.0, 100.0])
    found = assumptions().level_prices(200.0, leverages)
    np.testing.assert_allclose(found[0], 200 * (1 - 1 / leverages) / (1 - 0.004), rtol=1e-12)
    np.testing.assert_allclose(found[1], 200 * (1 + 1 / leverages) / (1 + 0.004), rtol=1e-12)


def test_distance_falls_with_leverage_and_1x_longs_have_no_level() -> None:
    leverages = np.array([1.0, 2.0, 5.0, 25.0, 125.0, 300.0])
    long, short = assumptions().level_prices(100.0, leverages)
    assert np.isnan(long[0])
    assert (np.diff(long[1:5]) > 0).all()
    assert (np.diff(short[:5]) < 0).all()
    assert np.isnan([long[5], short[5]]).all()  # due at once: cannot be opened


def test_inverse_contracts_use_their_own_formula() -> None:
    coin = TierTable.of(
        "BTC-USD-PERP",
        [
            LeverageTier(
                min_notional=0, max_notional=50, maintenance_margin_rate=0.01, max_leverage=50
            )
        ],
    )
    assumed = MapAssumptions(
        symbol="BTC-USD-PERP",
        venues=("binance",),
        parameters=MapParameters(),
        tiers=coin,
        inverse=True,
    )
    long, short = assumed.level_prices(50_000.0, np.array([10.0]))
    assert long[0] == pytest.approx(50_000 * (1 + 0.01) / (1 + 0.1))
    assert short[0] == pytest.approx(50_000 * (1 - 0.01) / (1 - 0.1))


def test_unusable_tiers_are_refused() -> None:
    broken = TierTable.of(
        "X",
        [
            LeverageTier(
                min_notional=5, max_notional=50, maintenance_margin_rate=0.01, max_leverage=50
            )
        ],
    )
    with pytest.raises(MissingTier):
        assumptions(tiers=broken)


@pytest.mark.parametrize(
    "wrong",
    [
        {"prior": ((5.0, 0.5),)},
        {"prior": ((10.0, 0.5), (5.0, 0.5))},
        {"prior": ()},
        {"prior": ((5.0, 1.5), (10.0, -0.5))},
        {"bin_width": 0.0},
        {"typical_notional": -1.0},
        {"half_life_s": 0.0},
        {"columns": 0},
        {"span": 0.001},
    ],
)
def test_parameters_out_of_range_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match="Expected"):
        MapParameters(**wrong)  # type: ignore[arg-type]


def test_real_brackets_give_ordered_levels_on_both_sides(data_dir: Path) -> None:
    book = read_tiers(data_dir / "risk" / "binance_leverage_tiers_2024-10.json.gz", venue="binance")
    seen = 0
    for symbol in book.tables:
        if not symbol.endswith("/USDT:USDT"):
            continue
        assumed = MapAssumptions(
            symbol=symbol,
            venues=("binance",),
            parameters=MapParameters(),
            tiers=book.table(symbol),
        )
        leverages, shares = assumed.cohorts()
        long, short = assumed.level_prices(7.0, leverages)
        assert shares.sum() == pytest.approx(1.0)
        assert (long < 7.0).all()
        assert (short > 7.0).all()
        assert (np.diff(long) > 0).all()
        assert (np.diff(short) < 0).all()
        seen += 1
    assert seen > 250

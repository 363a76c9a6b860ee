import numpy as np
import pytest

from alphaplus.errors import RiskError
from alphaplus.risk.scenarios import (
    Scenario,
    alt_shocks,
    beta_shocks,
    common_shocks,
    dear_funding,
    outages,
    replayed,
    stablecoin_break,
    thin_books,
    together,
)
from benchmarks.risk import portfolio


def test_the_named_scenarios_are_all_there() -> None:
    names = [scenario.name for scenario in portfolio(3, 3, 10)[0].stress]
    assert len(set(names)) == len(names)
    assert {f"common_{way}_{size}" for way in ("down", "up") for size in (5, 10, 20, 30)} <= set(
        names
    )
    assert {
        "btc_down_20",
        "alts_x1.5_down",
        "correlation_one_up",
        "depth_x0.3",
        "depth_x0.1",
        "funding_x10",
        "outage_a_down",
        "stablecoin_-5",
    } <= set(names)


def test_what_each_does() -> None:
    assert common_shocks(2)[0].returns.tolist() == [-0.05, -0.05]
    assert beta_shocks(np.array([1.0, 4.0]))[-2].returns.tolist() == [-0.3, -0.99]
    assert alt_shocks(3, 1)[1].returns == pytest.approx([0.3, 0.2, 0.3])
    assert together(np.array([0.02, 0.05]))[0].returns == pytest.approx([-0.06, -0.15])
    assert [scenario.depth for scenario in thin_books(1)] == [0.3, 0.1]
    assert dear_funding(1).funding == 10.0
    assert stablecoin_break(1).collateral == -0.05
    assert [scenario.outage for scenario in outages(1, ("a", "b"))] == [0, 0, 1, 1]


def test_a_day_is_replayed() -> None:
    found = replayed(["2020-03-12"], np.array([[-0.4, -0.45]]))
    assert found[0].name == "replay_2020-03-12"
    assert found[0].returns.tolist() == [-0.4, -0.45]
    with pytest.raises(ValueError, match="shorter"):
        replayed(["a", "b"], np.array([[0.1]]))


def test_what_cannot_happen_is_refused() -> None:
    with pytest.raises(RiskError, match="returns"):
        Scenario(name="gone", returns=np.array([-1.0]))
    with pytest.raises(RiskError, match="depth"):
        Scenario(name="no book", returns=np.zeros(1), depth=0.0)
    with pytest.raises(RiskError, match="collateral"):
        Scenario(name="debt", returns=np.zeros(1), collateral=-1.5)

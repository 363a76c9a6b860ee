from alphaplus.config import Fleet
from tests.deploy.demands import Demand, demands


def test_every_role_is_there_and_a_demand_that_nobody_offers_does_not_fit() -> None:
    assert {item.role for item in demands(Fleet())} == {
        "symbol", "feed", "portfolio", "store", "api",
    }  # fmt: skip
    wanted = Demand("symbol", {"CPU": 1, "memory": 5, "symbols": 1})
    assert wanted.fits({"CPU": 1, "memory": 5, "symbols": 4})
    assert not wanted.fits({"CPU": 1, "memory": 5})
    assert not wanted.fits({"CPU": 1, "memory": 4, "symbols": 4})

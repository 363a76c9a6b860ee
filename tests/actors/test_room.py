import pytest

from actors.room import Demand, shortage

DEMAND = Demand(cpus=0.05, memory_mb=130)


def test_a_node_has_room_if_both_fit_on_it() -> None:
    assert DEMAND.fits({"CPU": 0.05, "memory": 130e6})
    assert not DEMAND.fits({"CPU": 0.04, "memory": 1e9})
    assert not DEMAND.fits({"CPU": 4.0, "memory": 129e6})
    assert not DEMAND.fits({}), "Ray leaves out what is used up"


def test_a_shortage_says_what_is_lacking_though_the_sum_would_do() -> None:
    free = {"one": {"CPU": 0.04, "memory": 5e9}, "other": {"CPU": 2.0, "memory": 100e6}}
    assert shortage(DEMAND, free) == "no node with 0.05 CPU and 130 MB free"
    assert shortage(DEMAND, {**free, "third": {"CPU": 0.1, "memory": 200e6}}) is None
    assert shortage(DEMAND, {}) is not None


def test_a_node_takes_as_many_as_ray_gives_it_room_for() -> None:
    demand = Demand(cpus=0.1, memory_mb=100)
    assert demand.times({"CPU": 0.3, "memory": 4e9}) == 3, "0.3 is not quite three times 0.1"
    assert demand.times({"CPU": 4, "memory": 250e6}) == 2
    assert demand.times({"memory": 4e9}) == 0


def test_more_symbols_in_an_actor_ask_for_more() -> None:
    more = Demand(cpus=0.01, memory_mb=20)
    asked = DEMAND.plus(more, 4)
    assert (asked.cpus, asked.memory_mb) == pytest.approx((0.09, 210))
    assert DEMAND.plus(more, 0) == DEMAND

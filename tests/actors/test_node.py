"""Who stays where, and what a cluster of several machines needs."""

import pytest

from actors import node
from actors.node import check_database, is_here_only, is_loopback, is_one_machine
from alphaplus.errors import ConfigError

NODES = [{"NodeManagerAddress": f"10.0.0.{number}"} for number in (1, 2, 3)]


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "localhost"])
def test_loopback_is_this_machine(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["10.0.0.1", "venue", "", "::"])
def test_other_hosts_may_be_reached_from_elsewhere(host: str) -> None:
    assert not is_loopback(host)


def test_a_venue_on_loopback_keeps_its_feeds() -> None:
    assert is_here_only("http://127.0.0.1:8999")
    assert is_here_only("http://[::1]:8999")
    assert not is_here_only("http://10.0.0.1:8999")
    assert not is_here_only(None), "the exchange is reached from everywhere"


def test_several_machines_need_a_database_that_they_all_reach() -> None:
    with pytest.raises(ConfigError, match=r"storage.dsn on a cluster of 3 machines.*set ALPHAPLUS"):
        check_database(None, NODES)
    check_database("postgresql://db/alphaplus", NODES)
    check_database(None, [NODES[0], NODES[0]])


@pytest.mark.parametrize(
    ("address", "nodes", "is_one"),
    [("127.0.0.1", 1, True), ("127.0.0.1", 2, False), ("10.0.0.1", 1, False)],
)
def test_a_ray_on_loopback_can_be_no_more_than_this_machine(
    monkeypatch: pytest.MonkeyPatch, address: str, nodes: int, is_one: bool
) -> None:
    monkeypatch.setattr(node, "this_address", lambda: address)
    monkeypatch.setattr(node, "living_nodes", lambda: NODES[:nodes])
    assert is_one_machine() is is_one

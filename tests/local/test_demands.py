"""Actors that fit no node are found before they wait for one."""

from pathlib import Path

import pytest

from alphaplus.config import Fleet, load_settings
from alphaplus.errors import ConfigError
from alphaplus.local.demands import demands, misfits, node_types, processors_to_tell
from alphaplus.local.doctor import examine

ROOT = Path(__file__).resolve().parents[2]


def test_every_role_asks_for_both() -> None:
    found = demands(Fleet(symbol_cpus=0.05, symbol_memory_mb=130))
    assert set(found) == {"symbol", "feed", "portfolio", "store"}
    assert found["symbol"] == {"CPU": 0.05, "memory": 130e6}


def test_an_actor_of_several_symbols_asks_for_all_of_them() -> None:
    fleet = Fleet(symbols_per_actor=5, symbol_cpus=1, symbol_memory_mb=80, next_symbol_memory_mb=8)
    assert demands(fleet)["symbol"] == {"CPU": 5, "memory": 112e6}
    assert misfits(fleet, {"worker": {"CPU": 4.0, "memory": 11e9}}) == [
        "a symbol asks for 5 CPU and 112 MB"
    ]


@pytest.mark.parametrize(("symbols", "told"), [(10, 2), (50, 2), (100, 4), (200, 5)])
def test_one_machine_has_room_for_every_fleet_that_is_asked_of_it(symbols: int, told: int) -> None:
    settings = load_settings(None, {"venue": {"symbols": symbols}}, {})
    assert processors_to_tell(settings, 2) == told


def test_who_fits_nowhere_is_named_with_what_it_asks_for() -> None:
    fleet = Fleet(symbol_cpus=8, symbol_memory_mb=120, store_memory_mb=20_000)
    nodes = {"large": {"CPU": 4.0, "memory": 11e9}, "head": {"CPU": 0.0}}
    assert misfits(fleet, nodes) == [
        "a symbol asks for 8 CPU and 120 MB",
        "a store asks for 0.05 CPU and 20000 MB",
    ]
    assert misfits(fleet, {**nodes, "huge": {"CPU": 64.0, "memory": 256e9}}) == []
    assert misfits(Fleet(), {}) != []


def test_node_types_come_from_the_cluster_file() -> None:
    assert node_types(ROOT / "cluster.yaml")["worker"]["CPU"] == 4
    assert node_types(ROOT / "deploy" / "cluster-local.yaml") == {}, "it says nothing of its nodes"


@pytest.mark.parametrize("text", ["[1, 2]", "a: [", "available_node_types: {worker: 7}"])
def test_what_is_no_cluster_file_is_said(tmp_path: Path, text: str) -> None:
    file = tmp_path / "cluster.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError, match="Expected a cluster file in"):
        node_types(file)


def test_the_doctor_says_it_of_this_machine_and_of_each_file(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    settings = load_settings(None, {"fleet": {"feed_cpus": 10_000}}, {})
    found = {item.name: item for item in examine(settings) if item.name.startswith("nodes")}
    assert set(found) == {
        "nodes (this machine)",
        "nodes (cluster.yaml)",
        "nodes (cluster-gcp.yaml)",
    }
    for item in found.values():
        assert not item.ok
        assert "a feed asks for 10000 CPU" in item.detail
        assert "fleet.*_cpus" in item.fix
    usual = [item for item in examine(load_settings(None, {}, {})) if "nodes" in item.name]
    assert all(item.ok for item in usual)

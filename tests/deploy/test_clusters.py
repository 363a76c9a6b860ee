"""The cluster files are valid for Ray, and every actor fits a node type of them."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import ray
import yaml
from ray.autoscaler._private.util import prepare_config, validate_config

from alphaplus.config import Fleet
from tests.deploy.demands import Demand, demands

ROOT = Path(__file__).parents[2]
FILES = (ROOT / "cluster.yaml", *sorted((ROOT / "deploy").glob("cluster-*.yaml")))
GROWING = [path for path in FILES if "available_node_types" in path.read_text(encoding="utf-8")]


def read(path: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return loaded


def test_there_is_one_for_each_way() -> None:
    assert [path.name for path in FILES] == [
        "cluster.yaml", "cluster-gcp.yaml", "cluster-local.yaml",
    ]  # fmt: skip
    providers = {path.name: read(path)["provider"]["type"] for path in FILES}
    assert list(providers.values()) == ["aws", "gcp", "local"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_it_follows_rays_schema(path: Path) -> None:
    schema = Path(ray.__file__).parent / "autoscaler" / "ray-schema.json"
    jsonschema.validate(read(path), json.loads(schema.read_text()))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_ray_up_takes_it(path: Path) -> None:
    prepared = prepare_config(read(path))
    validate_config(prepared)
    (workers,) = [t for n, t in prepared["available_node_types"].items() if t["max_workers"]]
    assert workers["min_workers"] >= 1


@pytest.mark.parametrize("path", GROWING, ids=lambda path: path.name)
@pytest.mark.parametrize("demand", demands(Fleet()), ids=lambda demand: demand.role)
def test_every_actor_fits_a_worker(path: Path, demand: Demand) -> None:
    cluster = read(path)
    head = cluster["head_node_type"]
    workers = [t for name, t in cluster["available_node_types"].items() if name != head]
    assert any(demand.fits(worker["resources"]) for worker in workers)
    assert demand.resources["CPU"] > 0, "an actor without CPU is no demand, and its node is removed"


@pytest.mark.parametrize("path", GROWING, ids=lambda path: path.name)
def test_no_actor_goes_to_the_head_and_workers_come_by_themselves(path: Path) -> None:
    cluster = read(path)
    types = cluster["available_node_types"]
    assert types[cluster["head_node_type"]]["resources"]["CPU"] == 0
    for name, kind in types.items():
        if name != cluster["head_node_type"]:
            assert kind["min_workers"] <= kind["max_workers"] <= cluster["max_workers"]
            assert kind["max_workers"] > 1


def test_a_cluster_of_fixed_machines_has_all_of_them_and_a_head_without_cpus() -> None:
    cluster = read(ROOT / "deploy" / "cluster-local.yaml")
    assert cluster["max_workers"] == len(cluster["provider"]["worker_ips"])
    (start,) = [c for c in cluster["head_start_ray_commands"] if "ray start" in c]
    assert "--num-cpus=0" in start


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_it_installs_what_the_constraints_say_and_leaves_data_behind(path: Path) -> None:
    cluster = read(path)
    assert any("--constraint ~/alphaplus/constraints.txt" in c for c in cluster["setup_commands"])
    assert {".git", ".venv", "data"} <= set(cluster["rsync_exclude"])

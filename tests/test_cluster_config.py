"""cluster.yaml is valid for Ray, and every actor fits a node type of it."""

import json
from pathlib import Path

import jsonschema
import ray
import yaml

from alphaplus.config import Fleet

CLUSTER = yaml.safe_load((Path(__file__).parents[1] / "cluster.yaml").read_text())


def test_it_follows_rays_schema() -> None:
    schema = Path(ray.__file__).parent / "autoscaler" / "ray-schema.json"
    jsonschema.validate(CLUSTER, json.loads(schema.read_text()))


def test_every_actor_fits_a_worker() -> None:
    cpus = max(t["resources"]["CPU"] for t in CLUSTER["available_node_types"].values())
    fleet = Fleet()
    wanted = [getattr(fleet, name) for name in Fleet.model_fields if name.endswith("_cpus")]
    assert 0 < max(wanted) <= cpus
    assert min(wanted) > 0

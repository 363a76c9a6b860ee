"""The deployment as Serve takes it: that it travels, and that the checked-in file is current."""

from pathlib import Path
from typing import Any

import yaml
from ray import cloudpickle
from ray.serve.schema import ServeDeploySchema

from serve.app import MAX_ONGOING, MAX_QUEUED, MAX_REQUESTS, app, build, deployment

CONFIG = Path(__file__).resolve().parents[2] / "serve" / "config.yaml"


def config() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(CONFIG.read_text(encoding="utf-8"))
    return loaded


def test_deployment_travels_to_replicas() -> None:
    cloudpickle.loads(cloudpickle.dumps(deployment.func_or_class))
    assert build(stale_after_ms=5.0) is not app


def test_refusals_of_our_own_come_before_those_of_serve() -> None:
    assert MAX_REQUESTS < MAX_ONGOING


def test_checked_in_configuration_loads() -> None:
    schema = ServeDeploySchema.model_validate(config())
    (application,) = schema.applications
    assert application.import_path == "serve.app:app"
    assert application.route_prefix == "/"


def test_checked_in_configuration_says_what_the_code_says() -> None:
    (written,) = config()["applications"][0]["deployments"]
    assert written["name"] == deployment.name == "Api"
    assert written["max_ongoing_requests"] == MAX_ONGOING == deployment.max_ongoing_requests
    assert written["max_queued_requests"] == MAX_QUEUED == deployment.max_queued_requests
    assert written["ray_actor_options"]["num_cpus"] == deployment.ray_actor_options["num_cpus"]
    assert written["backpressure_config"]["status_code"] == 429

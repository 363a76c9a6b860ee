"""The Kubernetes manifests parse, agree with settings and code, and fit the fleet."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import ray
import yaml
from ray.serve.schema import ServeDeploySchema

from alphaplus.config import Fleet, load_settings
from tests.deploy.demands import Demand, demands

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy" / "kuberay"
KINDS = {
    "namespace": "Namespace",
    "spool": "PersistentVolumeClaim",
    "raycluster": "RayCluster",
    "rayservice": "RayService",
    "stream-job": "RayJob",
    "monitoring": "PodMonitor",
}
UNITS = {"m": 1e-3, "": 1.0, "Mi": 2**20, "Gi": 2**30}
SYMBOLS_A_WORKER = 100


def read(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((FOLDER / f"{name}.yaml").read_text(encoding="utf-8"))
    return loaded


def cluster(name: str) -> dict[str, Any]:
    spec: dict[str, Any] = read(name)["spec"]
    return dict(spec["rayClusterConfig"]) if name == "rayservice" else spec


def pods(name: str) -> list[dict[str, Any]]:
    """Return the pod specs, the head's first."""
    spec = cluster(name)
    groups = [spec["headGroupSpec"], *spec["workerGroupSpecs"]]
    return [group["template"]["spec"] for group in groups]


def quantity(text: str) -> float:
    number, unit = re.fullmatch(r"([\d.]+)(\w*)", text).groups()  # type: ignore[union-attr]
    return float(number) * UNITS[unit]


BOTH = pytest.mark.parametrize("name", ["raycluster", "rayservice"])


def test_every_manifest_is_of_its_kind_and_of_our_namespace() -> None:
    assert {path.stem for path in FOLDER.glob("*.yaml")} == set(KINDS)
    for name, kind in KINDS.items():
        manifest = read(name)
        assert manifest["kind"] == kind
        space = manifest["metadata"]
        assert space["name" if kind == "Namespace" else "namespace"] == "alphaplus"


@BOTH
def test_ray_is_the_version_of_the_image_and_the_autoscaler_the_second(name: str) -> None:
    spec = cluster(name)
    assert spec["rayVersion"] == ray.__version__
    assert spec["enableInTreeAutoscaling"] is True
    assert spec["autoscalerOptions"]["version"] == "v2"
    assert spec["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"


@BOTH
def test_the_image_is_that_of_this_version(name: str) -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    images = {c["image"] for pod in pods(name) for c in pod["containers"]}
    assert images == {f"alphaplus:{version}"}
    assert f"-t alphaplus:{version} " in (ROOT / "deploy" / "Dockerfile").read_text()


@BOTH
@pytest.mark.parametrize("demand", demands(Fleet()), ids=lambda demand: demand.role)
def test_every_actor_fits_a_worker(name: str, demand: Demand) -> None:
    offered = [resources(pod) for pod in pods(name)[1:]]
    assert any(demand.fits(item) for item in offered)


def resources(pod: dict[str, Any]) -> dict[str, float]:
    (container,) = pod["containers"]
    limits, requests = container["resources"]["limits"], container["resources"]["requests"]
    assert limits == requests, "Ray offers the limits; without them the node is overbooked"
    return {"CPU": quantity(limits["cpu"]), "memory": quantity(limits["memory"])}


@BOTH
def test_a_worker_holds_what_its_comment_says(name: str) -> None:
    fleet, shared = Fleet(), 2 * 2**30
    offered = resources(pods(name)[1])
    wanted = {role.role: role.resources for role in demands(fleet) if role.role != "api"}
    numbers = {
        "symbol": SYMBOLS_A_WORKER,
        "feed": SYMBOLS_A_WORKER // 50,
    }
    for resource, room in (("CPU", offered["CPU"]), ("memory", offered["memory"] - shared)):
        assert sum(count * wanted[role][resource] for role, count in numbers.items()) < room


@BOTH
def test_what_has_one_place_fits_the_head_on_which_the_job_runs(name: str) -> None:
    (container,) = pods(name)[0]["containers"]
    offered = 0.7 * quantity(container["resources"]["limits"]["memory"])  # Ray keeps the rest
    wanted = {
        role.role: role.resources["memory"] for role in demands(Fleet()) if role.role != "api"
    }
    assert wanted["store"] + wanted["portfolio"] < offered
    assert "entrypointNumCpus" not in read("stream-job")["spec"], "it would run on a worker"


@BOTH
def test_variables_are_settings_and_secrets_come_from_the_secret(name: str) -> None:
    for pod in pods(name):
        (container,) = pod["containers"]
        plain = {e["name"]: e["value"] for e in container["env"] if "value" in e}
        hidden = {
            e["name"]: e["valueFrom"]["secretKeyRef"] for e in container["env"] if "valueFrom" in e
        }
        ours = {k: v for k, v in plain.items() if k.startswith("ALPHAPLUS_")}
        settings = load_settings(None, {}, ours | dict.fromkeys(hidden, "x"))
        assert settings.feeds.source == "live"
        assert settings.log.format == "json"
        assert set(hidden) == {
            "ALPHAPLUS_STORAGE__DSN", "ALPHAPLUS_FEEDS__API_KEY", "ALPHAPLUS_FEEDS__API_SECRET",
        }  # fmt: skip
        assert {item["name"] for item in hidden.values()} == {"alphaplus"}
        assert not hidden["ALPHAPLUS_STORAGE__DSN"].get("optional")
        stop_s = float(plain["RAY_JOB_STOP_WAIT_TIME_S"])
        assert stop_s > settings.fleet.longest_drain_s


@BOTH
def test_the_spool_outlives_the_pod(name: str) -> None:
    image = (ROOT / "deploy" / "Dockerfile").read_text(encoding="utf-8")
    data_dir = re.search(r"ALPHAPLUS_STORAGE__DATA_DIR=(\S+)", image)
    assert data_dir
    claim = read("spool")
    head = pods(name)[0]
    volumes = {item["name"]: item for item in head["volumes"]}
    mounts = {item["mountPath"]: item["name"] for item in head["containers"][0]["volumeMounts"]}
    volume = volumes[mounts[data_dir[1]]]
    assert volume["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]
    assert claim["spec"]["accessModes"] == ["ReadWriteOnce"], "the store stays on the head"
    spool_mb = load_settings(None, {}, {}).storage.max_spool_mb
    assert quantity(claim["spec"]["resources"]["requests"]["storage"]) > spool_mb * 1e6


@BOTH
def test_nothing_runs_as_root_and_ports_are_those_of_the_settings(name: str) -> None:
    for pod in pods(name):
        assert pod["securityContext"]["runAsNonRoot"] is True
        ports = {p["name"]: p["containerPort"] for p in pod["containers"][0]["ports"]}
        assert ports["serve"] == load_settings(None, {}, {}).serve.port
        assert read("monitoring")["spec"]["podMetricsEndpoints"][0]["port"] in ports


def test_the_pods_of_both_ways_are_the_same() -> None:
    assert cluster("raycluster") == cluster("rayservice")


def test_the_service_serves_what_the_checked_in_configuration_says() -> None:
    inner = yaml.safe_load(read("rayservice")["spec"]["serveConfigV2"])
    ServeDeploySchema.model_validate(inner)
    checked_in = yaml.safe_load((ROOT / "serve" / "config.yaml").read_text(encoding="utf-8"))
    assert inner["http_options"].pop("host") == "0.0.0.0"
    assert checked_in["http_options"].pop("host") == "127.0.0.1"
    assert inner == checked_in
    assert read("rayservice")["spec"]["upgradeStrategy"]["type"] == "None"


def test_the_job_runs_on_that_cluster_from_the_image() -> None:
    job = read("stream-job")["spec"]
    assert job["clusterSelector"] == {"ray.io/cluster": read("raycluster")["metadata"]["name"]}
    module = job["entrypoint"].removeprefix("python -m ")
    assert (ROOT / f"{module.replace('.', '/')}.py").is_file()
    inner = yaml.safe_load(job["runtimeEnvYAML"])
    assert inner == {"working_dir": "local:///app"}
    assert "\nWORKDIR /app\n" in (ROOT / "deploy" / "Dockerfile").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["namespace", "spool"])
def test_plain_manifests_are_valid_kubernetes(name: str) -> None:
    validate(read(name))


@BOTH
def test_pods_are_valid_kubernetes(name: str) -> None:
    for pod in pods(name):
        validate({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "pod"}, "spec": pod})


def validate(manifest: dict[str, Any]) -> None:
    tool = pytest.importorskip("kubernetes_validate", reason="pip install '.[deploy]' brings it")
    tool.validate(manifest, tool.latest_version(), strict=True)

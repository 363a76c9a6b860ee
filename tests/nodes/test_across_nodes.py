"""A feed and its symbols on machines of their own, one of which dies."""

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from tests.nodes.namespaces import (
    Cluster,
    Scenario,
    cluster_of_machines,
    environment,
    why_not,
)

pytestmark = [pytest.mark.ray, pytest.mark.slow]


def hosts(told: dict[str, Any]) -> dict[str, str]:
    """Return the host that each actor listens on."""
    return {
        name: address.removeprefix("tcp://").rpartition(":")[0]
        for name, (address, _) in told["endpoints"].items()
    }


def job_without_database(cluster: Cluster) -> subprocess.CompletedProcess[str]:
    """Start a job that would have an embedded database, which only one machine reaches."""
    return subprocess.run(
        [sys.executable, "-m", "jobs.stream"],
        env={**environment(), "RAY_ADDRESS": cluster.address},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.mark.timeout(400)
def test_streams_cross_machines_and_follow_a_symbol_to_another(tmp_path_factory: Any) -> None:
    reason = why_not()
    if reason is not None:
        pytest.skip(reason)
    with (
        tempfile.TemporaryDirectory(prefix="ap-") as folder,
        cluster_of_machines() as cluster,
    ):
        Path(folder).chmod(0o755)  # the database may run as another user
        first = cluster.add_worker()
        scenario = Scenario("tests.nodes.scenario", cluster.address, folder)
        try:
            before = scenario.read()
            refused = job_without_database(cluster)
            second = cluster.add_worker()
            cluster.workers[first].kill()
            scenario.go_on()
            after, end = scenario.read(), scenario.read()
        finally:
            scenario.stop()
    assert refused.returncode == 2
    assert "Expected storage.dsn on a cluster of 2 machines, was none" in refused.stderr
    symbols = {name for name in hosts(before) if name.startswith("symbol:")}
    head = cluster.address.rpartition(":")[0]
    assert len(symbols) == 2
    assert hosts(before) == {"portfolio:main": head, **dict.fromkeys(symbols, first)}
    assert before["right"]
    assert before["holes"] == 0
    assert before["stranger_sent"] == 0
    assert hosts(after) == {"portfolio:main": head, **dict.fromkeys(symbols, second)}
    for name in symbols:
        assert before["endpoints"][name][1] != after["endpoints"][name][1]
    assert after["right"]
    rows = end["rows"]
    assert rows["accepted"] > 500
    assert {rows[name] for name in ("missing", "duplicated", "different")} == {0}

"""Dashboards and alerts name metrics that exist, show all of them, and say what to do."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from actors.metric_table import METRICS
from alphaplus.config import Settings
from deploy.dashboards import DASHBOARDS, FOLDER

ROOT = Path(__file__).parents[2]
PROMETHEUS = ROOT / "deploy" / "prometheus"
NAME = re.compile(r"\bray_alphaplus_\w+")
LABELS = re.compile(r"by \(([^)]*)\)")
TABLE = {metric.exposed: metric for metric in METRICS}
RULES: list[dict[str, Any]] = [
    rule
    for group in yaml.safe_load((PROMETHEUS / "alerts.yml").read_text(encoding="utf-8"))["groups"]
    for rule in group["rules"]
]


def queries(name: str) -> list[str]:
    """Return all expressions of a dashboard, as it is on disk."""
    board = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    found = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    return found + [v["definition"] for v in board["templating"]["list"] if "definition" in v]


def promtool(*arguments: str) -> subprocess.CompletedProcess[str]:
    tool = shutil.which("promtool")
    if tool is None:
        pytest.skip("no promtool: Debian's package prometheus has it")
    return subprocess.run(
        [tool, *arguments], capture_output=True, text=True, timeout=60, check=False
    )


def test_dashboards_name_only_metrics_that_exist_and_all_of_them() -> None:
    named = {
        name for board in DASHBOARDS for query in queries(board) for name in NAME.findall(query)
    }
    assert named == set(TABLE)


@pytest.mark.parametrize("name", DASHBOARDS)
def test_a_dashboard_is_whole(name: str) -> None:
    board = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    places = [tuple(panel["gridPos"][key] for key in "xy") for panel in board["panels"]]
    assert len(set(places)) == len(places)
    assert len({panel["id"] for panel in board["panels"]}) == len(places)
    known = {f"${variable['name']}" for variable in board["templating"]["list"]}
    used = {word for query in queries(name) for word in re.findall(r"\$\w+", query)}
    assert used <= known
    assert all(panel["description"] for panel in board["panels"])


@pytest.mark.parametrize(
    "expression", [e for b in DASHBOARDS for e in queries(b)] + [r["expr"] for r in RULES]
)
def test_sums_are_by_labels_that_the_metric_has_and_rates_are_of_counters(expression: str) -> None:
    for name in NAME.findall(expression):
        for labels in LABELS.findall(expression):
            assert set(labels.replace(" ", "").split(",")) <= set(TABLE[name].labels)
        if re.search(rf"(rate|increase)\({name}\b", expression):
            assert TABLE[name].kind == "counter"
        elif "label_values" not in expression:
            assert TABLE[name].kind == "gauge", "a counter says something by its growth alone"


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_an_alert_names_metrics_that_exist_and_says_what_to_do(rule: dict[str, Any]) -> None:
    names = NAME.findall(rule["expr"])
    assert names
    assert set(names) <= set(TABLE)
    assert rule["labels"]["severity"] in {"warning", "critical"}
    action = rule["annotations"]["action"]
    assert action.endswith(".")
    assert len(action.split()) >= 10
    words = re.sub(r"\{\{.*?\}\}", "", action)
    for setting in re.findall(r"\b([a-z]+\.[a-z_]+)\b", words):
        section, field = setting.split(".")
        assert field in type(getattr(Settings(), section)).model_fields, setting


def test_thresholds_are_those_of_the_settings() -> None:
    rules = {rule["alert"]: rule["expr"] for rule in RULES}
    assert f"> {Settings().risk.shortfall_budget} *" in rules["AlphaPlusShortfallAboveBudget"]


def test_promtool_takes_the_configuration_and_the_rules() -> None:
    done = promtool("check", "config", str(PROMETHEUS / "prometheus.yml"))
    assert done.returncode == 0, done.stderr
    assert f"{len(RULES)} rules found" in done.stdout


def test_alerts_fire_when_they_should_and_only_then() -> None:
    done = promtool("test", "rules", str(Path(__file__).with_name("alerts_cases.yml")))
    assert done.returncode == 0, done.stdout + done.stderr


def test_promtool_takes_every_query_of_the_dashboards(tmp_path: Path) -> None:
    rules = [
        {"record": f"query_{at}", "expr": query}
        for at, query in enumerate(q for board in DASHBOARDS for q in queries(board))
        if "label_values" not in query
    ]
    file = tmp_path / "queries.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "dashboards", "rules": rules}]}))
    done = promtool("check", "rules", str(file))
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(rules)} rules found" in done.stdout

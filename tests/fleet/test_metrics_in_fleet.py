"""Ray's metrics endpoint says what the fleet's own counters say."""

import json
import re
import urllib.request
from pathlib import Path
from typing import Any

import pytest
import ray

from actors import names
from actors.metric_table import METRICS, Metric
from serve.fleet import RayFleet
from tests.fleet.conftest import Fleet, running_fleet, until

pytestmark = pytest.mark.ray

SERIES = re.compile(r"^(?P<name>ray_alphaplus_\w+)\{(?P<labels>.*)\} (?P<value>\S+)$")
LABEL = re.compile(r'(\w+)="([^"]*)"')
NOT_HELD = {"portfolio_equity", "portfolio_var_99_1d", "portfolio_es_975_1d"}
"""Of a portfolio, and this one is empty."""


@pytest.fixture(scope="module")
def fleet(cluster: None, database: str, tmp_path_factory: pytest.TempPathFactory) -> Any:
    settings = {
        "log": {"format": "json"},
        "metrics": {"interval_s": 0.5},
        "fleet": {"stale_after_ms": 600_000.0},
        "risk": {"history_days": 0.0},
    }
    folder = tmp_path_factory.mktemp("metrics")
    with running_fleet(database, folder, ["--symbols=2", "--seed=31"], **settings) as running:
        until(lambda: all(not running.summary(s)["stale"] for s in running.symbols))
        yield running


def scrape() -> dict[tuple[str, ...], float]:
    """Return every series of ours by name and our own labels, in the table's order."""
    port = ray.nodes()[0]["MetricsExportPort"]
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    tables = {metric.exposed: metric for metric in METRICS}
    found = {}
    for line in text.splitlines():
        if (match := SERIES.match(line)) is None:
            continue
        labels = dict(LABEL.findall(match["labels"]))
        ours = [labels[name] for name in tables[match["name"]].labels]
        found[match["name"], *ours] = float(match["value"])
    return found


def by_name(series: dict[tuple[str, ...], float]) -> set[str]:
    return {key[0] for key in series}


def test_every_metric_arrives_and_equals_the_counters(fleet: Fleet) -> None:
    until(lambda: fleet.stats()["messages"] > 200)
    symbol = fleet.symbols[0]
    ray.get(names.supervisor().resync.remote("binance", symbol))
    until(lambda: fleet.summary(symbol)["resyncs"] > 0)
    wanted = {metric.exposed for metric in METRICS if _expected(metric)}
    until(lambda: wanted <= by_name(scrape()), timeout_s=60, poll_s=1.0)
    fleet.venue("/control/pause", {})

    def equal() -> bool:
        found = scrape()
        return all(
            found.get((f"ray_alphaplus_{metric}", "binance", symbol)) == fleet.summary(symbol)[name]
            for symbol in fleet.symbols
            for metric, name in (
                ("messages_total", "messages"),
                ("book_updates_total", "level_updates"),
                ("trades_total", "trades"),
                ("audit_equal_total", "audit_equal"),
            )
        )

    until(equal, timeout_s=60, poll_s=1.0)
    found, stats = scrape(), fleet.stats()
    assert found["ray_alphaplus_resyncs_total", "binance", symbol] == stats["resyncs"] > 0
    assert found[("ray_alphaplus_symbols",)] == 2
    assert 0 < found["ray_alphaplus_lag_p50_seconds", "binance", symbol] < 60
    assert found["ray_alphaplus_symbol_memory_bytes", symbol] > 20e6
    assert found["ray_alphaplus_batches_total", symbol] > 0
    assert found["ray_alphaplus_batch_apply_seconds_total", symbol] > 0
    fleet.venue("/control/resume", {})


def test_a_figure_that_is_no_longer_known_is_gone(fleet: Fleet) -> None:
    portfolio: Any = names.portfolio()
    position = {"symbol": fleet.symbols[0], "quantity": 1.0, "entry_price": 60_000.0}
    equity = ("ray_alphaplus_portfolio_equity",)
    ray.get(portfolio.set_positions.remote([position], 30_000.0))
    until(lambda: _equity(portfolio) is not None, timeout_s=60, poll_s=1.0)
    until(lambda: equity in scrape(), timeout_s=60, poll_s=1.0)
    ray.get(portfolio.set_positions.remote([]))
    until(lambda: equity not in scrape(), timeout_s=60, poll_s=1.0)


def _equity(portfolio: Any) -> float | None:
    figure = ray.get(portfolio.risk.remote("main"))["figures"]["equity"]
    print(figure)
    value: float | None = figure["value"]
    return value


def test_actors_log_json_with_their_ids(fleet: Fleet) -> None:
    symbol = fleet.symbols[1]
    ray.get(names.supervisor().resync.remote("binance", symbol))
    folder = Path(ray._private.worker.global_worker.node.get_logs_dir_path())

    def lines() -> list[dict[str, Any]]:
        texts = (path.read_text() for path in folder.glob("worker-*.err"))
        found = (line for text in texts for line in text.splitlines() if '"logger"' in line)
        return [json.loads(line) for line in found]

    def told() -> bool:
        asked = (line for line in lines() if "asks for a snapshot" in line["message"])
        return any(line.get("symbol") == symbol for line in asked)

    until(told)
    feed = [line for line in lines() if line.get("actor") == "feed:binance:0"]
    assert feed
    assert {line["exchange"] for line in feed} == {"binance"}


async def test_the_load_says_what_everyone_costs(fleet: Fleet) -> None:
    asked = RayFleet()
    load = await asked.load()
    assert {row["symbol"] for row in load["markets"]} == set(fleet.symbols)
    for row in load["markets"]:
        assert row["memory_bytes"] > 20e6
        assert row["cpu"] >= 0
        assert row["backlog_events"] == row["dropped_events"] == row["dropped_rows"] == 0
    (node,) = load["nodes"]
    assert node["cpus"] == 2
    roles = {row["role"]: row for row in load["roles"]}
    assert set(roles) == {"symbols", "feeds", "portfolio", "store"}
    assert roles["symbols"]["actors"] == 2
    assert all(row["cpu_s"] > 0 for row in roles.values())


def _expected(metric: Metric) -> bool:
    """Counters appear with what they first count, and most of these are of things gone wrong."""
    name = metric.name.removeprefix("alphaplus_")
    if metric.kind == "gauge":
        return name not in NOT_HELD
    counted = {"messages", "level_updates", "trades", "resyncs", "batches", "events", "apply_s"}
    return metric.source in counted | {"cpu_s", "rows_accepted", "rows_written"}

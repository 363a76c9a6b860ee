"""The job that stresses the running fleet's portfolio: its order, its tables, and its ends."""

import io
import json
import subprocess
import sys
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import ray
from rich.console import Console

from actors import names
from alphaplus.errors import ConfigError, RiskError
from alphaplus.portfolio.stress_inputs import StressInputs
from alphaplus.portfolio.stress_order import StressOrder, answer_order
from jobs.stress import ask, order_of, print_tables, run
from tests.portfolio.stress_cases import BTC, NOW, stress_inputs


def arguments(**changes: Any) -> Namespace:
    values = {"scenario": None, "file": None, "portfolio": "main", "json": True}
    return Namespace(**{**values, **changes})


def test_an_order_is_a_name_or_a_file(tmp_path: Path) -> None:
    assert order_of(arguments(scenario="common_down_10")).scenario == "common_down_10"
    path = tmp_path / "order.json"
    path.write_text(json.dumps({"shocks": {BTC: -0.1}, "levels": "none"}))
    assert order_of(arguments(file=path)) == StressOrder(shocks={BTC: -0.1}, levels="none")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{", "Expected a JSON object in"),
        ("[1]", "Expected a JSON object in"),
        ('{"depth": 1}', "Expected one of scenario, shocks"),
        ('{"common": 0.1, "depth": 2}', "Expected depth above 0 to 1, was 2."),
    ],
)
def test_a_wrong_file_is_refused(tmp_path: Path, text: str, sentence: str) -> None:
    path = tmp_path / "order.json"
    path.write_text(text)
    with pytest.raises(ConfigError, match=sentence):
        order_of(arguments(file=path))
    with pytest.raises(ConfigError, match="Expected a JSON object in"):
        order_of(arguments(file=tmp_path / "none.json"))
    with pytest.raises(ConfigError, match="Expected either --scenario NAME or --file FILE"):
        order_of(arguments(file=path, scenario="common_down_10"))


def printed(order: dict[str, Any]) -> str:
    out = io.StringIO()
    answer = answer_order(StressOrder.of(order), stress_inputs(), now_ns=NOW)
    print_tables(answer, Console(file=out, width=160))
    return out.getvalue()


def test_tables_say_what_was_found_and_what_is_missing() -> None:
    text = printed({"scenario": "common_down_10"})
    assert "portfolio_loss" in text
    assert "150" in text
    assert "standing" in text
    assert BTC in text
    text = printed({"scenario": "btc_down_10"})
    assert "unknown" in text
    assert f"missing: beta of binance:{BTC}" in text
    assert "correlation" in printed({"grid": {"shocks": [-0.1]}})


class Portfolio:
    """Stands for the fleet's portfolio actor."""

    def stress_inputs(self, portfolio_id: str) -> StressInputs:
        if portfolio_id != "main":
            raise RiskError(f"Expected a portfolio of main, was {portfolio_id!r}.")
        return stress_inputs()


@pytest.fixture
def portfolio(cluster: None) -> Iterator[None]:
    remote: Any = ray.remote(Portfolio)
    handle = remote.options(name=names.PORTFOLIO, namespace=names.NAMESPACE, num_cpus=0.01).remote()
    ray.get(handle.stress_inputs.remote("main"))
    yield
    ray.kill(handle)


@pytest.mark.ray
def test_it_runs_on_what_the_fleet_knows(portfolio: None) -> None:
    answer = run(arguments(scenario="common_down_10"))
    assert answer["figures"]["portfolio_loss"] == pytest.approx(150.0)
    with pytest.raises(ConfigError, match="Expected a portfolio of main, was 'other'"):
        ask("other")
    with pytest.raises(ConfigError, match="Expected a scenario of common_down_5"):
        run(arguments(scenario="doom"))


@pytest.mark.ray
def test_without_a_fleet_it_says_what_to_start(cluster: None) -> None:
    with pytest.raises(ConfigError, match="start the stream job first"):
        ask("main")


def test_wrong_usage_ends_with_code_2_and_one_sentence() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "jobs.stress", "--json"],
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 2
    assert json.loads(done.stdout)["error"].startswith("Expected either --scenario NAME")

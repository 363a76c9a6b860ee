"""The cost model, the plan and the venues' limits."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alphaplus.errors import ConfigError
from benchmarks.capacity import points as points_module
from benchmarks.capacity.model import CORES, MEMORY, fit_cores, fit_memory, residuals
from benchmarks.capacity.page import page
from benchmarks.capacity.plan import Wish, plan
from benchmarks.capacity.points import (
    MEASURED,
    Observation,
    commands,
    cpus_of,
    keep,
    read_points,
)
from benchmarks.capacity.prediction import calm_limit, predictions, service_of
from benchmarks.capacity.report import report
from benchmarks.capacity.venues import VENUES, Venue, Wanted, needs

SYMBOL, MESSAGE, LEVEL, ROW = 0.004, 200e-6, 2e-6, 3e-6


def observed(symbols: int, rate: float, levels: float = 68.0) -> Observation:
    """Return a fleet whose costs are exactly linear."""
    messages = symbols * rate
    rows = messages * levels + 2 * symbols
    return Observation(
        symbols=symbols,
        messages_per_s=messages,
        levels_per_s=messages * levels,
        rows_per_s=rows,
        cores_by_role={
            "symbols": symbols * SYMBOL + messages * (MESSAGE + levels * LEVEL),
            "feeds": messages * (100e-6 + levels * 1e-6),
            "store": 0.02 + rows * ROW,
            "database": 0.01 + rows * 2e-6,
            "portfolio": 0.01 + symbols * 1e-4,
            "supervisor": 0.005,
            "serve": 0.05,
            "job": 0.01,
            "ray system": 0.1 + symbols * 2e-4,
            "venue": messages * 50e-6,
        },
        mb_by_role={
            "symbols": 110.0 * symbols, "feeds": 150.0 + symbols, "store": 90.0,
            "database": 80.0, "portfolio": 120.0 + 0.1 * symbols, "supervisor": 150.0,
            "serve": 500.0, "job": 200.0, "ray system": 700.0 + symbols, "venue": 100.0,
        },
        p99_ms=5.0,
    )  # fmt: skip


POINTS = [
    observed(10, 10),
    observed(50, 10),
    observed(100, 10),
    observed(100, 5),
    observed(50, 50, 1),
]


def test_costs_of_a_linear_fleet_are_found_again() -> None:
    cores, memory = fit_cores(POINTS), fit_memory(POINTS)
    found = cores["symbols"].coefficients
    assert found["symbols"] == pytest.approx(SYMBOL, rel=1e-6)
    assert found["messages"] == pytest.approx(MESSAGE, rel=1e-6)
    assert found["levels"] == pytest.approx(LEVEL, rel=1e-6)
    assert cores["store"].coefficients["rows"] == pytest.approx(ROW, rel=1e-6)
    assert memory["symbols"].coefficients["symbols"] == pytest.approx(110.0)
    assert memory["feeds"].coefficients == pytest.approx({"one": 150.0, "symbols": 1.0})
    assert all(abs(line["error"]) < 1e-4 for line in residuals(POINTS, cores))


def test_what_points_do_not_tell_apart_is_left_out() -> None:
    """With one size of message a level's cost is in that of the message; with one rate too."""
    alike = fit_cores([observed(n, r) for n, r in ((10, 10), (50, 10), (100, 5))])
    assert set(alike["symbols"].coefficients) == {"symbols", "messages"}
    assert alike["symbols"].coefficients["messages"] == pytest.approx(MESSAGE + 68 * LEVEL)
    one_rate = fit_cores([observed(n, 10) for n in (10, 50, 100)])
    assert set(one_rate["symbols"].coefficients) == {"symbols"}
    assert set(CORES) == set(alike)
    assert set(MEMORY) == set(fit_memory(POINTS))


@given(
    st.lists(
        st.tuples(st.integers(1, 200), st.floats(1, 20), st.floats(0.5, 1.5)),
        min_size=2,
        max_size=6,
    )
)
def test_no_cost_is_negative(drawn: list[tuple[int, float, float]]) -> None:
    noisy = []
    for symbols, rate, factor in drawn:
        point = observed(symbols, rate)
        cores = {role: value * factor for role, value in point.cores_by_role.items()}
        noisy.append(
            Observation(
                symbols=symbols,
                messages_per_s=point.messages_per_s,
                levels_per_s=point.levels_per_s,
                rows_per_s=point.rows_per_s,
                cores_by_role=cores,
                mb_by_role=point.mb_by_role,
                p99_ms=None,
            )
        )
    for cost in fit_cores(noisy).values():
        assert all(value >= 0 for value in cost.coefficients.values())


def test_a_plan_adds_up() -> None:
    cores, memory = fit_cores(POINTS), fit_memory(POINTS)
    wish = Wish(symbols=1000, venues=10, rate=10.0, levels=68.0, busy=0.7)
    steps = plan(wish, cores, memory)
    assert steps["books"].value == 10_000
    assert steps["messages"].value == 100_000
    assert steps["levels"].value == 6_800_000
    assert steps["rows"].value == 6_820_000
    assert steps["cores/symbols"].value == pytest.approx(
        1000 * SYMBOL + 100_000 * (MESSAGE + 68 * LEVEL)
    )
    assert steps["feeds"].value == 200
    assert steps["mb/symbols"].value == pytest.approx(1000 * (110 + 9 * 5))
    assert steps["mb/feeds"].value == pytest.approx(200 * 200)
    front = sum(s.value for n, s in steps.items() if n.startswith("cores/") and "data" not in n)
    assert steps["nodes_by_cores"].value == math.ceil(front / (4 * 0.7 - 0.1))
    assert steps["nodes"].value == max(
        steps["nodes_by_cores"].value, steps["nodes_by_memory"].value
    )
    assert steps["net/events"].value == pytest.approx(6_800_000 * 48 / 1e6)
    assert steps["disk/packed"].value < steps["disk/in partitions"].value / 10


def test_levels_that_are_not_stored_cost_no_rows() -> None:
    cores, memory = fit_cores(POINTS), fit_memory(POINTS)
    stored = plan(Wish(), cores, memory)
    spared = plan(Wish(store_levels=False), cores, memory)
    assert spared["rows"].value == 20_000
    assert spared["cores/database"].value < stored["cores/database"].value / 100
    assert spared["cores/symbols"].value == stored["cores/symbols"].value


@given(st.integers(1, 5000), st.integers(1, 20), st.floats(0.2, 1.0))
def test_more_symbols_never_take_less(symbols: int, venues: int, busy: float) -> None:
    cores, memory = fit_cores(POINTS), fit_memory(POINTS)
    less = plan(Wish(symbols=symbols, venues=venues, busy=busy), cores, memory)
    more = plan(Wish(symbols=symbols + 50, venues=venues, busy=busy), cores, memory)
    assert all(more[name].value >= step.value for name, step in less.items())


def test_services_are_what_the_model_says_of_a_message() -> None:
    service = service_of(POINTS[2], fit_cores(POINTS))
    assert service.symbol_s == pytest.approx(MESSAGE + 68 * LEVEL)
    assert service.feed_s == pytest.approx(168e-6)
    polite = POINTS[2].cores_by_role["store"] + POINTS[2].cores_by_role["database"]
    work = POINTS[2].messages_per_s * (service.symbol_s + service.feed_s)
    assert service.other_cores == pytest.approx(POINTS[2].cores - polite - work)


def test_busier_points_are_simulated_slower_and_the_limit_lies_between() -> None:
    costs = fit_cores(POINTS)
    calm, busy = predictions([observed(20, 10), observed(180, 10)], costs, cpus=2)
    assert calm["simulated_p99_ms"] < busy["simulated_p99_ms"]
    limit = calm_limit(POINTS[2], costs, cpus=2)
    assert 0.3 < limit["busy"] <= 1.0
    assert 50 < limit["symbols"] < 400


BINANCE = VENUES[0]


def test_connections_and_weights_of_a_thousand_books() -> None:
    found = needs(BINANCE, Wanted(books=1000, streams=5, interest_every_s=15.0))
    assert found["connections"] == math.ceil(5000 / 1024)
    assert found["interest_weight_per_min"] == 4000
    assert found["weight_per_min"] == 1800
    assert found["addresses"] == 3
    assert found["snapshots_min"] == pytest.approx(20_000 / 1800, abs=0.01)


def test_open_connections_ask_for_addresses_and_time() -> None:
    tight = Venue(
        name="tight",
        page="a page",
        url="https://example.org",
        streams_per_connection=10,
        connections=20,
        new_connections=5,
        new_within_s=60.0,
    )
    found = needs(tight, Wanted(books=100, streams=5, interest_every_s=15.0))
    assert (found["connections"], found["addresses"], found["connect_s"]) == (50, 3, 540.0)
    few = needs(tight, Wanted(books=1, streams=1, interest_every_s=15.0))
    assert (few["connections"], few["connect_s"]) == (1, 0.0)


def told(point: Observation, **more: Any) -> dict[str, Any]:
    return {
        "symbols": point.symbols,
        "processed_per_s": point.messages_per_s,
        "levels_per_s": point.levels_per_s,
        "rows_per_s": point.rows_per_s,
        "cores_by_role": dict(point.cores_by_role),
        "mb_by_role": dict(point.mb_by_role),
        "p99_ms": point.p99_ms,
        **more,
    }


def test_points_are_read_from_the_last_line_and_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, table = tmp_path / "scale.out", tmp_path / "measured.json"
    failed = {"symbols": 200, "failed": "no room"}
    whole = {"cpus": 2, "points": [told(POINTS[0]), failed, told(POINTS[1], rate=10.0)]}
    file.write_text(json.dumps(told(POINTS[0])) + "\n" + json.dumps(whole) + "\n")
    assert read_points(file) == POINTS[:2]
    monkeypatch.setattr(points_module, "MEASURED", table)
    keep(file, ["python -m benchmarks.scale"])
    assert read_points(table) == POINTS[:2]
    assert cpus_of(table) == 2
    assert commands(table) == ["python -m benchmarks.scale"]


@pytest.mark.parametrize("text", ["", "no JSON", "[]", '{"points": [{"symbols": 1}]}', "{}"])
def test_a_file_without_points_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "points"
    file.write_text(text)
    with pytest.raises(ConfigError, match=r"benchmarks\.scale --json"):
        read_points(file)


def test_one_point_is_too_few(tmp_path: Path) -> None:
    file = tmp_path / "points"
    file.write_text(json.dumps({"points": [told(POINTS[0])]}))
    with pytest.raises(ConfigError, match="at least two"):
        read_points(file)


def test_the_checked_in_points_make_a_page_with_all_its_tables() -> None:
    found = report(read_points(MEASURED), Wish(), cpus_of(MEASURED))
    text = page(found, commands())
    assert json.dumps(found)
    for heading in (
        "### Cost",
        "### The model",
        "### The simulation",
        "1,000 symbols on 10 venues",
    ):
        assert heading in text
    assert all(venue.name in text for venue in VENUES)
    assert all(abs(line["error"]) < 0.25 for line in found["residuals"])

"""The metrics' table, the readings of the board, and what is told to Ray."""

import math
import re
from collections import defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.fleet_loads import FleetLoads
from actors.metric_readings import BoardContents, Reading, readings
from actors.metric_table import METRICS
from actors.metrics import FleetMetrics
from alphaplus.analysis.state import blank_state
from alphaplus.analysis.state import summary as summary_of
from tests.actors.test_fleet_loads import S, feed, histogram, load


class Told:
    """Stands for Ray: what every series is at, and what was set since `scraped`."""

    def __init__(self) -> None:
        self.values: dict[tuple[str, ...], float] = defaultdict(float)
        self.gauges: set[tuple[str, ...]] = set()

    def make(self, metric):
        def tell(value: float, labels: dict[str, str]) -> None:
            assert tuple(labels) == metric.labels
            key = (metric.name, *labels.values())
            if metric.kind == "counter":
                assert value > 0  # Ray refuses others
                self.values[key] += value
            else:
                self.values[key] = value
                self.gauges.add(key)

        return tell


def board(**changes):
    state = blank_state()
    state["exchange"], state["symbol"], state["ts_recv"] = "binance", "BTC-USDT-PERP", 2 * S
    state["messages"], state["gaps"], state["status"], state["crossed"] = 50, 1, 2, True
    item = summary_of(state[0], now_ns=5 * S, stale_after_ms=1e4)
    loads = FleetLoads()
    loads.take("symbol:BTC-USDT-PERP", load(1, cpu_s=2.0, batches=4, events=40, apply_s=0.5))
    loads.take("feed:binance:0", feed(1, backlog=3, dropped=1))
    loads.take_latencies("binance:BTC-USDT-PERP", histogram(1, 2, 3))
    contents = {
        "summaries": [item | {"crossed": True}],
        "counters": {
            "feed:binance:0": {"reconnects": 2, "bad_frames": 1},
            "feed:binance:1": {"reconnects": 3, "bad_frames": 0},
            "store:0": {"rows_written": 10, "rows_pending": 5},
            "store:1": {"rows_written": 20, "rows_pending": 6},
        },
        "loads": loads,
        "figures": {"equity": 1000.0, "var_99_1d": None},
        **changes,
    }
    return BoardContents(**contents)


def test_names_are_prometheus_names_with_units():
    assert len({metric.name for metric in METRICS}) == len(METRICS)
    for metric in METRICS:
        assert re.fullmatch(r"alphaplus_[a-z0-9_]+", metric.name)
        assert metric.name.endswith("_total") == (metric.kind == "counter"), metric.name
        assert set(metric.labels) <= {"exchange", "symbol"}
        assert metric.help.endswith(".")
        assert metric.unit


def test_every_metric_has_a_source_in_the_readings():
    found = defaultdict(set)
    for reading in readings(board()):
        found[tuple(reading.labels)] |= reading.values.keys()
    missing = [m.name for m in METRICS if m.source not in found[m.labels]]
    assert missing == []


def test_what_is_told_is_what_the_board_knows():
    told = Told()
    metrics = FleetMetrics(told.make)
    metrics.export(readings(board()))
    metrics.export(readings(board()))  # the same totals again: nothing is counted twice
    market, symbol = ("binance", "BTC-USDT-PERP"), ("BTC-USDT-PERP",)
    expected = {
        ("alphaplus_messages_total", *market): 50,
        ("alphaplus_sequence_gaps_total", *market): 1,
        ("alphaplus_book_age_seconds", *market): 3.0,
        ("alphaplus_book_stale", *market): 1.0,
        ("alphaplus_book_crossed", *market): 1.0,
        ("alphaplus_backlog_events", *market): 3,
        ("alphaplus_feed_dropped_events_total", *market): 1,
        ("alphaplus_batches_total", *symbol): 4,
        ("alphaplus_batch_events_total", *symbol): 40,
        ("alphaplus_batch_apply_seconds_total", *symbol): 0.5,
        ("alphaplus_symbol_cpu_seconds_total", *symbol): 2.0,
        ("alphaplus_symbol_memory_bytes", *symbol): 90_000_000,
        ("alphaplus_feed_reconnects_total", "binance"): 5,
        ("alphaplus_feed_bad_frames_total", "binance"): 1,
        ("alphaplus_store_rows_written_total",): 30,
        ("alphaplus_store_rows_pending",): 11,
        ("alphaplus_symbols",): 1,
        ("alphaplus_stale_symbols",): 1,
        ("alphaplus_portfolio_equity",): 1000,
    }
    assert {key: told.values[key] for key in expected} == expected
    assert told.values["alphaplus_lag_p99_seconds", *market] == pytest.approx(3e-3, rel=0.01)


def test_unknown_is_absent_and_never_zero():
    told = Told()
    FleetMetrics(told.make).export(readings(board(loads=FleetLoads(), counters={}, figures={})))
    absent = {
        "alphaplus_lag_p50_seconds", "alphaplus_backlog_events", "alphaplus_store_rows_pending",
        "alphaplus_portfolio_equity", "alphaplus_portfolio_var_99_1d",
        "alphaplus_symbol_memory_bytes",
    }  # fmt: skip
    assert absent.isdisjoint(key[0] for key in told.values)


def test_gauges_are_set_again_with_every_export():
    told = Told()
    metrics = FleetMetrics(told.make)
    metrics.export(readings(board()))
    first, told.gauges = told.gauges, set()
    metrics.export(readings(board()))
    assert told.gauges == first != set()


@given(st.lists(st.lists(st.integers(0, 1000), min_size=1, max_size=5), min_size=1, max_size=4))
def test_a_counter_is_the_sum_over_all_lives_of_what_each_counted(lives):
    """Each life counts up from 0; the board sees some of its totals."""
    told = Told()
    metrics = FleetMetrics(told.make)
    seen, last = 0, 0
    for life in lives:
        for at, total in enumerate(sorted(life)):
            if at == 0 and total >= last:
                seen += total - last  # a restart that nobody can tell from growth
            elif at == 0:
                seen += total
            else:
                seen += total - last
            last = total
            metrics.export([Reading(origin="store:0", values={"rows_written": total})])
    assert told.values["alphaplus_store_rows_written_total",] == seen


def test_values_that_are_no_numbers_are_left_out():
    told = Told()
    metrics = FleetMetrics(told.make)
    metrics.export([Reading(origin="fleet", values={"equity": math.nan, "var_99_1d": math.inf})])
    assert not told.values

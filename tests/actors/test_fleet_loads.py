"""Rates and recent latencies from what actors tell, through restarts."""

import pytest

from actors.fleet_loads import FleetLoads, backlog_of
from actors.load_table import market_rows, role_rows
from alphaplus.latency import LatencyHistogram
from serve.load_schemas import FleetLoad, MarketLoad, RoleLoad

S = 1_000_000_000


def load(second: float, *, cpu_s: float = 0.0, messages: int = 0, **more):
    return {
        "ts": int(second * S),
        "pid": 7,
        "cpu_s": cpu_s,
        "memory_bytes": 90_000_000,
        "memory_ratio": 1.1,
        "batches": 0,
        "events": 0,
        "apply_s": 0.0,
        "markets": {"binance": {"messages": messages}},
        **more,
    }


def feed(second: float, *, backlog: int, dropped: int):
    counts = {"backlog_events": backlog, "dropped_events": dropped}
    return {
        "ts": int(second * S),
        "pid": 8,
        "cpu_s": second / 10,
        "memory_bytes": 150_000_000,
        "exchange": "binance",
        "markets": {"BTC-USDT-PERP": counts},
    }


def summary(**changes):
    return {
        "symbol": "BTC-USDT-PERP",
        "exchange": "binance",
        "stale": False,
        "stale_reason": None,
        "ts_event": 1,
        "ts_recv": 2,
        "age_ms": 3.0,
        "gaps": 2,
        "dropped": 5,
        **changes,
    }


def histogram(*milliseconds: float) -> LatencyHistogram:
    found = LatencyHistogram()
    for value in milliseconds:
        found.record(int(value * 1e6))
    return found


def test_one_telling_gives_no_rate():
    loads = FleetLoads()
    loads.take("symbol:A", load(1, cpu_s=1))
    assert loads.rate("symbol:A", "cpu_s") is None
    assert loads.rate("symbol:B", "cpu_s") is None


def test_rates_are_by_the_senders_clock():
    loads = FleetLoads()
    loads.take("symbol:A", load(10, cpu_s=1.0, messages=100))
    loads.take("symbol:A", load(15, cpu_s=1.5, messages=350))
    assert loads.rate("symbol:A", "cpu_s") == pytest.approx(0.1)
    assert loads.rate("symbol:A", "messages", exchange="binance") == pytest.approx(50)
    assert loads.rate("symbol:A", "messages", exchange="okx") is None


def test_a_new_life_counts_from_zero_and_never_backwards():
    loads = FleetLoads()
    loads.take("symbol:A", load(10, cpu_s=9.0))
    loads.take("symbol:A", load(15, cpu_s=0.5))
    assert loads.rate("symbol:A", "cpu_s") == pytest.approx(0.1)


def test_two_tellings_at_once_give_no_rate():
    loads = FleetLoads()
    loads.take("symbol:A", load(10, cpu_s=1.0))
    loads.take("symbol:A", load(10, cpu_s=2.0))
    assert loads.rate("symbol:A", "cpu_s") is None


def test_memory_and_backlog_of_all_feeds_add_up():
    loads = FleetLoads()
    loads.take("feed:binance:0", feed(1, backlog=3, dropped=1))
    loads.take("feed:binance:1", feed(1, backlog=4, dropped=0))
    assert backlog_of(loads) == {
        "binance:BTC-USDT-PERP": {"backlog_events": 7, "dropped_events": 1}
    }


def test_a_row_per_market_with_what_is_known():
    loads = FleetLoads()
    (row,) = market_rows([summary()], loads)
    unknown = (
        "p50_ms", "p99_ms", "messages_per_s", "batch_events", "apply_ms", "dropped_events",
        "backlog_events", "cpu", "memory_bytes",
    )  # fmt: skip
    assert all(row[name] is None for name in unknown)
    assert (row["gaps"], row["dropped_rows"]) == (2, 5)

    name = "symbol:BTC-USDT-PERP"
    loads.take(name, load(0))
    loads.take(name, load(5, cpu_s=0.25, messages=500, batches=100, events=6800, apply_s=0.05))
    loads.take("feed:binance:0", feed(1, backlog=3, dropped=1))
    loads.take_latencies("binance:BTC-USDT-PERP", histogram(500, 500, 500))
    loads.take_latencies("binance:BTC-USDT-PERP", histogram(500, 500, 500) + histogram(1, 2, 9))
    (row,) = market_rows([summary()], loads)
    assert row["messages_per_s"] == 100
    assert row["batch_events"] == 68
    assert row["apply_ms"] == 0.5
    assert row["cpu"] == 0.05
    assert row["memory_bytes"] == 90_000_000
    assert (row["backlog_events"], row["dropped_events"]) == (3, 1)
    assert row["p50_ms"] == pytest.approx(2, rel=0.01)  # of the last seconds, not of the start
    assert row["p99_ms"] == pytest.approx(9, rel=0.01)


def test_what_is_told_is_what_the_api_promises():
    loads = FleetLoads()
    loads.take("symbol:BTC-USDT-PERP", load(0))
    loads.take("feed:binance:0", feed(0, backlog=0, dropped=0))
    answer = {"ts": 1, "markets": market_rows([summary()], loads), "roles": role_rows(loads)}
    answer["nodes"] = []
    known = FleetLoad.model_validate({**answer, "stale": False})
    assert set(answer["markets"][0]) == set(MarketLoad.model_fields)
    assert [set(row) for row in answer["roles"]] == [set(RoleLoad.model_fields)] * len(known.roles)


def test_roles_add_up_and_say_nothing_of_what_is_unknown():
    loads = FleetLoads()
    loads.take("symbol:A", load(0, cpu_s=1.0))
    loads.take("symbol:B", load(0, cpu_s=2.0, memory_bytes=None))
    loads.take("feed:binance:0", feed(0, backlog=0, dropped=0))
    loads.take("feed:binance:0", feed(10, backlog=0, dropped=0))
    loads.take("store:0", load(0, cpu_s=0.5))
    loads.take("store:1", load(0, cpu_s=0.25))
    symbols, feeds, store = role_rows(loads)
    assert (store["actors"], store["cpu_s"]) == (2, 0.75)
    assert (symbols["actors"], symbols["cpu_s"], symbols["cpu"]) == (2, 3.0, None)
    assert symbols["memory_bytes"] is None  # a sum without one of them would be too small
    assert (feeds["actors"], feeds["cpu"], feeds["cpu_s"]) == (1, 0.1, 1.0)


def test_symbols_that_share_an_actor_count_as_one_and_each_says_which():
    loads = FleetLoads()
    for symbol, actor in (("BTC-USDT-PERP", "symbols:0"), ("B", "symbols:0"), ("C", "symbols:1")):
        loads.take(f"symbol:{symbol}", {**load(0, cpu_s=1.0), "actor": actor})
    symbols, *_ = role_rows(loads)
    assert (symbols["actors"], symbols["cpu_s"]) == (2, 3.0)
    (row,) = market_rows([summary()], loads)
    assert row["actor"] == "symbols:0"
    assert market_rows([summary()], FleetLoads())[0]["actor"] is None

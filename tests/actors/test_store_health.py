"""The worst writer is the store's state, and what waits is summed up."""

from actors.fleet_loads import FleetLoads
from actors.store_health import store_health


def told(loads, shard, **values):
    usual = {
        "ts": 1,
        "state": "ok",
        "reason": "",
        "behind_s": 0.2,
        "rows_pending": 10,
        "spool_bytes": 1000,
        "spool_limit_bytes": 50_000,
        "markets": {},
    }
    loads.take(f"store:{shard}", usual | values)


def test_nothing_is_known_before_a_writer_has_told():
    loads = FleetLoads()
    loads.take("symbol:BTC-USDT-PERP", {"ts": 1, "markets": {}})
    assert store_health(loads) is None


def test_the_worst_of_all_writers_counts():
    loads = FleetLoads()
    told(loads, 0)
    assert store_health(loads)["state"] == "ok"
    told(loads, 1, state="behind", reason="the database is behind", behind_s=12.5, rows_pending=90)
    found = store_health(loads)
    assert (found["state"], found["reason"]) == ("behind", "the database is behind")
    assert (found["behind_s"], found["rows_pending"]) == (12.5, 100)
    assert (found["spool_bytes"], found["spool_limit_bytes"]) == (2000, 100_000)
    told(loads, 0, state="degraded", reason="the spool is full")
    assert store_health(loads)["reason"] == "the spool is full"

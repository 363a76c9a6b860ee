"""A fleet's rows are read back over HTTP, the newest from memory, also after an actor has died."""

import urllib.request
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import ray
from ray.exceptions import RayError

from actors import names
from alphaplus.local.ports import free_ports
from tests.fleet.conftest import get_json, running_fleet, served, until

pytestmark = [
    pytest.mark.ray,
    pytest.mark.db,
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),  # Ray's own, on start
]


def test_rows_are_read_back_and_the_newest_from_memory(
    cluster: None, database: str, tmp_path: Path
) -> None:
    url = f"http://127.0.0.1:{free_ports(1)[0]}"
    with running_fleet(database, tmp_path, ["--symbols", "1", "--seed", "5"]) as fleet:
        (symbol,) = fleet.symbols
        history = f"{url}/v1/history"

        def latest(table: str, count: int) -> dict[str, Any]:
            return get_json(f"{history}/{table}/latest?symbol={symbol}&n={count}")

        def rows_before(table: str, end: int) -> list[dict[str, Any]]:
            asked = f"symbol={symbol}&exchange=binance&end={end}&limit=10000"
            return list(get_json(f"{history}/{table}?{asked}")["rows"])

        with served(url):
            until(lambda: latest("market_depth_analysis", 3)["count"] == 3, timeout_s=60)
            for table in ("enhanced_order_book_snapshots", "market_depth_analysis"):
                until(lambda table=table: latest(table, 3)["source"] == "memory")  # type: ignore[misc]
                known = latest(table, 3)
                until(
                    lambda known=known, table=table: (  # type: ignore[misc]
                        rows_before(table, known["newest"] + 1000)[-3:][::-1] == known["rows"]
                    )
                )
            deltas = latest("order_book_deltas", 100)
            assert deltas["source"] == "memory"
            pid = _pid(symbol)
            ray.kill(names.symbol(symbol).actor, no_restart=False)
            until(lambda: _pid(symbol) not in (None, pid), timeout_s=60)
            # Its successor knows rows of the former life, as the store has told them.
            until(
                lambda: (
                    (found := latest("market_depth_analysis", 3))["source"] == "memory"
                    and found["rows"][-1]["time"] > known["newest"]
                ),
                timeout_s=60,
            )
            count = len(rows_before("market_depth_analysis", 4 * 10**18))
            held = latest("market_depth_analysis", count)
            assert held["source"] == "memory"
            assert held["rows"][-1]["time"] < known["newest"]
            until(
                lambda: (
                    rows_before("market_depth_analysis", held["newest"] + 1000)[-count:][::-1]
                    == held["rows"]
                )
            )
            request = urllib.request.Request(f"{history}/order_book_deltas?format=arrow")
            with urllib.request.urlopen(request, timeout=30) as answer:
                streamed = pa.ipc.open_stream(answer.read()).read_all()
            assert streamed.num_rows > 1000
            assert set(streamed["symbol"].to_pylist()) == {symbol}
        report = fleet.drain()
    assert report["symbols"][0]["latest_bytes"] > 10_000


def _pid(symbol: str) -> int | None:
    """The process of a symbol's actor; None while there is none."""
    try:
        return int(ray.get(names.symbol(symbol).report.remote())["pid"])
    except RayError:  # it may live, and not keep the symbol yet
        return None

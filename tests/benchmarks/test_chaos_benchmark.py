"""What `python -m benchmarks.chaos` plans by a seed, and what it makes of what it saw."""

import asyncio
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from alphaplus.instruments import Instrument
from alphaplus.storage.accepted_log import AcceptedLog
from alphaplus.storage.copy import copy_columns, copy_payload
from alphaplus.storage.migrations import migrate
from alphaplus.storage.postgres import EmbeddedPostgres
from alphaplus.storage.tables import TableBatch
from benchmarks.chaos.books import flat, levels_hash, measures_apart, true_market
from benchmarks.chaos.freshness import Freshness, Hit, Interval, judge
from benchmarks.chaos.plan import SHARES, SPACING_S, plan_kills
from benchmarks.chaos.rows import compare_rows
from tests.storage.rows import batch


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("length_s", [20.0, 120.0, 600.0])
def test_every_target_is_killed_and_kills_keep_apart(seed: int, length_s: float) -> None:
    kills = plan_kills(seed, length_s)
    assert kills == plan_kills(seed, length_s)
    assert {kill.target for kill in kills} == set(SHARES)
    times = [kill.at_s for kill in kills]
    assert times == sorted(times)
    assert 0 < times[0] <= times[-1] < length_s
    assert len(kills) == max(len(SHARES), int(length_s / SPACING_S))


def test_intervals_begin_and_end_with_looks() -> None:
    freshness = Freshness()
    assert not freshness.all_fresh()
    for now, stale in ((1.0, ""), (2.0, "a"), (3.0, "a"), (4.0, "b"), (5.0, "b")):
        freshness.add(now, {symbol: symbol != stale for symbol in "ab"})
    assert not freshness.all_fresh()
    freshness.close(6.0)
    assert freshness.intervals == [Interval("a", 2.0, 4.0), Interval("b", 4.0, 6.0)]


def hit(cause: str, at: float, *symbols: str, ends: float | None = None) -> Hit:
    last = at if ends is None else ends
    return Hit(cause=cause, at=at, ends=last, counts_from=last, symbols=frozenset(symbols))


def test_staleness_is_attributed_to_what_hit_the_symbol() -> None:
    hits = [
        hit("drop_frame", 10.0, "a"),
        hit("symbol", 20.0, "b"),
        hit("stall_socket", 30.0, "a", "b", ends=33.0),
        hit("job", 100.0, "a", "b", ends=120.0),
        hit("store", 200.0),
    ]
    judged = judge(
        [
            Interval("a", 10.1, 10.6),
            Interval("b", 20.4, 26.0),
            Interval("a", 31.0, 35.5),
            Interval("a", 100.3, 121.0),
            Interval("b", 150.0, 152.0),  # nothing had hit it
            Interval("a", 20.4, 21.0),  # nor it: the symbol that was killed is another
            Interval("a", 200.1, 201.0),  # a store's death may make nobody stale
        ],
        hits,
    )
    assert judged["recovery_s"] == {
        "drop_frame": 0.6,
        "job": 1.0,
        "stall_socket": 2.5,
        "symbol": 6.0,
    }
    assert judged["worst_recovery_s"] == 6.0
    assert judged["stale_unhit_s"] == pytest.approx(3.5)
    assert [item["symbol"] for item in judged["unhit"]] == ["b", "a", "a"]


INSTRUMENT = Instrument(
    symbol="BTC-USDT-PERP",
    exchange="binance",
    venue_symbol="BTCUSDT",
    tick_size=Decimal("0.1"),
    lot_size=Decimal("0.001"),
)


def truth() -> dict[str, Any]:
    return {
        "lastUpdateId": 77,
        "bids": [[f"{100 - n / 10:.1f}", f"{1 + n}"] for n in range(30)],
        "asks": [[f"{100.1 + n / 10:.1f}", f"{2 + n}"] for n in range(30)],
    }


def test_hashes_see_every_level_within_the_range_and_none_beyond() -> None:
    one, other = truth(), truth()
    other["bids"][-1][1] = "999"
    assert levels_hash(one, 98.0, 102.0) == levels_hash(other, 98.0, 102.0)
    assert levels_hash(one, 97.0, 102.0) != levels_hash(other, 97.0, 102.0)
    other = truth()
    other["asks"][3][1] = "5.001"
    assert levels_hash(one, 98.0, 102.0) != levels_hash(other, 98.0, 102.0)


def test_measures_of_the_same_book_are_alike_and_those_of_another_are_named() -> None:
    market = true_market(INSTRUMENT, truth(), known_of(truth()))
    assert market.book.sequence == 77
    assert market.book.known_range == (975, 1025)
    assert (market.book.bid_count, market.book.ask_count) == (30, 30)
    told = measures_of(truth())
    assert measures_apart(told, market) == []
    changed = truth()
    changed["bids"][0][1] = "1.5"
    apart = measures_apart(measures_of(changed), market)
    assert apart
    assert set(apart) < {name for name, _ in flat(told)}


def known_of(book: dict[str, Any]) -> dict[str, Any]:
    sides = {side: [[float(p), float(q)] for p, q in book[side]] for side in ("bids", "asks")}
    return {**sides, "known_range": [97.5, 102.5]}


def measures_of(book: dict[str, Any]) -> dict[str, Any]:
    from alphaplus.analysis import views

    return views.depth(true_market(INSTRUMENT, book, known_of(book)), 0)


@pytest.mark.db
def test_rows_are_compared_by_key_and_value(tmp_path: Path) -> None:
    server = EmbeddedPostgres(tmp_path / "pg", sync=False)
    try:
        dsn = server.start()
        asyncio.run(migrate(dsn))
        sent = [batch("market_trades", 10), batch("order_book_deltas", 20)]
        again = batch("market_trades", 3, start=2)
        with closing(AcceptedLog(tmp_path / "log")) as log:
            log.write([*sent, again, tiers("a", "a", "b", "b")])
        wrong = batch("order_book_deltas", 20)
        wrong.rows["qty"][4] += 1.0
        stored = [batch("market_trades", 12, start=1), wrong, tiers("a", "a")]
        asyncio.run(store(dsn, stored))
        found = asyncio.run(compare_rows(dsn, tmp_path / "log"))
    finally:
        server.stop()
    assert (found.accepted, found.stored) == (34, 33)  # tiers that repeat are not kept
    assert (found.missing, found.unacknowledged, found.duplicated) == (1 + 2, 3, 0)
    # values of a row follow from its place in its batch, so those of the shifted ones differ too
    assert found.different >= 1


def tiers(*hashes: str) -> TableBatch:
    made = batch("leverage_tiers", len(hashes))
    made.rows["hash"] = [value.encode() for value in hashes]
    return made


async def store(dsn: str, batches: list[Any]) -> None:
    connection = await asyncpg.connect(dsn)

    async def source(item: Any) -> Any:
        yield copy_payload([item.floored()])

    for item in batches:
        await connection.fetchval(
            "SELECT ap_ensure_partitions($1, to_timestamp($2), to_timestamp($2))",
            item.table,
            float(item.rows["time"][0] // 10**9),
        )
        await connection.copy_to_table(
            item.table, source=source(item), columns=copy_columns(item.table), format="binary"
        )
    await connection.close()

"""The generated market tells a consistent story."""

from itertools import pairwise
from typing import Any

import numpy as np
import orjson
import pytest

from alphaplus.errors import ConfigError
from alphaplus.venue.generated_accounts import Accounts
from alphaplus.venue.generated_source import STEP_NS, GeneratedSource
from alphaplus.venue.protocol import Channel
from tests.venue.client_rules import NaiveClient, sides_of

Messages = list[tuple[Channel, dict[str, Any]]]


def run(source: GeneratedSource, index: int, steps: int, start: int = 0) -> Messages:
    messages: Messages = []

    def publish(i: int, channel: Channel, payload: bytes) -> None:
        if i == index:
            messages.append((channel, orjson.loads(payload)))

    source.start(index, Channel.DEPTH, start * STEP_NS)
    for step in range(start, start + steps):
        source.advance(step * STEP_NS, 1_700_000_000_000_000_000 + step * STEP_NS, publish)
    return messages


@pytest.mark.parametrize("index", [0, 1, 6, 60])
def test_depth_continues_and_ticker_with_largest_id_equals_the_book(index: int) -> None:
    source = GeneratedSource(61, seed=11)
    client = NaiveClient()
    snapshot = source.snapshot(index, 1000, 0, held=False)
    assert client.on_snapshot(orjson.loads(snapshot))
    ticker: dict[str, Any] | None = None
    audited = 0
    for channel, message in run(source, index, 1500):
        if channel is Channel.BOOK_TICKER:
            assert ticker is None or message["u"] > ticker["u"]
            ticker = message
        elif channel is Channel.DEPTH:
            assert message["U"] == message["pu"] + 1
            assert message["U"] <= message["u"]
            assert not client.gap
            client.on_depth(message)
            if ticker is not None:
                assert ticker["u"] <= message["u"]
                assert client.top() == tuple(float(ticker[key]) for key in "bBaA")
                audited += 1
            bid, _, ask, _ = client.top()
            assert bid < ask
    assert audited > 1400
    book = source.book(index)
    bids, asks = sides_of(book)
    assert client.sequence == book["lastUpdateId"]
    known_bid, known_ask = (float(orjson.loads(snapshot)[side][-1][0]) for side in ("bids", "asks"))
    assert {p: q for p, q in client.bids.items() if p >= known_bid} == {
        p: q for p, q in bids.items() if p >= known_bid
    }
    assert {p: q for p, q in client.asks.items() if p <= known_ask} == {
        p: q for p, q in asks.items() if p <= known_ask
    }
    assert len(bids) > 1000
    assert len(asks) > 1000


def test_trades_execute_at_the_touch_they_met() -> None:
    source = GeneratedSource(1, seed=5)
    bids, asks = source.book(0)["bids"], source.book(0)["asks"]
    bid, ask = float(bids[0][0]), float(asks[0][0])
    trades = 0
    for channel, message in run(source, 0, 300):
        if channel is Channel.BOOK_TICKER:
            bid, ask = float(message["b"]), float(message["a"])
        elif channel is Channel.TRADE:
            assert float(message["p"]) == (bid if message["m"] else ask)
            assert float(message["q"]) > 0
            trades += 1
    assert trades > 100


def test_seed_and_step_count_alone_make_the_content() -> None:
    def content(seed: int) -> list[tuple[Channel, dict[str, Any]]]:
        messages = run(GeneratedSource(2, seed), 1, 50)
        for _, message in messages:
            for key in ("E", "T"):
                message.pop(key, None)
        return messages

    assert content(1) == content(1)
    assert content(1) != content(2)


def test_liquidations_are_forced_orders_published_at_most_once_a_second() -> None:
    source = GeneratedSource(1, seed=7)
    orders = [m for c, m in run(source, 0, 3000) if c is Channel.FORCE_ORDER]
    state = source.state(0)
    assert len(orders) == state["published_liquidations"] > 0
    assert state["liquidations"] >= len(orders)
    times = [order["E"] for order in orders]
    assert all(b - a >= 1000 for a, b in pairwise(times))
    assert {order["o"]["S"] for order in orders} <= {"BUY", "SELL"}


def test_account_is_liquidated_when_the_mark_price_passes_its_price() -> None:
    accounts = Accounts(100.0, 1000.0, np.random.default_rng(1))
    assert accounts.liquidate(100.0) == []
    longs = accounts.liquidate(99.0)
    assert longs
    assert all(hit.side == 1 and 99.0 <= hit.price < 100.0 for hit in longs)


def test_machine_that_slept_skips_ahead_instead_of_bursting() -> None:
    source = GeneratedSource(1, seed=1)
    run(source, 0, 1)
    before = source.state(0)["depth"]
    source.advance(10_000 * STEP_NS, 0, lambda *_: None)
    assert source.state(0)["depth"] - before < 30
    assert source.state(0)["skipped_steps"] > 9000


@pytest.mark.parametrize("count", [0, -1, 1001])
def test_symbol_count_out_of_range_is_refused(count: int) -> None:
    with pytest.raises(ConfigError, match="Expected 1 to 1000"):
        GeneratedSource(count, seed=1)

"""A generated market that is moved and holds planted accounts, from inside and over HTTP."""

import math
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest

from alphaplus.errors import ConfigError
from alphaplus.venue.capture_source import CaptureSource
from alphaplus.venue.generated_source import STEP_NS, GeneratedSource
from alphaplus.venue.planted_accounts import Account, PlantOrder
from alphaplus.venue.price_moves import PriceMove
from alphaplus.venue.protocol import Channel
from alphaplus.venue.recording import read_recording
from tests.venue.client_rules import NaiveClient
from tests.venue.recordings import recorded_lines, write_recording
from tests.venue.sockets import connected, get, next_event, post, running

Messages = list[tuple[Channel, dict[str, Any]]]
START_NS = 1_700_000_000_000_000_000


def run(source: GeneratedSource, steps: int, start: int, index: int = 0) -> Messages:
    messages: Messages = []

    def publish(at: int, channel: Channel, payload: bytes) -> None:
        if at == index:
            messages.append((channel, orjson.loads(payload)))

    source.start(index, Channel.DEPTH, start * STEP_NS)
    for step in range(start, start + steps):
        source.advance(step * STEP_NS, START_NS + step * STEP_NS, publish)
    return messages


def plant(
    source: GeneratedSource, index: int, side: int, notional: float, leverage: float
) -> Account:
    mark = source.ticker(index, 0).mark_price
    listing = source.listings[index]
    lot = 10.0**-listing.lot_decimals
    return source.planted.plant(
        PlantOrder(
            account=None,
            symbol=listing.symbol,
            side=side,
            quantity=round(notional / mark / lot) * lot,
            entry_price=mark,
            margin_mode="isolated",
            leverage=leverage,
            wallet_balance=None,
        ),
        mark,
    )


@pytest.mark.parametrize(("index", "shock"), [(0, -0.03), (1, 0.03), (2, -0.03), (4, 0.03)])
def test_a_moved_market_arrives_and_its_depth_and_touch_stay_consistent(
    index: int, shock: float
) -> None:
    source = GeneratedSource(5, seed=21)
    before, audited = source.ticker(index, 0).index_price, 0
    client = NaiveClient()
    assert client.on_snapshot(orjson.loads(source.snapshot(index, 1000, 0, held=False)))
    move = PriceMove.of_shock(shock, 12.0)
    source.move(index, move)
    ticker: dict[str, Any] | None = None
    for channel, message in run(source, 300, 0, index):
        if channel is Channel.BOOK_TICKER:
            ticker = message
        elif channel is Channel.DEPTH:
            client.on_depth(message)
            assert not client.gap
            if ticker is not None:
                assert client.top() == tuple(float(ticker[key]) for key in "bBaA")
                audited += 1
    assert audited > 250
    moved = source.ticker(index, 0)
    # beside the move there is the random walk of half a minute, and a jump now and then
    assert moved.index_price / before - 1 == pytest.approx(shock, abs=0.01)
    assert moved.bid < moved.ask
    assert abs(moved.bid / moved.index_price - 1) < 1e-3, "the quotes have followed"


def test_the_same_orders_at_the_same_steps_make_the_same_content() -> None:
    def content() -> Messages:
        source = GeneratedSource(1, seed=3)
        messages = run(source, 20, 0)
        plant(source, 0, 1, 3e5, 100.0)
        source.move(0, PriceMove.of_shock(-0.02, 8.0))
        return messages + run(source, 150, 20)

    assert content() == content()


@pytest.mark.parametrize("side", [1, -1])
def test_a_planted_account_is_closed_on_the_book_and_told_as_a_forced_order(side: int) -> None:
    source = GeneratedSource(1, seed=13)
    run(source, 10, 0)
    interest = source.ticker(0, 0).open_interest
    account = plant(source, 0, side, 2_000_000.0, 50.0)
    quantity = account.positions["BTCUSDT"].quantity
    # a new random account may replace one in between, but nothing stepped here
    assert source.ticker(0, 0).open_interest - interest == pytest.approx(quantity)
    source.move(0, PriceMove.of_shock(-side * 0.03, 12.0))
    messages = run(source, 200, 10)
    assert account.state == "liquidated"
    trigger, position = account.trigger, account.positions["BTCUSDT"]
    assert trigger is not None
    assert side * (trigger.mark_price_before - trigger.mark_price) > 0
    orders = [m["o"] for c, m in messages if c is Channel.FORCE_ORDER]
    mine = [o for o in orders if float(o["q"]) == pytest.approx(quantity)]
    assert len(mine) == 1
    assert mine[0]["S"] == ("SELL" if side > 0 else "BUY")
    assert mine[0]["T"] == trigger.time_ms
    # what the account was closed for is what was traded at that moment
    traded = [m for c, m in messages if c is Channel.TRADE and m["T"] >= trigger.time_ms]
    assert sum(float(m["q"]) for m in traded) > quantity
    fill = position.proceeds / position.quantity
    assert fill == pytest.approx(trigger.mark_price, rel=2e-3)
    assert source.planted.insurance_fund == pytest.approx(account.equity)


def test_an_order_larger_than_the_book_of_a_step_is_closed_over_several() -> None:
    source = GeneratedSource(1, seed=13)
    run(source, 10, 0)
    account = plant(source, 0, 1, 60_000_000.0, 10.0)
    account.wallet_balance *= 0.55  # nearly used up, so that a small move does it
    source.move(0, PriceMove.of_shock(-0.03, 12.0))
    states = []
    for step in range(10, 300):
        run(source, 1, step)
        states.append(account.state)
    assert states.count("liquidating") > 0
    assert states[-1] == "liquidated"


def test_a_move_that_the_quotes_or_the_book_cannot_follow_is_refused() -> None:
    source = GeneratedSource(7, seed=1)
    with pytest.raises(ConfigError, match=r"Expected a move of at most 0\.0064\d* of the price"):
        source.move(0, PriceMove.of_shock(-0.05, 2.0))
    with pytest.raises(
        ConfigError, match=r"Expected a move that leaves ADAUSDT at 0\.152 or above"
    ):
        source.move(6, PriceMove.of_shock(-0.7, 4000.0))
    assert source.move(6, PriceMove.of_shock(-0.5, 200.0))["moves"][0]["shock"] == -0.5
    with pytest.raises(ConfigError, match="Expected a move that leaves"):
        source.move(6, PriceMove.of_shock(-0.3, 200.0))


async def test_accounts_are_planted_moved_against_and_read_back_over_http() -> None:
    async with (
        running(GeneratedSource(2, 5), speed=4.0) as server,
        connected(server, "/ws/btcusdt@forceOrder/btcusdt@markPrice") as (session, socket),
    ):
        body = {"symbol": "BTCUSDT", "side": "long", "quantity": 12.5, "leverage": 50}
        status, planted = await post(session, "/control/accounts", body)
        assert (status, planted["state"], planted["margin_mode"]) == (200, "open", "isolated")
        assert planted["equity"] == planted["wallet_balance"] > planted["maintenance_margin"]
        status, _ = await post(
            session, "/control/market", {"symbol": "BTCUSDT", "shock": -0.03, "over_s": 12}
        )
        assert status == 200
        while True:
            order = (await next_event(socket, "forceOrder"))["o"]
            if float(order["q"]) == 12.5:
                break
        assert order["S"] == "SELL"
        (account,) = (await get(session, "/control/accounts"))["accounts"]
        assert account["state"] == "liquidated"
        assert account["liquidated_at"]["time_ms"] == order["T"]
        assert account["positions"][0]["fill_price"] == pytest.approx(float(order["ap"]), abs=0.1)


ACCOUNT = {"symbol": "BTCUSDT", "side": "long", "quantity": 1, "leverage": 10}
MOVE = {"symbol": "BTCUSDT", "shock": 0.01, "over_s": 10}


@pytest.mark.parametrize(
    ("path", "body", "sentence"),
    [
        ("accounts", {**ACCOUNT, "symbol": "NOPE"}, "Expected symbol to be one that the venue"),
        ("accounts", {**ACCOUNT, "symbol": 7}, "Expected symbol to be one that the venue lists"),
        ("accounts", {**ACCOUNT, "side": "up"}, "Expected side long or short, was 'up'."),
        ("accounts", {**ACCOUNT, "side": []}, "Expected side long or short, was []."),
        ("accounts", {**ACCOUNT, "margin_mode": "multi"}, "Expected margin_mode isolated or cross"),
        ("accounts", {**ACCOUNT, "quantity": 0}, "Expected quantity above 0"),
        ("accounts", {**ACCOUNT, "quantity": -1}, "Expected quantity above 0"),
        ("accounts", {**ACCOUNT, "quantity": True}, "Expected quantity above 0"),
        ("accounts", {**ACCOUNT, "quantity": "1"}, "Expected quantity above 0"),
        ("accounts", {**ACCOUNT, "quantity": 0.0005}, "Expected quantity in steps of 0.001 for"),
        ("accounts", {**ACCOUNT, "quantity": 1e5}, "Expected a notional of at most 500000000"),
        ("accounts", {**ACCOUNT, "leverage": 126}, "Expected leverage from 1 to 125, was 126."),
        ("accounts", {**ACCOUNT, "leverage": None}, "Expected either leverage or wallet_balance"),
        (
            "accounts",
            {**ACCOUNT, "wallet_balance": 5},
            "Expected either leverage or wallet_balance",
        ),
        ("accounts", {**ACCOUNT, "entry_price": 1e6}, "Expected equity above the maintenance"),
        ("accounts", {**ACCOUNT, "account": ""}, "Expected account to be a name of 1 to 64"),
        ("accounts", {**ACCOUNT, "size": 1}, "was 'size' too."),
        ("accounts", [1], "Expected a JSON object, was list."),
        ("market", {**MOVE, "over_s": 0}, "Expected over_s above 0"),
        ("market", {**MOVE, "drift_per_s": 0.1}, "Expected either shock or drift_per_s"),
        ("market", {"symbol": "BTCUSDT", "over_s": 3}, "Expected either shock or drift_per_s"),
        ("market", {**MOVE, "shock": -1.0}, "Expected shock from -0.9"),
        ("market", {**MOVE, "shock": 0.1, "over_s": 1}, "give it over_s of"),
        ("market", {**MOVE, "symbol": None}, "Expected symbol to be one that the venue lists"),
    ],
    ids=lambda value: None if isinstance(value, str) else repr(value),
)
async def test_a_wrong_order_is_refused_in_one_sentence(
    path: str, body: Any, sentence: str
) -> None:
    async with (
        running(GeneratedSource(1, 3)) as server,
        aiohttp.ClientSession(server.url) as session,
    ):
        status, refusal = await post(session, f"/control/{path}", body)
        assert status == 400
        assert sentence in refusal["error"]
        assert (await get(session, "/control/accounts"))["accounts"] == []


async def test_no_json_is_refused_too() -> None:
    async with (
        running(GeneratedSource(1, 3)) as server,
        aiohttp.ClientSession(server.url) as session,
        session.post("/control/market", data=b"{") as response,
    ):
        assert response.status == 400
        assert "was no JSON" in orjson.loads(await response.read())["error"]


async def test_a_recording_can_be_neither_moved_nor_planted_in(tmp_path: Path) -> None:
    recording = read_recording(write_recording(tmp_path / "a.raw.gz", recorded_lines(20)))
    async with (
        running(CaptureSource(recording, 1)) as server,
        aiohttp.ClientSession(server.url) as session,
    ):
        for path, body in (("market", MOVE), ("accounts", ACCOUNT)):
            status, refusal = await post(session, f"/control/{path}", body)
            assert status == 400
            assert "Expected a generated market, was a recording" in refusal["error"]


def test_prices_never_leave_what_the_venue_can_write() -> None:
    source = GeneratedSource(1, seed=2)
    source.move(0, PriceMove.of_drift(-0.003, 30.0))
    run(source, 320, 0)
    ticker = source.ticker(0, 0)
    assert math.isfinite(ticker.mark_price)
    assert ticker.mark_price == pytest.approx(61_800 * math.exp(-0.09), rel=0.01)

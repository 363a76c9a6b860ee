"""A feed without Ray, at the local venue: what it asks for on its own account."""

import asyncio
import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from actors.feed import Feed, FeedOptions
from alphaplus.config import load_settings
from alphaplus.errors import FeedError, UnknownSymbol
from alphaplus.events import EventArray, FeedStatus, Kind, empty_events
from alphaplus.feeds.replay import replay
from alphaplus.streams import (
    EventBatch,
    EventReceiver,
    LatestReceiver,
    RowReceiver,
    Transport,
    make_run_directory,
)
from alphaplus.venue.process import VenueProcess

SYMBOLS = ("BTC-USDT-PERP", "ETH-USDT-PERP")
POLLED = (Kind.VOLUME_24H, Kind.TURNOVER_24H, Kind.OPEN_INTEREST)
PATIENCE_S = 60.0


@pytest.fixture
def transport() -> Iterator[Transport]:
    folder = make_run_directory()
    yield Transport.ipc(folder)
    shutil.rmtree(folder)


async def rows_until_second_volume(receiver: EventReceiver) -> EventArray:
    """Receive until the volume has come twice; return what was asked for by REST."""
    rows = empty_events()
    async with asyncio.timeout(PATIENCE_S):
        while np.count_nonzero(rows["kind"] == Kind.VOLUME_24H) < 2:
            for batch in await receiver.recv_async():
                chosen = np.isin(batch.events["kind"], POLLED)
                rows = np.concatenate((rows, batch.events[chosen]))
    return rows


async def test_volumes_come_right_after_the_start_and_again_at_their_pace(
    transport: Transport, tmp_path: Path
) -> None:
    asked = {"history_days": 0}
    paces = {"volume_poll_s": 2.0, "open_interest_poll_s": 0.4, "record_dir": tmp_path}
    settings = load_settings(flags={"feeds": paces, "risk": asked}, environ={})
    with (
        VenueProcess(["--symbols", "2"]) as venue,
        closing(LatestReceiver(transport)) as board,
        closing(EventReceiver(transport)) as first,
        closing(EventReceiver(transport)) as second,
        closing(RowReceiver(transport)) as store,
    ):
        feed = Feed(0, FeedOptions.from_settings(settings, venue.url), None)
        receivers = dict(zip(SYMBOLS, (first, second), strict=True))
        await feed.start(
            board.endpoint,
            {symbol: made.endpoint for symbol, made in receivers.items()},
            store.endpoint,
        )
        try:
            for receiver in receivers.values():
                rows = await rows_until_second_volume(receiver)
                told = {kind: rows["value"][rows["kind"] == kind] for kind in POLLED}
                assert len(told[Kind.VOLUME_24H]) == len(told[Kind.TURNOVER_24H]) >= 2
                assert len(told[Kind.OPEN_INTEREST]) >= 2
                assert rows["kind"][0] == Kind.VOLUME_24H  # nothing waits for its first turn
                assert (told[Kind.TURNOVER_24H] > told[Kind.VOLUME_24H]).all()
                assert (told[Kind.VOLUME_24H] > 0).all()
        finally:
            await feed.stop(timeout_s=0.1)
            for sender in (*feed._senders, feed._board, feed._rows):
                assert sender is not None
                sender.close()  # else the end of its process does
    (recording,) = tmp_path.glob("*.raw.gz")
    report = replay(recording)
    assert (report.bad_frames, report.other_frames, len(report.symbols)) == (0, 0, 2)


async def synced(receiver: EventReceiver) -> list[EventBatch]:
    """Receive until the book is in step with the venue; fails where something is missing."""
    taken: list[EventBatch] = []
    async with asyncio.timeout(PATIENCE_S):
        while True:
            taken += await receiver.recv_async()
            events = np.concatenate([batch.events for batch in taken])
            if FeedStatus.SYNCED in events["value"][events["kind"] == Kind.STATUS]:
                return taken


async def test_symbols_come_and_go_and_who_stays_does_not_notice(transport: Transport) -> None:
    btc, eth = SYMBOLS
    settings = load_settings(flags={"risk": {"history_days": 0}}, environ={})
    with (
        VenueProcess(["--symbols", "2"]) as venue,
        closing(LatestReceiver(transport)) as board,
        closing(EventReceiver(transport)) as first,
        closing(EventReceiver(transport)) as second,
        closing(EventReceiver(transport)) as third,
        closing(RowReceiver(transport)) as store,
    ):
        feed = Feed(0, FeedOptions.from_settings(settings, venue.url), None)

        async def start(**routes: EventReceiver) -> None:
            told = {f"{name}-USDT-PERP": made.endpoint for name, made in routes.items()}
            assert await feed.start(board.endpoint, told, store.endpoint) == await feed.ready()

        try:
            assert [item.symbol for item in await feed.listed()] == list(SYMBOLS)
            await start()
            with pytest.raises(FeedError, match="before it asks for tiers"):
                await feed.tiers([btc])
            await start(BTC=first)
            await synced(first)
            with pytest.raises(UnknownSymbol, match=f"sends, was {eth}"):
                await feed.route(eth, second.endpoint)
            await start(BTC=first, ETH=second)
            await synced(second)
            await start(BTC=first, ETH=second)  # told the same again, nobody notices
            await start(ETH=second)
            rest = await first.recv_async()
            assert not any(batch.hole for batch in rest), "it has all that came before it left"
            await feed.resync("binance", btc)  # asked by one who has just left
            for _ in range(3):
                assert not any(batch.hole for batch in await second.recv_async())
            assert first.recv(timeout_ms=200) == []
            await start(BTC=first, ETH=third)  # one comes back, the other has another life
            assert (await synced(first))[0].hole, "it is told that this is another beginning"
            events = np.concatenate([batch.events for batch in await synced(third)])
            assert Kind.SNAPSHOT_END in events["kind"]
            counted = await feed.report()
            assert (counted["bad_frames"], counted["dropped_events"]) == (0, 0)
        finally:
            await feed.stop(timeout_s=0.1)
            for sender in (*feed._senders, feed._board, feed._rows):
                assert sender is not None
                sender.close()

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
from alphaplus.events import EventArray, Kind, empty_events
from alphaplus.feeds.replay import replay
from alphaplus.streams import (
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

"""A recording is played under several names, at any speed, with a book that fits."""

import gzip
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

from alphaplus.errors import CaptureError
from alphaplus.venue.capture_source import GATE_NS, CaptureSource
from alphaplus.venue.protocol import Channel
from alphaplus.venue.recording import Recording, read_recording
from tests.venue.client_rules import NaiveClient, sides_of
from tests.venue.recordings import recorded_lines, write_recording

SECOND = 1_000_000_000


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Recording:
    path = tmp_path_factory.mktemp("recordings") / "made_up.raw.gz"
    return read_recording(write_recording(path, recorded_lines(60)))


class Listener:
    """Collects what is published and drives the source's clock."""

    def __init__(self, source: CaptureSource) -> None:
        self.source = source
        self.frames: list[tuple[int, Channel, bytes]] = []
        self.now = 0

    def publish(self, index: int, channel: Channel, payload: bytes) -> None:
        self.frames.append((index, channel, payload))

    def run(self, until: int, step: int = 10_000_000) -> None:
        while self.now < until:
            self.now += step
            self.source.advance(self.now, self.now, self.publish)

    def depth(self, index: int) -> list[dict[str, Any]]:
        return [
            orjson.loads(payload)
            for i, channel, payload in self.frames
            if i == index and channel is Channel.DEPTH
        ]


def snapshot_of(source: CaptureSource, index: int, held: bool = False) -> dict[str, Any] | None:
    while not source.catch_up(index):
        pass
    body = source.snapshot(index, 1000, 0, held)
    if body is None:
        return None
    snapshot: dict[str, Any] = orjson.loads(body)
    return snapshot


def recorded_snapshot(recording: Recording) -> bytes:
    return recording.head[recording.first_snapshot]


def test_playback_waits_at_the_book_until_a_client_asks(recording: Recording) -> None:
    source = CaptureSource(recording, 1)
    listener = Listener(source)
    source.start(0, Channel.DEPTH, 0)
    listener.run(5 * SECOND)
    assert source.state(0)["waiting_for_snapshot"]
    waiting_at = len(listener.frames)
    assert source.snapshot(0, 1000, 0, held=False) == recorded_snapshot(recording)
    listener.run(6 * SECOND)
    assert not source.state(0)["waiting_for_snapshot"]
    assert len(listener.frames) > waiting_at


def test_request_before_the_book_is_held_and_answered_with_it(recording: Recording) -> None:
    source = CaptureSource(recording, 1)
    listener = Listener(source)
    source.start(0, Channel.DEPTH, 0)
    listener.run(100_000_000)
    assert source.snapshot(0, 1000, 0, held=False) is None
    listener.run(3 * SECOND)  # the line is long past when the held request is looked at again
    assert source.snapshot(0, 1000, 0, held=True) == recorded_snapshot(recording)


def test_wait_for_a_client_is_bounded(recording: Recording) -> None:
    source = CaptureSource(recording, 1)
    listener = Listener(source)
    source.start(0, Channel.DEPTH, 0)
    listener.run(GATE_NS + 2 * SECOND, step=50_000_000)
    assert source.state(0)["depth"] > 4


def test_smaller_limit_cuts_the_recorded_book(recording: Recording) -> None:
    body = CaptureSource(recording, 1).snapshot(0, 5, 0, held=False)
    assert body is not None
    snapshot = orjson.loads(body)
    recorded = orjson.loads(recorded_snapshot(recording))
    assert snapshot["bids"] == recorded["bids"][:5]
    assert snapshot["lastUpdateId"] == recorded["lastUpdateId"]


@pytest.mark.parametrize("step_ns", [1_000_000, 70_000_000, 20 * SECOND])
def test_every_speed_ends_in_the_same_book(recording: Recording, step_ns: int) -> None:
    source = CaptureSource(recording, 1)
    listener = Listener(source)
    source.start(0, Channel.DEPTH, 0)
    listener.run(2 * SECOND, step_ns)
    client = NaiveClient()
    for event in listener.depth(0):
        client.on_depth(event)
    snapshot = snapshot_of(source, 0)
    assert snapshot is not None
    assert client.on_snapshot(snapshot)
    seen = len(listener.depth(0))
    listener.run(listener.now + 60 * SECOND, step_ns)
    for event in listener.depth(0)[seen:]:
        client.on_depth(event)
    assert not client.gap
    assert source.state(0)["ended"]
    assert snapshot_of(source, 0)  # brings the venue's own book up to date
    assert (client.bids, client.asks) == sides_of(source.book(0))
    sent = [payload for _, _, payload in listener.frames]
    own = recording.symbol.encode()
    assert sent == [recording.json(i, own) for i, c in enumerate(recording.channels) if c >= 0]


@pytest.mark.parametrize("resync_after", [9, 23, 41])
def test_client_that_resyncs_gets_the_book_of_the_last_frame(
    recording: Recording, resync_after: int
) -> None:
    source = CaptureSource(recording, 1)
    listener = Listener(source)
    source.start(0, Channel.DEPTH, 0)
    listener.run(SECOND)
    assert snapshot_of(source, 0)
    while len(listener.depth(0)) < resync_after:
        listener.run(listener.now + 1)
    client = NaiveClient()
    client.on_depth(listener.depth(0)[-1])
    snapshot = snapshot_of(source, 0)
    assert snapshot is not None
    assert snapshot["lastUpdateId"] == listener.depth(0)[-1]["u"]
    assert client.on_snapshot(snapshot)
    seen = len(listener.depth(0))
    listener.run(listener.now + 10 * SECOND)
    for event in listener.depth(0)[seen:]:
        client.on_depth(event)
    assert not client.gap
    assert snapshot_of(source, 0)
    bids, asks = sides_of(source.book(0))
    lowest, highest = (float(snapshot[side][-1][0]) for side in ("bids", "asks"))
    assert {p: q for p, q in client.bids.items() if p >= lowest} == {
        p: q for p, q in bids.items() if p >= lowest
    }
    assert {p: q for p, q in client.asks.items() if p <= highest} == {
        p: q for p, q in asks.items() if p <= highest
    }


def test_names_differ_by_symbol_alone_and_begin_one_after_the_other(recording: Recording) -> None:
    source = CaptureSource(recording, 60)
    names = [listing.symbol for listing in source.listings]
    assert names[:3] == ["BTCUSDT", "ETHUSDT", "SOLUSDT"]
    assert names[-1] == "GEN060USDT"
    assert len(set(names)) == 60
    listener = Listener(source)
    for index in range(60):
        source.start(index, Channel.DEPTH, 0)
        assert source.snapshot(index, 1000, 0, held=False)  # a client that asks before all begins
    first: dict[int, int] = {}
    while listener.now < 12 * SECOND:
        seen = len(listener.frames)
        listener.run(listener.now + 1)
        for index, _, _ in listener.frames[seen:]:
            first.setdefault(index, listener.now)
    expected = [10 * SECOND * index // 60 for index in range(60)]
    assert all(0 <= first[index] - due < 200_000_000 for index, due in enumerate(expected))
    last = listener.depth(59)[0]
    assert last.pop("s") == "GEN060USDT"
    own = listener.depth(0)[0]
    own.pop("s")
    assert last == own


def test_two_symbols_are_three_quarters_of_a_second_apart(recording: Recording) -> None:
    source = CaptureSource(recording, 2)
    listener = Listener(source)
    source.start(0, Channel.DEPTH, 0)
    source.start(1, Channel.DEPTH, 0)
    listener.run(700_000_000)
    assert {index for index, _, _ in listener.frames} == {0}
    listener.run(900_000_000)
    assert {index for index, _, _ in listener.frames} == {0, 1}


def test_other_streams_do_not_begin_the_playback(recording: Recording) -> None:
    source = CaptureSource(recording, 1)
    listener = Listener(source)
    source.start(0, Channel.TRADE, 0)
    listener.run(SECOND)
    assert listener.frames == []
    assert source.snapshot(0, 1000, 0, held=False) == recorded_snapshot(recording)


def test_ticker_and_state_follow_the_playback(recording: Recording) -> None:
    source = CaptureSource(recording, 1)
    listener = Listener(source)
    source.start(0, Channel.DEPTH, 0)
    before = source.ticker(0, 0)
    assert before.trade_count == 0
    assert before.mark_price == (before.bid + before.ask) / 2
    listener.run(SECOND)
    assert snapshot_of(source, 0)
    listener.run(30 * SECOND)
    after = source.ticker(0, 0)
    counts = Counter(channel for _, channel, _ in listener.frames)
    state = source.state(0)
    assert state["ended"]
    assert state["sent"] == len(listener.frames)
    assert state["depth"] == counts[Channel.DEPTH]
    assert state["last_update_id"] == listener.depth(0)[-1]["u"]
    assert "mark_price" in state["not_recorded"]
    assert after.trade_count == counts[Channel.TRADE] == state["trade"]
    assert after.low <= after.last <= after.high
    assert [trade["t"] for trade in source.trades(0, 3)] == sorted(
        orjson.loads(p)["t"] for _, c, p in listener.frames if c is Channel.TRADE
    )[-3:]


def test_recording_with_a_gap_is_healed_by_its_later_snapshot(tmp_path: Path) -> None:
    lines = recorded_lines(40)
    later = recorded_lines(40, snapshot_after=30)
    snapshot = next(line for line in later if b"lastUpdateId" in line)
    holed = [
        line
        for line in lines
        if b"depthUpdate" not in line or not 20 <= (int(line[:19]) // 100_000_000) % 1000 < 22
    ]
    holed = sorted([*holed, snapshot], key=lambda line: int(line[:19]))
    source = CaptureSource(read_recording(write_recording(tmp_path / "holed.raw.gz", holed)), 1)
    listener = Listener(source)
    source.start(0, Channel.DEPTH, 0)
    listener.run(SECOND)
    assert snapshot_of(source, 0)
    listener.run(10 * SECOND)
    whole = CaptureSource(read_recording(write_recording(tmp_path / "whole.raw.gz", lines)), 1)
    listener = Listener(whole)
    whole.start(0, Channel.DEPTH, 0)
    listener.run(SECOND)
    assert snapshot_of(whole, 0)
    listener.run(10 * SECOND)
    healed, complete = snapshot_of(source, 0), snapshot_of(whole, 0)
    assert healed is not None
    assert complete is not None
    assert healed["bids"][:500] == complete["bids"][:500]
    assert healed["lastUpdateId"] == complete["lastUpdateId"]


def test_decimals_are_those_of_the_whole_file(recording: Recording, tmp_path: Path) -> None:
    assert (recording.price_decimals, recording.lot_decimals) == (1, 3)
    padded = [line.replace(b'.5","', b'.500","') for line in recorded_lines(6)]
    path = write_recording(tmp_path / "padded.raw.gz", padded)
    assert read_recording(path).price_decimals == 1


def test_bare_payloads_and_spaced_json_play_alike(tmp_path: Path) -> None:
    lines = recorded_lines(10)
    bare, spaced = [], []
    for line in lines:
        stamp, _, text = line.partition(b" ")
        message = orjson.loads(text)
        bare.append(stamp + b" " + orjson.dumps(message.get("data", message)))
        spaced.append(stamp + b" " + text.replace(b'":', b'": ').replace(b',"', b', "'))
    played = []
    for name, variant in (("frames", lines), ("bare", bare), ("spaced", spaced)):
        recording = read_recording(write_recording(tmp_path / f"{name}.raw.gz", variant))
        assert recording.price_decimals == 1
        played.append(
            [orjson.loads(recording.json(i, b"BTCUSDT")) for i in range(len(recording.times))]
        )
    assert played[0] == played[1] == played[2]


def _torn(lines: list[bytes]) -> list[bytes]:
    return [*lines[:5], lines[5][:60], *lines[6:]]


def _without_snapshot(lines: list[bytes]) -> list[bytes]:
    return [line for line in lines if b"lastUpdateId" not in line]


def _of_spot(lines: list[bytes]) -> list[bytes]:
    return [line.replace(b'"pu":', b'"xx":') for line in lines]


def _of_coin_m(lines: list[bytes]) -> list[bytes]:
    return [line.replace(b'"BTCUSDT"', b'"BTCUSD_PERP"') for line in lines]


def _of_two(lines: list[bytes]) -> list[bytes]:
    return [*lines[:8], lines[8].replace(b'"BTCUSDT"', b'"ETHUSDT"'), *lines[9:]]


def _backwards(lines: list[bytes]) -> list[bytes]:
    return [*lines[:8], lines[2], *lines[8:]]


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (_torn, "Line 6 of .* cannot be played: its JSON is broken"),
        (_without_snapshot, "Expected depth frames and a REST book"),
        (_of_spot, "is of a spot market; the venue plays USD-M recordings only"),
        (_of_coin_m, "a COIN-M contract"),
        (_of_two, "Line 9 of .* is of ETHUSDT after lines of BTCUSDT"),
        (_backwards, "Line 9 of .* receive time is before"),
        (lambda lines: [b"hello", *lines], "Line 1 of .* does not begin with a receive time"),
        (lambda lines: [b'1 {"e":"trade","s":"BTCUSDT"}', *lines], "Line 1 of .* lacks a field"),
        (lambda lines: [], "Expected depth frames"),
    ],
)
def test_recording_that_cannot_be_played_is_named_with_its_line(
    tmp_path: Path, spoil: Callable[[list[bytes]], list[bytes]], sentence: str
) -> None:
    path = write_recording(tmp_path / "spoilt.raw.gz", spoil(recorded_lines(10)))
    with pytest.raises(CaptureError, match=sentence):
        read_recording(path)


def test_truncated_file_no_gzip_and_no_file_are_told_apart(tmp_path: Path) -> None:
    path = write_recording(tmp_path / "whole.raw.gz", recorded_lines(30))
    cut = tmp_path / "cut.raw.gz"
    cut.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(CaptureError, match="truncated or damaged after line"):
        read_recording(cut)
    text = tmp_path / "text.raw.gz"
    text.write_bytes(gzip.decompress(path.read_bytes()))
    with pytest.raises(CaptureError, match="cannot be read: Not a gzipped file"):
        read_recording(text)
    with pytest.raises(CaptureError, match=r"cannot be read: .*No such file"):
        read_recording(tmp_path / "absent.raw.gz")


def test_real_recording_plays_to_its_known_end(data_dir: Path) -> None:
    path = data_dir / "captures" / "binance_usdm_btcusdt_20240808.raw.gz"
    recording = read_recording(path)
    assert (recording.symbol, recording.price_decimals, recording.lot_decimals) == ("BTCUSDT", 1, 3)
    source = CaptureSource(recording, 1)
    source.start(0, Channel.DEPTH, 0)
    listener = Listener(source)
    listener.run(SECOND)
    assert source.snapshot(0, 1000, 0, held=False) == recorded_snapshot(recording)
    listener.run(400 * SECOND, SECOND)
    state = source.state(0)
    assert state["ended"]
    assert (state["depth"], state["book_ticker"], state["trade"]) == (6551, 66089, 21313)
    assert snapshot_of(source, 0)
    book = source.book(0)
    assert (len(book["bids"]), len(book["asks"])) == (5018, 4578)


def test_real_spot_recording_is_refused_with_a_sentence(data_dir: Path) -> None:
    path = data_dir / "captures" / "binance_spot_btcusdt_20240808.raw.gz"
    with pytest.raises(CaptureError, match="the venue plays USD-M recordings only"):
        read_recording(path)

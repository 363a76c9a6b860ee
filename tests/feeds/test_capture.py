"""Recordings on disk: what is written is read again, and what is broken is refused."""

import gzip
import zlib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from alphaplus.errors import CaptureError
from alphaplus.events import EVENT, Kind, Side, event
from alphaplus.feeds.capture import EventCapture, EventRecorder, RawCapture, RawRecorder
from alphaplus.feeds.discover import discover
from tests.feeds.frames import INSTRUMENT, SPOT
from tests.feeds.synthetic import SyntheticVenue, market, write_capture


def test_recorded_frames_are_read_as_they_were(tmp_path: Path) -> None:
    lines = market().lines
    with RawRecorder(tmp_path / "new" / "folder", "binance") as recorder:
        for ts_recv, frame in lines:
            recorder.write(frame, ts_recv)
    (path,) = recorder.paths
    capture = RawCapture.read(path)
    assert list(zip(capture.ts_recv.tolist(), capture.frames, strict=True)) == lines
    assert path.name.startswith("binance_20231114T")
    assert recorder.frames == len(capture) == len(lines)


def test_full_files_are_rotated_and_sort_by_time(tmp_path: Path) -> None:
    lines = market().lines
    with RawRecorder(tmp_path, "binance", max_bytes=5000) as recorder:
        for ts_recv, frame in lines:
            recorder.write(frame, ts_recv)
    assert len(recorder.paths) > 2
    frames = [
        frame for path in sorted(tmp_path.iterdir()) for frame in RawCapture.read(path).frames
    ]
    assert frames == [frame for _, frame in lines]


def test_closed_recorder_goes_on_by_appending(tmp_path: Path) -> None:
    recorder = RawRecorder(tmp_path, "binance")
    for _ in range(2):
        recorder.write(b"{}", 5)
        recorder.flush()
        recorder.close()
    (path,) = recorder.paths
    assert RawCapture.read(path).frames == [b"{}", b"{}"]


def test_clock_set_back_and_line_breaks_do_not_break_the_file(tmp_path: Path) -> None:
    with RawRecorder(tmp_path, "binance") as recorder:
        recorder.write(b'{\r\n"a":1}', 10)
        recorder.write(b"{}", 7)
    capture = RawCapture.read(recorder.paths[0])
    assert capture.frames == [b'{  "a":1}', b"{}"]
    assert capture.ts_recv.tolist() == [10, 10]


def test_recorded_snapshot_names_its_symbol(tmp_path: Path) -> None:
    venue = SyntheticVenue().run(3)
    other = SyntheticVenue(symbol="ETHUSDT", seed=9).run(30)  # same ids, more frames
    with RawRecorder(tmp_path, "binance") as recorder:
        for ts_recv, frame in [*venue.lines, *other.lines]:
            recorder.write(frame, ts_recv)
        recorder.write_snapshot("BTCUSDT", venue.snapshot_payload(), other.now)
    capture = RawCapture.read(recorder.paths[0])
    found = discover(capture.frames)
    assert (found.hints == -1).all()
    assert capture.frames[-1].startswith(
        b'{"stream":"btcusdt@depthSnapshot","data":{"lastUpdateId"'
    )


def test_unwritable_folder_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(CaptureError, match=r"cannot be written.*feeds\.record_dir"):
        RawRecorder(tmp_path / "file", "binance").write(b"{}", 1)
    with pytest.raises(CaptureError, match="cannot be written"):
        EventRecorder(tmp_path / "file" / "events.parquet", [INSTRUMENT])


def test_missing_file_and_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CaptureError, match=r"missing\.raw\.gz does not exist"):
        RawCapture.check(tmp_path / "missing.raw.gz")
    with pytest.raises(CaptureError, match="cannot be read"):
        RawCapture.check(tmp_path)


def test_file_that_is_no_gzip_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "plain.raw.gz"
    path.write_bytes(b"1 {}\n")
    with pytest.raises(CaptureError, match=r"Expected gzip in .*plain\.raw\.gz"):
        RawCapture.read(path)
    path.write_bytes(b"")
    with pytest.raises(CaptureError, match="empty"):
        RawCapture.read(path)


@pytest.mark.parametrize("keep", [0.3, 0.9, 0.9999])
def test_truncated_gzip_names_the_last_whole_line(tmp_path: Path, keep: float) -> None:
    path = write_capture(tmp_path / "cut.raw.gz", market(changes=300).lines)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * keep)])
    with pytest.raises(CaptureError, match=r"cut\.raw\.gz, was one cut off .* after line \d+;"):
        RawCapture.read(path)


def test_damaged_gzip_is_refused(tmp_path: Path) -> None:
    path = write_capture(tmp_path / "bad.raw.gz", market().lines)
    text = bytearray(path.read_bytes())
    text[len(text) // 2] ^= 0xFF
    path.write_bytes(bytes(text))
    with pytest.raises(CaptureError, match=r"bad\.raw\.gz"):
        RawCapture.read(path)
    path.write_bytes(zlib.compress(b"1 {}"))
    with pytest.raises(CaptureError, match="Expected gzip"):
        RawCapture.read(path)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"garbage", "receive time in ns"),
        (b"", "receive time in ns"),
        (b"12", "receive time in ns"),
        (b"12 ", "receive time in ns"),
        (b"-12 {}", "receive time in ns"),
        (b"1.5 {}", "receive time in ns"),
        (b"99999999999999999999 {}", "receive time in ns"),
        (b"9999999999999999999 {}", "receive time in ns"),
        (b"4 {}", "receive time from 5 on"),
    ],
)
def test_malformed_line_is_named(tmp_path: Path, line: bytes, reason: str) -> None:
    path = tmp_path / "x.raw.gz"
    path.write_bytes(gzip.compress(b"5 {}\n" + line + b"\n"))
    with pytest.raises(CaptureError, match=rf"{reason}.* in line 2 of .*x\.raw\.gz"):
        RawCapture.read(path)


def test_empty_recording_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.raw.gz"
    path.write_bytes(gzip.compress(b""))
    with pytest.raises(CaptureError, match="empty recording"):
        RawCapture.read(path)


def test_events_come_back_bit_for_bit_with_their_instruments(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    parts = []
    for number in range(200):
        rows = [
            event(Kind.DEPTH, ts_recv=number, ts_event=-number, sequence=2**62 + number,
                  side=Side.ASK, price_tick=-(2**40), value=float(value))
            for value in [*rng.normal(size=3), np.nan, -0.0]
        ]  # fmt: skip
        parts.append((number % 2, np.concatenate(rows)))
    path = tmp_path / "events.parquet"
    with EventRecorder(path, [INSTRUMENT, SPOT]) as recorder:
        for owner, events in parts:
            recorder.write(owner, events)
    capture = EventCapture.read(path)
    assert recorder.rows == 1000
    assert capture.instruments == (INSTRUMENT, SPOT)
    read = list(capture.batches())
    assert [owner for owner, _ in read] == [owner for owner, _ in parts]
    for (_, events), (_, written) in zip(read, parts, strict=True):
        assert all(events[name].tobytes() == written[name].tobytes() for name in EVENT.names)


def test_parquet_that_is_torn_or_foreign_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    with pytest.raises(CaptureError, match="does not exist"):
        EventCapture.read(path)
    pq.write_table(pa.table({"a": [1]}), path)
    with pytest.raises(CaptureError, match="another program"):
        EventCapture.read(path)
    path.write_bytes(path.read_bytes()[:-6])
    with pytest.raises(CaptureError, match="recorder was closed"):
        EventCapture.read(path)

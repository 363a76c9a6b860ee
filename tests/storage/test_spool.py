"""The spool: durable order, torn tails, damage, bounds, one owner."""

import errno
import os
import threading

import pytest

from alphaplus.errors import StorageError
from alphaplus.storage.spool import Spool, SpoolFull

PAYLOADS = [bytes([65 + n]) * (40 + n) for n in range(5)]
HEAD = b"schemas"
HEAD_SIZE = 16 + len(HEAD)


def written(directory, payloads=PAYLOADS):
    """A spool with one frame per payload, left as a killed process leaves it."""
    spool = Spool(directory, head=HEAD)
    for payload in payloads:
        spool.append([payload])
    os.close(spool._active)
    os.close(spool._lock)
    (segment,) = directory.glob("*.seg")
    return segment


def everything(spool):
    payloads = []
    while frames := spool.read():
        payloads += [frame.payload for frame in frames]
        spool.ack(frames)
    return payloads


def test_frames_come_back_in_order_after_a_restart(tmp_path):
    written(tmp_path)
    spool = Spool(tmp_path)
    assert spool.pending == sum(map(len, PAYLOADS))
    frames = spool.read()
    assert [frame.payload for frame in frames] == PAYLOADS
    assert [frame.sequence for frame in frames] == [1, 2, 3, 4, 5]
    assert all(frame.recovered and frame.head == HEAD for frame in frames)
    spool.close()
    again = Spool(tmp_path)
    assert everything(again) == PAYLOADS, "frames that were not acked are read again"
    assert again.append([b"new"]) == 6
    assert everything(again) == [b"new"]
    again.close()
    assert list(tmp_path.glob("*.seg")) == []


def test_tail_cut_at_any_byte_loses_only_the_last_frame(tmp_path):
    segment = written(tmp_path)
    data = segment.read_bytes()
    last = len(data) - 20 - len(PAYLOADS[-1])
    for size in range(last, len(data)):
        segment.write_bytes(data[:size])
        spool = Spool(tmp_path)
        assert spool.torn_bytes == size - last
        assert [frame.payload for frame in spool.read()] == PAYLOADS[:-1]
        assert spool.quarantined_bytes == 0
        spool.close()
        assert segment.stat().st_size == last


def test_segment_cut_inside_its_head_is_gone(tmp_path):
    segment = written(tmp_path)
    data = segment.read_bytes()
    for size in range(HEAD_SIZE + 1):
        segment.write_bytes(data[:size])
        spool = Spool(tmp_path)
        assert spool.read() == []
        assert spool.append([b"works"]) == 1
        assert everything(spool) == [b"works"]
        spool.close()


@pytest.mark.parametrize(
    "where", [0, 5, 9, 13, 25], ids=["magic", "length", "crc", "sequence", "data"]
)
def test_damage_in_the_middle_costs_one_frame_and_is_kept(tmp_path, where):
    segment = written(tmp_path)
    data = bytearray(segment.read_bytes())
    second = HEAD_SIZE + 20 + len(PAYLOADS[0])
    data[second + where] ^= 0x40
    segment.write_bytes(data)
    spool = Spool(tmp_path)
    assert everything(spool) == [PAYLOADS[0], *PAYLOADS[2:]]
    size = 20 + len(PAYLOADS[1])
    assert (spool.quarantined_bytes, spool.torn_bytes) == (size, 0)
    (kept,) = (tmp_path / "quarantine").iterdir()
    assert kept.read_bytes() == data[second : second + size]
    assert spool.pending == 0
    spool.close()


@pytest.mark.parametrize(
    "where", [0, 5, 9, 13, 20, -1], ids=["magic", "length", "crc", "sequence", "data", "end"]
)
def test_damage_of_the_last_frame_is_a_torn_tail(tmp_path, where):
    segment = written(tmp_path)
    data = bytearray(segment.read_bytes())
    last = len(data) - 20 - len(PAYLOADS[-1])
    data[where if where < 0 else last + where] ^= 1
    segment.write_bytes(data)
    spool = Spool(tmp_path)
    assert everything(spool) == PAYLOADS[:-1]
    assert spool.torn_bytes == 20 + len(PAYLOADS[-1])
    spool.close()


def test_damage_at_the_end_of_an_older_segment_is_quarantined(tmp_path):
    spool = Spool(tmp_path, segment_bytes=100)
    for payload in PAYLOADS:
        spool.append([payload])
    spool.close()
    first, *others = sorted(tmp_path.glob("*.seg"))
    assert others
    data = bytearray(first.read_bytes())
    data[-1] ^= 1
    first.write_bytes(data)
    spool = Spool(tmp_path)
    assert everything(spool) == PAYLOADS[1:]
    assert spool.quarantined_bytes == 20 + len(PAYLOADS[0])
    spool.close()


def test_damage_while_running_is_counted_by_weight(tmp_path):
    spool = Spool(tmp_path, weigh=lambda payload: 7)
    for payload in PAYLOADS:
        spool.append([payload])
    (segment,) = tmp_path.glob("*.seg")
    data = bytearray(segment.read_bytes())
    data[-1] ^= 1
    segment.write_bytes(data)
    assert everything(spool) == PAYLOADS[:-1]
    spool.close()
    assert spool.quarantined_weight == 7


def test_damaged_head_does_not_cost_frames(tmp_path):
    segment = written(tmp_path)
    data = bytearray(segment.read_bytes())
    data[0] ^= 1
    segment.write_bytes(data)
    spool = Spool(tmp_path)
    assert everything(spool) == PAYLOADS
    assert spool.quarantined_bytes == HEAD_SIZE
    spool.close()


def test_repeated_frames_are_skipped(tmp_path):
    segment = written(tmp_path)
    data = segment.read_bytes()
    segment.write_bytes(data + data[HEAD_SIZE:])
    spool = Spool(tmp_path)
    assert everything(spool) == PAYLOADS
    assert spool.repeated_frames == len(PAYLOADS)
    spool.close()


def test_segments_rotate_and_go_when_acked(tmp_path):
    spool = Spool(tmp_path, segment_bytes=200)
    for _ in range(20):
        spool.append([b"x" * 100])
    assert len(list(tmp_path.glob("*.seg"))) == 20
    assert len(everything(spool)) == 20
    assert len(list(tmp_path.glob("*.seg"))) == 1, "only the active segment is left"
    assert spool.pending == 0
    spool.close()


def test_bound_refuses_whole_and_room_returns(tmp_path):
    spool = Spool(tmp_path, max_bytes=1000, segment_bytes=300)
    for _ in range(3):
        spool.append([b"x" * 100, b"y" * 100])
    with pytest.raises(SpoolFull):
        spool.append([b"x" * 100, b"y" * 100])
    assert len(everything(spool)) == 6
    spool.append([b"room"])
    spool.close()


def test_bound_below_one_segment_gives_room_again(tmp_path):
    spool = Spool(tmp_path, max_bytes=1000)
    for number in range(50):
        spool.append([b"%0600d" % number])
        with pytest.raises(SpoolFull):
            spool.append([b"x" * 600])
        assert everything(spool) == [b"%0600d" % number]
    spool.close()


def test_full_disk_leaves_no_partial_frame(tmp_path, monkeypatch):
    spool = Spool(tmp_path)
    spool.append([PAYLOADS[0]])
    whole = os.pwrite

    def partial(file, data, offset):
        if len(data) > 10:
            return whole(file, bytes(data[:10]), offset)
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", partial)
        with pytest.raises(SpoolFull, match="full"):
            spool.append([PAYLOADS[1]])
    spool.append([PAYLOADS[2]])
    assert everything(spool) == [PAYLOADS[0], PAYLOADS[2]]
    assert (spool.quarantined_bytes, spool.torn_bytes) == (0, 0)
    spool.close()


def test_two_writers_on_one_directory_are_refused(tmp_path):
    spool = Spool(tmp_path)
    with pytest.raises(StorageError, match="in use"):
        Spool(tmp_path)
    spool.close()
    Spool(tmp_path).close()


def test_unwritable_directory_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot be written"):
        Spool(tmp_path / "file" / "spool")


def test_threads_append_and_read_at_once(tmp_path):
    spool = Spool(tmp_path, segment_bytes=500)
    sent = [b"%04d" % n for n in range(200)]

    def produce():
        for payload in sent:
            spool.append([payload])

    thread = threading.Thread(target=produce)
    thread.start()
    got = []
    while len(got) < len(sent):
        got += everything(spool)
    thread.join()
    assert got == sent
    spool.close()

"""The recording as the contenders get it."""

import gzip
from pathlib import Path

import orjson
import pytest

from alphaplus.errors import CaptureError
from benchmarks.book.inputs import Inputs
from benchmarks.book.workload import Workload, read_workload, write_inputs
from tests.benchmarks.tiny_recordings import write_recording

MESSAGES = 30


@pytest.fixture(params=[False, True], ids=["futures", "spot"])
def recording(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return write_recording(tmp_path / "tiny.raw.gz", messages=MESSAGES, spot=request.param)


def test_changes_continue_the_snapshot(recording: Path) -> None:
    workload = read_workload(recording)
    ids = [change.last_id for change in workload.changes]
    assert len(ids) == MESSAGES
    assert ids == sorted(set(ids))
    assert ids[0] > workload.snapshot["lastUpdateId"]


def test_a_gap_ends_the_changes(recording: Path) -> None:
    lines = gzip.decompress(recording.read_bytes()).splitlines(keepends=True)
    depths = [at for at, line in enumerate(lines) if b"depthUpdate" in line]
    del lines[depths[10]]
    recording.write_bytes(gzip.compress(b"".join(lines)))
    # The first change is older than the snapshot, and the one in place 10 is gone.
    assert len(read_workload(recording).changes) == 10 - 1


def test_fewer_messages_on_demand(recording: Path) -> None:
    assert len(read_workload(recording, max_messages=4).changes) == 1 + 4


def test_recording_without_snapshot_is_refused(recording: Path) -> None:
    lines = gzip.decompress(recording.read_bytes()).splitlines(keepends=True)
    rest = [line for line in lines if b"lastUpdateId" not in line]
    recording.write_bytes(gzip.compress(b"".join(rest)))
    with pytest.raises(CaptureError, match="Expected a depth snapshot"):
        read_workload(recording)


def test_inputs_are_the_recording(recording: Path, tmp_path: Path) -> None:
    workload = read_workload(recording)
    write_inputs(workload, recording, tmp_path, batch=7)
    inputs = Inputs(tmp_path)
    timed = workload.changes[1:]
    assert inputs.details.messages == len(timed)
    assert inputs.details.first_id == workload.changes[0].last_id
    assert inputs.frames == [change.frame for change in timed]
    assert inputs.messages() == [(_floats(change.bids), _floats(change.asks)) for change in timed]
    assert inputs.details.level_updates == sum(len(c.bids) + len(c.asks) for c in timed)
    assert inputs.start_levels() == _start(workload)


def test_the_thousand_levels_do_not_cross(recording: Path, tmp_path: Path) -> None:
    write_inputs(read_workload(recording), recording, tmp_path, batch=7)
    book = orjson.loads(Inputs(tmp_path).thousand)
    bids, asks = ([float(price) for price, _ in book[side]] for side in ("bids", "asks"))
    assert len(bids) == len(asks) == 1000
    assert bids == sorted(set(bids), reverse=True)
    assert asks == sorted(set(asks))
    assert 0 < bids[-1] < bids[0] < asks[0]


def _floats(levels: list[list[str]]) -> list[tuple[float, float]]:
    return [(float(price), float(quantity)) for price, quantity in levels]


def _start(workload: Workload) -> tuple[list[tuple[float, float]], list[tuple[float, float]]]:
    first = workload.changes[0]
    sides = []
    for name, new in (("bids", first.bids), ("asks", first.asks)):
        book = dict(_floats(workload.snapshot[name]) + _floats(new))
        levels = [(price, quantity) for price, quantity in book.items() if quantity]
        sides.append(sorted(levels, reverse=name == "bids"))
    return sides[0], sides[1]

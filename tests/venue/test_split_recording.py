"""Depth messages cut into smaller ones lead to the same books, by the same rules."""

from pathlib import Path

import orjson
import pytest

from alphaplus.venue.__main__ import main
from alphaplus.venue.market import VenueBook
from alphaplus.venue.protocol import Channel
from alphaplus.venue.recording import SNAPSHOT, Recording, read_recording
from alphaplus.venue.split_recording import split_recording
from tests.venue.recordings import recorded_lines, write_recording

STEPS = 40


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Recording:
    path = tmp_path_factory.mktemp("split") / "market.raw.gz"
    return read_recording(write_recording(path, recorded_lines(STEPS)))


def played(recording: Recording) -> tuple[VenueBook, list[bool]]:
    """Return the book at the end, and whether each book on the way had bids below asks."""
    book, uncrossed = VenueBook(), []
    early = []
    for line, channel in enumerate(recording.channels):
        if channel == SNAPSHOT:
            book.load(orjson.loads(recording.head[line]))
            for event in early:
                book.apply(event)
        elif channel == Channel.DEPTH:
            event = orjson.loads(recording.json(line, b"BTCUSDT"))
            early.append(event)
            book.apply(event)
            top = book.top() if book.in_step else None
            if top is not None:
                uncrossed.append(float(top[0][0]) < float(top[1][0]))
    return book, uncrossed


@pytest.mark.parametrize("levels", [1, 2, 7, 10_000])
def test_the_book_at_the_end_is_the_same(recording: Recording, levels: int) -> None:
    whole, _ = played(recording)
    split, uncrossed = played(split_recording(recording, levels))
    assert split.in_step
    assert split.levels() == whole.levels()
    assert split.sequence == whole.sequence
    assert all(uncrossed)


def test_parts_are_small_and_in_order_of_time(recording: Recording) -> None:
    split = split_recording(recording, 1)
    assert split.times == sorted(split.times)
    assert split.times[-1] <= recording.times[-1]
    events = [
        orjson.loads(split.json(line, b"BTCUSDT"))
        for line, channel in enumerate(split.channels)
        if channel == Channel.DEPTH
    ]
    sizes = [len(event["b"]) + len(event["a"]) for event in events]
    whole = [event for event, size in zip(events, sizes, strict=True) if size > 1]
    snapshot = orjson.loads(split.head[split.first_snapshot])["lastUpdateId"]
    assert all(event["U"] <= snapshot <= event["u"] for event in whole)
    assert len(events) > 10 * STEPS
    assert set(split.channels) == {SNAPSHOT, Channel.DEPTH}


def test_ids_go_on_without_a_hole(recording: Recording) -> None:
    split = split_recording(recording, 3)
    previous = None
    for line, channel in enumerate(split.channels):
        if channel != Channel.DEPTH:
            continue
        event = orjson.loads(split.json(line, b"BTCUSDT"))
        assert event["U"] <= event["u"]
        if previous is not None:
            assert event["pu"] == previous["u"] < event["u"]
        previous = event


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--source=generated", "--message-levels=1"], "Expected --source capture"),
        (["--source=capture", "--capture=none", "--message-levels=0"], "of 1 or more"),
    ],
)
def test_what_cannot_be_cut_is_refused(
    arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    assert sentence in capsys.readouterr().out


def test_a_recording_that_is_there_is_needed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    absent = tmp_path / "absent.raw.gz"
    assert main(["--source=capture", f"--capture={absent}", "--message-levels=1"]) == 2
    assert "cannot be read" in capsys.readouterr().out

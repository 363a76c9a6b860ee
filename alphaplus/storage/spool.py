"""Append-only segments on disk: what is in the spool survives the death of the process.

A segment is a file: a head (magic, version, length and CRC of an opaque text), then frames.
A frame is magic, length u32, crc32 u32, sequence u64, all little-endian, then the payload; the
CRC covers sequence and payload. `append` returns after fdatasync, and only then is a payload
accepted. `read` hands frames out in order, `ack` says they are safe elsewhere, and a segment
whose frames are all acked is deleted. After a crash everything not acked is read again.

What can be wrong on disk, and what is done:

- the last segment ends in the middle of a frame, or in a frame whose CRC is wrong: that append
  never returned; the tail is cut off and counted (`torn_bytes`);
- anything else that is no frame: the bytes go to `quarantine/`, are counted
  (`quarantined_bytes`) and logged as an error, and reading goes on at the next good frame;
- a frame whose sequence was read before is skipped and counted (`repeated_frames`).
"""

import errno
import fcntl
import logging
import os
import struct
import threading
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from alphaplus.errors import StorageError

SEGMENT_BYTES: Final = 4 * 2**20
MAX_BYTES: Final = 10 * 2**30

_HEAD: Final = struct.Struct("<4sHHII")
"""Magic, version, zero, length and CRC of the text."""
_HEAD_MAGIC: Final = b"APSP"
_VERSION: Final = 1
_FRAME: Final = struct.Struct("<4sIIQ")
"""Magic, length, CRC, sequence."""
_FRAME_MAGIC: Final = b"\xabAPF"
_FULL: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

log = logging.getLogger(__name__)


class SpoolFull(StorageError):
    """The spool has reached its bound, or the disk is full; nothing was appended."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One payload, the text of its segment's head, and whether a former process wrote it."""

    sequence: int
    payload: bytes
    head: bytes
    recovered: bool


@dataclass(slots=True)
class _Segment:
    path: Path
    size: int
    head: bytes = b""
    recovered: bool = False
    weight: int = 0
    """Weight of the frames that are not acked."""
    unacked: int = 0
    """Frames handed out and not acked."""
    offset: int = 0
    """Where reading goes on."""


@dataclass(slots=True)
class _Parsed:
    head: bytes = b""
    frames: list[tuple[int, bytes]] = field(default_factory=list)
    bad: list[tuple[int, int]] = field(default_factory=list)
    end: int = 0
    repeated: int = 0


class Spool:
    """One directory of segments with one writer; every method may be called from any thread.

    `head` is an opaque text kept in every segment; `weigh` gives a payload's weight, of which
    `pending` is the sum over all frames not acked. Raises StorageError if the directory is in
    use or cannot be written.
    """

    def __init__(
        self,
        directory: Path,
        *,
        head: bytes = b"",
        weigh: Callable[[bytes], int] = len,
        segment_bytes: int = SEGMENT_BYTES,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        self.directory = directory
        self.torn_bytes = 0
        self.quarantined_bytes = 0
        self.quarantined_weight = 0
        self.repeated_frames = 0
        self._head = head
        self._weigh = weigh
        self._segment_bytes = segment_bytes
        self._max_bytes = max_bytes
        self._mutex = threading.Lock()
        self._segments: list[_Segment] = []
        self._active: int | None = None
        self._appended = 0
        self._read = 0
        self._lock = _lock(directory)
        try:
            self._recover()
        except OSError as error:
            os.close(self._lock)
            raise StorageError(f"The spool {directory} cannot be read: {error}.") from error

    @property
    def size_bytes(self) -> int:
        """Bytes on disk."""
        return sum(segment.size for segment in self._segments)

    @property
    def pending(self) -> int:
        """Weight of all frames that are not acked."""
        return sum(segment.weight for segment in self._segments)

    @property
    def has_unread(self) -> bool:
        """Whether `read` would return a frame (or quarantine something)."""
        return any(segment.offset < segment.size for segment in self._segments)

    def append(self, payloads: Sequence[bytes]) -> int:
        """Write payloads durably, all or none, and return the last one's sequence.

        Raises SpoolFull at the bound or on a full disk, StorageError if the disk fails.
        """
        with self._mutex:
            size = sum(_FRAME.size + len(payload) for payload in payloads)
            size_with_head = size + len(self._head) + _HEAD.size
            if self.size_bytes + size_with_head > self._max_bytes:
                # The segment in use may hold nothing but acked frames: then it can go.
                self._retire()
                self._delete_done()
            if self.size_bytes + size_with_head > self._max_bytes:
                raise SpoolFull(
                    f"The spool {self.directory} has reached its {self._max_bytes} bytes."
                )
            try:
                self._write(payloads, size)
            except OSError as error:
                self._delete_done()
                if error.errno in _FULL:
                    raise SpoolFull(f"The disk of the spool {self.directory} is full.") from error
                raise StorageError(
                    f"The spool {self.directory} cannot be written: {error}."
                ) from error
            return self._appended

    def read(self) -> list[Frame]:
        """Return the frames of the next segment that were not handed out, oldest first."""
        with self._mutex:
            for segment in list(self._segments):
                if segment.offset >= segment.size:
                    continue
                frames = self._read_segment(segment)
                self._delete_done()
                if frames:
                    return frames
            return []

    def ack(self, frames: Sequence[Frame]) -> None:
        """Say that frames of one `read` are safe elsewhere."""
        if not frames:
            return
        with self._mutex:
            # `read` hands out one segment at a time, and they are acked in that order, so
            # these frames belong to the oldest segment that waits for any.
            segment = next(s for s in self._segments if s.unacked)
            segment.unacked -= len(frames)
            segment.weight -= sum(self._weigh(frame.payload) for frame in frames)
            self._delete_done()

    def close(self) -> None:
        """Release the directory; an active segment without open frames is deleted."""
        with self._mutex:
            self._retire()
            self._delete_done()
            os.close(self._lock)

    def _recover(self) -> None:
        paths = sorted(self.directory.glob("*.seg"))
        for path in paths:
            data = path.read_bytes()
            parsed = _parse(data, 0, self._appended)
            if path is paths[-1] and parsed.end < len(data):
                self._cut(path, len(data), parsed.end)
            if not parsed.frames and not parsed.bad and path is paths[-1]:
                path.unlink()
                continue
            size = parsed.end if path is paths[-1] else len(data)
            weight = sum(self._weigh(payload) for _, payload in parsed.frames)
            self._segments.append(_Segment(path, size, parsed.head, recovered=True, weight=weight))
            # The name counts too: a segment without a readable frame is never written over.
            last = parsed.frames[-1][0] if parsed.frames else 0
            self._appended = max(self._appended, last, int(path.stem))

    def _cut(self, path: Path, size: int, end: int) -> None:
        self.torn_bytes += size - end
        log.warning(
            "cut %d bytes that were never accepted off the end of %s", size - end, path.name
        )
        with path.open("r+b") as file:
            file.truncate(end)
            os.fsync(file.fileno())

    def _write(self, payloads: Sequence[bytes], size: int) -> None:
        if self._active is not None and self._segments[-1].size + size > self._segment_bytes:
            self._retire()
        if self._active is None:
            self._open_segment()
        assert self._active is not None
        segment = self._segments[-1]
        sequence = self._appended
        pieces: list[bytes] = []
        for payload in payloads:
            sequence += 1
            pieces += (_frame_head(payload, sequence), payload)
        try:
            _write_all(self._active, b"".join(pieces), segment.size)
            os.fdatasync(self._active)
        except OSError:
            # After a failed sync the state of the pages is unknown: nothing more goes here.
            os.ftruncate(self._active, segment.size)
            self._retire()
            raise
        segment.size += size
        segment.weight += sum(self._weigh(payload) for payload in payloads)
        self._appended = sequence

    def _open_segment(self) -> None:
        path = self.directory / f"{self._appended + 1:020d}.seg"
        head = _HEAD.pack(_HEAD_MAGIC, _VERSION, 0, len(self._head), zlib.crc32(self._head))
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            _write_all(file, head + self._head, 0)
            os.fsync(file)
            _sync_directory(self.directory)
        except OSError:
            os.close(file)
            path.unlink(missing_ok=True)
            raise
        size = len(head) + len(self._head)
        self._segments.append(_Segment(path, size, self._head, offset=size))
        self._active = file

    def _retire(self) -> None:
        if self._active is not None:
            os.close(self._active)
            self._active = None

    def _read_segment(self, segment: _Segment) -> list[Frame]:
        with segment.path.open("rb") as file:
            file.seek(segment.offset)
            data = file.read(segment.size - segment.offset)
        parsed = _parse(data, segment.offset, self._read)
        self.repeated_frames += parsed.repeated
        bad = parsed.bad + ([(parsed.end, len(data))] if parsed.end < len(data) else [])
        for start, end in bad:
            self._quarantine(segment, data[start:end], segment.offset + start)
        segment.offset = segment.size
        if parsed.frames:
            self._read = parsed.frames[-1][0]
        segment.unacked += len(parsed.frames)
        return [
            Frame(sequence, payload, segment.head, segment.recovered)
            for sequence, payload in parsed.frames
        ]

    def _quarantine(self, segment: _Segment, data: bytes, offset: int) -> None:
        folder = self.directory / "quarantine"
        folder.mkdir(exist_ok=True)
        kept = folder / f"{segment.path.stem}-{offset}.bin"
        kept.write_bytes(data)
        self.quarantined_bytes += len(data)
        log.error("%d bytes of %s are damaged; kept as %s", len(data), segment.path.name, kept)

    def _delete_done(self) -> None:
        """Delete segments whose frames are all read and acked, except the one in use."""
        last = self._segments[-1] if self._active is not None else None
        for segment in list(self._segments):
            if segment is last or segment.unacked or segment.offset < segment.size:
                continue
            self.quarantined_weight += segment.weight
            segment.path.unlink(missing_ok=True)
            self._segments.remove(segment)


def _parse(data: bytes, offset: int, after: int) -> _Parsed:
    """Find the frames of a segment's bytes that start at `offset` of its file.

    `bad` lists ranges between good frames that are none; `end` is where the last good frame
    ends. Frames up to the sequence `after` are counted as repeated.
    """
    parsed = _Parsed()
    position = 0
    if offset == 0:
        head = _segment_head(data)
        if head is not None:
            parsed.head = head
            position = _HEAD.size + len(head)
    parsed.end = position
    while position < len(data):
        found = _frame_at(data, position)
        if found is None:
            following = _next_frame(data, position + 1)
            if following is None:
                break
            parsed.bad.append((position, following))
            position = following
            continue
        sequence, payload = found
        position += _FRAME.size + len(payload)
        parsed.end = position
        if sequence <= after:
            parsed.repeated += 1
            continue
        parsed.frames.append((sequence, payload))
        after = sequence
    return parsed


def _segment_head(data: bytes) -> bytes | None:
    if len(data) < _HEAD.size:
        return None
    magic, version, _, length, crc = _HEAD.unpack_from(data)
    text = data[_HEAD.size : _HEAD.size + length]
    intact = magic == _HEAD_MAGIC and len(text) == length and zlib.crc32(text) == crc
    if intact and version != _VERSION:
        raise StorageError(
            f"Expected a spool of format {_VERSION}, was {version}; update alphaplus."
        )
    return text if intact else None


def _frame_head(payload: bytes, sequence: int) -> bytes:
    crc = zlib.crc32(payload, zlib.crc32(sequence.to_bytes(8, "little")))
    return _FRAME.pack(_FRAME_MAGIC, len(payload), crc, sequence)


def _frame_at(data: bytes, position: int) -> tuple[int, bytes] | None:
    if len(data) - position < _FRAME.size:
        return None
    magic, length, _, sequence = _FRAME.unpack_from(data, position)
    start = position + _FRAME.size
    if magic != _FRAME_MAGIC or length > len(data) - start:
        return None
    payload = data[start : start + length]
    if data[position:start] != _frame_head(payload, sequence):
        return None
    return sequence, payload


def _next_frame(data: bytes, position: int) -> int | None:
    while (position := data.find(_FRAME_MAGIC, position)) >= 0:
        if _frame_at(data, position) is not None:
            return position
        position += 1
    return None


def _lock(directory: Path) -> int:
    try:
        directory.mkdir(parents=True, exist_ok=True)
        file = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StorageError(
            f"The spool directory {directory} cannot be written: {error.strerror}; "
            "choose another one as storage.data_dir."
        ) from error
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(file)
        raise StorageError(
            f"The spool {directory} is in use by another writer; stop it, or give each its own."
        ) from None
    return file


def _write_all(file: int, data: bytes, offset: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(file, view, offset)
        offset += written
        view = view[written:]


def _sync_directory(directory: Path) -> None:
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

"""Recordings: raw frames as received (`.raw.gz`) and decoded events (`.parquet`).

A raw recording is gzip text, one frame a line: `<receive time, ns> <space> <JSON>`, streams
and REST answers in the order in which they came. It is what to keep of an incident, since
everything else follows from it. A Parquet recording holds the events that a feed forwarded,
with the instruments in its schema: smaller, faster, and already in sequence.
"""

import gzip
import logging
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt
import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from alphaplus.errors import CaptureError
from alphaplus.events import EVENT, EventArray, empty_events
from alphaplus.instruments import Instrument, InstrumentKind

log = logging.getLogger(__name__)

RAW_SUFFIX: Final = ".raw.gz"
PARQUET_SUFFIX: Final = ".parquet"

_SNAPSHOT_STREAM: Final = "depthSnapshot"
_COMPRESSION_LEVEL: Final = 4
_ROWS_PER_GROUP: Final = 65_536
_METADATA: Final = b"alphaplus.instruments"
_INSTRUMENT: Final = "instrument"
_SCHEMA: Final = pa.schema(
    [
        (_INSTRUMENT, pa.uint16()),
        *((name, pa.from_numpy_dtype(EVENT[name])) for name in EVENT.names or ()),
    ]
)


@dataclass(frozen=True, slots=True)
class RawCapture:
    """A raw recording in memory: frames and when each was received (ns, never decreasing)."""

    path: Path
    frames: list[bytes]
    ts_recv: npt.NDArray[np.int64]

    @classmethod
    def read(cls, path: Path | str) -> Self:
        """Read a whole recording.

        Raises CaptureError, naming file and line, if the file is missing, is no gzip, is cut
        off, or has a line that is not a receive time and a frame.
        """
        path = Path(path)
        lines = _unzipped(path).split(b"\n")
        if lines[-1] == b"":
            lines.pop()
        if not lines:
            raise CaptureError(f"Expected frames in {path}, was an empty recording; record again.")
        times: list[int] = []
        frames: list[bytes] = []
        last = 0
        for number, line in enumerate(lines, start=1):
            stamp, _, frame = line.partition(b" ")
            if not (frame and stamp.isdigit() and len(stamp) <= 18 + 1):
                raise _bad_line(path, number, "a receive time in ns, a space and JSON", line)
            ts_recv = int(stamp)
            if ts_recv < last:
                raise _bad_line(path, number, f"a receive time from {last} on", line)
            last = ts_recv
            times.append(ts_recv)
            frames.append(frame)
        if last > np.iinfo(np.int64).max:
            raise _bad_line(path, len(lines), "a receive time in ns", lines[-1])
        return cls(path, frames, np.array(times, dtype=np.int64))

    @staticmethod
    def check(path: Path | str) -> None:
        """Raise CaptureError if the file is no readable recording."""
        RawCapture.read(path)

    def __len__(self) -> int:
        return len(self.frames)


def _unzipped(path: Path) -> bytes:
    try:
        return gzip.decompress(path.read_bytes())
    except FileNotFoundError:
        raise CaptureError(f"The recording {path} does not exist; check the path.") from None
    except gzip.BadGzipFile as error:
        raise CaptureError(
            f"Expected gzip in {path}, was something else ({error}); "
            f"give a recording that ends in {RAW_SUFFIX}."
        ) from error
    except (EOFError, zlib.error) as error:
        lines = _readable_lines(path)
        raise CaptureError(
            f"Expected a whole gzip file in {path}, was one cut off or damaged after line {lines}; "
            "copy it again, or keep its readable lines with zcat."
        ) from error
    except OSError as error:
        raise CaptureError(f"The recording {path} cannot be read: {error.strerror}.") from error


def _readable_lines(path: Path) -> int:
    """Return how many whole lines come before the damage."""
    unzip = zlib.decompressobj(wbits=31)
    lines = 0
    with path.open("rb") as file:
        while piece := file.read(1 << 16):
            try:
                lines += unzip.decompress(piece).count(b"\n")
            except zlib.error:
                break
    return lines


def _bad_line(path: Path, number: int, expected: str, line: bytes) -> CaptureError:
    shown = line[:40].decode(errors="replace")
    return CaptureError(
        f"Expected {expected} in line {number} of {path}, was {shown!r}; repair or remove the line."
    )


class RawRecorder:
    """Writes a raw recording as frames come in: one file a session, a new one when it is full.

    Files are named `<name>_<UTC time of the first frame>.raw.gz`, so that they sort by time.
    """

    def __init__(self, folder: Path | str, name: str, *, max_bytes: int = 1 << 30) -> None:
        """Record into `folder`; a file takes `max_bytes` of text before the next is begun."""
        self.folder = Path(folder)
        self.name = name
        self.paths: list[Path] = []
        self.frames = 0
        self._max_bytes = max_bytes
        self._bytes = 0
        self._last = 0
        self._file: gzip.GzipFile | None = None

    def write(self, frame: bytes, ts_recv: int) -> None:
        """Append a frame received at `ts_recv` (ns); raises CaptureError if that is impossible.

        A clock that was set back does not break the order: the latest time is kept.
        """
        self._last = max(self._last, ts_recv)
        # A line break is mere space in JSON, and would end the line in the file.
        line = b"%d %s\n" % (self._last, frame.replace(b"\n", b" ").replace(b"\r", b" "))
        try:
            if self._file is None or self._bytes >= self._max_bytes:
                self._begin()
            assert self._file is not None
            self._file.write(line)
        except OSError as error:
            raise CaptureError(
                f"The recording in {self.folder} cannot be written: {error}; "
                "free some space or choose another feeds.record_dir."
            ) from error
        self._bytes += len(line)
        self.frames += 1

    def write_snapshot(self, venue_symbol: str, payload: bytes, ts_recv: int) -> None:
        """Append a REST snapshot, which itself names no symbol, in a frame that does."""
        stream = f"{venue_symbol.lower()}@{_SNAPSHOT_STREAM}".encode()
        self.write(b'{"stream":"%s","data":%s}' % (stream, payload.strip()), ts_recv)

    def flush(self) -> None:
        """Hand what was written to the operating system."""
        if self._file is not None:
            self._file.flush()

    def close(self) -> None:
        """End the file; the recorder may go on with another."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _begin(self) -> None:
        self.close()
        self.folder.mkdir(parents=True, exist_ok=True)
        begun = datetime.fromtimestamp(self._last / 1e9, tz=UTC).strftime("%Y%m%dT%H%M%S%fZ")
        path = self.folder / f"{self.name}_{begun}{RAW_SUFFIX}"
        self._file = gzip.open(path, "ab", compresslevel=_COMPRESSION_LEVEL)  # noqa: SIM115
        if path not in self.paths:
            self.paths.append(path)
        self._bytes = 0


class EventRecorder:
    """Writes events to Parquet (zstd), the instruments in the schema's metadata.

    The file is complete, and readable, only after `close`.
    """

    def __init__(self, path: Path | str, instruments: Sequence[Instrument]) -> None:
        self.path = Path(path)
        self.rows = 0
        described = [_described(instrument) for instrument in instruments]
        schema = _SCHEMA.with_metadata({_METADATA: orjson.dumps(described)})
        self._waiting: list[tuple[int, EventArray]] = []
        self._waiting_rows = 0
        try:
            self._writer = pq.ParquetWriter(self.path, schema, compression="zstd")
        except OSError as error:
            raise CaptureError(f"The recording {self.path} cannot be written: {error}.") from error
        self._schema = schema

    def write(self, instrument: int, events: EventArray) -> None:
        """Append events of an instrument (its index); raises CaptureError if that is impossible."""
        self._waiting.append((instrument, events))
        self._waiting_rows += len(events)
        if self._waiting_rows >= _ROWS_PER_GROUP:
            self._write_group()

    def close(self) -> None:
        """Write what waits and end the file."""
        if self._waiting_rows:
            self._write_group()
        self._writer.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _write_group(self) -> None:
        events = np.concatenate([part for _, part in self._waiting])
        owners = np.repeat(
            np.array([owner for owner, _ in self._waiting], dtype=np.uint16),
            [len(part) for _, part in self._waiting],
        )
        columns = [owners, *(events[name] for name in EVENT.names or ())]
        arrays = [pa.array(np.ascontiguousarray(column)) for column in columns]
        try:
            self._writer.write_table(pa.Table.from_arrays(arrays, schema=self._schema))
        except OSError as error:
            raise CaptureError(f"The recording {self.path} cannot be written: {error}.") from error
        self.rows += len(events)
        self._waiting = []
        self._waiting_rows = 0


@dataclass(frozen=True, slots=True)
class EventCapture:
    """A Parquet recording in memory: all events in order, and whose each is."""

    path: Path
    instruments: tuple[Instrument, ...]
    owners: npt.NDArray[np.uint16]
    events: EventArray

    @classmethod
    def read(cls, path: Path | str) -> Self:
        """Read a whole recording; raises CaptureError if the file is not one."""
        path = Path(path)
        try:
            table = pq.read_table(path)
        except FileNotFoundError:
            raise CaptureError(f"The recording {path} does not exist; check the path.") from None
        except (pa.ArrowException, OSError) as error:
            raise CaptureError(
                f"Expected a whole Parquet file in {path}, was one that cannot be read; "
                f"a recording is complete only once its recorder was closed ({error})."
            ) from error
        described = (table.schema.metadata or {}).get(_METADATA)
        if described is None or not table.schema.remove_metadata().equals(_SCHEMA):
            raise CaptureError(
                f"Expected events in {path}, was a Parquet file of another program; "
                "give a recording made by AlphaPlus."
            )
        events = empty_events(table.num_rows)
        for name in EVENT.names or ():
            events[name] = table.column(name).to_numpy()
        owners = table.column(_INSTRUMENT).to_numpy()
        return cls(path, tuple(map(_instrument, orjson.loads(described))), owners, events)

    def batches(self) -> Iterator[tuple[int, EventArray]]:
        """Return the runs of events of one instrument, in order: (its index, events)."""
        cuts = np.flatnonzero(np.diff(self.owners)) + 1
        bounds = [0, *cuts.tolist(), len(self.events)]
        for begin, end in pairwise(bounds):
            if end > begin:
                yield int(self.owners[begin]), self.events[begin:end]


def _described(instrument: Instrument) -> dict[str, Any]:
    fields = asdict(instrument)
    return fields | {
        "tick_size": str(instrument.tick_size),
        "lot_size": str(instrument.lot_size),
    }


def _instrument(fields: dict[str, Any]) -> Instrument:
    return Instrument(
        **fields
        | {
            "tick_size": Decimal(fields["tick_size"]),
            "lot_size": Decimal(fields["lot_size"]),
            "kind": InstrumentKind(fields["kind"]),
        }
    )

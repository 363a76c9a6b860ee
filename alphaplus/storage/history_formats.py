"""History in the formats that other programs read, made piece by piece.

    encoder = encoder_of("parquet", query)
    async for piece in stream_rows(connection, query):
        file.write(encoder.add(piece))
    file.write(encoder.finish())

Without what `finish` returns a file lacks its end and does not look whole: an Arrow stream its
end marker, a Parquet file its footer.
"""

import io
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Final, Protocol

import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from alphaplus.errors import StorageError
from alphaplus.storage.arrow_rows import record_batch, schema_of
from alphaplus.storage.history_query import HistoryQuery
from alphaplus.storage.history_reader import Piece

ZSTD_LEVEL: Final = 3
ENDINGS: Final = {"parquet": "parquet", "arrow": "arrows", "csv": "csv"}
"""The end of a file's name, by format."""


class Encoder(Protocol):
    """Turns pieces of one query into the bytes of one file."""

    def add(self, piece: Piece) -> bytes:
        """Return the bytes that are ready once these rows are in."""

    def finish(self) -> bytes:
        """Return the rest."""


def encoder_of(name: str, query: HistoryQuery) -> Encoder:
    """Return an encoder for `arrow` (IPC stream), `parquet` (zstd) or `csv` (with a header)."""
    makers: dict[str, Callable[[HistoryQuery], Encoder]] = {
        "arrow": _Arrow,
        "parquet": _Parquet,
        "csv": _Csv,
    }
    try:
        return makers[name](query)
    except KeyError:
        raise StorageError(f"Expected the format {', '.join(makers)}, was {name[:40]!r}.") from None


class _Sink(io.RawIOBase):
    """A file that is written to and emptied."""

    def __init__(self) -> None:
        self._data = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._data += data
        return len(data)

    def take(self) -> bytes:
        data, self._data = self._data, bytearray()
        return bytes(data)


class _Base(ABC):
    """What the encoders share: a sink, and a writer of pyarrow on it."""

    def __init__(self, query: HistoryQuery) -> None:
        self._query = query
        self._sink = _Sink()
        self._writer = self._open(self._schema())

    def add(self, piece: Piece) -> bytes:
        self._write(record_batch(piece, self._query))
        return self._sink.take()

    def finish(self) -> bytes:
        self._writer.close()
        return self._sink.take()

    def _schema(self) -> Any:
        return schema_of(self._query)

    @abstractmethod
    def _open(self, schema: Any) -> Any:
        """Return what writes batches of this schema to the sink."""

    def _write(self, batch: Any) -> None:
        self._writer.write_batch(batch)


class _Arrow(_Base):
    def _open(self, schema: Any) -> Any:
        return pa.ipc.new_stream(self._sink, schema)


class _Parquet(_Base):
    def _open(self, schema: Any) -> Any:
        return pq.ParquetWriter(
            self._sink, schema, compression="zstd", compression_level=ZSTD_LEVEL
        )


class _Csv(_Base):
    """CSV has no lists: they are written as JSON."""

    def _schema(self) -> Any:
        fields = (
            pa.field(field.name, pa.string()) if pa.types.is_list(field.type) else field
            for field in schema_of(self._query)
        )
        return pa.schema(list(fields))

    def _open(self, schema: Any) -> Any:
        return pacsv.CSVWriter(self._sink, schema)

    def _write(self, batch: Any) -> None:
        columns = [_text(column) if pa.types.is_list(column.type) else column for column in batch]
        self._writer.write_batch(pa.record_batch(columns, schema=self._schema()))


def _text(lists: Any) -> Any:
    return pa.array([str(item) for item in lists.to_pylist()], pa.string())

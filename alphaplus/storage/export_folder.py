"""The folder of an export: files that are whole or not there, and a list that says which.

    FOLDER/market_trades/binance/BTC-USDT-PERP/2024-08-08.parquet
    FOLDER/manifest.json           once all of them are there: rows, bytes, SHA-256 of each
    FOLDER/manifest.part.jsonl     until then: the question, and a line for each finished file

A file gets its name when it is complete and on disk. An export that was stopped goes on after the
files that its list names, if it is asked the same question again.
"""

import contextlib
import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any, Final
from urllib.parse import quote

from alphaplus.errors import StorageError

MANIFEST: Final = "manifest.json"
UNFINISHED: Final = "manifest.part.jsonl"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportedFile:
    """One finished file; `path` is relative to the folder, `day` its UTC day."""

    path: str
    table: str
    exchange: str
    symbol: str
    day: str
    rows: int
    bytes: int
    sha256: str


class OpenFile:
    """A file that is written under a temporary name: `commit` gives it its own."""

    def __init__(self, target: Path) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        self._target = target
        self._part = target.with_name(f".{target.name}.part")
        self._file: IO[bytes] = self._part.open("wb")
        self._hash = hashlib.sha256()
        self.size = 0

    def write(self, data: bytes) -> None:
        """Append, and count."""
        with _disk(self._target):
            self._file.write(data)
        self._hash.update(data)
        self.size += len(data)

    def commit(self) -> str:
        """Have the file complete and on disk; returns its SHA-256."""
        with _disk(self._target), self._file:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._part.replace(self._target)
            _sync(self._target.parent)
        return self._hash.hexdigest()

    def abandon(self) -> None:
        """Leave nothing behind."""
        with contextlib.suppress(OSError):  # what was buffered may not fit on the disk
            self._file.close()
        self._part.unlink(missing_ok=True)


class ExportFolder:
    """One export on disk. `question` is what was asked, as JSON can hold it.

    Raises StorageError if the folder holds a finished export, the beginning of another one, or
    anything else, and for what the disk refuses.
    """

    def __init__(self, folder: Path, question: dict[str, Any]) -> None:
        self.folder = folder
        self.files: list[ExportedFile] = []
        """The finished files."""
        with _disk(folder):
            folder.mkdir(parents=True, exist_ok=True)
            self.question = self._begin(question)

    def open(self, path: Path) -> OpenFile:
        """Begin a file of the export."""
        with _disk(self.folder):
            return OpenFile(self.folder / path)

    def add(self, file: ExportedFile) -> None:
        """Note that a file is finished."""
        self.files.append(file)
        self._note(asdict(file))

    def finish(self) -> Path:
        """Write the manifest; returns its path. The export is whole from now on."""
        text = json.dumps(
            {
                **self.question,
                "rows": sum(file.rows for file in self.files),
                "files": [asdict(file) for file in self.files],
            },
            indent=1,
        )
        file = self.open(Path(MANIFEST))
        try:
            file.write(text.encode())
            file.commit()
        except BaseException:
            file.abandon()
            raise
        with _disk(self.folder):
            (self.folder / UNFINISHED).unlink()
        return self.folder / MANIFEST

    def _begin(self, question: dict[str, Any]) -> dict[str, Any]:
        """Return the question with the end that it had when the export began."""
        if (self.folder / MANIFEST).exists():
            raise StorageError(f"{self.folder} holds a finished export; name another --out.")
        unfinished = self.folder / UNFINISHED
        if not unfinished.exists():
            if any(self.folder.iterdir()):
                raise StorageError(
                    f"Expected an empty folder for the export, was {self.folder}; name another."
                )
            self._note(question)
            return question
        before, *files = _lines(unfinished)
        if {**before, "end": None} != {**question, "end": None} or not before.get("end"):
            raise StorageError(
                f"{self.folder} holds the beginning of another export; ask the same again, "
                "or name another --out."
            )
        self._take_up(map(_file, files))
        return before

    def _take_up(self, files: Iterable[ExportedFile]) -> None:
        """Keep what is still there; what follows a lost file of an instrument is written again."""
        torn = set()
        for file in files:
            series = (file.table, file.exchange, file.symbol)
            if series in torn or not self._is_whole(file):
                torn.add(series)
            else:
                self.files.append(file)

    def _is_whole(self, file: ExportedFile) -> bool:
        path = self.folder / file.path
        return path.is_file() and path.stat().st_size == file.bytes

    def _note(self, line: dict[str, Any]) -> None:
        with _disk(self.folder), (self.folder / UNFINISHED).open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
            file.flush()
            os.fsync(file.fileno())


def path_of(table: str, exchange: str, symbol: str, name: str) -> Path:
    """Return the path of a file within an export; names of instruments cannot leave it."""
    return Path(table, _safe(exchange), _safe(symbol), name)


def _safe(name: str) -> str:
    text = quote(name, safe=" ")
    return f"%2E{text[1:]}" if text.startswith(".") else text


def _lines(path: Path) -> list[dict[str, Any]]:
    """Return the lines of a list; one that was torn by the end of a process is left out."""
    found = []
    for line in path.read_text(encoding="utf-8").splitlines():
        with contextlib.suppress(ValueError):
            found.append(json.loads(line))
    return found or [{}]


def _file(line: dict[str, Any]) -> ExportedFile:
    return ExportedFile(**line)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _disk(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StorageError(
            f"The export cannot be written to {path}: {error.strerror or error}; make room, or "
            "name another --out, and run it again."
        ) from error

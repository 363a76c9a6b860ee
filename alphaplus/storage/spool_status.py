"""What waits in the spools of this machine, told from their files without disturbing a writer."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class SpoolStatus:
    """The spools below one data directory."""

    directory: str
    segments: int
    bytes: int
    """Rows that are not in the database yet, and those of segments that are not all written: at
    most one segment of 4 MiB of each running writer has no news."""
    dead_letters: int
    """Rows that the database refused, in dead-letters.jsonl; each with its reason."""
    quarantined_bytes: int
    """Damaged by the disk."""


def spool_status(data_dir: Path) -> SpoolStatus:
    """Look at `<data_dir>/spool`; a folder that is not there is empty."""
    folder = data_dir / "spool"
    segments = [size for path in folder.glob("**/*.seg") if (size := _size(path)) is not None]
    damaged = [_size(path) or 0 for path in folder.glob("**/quarantine/*.bin")]
    return SpoolStatus(
        directory=str(folder),
        segments=len(segments),
        bytes=sum(segments),
        dead_letters=sum(_lines(path) for path in folder.glob("**/dead-letters.jsonl")),
        quarantined_bytes=sum(damaged),
    )


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except FileNotFoundError:  # a writer deletes what is written
        return None


def _lines(path: Path) -> int:
    with path.open("rb") as file:
        return sum(chunk.count(b"\n") for chunk in iter(lambda: file.read(2**20), b""))

"""What maintenance is to do, and what a run of it did."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from alphaplus.config import Storage
from alphaplus.errors import ConfigError
from alphaplus.storage.archive.move import Moved
from alphaplus.storage.tables import TABLES


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What to keep, and how: times are hours, days of retention by table."""

    partitions_ahead_h: float = 24.0
    archive_after_h: float | None = None
    """None: what the schema says of each table."""
    retention_days: Mapping[str, float] = field(default_factory=dict)
    """Tables that are not named are kept as the schema says: for ever."""

    @classmethod
    def from_settings(cls, storage: Storage) -> "Policy":
        """Read `storage.retention` and its neighbours; raises ConfigError for unknown tables."""
        days = dict(storage.retention_days)
        unknown = sorted(set(days) - set(TABLES))
        if unknown:
            raise ConfigError(
                f"Expected tables in storage.retention, was {unknown[0]!r}; known are "
                f"{', '.join(sorted(TABLES))}."
            )
        return cls(
            partitions_ahead_h=storage.partitions_ahead_h,
            archive_after_h=storage.archive_after_h,
            retention_days=days,
        )


@dataclass(slots=True, kw_only=True)
class MaintenanceReport:
    """What one run did."""

    flavor: str
    partitions_made: int = 0
    rows_in_default: dict[str, int] = field(default_factory=dict)
    """Rows that were found in default partitions, by table; each is an alert."""
    minutes_filled: int = 0
    """Intervals of rollups that were summed up, natively."""
    moved: list[Moved] = field(default_factory=list)
    chunks_dropped: int = 0
    """Partitions or chunks, by retention."""
    archived_rows_dropped: int = 0
    failures: list[str] = field(default_factory=list)
    hints: list[str] = field(default_factory=list)
    """What an operator may want to do, one sentence each."""
    seconds: float = 0.0

    def summary(self) -> dict[str, Any]:
        """Return the report as one flat object."""
        plain = sum(moved.plain_bytes for moved in self.moved)
        packed = sum(moved.packed_bytes for moved in self.moved)
        found = asdict(self)
        found.pop("moved")
        return found | {
            "partitions_archived": len(self.moved),
            "rows_archived": sum(moved.rows - moved.duplicates for moved in self.moved),
            "plain_bytes": plain,
            "packed_bytes": packed,
            "seconds": round(self.seconds, 3),
        }

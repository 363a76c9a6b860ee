"""Times as people and programs write them: ISO 8601, or ns since 1970 UTC."""

from datetime import UTC, datetime

from alphaplus.errors import StorageError
from alphaplus.storage.queries import to_ns
from alphaplus.storage.tables import MAX_TIME_NS, MIN_TIME_NS


def time_ns_of(name: str, text: str) -> int:
    """Return a time in ns; `name` is what it is called to the user. Without a zone it is UTC.

    Raises StorageError if it is no time, or outside 2000 to 2100.

    >>> time_ns_of("start", "2024-08-08T12:00:00Z")
    1723118400000000000
    """
    time = _read(text.strip())
    if time is None:
        raise StorageError(
            f"Expected {name} like 2026-01-31, 2026-01-31T12:00:00Z or nanoseconds since 1970 "
            f"UTC, was {text[:40]!r}."
        )
    if not MIN_TIME_NS <= time <= MAX_TIME_NS:
        raise StorageError(
            f"Expected {name} between 2000-01-01 and 2100-01-01, was {text[:40]!r}; "
            "nothing is stored outside."
        )
    return time


def _read(text: str) -> int | None:
    if text.lstrip("-").isdecimal() and text.isascii():
        return int(text) if len(text) < 40 else None
    for candidate in (text, "+".join(text.rsplit(" ", 1))):  # a URL makes a blank of the plus
        try:
            found = datetime.fromisoformat(candidate)
        except ValueError:
            continue
        return to_ns(found if found.tzinfo else found.replace(tzinfo=UTC))
    return None

"""Logging as the programs do it: one line per event, text on a terminal, JSON for machines."""

import logging
import sys
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

import orjson

if TYPE_CHECKING:
    from alphaplus.config import Log  # pydantic is not for every actor

IDS: Final = ("actor", "exchange", "symbol")
"""Who speaks, and of which market: fields of a JSON line where they are known."""


class JsonFormatter(logging.Formatter):
    """One JSON object per line: time, level, logger, message, ids, and the traceback if any.

    The ids of the process are given here; a record's own, as in `extra={"symbol": ...}`, go
    before them.
    """

    def __init__(self, ids: Mapping[str, str] | None = None) -> None:
        super().__init__()
        self.converter = time.gmtime
        self._ids = dict(ids or {})

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": f"{self.formatTime(record, '%Y-%m-%dT%H:%M:%S')}.{record.msecs:03.0f}Z",
            "level": record.levelname,
            "logger": record.name,
        }
        for name in IDS:
            value = getattr(record, name, None) or self._ids.get(name)
            if value is not None:
                line[name] = value
        line["message"] = record.getMessage()
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return orjson.dumps(line, default=str).decode()


def set_up_logging(log: "Log", **ids: str) -> None:
    """Send every record of `log.level` and above to standard error, in UTC."""
    formatter: logging.Formatter = JsonFormatter(ids)
    if log.format == "text":
        formatter = logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s")
        formatter.converter = time.gmtime
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(log.level)
    for chatty in ("asyncio", "numba", "aiohttp.access"):
        logging.getLogger(chatty).setLevel(logging.WARNING)

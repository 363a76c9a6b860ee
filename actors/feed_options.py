"""What a feed needs of the settings; plain data that travels to its actor."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from actors.feed_history import HistoryOptions
from alphaplus.config import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedOptions:
    """What a feed needs of the settings."""

    exchange: str
    symbols: tuple[str, ...]
    streams: tuple[str, ...]
    url: str | None
    snapshot_limit: int
    open_interest_poll_s: float
    volume_poll_s: float
    flush_s: float
    max_buffered_frames: int
    max_backlog_events: int
    silent_after_s: float
    record_dir: Path | None
    history: HistoryOptions
    log_level: str

    @classmethod
    def from_settings(cls, settings: Settings, url: str | None) -> Self:
        """Pick the fields; `url` is the address of a local venue, None for the exchange."""
        feeds = settings.feeds
        return cls(
            exchange=feeds.exchange,
            symbols=feeds.symbols,
            streams=feeds.streams,
            url=url,
            snapshot_limit=feeds.snapshot_limit,
            open_interest_poll_s=feeds.open_interest_poll_s,
            volume_poll_s=feeds.volume_poll_s,
            flush_s=feeds.flush_ms / 1e3,
            max_buffered_frames=feeds.max_buffered_frames,
            max_backlog_events=settings.streams.max_backlog_events,
            silent_after_s=feeds.silent_after_s,
            record_dir=feeds.record_dir,
            history=HistoryOptions.from_settings(settings),
            log_level=settings.log.level,
        )

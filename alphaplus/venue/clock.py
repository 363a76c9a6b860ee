"""Market time: wall time at the venue's speed, with pauses."""


class MarketClock:
    """Nanoseconds of market time since the venue began; wall time is handed in."""

    def __init__(self, speed: float, wall_ns: int) -> None:
        self.speed = speed
        self.paused = False
        self._market_ns = 0
        self._wall_ns = wall_ns

    def now(self, wall_ns: int) -> int:
        """Return the market time at a wall time, which never goes back."""
        if not self.paused:
            self._market_ns += int(max(0, wall_ns - self._wall_ns) * self.speed)
        self._wall_ns = max(self._wall_ns, wall_ns)
        return self._market_ns

    def hold(self, wall_ns: int) -> None:
        """Let wall time pass without market time."""
        self._wall_ns = max(self._wall_ns, wall_ns)

    def change_speed(self, speed: float, wall_ns: int) -> None:
        """Let market time go on at another speed, market seconds per second."""
        self.now(wall_ns)
        self.speed = speed

    def pause(self, wall_ns: int) -> None:
        """Stop market time."""
        self.now(wall_ns)
        self.paused = True

    def resume(self, wall_ns: int) -> None:
        """Let market time go on from where it stopped."""
        self.now(wall_ns)
        self.paused = False

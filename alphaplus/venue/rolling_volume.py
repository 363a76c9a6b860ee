"""What was traded in the last 24 hours of market time, to a minute."""

from collections import deque
from typing import Final

DAY_S: Final = 86_400.0
_BUCKET_S: Final = 60.0
_BUCKETS: Final = 1440
_PRIOR_S: Final = 60.0
"""An expected rate counts as much as so much of trading, less as the first day passes."""


class RollingVolume:
    """Base and quote volume of the last 24 hours; before they have passed, an extrapolation.

    Until then what was traded is scaled to a day, together with a minute at the rate that is
    expected (base and quote per second), so that the first answer is plausible too. Times are
    seconds of the market since it began, and never go back.
    """

    def __init__(self, expected_base: float, expected_quote: float) -> None:
        self._expected = expected_base, expected_quote
        self._buckets: deque[list[float]] = deque(maxlen=_BUCKETS)  # minute, base, quote

    def add(self, at_s: float, base: float, quote: float) -> None:
        """Count one trade."""
        minute = at_s // _BUCKET_S
        if not self._buckets or self._buckets[-1][0] != minute:
            self._buckets.append([minute, 0.0, 0.0])
        self._buckets[-1][1] += base
        self._buckets[-1][2] += quote

    def day(self, at_s: float) -> tuple[float, float]:
        """Return base and quote volume of the 24 hours before `at_s`."""
        oldest = at_s // _BUCKET_S - _BUCKETS
        recent = [bucket for bucket in self._buckets if bucket[0] > oldest]
        span = min(at_s, DAY_S)
        prior_s = _PRIOR_S * (1 - span / DAY_S)
        scale = DAY_S / (prior_s + span)
        base, quote = (
            scale * (rate * prior_s + sum(bucket[1 + column] for bucket in recent))
            for column, rate in enumerate(self._expected)
        )
        return base, quote

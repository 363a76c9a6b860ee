"""When to try again, and how much may be asked: two policies that know no clock of their own."""

import bisect
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """Exponential waits between attempts, capped, and spread so that feeds do not march in step.

    >>> Backoff(first_s=1.0, cap_s=8.0, jitter=0.0).delay_s(3, chance=0.0)
    4.0
    """

    first_s: float = 0.25
    cap_s: float = 30.0
    factor: float = 2.0
    jitter: float = 0.5
    """Share of a wait that is left to chance, 0 to 1."""

    def delay_s(self, failures: int, chance: float) -> float:
        """Return the wait in seconds after so many failures in a row.

        `chance` is a uniform draw from [0, 1); it only ever shortens the wait.
        """
        growth = self.factor ** min(failures - 1, 64)  # 2**64 is past any cap, and no overflow
        return min(self.cap_s, self.first_s * growth) * (1.0 - self.jitter * chance)


class WeightBudget:
    """Request weight that may be spent in any window of a minute, first come, first served.

    A venue counts the weight of all requests from one address, so what it reports as used
    (`observe`) overrules our own count. Times are seconds on one monotonic clock.
    """

    def __init__(self, limit: float, window_s: float = 60.0) -> None:
        self.limit = limit
        self.window_s = window_s
        self._spent: list[tuple[float, float]] = []
        self._blocked_until = float("-inf")

    def reserve(self, now: float, weight: float) -> float:
        """Book `weight` for the earliest moment that has room; return the wait until then, in s."""
        self._spent = [entry for entry in self._spent if entry[0] > now - self.window_s]
        at = max(now, self._blocked_until)
        if self._spent:
            at = max(at, self._spent[-1][0])  # nobody overtakes
        recent = [entry for entry in self._spent if entry[0] > at - self.window_s]
        used = sum(spent for _, spent in recent)
        for moment, spent in recent:
            if used + weight <= self.limit:
                break
            at = max(at, moment + self.window_s)
            used -= spent
        self._spent.append((at, weight))
        return at - now

    def observe(self, now: float, used: float) -> None:
        """Adopt the venue's own count of the weight used, where it is above ours."""
        ours = sum(spent for moment, spent in self._spent if now - self.window_s < moment <= now)
        if used > ours:
            bisect.insort(self._spent, (now, used - ours))

    def block(self, now: float, seconds: float) -> None:
        """Let no new request start for so many seconds, as the venue asked."""
        self._blocked_until = max(self._blocked_until, now + seconds)

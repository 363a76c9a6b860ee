"""Something to be done now and then, at its own places on a grid of the clock."""

from hashlib import blake2b


class Turn:
    """Comes due at each place of a grid; what is late once is not late for ever.

    Turns of one name fall together where their intervals allow, so that what they do is done
    on one look at the same book; those of many names are spread evenly.
    """

    __slots__ = ("_every_ns", "_phase_ns", "due")

    def __init__(self, name: str, every_ms: float) -> None:
        """Take a name that gives the phase, and an interval of at least a nanosecond."""
        self._every_ns = max(round(every_ms * 1e6), 1)
        # of a fixed second: the phases of one name agree in all intervals that divide it
        digest = blake2b(name.encode(), digest_size=4).digest()  # a CRC would bunch similar names
        self._phase_ns = int.from_bytes(digest, "big") * 1_000_000_000 >> 32
        self.due = 0
        """When it is due, ns; at first at once."""

    def is_due(self, now_ns: int) -> bool:
        """Say whether it is time, and if so find the next place."""
        if now_ns < self.due:
            return False
        self.pass_on(now_ns)
        return True

    def pass_on(self, now_ns: int) -> None:
        """Find the next place after now."""
        done = (now_ns - self._phase_ns) // self._every_ns
        self.due = (done + 1) * self._every_ns + self._phase_ns

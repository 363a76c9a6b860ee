"""How long things take: a histogram of latencies that is cheap to fill and exact to merge.

Bins are linear inside each power of two (64 of them), so every latency from 1 us to 100 s is
known to better than 1 %; below 1 us the bins are 16 ns wide. The layout is that of Gil Tene's
HdrHistogram. What lies outside the bins is counted apart and never moved into them.
"""

import math
import struct
from typing import Final, Self

import numpy as np
import numpy.typing as npt

SUB_BITS: Final = 6
SUB_BINS: Final = 1 << SUB_BITS
LINEAR_BITS: Final = 10
"""Below 2^10 ns the bins have equal width."""
TOP_BITS: Final = 37
"""From 2^37 ns (137 s) on a latency is counted in `above`."""
BINS: Final = SUB_BINS * (TOP_BITS - LINEAR_BITS + 1)

FEW: Final = 32
"""So many latencies are recorded faster one by one than as an array."""

_HEADER: Final = struct.Struct("<4sIqqqqd")
_MAGIC: Final = b"APL1"


class LatencyHistogram:
    """Counts of latencies in int64 nanoseconds.

    >>> histogram = LatencyHistogram()
    >>> histogram.record(2_000_000)
    >>> histogram.record(np.array([1_000_000, 3_000_000, -5]))
    >>> len(histogram), histogram.negative, histogram.percentile(100)
    (3, 1, 3000000.0)
    """

    __slots__ = ("_max", "_min", "_sum", "above", "counts", "negative")

    def __init__(self) -> None:
        self.counts: npt.NDArray[np.int64] = np.zeros(BINS, dtype=np.int64)
        self.negative = 0
        """Latencies below zero: the two clocks disagree. In no percentile."""
        self.above = 0
        """Latencies beyond the last bin; in percentiles they count as the maximum."""
        self._min: int | None = None
        self._max: int | None = None
        self._sum = 0.0

    def record(self, latency_ns: int | npt.NDArray[np.int64]) -> None:
        """Count one latency, or each one of an array."""
        if not isinstance(latency_ns, np.ndarray):
            self._record_one(int(latency_ns))
        elif latency_ns.size <= FEW:
            for value in latency_ns.tolist():
                self._record_one(value)
        else:
            self._record_many(latency_ns)

    def _record_one(self, value: int) -> None:
        if value < 0:
            self.negative += 1
            return
        octave = value.bit_length() - 1
        if octave < LINEAR_BITS:
            self.counts[value >> (LINEAR_BITS - SUB_BITS)] += 1
        elif octave < TOP_BITS:
            offset = (octave - LINEAR_BITS) << SUB_BITS
            self.counts[offset + (value >> (octave - SUB_BITS))] += 1
        else:
            self.above += 1
        self._note(value, value, value)

    def percentile(self, q: float) -> float:
        """Return the `q`-th percentile (0 to 100) in ns; nan if nothing was recorded."""
        if not 0 <= q <= 100:
            raise ValueError(f"Expected a percentile from 0 to 100, was {q}.")
        if self._min is None or self._max is None:
            return math.nan
        rank = max(1, math.ceil(q / 100 * len(self)))
        if rank == 1:
            return float(self._min)
        if rank >= len(self):
            return float(self._max)
        index = int(np.searchsorted(np.cumsum(self.counts), rank))
        if index == BINS:
            return float(self._max)
        return float(min(max(_middle(index), self._min), self._max))

    @property
    def mean(self) -> float:
        """The mean latency in ns, without the negative ones; nan if nothing was recorded."""
        return self._sum / len(self) if len(self) else math.nan

    def __len__(self) -> int:
        """Return how many latencies were recorded, without the negative ones."""
        return int(self.counts.sum()) + self.above

    def __add__(self, other: "LatencyHistogram") -> "LatencyHistogram":
        total = LatencyHistogram()
        for part in (self, other):
            total.counts += part.counts
            total.negative += part.negative
            total.above += part.above
            if part._min is not None and part._max is not None:
                total._note(part._min, part._max, part._sum)
        return total

    def since(self, earlier: "LatencyHistogram | None") -> "LatencyHistogram":
        """Return what was recorded after `earlier`, an older state of this histogram.

        The smallest and largest are known to the width of their bins. All of it is returned
        where `earlier` is None or no older state of this one, as it then began anew.

        >>> histogram = LatencyHistogram()
        >>> histogram.record(1_000_000)
        >>> later = histogram + histogram
        >>> len(later.since(histogram)), len(histogram.since(later))
        (1, 1)
        """
        if earlier is None:
            return self
        counts = self.counts - earlier.counts
        negative, above = self.negative - earlier.negative, self.above - earlier.above
        if negative < 0 or above < 0 or bool((counts < 0).any()):
            return self
        recent, filled = LatencyHistogram(), np.flatnonzero(counts)
        low = _middle(int(filled[0])) if len(filled) else 1 << TOP_BITS
        high = (self._max or 0) if above else _middle(int(filled[-1])) if len(filled) else -1
        recent.add_counted(
            counts,
            negative=negative,
            above=above,
            low=low,
            high=high,
            total=self._sum - earlier._sum,
        )
        return recent

    def __eq__(self, other: object) -> bool:
        return isinstance(other, LatencyHistogram) and self.to_bytes() == other.to_bytes()

    __hash__ = None  # type: ignore[assignment]  # it changes

    def to_bytes(self) -> bytes:
        """Pack what was recorded; small, as only filled bins are kept."""
        filled = np.flatnonzero(self.counts)
        header = _HEADER.pack(
            _MAGIC,
            len(filled),
            self.negative,
            self.above,
            -1 if self._min is None else self._min,
            -1 if self._max is None else self._max,
            self._sum,
        )
        return header + filled.astype("<u2").tobytes() + self.counts[filled].tobytes()

    @classmethod
    def from_bytes(cls, packed: bytes) -> Self:
        """Unpack `to_bytes`. Raises ValueError if it is something else."""
        if len(packed) < _HEADER.size or packed[:4] != _MAGIC:
            raise ValueError(f"Expected a packed histogram, was {len(packed)} other bytes.")
        _, filled, negative, above, low, high, total = _HEADER.unpack_from(packed)
        if len(packed) != _HEADER.size + 10 * filled:
            raise ValueError(
                f"Expected {_HEADER.size + 10 * filled} bytes of histogram, was {len(packed)}."
            )
        bins = np.frombuffer(packed, "<u2", filled, _HEADER.size)
        if filled and bins.max() >= BINS:
            raise ValueError(f"Expected bins below {BINS}, was {bins.max()}.")
        histogram = cls()
        histogram.counts[bins] = np.frombuffer(packed, "<i8", filled, _HEADER.size + 2 * filled)
        histogram.negative, histogram.above, histogram._sum = negative, above, total
        histogram._min, histogram._max = (None, None) if low < 0 else (low, high)
        return histogram

    def _record_many(self, latencies: npt.NDArray[np.int64]) -> None:
        known = latencies[latencies >= 0]
        self.negative += latencies.size - known.size
        if known.size == 0:
            return
        self._note(int(known.min()), int(known.max()), float(known.sum(dtype=np.float64)))
        inside = known[known < (1 << TOP_BITS)]
        self.above += known.size - inside.size
        # frexp is exact here: every value below 2^53 is a float64
        octaves = np.maximum(np.frexp(inside.astype(np.float64))[1] - 1, LINEAR_BITS - 1)
        shifts = np.maximum(octaves - SUB_BITS, LINEAR_BITS - SUB_BITS)
        offsets = np.maximum(octaves - LINEAR_BITS, 0) * SUB_BINS
        self.counts += np.bincount(offsets + (inside >> shifts), minlength=BINS)

    def add_counted(
        self,
        counts: npt.NDArray[np.int64],
        *,
        negative: int,
        above: int,
        low: int,
        high: int,
        total: float,
    ) -> None:
        """Take over what a kernel has counted into the same bins; `low` above `high`: nothing."""
        self.counts += counts
        self.negative += negative
        self.above += above
        if low <= high:
            self._note(low, high, total)

    def _note(self, low: int, high: int, total: float) -> None:
        self._min = low if self._min is None else min(self._min, low)
        self._max = high if self._max is None else max(self._max, high)
        self._sum += total


def _middle(index: int) -> int:
    """Return the middle of a bin in ns."""
    if index < SUB_BINS:
        shift = LINEAR_BITS - SUB_BITS
        return (index << shift) + (1 << (shift - 1))
    octave = LINEAR_BITS + (index - SUB_BINS) // SUB_BINS
    shift = octave - SUB_BITS
    return ((index % SUB_BINS + SUB_BINS) << shift) + (1 << (shift - 1))

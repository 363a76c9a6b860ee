"""Order clusters: stretches of price in which large levels lie close together.

A one-dimensional density merge, which is DBSCAN (Ester, Kriegel, Sander and Xu 1996) on a line:
levels are ordered already, so that it needs no search. Of each side the levels within 50 bps
of the mid take part whose notional is at least `min_notional` (default: the median of that
side within 50 bps). Those at most `eps` apart join; a cluster is published if it holds at
least 5 % of D_side(50), the notional of all levels within 50 bps.
"""

import math
from dataclasses import asdict, dataclass
from fractions import Fraction
from typing import Any, ClassVar, Final

import numpy as np
import numpy.typing as npt

from alphaplus.analysis.book_levels import BookLevels, Floats, Ints, count_within
from alphaplus.analysis.measure import Measure
from alphaplus.errors import ConfigError
from alphaplus.instruments import Instrument
from alphaplus.jit import kernel


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """One cluster of levels. Prices and notionals in quote currency."""

    side: str
    """`bid` or `ask`."""
    price: float
    """Centre of mass: the mean price weighted by notional."""
    low: float
    high: float
    notional: float
    levels: int
    share: float
    """Of D_side(50), in [0, 1]."""
    distance_bps: float
    """From the mid to the centre of mass."""
    round_number: bool
    """Whether its largest level lies on a multiple of the largest 10^k within 20 bps of the mid.

    False where 10^k is not above the tick, as then every price is round.
    """

    def as_dict(self) -> dict[str, Any]:
        """Return the cluster as plain values."""
        return asdict(self)


def cluster_levels(
    prices: npt.ArrayLike,
    *,
    eps: float,
    min_samples: float = 1.0,
    sample_weight: npt.ArrayLike | None = None,
) -> Ints:
    """Return the label of each price: those of DBSCAN on a line, -1 for noise.

    A price is a core if the weights of the prices within `eps` of it, its own included, sum to
    at least `min_samples`. Cores at most `eps` apart share a cluster. A price that is no core
    but within `eps` of one is a border and takes the lowest label among those in reach.
    Labels count from 0 in the order in which the clusters' first cores stand in the input.
    O(n log n). Raises ValueError for prices or weights that are not finite or not as many,
    or an `eps` that is not above 0.

    >>> cluster_levels([100.0, 101.0, 110.0, 111.0, 150.0], eps=2.0, min_samples=2).tolist()
    [0, 0, 1, 1, -1]
    """
    points = np.asarray(prices, dtype=np.float64)
    weights = np.ones(len(points)) if sample_weight is None else np.asarray(sample_weight, float)
    if points.ndim != 1 or weights.shape != points.shape:
        raise ValueError(f"Expected one weight per price, was {weights.shape} of {points.shape}.")
    if not (np.isfinite(points).all() and np.isfinite(weights).all()):
        raise ValueError("Expected finite prices and weights, was nan or infinite.")
    if not 0 < eps < math.inf:
        raise ValueError(f"Expected eps above 0 and finite, was {eps}.")
    order = np.argsort(points, kind="stable")
    ordered = np.empty(len(points), dtype=np.int64)
    _label(points[order], weights[order], order, float(eps), float(min_samples), ordered)
    labels = np.empty_like(ordered)
    labels[order] = ordered
    return labels


def round_step(twice_mid: int, tick_units: int) -> int:
    """Return the largest power of ten within 20 bps of the mid, in units of the last digit.

    `twice_mid` is best bid + best ask in ticks, `tick_units` the tick in units of the last
    digit. 0 if that power is not above the tick.

    >>> round_step(2 * 617_000, 1)  # a mid of 61,700.0 with one digit: steps of 100
    1000
    """
    return int(_round_step(twice_mid, tick_units))


class Clusters(Measure):
    """Find the clusters of both sides of a book, as of the last look.

    `eps_bps` is of the mid, and at least 1 tick, since nothing could join below; `eps_ticks`
    takes its place where given. `core_share` asks in addition that the levels within eps of
    one hold at least this share of D_side(50), by DBSCAN's rule for cores; 0: no demand.

    Raises ConfigError for a parameter out of its range.
    """

    name: ClassVar[str] = "clusters"

    def __init__(
        self,
        instrument: Instrument,
        *,
        eps_bps: float = 1.0,
        eps_ticks: int | None = None,
        min_notional: float | None = None,
        min_share: float = 0.05,
        core_share: float = 0.0,
        range_bps: float = 50.0,
    ) -> None:
        if not 0 < eps_bps < math.inf:
            raise ConfigError(f"Expected eps_bps above 0 and finite, was {eps_bps}.")
        if eps_ticks is not None and eps_ticks < 1:
            raise ConfigError(f"Expected eps_ticks of at least 1, was {eps_ticks}.")
        if min_notional is not None and not 0 <= min_notional < math.inf:
            raise ConfigError(f"Expected min_notional of at least 0, was {min_notional}.")
        if not 0.01 <= min_share <= 1:
            raise ConfigError(f"Expected min_share in [0.01, 1], was {min_share}.")
        if not 0 <= core_share <= 1:
            raise ConfigError(f"Expected core_share in [0, 1], was {core_share}.")
        if not 0 < range_bps < 10_000:
            raise ConfigError(f"Expected range_bps above 0 and below 10000, was {range_bps}.")
        self._instrument = instrument
        self._state = np.zeros(1, dtype=_STATE)
        row = self._state[0]
        self.reach_bps = range_bps
        distance = Fraction(repr(float(range_bps))) / 10_000
        row["range_numerator"], row["range_denominator"] = distance.as_integer_ratio()
        row["eps"] = eps_bps / 2e4
        row["eps_ticks"] = 0 if eps_ticks is None else eps_ticks
        row["min_notional"] = np.nan if min_notional is None else min_notional
        row["min_share"], row["core_share"] = min_share, core_share
        row["tick_units"] = instrument.tick_units
        self._rank = np.arange(1024)
        self._found = np.zeros((2, math.ceil(1 / min_share) + 1), dtype=_FOUND)

    def observe(self, book: BookLevels) -> None:
        """Look at the book within the range."""
        bids, asks = book.bids, book.asks
        most = max(len(bids.ticks), len(asks.ticks))
        if most > len(self._rank):
            self._rank = np.arange(2 * most)
        _observe(
            self._state,
            self._found,
            self._rank,
            bids.ticks,
            bids.notionals,
            asks.ticks,
            asks.notionals,
            bids.known_tick,
            asks.known_tick,
        )

    def interrupt(self) -> None:
        """Forget the last look."""
        self._state[0]["looked"] = 0

    def clusters(self) -> tuple[Cluster, ...]:
        """Return the clusters of the last look: bids then asks, from the touch outward."""
        row = self._state[0]
        if not row["looked"]:
            return ()
        return tuple(
            self._cluster(s, found)
            for s in (0, 1)
            for found in self._found[s, : int(row["count"][s])]
        )

    def values(self) -> dict[str, Any]:
        """Return the clusters, and for each side whether the range is not all known."""
        row = self._state[0]
        if not row["looked"]:
            return dict.fromkeys(_VALUES)
        truncated = map(bool, row["truncated"])
        clusters = [cluster.as_dict() for cluster in self.clusters()]
        return dict(zip(_VALUES, (clusters, *truncated), strict=True))

    def missing(self) -> dict[str, str]:
        """Say that there was no look yet."""
        if self._state["looked"][0]:
            return {}
        return dict.fromkeys(_VALUES, "a first look at the book")

    def _cluster(self, s: int, found: Any) -> Cluster:
        scale = self._instrument.tick_units / 10.0**self._instrument.price_decimals
        middle = int(self._state["twice_mid"][0]) / 2
        center = float(found["center"])
        ends = (
            self._instrument.price(int(found["first"])),
            self._instrument.price(int(found["last"])),
        )
        return Cluster(
            side="ask" if s else "bid",
            price=min(max(center * scale, min(ends)), max(ends)),
            low=min(ends),
            high=max(ends),
            notional=float(found["notional"]),
            levels=int(found["levels"]),
            share=float(found["share"]),
            distance_bps=1e4 * abs(center - middle) / middle,
            round_number=bool(found["round_number"]),
        )


_VALUES: Final = ("clusters", "bid_truncated", "ask_truncated")
_STATE: Final = np.dtype(
    [
        ("range_numerator", "<i8"),
        ("range_denominator", "<i8"),
        ("eps", "<f8"),  # over best bid + best ask
        ("eps_ticks", "<i8"),  # 0: eps counts
        ("min_notional", "<f8"),  # nan: the median
        ("min_share", "<f8"),
        ("core_share", "<f8"),
        ("tick_units", "<i8"),
        ("looked", "<i8"),
        ("twice_mid", "<i8"),
        ("count", "<i8", (2,)),
        ("truncated", "<i8", (2,)),
    ],
    align=True,
)
_FOUND: Final = np.dtype(
    [
        ("center", "<f8"),  # ticks
        ("first", "<i8"),  # the level nearest to the touch
        ("last", "<i8"),
        ("notional", "<f8"),
        ("levels", "<i8"),
        ("share", "<f8"),
        ("round_number", "<i8"),
    ],
    align=True,
)
_OCTAVE_PARTS: Final = 48  # bits of a float64 below its exponent and the first 4 of its fraction
_BINS: Final = 1024  # 64 octaves of 16 parts


@kernel
def _label(
    points: Floats, weights: Floats, rank: Ints, eps: float, min_samples: float, labels: Ints
) -> int:
    """Label points that are in order (rising or falling); return the number of clusters.

    `rank` is the place of each point in the input, by which clusters are numbered.
    """
    count = len(points)
    if min_samples <= 0.0:
        return _label_runs(points, rank, eps, labels)
    first = np.empty(count, dtype=np.int64)  # per cluster: rank of its first core
    is_core = np.empty(count, dtype=np.bool_)
    low = high = clusters = 0
    total = 0.0
    previous = -1
    for i in range(count):
        while high < count and abs(points[high] - points[i]) <= eps:
            total += weights[high]
            high += 1
        while abs(points[i] - points[low]) > eps:
            total -= weights[low]
            low += 1
        if abs(total - min_samples) <= 1e-9 * abs(min_samples):
            total = 0.0  # too close to call after so many sums: take this one plainly
            for k in range(low, high):
                total += weights[k]
        is_core[i] = total >= min_samples
        labels[i] = -1
        if is_core[i]:
            if previous < 0 or abs(points[i] - points[previous]) > eps:
                first[clusters] = rank[i]
                clusters += 1
            labels[i] = clusters - 1
            first[clusters - 1] = min(first[clusters - 1], rank[i])
            previous = i
    _label_borders(points, is_core, first, eps, labels)
    _number(first, clusters, labels)
    return clusters


@kernel
def _label_runs(points: Floats, rank: Ints, eps: float, labels: Ints) -> int:
    """Label points that are all cores: a cluster is a run without a gap above eps."""
    count = len(points)
    first = np.empty(count, dtype=np.int64)
    clusters = 0
    for i in range(count):
        if i == 0 or abs(points[i] - points[i - 1]) > eps:
            first[clusters] = rank[i]
            clusters += 1
        first[clusters - 1] = min(first[clusters - 1], rank[i])
        labels[i] = clusters - 1
    _number(first, clusters, labels)
    return clusters


@kernel
def _label_borders(points: Floats, is_core: Any, first: Ints, eps: float, labels: Ints) -> None:
    previous = -1
    for i in range(len(points)):
        if is_core[i]:
            previous = i
        elif previous >= 0 and abs(points[i] - points[previous]) <= eps:
            labels[i] = labels[previous]
    previous = -1
    for i in range(len(points) - 1, -1, -1):
        if is_core[i]:
            previous = i
        elif previous >= 0 and abs(points[i] - points[previous]) <= eps:
            other = labels[previous]
            if labels[i] < 0 or first[other] < first[labels[i]]:
                labels[i] = other


@kernel
def _number(first: Ints, clusters: int, labels: Ints) -> None:
    """Number the clusters by the place of their first cores, unless they are so already."""
    in_order = True
    for c in range(1, clusters):
        if first[c] < first[c - 1]:
            in_order = False
    if in_order:
        return
    order = np.argsort(first[:clusters])
    number = np.empty(clusters, dtype=np.int64)
    for c in range(clusters):
        number[order[c]] = c
    for i in range(len(labels)):
        if labels[i] >= 0:
            labels[i] = number[labels[i]]


@kernel
def _round_step(twice_mid: int, tick_units: int) -> int:
    step = 1
    while step <= twice_mid * tick_units // 10_000:  # 10 step <= 20 bps of the mid
        step *= 10
    return step if step > tick_units and 1000 * step <= twice_mid * tick_units else 0


@kernel
def _observe(
    state: Any,
    found: Any,
    rank: Ints,
    bid_ticks: Ints,
    bid_notionals: Floats,
    ask_ticks: Ints,
    ask_notionals: Floats,
    bid_known: int,
    ask_known: int,
) -> None:
    st = state[0]
    twice_mid = bid_ticks[0] + ask_ticks[0]
    whole = 2 * st.range_denominator
    sum_of_best = float(bid_ticks[0]) + float(ask_ticks[0])  # as integers it may overflow
    if not 0 < sum_of_best < 9e18 / max(whole, st.tick_units):
        return  # no price of a market: a distance from it has no meaning, or no exact one
    bid_limit = -(-twice_mid * (st.range_denominator - st.range_numerator) // whole)
    ask_limit = twice_mid * (st.range_denominator + st.range_numerator) // whole
    st.truncated[0] = 1 if bid_known > bid_limit else 0
    st.truncated[1] = 1 if ask_known < ask_limit else 0
    st.twice_mid = twice_mid
    st.looked = 1
    eps = float(st.eps_ticks) if st.eps_ticks > 0 else max(1.0, twice_mid * st.eps)
    _find(state, found[0], rank, 0, bid_ticks, bid_notionals, bid_limit, eps)
    _find(state, found[1], rank, 1, ask_ticks, ask_notionals, ask_limit, eps)


@kernel
def _find(
    state: Any,
    found: Any,
    rank: Ints,
    s: int,
    ticks: Ints,
    notionals: Floats,
    limit: int,
    eps: float,
) -> None:
    st = state[0]
    step = -1 if s == 0 else 1
    count = count_within(ticks, step, limit)
    least = st.min_notional
    if np.isnan(least):
        least = _median(notionals, count)
    depth = 0.0
    points = np.empty(count + 1)
    weights = np.empty(count + 1)
    kept = np.uint64(0)
    for i in range(np.uint64(count)):
        weight = notionals[i]
        depth += weight
        points[kept] = ticks[i]  # kept only where it is large enough: which levels are is a
        weights[kept] = weight  # surprise to every branch, hence the spare places
        kept += np.uint64(weight >= least)
    taken = np.int64(kept)
    labels = np.empty(taken, dtype=np.int64)
    core = st.core_share * depth
    _label(points[:taken], weights[:taken], rank[:taken], eps, core, labels)
    st.count[s] = 0
    unit = _round_step(st.twice_mid, st.tick_units)
    i = 0
    while i < taken:
        if labels[i] < 0:
            i += 1
            continue
        begin = i
        while i < taken and labels[i] == labels[begin]:
            i += 1
        if st.count[s] < len(found):
            out = found[st.count[s]]
            _sum_up(out, points[begin:i], weights[begin:i], depth, st.tick_units, unit)
            if out.share >= st.min_share:
                st.count[s] += 1


@kernel
def _sum_up(
    out: Any, points: Floats, weights: Floats, depth: float, tick_units: int, unit: int
) -> None:
    total = moment = peak = 0.0
    at = 0
    for i in range(len(points)):
        total += weights[i]
        moment += weights[i] * (points[i] - points[0])  # small numbers keep their digits
        if weights[i] > peak:
            peak = weights[i]
            at = i
    out.first = np.int64(points[0])
    out.last = np.int64(points[-1])
    out.levels = len(points)
    out.notional = total
    out.share = total / depth if depth > 0 else np.nan
    out.center = points[0] + moment / total if np.isfinite(moment) and total > 0 else points[at]
    out.round_number = 1 if unit > 0 and np.int64(points[at]) * tick_units % unit == 0 else 0


@kernel
def _median(values: Floats, count: int) -> float:
    """Return the median of the first values (none below 0), without ordering them all.

    The bits of floats that are not negative order as they do: count by the leading bits, then
    order the one bin that holds the middle. Values over more than 64 octaves are all ordered.
    """
    if count == 0:
        return np.nan
    bits = values.view(np.int64)
    lowest = highest = bits[0]
    for i in range(count):
        lowest = min(lowest, bits[i])
        highest = max(highest, bits[i])
    base = lowest >> _OCTAVE_PARTS
    if (highest >> _OCTAVE_PARTS) - base >= _BINS:
        return np.median(values[:count])
    bins = np.zeros(_BINS, dtype=np.int64)
    for i in range(count):
        bins[(bits[i] >> _OCTAVE_PARTS) - base] += 1
    low, high = (count - 1) // 2, count // 2
    below = b = 0
    while below + bins[b] <= low:
        below += bins[b]
        b += 1
    inside = np.empty(count + 1)
    kept = np.uint64(0)
    next_bin = np.inf  # the least value above the bin
    for i in range(np.uint64(count)):
        place = (bits[i] >> _OCTAVE_PARTS) - base
        inside[kept] = values[i]
        kept += np.uint64(place == b)
        next_bin = min(next_bin, values[i] if place > b else np.inf)
    part = inside[: np.int64(kept)]
    part.sort()
    middle = part[low - below]
    other = part[high - below] if high - below < len(part) else next_bin
    return middle / 2 + other / 2  # type: ignore[no-any-return]

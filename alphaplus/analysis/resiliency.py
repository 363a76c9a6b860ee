"""Resiliency: how fast the depth near the mid comes back after trades took it.

Sweeps: a burst is a run of trades of one aggressor side, each at most 50 ms after the one
before (trades of the other side do not end it). A burst that takes at least 10 % of D_side(10),
the notional within 10 bps of the mid on the side it hits, is a sweep. Its t90 is the time from
its last trade until D_side(10) is back to 90 % of what it was before the first one; after 60 s
it is censored (Large 2007).

Reversion: D_side(10) on a grid of 1 s, dD = -kappa (D - mean) by ordinary least squares, with
half-life ln 2 / kappa (Kempf, Mayston and Yadav 2009). As an Euler step kappa is 1 - exp(-rate)
of a continuous process: close to its rate where that is well below 1 per second.
"""

import math
from dataclasses import dataclass
from typing import Any, ClassVar, Final

import numpy as np
import numpy.typing as npt

from alphaplus.analysis.book_levels import Floats, Ints
from alphaplus.analysis.measure import Measure
from alphaplus.analysis.tape import Tape
from alphaplus.book.looks import Looks
from alphaplus.errors import ConfigError
from alphaplus.instruments import Instrument
from alphaplus.jit import kernel

_LOOKS: Final = 64  # depths remembered, to find the one before a burst
_PENDING: Final = 32  # sweeps a side that wait for their refill
_DONE: Final = 256  # sweeps a side of which t90 is known
_SECOND_NS: Final = 1_000_000_000
_ABSURD: Final = 1e18  # a notional that no market has: it would hide all others in a sum


@dataclass(frozen=True, slots=True, kw_only=True)
class Reversion:
    """What the regression found."""

    kappa_per_s: float | None
    """None without a pair of samples, for constant depth, and where it is not above 0."""
    half_life_s: float | None
    mean: float | None
    """Of the depths that were followed by another, quote currency."""
    pairs: int
    """Neighbouring samples that are both known."""


def mean_reversion(depth: npt.ArrayLike) -> Reversion:
    """Regress the changes of a depth sampled at 1 s on its distance from the mean.

    `nan` is a sample that is not known; pairs across it do not count.

    >>> mean_reversion([16.0, 8.0, 4.0, 2.0, 1.0]).kappa_per_s
    0.5
    """
    samples = np.ascontiguousarray(depth, dtype=np.float64)
    slope, mean, pairs = _regress(samples)
    if pairs == 0 or not math.isfinite(mean):
        return Reversion(kappa_per_s=None, half_life_s=None, mean=None, pairs=pairs)
    kappa = -slope
    if not 0 < kappa < math.inf:
        return Reversion(kappa_per_s=None, half_life_s=None, mean=mean, pairs=pairs)
    return Reversion(kappa_per_s=kappa, half_life_s=math.log(2) / kappa, mean=mean, pairs=pairs)


def refill_time(
    ts: npt.ArrayLike,
    depth: npt.ArrayLike,
    *,
    end: int,
    before: float,
    refilled: float = 0.9,
    timeout_ns: int = 60 * _SECOND_NS,
) -> int | None:
    """Return ns from `end` to the first depth after it of at least 90 % of `before`.

    `ts` (ns) does not fall. None if there is none within the timeout.

    >>> refill_time([0, 10, 20, 30], [100.0, 50.0, 89.0, 90.0], end=5, before=100.0)
    25
    """
    times, depths = np.asarray(ts, dtype=np.int64), np.asarray(depth, dtype=np.float64)
    after = (times > end) & (times - end < timeout_ns) & (depths >= refilled * before)
    return int(times[after.argmax()]) - end if after.any() else None


class Resiliency(Measure):
    """Time the refills after sweeps, and regress the depth on its past.

    D_side(10) is taken at every look (every 100 ms), so a refill is known to have happened
    by t90, and at most one look earlier. Depth before a burst is that of the newest look
    whose venue time is before its first trade; only looks after its last trade can end it.
    `interrupt` drops the sweeps that wait, and puts a gap into the regression.

    Raises ConfigError for a parameter out of its range.
    """

    name: ClassVar[str] = "resiliency"

    def __init__(
        self,
        instrument: Instrument,
        *,
        range_bps: float = 10.0,
        burst_ms: float = 50.0,
        consumed: float = 0.10,
        refilled: float = 0.90,
        timeout_s: float = 60.0,
        window_s: int = 3600,
        min_sweeps: int = 10,
        min_pairs: int = 300,
    ) -> None:
        given = {"burst_ms": burst_ms, "timeout_s": timeout_s, "min_sweeps": min_sweeps}
        for name, value in given.items():
            if not 0 < value < math.inf:
                raise ConfigError(f"Expected {name} above 0 and finite, was {value}.")
        for name, value in {"consumed": consumed, "refilled": refilled}.items():
            if not 0 < value <= 1:
                raise ConfigError(f"Expected {name} in (0, 1], was {value}.")
        if not 0 < range_bps < 10_000:
            raise ConfigError(f"Expected range_bps above 0 and below 10000, was {range_bps}.")
        if not min_sweeps <= _DONE:
            raise ConfigError(f"Expected min_sweeps of at most {_DONE}, was {min_sweeps}.")
        if not 2 <= min_pairs < window_s <= 86_400:
            raise ConfigError(
                f"Expected 2 <= min_pairs < window_s <= 86400, was {min_pairs} and {window_s}."
            )
        self._min_sweeps, self._min_pairs = min_sweeps, min_pairs
        self._label = f"{range_bps:g}bps"
        self._state = np.zeros(1, dtype=_STATE)
        row = self._state[0]
        self.sees = {"near_bps": range_bps}
        row["tick_units"] = instrument.tick_units
        row["scale"] = 10.0**instrument.price_decimals
        row["size"] = instrument.contract_size
        row["inverse"] = instrument.inverse
        row["burst_ns"] = round(burst_ms * 1e6)
        row["timeout_ns"] = round(timeout_s * 1e9)
        row["consumed"], row["refilled"] = consumed, refilled
        row["burst_sweep"] = -1
        row["grid"] = -1
        self._samples = np.full((2, window_s), np.nan)
        self._fits: dict[int, tuple[int, Reversion]] = {}

    def look(self, tape: Tape, looks: Looks) -> None:
        """Take the trades, and D_side(10) at each turn among them."""
        if looks.count or len(tape.trades):
            _watch(self._state, self._samples, tape.trades, looks.rows, looks.count)

    def interrupt(self) -> None:
        """Drop what waits for depth that nobody will have seen."""
        _interrupt(self._state, self._samples)

    def reversion(self, side: str) -> Reversion:
        """Return the regression for `bid` or `ask` over the window."""
        s = ("bid", "ask").index(side)
        row = self._state[0]
        written, (_, size) = int(row["written"]), self._samples.shape
        known = self._fits.get(s)
        if known is None or known[0] != written:
            samples = self._samples[s]
            if written > size:
                samples = np.roll(samples, -(written % size))
            known = self._fits[s] = written, mean_reversion(samples[: min(written, size)])
        return known[1]

    def values(self) -> dict[str, Any]:
        """Return depth, refill times and reversion of both sides; times in seconds."""
        row = self._state[0]
        found: dict[str, Any] = {}
        for s, side in enumerate(("bid", "ask")):
            looked = row["past"] > 0
            found[f"{side}_depth_{self._label}"] = float(row["depth"][s]) if looked else None
            found[f"{side}_truncated"] = bool(row["truncated"][s]) if looked else None
            found |= self._refills(s, side)
            fit = self.reversion(side)
            enough = fit.pairs >= self._min_pairs
            found[f"{side}_kappa_per_s"] = fit.kappa_per_s if enough else None
            found[f"{side}_half_life_s"] = fit.half_life_s if enough else None
        return found

    def missing(self) -> dict[str, str]:
        """Say what the refill times and the regression still need."""
        lacks: dict[str, str] = {}
        for s, side in enumerate(("bid", "ask")):
            if not self._state["past"][0]:
                first = "a first look at the book"
                lacks |= dict.fromkeys((f"{side}_depth_{self._label}", f"{side}_truncated"), first)
            sweeps = len(self._done(s))
            if sweeps < self._min_sweeps:
                phrase = f"{sweeps} of {self._min_sweeps} sweeps"
                names = ("t90_median_s", "t90_p90_s", "censored_share")
                lacks |= {f"{side}_{name}": phrase for name in names}
            pairs = self.reversion(side).pairs
            if pairs < self._min_pairs:
                phrase = f"{pairs} of {self._min_pairs} pairs of one-second samples"
                lacks |= {f"{side}_{name}": phrase for name in ("kappa_per_s", "half_life_s")}
        return lacks

    def _refills(self, s: int, side: str) -> dict[str, Any]:
        row = self._state[0]
        done = self._done(s)
        times = done[done >= 0] / 1e9
        median = p90 = censored = None
        if len(done) >= self._min_sweeps:
            censored = 1.0 - len(times) / len(done)
            median, p90 = (_quantile(times, len(done), level) for level in (0.5, 0.9))
        return {
            f"{side}_sweeps": int(row["done"][s]),
            f"{side}_pending": int((row["sweep_end"][s] != 0).sum()),
            f"{side}_dropped": int(row["dropped"][s]),
            f"{side}_t90_median_s": median,
            f"{side}_t90_p90_s": p90,
            f"{side}_censored_share": censored,
        }

    def _done(self, s: int) -> Ints:
        """Return the last t90 of a side, ns, -1 where censored."""
        row = self._state[0]
        times: Ints = row["t90"][s][: min(int(row["done"][s]), _DONE)]
        return times


def _quantile(times: Floats, total: int, level: float) -> float | None:
    """Return the lower quantile of `total` times, those missing being the longest."""
    at = max(0, math.ceil(level * total) - 1)
    return float(np.sort(times)[at]) if at < len(times) else None


_STATE: Final = np.dtype(
    [
        ("tick_units", "<f8"),
        ("scale", "<f8"),  # price = tick * tick_units / scale
        ("size", "<f8"),
        ("inverse", "<i8"),
        ("burst_ns", "<i8"),
        ("timeout_ns", "<i8"),
        ("consumed", "<f8"),
        ("refilled", "<f8"),
        ("past", "<i8"),  # looks since the stream began or broke off
        ("ts", "<i8"),
        ("depth", "<f8", (2,)),
        ("truncated", "<i8", (2,)),
        ("look_ts", "<i8", (_LOOKS,)),
        ("look_depth", "<f8", (2, _LOOKS)),
        # by the side that is hit, 0 bids, 1 asks
        ("burst_on", "<i8", (2,)),
        ("burst_end", "<i8", (2,)),
        ("burst_notional", "<f8", (2,)),
        ("burst_before", "<f8", (2,)),  # nan: not known
        ("burst_sweep", "<i8", (2,)),  # its place among those that wait; -1: none
        ("sweep_end", "<i8", (2, _PENDING)),  # 0: free
        ("sweep_before", "<f8", (2, _PENDING)),
        ("sweep_refill", "<i8", (2, _PENDING)),  # when depth was back; 0: not yet
        ("dropped", "<i8", (2,)),
        ("done", "<i8", (2,)),  # ever
        ("t90", "<i8", (2, _DONE)),
        ("grid", "<i8"),  # the newest second sampled; -1: none since the stream broke off
        ("written", "<i8"),  # samples ever
    ],
    align=True,
)


@kernel
def _regress(samples: Floats) -> tuple[float, float, int]:
    """Return slope, mean of the regressor and pairs; slope nan where it is constant."""
    pairs = 0
    total = 0.0
    for i in range(1, len(samples)):
        if not np.isnan(samples[i]) and not np.isnan(samples[i - 1]):
            total += samples[i - 1]
            pairs += 1
    if pairs == 0:
        return np.nan, np.nan, 0
    mean = total / pairs
    cross = squares = 0.0
    for i in range(1, len(samples)):
        if not np.isnan(samples[i]) and not np.isnan(samples[i - 1]):
            away = samples[i - 1] - mean
            cross += away * (samples[i] - samples[i - 1])
            squares += away * away
    return (cross / squares if squares > 0 else np.nan), mean, pairs


@kernel
def _take_trades(state: Any, trades: Any) -> None:
    st = state[0]
    for i in range(len(trades)):
        trade = trades[i]
        if trade.side == 0 or trade.off_market != 0:
            continue
        s = 1 if trade.side > 0 else 0
        notional = trade.quantity * st.size
        if st.inverse == 0:
            notional *= trade.price_tick * st.tick_units / st.scale
        if not 0 < notional < _ABSURD:
            continue
        ts = trade.ts_event
        if st.burst_on[s] == 0 or ts - st.burst_end[s] > st.burst_ns:
            st.burst_on[s] = 1
            st.burst_end[s] = ts
            st.burst_notional[s] = 0.0
            st.burst_before[s] = _depth_before(state, s, ts)
            st.burst_sweep[s] = -1
        st.burst_notional[s] += notional
        st.burst_end[s] = max(st.burst_end[s], ts)
        place = st.burst_sweep[s]
        if place >= 0:
            if st.sweep_end[s, place] != st.burst_end[s]:
                st.sweep_end[s, place] = st.burst_end[s]
                st.sweep_refill[s, place] = 0  # what came back before is taken again
        elif place == -1 and st.burst_before[s] > 0:
            if st.burst_notional[s] >= st.consumed * st.burst_before[s]:
                _await(state, s)


@kernel
def _depth_before(state: Any, s: int, ts: int) -> float:
    """Return the depth at the newest look before a time; nan if none is remembered."""
    st = state[0]
    for back in range(min(st.past, _LOOKS)):
        at = (st.past - 1 - back) % _LOOKS
        if st.look_ts[at] < ts:
            return st.look_depth[s, at]  # type: ignore[no-any-return]
    return np.nan


@kernel
def _await(state: Any, s: int) -> None:
    """Let the burst of a side wait for its refill."""
    st = state[0]
    st.burst_sweep[s] = -2  # also if there is no place: it counts once
    for place in range(_PENDING):
        if st.sweep_end[s, place] == 0:
            st.sweep_end[s, place] = st.burst_end[s]
            st.sweep_before[s, place] = st.burst_before[s]
            st.sweep_refill[s, place] = 0
            st.burst_sweep[s] = place
            return
    st.dropped[s] += 1


@kernel
def _watch(state: Any, samples: Floats, trades: Any, looks: Any, count: int) -> None:
    """Take the trades, and each look when those before it are taken."""
    taken = 0
    for k in range(count):
        _take_trades(state, trades[taken : looks[k].trades])
        taken = looks[k].trades
        if looks[k].ask_tick > 0:
            _observe(state, samples, looks[k])
    _take_trades(state, trades[taken:])


@kernel
def _observe(state: Any, samples: Floats, look: Any) -> None:
    st = state[0]
    bid_depth, ask_depth = look.near_notional[0], look.near_notional[1]
    ts = max(st.ts, look.ts_event)
    _sample(state, samples, ts, bid_depth, ask_depth)
    st.ts = ts
    at = st.past % _LOOKS
    if st.past > 0 and st.look_ts[(st.past - 1) % _LOOKS] == ts:
        at = (st.past - 1) % _LOOKS
    else:
        st.past += 1
    st.look_ts[at] = ts
    st.look_depth[0, at] = st.depth[0] = bid_depth
    st.look_depth[1, at] = st.depth[1] = ask_depth
    st.truncated[0] = look.near_truncated[0]
    st.truncated[1] = look.near_truncated[1]
    for s in range(2):
        for place in range(_PENDING):
            if st.sweep_end[s, place] != 0:
                _judge(state, s, place)


@kernel
def _judge(state: Any, s: int, place: int) -> None:
    """Note whether depth is back, and end the sweep once its burst surely has ended."""
    st = state[0]
    end = st.sweep_end[s, place]
    elapsed = st.ts - end
    if (
        0 < elapsed < st.timeout_ns
        and st.sweep_refill[s, place] == 0
        and st.depth[s] >= st.refilled * st.sweep_before[s, place]
    ):
        st.sweep_refill[s, place] = st.ts
    refill = st.sweep_refill[s, place]
    if (refill != 0 and elapsed > st.burst_ns) or elapsed >= st.timeout_ns:
        st.t90[s, st.done[s] % _DONE] = refill - end if refill != 0 else -1
        st.done[s] += 1
        st.sweep_end[s, place] = 0
        if st.burst_sweep[s] == place:
            st.burst_sweep[s] = -2


@kernel
def _sample(state: Any, samples: Floats, ts: int, bid_depth: float, ask_depth: float) -> None:
    """Sample the seconds since the last look: what was known at each, at most 1 s old."""
    st = state[0]
    now = ts // _SECOND_NS
    size = samples.shape[1]
    if st.grid < 0:
        st.grid = now if ts % _SECOND_NS > 0 else now - 1
    skipped = min(now - st.grid, size)
    bid, ask = _sane(bid_depth), _sane(ask_depth)
    for k in range(skipped):
        second = now - skipped + 1 + k
        at = st.written % size
        if second * _SECOND_NS == ts:
            samples[0, at] = bid
            samples[1, at] = ask
        elif st.past > 0 and second * _SECOND_NS - st.ts < _SECOND_NS:
            samples[0, at] = _sane(st.depth[0])
            samples[1, at] = _sane(st.depth[1])
        else:
            samples[0, at] = np.nan
            samples[1, at] = np.nan
        st.written += 1
    st.grid = now


@kernel
def _sane(depth: float) -> float:
    return depth if depth < _ABSURD else np.nan


@kernel
def _interrupt(state: Any, samples: Floats) -> None:
    st = state[0]
    st.past = 0
    st.grid = -1
    at = st.written % samples.shape[1]
    samples[0, at] = np.nan
    samples[1, at] = np.nan
    st.written += 1
    for s in range(2):
        st.burst_on[s] = 0
        st.burst_sweep[s] = -1
        for place in range(_PENDING):
            st.sweep_end[s, place] = 0

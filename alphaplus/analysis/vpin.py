"""VPIN with true aggressors, and signed toxicity: how one-sided trading is, in volume time.

Trades fill buckets of equal volume V, in order; one that overflows is split. With the net
o = V_buy - V_sell of each bucket, VPIN is the mean of |o| / V over the last N full buckets
(Easley, Lopez de Prado and O'Hara 2012), signed toxicity the mean of o / V.
"""

from datetime import UTC, datetime
from typing import Any, ClassVar, Final

import numpy as np
import numpy.typing as npt

from alphaplus.analysis.measure import Measure
from alphaplus.analysis.streaming import CONTRACT_FIELDS, SECOND, set_contract, whole_number
from alphaplus.analysis.tape import DayVolume, Tape, TradeArray
from alphaplus.analysis.trade_flow import signed_volume
from alphaplus.errors import ConfigError
from alphaplus.instruments import Instrument
from alphaplus.jit import kernel

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int32]

RANK_DAYS: Final = 30
RANK_VALUES: Final = 1000
"""Without so many values of VPIN in the trailing days there is no rank."""

_DAY: Final = 86_400 * SECOND
_LARGEST: Final = 1e15
"""No trade has such a quantity: a row that says so is rejected."""
_SEEN: Final = 1024
"""So many trade ids back a late trade is told from a repeated one."""
_BINS: Final = 1000
_LOST: Final = 3600 * SECOND
"""A day that lost more than this to interruptions does not tell its volume."""
SOURCES: Final = (None, "fixed", "stream", "venue")
"""Where a bucket's volume comes from; a state holds the place in this list."""
_FIXED: Final = 1
_STREAM: Final = 2
_VENUE: Final = 3
_SMALLEST: Final = 1e-9
_ROUNDING: Final = 1e-10
"""A bucket that lacks so little of its volume is full: sums of decimals are not exact."""

_STATE: Final = np.dtype(
    [
        *CONTRACT_FIELDS,
        ("alpha", "<f8"),
        ("per_day", "<f8"),  # buckets in a day's volume; 0: the volume is fixed
        ("next_volume", "<f8"),  # of the buckets to come, base units; 0 while not known
        ("next_source", "<i8"),
        ("volume", "<f8"),  # of the open bucket; 0 while there is none
        ("source", "<i8"),
        ("told_volume", "<f8"),  # of the buckets of the next day by the venue; 0 while not told
        ("fill", "<f8"),
        ("net", "<f8"),
        ("full", "<i8"),  # buckets
        ("vpin", "<f8"),
        ("toxicity", "<f8"),
        ("vpin_ewma", "<f8"),
        ("toxicity_ewma", "<f8"),
        ("clock", "<i8"),  # newest time of a trade, ns; 0 before the first
        ("day_volume", "<f8"),  # since midnight, base units
        ("is_whole_day", "<i8"),  # whether the stream was there at midnight
        ("lost", "<i8"),  # of this day to interruptions, ns
        ("is_awaiting", "<i8"),  # whether the stream broke off and no trade came since
        ("rank_count", "<i8"),
        ("newest_id", "<i8"),  # 0 before the first id
        ("duplicates", "<i8"),
        ("rejected", "<i8"),
        ("seen", "<i8", (_SEEN,)),
    ],
    align=True,
)


def bucket_imbalances(
    trades: TradeArray, bucket_volume: float, instrument: Instrument | None = None
) -> Floats:
    """Return o / V of each full bucket, in [-1, 1]; `bucket_volume` V is in base units.

    Takes trades in their order, each id once, and only those with a known aggressor.
    """
    signed = signed_volume(trades, instrument)
    # Long sums lose digits: those of extended precision keep all that a bucket needs.
    signed = signed[signed != 0].astype(np.longdouble)
    volume = np.cumsum(np.append(0, np.abs(signed)))
    net = np.cumsum(np.append(0, signed))
    edges = bucket_volume * np.arange(1 + int(volume[-1] / bucket_volume + _ROUNDING))
    before = np.minimum(np.searchsorted(volume, edges, side="right") - 1, len(signed) - 1)
    sign = np.sign(signed)[before] if len(signed) else signed
    parts = np.diff(net[before] + sign * (edges - volume[before])) / bucket_volume
    imbalances: Floats = np.clip(parts.astype(np.float64), -1.0, 1.0)
    return imbalances


def vpin(imbalances: Floats, window: int = 50) -> tuple[Floats, Floats]:
    """Return VPIN in [0, 1] and signed toxicity in [-1, 1] after each bucket.

    Both are nan before `window` buckets are full.
    """
    found = np.full((2, len(imbalances)), np.nan)
    if len(imbalances) >= window:
        windows = np.lib.stride_tricks.sliding_window_view(imbalances, window)
        found[0, window - 1 :] = np.abs(windows).mean(axis=1)
        found[1, window - 1 :] = windows.mean(axis=1)
    return found[0], found[1]


class Vpin(Measure):
    """VPIN, signed toxicity, their averages with weights that fade in volume time, and a rank.

    Without a fixed `bucket_volume` (base units), V is the volume of the UTC day before over
    `buckets_per_day`, the same all day. On a day before which the stream has not seen a whole
    one, the latest volume of 24 hours that the venue has told takes its place; the first that
    is told counts at once. A bucket keeps the V with which it began. The rank is that of VPIN
    among its values of today and the 30 days before, to 1/1000 of VPIN.
    """

    name: ClassVar[str] = "vpin"

    def __init__(
        self,
        instrument: Instrument,
        *,
        window: int = 50,
        bucket_volume: float | None = None,
        buckets_per_day: int = 50,
    ) -> None:
        self._window = whole_number("window", window, 1, 10_000)
        per_day = whole_number("buckets_per_day", buckets_per_day, 1, 100_000)
        if bucket_volume is not None and not _SMALLEST <= bucket_volume < _LARGEST:
            raise ConfigError(
                f"Expected bucket_volume in [{_SMALLEST:g}, {_LARGEST:g}), was {bucket_volume}."
            )
        self._state = np.zeros(1, dtype=_STATE)
        set_contract(self._state, instrument)
        self._state["alpha"] = 2 / (self._window + 1)
        self._state["per_day"] = per_day if bucket_volume is None else 0
        self._state["next_volume"] = bucket_volume or 0.0
        self._state["next_source"] = _FIXED if bucket_volume else 0
        self._ring = np.zeros(self._window)
        # A row of counts for each day of the rank, and one of their sums.
        self._counts = np.zeros((RANK_DAYS + 2, _BINS), dtype=np.int32)

    def update(self, tape: Tape) -> None:
        """Take the trades of a tape."""
        if len(tape.trades):
            _update(self._state, self._ring, self._counts, tape.trades)

    def told(self, day: DayVolume) -> None:
        """Take the venue's volume: at once if there is none, else for the next day."""
        state = self._state[0]
        if day.volume is None or not state["per_day"]:
            return
        volume = day.volume / float(state["per_day"])
        if _SMALLEST <= volume < _LARGEST:
            state["told_volume"] = volume
            if not state["next_volume"]:
                state["next_volume"], state["next_source"] = volume, _VENUE

    def interrupt(self) -> None:
        """Note that trades may be lost: the time lost counts against the day's volume."""
        self._state["is_awaiting"] = 1

    def values(self) -> dict[str, Any]:
        """Return what is known, `bucket_volume` in base units.

        `bucket_volume_source` is `fixed`, `stream` (the past day's trades) or `venue` (its
        volume of 24 hours).
        """
        state = self._state[0]
        names = ("vpin", "signed_toxicity", "vpin_ewma", "signed_toxicity_ewma")
        fields = ("vpin", "toxicity", "vpin_ewma", "toxicity_ewma")
        volume = float(state["volume"] or state["next_volume"])
        source = int(state["source"] if state["volume"] else state["next_source"])
        values: dict[str, Any] = {
            name: float(state[field]) for name, field in zip(names, fields, strict=True)
        }
        values |= {
            "vpin_rank_30d": _rank(self._state, self._counts),
            "full_buckets": int(state["full"]),
            "fill_ratio": min(1.0, int(state["full"]) / self._window),
            "bucket_volume": volume or None,
            "bucket_volume_source": SOURCES[source],
            "open_bucket_ratio": float(state["fill"]) / volume if volume else None,
            "duplicate_trades": int(state["duplicates"]),
            "rejected_trades": int(state["rejected"]),
        }
        return values | dict.fromkeys(self.missing())

    def missing(self) -> dict[str, str]:
        """Say how many buckets or values, or until when a whole day, is missing."""
        state = self._state[0]
        names = ["vpin", "signed_toxicity", "vpin_ewma", "signed_toxicity_ewma", "vpin_rank_30d"]
        if not (state["volume"] or state["next_volume"]):
            names += ["bucket_volume", "bucket_volume_source", "open_bucket_ratio"]
            own = f"that of one whole UTC day{self._day_end()}"
            return dict.fromkeys(names, f"the venue's volume of 24 hours, or {own}")
        if state["full"] < self._window:
            return dict.fromkeys(names, f"{state['full']} of {self._window} volume buckets")
        if state["rank_count"] < RANK_VALUES:
            return {"vpin_rank_30d": f"{state['rank_count']} of {RANK_VALUES} values"}
        return {}

    def _day_end(self) -> str:
        """Return when the first whole day ends, as words; nothing before the first trade."""
        state = self._state[0]
        if not state["clock"]:
            return ""
        day = int(state["clock"]) // _DAY + (1 if state["is_whole_day"] else 2)
        return f", which ends on {datetime.fromtimestamp(day * 86_400, UTC):%Y-%m-%d} at 00:00 UTC"


@kernel
def _update(state: Any, ring: Floats, counts: Counts, trades: TradeArray) -> None:
    """Fill buckets with each trade once."""
    s = state[0]
    for i in range(len(trades)):
        trade = trades[i]
        if trade.trade_id > 0 and _is_repeated(state, trade.trade_id, trade.ts_event):
            s.duplicates += 1
            continue
        _advance(state, counts, trade.trade_id, trade.ts_event)
        if trade.trade_id > 0:
            s.newest_id = max(s.newest_id, trade.trade_id)
            s.seen[trade.trade_id % _SEEN] = trade.trade_id
        if not 0 < trade.quantity < _LARGEST or (s.inverse != 0 and trade.price_tick <= 0):
            s.rejected += 1
            continue
        base = trade.quantity * s.size
        if s.inverse != 0:
            base /= trade.price_tick * s.tick_units / s.scale
        s.day_volume += base
        if trade.side != 0 and trade.off_market == 0:
            _fill(state, ring, counts, base, 1.0 if trade.side > 0 else -1.0)


@kernel
def _is_repeated(state: Any, trade_id: int, ts: int) -> bool:
    """Say whether a trade was counted before; see too whether the venue's ids start again."""
    s = state[0]
    if trade_id > s.newest_id:
        return False
    if trade_id > s.newest_id - _SEEN:
        return bool(s.seen[trade_id % _SEEN] == trade_id)
    if ts <= s.clock:
        return True
    s.newest_id = 0  # an old id on a trade newer than all others
    s.seen[:] = 0
    return False


@kernel
def _advance(state: Any, counts: Counts, trade_id: int, ts: int) -> None:
    """Move the clock on, never back; at midnight take the day's volume, forget an old day."""
    s = state[0]
    before = s.clock
    s.clock = max(s.clock, ts)
    if before == 0:
        s.is_awaiting = 0
        return
    if s.is_awaiting != 0 and (trade_id <= 0 or trade_id != s.newest_id + 1):
        s.lost += s.clock - before
    s.is_awaiting = 0
    day, last = s.clock // 86_400_000_000_000, before // 86_400_000_000_000
    if day == last:
        return
    is_known = s.is_whole_day != 0 and s.lost <= _LOST and s.day_volume > 0
    if s.per_day > 0 and is_known and day == last + 1:
        s.next_volume, s.next_source = s.day_volume / s.per_day, _STREAM
    elif s.told_volume > 0:
        s.next_volume, s.next_source = s.told_volume, _VENUE
    s.told_volume = 0.0  # what was told before a day says nothing of the one after it
    s.day_volume = 0.0
    s.lost = 0
    s.is_whole_day = 1
    days, total = len(counts) - 1, counts[len(counts) - 1]
    for past in range(max(last + 1, day - days + 1), day + 1):
        row = counts[past % days]
        for b in range(len(row)):
            s.rank_count -= row[b]
            total[b] -= row[b]
            row[b] = 0


@kernel
def _fill(state: Any, ring: Floats, counts: Counts, base: float, sign: float) -> None:
    """Put a trade into buckets, split where one overflows."""
    s = state[0]
    left = base
    while left > 0:
        if s.volume == 0:
            if s.next_volume == 0:
                return
            s.volume, s.source = s.next_volume, s.next_source
        room = s.volume - s.fill
        if left < room - _ROUNDING * s.volume:
            s.fill += left
            s.net += sign * left
            return
        s.net += sign * min(left, room)
        _close(state, ring, counts)
        left -= room
        s.fill = s.net = 0.0
        s.volume, s.source = s.next_volume, s.next_source
        surplus = np.floor(left / s.volume) - len(ring)
        if surplus > 0:  # so many buckets alike that the ring would not remember them
            s.full += int(min(surplus, 1e15))
            fade = (1.0 - s.alpha) ** surplus
            s.vpin_ewma = 1.0 + (s.vpin_ewma - 1.0) * fade
            s.toxicity_ewma = sign + (s.toxicity_ewma - sign) * fade
            left -= surplus * s.volume


@kernel
def _close(state: Any, ring: Floats, counts: Counts) -> None:
    """Take the open bucket, which is full, into the averages."""
    s = state[0]
    net = min(1.0, max(-1.0, s.net / s.volume))
    ring[s.full % len(ring)] = net
    if s.full == 0:
        s.vpin_ewma, s.toxicity_ewma = abs(net), net
    else:
        s.vpin_ewma += s.alpha * (abs(net) - s.vpin_ewma)
        s.toxicity_ewma += s.alpha * (net - s.toxicity_ewma)
    s.full += 1
    if s.full < len(ring):
        return
    total = signed = 0.0
    for i in range(len(ring)):
        total += abs(ring[i])
        signed += ring[i]
    s.vpin = total / len(ring)
    s.toxicity = signed / len(ring)
    days = len(counts) - 1
    b = min(_BINS - 1, int(s.vpin * _BINS))
    counts[(s.clock // 86_400_000_000_000) % days, b] += 1
    counts[days, b] += 1
    s.rank_count += 1


@kernel
def _rank(state: Any, counts: Counts) -> float:
    """Return the share of the values below the last one, half of those equal counted."""
    s = state[0]
    if s.rank_count == 0:
        return 0.0
    total = counts[len(counts) - 1]
    b = min(_BINS - 1, int(s.vpin * _BINS))
    return float((np.sum(total[:b]) + total[b] / 2) / s.rank_count)

"""Liquidity walls: price buckets that stand out of their side of the book, and stay.

A side within 50 bps of the mid is cut into buckets of max(1 tick, 1 bp). A bucket is a wall if

(a) z = 0.6745 (ln n - median) / MAD >= 3.5 over the non-empty buckets of its side, where n is
    its notional (if the MAD is 0: share >= 25 % instead), and
(b) its share n / D_side(50) >= 10 %, and
(c) (a) and (b) have held for 3 s, or for 90 % of the last 10 s.

It is released when z < 2.5 or the share < 7 %. The buckets are anchored at the first mid seen,
each side's from the mid outward, and stay where they are while the mid moves: a price keeps
its bucket, and a mirrored market has mirrored buckets. Once the mid is 10 % away from the
anchor, so that a bucket is no longer about 1 bp wide, they are laid anew; what is known of a
wall goes to the bucket that then holds its largest level.

Nothing here says why an order was taken away (Fabre and Challet 2025).
"""

import math
from dataclasses import asdict, dataclass
from enum import IntEnum
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

_SLOTS: Final = 128  # buckets remembered a side; a power of 2 above those within the range
_CELLS: Final = 100
_CELL_NS: Final = 100_000_000  # persistence is counted in cells: 100 of 100 ms are 10 s
_AROUND_NS: Final = 250_000_000
_MOST_BUCKETS: Final = 60.0
_FEWEST_BUCKETS: Final = 8
_TRADES: Final = 2048
_ENDED: Final = 256
_REMOVED: Final = 0.2  # a wall that lost less than this was outgrown, not removed
_ENOUGH: Final = 10  # removed walls before their rates say anything
_ABSURD: Final = 1e18  # a notional that no market has: it would hide all others in a sum


class Outcome(IntEnum):
    """How a wall ended; STANDING while it has not."""

    STANDING = 0
    CONSUMED = 1
    """Trades at its price took at least half of what went."""
    PULLED = 2
    """Trades at its price took less than that."""
    FADED = 3
    """It lost less than a fifth: the rest of its side outgrew it."""
    LEFT = 4
    """The mid moved away from it: no longer within the range."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wall:
    """One wall, standing or ended. Prices and notionals in quote currency."""

    side: str
    """`bid` or `ask`."""
    price: float
    """Of the largest level of its bucket."""
    low: float
    high: float
    """The lowest and the highest price of its bucket."""
    notional: float
    share: float
    """Of D_side(50), in [0, 1]."""
    z_score: float | None
    """None where the MAD is 0."""
    age_s: float
    """How long it has held, or had when it was released."""
    persistence: float
    """Share of the last 10 s in which it held, in [0, 1]."""
    distance_bps: float
    """From the mid to its price."""
    strength: float
    """min(1, share) x persistence x exp(-distance / 25), in [0, 1]."""
    times_tested: int
    """How often the best price of its side came within 1 bp of its price."""
    traded_notional: float
    """Traded at the prices of its bucket since it began to hold."""
    traded_through: bool
    """Whether a trade went beyond its bucket."""
    outcome: Outcome

    @property
    def pulled(self) -> bool:
        """Whether it was taken away rather than traded away."""
        return self.outcome is Outcome.PULLED

    def as_dict(self) -> dict[str, Any]:
        """Return the wall as plain values."""
        return {**asdict(self), "outcome": self.outcome.name.lower(), "pulled": self.pulled}


def z_scores(notionals: Floats) -> Floats:
    """Return 0.6745 (ln n - median) / MAD for the buckets of a side; nan where the MAD is 0.

    Iglewicz and Hoaglin (1993), on logarithms. All notionals must be above 0.

    >>> z_scores(np.array([1.0, 2.0, 4.0, 8.0, 1024.0])).round(4).tolist()
    [-1.349, -0.6745, 0.0, 0.6745, 5.396]
    """
    logs = np.log(notionals)
    if not len(logs):
        return logs
    away = logs - np.median(logs)
    mad = np.median(np.abs(away))
    scores: Floats = 0.6745 * away / mad if mad > 0 else np.full(len(logs), np.nan)
    return scores


def strength(share: float, persistence: float, distance_bps: float) -> float:
    """Return min(1, share) x persistence x exp(-distance / 25 bps), in [0, 1].

    >>> strength(0.5, 1.0, 0.0)
    0.5
    """
    return min(1.0, share) * persistence * math.exp(-distance_bps / 25.0)


def classify_removal(before: float, after: float, traded: float) -> Outcome:
    """Say how a wall went: its notional 250 ms before and after, and what traded between.

    >>> classify_removal(100.0, 0.0, 50.0).name, classify_removal(100.0, 0.0, 49.0).name
    ('CONSUMED', 'PULLED')
    """
    return Outcome(_classify(before, after, traded))


class Walls(Measure):
    """Follow the walls of both sides. State is bounded; one kernel call for each look.

    What held at a look is taken to hold until the next. `interrupt` forgets the walls that
    stand, without an outcome; the statistics of those that ended stay.

    Raises ConfigError for a parameter that is not above 0, a release above its entry, or a
    range of more than 60 buckets.
    """

    name: ClassVar[str] = "walls"

    def __init__(
        self,
        instrument: Instrument,
        *,
        range_bps: float = 50.0,
        bucket_bps: float = 1.0,
        z_enter: float = 3.5,
        z_release: float = 2.5,
        share_enter: float = 0.10,
        share_release: float = 0.07,
        share_flat: float = 0.25,
        hold_s: float = 3.0,
        persistence: float = 0.9,
    ) -> None:
        given = {
            "range_bps": range_bps,
            "bucket_bps": bucket_bps,
            "z_release": z_release,
            "share_release": share_release,
            "share_flat": share_flat,
            "hold_s": hold_s,
            "persistence": persistence,
        }
        for name, value in given.items():
            if not 0 < value < math.inf:
                raise ConfigError(f"Expected {name} above 0 and finite, was {value}.")
        _expect_at_least("z_enter", z_enter, "z_release", z_release)
        _expect_at_least("share_enter", share_enter, "share_release", share_release)
        _expect_at_least("share_flat", share_flat, "share_release", share_release)
        if range_bps > _MOST_BUCKETS * bucket_bps or not range_bps < 10_000:
            most = min(_MOST_BUCKETS * bucket_bps, 9_999.0)
            raise ConfigError(f"Expected range_bps of at most {most:g}, was {range_bps}.")
        if persistence > 1:
            raise ConfigError(f"Expected persistence of at most 1, was {persistence}.")
        self._instrument = instrument
        self.sees = {
            "range_bps": range_bps,
            "bucket_bps": bucket_bps,
            "heavy_share": share_release,
        }
        self._state = np.zeros(1, dtype=_STATE)
        row = self._state[0]
        row["tick_units"] = instrument.tick_units
        row["scale"] = 10.0**instrument.price_decimals
        row["size"] = instrument.contract_size
        row["inverse"] = instrument.inverse
        row["z_enter"], row["z_release"] = z_enter, z_release
        row["share_enter"], row["share_release"] = share_enter, share_release
        row["share_flat"] = share_flat
        row["hold_ns"] = round(hold_s * 1e9)
        row["cells"] = math.ceil(round(persistence * _CELLS, 9))
        row["lowest_sell"], row["highest_buy"] = _INT64_MAX, -_INT64_MAX
        self._slots = np.zeros((2, _SLOTS), dtype=_SLOT)
        self._trades = np.zeros(_TRADES, dtype=_TRADED)
        self._ended = np.zeros(_ENDED, dtype=_END)

    def look(self, tape: Tape, looks: Looks) -> None:
        """Note the trades and look at the book at each turn among them."""
        if looks.count or len(tape.trades):
            _watch(
                self._state,
                self._slots,
                self._ended,
                self._trades,
                tape.trades,
                looks.rows,
                looks.count,
                looks.notionals,
                looks.heaviest,
            )

    def interrupt(self) -> None:
        """Forget what stands: nobody saw how it went on."""
        self._slots[:] = 0
        self._trades[:] = 0
        row = self._state[0]
        row["looked"], row["trades"] = 0, 0
        row["lowest_sell"], row["highest_buy"] = _INT64_MAX, -_INT64_MAX

    def walls(self) -> tuple[Wall, ...]:
        """Return the walls that stand, the strongest first."""
        found = [
            self._standing(int(s), self._slots[s, j])
            for s, j in np.argwhere(self._slots["is_wall"] == 1)
        ]
        return tuple(sorted(found, key=lambda wall: (-wall.strength, wall.side, wall.price)))

    def ended(self, count: int = 10) -> tuple[Wall, ...]:
        """Return the walls that ended last, the newest first; at most 256 are known."""
        total = int(self._state["ended"][0])
        rows = range(total - 1, max(total - min(count, _ENDED), 0) - 1, -1)
        return tuple(self._wall(self._ended[row % _ENDED]) for row in rows)

    def values(self) -> dict[str, Any]:
        """Return the walls that stand and those that ended last, and the pull risk."""
        row = self._state[0]
        looked = bool(row["looked"])
        return {
            "walls": [wall.as_dict() for wall in self.walls()] if looked else None,
            "bid_truncated": bool(row["truncated"][0]) if looked else None,
            "ask_truncated": bool(row["truncated"][1]) if looked else None,
            "ended": [wall.as_dict() for wall in self.ended()],
            **self._pull_risk(),
        }

    def missing(self) -> dict[str, str]:
        """Say what the walls or the pull risk still need."""
        lacks: dict[str, str] = {}
        if not self._state["looked"][0]:
            first = "a first look at the book"
            lacks |= dict.fromkeys(("walls", "bid_truncated", "ask_truncated"), first)
        removed = len(self._removed())
        if removed < _ENOUGH:
            phrase = f"{removed} of {_ENOUGH} removed walls"
            lacks |= dict.fromkeys(_RISKS, phrase)
        return lacks

    def _pull_risk(self) -> dict[str, Any]:
        rows = self._removed()
        risk: dict[str, Any] = {"removed_walls": len(rows), **dict.fromkeys(_RISKS)}
        if len(rows) >= _ENOUGH:
            pulled = rows["outcome"] == Outcome.PULLED
            lifetimes = np.quantile(rows["age_ns"] / 1e9, (0.25, 0.5, 0.75)).tolist()
            rates = (pulled.mean(), (pulled & (rows["tested"] == 0)).mean())
            risk |= dict(zip(_RISKS, (*map(float, rates), *lifetimes), strict=True))
        return risk

    def _removed(self) -> npt.NDArray[np.void]:
        """Return those of the last 256 ended walls that were consumed or pulled."""
        known = self._ended[: min(int(self._state["ended"][0]), _ENDED)]
        removed = np.isin(known["outcome"], (Outcome.CONSUMED, Outcome.PULLED))
        rows: npt.NDArray[np.void] = known[removed]
        return rows

    def _standing(self, s: int, slot: Any) -> Wall:
        end = np.zeros(1, dtype=_END)
        for name in ("tick", "bucket", "notional", "share", "z", "met", "tested", "traded"):
            end[name] = slot[name]
        end["s"], end["through"] = s, slot["through"]
        end["age_ns"] = self._state["ts"][0] - slot["since"]
        end["near_tick"] = _near_tick(self._state, s, int(slot["bucket"]))
        end["width"] = self._state["width"][0]
        end["twice_mid"] = self._state["twice_mid"][0]
        return self._wall(end[0])

    def _wall(self, end: Any) -> Wall:
        tick, twice_mid, near = int(end["tick"]), int(end["twice_mid"]), int(end["near_tick"])
        s, width = int(end["s"]), int(end["width"])
        far = near + (width - 1 if s else 1 - width)
        distance = 1e4 * abs(2 * tick - twice_mid) / twice_mid
        share, persistence, z = float(end["share"]), int(end["met"]) / _CELLS, float(end["z"])
        return Wall(
            side="ask" if s else "bid",
            price=self._instrument.price(tick),
            low=self._instrument.price(min(near, far)),
            high=self._instrument.price(max(near, far)),
            notional=float(end["notional"]),
            share=share,
            z_score=z if math.isfinite(z) else None,
            age_s=int(end["age_ns"]) / 1e9,
            persistence=persistence,
            distance_bps=distance,
            strength=strength(share, persistence, distance),
            times_tested=int(end["tested"]),
            traded_notional=float(end["traded"]),
            traded_through=bool(end["through"]),
            outcome=Outcome(int(end["outcome"])),
        )


def _expect_at_least(name: str, value: float, least_name: str, least: float) -> None:
    if not least <= value < math.inf:
        raise ConfigError(f"Expected {name} of at least {least_name} {least}, was {value}.")


_RISKS: Final = (
    "pulled_rate",
    "cancel_before_touch_rate",
    "lifetime_q25_s",
    "lifetime_median_s",
    "lifetime_q75_s",
)
_INT64_MAX: Final = 2**63 - 1
_STATE: Final = np.dtype(
    [
        ("tick_units", "<f8"),
        ("scale", "<f8"),  # price = tick * tick_units / scale
        ("size", "<f8"),
        ("inverse", "<i8"),
        ("z_enter", "<f8"),
        ("z_release", "<f8"),
        ("share_enter", "<f8"),
        ("share_release", "<f8"),
        ("share_flat", "<f8"),
        ("hold_ns", "<i8"),
        ("cells", "<i8"),
        ("looked", "<i8"),  # looks since the stream began or broke off
        ("looks", "<i8"),
        ("ts", "<i8"),
        ("anchor", "<i8"),  # best bid + best ask when the buckets were laid
        ("width", "<i8"),  # ticks of a bucket; 0: not laid yet
        ("twice_mid", "<i8"),
        ("lowest_sell", "<i8"),  # of the trades since the last look
        ("highest_buy", "<i8"),
        ("trades", "<i8"),  # rows ever written to the ring of trades
        ("ended", "<i8"),  # rows ever written to the ring of ended walls
        ("truncated", "<i8", (2,)),
    ],
    align=True,
)
_SLOT: Final = np.dtype(
    [
        ("bucket", "<i8"),  # counted outward from the anchor; below 0 once the mid has crossed it
        ("look", "<i8"),  # the look at which the bucket last had levels
        ("now", "<f8"),  # its notional at that look
        ("now_tick", "<i8"),  # its largest level at that look
        ("tick", "<i8"),  # these four as they were when it last held
        ("notional", "<f8"),
        ("share", "<f8"),
        ("z", "<f8"),
        ("since", "<i8"),  # time from which it holds without a break; 0: it does not
        ("born", "<i8"),  # `since` of the wall whose removal is pending
        ("pending", "<i8"),  # time of the release that waits to be classified; 0: none
        ("before", "<f8"),  # notional 250 ms before that release
        ("traded", "<f8"),
        ("tested", "<i8"),
        ("cell", "<i8"),  # the newest cell written
        ("met", "<i8"),  # sum of the cells
        ("on", "u1"),  # whether it held at the last look
        ("is_wall", "u1"),
        ("is_near", "u1"),
        ("through", "u1"),
        ("cells", "u1", (_CELLS,)),
        ("past_ts", "<i8", (4,)),  # notionals at least 100 ms apart, so of at least 300 ms
        ("past", "<f8", (4,)),
        ("past_count", "<i8"),
    ],
    align=True,
)
_TRADED: Final = np.dtype(
    [("ts", "<i8"), ("tick", "<i8"), ("notional", "<f8"), ("side", "<i8")], align=True
)
_END: Final = np.dtype(
    [
        ("s", "<i8"),  # 0 bid, 1 ask
        ("bucket", "<i8"),
        ("tick", "<i8"),
        ("near_tick", "<i8"),
        ("width", "<i8"),
        ("twice_mid", "<i8"),
        ("notional", "<f8"),
        ("share", "<f8"),
        ("z", "<f8"),
        ("met", "<i8"),
        ("age_ns", "<i8"),
        ("tested", "<i8"),
        ("traded", "<f8"),
        ("through", "<i8"),
        ("outcome", "<i8"),
    ],
    align=True,
)


@kernel
def _near_tick(state: Any, s: int, bucket: int) -> int:
    """Return the tick of a bucket that is nearest to the anchor."""
    anchor = state[0].anchor
    if s == 0:
        return anchor // 2 - bucket * state[0].width  # type: ignore[no-any-return]
    return (anchor + 1) // 2 + bucket * state[0].width  # type: ignore[no-any-return]


@kernel
def _bucket_of(state: Any, s: int, tick: int) -> int:
    anchor = state[0].anchor
    if s == 0:
        return (anchor // 2 - tick) // state[0].width  # type: ignore[no-any-return]
    return (tick - (anchor + 1) // 2) // state[0].width  # type: ignore[no-any-return]


@kernel
def _classify(before: float, after: float, traded: float) -> int:
    lost = before - after
    if not lost >= _REMOVED * before:
        return 3
    return 1 if traded >= 0.5 * lost else 2


@kernel
def _take_trades(state: Any, slots: Any, ring: Any, trades: Any) -> None:
    st = state[0]
    for i in range(len(trades)):
        trade = trades[i]
        tick = trade.price_tick
        side = np.int64(trade.side)
        notional = trade.quantity * st.size
        if st.inverse == 0:
            notional *= tick * st.tick_units / st.scale
        if trade.off_market != 0 or not 0 < notional < _ABSURD:
            continue
        last = (st.trades - 1) % _TRADES
        if (
            st.trades > 0
            and ring[last].ts == trade.ts_event
            and ring[last].tick == tick
            and ring[last].side == side
        ):
            ring[last].notional += notional
        else:
            at = st.trades % _TRADES
            ring[at].ts = trade.ts_event
            ring[at].tick = tick
            ring[at].notional = notional
            ring[at].side = side
            st.trades += 1
        if side < 0 and tick < st.lowest_sell:
            st.lowest_sell = tick
        if side > 0 and tick > st.highest_buy:
            st.highest_buy = tick
        if st.width > 0:
            for s in range(2):
                if side == 0 or (side < 0) == (s == 0):
                    bucket = _bucket_of(state, s, tick)
                    slot = slots[s, bucket & (_SLOTS - 1)]
                    if slot.bucket == bucket:
                        slot.traded += notional


@kernel
def _watch(
    state: Any,
    slots: Any,
    ended: Any,
    ring: Any,
    trades: Any,
    looks: Any,
    count: int,
    notionals: Floats,
    heaviest: Ints,
) -> None:
    """Take the trades, and each look when those before it are taken."""
    taken = 0
    for k in range(count):
        look = looks[k]
        _take_trades(state, slots, ring, trades[taken : look.trades])
        taken = look.trades
        if look.ask_tick > 0:
            _observe(state, slots, ended, ring, look, notionals[k], heaviest[k])
    _take_trades(state, slots, ring, trades[taken:])


@kernel
def _observe(
    state: Any, slots: Any, ended: Any, ring: Any, look: Any, notionals: Floats, heaviest: Ints
) -> None:
    st = state[0]
    st.ts = max(st.ts, look.ts_event)
    st.twice_mid = look.bid_tick + look.ask_tick
    st.looked = 1
    st.looks += 1
    if st.width == 0:
        st.anchor, st.width = look.anchor, look.width
    elif st.anchor != look.anchor:
        _lay_anew(state, slots, ended, look)
    for s in range(2):
        st.truncated[s] = look.truncated[s]
        _look(state, slots, ended, ring, s, look, notionals[s], heaviest[s])
    st.lowest_sell = _INT64_MAX
    st.highest_buy = -_INT64_MAX


@kernel
def _lay_anew(state: Any, slots: Any, ended: Any, look: Any) -> None:
    """Take the buckets around another mid, and carry over what is known of the old ones."""
    old = slots.copy()
    for s in range(2):
        for j in range(_SLOTS):
            _clear(slots[s, j])
    before = state[0].anchor, state[0].width
    after = look.anchor, look.width
    state[0].anchor, state[0].width = after
    for s in range(2):
        for j in range(_SLOTS):
            slot = old[s, j]
            if slot.met == 0 and slot.is_wall == 0 and slot.pending == 0:
                continue
            bucket = _bucket_of(state, s, slot.tick)
            new = slots[s, bucket & (_SLOTS - 1)]
            if new.met == 0 and new.is_wall == 0 and new.pending == 0:
                slots[s, bucket & (_SLOTS - 1)] = slot
                slots[s, bucket & (_SLOTS - 1)].bucket = bucket
            else:  # two old buckets in one new: the first goes on
                state[0].anchor, state[0].width = before
                _leave(state, slot, ended, s)
                state[0].anchor, state[0].width = after


@kernel
def _look(
    state: Any,
    slots: Any,
    ended: Any,
    ring: Any,
    s: int,
    look: Any,
    notionals: Floats,
    heaviest: Ints,
) -> None:
    """Judge one side: score its buckets, follow those that hold or held."""
    st = state[0]
    touch = look.bid_tick if s == 0 else look.ask_tick
    limit = look.limit[s]
    found = np.empty(_SLOTS, dtype=np.int64)
    at = np.empty(_SLOTS, dtype=np.int64)
    logs = np.empty(_SLOTS)
    buckets = 0
    depth = largest = 0.0
    for b in range(look.buckets[s]):
        total = notionals[b]
        if not total > 0:
            continue
        bucket = look.first[s] + b
        j = bucket & (_SLOTS - 1)
        if slots[s, j].bucket != bucket:
            _leave(state, slots[s, j], ended, s)
            _clear(slots[s, j])
            slots[s, j].bucket = bucket
        slots[s, j].look = st.looks
        slots[s, j].now = total
        found[buckets] = j
        at[buckets] = b
        buckets += 1
        depth += total
        largest = max(largest, total)
    center = mad = 0.0
    scored = buckets >= _FEWEST_BUCKETS and largest >= st.share_release * depth
    if scored:
        for b in range(buckets):
            logs[b] = np.log(slots[s, found[b]].now)
        center, mad = _median_and_mad(logs, buckets)
    for b in range(buckets):
        slot = slots[s, found[b]]
        share = slot.now / depth
        z = np.nan
        enters = keeps = False
        if scored and share >= st.share_release:
            if mad > 0:
                z = 0.6745 * (np.log(slot.now) - center) / mad
                enters = z >= st.z_enter and share >= st.share_enter
                keeps = z >= st.z_release
            else:
                enters = share >= st.share_flat
                keeps = True
        if enters or slot.met > 0 or slot.pending > 0:
            holds = keeps if slot.is_wall == 1 else enters
            slot.now_tick = heaviest[at[b]]
            _follow(state, slot, ended, ring, s, holds, share, z, touch, limit)
    for j in range(_SLOTS):
        slot = slots[s, j]
        if slot.look != st.looks and (slot.met > 0 or slot.pending > 0):
            slot.now = 0.0
            _follow(state, slot, ended, ring, s, False, 0.0, np.nan, touch, limit)


@kernel
def _median_and_mad(values: Floats, count: int) -> tuple[float, float]:
    """Return the median and the median absolute deviation from it; orders the values."""
    for i in range(1, count):
        value = values[i]
        j = i - 1
        while j >= 0 and values[j] > value:
            values[j + 1] = values[j]
            j -= 1
        values[j + 1] = value
    half = count // 2
    median = values[half] if count % 2 == 1 else (values[half - 1] + values[half]) / 2
    low = half - 1  # deviations grow from the middle outward on both sides: merge them
    high = half
    last = away = 0.0
    for _ in range(half + 1):
        last = away
        if high >= count or (low >= 0 and median - values[low] <= values[high] - median):
            away = median - values[low]
            low -= 1
        else:
            away = values[high] - median
            high += 1
    return median, away if count % 2 == 1 else (last + away) / 2


@kernel
def _follow(
    state: Any,
    slot: Any,
    ended: Any,
    ring: Any,
    s: int,
    holds: bool,
    share: float,
    z: float,
    touch: int,
    limit: int,
) -> None:
    """Take one bucket a look further: persistence, birth, tests, release, outcome."""
    st = state[0]
    _fill_cells(slot, st.ts // _CELL_NS, holds)
    if holds:
        if slot.since == 0:
            slot.since = st.ts
            if slot.pending == 0:
                slot.tested = 0
                slot.traded = 0.0
                slot.is_near = 0
                slot.through = 0
        if slot.is_wall == 0 and (st.ts - slot.since >= st.hold_ns or slot.met >= st.cells):
            slot.is_wall = 1
            if slot.pending > 0:  # it is back before its removal was judged: it goes on
                slot.since = slot.born
                slot.pending = 0
        slot.tick = slot.now_tick
        slot.notional = slot.now
        slot.share = share
        slot.z = z
        if slot.past_count == 0 or st.ts - slot.past_ts[(slot.past_count - 1) & 3] >= _CELL_NS:
            slot.past_ts[slot.past_count & 3] = st.ts
            slot.past[slot.past_count & 3] = slot.now
            slot.past_count += 1
    _test(state, slot, s, touch)
    step = -1 if s == 0 else 1
    is_beyond = step * (slot.tick - limit) > 0
    if not holds:
        if slot.is_wall == 1:
            if is_beyond:
                _leave(state, slot, ended, s)
            else:
                slot.pending = st.ts
                slot.born = slot.since
                slot.before = _past(slot, st.ts - _AROUND_NS)
            slot.is_wall = 0
        slot.since = 0
    if slot.pending > 0 and st.ts - slot.pending >= _AROUND_NS:
        outcome = 4
        if not is_beyond:
            traded = _traded(state, slot, ring, s)
            outcome = _classify(slot.before, slot.now, traded)
        _write_end(state, slot, ended, s, slot.pending - slot.born, outcome)
        slot.pending = 0
        slot.tested = 0
        slot.traded = 0.0
        slot.is_near = 0
        slot.through = 0


@kernel
def _fill_cells(slot: Any, cell: int, holds: bool) -> None:
    """Write what held since the last look, then what holds now."""
    if slot.met > 0:
        first = max(slot.cell + 1, cell - _CELLS + 1)
        for c in range(first, cell):
            slot.met += np.int64(slot.on) - np.int64(slot.cells[c % _CELLS])
            slot.cells[c % _CELLS] = slot.on
    now = 1 if holds else 0
    slot.met += now - np.int64(slot.cells[cell % _CELLS])
    slot.cells[cell % _CELLS] = now
    slot.cell = cell
    slot.on = now


@kernel
def _test(state: Any, slot: Any, s: int, touch: int) -> None:
    """Note an approach of the touch, once until it has gone 2 bps away, and a trade beyond."""
    st = state[0]
    distance = 2e4 * abs(touch - slot.tick) / st.twice_mid
    if slot.is_near == 0 and distance <= 1.0:
        slot.is_near = 1
        slot.tested += 1
    elif slot.is_near == 1 and distance > 2.0:
        slot.is_near = 0
    if slot.since == st.ts:
        return  # it was not there yet when those trades came
    near = _near_tick(state, s, slot.bucket)
    if s == 0 and st.lowest_sell < near - st.width + 1:
        slot.through = 1
    if s == 1 and st.highest_buy > near + st.width - 1:
        slot.through = 1


@kernel
def _past(slot: Any, ts: int) -> float:
    """Return the newest notional noted at or before a time, else the oldest known."""
    known = min(slot.past_count, 4)
    value = slot.notional
    for back in range(known):
        at = (slot.past_count - 1 - back) & 3
        value = slot.past[at]
        if slot.past_ts[at] <= ts:
            break
    return value  # type: ignore[no-any-return]


@kernel
def _traded(state: Any, slot: Any, ring: Any, s: int) -> float:
    """Return what was traded at a bucket's prices within 250 ms of its release."""
    st = state[0]
    total = 0.0
    for i in range(min(st.trades, _TRADES)):
        trade = ring[i]
        hits = trade.side == 0 or (trade.side < 0) == (s == 0)
        if (
            hits
            and abs(trade.ts - slot.pending) <= _AROUND_NS
            and _bucket_of(state, s, trade.tick) == slot.bucket
        ):
            total += trade.notional
    return total


@kernel
def _leave(state: Any, slot: Any, ended: Any, s: int) -> None:
    """End a wall of which nothing more will be known."""
    if slot.is_wall == 1:
        _write_end(state, slot, ended, s, state[0].ts - slot.since, 4)
    elif slot.pending > 0:
        _write_end(state, slot, ended, s, slot.pending - slot.born, 4)


@kernel
def _write_end(state: Any, slot: Any, ended: Any, s: int, age_ns: int, outcome: int) -> None:
    st = state[0]
    end = ended[st.ended % _ENDED]
    end.s = s
    end.bucket = slot.bucket
    end.tick = slot.tick
    end.near_tick = _near_tick(state, s, slot.bucket)
    end.width = st.width
    end.twice_mid = st.twice_mid
    end.notional = slot.notional
    end.share = slot.share
    end.z = slot.z
    end.met = slot.met
    end.age_ns = age_ns
    end.tested = slot.tested
    end.traded = slot.traded
    end.through = slot.through
    end.outcome = outcome
    st.ended += 1


@kernel
def _clear(slot: Any) -> None:
    if slot.met > 0:
        for c in range(_CELLS):
            slot.cells[c] = 0
    slot.since = slot.born = slot.pending = slot.met = slot.tested = slot.past_count = 0
    slot.traded = 0.0
    slot.on = slot.is_wall = slot.is_near = slot.through = 0

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
from typing import Any, ClassVar, Final

import numpy as np
import numpy.typing as npt

from alphaplus.analysis._wall_kernels import watch
from alphaplus.analysis._wall_layout_kernels import (
    CELLS,
    END,
    ENDED,
    INT64_MAX,
    SLOT,
    SLOTS,
    STATE,
    TRADED,
    TRADES,
    near_tick,
)
from alphaplus.analysis.measure import Measure
from alphaplus.analysis.tape import Tape
from alphaplus.analysis.wall import Outcome, Wall, strength
from alphaplus.book.looks import Looks
from alphaplus.errors import ConfigError
from alphaplus.instruments import Instrument

_MOST_BUCKETS: Final = 60.0
_ENOUGH: Final = 10  # removed walls before their rates say anything
_RISKS: Final = (
    "pulled_rate",
    "cancel_before_touch_rate",
    "lifetime_q25_s",
    "lifetime_median_s",
    "lifetime_q75_s",
)


class Walls(Measure):
    """Follow the walls of both sides: bounded state, and one kernel call for each piece.

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
        self._state = np.zeros(1, dtype=STATE)
        row = self._state[0]
        row["tick_units"] = instrument.tick_units
        row["scale"] = 10.0**instrument.price_decimals
        row["size"] = instrument.contract_size
        row["inverse"] = instrument.inverse
        row["z_enter"], row["z_release"] = z_enter, z_release
        row["share_enter"], row["share_release"] = share_enter, share_release
        row["share_flat"] = share_flat
        row["hold_ns"] = round(hold_s * 1e9)
        row["cells"] = math.ceil(round(persistence * CELLS, 9))
        row["lowest_sell"], row["highest_buy"] = INT64_MAX, -INT64_MAX
        self._slots = np.zeros((2, SLOTS), dtype=SLOT)
        self._trades = np.zeros(TRADES, dtype=TRADED)
        self._ended = np.zeros(ENDED, dtype=END)

    def look(self, tape: Tape, looks: Looks) -> None:
        """Note the trades and look at the book at each turn among them."""
        if looks.count or len(tape.trades):
            watch(
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
        row["lowest_sell"], row["highest_buy"] = INT64_MAX, -INT64_MAX

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
        rows = range(total - 1, max(total - min(count, ENDED), 0) - 1, -1)
        return tuple(self._wall(self._ended[row % ENDED]) for row in rows)

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
        known = self._ended[: min(int(self._state["ended"][0]), ENDED)]
        removed = np.isin(known["outcome"], (Outcome.CONSUMED, Outcome.PULLED))
        rows: npt.NDArray[np.void] = known[removed]
        return rows

    def _standing(self, s: int, slot: Any) -> Wall:
        end = np.zeros(1, dtype=END)
        for name in ("tick", "bucket", "notional", "share", "z", "met", "tested", "traded"):
            end[name] = slot[name]
        end["s"], end["through"] = s, slot["through"]
        end["age_ns"] = self._state["ts"][0] - slot["since"]
        end["near_tick"] = near_tick(self._state, s, int(slot["bucket"]))
        end["width"] = self._state["width"][0]
        end["twice_mid"] = self._state["twice_mid"][0]
        return self._wall(end[0])

    def _wall(self, end: Any) -> Wall:
        tick, twice_mid, near = int(end["tick"]), int(end["twice_mid"]), int(end["near_tick"])
        s, width = int(end["s"]), int(end["width"])
        far = near + (width - 1 if s else 1 - width)
        distance = 1e4 * abs(2 * tick - twice_mid) / twice_mid
        share, persistence, z = float(end["share"]), int(end["met"]) / CELLS, float(end["z"])
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

"""How far a perpetual trades from its spot market, and what its funding pays for it."""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from alphaplus.analysis.as_of import Floats, Times, as_of
from alphaplus.analysis.hayashi_yoshida import Clock
from alphaplus.analysis.tape import Tape
from alphaplus.errors import ConfigError
from alphaplus.instruments import Instrument
from alphaplus.jit import kernel

MAX_AGE_NS: Final = 5_000_000_000
"""A quote older than this is no longer taken as the price."""
_YEAR_H: Final = 365 * 24

_SIDE: Final = np.dtype(
    [
        ("clock", "<i8"),  # newest time of any message, ns
        ("point", "<i8"),  # newest grid point written
        ("time", "<i8"),  # of the newest quote
        ("mid", "<f8"),  # nan: the newest quote is no valid one
        ("unit", "<f8"),
        ("scale", "<f8"),  # price = ticks * unit / scale
        ("known", "<i8"),
    ],
    align=True,
)


def basis_bps(perp_mid: npt.ArrayLike, spot_mid: npt.ArrayLike) -> Floats:
    """Return 1e4 (perp / spot - 1), elementwise; above 0 where the perpetual is dearer.

    >>> float(basis_bps(100.5, 100.0).round(9))
    50.0
    """
    perp, spot = np.asarray(perp_mid, np.float64), np.asarray(spot_mid, np.float64)
    return np.asarray(1e4 * (perp - spot) / spot)


def basis_series(
    perp_times: Times,
    perp_mids: Floats,
    spot_times: Times,
    spot_mids: Floats,
    grid: npt.ArrayLike,
    *,
    max_age_ns: int = MAX_AGE_NS,
) -> Floats:
    """Return the basis in bps at each grid point, from the last mids at or before it.

    All times are ns on one clock. nan where either mid is absent, nan or older than
    `max_age_ns`.
    """
    perp = as_of(perp_times, perp_mids, grid, max_age_ns)
    return basis_bps(perp, as_of(spot_times, spot_mids, grid, max_age_ns))


@dataclass(frozen=True, slots=True, kw_only=True)
class BasisStatistics:
    """Where the basis stands among its own last values; None where it cannot be said."""

    mean_bps: float | None
    sd_bps: float | None
    """Standard deviation, one degree of freedom taken."""
    z: float | None
    """(latest - mean) / sd; None also if the basis never moved."""
    samples: int


def basis_statistics(
    series: Floats, latest: float | None, *, min_samples: int = 60
) -> BasisStatistics:
    """Describe a series of bases (bps, nan left out) and where `latest` stands in it."""
    known = series[np.isfinite(series)]
    samples = len(known)
    if samples < max(2, min_samples):
        return BasisStatistics(mean_bps=None, sd_bps=None, z=None, samples=samples)
    mean, sd = float(known.mean()), float(known.std(ddof=1))
    moved = sd > 1e-12 * max(1.0, abs(mean))  # else it is the rounding of one repeated value
    z = (latest - mean) / sd if latest is not None and moved else None
    return BasisStatistics(mean_bps=mean, sd_bps=sd if moved else 0.0, z=z, samples=samples)


def funding_carry(funding_rate: float, interval_h: float = 8.0) -> float:
    """Return what a short perpetual earns a year by funding: the rate times intervals a year.

    A fraction without compounding, for a rate that would stay as it is; 365 days a year.

    >>> round(funding_carry(0.0001), 4)
    0.1095
    """
    if not interval_h > 0:
        raise ConfigError(f"Expected interval_h above 0, was {interval_h}.")
    return funding_rate * _YEAR_H / interval_h


class Basis:
    """Follow both markets' best quotes; basis now, and its mean, sd and z over a window.

    Each side keeps its own mid at whole multiples of `step_s`, so it does not matter which of
    them runs ahead nor how the streams are cut. A point is written once a later time came.

    With `clock="ts_recv"` quotes are placed by receive time. Take that where one venue stamps
    its quotes and the other does not: else the offset of the two clocks is in the basis.
    """

    name = "basis"

    def __init__(
        self,
        perp: Instrument,
        spot: Instrument,
        *,
        window_s: float = 3600.0,
        step_s: float = 1.0,
        max_age_s: float = 5.0,
        min_samples: int = 60,
        clock: Clock = "ts_event",
    ) -> None:
        for name, value in (("window_s", window_s), ("step_s", step_s), ("max_age_s", max_age_s)):
            if not 0 < value < 1e9:
                raise ConfigError(f"Expected {name} above 0 and below 1e9, was {value}.")
        points = round(window_s / step_s)
        if not 2 <= points <= 1_000_000:
            raise ConfigError(f"Expected a window of 2 to 1000000 steps, was {points}.")
        if min_samples > points:
            raise ConfigError(f"Expected min_samples up to {points}, was {min_samples}.")
        if clock not in ("ts_event", "ts_recv"):
            raise ConfigError(f"Expected clock ts_event or ts_recv, was {clock!r}.")
        self._points, self._min_samples, self._clock = points, max(2, min_samples), clock
        self._step_ns, self._max_age_ns = round(step_s * 1e9), round(max_age_s * 1e9)
        self._perp, self._spot = _side(perp), _side(spot)
        self._perp_mids, self._spot_mids = np.full((2, points), np.nan)

    def update_perp(self, tape: Tape) -> None:
        """Take the next piece of the perpetual's stream."""
        self._update(self._perp, self._perp_mids, tape)

    def update_spot(self, tape: Tape) -> None:
        """Take the next piece of the spot market's stream."""
        self._update(self._spot, self._spot_mids, tape)

    def interrupt_perp(self) -> None:
        """Note that the perpetual's stream broke off: its last quote is no price any more."""
        self._forget(self._perp, self._perp_mids)

    def interrupt_spot(self) -> None:
        """Note that the spot market's stream broke off."""
        self._forget(self._spot, self._spot_mids)

    def series(self) -> Floats:
        """Return the basis (bps) at each step of the window, oldest first, nan if unknown."""
        newest = (max(self._perp["clock"][0], self._spot["clock"][0]) - 1) // self._step_ns
        points = np.arange(newest - self._points + 1, newest + 1)
        return basis_bps(
            self._mids(self._perp, self._perp_mids, points),
            self._mids(self._spot, self._spot_mids, points),
        )

    def values(self) -> dict[str, Any]:
        """Return basis now, mean, sd, z and the number of steps they rest on."""
        latest = self._latest()
        found = basis_statistics(self.series(), latest, min_samples=self._min_samples)
        return {
            "basis_bps": latest,
            "mean_bps": found.mean_bps,
            "sd_bps": found.sd_bps,
            "z": found.z,
            "samples": found.samples,
        }

    def missing(self) -> dict[str, str]:
        """Say what the values that are None still need."""
        values = self.values()
        wanted = {}
        if values["basis_bps"] is None:
            wanted["basis_bps"] = f"quotes of both markets of the last {self._max_age_ns / 1e9:g} s"
        if values["mean_bps"] is None:
            phrase = f"{values['samples']} of {self._min_samples} steps with both quotes"
            wanted |= {"mean_bps": phrase, "sd_bps": phrase, "z": phrase}
        elif values["z"] is None:
            wanted["z"] = wanted.get("basis_bps", "a basis that moves")
        return wanted

    def _update(self, side: Any, mids: Floats, tape: Tape) -> None:
        by_receive = self._clock == "ts_recv"
        if len(tape.quotes):
            _sample(side, mids, tape.quotes, by_receive, self._step_ns, self._max_age_ns)
        if not by_receive and tape.ts_event > side["clock"][0]:
            side["clock"][0] = tape.ts_event

    def _forget(self, side: Any, mids: Floats) -> None:
        _write_until(side, mids, side["clock"][0], self._step_ns, self._max_age_ns)
        side["mid"][0] = np.nan

    def _mids(self, side: Any, mids: Floats, points: Times) -> Floats:
        """Return a side's mids at grid points: those written, and what its last quote says."""
        state = side[0]
        if not state["known"]:
            return np.full(len(points), np.nan)
        passed = points * self._step_ns < state["clock"]
        fresh = passed & (points * self._step_ns - state["time"] <= self._max_age_ns)
        since = np.where(fresh, state["mid"], np.nan)
        return np.where(points <= state["point"], mids[points % len(mids)], since)

    def _latest(self) -> float | None:
        perp, spot = self._perp[0], self._spot[0]
        now = max(perp["clock"], spot["clock"])
        for side in (perp, spot):
            if not side["known"] or now - side["time"] > self._max_age_ns:
                return None
        basis = float(basis_bps(perp["mid"], spot["mid"]))
        return basis if np.isfinite(basis) else None


def _side(instrument: Instrument) -> Any:
    side = np.zeros(1, _SIDE)
    side["mid"] = np.nan
    side["unit"] = instrument.tick_units
    side["scale"] = 10.0**instrument.price_decimals
    return side


@kernel
def _sample(
    side: Any, mids: Floats, quotes: Any, by_receive: bool, step_ns: int, max_age_ns: int
) -> None:
    """Take quotes in order, and write the mid in force at each grid point before each of them.

    Only quotes write, and not the clock of other messages: a quote may be stamped before a
    trade that came ahead of it.
    """
    me = side[0]
    for i in range(len(quotes)):
        quote = quotes[i]
        time = quote.ts_recv if by_receive else quote.ts_event
        if me.known == 0:
            me.point = (time - 1) // step_ns
        time = max(time, me.time)
        _write_until(side, mids, time, step_ns, max_age_ns)
        two_sided = quote.bid_quantity > 0 and quote.ask_quantity > 0
        if two_sided and quote.bid_tick < quote.ask_tick:
            me.mid = (quote.bid_tick + quote.ask_tick) * me.unit / me.scale / 2
        else:
            me.mid = np.nan
        me.time = time
        me.known = 1
        if time > me.clock:
            me.clock = time


@kernel
def _write_until(side: Any, mids: Floats, time: int, step_ns: int, max_age_ns: int) -> None:
    """Write the mid in force, nan if it is too old, at the grid points before a time."""
    me = side[0]
    size = len(mids)
    passed = (time - 1) // step_ns
    if me.known == 0 or passed <= me.point:
        return
    for point in range(max(me.point, passed - size) + 1, passed + 1):
        fresh = point * step_ns - me.time <= max_age_ns
        mids[point % size] = me.mid if fresh else np.nan
    me.point = passed

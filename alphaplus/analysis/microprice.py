"""Microprice (Stoikov, 2018): the mid plus what imbalance and spread say of its next moves.

The state of a quote is the bucket of its imbalance I = B1 / (B1 + A1) and its spread in ticks.
A Markov chain of states, fitted to the quotes so far, tells how far the mid is expected to go:
Q moves between states while the mid stays, R1 to the jump K of the mid, R2 to the state after:

    G1 = (1 - Q)^-1 R1 K,   B = (1 - Q)^-1 R2,   microprice = mid + sum over k = 0..5 of B^k G1.

Each step counts with its mirror (I -> 1 - I, K -> -K), so G(I, S) = -G(1 - I, S).
"""

import math
from typing import Any, ClassVar, Final

import numpy as np
import numpy.typing as npt

from alphaplus.analysis.fair_price import mid, weighted_mid
from alphaplus.analysis.measure import Measure
from alphaplus.analysis.tape import Tape
from alphaplus.errors import ConfigError
from alphaplus.instruments import Instrument
from alphaplus.jit import kernel

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]
"""One row a state (spread by spread, in each by imbalance); columns: steps to each state with
the mid unchanged; steps to each with a jump of the mid; sum of these jumps in half ticks."""

_JUMPS: Final = 6
"""Jumps of the mid that are looked ahead."""
_LARGEST_JUMP: Final = 2
"""Half ticks: K is one of -1, -1/2, 1/2 and 1 tick. Steps with a wider jump are left out, as the
paper does: markets of small ticks jump by so many that the sum would leave the spread."""
_WEIGHT: Final = 4
"""What one step adds to the counts: a quarter for each reading of two states on the border."""
_INSIDE: Final = 1 - 1e-6
"""The most of half a spread that the mid may be moved by."""
_TIME_LIMIT: Final = 1 << 62
_TICK_LIMIT: Final = 1 << 52
"""Ticks up to here are exact as float64, and so are sums of two."""
_QUANTITY_LIMIT: Final = 1e200
"""No venue has as much; sums and products overflow not far above."""

STATE: Final = np.dtype(
    [
        ("buckets", "<i8"),
        ("spreads", "<i8"),
        ("fit_ns", "<i8"),
        ("time", "<i8"),  # of the newest quote
        ("period", "<i8"),  # its time // fit_ns, -1 before the first
        ("fits", "<i8"),  # how often the counts were set aside for a fit
        ("jumps", "<i8"),  # of the mid, all
        ("wide_jumps", "<i8"),  # left out
        ("has_quote", "<i8"),  # the quote before is valid
        ("bid_tick", "<i8"),
        ("ask_tick", "<i8"),
        ("bid_quantity", "<f8"),
        ("ask_quantity", "<f8"),
    ],
    align=True,
)


class Microprice(Measure):
    """The microprice of the newest best quote, fitted to the quotes before.

    `imbalance_buckets` x `spread_states` states (the widest holds all wider spreads), fitted
    anew every `fit_s` seconds of market time: with the first quote at or after each multiple
    of it, to the quotes before that. A state seen less than `min_visits` times (its mirror's
    visits count) falls back to the weighted mid. Raises ConfigError for values out of range.
    """

    name: ClassVar[str] = "microprice"

    def __init__(
        self,
        instrument: Instrument,
        *,
        imbalance_buckets: int = 10,
        spread_states: int = 2,
        min_visits: int = 50,
        fit_s: float = 60.0,
    ) -> None:
        for name, value, low, high in (
            ("imbalance_buckets", imbalance_buckets, 2, 100),
            ("spread_states", spread_states, 1, 20),
            ("min_visits", min_visits, 1, 10**9),
            ("fit_s", fit_s, 1e-3, 86_400),
        ):
            if not low <= value <= high:
                raise ConfigError(f"Expected {name} from {low} to {high}, was {value}.")
        self._instrument = instrument
        self._shape = (spread_states, imbalance_buckets)
        self._min_visits = min_visits
        states = spread_states * imbalance_buckets
        self._state = np.zeros(1, dtype=STATE)
        self._state["buckets"], self._state["spreads"] = imbalance_buckets, spread_states
        self._state["fit_ns"], self._state["period"] = round(fit_s * 1e9), -1
        self._counts = np.zeros((states, 2 * states + 1), dtype=np.int64)
        self._to_fit = np.zeros_like(self._counts)
        self._fits = 0
        self._adjustment = np.full(self._shape, np.nan)

    def update(self, tape: Tape) -> None:
        """Take the best quotes of the next piece of the stream."""
        if len(tape.quotes):
            _follow(self._state, self._counts, self._to_fit, tape.quotes)

    def interrupt(self) -> None:
        """Forget the quote in force: the next one is no step from it."""
        self._state["has_quote"] = 0

    def values(self) -> dict[str, Any]:
        """Return the microprice in quote currency; None while no valid quote is in force.

        `adjustment_ticks` is what it adds to the mid, None where it is the weighted mid
        (`is_fitted` false); `adjustment_curve` has it for every state, a list of buckets of
        rising imbalance for each spread, None where a state was not seen enough.
        `wide_jump_share` is the part of the mid's jumps that the fit left out.
        """
        adjustment = self._fitted()
        found: dict[str, Any] = {
            "microprice": None,
            "adjustment_ticks": None,
            "is_fitted": False,
            "fitted_states": int(np.isfinite(adjustment).sum()),
            "states": adjustment.size,
            "wide_jump_share": self._wide_jump_share(),
            "adjustment_curve": [
                [value if math.isfinite(value) else None for value in curve]
                for curve in adjustment.tolist()
            ],
        }
        state = self._state[0]
        if state["has_quote"]:
            found |= self._price(adjustment, *(state[name].item() for name in _QUOTE))
        return found

    def missing(self) -> dict[str, str]:
        """Say what None still needs: a valid quote, or more visits of its state."""
        state = self._state[0]
        needs = {} if state["jumps"] else {"wide_jump_share": "a move of the mid"}
        if not state["has_quote"]:
            return needs | dict.fromkeys(("microprice", "adjustment_ticks"), "a valid best quote")
        place = _place(self._state, *(state[name].item() for name in _QUOTE))
        if math.isfinite(self._fitted()[place]):
            return needs
        seen = min(int(visits(self._to_fit, self._shape)[place]), self._min_visits)
        need = f"{seen} of {self._min_visits} visits of this state"
        if seen == self._min_visits:
            need = "a move of the mid by at most a tick"
        return {**needs, "adjustment_ticks": need}

    def _price(
        self, adjustment: Floats, bid: int, ask: int, bid_quantity: float, ask_quantity: float
    ) -> dict[str, Any]:
        price = self._instrument.price
        best_bid, best_ask = price(bid), price(ask)
        added = adjustment[_place(self._state, bid, ask, bid_quantity, ask_quantity)]
        if not math.isfinite(added):
            fallback = weighted_mid(best_bid, bid_quantity, best_ask, ask_quantity)
            return {"microprice": min(max(fallback, best_bid), best_ask)}
        # On the border of the middle two buckets their opposite adjustments cancel out.
        even = bid_quantity == ask_quantity
        ticks = 0.0 if even else float(added)
        found = mid(self._instrument, bid, ask) + ticks * price(1)
        return {"microprice": found, "adjustment_ticks": ticks, "is_fitted": True}

    def _wide_jump_share(self) -> float | None:
        jumps = int(self._state["jumps"][0])
        return int(self._state["wide_jumps"][0]) / jumps if jumps else None

    def _fitted(self) -> Floats:
        fits = int(self._state["fits"][0])
        if fits != self._fits:
            self._adjustment = fit(self._to_fit, self._shape, self._min_visits)
            self._fits = fits
        return self._adjustment


_QUOTE: Final = ("bid_tick", "ask_tick", "bid_quantity", "ask_quantity")


def fit(counts: Counts, shape: tuple[int, int], min_visits: int) -> Floats:
    """Return G in ticks by (spread state, imbalance bucket), nan where it is not known.

    `counts` as in `Counts`, in units of `_WEIGHT` a step, not yet mirrored; `shape` is (spread
    states, buckets). Unknown are states seen too seldom and those from which no jump of the
    mid was ever reached. G rises with imbalance (neighbours that fall, as happens by chance in
    a finite sample, are pooled, weighted by their visits) and stays inside the spread.
    """
    whole = _mirrored(counts, shape)
    states = shape[0] * shape[1]
    stays, jumps = whole[:, :states], whole[:, states : 2 * states]
    reaches = jumps.any(axis=1)
    for _ in range(states):
        reaches |= stays[:, reaches].any(axis=1)
    # A state that never reaches a jump would make 1 - Q singular: it leads nowhere, adds 0.
    left = whole[:, : 2 * states].sum(axis=1)
    share = np.where(reaches, 1.0 / np.maximum(left, 1), 0.0)[:, np.newaxis]
    expected = whole[:, 2 * states :] * 0.5 * share
    right = np.hstack([expected, jumps * share])
    solved = np.linalg.solve(np.eye(states) - stays * share, right)
    total = first = solved[:, 0]
    for _ in range(_JUMPS - 1):
        first = solved[:, 1:] @ first
        total = total + first
    seen = visits(counts, shape)
    known = reaches.reshape(shape) & (seen >= min_visits)
    return _shaped(np.where(known, total.reshape(shape), np.nan), seen)


def visits(counts: Counts, shape: tuple[int, int]) -> Floats:
    """Return how often each state was left, its mirror's visits included."""
    left = counts[:, :-1].sum(axis=1).reshape(shape)
    together: Floats = (left + left[:, ::-1]) / _WEIGHT
    return together


def rising(values: Floats, weights: Floats) -> Floats:
    """Return the non-decreasing sequence nearest to `values` in weighted squares.

    Pool adjacent violators (Ayer et al., 1955).
    """
    blocks: list[tuple[float, float, int]] = []  # mean, weight, length
    for value, weight in zip(values.tolist(), weights.tolist(), strict=True):
        blocks.append((value, weight, 1))
        while len(blocks) > 1 and blocks[-2][0] > blocks[-1][0]:
            (a, m, i), (b, n, k) = blocks[-2:]
            blocks[-2:] = [((a * m + b * n) / (m + n), m + n, i + k)]
    return np.repeat([block[0] for block in blocks], [block[2] for block in blocks])


def _mirrored(counts: Counts, shape: tuple[int, int]) -> Counts:
    """Add to each step its mirror."""
    order = np.arange(shape[0] * shape[1]).reshape(shape)[:, ::-1].ravel()
    states = len(order)
    columns = np.concatenate([order, states + order])
    whole = counts.copy()
    whole[:, :-1] += counts[order][:, columns]
    whole[:, -1] -= counts[order, -1]
    return whole


def _shaped(adjustment: Floats, seen: Floats) -> Floats:
    """Make each row odd about its middle to the last bit, rising, and less than half a spread."""
    shaped = (adjustment - adjustment[:, ::-1]) / 2
    for spread, curve in enumerate(shaped):
        known = np.isfinite(curve)
        curve[known] = rising(curve[known], seen[spread, known])
        limit = (spread + 1) / 2 * _INSIDE
        shaped[spread] = np.clip((curve - curve[::-1]) / 2, -limit, limit)
    return shaped


def _place(
    state: Any, bid_tick: int, ask_tick: int, bid_quantity: float, ask_quantity: float
) -> tuple[int, int]:
    """Return the spread state and the bucket of a quote, the lower one on a border."""
    buckets, spreads = int(state["buckets"][0]), int(state["spreads"][0])
    lower, _ = _buckets(bid_quantity, ask_quantity, buckets)
    return min(ask_tick - bid_tick, spreads) - 1, int(lower)


@kernel
def _buckets(bid_quantity: float, ask_quantity: float, buckets: int) -> tuple[int, int]:
    """Return the bucket of an imbalance, twice, or both that meet where the sides are equal.

    Reckoned from the smaller side, so that swapping the sides mirrors it exactly.
    """
    if bid_quantity == ask_quantity:
        return (buckets - 1) // 2, buckets // 2
    low = min(bid_quantity, ask_quantity)
    place = min(int(buckets * (low / (bid_quantity + ask_quantity))), (buckets - 1) // 2)
    if bid_quantity > ask_quantity:
        place = buckets - 1 - place
    return place, place


@kernel
def _follow(state_row: Any, counts: Any, to_fit: Any, quotes: Any) -> None:
    state = state_row[0]
    n_states = state.buckets * state.spreads
    for i in range(len(quotes)):
        quote = quotes[i]
        if state.time <= quote.ts_event < _TIME_LIMIT:
            if quote.ts_event // state.fit_ns > state.period:
                if state.period >= 0:
                    to_fit[:] = counts
                    state.fits += 1
                state.period = quote.ts_event // state.fit_ns
            state.time = quote.ts_event
        bid, ask = quote.bid_tick, quote.ask_tick
        size, other = quote.bid_quantity, quote.ask_quantity
        if not (
            0 < bid < ask <= _TICK_LIMIT
            and 0.0 < size < _QUANTITY_LIMIT
            and 0.0 < other < _QUANTITY_LIMIT
        ):
            state.has_quote = 0
            continue
        if state.has_quote:
            jump = (bid + ask) - (state.bid_tick + state.ask_tick)
            if jump != 0:
                state.jumps += 1
            if abs(jump) > _LARGEST_JUMP:
                state.wide_jumps += 1
            else:
                row = (min(state.ask_tick - state.bid_tick, state.spreads) - 1) * state.buckets
                column = (min(ask - bid, state.spreads) - 1) * state.buckets
                column += 0 if jump == 0 else n_states
                for old in _buckets(state.bid_quantity, state.ask_quantity, state.buckets):
                    for new in _buckets(size, other, state.buckets):
                        counts[row + old, column + new] += 1
                        counts[row + old, 2 * n_states] += jump
        state.has_quote = 1
        state.bid_tick = bid
        state.ask_tick = ask
        state.bid_quantity = size
        state.ask_quantity = other

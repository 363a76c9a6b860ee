"""Liquidity score: how easily a market takes an order, in [0, 1], with its components.

There is no canonical formula; this one is ours. Each component is in [0, 1], one half where the
market equals the reference:

    volume = V / (V + V_ref)        V = volume of the last 24 hours
    spread = S_ref / (S_ref + S)    S = quoted spread, bps
    depth  = D / (D + D_ref)        D = the smaller depth of both sides within 10 bps
    cost_small, cost_large = C_ref / (C_ref + C)    C = round trip of 100 k, of 1 M, bps

    score_book = spread^0.20 depth^0.30 cost_small^0.25 cost_large^0.25
    score      = volume^0.20 score_book^0.80

A side that cannot fill a notional has an infinite cost, so the component is 0. The score of the
bids is what a seller meets: their depth, and twice the seller's slippage as the cost; that of the
asks, what a buyer meets. For a symmetric book all three agree.
"""

import math
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Final, NamedTuple

import numpy as np

from alphaplus.analysis.book_levels import BookLevels, Floats
from alphaplus.analysis.cost import USUAL_REACH_BPS, fills_of_both
from alphaplus.analysis.depth import DepthProfile, depth_profile
from alphaplus.analysis.distance import Distances
from alphaplus.analysis.measure import Measure
from alphaplus.analysis.spread import spread_bps
from alphaplus.analysis.streaming import above_zero
from alphaplus.analysis.tape import DayVolume
from alphaplus.errors import ConfigError
from alphaplus.instruments import Instrument


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreParameters:
    """The references of the components, in US dollars and basis points.

    Raises ConfigError unless all are above 0.
    """

    volume_reference: float = 50e6
    """Traded in 24 hours."""
    spread_reference_bps: float = 1.0
    depth_reference: float = 1e6
    depth_bps: float = 10.0
    small_notional: float = 1e5
    small_cost_reference_bps: float = 1.0
    large_notional: float = 1e6
    large_cost_reference_bps: float = 5.0
    quote_usd: float = 1.0
    """Value of one unit of the quote currency in US dollars."""

    def __post_init__(self) -> None:
        for field in fields(self):
            above_zero(field.name, getattr(self, field.name))
        if not self.small_notional < self.large_notional:
            raise ConfigError(
                f"Expected small_notional below large_notional, was {self.small_notional} and "
                f"{self.large_notional}."
            )


_SLIPPAGE: Final = 1  # columns of a fill
_TRUNCATED: Final = 5

DEFAULT_PARAMETERS: Final = ScoreParameters()


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """A score and its components, all in [0, 1]; `score` and `volume` None without a volume."""

    score: float | None
    score_book: float
    """The score without the volume."""
    volume: float | None
    spread: float
    depth: float
    cost_small: float
    cost_large: float

    def as_dict(self) -> dict[str, Any]:
        """Return plain values, the components apart."""
        names = ("volume", "spread", "depth", "cost_small", "cost_large")
        return {
            "score": self.score,
            "score_book": self.score_book,
            "components": {name: getattr(self, name) for name in names},
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """The score of a book, and those of its sides."""

    total: Score
    bid: Score
    """What a seller meets."""
    ask: Score
    """What a buyer meets."""
    truncated: bool
    """Whether an input reaches beyond the range that is known: the score is a lower bound."""

    def as_dict(self) -> dict[str, Any]:
        """Return plain values: the total's own, and those of `bid` and `ask` under their names."""
        return {
            **self.total.as_dict(),
            "bid": self.bid.as_dict(),
            "ask": self.ask.as_dict(),
            "truncated": self.truncated,
        }


def liquidity_score(
    *,
    spread_bps: float,
    depth: float,
    cost_small_bps: float | None,
    cost_large_bps: float | None,
    volume_24h_quote: float | None = None,
    parameters: ScoreParameters = DEFAULT_PARAMETERS,
) -> Score:
    """Return the score of its inputs; amounts in quote currency.

    A cost of None (or infinite) is one that the book cannot fill. An unknown volume leaves
    `score` None. Raises ConfigError for a volume below 0 or not finite.

    >>> even = liquidity_score(spread_bps=1.0, depth=1e6, cost_small_bps=1.0, cost_large_bps=5.0)
    >>> round(even.score_book, 12)
    0.5
    """
    p = parameters
    volume = _volume_component(volume_24h_quote, p)
    f_spread = p.spread_reference_bps / (p.spread_reference_bps + spread_bps)
    f_depth = depth * p.quote_usd / (depth * p.quote_usd + p.depth_reference)
    f_small = _cheapness(cost_small_bps, p.small_cost_reference_bps)
    f_large = _cheapness(cost_large_bps, p.large_cost_reference_bps)
    book = f_spread**0.20 * f_depth**0.30 * f_small**0.25 * f_large**0.25
    return Score(
        score=None if volume is None else volume**0.20 * book**0.80,
        score_book=book,
        volume=volume,
        spread=f_spread,
        depth=f_depth,
        cost_small=f_small,
        cost_large=f_large,
    )


def liquidity_scores(
    book: BookLevels,
    *,
    volume_24h_quote: float | None = None,
    parameters: ScoreParameters = DEFAULT_PARAMETERS,
) -> Scores:
    """Return the scores of a book that has both sides."""
    return _scores(_Plan(parameters).inputs(book), volume_24h_quote, parameters)


def one_sided_scores(
    volume_24h_quote: float | None = None, parameters: ScoreParameters = DEFAULT_PARAMETERS
) -> Scores:
    """Return the scores of a synchronised book without one side, or without any: 0."""
    zero = Score(
        score=0.0,
        score_book=0.0,
        volume=_volume_component(volume_24h_quote, parameters),
        spread=0.0,
        depth=0.0,
        cost_small=0.0,
        cost_large=0.0,
    )
    return Scores(total=zero, bid=zero, ask=zero, truncated=False)


class LiquidityScore(Measure):
    """The liquidity score of the latest book.

    `volume_24h_quote`, quote currency traded in the last 24 hours, is what the venue said last
    (None: unknown). The caller calls `observe_one_sided` for a synchronised book that lacks a
    side.
    """

    name: ClassVar[str] = "liquidity_score"

    def __init__(
        self,
        instrument: Instrument,
        *,
        parameters: ScoreParameters = DEFAULT_PARAMETERS,
        volume_24h_quote: float | None = None,
    ) -> None:
        self._parameters = parameters
        self._plan = _Plan(parameters)
        self.reach_bps = max(parameters.depth_bps, USUAL_REACH_BPS)
        self._volume = _checked_volume(volume_24h_quote)
        self._inputs: _Inputs | None = None
        self._one_sided = False
        self._scores: Scores | None = None

    @property
    def volume_24h_quote(self) -> float | None:
        """Quote currency traded in the last 24 hours, None while unknown."""
        return self._volume

    @volume_24h_quote.setter
    def volume_24h_quote(self, volume: float | None) -> None:
        self._volume = _checked_volume(volume)
        self._scores = None

    def observe(self, book: BookLevels) -> None:
        """Take the inputs of a book."""
        self._take(self._plan.inputs(book))

    def told(self, day: DayVolume) -> None:
        """Take the turnover; one that the venue does not say leaves the last as it is."""
        if day.turnover is not None:
            self.volume_24h_quote = day.turnover

    def observe_one_sided(self) -> None:
        """Note that the book is in step with the venue and lacks a side: nothing to trade."""
        self._take(None, one_sided=True)

    def interrupt(self) -> None:
        """Forget the book: it no longer follows the venue's."""
        self._take(None)

    @property
    def scores(self) -> Scores | None:
        """The scores of the latest book, None without one."""
        if self._scores is None:
            if self._one_sided:
                self._scores = one_sided_scores(self._volume, self._parameters)
            elif self._inputs is not None:
                self._scores = _scores(self._inputs, self._volume, self._parameters)
        return self._scores

    def values(self) -> dict[str, Any]:
        """Return the score, its components, and the same of each side."""
        found = self.scores
        if found is None:
            return dict.fromkeys(
                ("score", "score_book", "components", "bid", "ask", "truncated"),
            )
        return found.as_dict()

    def missing(self) -> dict[str, str]:
        """Say that a book, or the volume, is not known."""
        found = self.scores
        if found is None:
            return dict.fromkeys(self.values(), "a book with both sides")
        return {} if found.total.score is not None else {"score": "the volume of 24 hours"}

    def _take(self, inputs: "_Inputs | None", *, one_sided: bool = False) -> None:
        self._inputs, self._one_sided, self._scores = inputs, one_sided, None


class _Inputs(NamedTuple):
    """What the scores of one book are made of."""

    spread_bps: float
    depth: DepthProfile
    fills: Floats
    """Fills of both notionals, as `cost.fills_of_both` returns them."""


class _Plan:
    """What to read of each book."""

    def __init__(self, parameters: ScoreParameters) -> None:
        self._distances = Distances("depth_bps", (parameters.depth_bps,))
        notionals = parameters.small_notional, parameters.large_notional
        self._wanted = np.array(notionals) / parameters.quote_usd

    def inputs(self, book: BookLevels) -> _Inputs:
        """Read a book."""
        return _Inputs(
            spread_bps=spread_bps(book.bid_tick, book.ask_tick),
            depth=depth_profile(book, self._distances),
            fills=fills_of_both(book, self._wanted),
        )


def _scores(inputs: _Inputs, volume: float | None, parameters: ScoreParameters) -> Scores:
    """Return the scores of inputs that are read from a book."""

    def score(depth: float, costs: tuple[float, float]) -> Score:
        return liquidity_score(
            spread_bps=inputs.spread_bps,
            depth=depth,
            cost_small_bps=costs[0],
            cost_large_bps=costs[1],
            volume_24h_quote=volume,
            parameters=parameters,
        )

    buys, sells = (_slippages(side) for side in inputs.fills)
    bid, ask = inputs.depth.bid(0), inputs.depth.ask(0)
    truncated = bool(inputs.fills[:, :, _TRUNCATED].any())
    return Scores(
        total=score(min(bid.notional, ask.notional), (buys[0] + sells[0], buys[1] + sells[1])),
        bid=score(bid.notional, (2 * sells[0], 2 * sells[1])),
        ask=score(ask.notional, (2 * buys[0], 2 * buys[1])),
        truncated=truncated or bid.truncated or ask.truncated,
    )


def _slippages(found: Floats) -> tuple[float, float]:
    """Return the slippage of both notionals, infinite where the side cannot fill it."""
    small, large = (math.inf if math.isnan(x) else x for x in found[:, _SLIPPAGE].tolist())
    return small, large


def _cheapness(cost_bps: float | None, reference: float) -> float:
    """Return reference / (reference + cost), 0 where the order cannot be filled."""
    return 0.0 if cost_bps is None else reference / (reference + cost_bps)


def _volume_component(volume: float | None, parameters: ScoreParameters) -> float | None:
    traded = _checked_volume(volume)
    if traded is None:
        return None
    traded *= parameters.quote_usd
    return traded / (traded + parameters.volume_reference)


def _checked_volume(volume: float | None) -> float | None:
    if volume is not None and not 0 <= volume < math.inf:
        raise ConfigError(f"Expected volume_24h_quote at least 0 and finite, was {volume}.")
    return volume

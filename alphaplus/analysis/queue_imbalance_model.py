"""P(up) from the queue imbalance: the baseline that any richer model has to beat.

P(up) = 1 / (1 + exp(-(a + b I))) with I the queue imbalance (Gould and Bonart, 2016), for the
sign of the mid's change over a horizon given that it changes; whether it does is a base rate.
A sign that is foreseen is no profit: a best bid to best ask is far below the fee of a taker.
"""

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from scipy.special import expit, log_expit
from scipy.stats import rankdata

from alphaplus.analysis.as_of import Floats, as_of
from alphaplus.analysis.hayashi_yoshida import Clock
from alphaplus.analysis.tape import QuoteArray
from alphaplus.errors import ConfigError

STEP_NS: Final = 100_000_000
"""Distance of the points at which quotes are sampled."""
MIN_MOVES: Final = 50
"""Moves below which nothing is fitted."""
Booleans = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Samples:
    """What was known at each point of a grid, and what the mid did after it."""

    imbalance: Floats
    """(B - A) / (B + A) of the best quote, in [-1, 1]."""
    change: Floats
    """Of the mid over the horizon, ticks; 0 if it stayed."""
    horizon: int
    """Points that a change looks ahead, so that changes of nearer points overlap."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueImbalanceModel:
    """A fitted model: both coefficients and the two base rates."""

    intercept: float
    slope: float
    up_rate: float
    """Share of the moves that went up."""
    move_rate: float
    """Share of the points after which the mid moved."""

    def probability_up(self, imbalance: npt.ArrayLike) -> Floats:
        """Return P(up), given a move, for queue imbalances in [-1, 1]."""
        score = self.intercept + self.slope * np.asarray(imbalance, np.float64)
        return np.asarray(expit(score))


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """How forecasts did on moves that the model had not seen, next to the plain base rate."""

    log_loss: float
    prior_log_loss: float
    brier: float
    prior_brier: float
    auc: float | None
    """Area under the ROC curve; None if all moves went one way."""
    moves: int

    @property
    def has_skill(self) -> bool:
        """Whether the log-loss is below that of the base rate and that of a coin (ln 2)."""
        return self.log_loss < min(self.prior_log_loss, math.log(2.0))


def sample_quotes(
    quotes: QuoteArray, horizon_s: float, *, step_ns: int = STEP_NS, clock: Clock = "ts_recv"
) -> Samples:
    """Look at best quotes (`QUOTE`) on a grid from the first one on, and `horizon_s` ahead.

    Points at which a quote, or the one a horizon later, is one-sided or crosses are left out.
    Raises ConfigError unless the horizon is a whole number of steps.
    """
    horizon = round(horizon_s * 1e9 / step_ns)
    if horizon < 1 or abs(horizon * step_ns - horizon_s * 1e9) > 1:
        raise ConfigError(f"Expected horizon_s a multiple of {step_ns} ns, was {horizon_s}.")
    if not len(quotes):
        return Samples(imbalance=np.empty(0), change=np.empty(0), horizon=horizon)
    times = np.maximum.accumulate(quotes[clock])
    bid, ask = quotes["bid_quantity"], quotes["ask_quantity"]
    valid = (bid > 0) & (ask > 0) & (quotes["bid_tick"] < quotes["ask_tick"])
    total = np.where(valid, bid + ask, np.nan)
    mid = np.where(valid, (quotes["bid_tick"] + quotes["ask_tick"]) / 2.0, np.nan)
    grid = np.arange(times[0], times[-1] + 1, step_ns)
    imbalance, mids = as_of(times, (bid - ask) / total, grid), as_of(times, mid, grid)
    change = mids[horizon:] - mids[:-horizon]
    known = np.isfinite(change)
    return Samples(imbalance=imbalance[: len(change)][known], change=change[known], horizon=horizon)


def fit_queue_imbalance(
    imbalance: Floats, change: Floats, *, ridge: float = 1.0
) -> QueueImbalanceModel | None:
    """Fit by Newton's method; None below 50 moves or if all moves went one way.

    `ridge` / 2 times the squared slope is added to the total log-loss: next to nothing beside
    hundreds of moves, but it keeps the slope finite where the imbalance separates them.
    """
    moved = change != 0
    up = change[moved] > 0
    if len(up) < MIN_MOVES or up.all() or not up.any():
        return None
    design = np.column_stack((np.ones(len(up)), imbalance[moved]))
    penalty = np.array([0.0, ridge])
    weights = np.zeros(2)
    for _ in range(100):
        chance = expit(design @ weights)
        gradient = design.T @ (chance - up) + penalty * weights
        hessian = (design.T * (chance * (1 - chance))) @ design + np.diag(penalty)
        step = np.linalg.solve(hessian, gradient)
        loss = _total_loss(design @ weights, up, penalty, weights)
        while _total_loss(design @ (weights - step), up, penalty, weights - step) > loss + 1e-9:
            step = step / 2  # the loss is convex: some part of the step always lowers it
        weights = weights - step
        if np.abs(step).max() < 1e-10:
            break
    return QueueImbalanceModel(
        intercept=float(weights[0]),
        slope=float(weights[1]),
        up_rate=float(up.mean()),
        move_rate=float(moved.mean()),
    )


def walk_forward(
    samples: Samples, *, first: float = 0.6, folds: int = 1, purge: int | None = None
) -> list[tuple[QueueImbalanceModel, Scores] | None]:
    """Fit on the past and score what comes after it, fold by fold; never shuffled.

    The first fit takes the share `first` of the points, the rest is cut into `folds` blocks in
    order of time, each forecast by a fit on all before it but the last `purge` points (the
    horizon by default, and never less), whose changes reach into the block. A fold that
    cannot be fitted or has no moves is None. As changes overlap, there is less evidence than
    their number says: the usual standard errors are too small.
    """
    purge = samples.horizon if purge is None else purge
    if not 0 < first < 1 or folds < 1:
        raise ConfigError(f"Expected 0 < first < 1 and a fold or more, was {first}, {folds}.")
    if purge < samples.horizon:
        raise ConfigError(f"Expected purge of at least {samples.horizon} points, was {purge}.")
    count = len(samples.change)
    bounds = np.linspace(int(first * count), count, folds + 1).astype(int).tolist()
    results: list[tuple[QueueImbalanceModel, Scores] | None] = []
    for begin, end in pairwise(bounds):
        past = slice(0, max(0, begin - purge))
        model = fit_queue_imbalance(samples.imbalance[past], samples.change[past])
        change = samples.change[begin:end]
        moved = change != 0
        if model is None or not moved.any():
            results.append(None)
            continue
        chance = model.probability_up(samples.imbalance[begin:end][moved])
        results.append((model, score(chance, change[moved] > 0, model.up_rate)))
    return results


def score(probability_up: Floats, up: Booleans, prior: float) -> Scores:
    """Score forecasts (each in (0, 1)) of moves, and the constant forecast `prior`.

    Raises ValueError if there is no move or the lengths differ.
    """
    if not len(up) or len(up) != len(probability_up):
        raise ValueError(f"Expected a forecast a move, was {len(probability_up)} of {len(up)}.")
    constant = np.full(len(up), prior)
    return Scores(
        log_loss=_log_loss(probability_up, up),
        prior_log_loss=_log_loss(constant, up),
        brier=float(np.mean((probability_up - up) ** 2)),
        prior_brier=float(np.mean((constant - up) ** 2)),
        auc=_auc(probability_up, up),
        moves=len(up),
    )


def _log_loss(chance: Floats, up: Booleans) -> float:
    given = np.where(up, chance, 1 - chance)
    return float(-np.mean(np.log(np.maximum(given, np.finfo(np.float64).tiny))))


def _auc(chance: Floats, up: Booleans) -> float | None:
    """Return the share of pairs of an up and a down move that are in order, ties one half."""
    ups, downs = int(np.count_nonzero(up)), int(np.count_nonzero(~up))
    if not ups or not downs:
        return None
    ranks: Any = rankdata(chance)
    return float((ranks[up].sum() - ups * (ups + 1) / 2) / (ups * downs))


def _total_loss(scores: Floats, up: Booleans, penalty: Floats, weights: Floats) -> float:
    loss = -log_expit(np.where(up, scores, -scores)).sum()
    return float(loss + 0.5 * np.sum(penalty * weights**2))

"""The queue-imbalance baseline: planted coefficients, honest splits, the captures."""

import math
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score

from alphaplus.analysis.queue_imbalance_model import (
    Samples,
    fit_queue_imbalance,
    sample_quotes,
    score,
    walk_forward,
)
from alphaplus.analysis.tape import QUOTE
from alphaplus.errors import ConfigError
from tests.analysis.capture_tapes import capture_stream


def planted(count: int, seed: int, slope: float, horizon: int = 5) -> Samples:
    random = np.random.default_rng(seed)
    imbalance = random.uniform(-1, 1, count)
    up = random.random(count) < 1 / (1 + np.exp(-(0.3 + slope * imbalance)))
    moved = random.random(count) < 0.5
    return Samples(
        imbalance=imbalance, change=np.where(moved, np.where(up, 1.0, -1.0), 0.0), horizon=horizon
    )


def test_planted_coefficients_are_recovered() -> None:
    samples = planted(50_000, 4, 2.0)
    found = fit_queue_imbalance(samples.imbalance, samples.change)
    assert found is not None
    assert found.intercept == pytest.approx(0.3, abs=0.05)
    assert found.slope == pytest.approx(2.0, abs=0.1)
    assert found.move_rate == pytest.approx(0.5, abs=0.01)
    assert float(found.probability_up(0.0)) == pytest.approx(1 / (1 + math.exp(-0.3)), abs=0.02)


@settings(max_examples=30)
@given(seed=st.integers(0, 2**32 - 1), slope=st.floats(-30, 30), count=st.integers(150, 600))
def test_fit_and_scores_are_those_of_scikit_learn(seed: int, slope: float, count: int) -> None:
    samples = planted(count, seed, slope)
    found = fit_queue_imbalance(samples.imbalance, samples.change)
    assert found is not None
    moved = samples.change != 0
    x, up = samples.imbalance[moved], samples.change[moved] > 0
    reference = LogisticRegression(C=1.0, tol=1e-10, max_iter=1000).fit(x[:, None], up)
    assert found.slope == pytest.approx(float(reference.coef_[0, 0]), abs=1e-3)
    assert found.intercept == pytest.approx(float(reference.intercept_[0]), abs=1e-3)
    chance = found.probability_up(x)
    scores = score(chance, up, found.up_rate)
    assert scores.log_loss == pytest.approx(log_loss(up, chance), rel=1e-9)
    assert scores.brier == pytest.approx(brier_score_loss(up, chance), rel=1e-9)
    assert scores.auc == pytest.approx(roc_auc_score(up, chance), rel=1e-9)


@given(
    pairs=st.lists(st.tuples(st.integers(1, 9), st.booleans()), min_size=1, max_size=30),
)
def test_auc_counts_pairs(pairs: list[tuple[int, bool]]) -> None:
    chance = np.array([tenth / 10 for tenth, _ in pairs])
    up = np.array([is_up for _, is_up in pairs])
    both = list(product(chance[up], chance[~up]))
    found = score(chance, up, 0.5)
    expected = np.mean([(a > b) + 0.5 * (a == b) for a, b in both]) if both else None
    assert found.auc == (None if expected is None else pytest.approx(expected))
    assert found.prior_log_loss == pytest.approx(math.log(2))
    assert found.prior_brier == pytest.approx(0.25)


def test_mirror_of_the_book_mirrors_the_model() -> None:
    samples = planted(2000, 6, 1.5)
    one = fit_queue_imbalance(samples.imbalance, samples.change)
    other = fit_queue_imbalance(-samples.imbalance, -samples.change)
    assert one is not None
    assert other is not None
    assert (other.intercept, other.slope) == pytest.approx((-one.intercept, one.slope), abs=1e-8)


def test_separable_moves_give_a_finite_slope() -> None:
    imbalance = np.linspace(-1, 1, 200)
    found = fit_queue_imbalance(imbalance, np.sign(imbalance))
    assert found is not None
    assert 1 < found.slope < 100


def test_too_few_moves_or_one_direction_give_none() -> None:
    assert fit_queue_imbalance(np.zeros(49), np.resize([1.0, -1.0], 49)) is None
    assert fit_queue_imbalance(np.zeros(80), np.ones(80)) is None
    still = Samples(imbalance=np.zeros(400), change=np.zeros(400), horizon=1)
    assert walk_forward(still, folds=2) == [None, None]


def test_a_fold_sees_no_change_that_reaches_into_it() -> None:
    """The mid's future must not leak: what overlaps a block changes no fit before it."""
    samples = planted(1000, 9, 2.0, horizon=20)
    before = walk_forward(samples, first=0.6, folds=2)
    change = samples.change.copy()
    change[580:600] = 1.0  # these changes end inside the first block
    altered = Samples(imbalance=samples.imbalance, change=change, horizon=20)
    after = walk_forward(altered, first=0.6, folds=2)
    assert before[0] == after[0]
    assert before[1] != after[1]
    assert [found[1].moves for found in before if found] == [
        int(np.count_nonzero(samples.change[600:800])),
        int(np.count_nonzero(samples.change[800:])),
    ]
    with pytest.raises(ConfigError, match="purge"):
        walk_forward(samples, purge=19)
    with pytest.raises(ConfigError, match="first"):
        walk_forward(samples, first=1.0)


def test_no_signal_has_no_skill() -> None:
    (found,) = walk_forward(planted(4000, 12, 0.0))
    assert found is not None
    coin = score(np.full(10, 0.5), np.resize([True, False], 10), 0.5)
    assert not coin.has_skill
    (signal,) = walk_forward(planted(4000, 12, 3.0))
    assert signal is not None
    assert signal[1].has_skill
    assert signal[1].log_loss < found[1].log_loss


def test_quotes_are_sampled_on_a_grid() -> None:
    quotes = np.zeros(4, QUOTE)
    quotes["ts_recv"] = np.array([0, 1, 2, 3]) * 10**9
    quotes["bid_tick"], quotes["ask_tick"] = [10, 10, 12, 12], [11, 11, 13, 13]
    quotes["bid_quantity"], quotes["ask_quantity"] = [3.0, 1.0, 1.0, 0.0], 1.0
    found = sample_quotes(quotes, 1.0, step_ns=500_000_000)
    assert found.change.tolist() == [0.0, 0.0, 2.0, 2.0]
    assert found.imbalance.tolist() == [0.5, 0.5, 0.0, 0.0]
    assert found.horizon == 2
    assert len(sample_quotes(quotes[:0], 1.0).change) == 0
    with pytest.raises(ConfigError, match="horizon_s"):
        sample_quotes(quotes, 0.25)
    with pytest.raises(ValueError, match="forecast"):
        score(np.zeros(0), np.zeros(0, bool), 0.5)


@pytest.mark.parametrize(
    ("horizon", "moving", "prior", "table"),
    [
        (0.5, 0.35, 0.773, (0.777, 0.622, 0.209)),
        (1.0, 0.53, 0.763, (0.745, 0.639, 0.219)),
        (5.0, 0.93, 0.727, (0.596, 0.708, 0.256)),
    ],
)
def test_captures(
    data_dir: Path, horizon: float, moving: float, prior: float, table: tuple[float, float, float]
) -> None:
    """First 60 % fit, the rest scored. Where the grid of 100 ms starts moves AUC by .01."""
    samples = sample_quotes(capture_stream(data_dir, "perp").whole.quotes, horizon)
    assert np.mean(samples.change != 0) == pytest.approx(moving, abs=0.005)
    (found,) = walk_forward(samples)
    assert found is not None
    scores = found[1]
    auc, loss, brier = table
    assert scores.prior_log_loss == pytest.approx(prior, abs=0.006)
    assert scores.auc == pytest.approx(auc, abs=0.012)
    assert scores.log_loss == pytest.approx(loss, abs=0.008)
    assert scores.brier == pytest.approx(brier, abs=0.003)
    assert scores.has_skill == (horizon < 5)

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alphaplus.errors import RiskError
from alphaplus.risk.revaluation import Positions, response, signed_notional, unrealized_pnl

prices = st.floats(0.01, 1e5)
moves = st.floats(-0.9, 5.0)
quantities = st.just(0.0) | st.floats(1e-12, 1e6)  # below it only the rounding of denormals


@given(prices, moves, quantities, st.sampled_from([-1.0, 1.0]), st.booleans())
def test_gain_is_the_contract_revalued(
    mark: float, move: float, quantity: float, side: float, inverse: bool
) -> None:
    after = mark * (1 + move)
    if inverse:  # in coin, which is worth the mark
        expected = side * quantity * (1 / mark - 1 / after) * mark
    else:
        expected = side * quantity * (after - mark)
    flag = np.array([inverse])
    notional = signed_notional(np.array([side * quantity]), np.array([mark]), flag)
    found = notional[0] * response(np.array([[move]]), flag)[0, 0]
    assert found == pytest.approx(expected, rel=1e-9, abs=1e-9 * abs(notional[0]))


def test_an_inverse_loss_is_larger_than_the_gain_of_the_same_move() -> None:
    down, up = response(np.array([[-0.2], [0.2]]), np.array([True]))[0]
    assert -down == pytest.approx(0.25)
    assert up == pytest.approx(1 / 6)


def test_profit_since_entry() -> None:
    found = unrealized_pnl(
        np.array([1.0, -1.0]),
        np.array([2.0, 1000.0]),
        np.array([100.0, 50_000.0]),
        np.array([110.0, 40_000.0]),
        np.array([False, True]),
    )
    assert found == pytest.approx([20.0, 200.0])


def test_returns_that_leave_no_price_are_unknown() -> None:
    assert np.isnan(response(np.array([[-1.0, np.nan, -2.0]]), np.zeros(3, bool))).all()


def test_a_mark_matters_only_where_something_is_held() -> None:
    found = signed_notional(
        np.array([0.0, 5.0, 5.0]), np.full(3, np.nan), np.array([False, False, True])
    )
    assert found[0] == 0.0
    assert np.isnan(found[1:]).all()


def test_legs_are_netted_by_symbol() -> None:
    made = Positions.of([0, 1, 0], [1, -1, -1], [3, 2, 1], [10, 10, 10])
    assert made.net_quantity(3).tolist() == [2.0, -2.0, 0.0]
    assert len(made) == 3


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (([0], [2], [1], [1]), "side"),
        (([0], [1], [-1], [1]), "quantity"),
        (([0], [1], [math.nan], [1]), "quantity"),
        (([0], [1], [1], [0]), "entry_price"),
        (([-1], [1], [1], [1]), "symbols"),
        (([0], [1, 1], [1], [1]), "length"),
    ],
)
def test_wrong_positions_are_refused(wrong: Any, says: str) -> None:
    with pytest.raises(RiskError, match=says):
        Positions.of(*wrong)


def test_returns_of_other_symbols_are_refused() -> None:
    with pytest.raises(RiskError, match="returns"):
        response(np.zeros((4, 2)), np.zeros(3, bool))

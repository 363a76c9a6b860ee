import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alphaplus.errors import RiskError
from alphaplus.leverage.insurance_fund import apply_fund, fund_delta

amounts = st.floats(-1e6, 1e6)


@settings(max_examples=100)
@given(st.floats(0, 1e6), st.lists(amounts, max_size=20))
def test_the_fund_conserves_value_and_never_goes_below_0(start: float, deltas: list[float]) -> None:
    found = apply_fund(start, deltas)
    assert found.balance >= 0
    assert found.deficit >= 0
    assert found.balance - start == pytest.approx(found.paid_in - found.drawn, abs=1e-6)
    total = math.fsum(deltas)
    assert found.paid_in - found.drawn - found.deficit == pytest.approx(total, abs=1e-6)


def test_sides_and_caps() -> None:
    assert fund_delta([1, -1], 1.0, 3060.0, 3000.0).tolist() == [60.0, -60.0]
    capped = fund_delta([1, -1], 1.0, 3060.0, 3000.0, max_fee_rate=0.005)
    assert capped.tolist() == pytest.approx([15.3, -60.0])
    assert np.isnan(fund_delta(1, 1.0, math.nan, 3000.0))


def test_a_draw_beyond_the_balance_is_a_deficit() -> None:
    found = apply_fund(100.0, [50.0, -200.0, 30.0])
    assert (found.balance, found.drawn, found.deficit) == (30.0, 150.0, 50.0)


@pytest.mark.parametrize(("balance", "delta"), [(-1.0, 0.0), (math.nan, 0.0), (1.0, math.nan)])
def test_unknown_amounts_are_refused(balance: float, delta: float) -> None:
    with pytest.raises(RiskError):
        apply_fund(balance, [delta])

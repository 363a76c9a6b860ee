import gzip
import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alphaplus.errors import RiskError
from alphaplus.risk.drawdown import drawdown_of, drawdowns, returns_of
from alphaplus.risk.estimators import tail_risk
from alphaplus.risk.portfolio_models import EquityCurve

curves = st.lists(st.floats(0.01, 1e6), min_size=1, max_size=40).map(np.array)


@given(curves)
def test_drawdowns_are_from_the_highest_so_far(equity: np.ndarray) -> None:
    expected = [1 - equity[at] / max(equity[: at + 1]) for at in range(len(equity))]
    assert drawdowns(equity) == pytest.approx(expected)
    found = drawdown_of(equity)
    assert 0 <= found.now <= found.worst < 1


@given(curves, st.floats(0.1, 10.0))
def test_the_unit_of_equity_does_not_matter(equity: np.ndarray, scale: float) -> None:
    assert drawdowns(equity * scale) == pytest.approx(drawdowns(equity), abs=1e-12)


def test_equity_below_zero_is_a_drawdown_above_one() -> None:
    assert drawdown_of(np.array([100.0, -50.0])).worst == 1.5


@pytest.mark.parametrize("wrong", [[], [0.0, 1.0], [1.0, math.nan], [-1.0]])
def test_no_curve_is_refused(wrong: list[float]) -> None:
    with pytest.raises(RiskError, match="equity curve"):
        drawdowns(np.array(wrong))


def test_returns_need_equity_above_zero() -> None:
    assert returns_of(np.array([100.0, 110.0, 99.0])) == pytest.approx([0.1, -0.1])
    with pytest.raises(RiskError, match="above 0"):
        returns_of(np.array([100.0, 0.0]))


@given(curves, st.floats(0.01, 1e6))
def test_the_curve_that_is_kept_goes_on_to_now(equity: np.ndarray, now: float) -> None:
    expected = drawdowns(np.append(equity, now))
    assert EquityCurve(equity).with_now(now) == pytest.approx(expected, abs=1e-12)


def test_conditional_drawdown_and_entropic_rows_of_a_stock(data_dir: Path) -> None:
    folder = data_dir / "risk"
    rows = json.loads((folder / "var_es_estimators.json").read_text())["vectors"]
    expected = {row["measure"]: row for row in rows}
    with gzip.open(folder / "skfolio" / "sp500_dataset.csv.gz", "rt") as file:
        prices = np.array([float(line.split(",")[1]) for line in file.readlines()[1:]])
    # the curve of the row starts with the first return
    curve = EquityCurve(prices[1:])
    drawdown, entropic = expected["CDaR 95 compounded"], expected["EVaR 95"]
    assert round(tail_risk(curve.falls, 0.95).expected_shortfall, drawdown["dp"]) == pytest.approx(
        drawdown["expected"], abs=10.0 ** -drawdown["dp"]
    )
    assert EquityCurve(prices).entropic == pytest.approx(
        entropic["expected"], abs=10.0 ** -entropic["dp"]
    )

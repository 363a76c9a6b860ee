import json
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alphaplus.errors import RiskError
from alphaplus.leverage.position_sizing import fixed_risk_size


def number(text: Any) -> Fraction:
    """A vector's number; one of them is written as a division."""
    over, _, under = str(text).partition("/")
    return Fraction(over) / Fraction(under or 1)


def rows(data_dir: Path) -> list[dict[str, Any]]:
    found = json.loads((data_dir / "risk" / "position_sizing.json").read_text())["vectors"]
    return [row for row in found if row.get("kind") != "margin_model"]  # that one has no inputs


@pytest.mark.parametrize("index", range(4))
def test_published_rows(data_dir: Path, index: int) -> None:
    row = rows(data_dir)[index]
    size = fixed_risk_size(
        entry_price=row["entry"],
        stop_price=row["stop"],
        equity=row["equity"],
        risk=row["risk"],
        commission_rate=row.get("commission", 0),
        exchange_rate=number(row.get("xrate", 1)),
        batch=row["batch"],
        units=row["units"],
    )
    assert size == row["expected"]


def test_there_are_no_other_rows_that_can_be_evaluated(data_dir: Path) -> None:
    assert len(rows(data_dir)) == 4


KNOWN: dict[str, Any] = {"entry_price": 110, "stop_price": 100, "equity": 10_000, "risk": "0.01"}


def test_floats_are_taken_as_written() -> None:
    known = {"entry_price": 1.1, "stop_price": 1.0, "equity": 1e6, "risk": 0.001}
    assert fixed_risk_size(**known, batch=1000) == 10_000
    assert 1000 / (1.1 - 1.0) // 1000 * 1000 == 9000  # what floats would have made of it


def test_limits_in_their_order() -> None:
    assert fixed_risk_size(**KNOWN) == 10
    assert fixed_risk_size(**KNOWN, hard_limit=8, units=4) == 2
    assert fixed_risk_size(**KNOWN, units=4, batch=1) == 2
    assert fixed_risk_size(**KNOWN, batch=3, max_quantity=7) == 7
    assert fixed_risk_size(**{**KNOWN, "equity": -5}) == 0


@given(
    equity=st.integers(0, 10**9),
    risk=st.decimals(0, 1, places=4),
    gap=st.integers(1, 50),
    batch=st.sampled_from(["0", "0.001", "1", "1000"]),
    commission=st.decimals(0, Decimal("0.01"), places=4),
)
def test_the_loss_at_the_stop_is_never_above_the_risk(
    equity: int, risk: Decimal, gap: int, batch: str, commission: Decimal
) -> None:
    known = {"entry_price": 100, "stop_price": 100 - gap, "risk": risk, "batch": batch}
    size = fixed_risk_size(**known, equity=equity, commission_rate=commission)
    assert 0 <= size * gap <= equity * risk * (1 + Decimal("1e-20"))
    assert fixed_risk_size(**known, equity=equity + 1, commission_rate=commission) >= size
    assert fixed_risk_size(**known, equity=equity) >= size
    if batch != "0":
        assert size % Decimal(batch) == 0


@pytest.mark.parametrize(
    "wrong",
    [
        {"stop_price": 110},
        {"entry_price": 0},
        {"risk": 2},
        {"commission_rate": 1},
        {"units": 0},
        {"exchange_rate": 0},
        {"batch": -1},
        {"hard_limit": -1},
        {"max_quantity": -1},
        {"equity": float("nan")},
        {"equity": "much"},
    ],
)
def test_what_cannot_be_sized_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(RiskError, match="Expected"):
        fixed_risk_size(**{**KNOWN, **wrong})

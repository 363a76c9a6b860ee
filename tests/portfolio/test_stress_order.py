"""Orders for stress runs: checked with one sentence, answered in plain values."""

import json
import math
from typing import Any

import pytest

from alphaplus.errors import RiskError
from alphaplus.portfolio.stress_inputs import StressHoldings
from alphaplus.portfolio.stress_order import StressOrder, answer_order
from alphaplus.portfolio.stress_run import run_stress
from alphaplus.portfolio.stress_shocks import custom_shock
from tests.portfolio.stress_cases import (
    BTC,
    ETH,
    NOW,
    OWN,
    TIERS,
    account,
    markets,
    position,
    row,
    stress_inputs,
)


def answered(order: dict[str, Any]) -> dict[str, Any]:
    answer = answer_order(StressOrder.of(order), stress_inputs(), now_ns=NOW)
    json.dumps(answer, allow_nan=False)
    return answer


def test_shocks_are_run_as_by_hand() -> None:
    answer = answered({"shocks": {BTC: -0.1}, "common": -0.2, "depth": 0.5, "levels": "none"})
    assert answer["figures"]["portfolio_loss"] == pytest.approx(10 * 10 + 5 * 20)
    assert answer["assumptions"]["depth"] == 0.5
    assert answer["assumptions"]["levels"] == "none"
    found = markets()
    shock = custom_shock(found, {BTC: -0.1}, common=-0.2, depth=0.5)
    by_hand = run_stress(found, StressHoldings(accounts=(OWN,)), TIERS, shock)
    assert answer["markets"] == by_hand.as_dict()["markets"]
    assert answer["as_of"] == NOW


def test_a_scenario_and_a_grid_are_run() -> None:
    answer = answered({"scenario": "common_down_20", "insurance_fund": 5})
    assert answer["name"] == "common_down_20"
    assert answer["figures"]["portfolio_loss"] == pytest.approx(0.2 * 1500)
    assert answer["figures"]["fund_balance"] == 5
    grid = {"shocks": [-0.1, -0.2], "depths": [1, 0.5], "correlations": [0, 1]}
    cells = answered({"grid": grid})["cells"]
    assert len(cells) == 8
    assert cells[0]["figures"]["portfolio_loss"] == pytest.approx(100)
    assert len(answered({"grid": {"shocks": [-0.1]}, "reference": ETH})["cells"]) == 1


def test_what_the_desk_lacks_is_missing_in_the_answer() -> None:
    order = StressOrder.of({"scenario": "btc_down_10"})
    lacking = stress_inputs(
        holdings=StressHoldings(accounts=(OWN,), left_out=("wallet_balance of account b",))
    )
    answer = answer_order(order, lacking, now_ns=NOW)
    assert answer["figures"]["portfolio_loss"] is None
    missing = answer["missing"]["portfolio_loss"]
    assert {"wallet_balance of account b", f"beta of binance:{BTC}"} <= set(missing)
    whole = stress_inputs(betas={f"binance:{BTC}": 1.0, f"binance:{ETH}": 2.0})
    answer = answer_order(order, whole, now_ns=NOW)
    assert answer["figures"]["portfolio_loss"] == pytest.approx(100 + 100, rel=1e-6)


@pytest.mark.parametrize(
    ("order", "sentence"),
    [
        ({}, "Expected one of scenario, shocks (with common) and grid, was none of them."),
        ({"scenario": "a", "common": 0.1}, "was scenario and shocks."),
        ({"scenario": "doom"}, "Expected a scenario of common_down_5"),
        ({"scenario": 7}, "Expected scenario to be a name, was 7."),
        ({"scenario": "common_down_5", "depth": 0.5}, "Expected no depth beside scenario"),
        ({"schock": 1}, "was 'schock' too."),
        ({"shocks": [1]}, "Expected shocks as an object of symbols, was [1]."),
        ({"shocks": {BTC: -1}}, f"Expected shocks.{BTC} above -1 to 10, was -1."),
        ({"shocks": {BTC: "1"}}, f"Expected shocks.{BTC} above -1 to 10, was '1'."),
        ({"shocks": {BTC: True}}, f"Expected shocks.{BTC} above -1"),
        ({"shocks": {BTC: float("nan")}}, f"Expected shocks.{BTC} above -1"),
        ({"shocks": {"SOL": 0.1}}, "Expected shocks of symbols that are watched, was SOL."),
        ({"common": 11}, "Expected common above -1 to 10, was 11."),
        ({"common": 0.1, "depth": 0}, "Expected depth above 0 to 1, was 0."),
        ({"common": 0.1, "insurance_fund": -1}, "Expected insurance_fund from 0"),
        ({"common": 0.1, "levels": "all"}, "Expected levels estimated or none, was 'all'."),
        ({"grid": [1]}, "Expected grid as an object with a list of shocks, was [1]."),
        ({"grid": {"depths": [1]}}, "Expected grid as an object with a list of shocks"),
        ({"grid": {"shocks": []}}, "Expected grid.shocks as a list of numbers, was []."),
        ({"grid": {"shocks": "x"}}, "Expected grid.shocks as a list of numbers, was 'x'."),
        ({"grid": {"shocks": [0.1], "depths": [0]}}, "Expected grid.depths above 0 to 1, was 0."),
        ({"grid": {"shocks": [0.1], "sizes": [1]}}, "was 'sizes' too."),
        ({"grid": {"shocks": [0.1] * 126}}, "Expected at most 125 cells of a grid, was 126."),
        ({"grid": {"shocks": [0.1]}, "reference": "X"}, "Expected a reference that is watched"),
    ],
    ids=repr,
)
def test_a_wrong_order_is_refused_in_one_sentence(order: dict[str, Any], sentence: str) -> None:
    with pytest.raises(RiskError) as caught:
        answered(order)
    assert sentence in str(caught.value)
    assert str(caught.value).count(". ") == 0


def test_currencies_at_par_come_with_the_inputs() -> None:
    other = account(position("BTC-USDC-PERP"), name="other")
    two = {
        "rows": (row(), row("BTC-USDC-PERP")),
        "holdings": StressHoldings(accounts=(account(position()), other)),
    }
    order = StressOrder.of({"common": -0.1})
    apart = answer_order(order, stress_inputs(**two), now_ns=NOW)
    assert apart["figures"]["portfolio_loss"] is None
    together = answer_order(order, stress_inputs(**two, at_par=("USDT", "USDC")), now_ns=NOW)
    assert together["figures"]["portfolio_loss"] == pytest.approx(200)


def test_the_volatility_of_the_desk_stands_in_for_one_that_is_not_live_yet() -> None:
    order = StressOrder.of({"common": -0.1})
    young = {"rows": (row(sigma_per_sqrt_hour=math.nan), row(ETH))}
    lacking = answer_order(order, stress_inputs(**young), now_ns=NOW)
    assert lacking["missing"]["portfolio_loss"] == [f"volatility of binance:{BTC}"]
    known = stress_inputs(**young, sigmas={f"binance:{BTC}": 0.01})
    whole = answer_order(order, stress_inputs(), now_ns=NOW)
    assert answer_order(order, known, now_ns=NOW)["markets"] == whole["markets"]

"""Portfolio metrics: against plain revaluation, after moves, and with inputs missing."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alphaplus.errors import RiskError
from alphaplus.risk.estimators import tail_risk
from alphaplus.risk.portfolio_inputs import PortfolioInputs
from alphaplus.risk.portfolio_report import RiskReport
from alphaplus.risk.portfolio_risk import PortfolioRisk
from alphaplus.risk.revaluation import Positions
from alphaplus.risk.scenarios import common_shocks
from benchmarks.risk import portfolio

EXAMPLES = settings(max_examples=25)
SYMBOLS, POSITIONS, SCENARIOS = 5, 12, 120
FIGURES = {f"{m}_{h}" for m in ("var_95", "var_99", "es_975") for h in ("1d", "1h")}


def made(**changes: Any) -> tuple[PortfolioInputs, np.ndarray]:
    inputs, marks = portfolio(SYMBOLS, POSITIONS, SCENARIOS)
    return replace(inputs, **changes), marks


def report(inputs: PortfolioInputs, marks: np.ndarray) -> RiskReport:
    return PortfolioRisk(inputs, marks).report(7)


def holding(**columns: Any) -> tuple[PortfolioInputs, np.ndarray]:
    """Return the made-up portfolio with other positions and without what goes with the old."""
    return made(
        positions=Positions.of(**columns),
        coins=None,
        liquidation_prices=None,
        maintenance_rate=None,
        maintenance_amount=None,
        leverage=None,
    )


def plain_gains(inputs: PortfolioInputs, marks: np.ndarray, horizon: str) -> np.ndarray:
    """Revalue each position and coin in each scenario, one by one: [scenarios, symbols]."""
    positions, returns = inputs.positions, inputs.scenarios[horizon]
    gains = np.zeros((len(returns), len(marks)))
    for scenario, row in enumerate(returns):
        for at in range(len(positions)):
            symbol = positions.symbol[at]
            now, then = marks[symbol], marks[symbol] * (1 + row[symbol])
            signed = positions.side[at] * positions.quantity[at]
            if inputs.inverse[symbol]:
                gains[scenario, symbol] += signed * (1 / now - 1 / then) * now
            else:
                gains[scenario, symbol] += signed * (then - now)
        if inputs.coins is not None:
            gains[scenario] += inputs.coins * marks * row
    return gains


@pytest.mark.parametrize("horizon", ["1d", "1h"])
def test_every_tail_metric_is_that_of_plain_revaluation(horizon: str) -> None:
    inputs, marks = made(inverse=np.array([True, False, True, False, False]))
    found = report(inputs, marks)
    losses = -plain_gains(inputs, marks, horizon)
    for level, measure in ((0.95, "var_95"), (0.99, "var_99"), (0.975, "es_975")):
        tail = tail_risk(losses.sum(axis=1), level)
        expected = tail.expected_shortfall if measure == "es_975" else tail.value_at_risk
        assert found.value(f"{measure}_{horizon}") == pytest.approx(expected, rel=1e-12)
        share = found.value(f"{measure}_{horizon}_pct")
        assert share == pytest.approx(expected / found.value("equity"), rel=1e-12)
    if horizon == "1d":
        whole = tail_risk(losses.sum(axis=1), 0.99).value_at_risk
        for symbol in range(SYMBOLS):
            rest = tail_risk(np.delete(losses, symbol, axis=1).sum(axis=1), 0.99).value_at_risk
            assert found.series["incremental_var_99_1d"].values[symbol] == pytest.approx(
                whole - rest, rel=1e-9
            )


def test_parts_add_up_to_the_whole() -> None:
    inputs, marks = made()
    found = report(inputs, marks)
    for part, whole in (
        ("component_var_99_1d", "var_99_1d"),
        ("component_es_975_1d", "es_975_1d"),
    ):
        assert found.series[part].values.sum() == pytest.approx(found.value(whole), rel=1e-9)
    exposures = PortfolioRisk(inputs, marks)._values
    marginal = found.series["marginal_var_99_1d"].values
    assert found.series["component_var_99_1d"].values == pytest.approx(
        marginal * (exposures.notional + exposures.coins)
    )


def assert_same(a: RiskReport, b: RiskReport) -> None:
    assert a.figures.keys() == b.figures.keys()
    for name, figure in a.figures.items():
        other = b.figures[name]
        assert (figure.missing, figure.flags) == (other.missing, other.flags), name
        if figure.value is not None:
            assert figure.value == pytest.approx(other.value, rel=1e-9, abs=1e-9), name
    for name, series in a.series.items():
        other_values = b.series[name].values
        if series.values is None:
            assert other_values is None, name
        else:
            np.testing.assert_allclose(series.values, other_values, rtol=1e-9, atol=1e-6)


@EXAMPLES
@given(
    st.lists(
        st.tuples(
            st.integers(0, SYMBOLS - 1),
            st.one_of(st.floats(0.3, 3.0), st.sampled_from([np.nan, 0.0])),
        ),
        min_size=1,
        max_size=8,
    )
)
def test_after_moves_it_is_as_new(moves: list[tuple[int, float]]) -> None:
    inputs, marks = made()
    moved = PortfolioRisk(inputs, marks)
    now = marks.copy()
    for symbol, factor in moves:
        now[symbol] = marks[symbol] * factor
        moved.move(symbol, now[symbol])
        moved.report(7)
    assert_same(moved.report(7), report(inputs, now))


def test_every_metric_is_known_where_no_input_is_missing() -> None:
    found = report(*made())
    unknown = {name: f.missing for name, f in found.figures.items() if f.value is None}
    assert set(unknown) <= {"joint_distance_down", "joint_distance_up"}
    assert set(unknown.values()) <= {("no common shock reaches the maintenance margin",)}
    assert all(item.values is not None for item in found.series.values())
    assert {item.as_of for item in found.figures.values()} == {7}
    assert found.figures["var_99_1d"].n_obs == SCENARIOS
    assert found.figures["var_99_1d"].method == "filtered_historical"
    json.dumps(found.as_dict(), allow_nan=False)


@EXAMPLES
@given(st.permutations(range(POSITIONS)))
def test_the_order_of_positions_does_not_matter(order: list[int]) -> None:
    inputs, marks = made()
    columns = inputs.positions
    at = np.array(order)
    mixed = replace(
        inputs,
        positions=Positions.of(
            columns.symbol[at],
            columns.side[at],
            columns.quantity[at],
            columns.entry_price[at],
            columns.venue[at],
        ),
        liquidation_prices=inputs.liquidation_prices[at],
        maintenance_rate=inputs.maintenance_rate[at],
        maintenance_amount=inputs.maintenance_amount[at],
        leverage=inputs.leverage[at],
    )
    a, b = report(inputs, marks), report(mixed, marks)
    for name in ("distance_to_liq", "distance_to_liq_sigma_1d"):
        series = a.series[name]
        a.series[name] = replace(series, values=series.values[at])
    assert_same(a, b)


@EXAMPLES
@given(st.floats(0.1, 50.0))
def test_a_book_of_twice_the_size_has_twice_the_risk(size: float) -> None:
    inputs, marks = made(coins=None, depth=None)
    columns = inputs.positions
    scaled = replace(inputs, positions=replace(columns, quantity=size * columns.quantity))
    a, b = report(inputs, marks), report(scaled, marks)
    for name in (
        *FIGURES,
        "gross_exposure",
        "net_exposure",
        "long_exposure",
        "short_exposure",
        "beta_exposure",
        "stressed_corr_var_99_1d",
        "funding_8h_cost",
        "initial_margin",
    ):
        assert b.value(name) == pytest.approx(size * a.value(name), rel=1e-9), name
    for name in ("concentration_hhi", "effective_bets", "avg_pairwise_corr"):
        assert b.value(name) == pytest.approx(a.value(name), rel=1e-9), name


@EXAMPLES
@given(st.floats(0.01, 1e4), st.integers(0, SYMBOLS - 1))
def test_a_hedged_pair_has_no_risk(quantity: float, symbol: int) -> None:
    inputs, marks = holding(
        symbol=[symbol, symbol], side=[1, -1], quantity=[quantity, quantity], entry_price=[9, 11]
    )
    found = report(inputs, marks)
    for name in FIGURES:
        assert found.value(name) == 0.0
    assert found.value("net_exposure") == 0.0
    assert found.value("gross_exposure") > 0
    assert found.series["incremental_var_99_1d"].values[symbol] == 0.0
    assert found.value("effective_bets") is None
    assert found.figures["effective_bets"].missing


@EXAMPLES
@given(st.integers(0, 2**32))
def test_shortfall_is_subadditive_and_at_least_the_quantile(seed: int) -> None:
    source = np.random.default_rng(seed)
    inputs, marks = made(coins=None, depth=None)
    columns = inputs.positions
    first = source.random(POSITIONS) < 0.5
    parts = [
        report(replace(inputs, positions=replace(columns, quantity=columns.quantity * mask)), marks)
        for mask in (first, ~first, np.ones(POSITIONS))
    ]
    one, other, whole = (part.value("es_975_1d") for part in parts)
    assert whole <= one + other + 1e-9 * (abs(one) + abs(other))
    for part in parts:
        for horizon in ("1d", "1h"):
            var_95, var_99 = part.value(f"var_95_{horizon}"), part.value(f"var_99_{horizon}")
            assert var_99 >= var_95
            assert part.value(f"es_975_{horizon}") >= var_95


@EXAMPLES
@given(st.integers(0, 2**32))
def test_bounds(seed: int) -> None:
    source = np.random.default_rng(seed)
    inputs, marks = made()
    found = report(inputs, marks * source.uniform(0.5, 2, SYMBOLS))
    assert found.value("stressed_corr_var_99_1d") >= found.value("var_99_1d")
    assert found.value("lvar_99_1d") >= found.value("var_99_1d")
    assert 1 <= found.value("effective_bets") <= SYMBOLS
    assert found.value("available_margin") >= 0
    assert 0 < found.value("absorption_ratio_1") <= found.value("absorption_ratio_n5") <= 1
    assert 1 / SYMBOLS <= found.value("concentration_hhi") <= 1
    assert found.value("worst_stress_loss") == found.series["stress_loss"].values.max()
    assert 0 <= found.value("drawdown") <= found.value("max_drawdown")


@pytest.mark.parametrize(
    ("changes", "gone"),
    [
        ({"scenarios": {}}, FIGURES | {"lvar_99_1d", "stressed_corr_var_99_1d"}),
        ({"wallet_balance": None}, {"equity", "margin_ratio", "effective_leverage", "drawdown"}),
        ({"wallet_balance": np.nan}, {"equity", "available_margin", "reverse_stress"}),
        ({"covariance": None}, {"effective_bets", "avg_pairwise_corr", "absorption_ratio_1"}),
        ({"betas": None}, {"beta_exposure"}),
        ({"depth": None}, {"exit_cost_usd", "lvar_99_1d", "worst_stress_loss"}),
        ({"daily_volume": None}, {"days_to_exit"}),
        ({"funding_rates": None}, {"funding_8h_cost", "worst_stress_loss"}),
        ({"maintenance_rate": None}, {"maintenance_margin", "margin_ratio", "reverse_stress"}),
        ({"leverage": None}, {"initial_margin", "margin_utilisation", "available_margin"}),
        ({"equity_curve": None}, {"drawdown", "cdar_95", "evar_95", "realised_vol_1d"}),
        ({"stress": ()}, {"worst_stress_loss", "margin_ratio_stressed"}),
    ],
)
def test_what_is_missing_makes_null_what_needs_it_and_nothing_else(
    changes: dict[str, Any], gone: set[str]
) -> None:
    whole = report(*made())
    found = report(*made(**changes))
    for name in gone:
        assert found.value(name) is None, name
        assert found.figures[name].missing, name
    assert found.value("gross_exposure") == whole.value("gross_exposure")
    same = [n for n in found.figures if found.value(n) == whole.value(n)]
    assert len(same) >= len(found.figures) - 26
    json.dumps(found.as_dict(), allow_nan=False)


def test_an_unknown_mark_is_named() -> None:
    inputs, marks = made()
    marks[2] = np.nan
    found = report(inputs, marks)
    assert found.figures["var_99_1d"].missing == ("mark_price of S2-USDT-PERP",)
    assert found.value("gross_exposure") is None
    assert found.value("avg_pairwise_corr") is not None  # needs no mark
    assert found.series["stress_loss"].values is None


def test_an_unknown_mark_of_what_is_not_held_does_not_matter() -> None:
    inputs, marks = holding(symbol=[0, 1], side=[1, -1], quantity=[2, 3], entry_price=[9, 9])
    marks[4] = np.nan
    returns = inputs.scenarios["1d"].copy()
    returns[:, 4] = np.nan
    found = report(replace(inputs, scenarios={"1d": returns}), marks)
    assert found.value("var_99_1d") is not None
    assert found.value("effective_bets") is not None


def test_a_nan_in_returns_that_are_held_is_named() -> None:
    inputs, marks = made()
    returns = inputs.scenarios["1d"].copy()
    returns[3, 1] = np.nan
    found = report(replace(inputs, scenarios={"1d": returns, "1h": returns * 0.0}), marks)
    assert found.figures["var_99_1d"].missing == ("every 1d return of S1-USDT-PERP",)


def test_a_stale_mark_is_missing_and_its_age_is_said() -> None:
    inputs, marks = made()
    risk = PortfolioRisk(inputs, marks, np.array([100, 90, 100, 100, 100]))
    assert risk.report(110).mark_age_ns == 20
    assert risk.report(110, max_mark_age_ns=20).value("equity") is not None
    assert "younger" in risk.report(111, max_mark_age_ns=20).figures["equity"].missing[0]
    risk.move(1, float(marks[1]), 105)
    assert risk.report(111, max_mark_age_ns=20).value("equity") is not None


def test_a_singular_covariance_gives_no_bets_but_all_the_rest() -> None:
    found = report(*made(covariance=np.full((SYMBOLS, SYMBOLS), 0.04)))
    assert found.figures["effective_bets"].missing == ("a covariance of full rank",)
    assert found.value("absorption_ratio_1") == pytest.approx(1.0)


def test_a_covariance_that_is_none_is_repaired_and_says_so() -> None:
    covariance = np.full((SYMBOLS, SYMBOLS), -0.02) + 0.06 * np.eye(SYMBOLS)
    found = report(*made(covariance=covariance))
    assert "covariance_repaired" in found.figures["avg_pairwise_corr"].flags


def test_few_scenarios_are_flagged() -> None:
    inputs, marks = made()
    few = replace(inputs, scenarios={"1d": inputs.scenarios["1d"][:30]})
    found = report(few, marks)
    assert found.figures["var_99_1d"].flags == ("insufficient_tail",)
    assert found.figures["var_95_1d"].flags == ()


def test_no_equity_is_bankrupt_and_not_a_ratio() -> None:
    found = report(*made(wallet_balance=-1e9))
    assert found.value("margin_ratio") is None
    assert found.figures["margin_ratio"].flags == ("bankrupt",)
    assert found.value("available_margin") == 0.0
    assert found.value("reverse_stress") == 0.0
    assert found.figures["reverse_stress"].flags == ("liquidatable_now",)
    assert found.figures["var_99_1d_pct"].missing == ("equity above 0",)


def test_a_portfolio_of_nothing_risks_nothing() -> None:
    inputs, marks = holding(symbol=[], side=[], quantity=[], entry_price=[])
    marks[:] = np.nan
    found = report(inputs, marks)
    assert found.value("var_99_1d") == 0.0
    assert found.value("gross_exposure") == 0.0
    assert found.value("margin_ratio") is None
    assert found.value("equity") == inputs.wallet_balance


def test_one_position_by_hand() -> None:
    inputs, marks = made(
        positions=Positions.of([1], [1], [10], [90]),
        inverse=np.zeros(SYMBOLS, bool),
        coins=None,
        wallet_balance=200.0,
        liquidation_prices=np.array([80.0]),
        maintenance_rate=np.array([0.01]),
        maintenance_amount=np.array([2.0]),
        leverage=np.array([5.0]),
        equity_curve=np.array([100.0, 400.0]),
        stress=common_shocks(SYMBOLS),
    )
    marks[1] = 100.0
    found = report(inputs, marks)
    assert found.value("equity") == pytest.approx(300)
    assert found.value("maintenance_margin") == pytest.approx(8)
    assert found.value("margin_ratio") == pytest.approx(8 / 300)
    assert found.value("margin_utilisation") == pytest.approx(200 / 300)
    assert found.value("available_margin") == pytest.approx(100)
    assert found.value("effective_leverage") == pytest.approx(1000 / 300)
    assert found.series["distance_to_liq"].values[0] == pytest.approx(0.2)
    assert found.value("worst_stress_loss") == pytest.approx(300)
    assert found.figures["worst_stress_loss"].flags == ("common_down_30",)
    assert found.figures["margin_ratio_stressed"].flags == ("bankrupt",)
    # 300 + 1000 x = 10 (1 + x) - 2 at x = -292 / 990
    assert found.value("reverse_stress") == pytest.approx(-292 / 990)
    assert found.value("joint_distance_down") == pytest.approx(292 / 990)
    assert found.figures["joint_distance_up"].flags == ("no_liquidation_shock",)
    assert found.value("drawdown") == pytest.approx(0.25)
    assert found.value("avg_pairwise_corr") is None
    assert found.value("effective_bets") == 1.0


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"betas": np.zeros(2)}, "betas"),
        ({"leverage": np.zeros(2)}, "leverage"),
        ({"covariance": np.zeros((2, 2))}, "covariance"),
        ({"scenarios": {"1d": np.zeros((4, 2))}}, "1d returns"),
        ({"positions": Positions.of([9], [1], [1], [1])}, "positions"),
        ({"stress": common_shocks(2)}, "common_down_5"),
    ],
)
def test_arrays_of_another_length_are_refused(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(RiskError, match=says):
        made(**changes)
    with pytest.raises(RiskError, match="mark"):
        PortfolioRisk(made()[0], np.ones(2))


@EXAMPLES
@given(st.integers(0, SYMBOLS - 1), st.floats(0.5, 2.0), st.booleans())
def test_refreshed_inputs_are_as_new_ones(symbol: int, factor: float, other: bool) -> None:
    inputs, marks = made()
    moved = PortfolioRisk(inputs, marks)
    moved.report(7)
    moved.move(symbol, marks[symbol] * factor)
    depth = inputs.depth
    changed = replace(
        inputs,
        wallet_balance=1e5,
        depth=None if depth is None else depth.scaled(factor),
        equity_curve=np.array([1e6, 2e6]),
        stress=common_shocks(SYMBOLS) if other else inputs.stress,
        scenarios={"1d": inputs.scenarios["1d"] * 0.5} if other else inputs.scenarios,
    )
    moved.refresh(changed)
    assert_same(moved.report(8), PortfolioRisk(changed, moved.marks).report(8))


def test_refresh_takes_positions_that_were_not_held_before() -> None:
    inputs, marks = holding(symbol=[0], side=[1], quantity=[2.0], entry_price=[1.0])
    risk = PortfolioRisk(inputs, marks)
    more = Positions.of([0, 3], [1, -1], [2.0, 5.0], [1.0, 1.0])
    changed = replace(inputs, positions=more)
    risk.refresh(changed)
    assert_same(risk.report(7), report(changed, marks))
    with pytest.raises(RiskError, match="same symbols"):
        risk.refresh(replace(inputs, symbols=tuple(reversed(inputs.symbols))))


def test_reasons_that_are_given_stand_in_the_sheet() -> None:
    inputs, marks = made(
        scenarios={},
        unknown={"1d": ("history of X: 3 of 500",), "marks": ("one currency",)},
        observations={"1h": 3},
    )
    found = report(inputs, marks)
    assert found.figures["var_99_1d"].missing == ("history of X: 3 of 500", "one currency")
    assert found.figures["var_99_1h"].missing == ("1h scenarios", "one currency")
    assert found.figures["equity"].missing == ("one currency",)


def test_observations_are_said_where_scenarios_are_drawn() -> None:
    inputs, marks = made(observations={"1d": 77})
    found = report(inputs, marks)
    assert found.figures["var_99_1d"].n_obs == 77
    assert found.series["component_es_975_1d"].n_obs == 77
    assert found.figures["var_99_1h"].n_obs == SCENARIOS
    assert found.value("var_99_1d") == report(*made()).value("var_99_1d")

"""Stress runs: losses that can be checked by hand, a naive twin of the cascade, honest gaps."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alphaplus.analysis.market_risk import BINS, ladder, level_prices
from alphaplus.errors import RiskError
from alphaplus.portfolio.stress_exchange import StressRules
from alphaplus.portfolio.stress_inputs import StressHoldings
from alphaplus.portfolio.stress_run import run_stress, stress_grid
from alphaplus.portfolio.stress_shocks import custom_shock, named_shock, scenario_names
from alphaplus.risk.cascade import Accounts, Market, Rules, simulate
from alphaplus.risk.impact import Depth
from tests.portfolio.stress_cases import (
    BTC,
    ETH,
    NOW,
    RATE,
    TIERS,
    account,
    figures_of,
    levels,
    markets,
    position,
    row,
)

QUIET = StressRules(cascade=Rules(withdrawal=0.0))


def stress(found: Any, accounts: Any, shock: Any, rules: StressRules | None = None) -> Any:
    return run_stress(found, StressHoldings(accounts=tuple(accounts)), TIERS, shock, rules)


def test_without_levels_and_positions_a_shock_is_all_that_happens() -> None:
    found = markets()
    outcome = stress(found, [], custom_shock(found, {BTC: -0.1}))
    btc, eth = outcome.markets
    assert btc.final_price == pytest.approx(90.0)
    assert btc.amplification == pytest.approx(1.0)
    assert (eth.final_price, eth.amplification) == (100.0, None)
    assert outcome.figures["liquidated_notional"] == 0
    assert outcome.figures["portfolio_loss"] is None
    assert outcome.missing["portfolio_loss"] == ("positions",)
    assert outcome.settled


def test_levels_alone_give_what_the_cascade_itself_gives() -> None:
    rows = (
        row(long_level_quantity=levels((20, 3e3), (40, 5e4)), bid_quantity=np.full(BINS, 500.0)),
        row(ETH, short_level_quantity=levels((30, 1e3))),
    )
    found = markets(*rows)
    outcome = stress(found, [], custom_shock(found, {BTC: -0.05, ETH: 0.03}))
    columns = []
    for at, item in enumerate(rows):
        prices = level_prices(item)
        assert prices is not None
        for side, (price, quantity) in zip((1.0, -1.0), prices, strict=True):
            columns += [
                (at, side, q, p, p * (1 - side * RATE))
                for p, q in zip(price, quantity, strict=True)
                if q
            ]
    ladders = [ladder(item) for item in rows]
    cascade = simulate(
        Market(
            prices=np.array([100.0, 100.0]),
            depth=Depth(
                distance=np.stack([x[0] for x in ladders if x]),
                quantity=np.stack([x[1] for x in ladders if x]),
                sigma=np.full(2, 0.01 * 24**0.5),
                volume=np.full(2, 1e6),
            ),
            accounts=Accounts.of(*map(np.array, zip(*columns, strict=True))),
        ),
        [-0.05, 0.03],
    )
    assert figures_of(outcome.markets, "final_price") == pytest.approx(cascade.final_price)
    assert figures_of(outcome.markets, "amplification") == pytest.approx(cascade.amplification)
    assert cascade.amplification[0] > 1.01, "or this compares nothing"
    figures = outcome.figures
    assert figures["liquidated_notional"] == pytest.approx(cascade.liquidated_value)
    assert figures["worst_amplification"] == pytest.approx(cascade.amplification.max())
    assert figures["shortfall"] == pytest.approx(cascade.residual_deficit)
    assert figures["deleveraged_notional"] == pytest.approx(cascade.adl_value)


def test_an_account_that_stands_loses_what_revaluation_says() -> None:
    found = markets()
    own = account(position(BTC, 10.0), position(ETH, -4.0))
    outcome = stress(found, [own], custom_shock(found, {BTC: -0.1, ETH: -0.05}))
    (after,) = outcome.accounts
    assert (after.state, after.equity_before) == ("standing", 1000.0)
    assert after.loss == pytest.approx(10 * 10 - 4 * 5)
    assert after.margin_ratio_after == pytest.approx(RATE * (10 * 90 + 4 * 95) / 920)
    assert outcome.figures["portfolio_loss_pct"] == pytest.approx(0.08)
    assert outcome.figures["accounts_liquidated"] == 0


@pytest.mark.parametrize("is_taken", [False, True])
def test_an_isolated_position_is_lost_at_the_engines_price(is_taken: bool) -> None:
    found = markets()
    price = (100 - 10) / (1 - RATE)  # at 10x
    shock = price / 100 - 1 + (-1e-6 if is_taken else 1e-6)
    own = account(position(), position(ETH, 1.0), mode="isolated", wallet=500.0)
    outcome = stress(found, [own], custom_shock(found, {BTC: shock}), QUIET)
    (after,) = outcome.accounts
    assert after.equity_before == 500.0
    assert after.state == ("partly_liquidated" if is_taken else "standing")
    assert after.loss == pytest.approx(100.0 if is_taken else -10 * 100 * shock)
    assert outcome.markets[0].liquidated_long == pytest.approx(10 * price if is_taken else 0)


def test_the_move_that_others_cause_takes_an_account_that_the_shock_alone_would_not() -> None:
    thin = {"bid_quantity": np.full(BINS, 20.0)}
    calm, crowded = (
        markets(row(**thin, long_level_quantity=levels(*at)), row(ETH))
        for at in ((), ((30, 900.0),))
    )
    own = account(position(quantity=300.0), mode="isolated", wallet=3000.0)
    shock = custom_shock(calm, {BTC: -0.08})
    spared, taken = (stress(item, [own], shock) for item in (calm, crowded))
    assert spared.accounts[0].state == "standing"
    assert taken.accounts[0].state == "liquidated"
    without = stress(crowded, [], shock)
    assert without.markets[0].final_price < 90.45, "others alone bring the mark to its price"
    assert taken.markets[0].final_price < without.markets[0].final_price
    assert taken.accounts[0].loss == pytest.approx(3000.0)


def test_a_cross_account_is_closed_in_markets_that_were_not_shocked_too() -> None:
    found = markets(row(), row(ETH, bid_quantity=np.full(BINS, 1.0)))
    own = account(position(BTC, 100.0), position(ETH, 50.0), wallet=1500.0)
    outcome = stress(found, [own], custom_shock(found, {BTC: -0.2}))
    btc, eth = outcome.markets
    assert outcome.accounts[0].state == "liquidated"
    assert outcome.accounts[0].loss == 1500.0
    assert eth.liquidated_long == pytest.approx(5000.0)
    assert eth.final_price < 99.9
    assert eth.amplification is None
    # both run out together, on the way of all marks: 1500 - 100 x = 0.005 (15000 - 100 x)
    fall = (1500 - RATE * 15000) / (100 * (1 - RATE))
    assert btc.liquidated_long == pytest.approx(100 * (100 - fall), rel=1e-6)


def test_an_account_at_its_margin_before_the_shock_is_taken_at_once() -> None:
    found = markets()
    own = account(position(entry_price=110.0, leverage=10.0), wallet=100.0)
    outcome = stress(found, [own], custom_shock(found, {ETH: -0.01}))
    assert outcome.accounts[0].state == "liquidated"
    assert outcome.accounts[0].loss == pytest.approx(0.0)
    assert outcome.markets[0].liquidated_long == pytest.approx(1000.0)


def test_a_winner_is_deleveraged_where_fund_and_book_do_not_suffice() -> None:
    others = {"long_level_quantity": levels((30, 900.0)), "bid_quantity": np.full(BINS, 1.0)}
    found = markets(row(**others), row(ETH))
    short = account(position(quantity=-50.0, leverage=5.0), wallet=2000.0)
    shock = custom_shock(found, {BTC: -0.1})
    poor = stress(found, [short], shock)
    rich = stress(found, [short], shock, StressRules(insurance_fund=1e9))
    loss = {name: item.accounts[0].loss for name, item in (("poor", poor), ("rich", rich))}
    assert poor.accounts[0].deleveraged_notional > 0
    assert rich.accounts[0].deleveraged_notional == 0
    assert rich.figures["fund_draw"] > 0
    fall = 100 - rich.markets[0].final_price
    assert loss["rich"] == pytest.approx(-50 * fall)
    # all of it is closed at the bankruptcy price of the levels instead of the last mark
    (price,) = poor.accounts[0].deleveraged_notional / np.array([50.0])
    assert loss["poor"] == pytest.approx(-50 * (100 - price))
    assert loss["poor"] > loss["rich"]


def test_inverse_contracts_are_valued_in_their_coin() -> None:
    coin = "BTC-USD-PERP"
    found = markets(row(coin), row(ETH))
    held = position(coin, 1000.0, inverse=True, maintenance_margin_rate=RATE)
    own = account(held, wallet=5.0, venue="binancecoinm")
    outcome = stress(
        found, [own], custom_shock(found, {coin: -0.1}), StressRules(estimated_levels=False)
    )
    after = outcome.accounts[0]
    assert after.equity_before == pytest.approx(500.0)
    assert after.equity_after == pytest.approx((5 + 1000 * (1 / 100 - 1 / 90)) * 90)


def test_collateral_funding_outage_and_closing_are_losses_of_their_own() -> None:
    rates = {f"binance:{BTC}": 0.001, f"binance:{ETH}": -0.002}
    found = markets(funding_rates=rates)
    own = account(position(BTC, 10.0), position(ETH, 5.0))
    stable = stress(found, [own], named_shock("stablecoin_-5", found, BTC))
    assert stable.figures["portfolio_loss"] == pytest.approx(50.0)
    funding = stress(found, [own], named_shock("funding_x10", found, BTC))
    assert funding.figures["portfolio_loss"] == pytest.approx(10 * (1000 * 0.001 - 500 * 0.002))
    gone = stress(found, [own], named_shock("outage_binance_up", found, BTC))
    assert gone.figures["portfolio_loss"] == 0, "a gain of 150 that nobody can take"
    loses = stress(found, [own], named_shock("outage_binance_down", found, BTC))
    assert loses.figures["portfolio_loss"] == pytest.approx(150.0)
    thin = stress(found, [own], named_shock("depth_x0.1", found, BTC))
    full = stress(found, [own], custom_shock(found, {}))
    assert full.figures["portfolio_loss"] == pytest.approx(0.0)
    assert thin.figures["portfolio_loss"] == pytest.approx(thin.figures["exit_cost"])
    assert thin.figures["exit_cost"] >= full.figures["exit_cost"] > 0


def test_markets_of_two_exchanges_have_a_fund_each() -> None:
    crowded = {"long_level_quantity": levels((30, 900.0)), "bid_quantity": np.full(BINS, 1.0)}
    found = markets(row(**crowded), row(exchange="bybit", **crowded))
    outcome = stress(
        found, [], custom_shock(found, {}, common=-0.1), StressRules(insurance_fund=1.0)
    )
    assert outcome.figures["fund_draw"] == pytest.approx(2.0)
    assert outcome.markets[0].final_price == outcome.markets[1].final_price


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"mark_price": np.nan}, f"mark_price of binance:{ETH}"),
        ({"bid_quantity": np.full(BINS, np.nan)}, f"book of binance:{ETH}"),
        ({"sigma_per_sqrt_hour": np.nan}, f"volatility of binance:{ETH}"),
        ({"volume_24h": np.nan}, f"volume_24h of binance:{ETH}"),
        ({"long_level_quantity": np.full(BINS, np.nan)}, f"liquidation levels of binance:{ETH}"),
        ({"ts_recv": NOW - 60 * 10**9}, f"update of binance:{ETH} within 10 s"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_market_that_lacks_an_input_is_named_and_nothing_is_made_up(
    changes: dict[str, Any], reason: str
) -> None:
    found = markets(row(), row(ETH, **changes), now_ns=NOW, max_age_ns=10 * 10**9)
    holds = account(position(BTC), position(ETH), name="holds")
    apart = account(position(BTC), name="apart")
    outcome = stress(found, [holds, apart], custom_shock(found, {}, common=-0.05))
    btc, eth = outcome.markets
    assert btc.final_price == pytest.approx(95.0)
    assert reason in eth.missing
    assert (eth.final_price, eth.amplification, eth.liquidated_long) == (None, None, None)
    assert outcome.figures["liquidated_notional"] is None
    assert reason in outcome.missing["liquidated_notional"]
    first, second = outcome.accounts
    assert (first.state, first.loss, first.equity_after) == ("unknown", None, None)
    assert reason in first.missing
    assert second.loss == pytest.approx(50.0)
    assert outcome.figures["portfolio_loss"] is None
    assert reason in outcome.missing["portfolio_loss"]
    alone = stress(found, [apart], custom_shock(found, {}, common=-0.05))
    assert alone.figures["portfolio_loss"] == pytest.approx(50.0)
    if "levels" in reason:
        own = StressRules(estimated_levels=False)
        known = stress(found, [holds], custom_shock(found, {}, common=-0.05), own)
        assert known.figures["portfolio_loss"] == pytest.approx(100.0)


def test_other_missing_inputs_are_named() -> None:
    found = markets()
    stray = account(position("SOL-USDT-PERP"))
    outcome = stress(found, [stray], custom_shock(found, {}))
    assert "market binance:SOL-USDT-PERP" in outcome.missing["portfolio_loss"]
    untiered = account(position(), exchange="okx")
    rows = markets(row(exchange="okx"))
    outcome = run_stress(rows, StressHoldings(accounts=(untiered,)), {}, custom_shock(rows, {}))
    assert f"leverage tiers of okx:{BTC}" in outcome.missing["portfolio_loss"]
    own = StressRules(estimated_levels=False)
    outcome = run_stress(
        rows, StressHoldings(accounts=(untiered,)), {}, custom_shock(rows, {}), own
    )
    assert any("tiers" in reason for reason in outcome.missing["portfolio_loss"])
    outcome = stress(found, [account(position())], named_shock("funding_x10", found, BTC))
    assert outcome.missing["portfolio_loss"] == (f"funding_rate of binance:{BTC}",)
    outcome = stress(found, [account(position())], named_shock("btc_down_10", found, BTC))
    assert f"beta of binance:{BTC}" in outcome.missing["portfolio_loss"]
    assert outcome.markets[0].shock is None


def test_totals_need_every_account_and_one_currency() -> None:
    found = markets(row(), row("BTC-USDC-PERP"))
    shock = custom_shock(found, {}, common=-0.1)
    own = (account(position()), account(position("BTC-USDC-PERP"), name="other"))
    apart = stress(found, own, shock)
    assert [item.loss for item in apart.accounts] == pytest.approx([100, 100])
    assert apart.figures["portfolio_loss"] is None
    assert "one currency, were USDC and USDT" in apart.missing["portfolio_loss"][0]
    together = stress(found, own, shock, StressRules(at_par=("USDT", "USDC")))
    assert together.figures["portfolio_loss"] == pytest.approx(200)
    assert together.assumptions["at_par"] == ["USDC", "USDT"]
    partly = StressHoldings(accounts=own[:1], left_out=("wallet_balance of account x",))
    outcome = run_stress(found, partly, TIERS, shock)
    assert outcome.missing["portfolio_loss"] == ("wallet_balance of account x",)
    assert outcome.accounts[0].loss == pytest.approx(100)


def test_every_named_scenario_runs_and_another_name_is_refused() -> None:
    found = markets(betas={f"binance:{BTC}": 1.0, f"binance:{ETH}": 1.5}, funding_rates=RATES)
    own = account(position(BTC, 10.0, leverage=5.0), position(ETH, 10.0), wallet=2000.0)
    names = scenario_names(found)
    assert len(names) == 26
    losses = {
        name: stress(found, [own], named_shock(name, found, BTC)).figures["portfolio_loss"]
        for name in names
    }
    assert None not in losses.values()
    assert losses["btc_down_10"] == pytest.approx(10 * 10 + 10 * 15, rel=1e-6)
    assert losses["common_down_5"] < losses["common_down_10"] < losses["common_down_30"]
    with pytest.raises(RiskError, match=r"Expected a scenario of common_down_5, .* was 'doom'"):
        named_shock("doom", found, BTC)
    with pytest.raises(RiskError, match="Expected X, which others are measured by"):
        named_shock("alts_x1.5_down", found, "X")


RATES = {f"binance:{BTC}": 0.0001, f"binance:{ETH}": 0.0001}


@settings(deadline=None, max_examples=60)
@given(
    small=st.floats(0.001, 0.3),
    more=st.floats(0, 0.3),
    depth=st.floats(0.05, 1),
    crowd=st.lists(st.tuples(st.integers(5, 60), st.floats(1, 2000)), max_size=6),
    leverage=st.floats(2, 50),
)
def test_the_loss_of_longs_never_falls_with_the_shock_or_as_depth_shrinks(
    small: float, more: float, depth: float, crowd: list[tuple[int, float]], leverage: float
) -> None:
    found = markets(row(long_level_quantity=levels(*crowd)), row(ETH))
    own = account(position(quantity=100.0), wallet=10_000 / leverage)

    def loss(shock: float, depth: float) -> tuple[float, float]:
        outcome = stress(found, [own], custom_shock(found, {BTC: -shock}, depth=depth))
        return outcome.figures["portfolio_loss"], outcome.figures["liquidated_notional"]

    base, larger, thinner = loss(small, 1.0), loss(small + more, 1.0), loss(small, depth)
    assert larger[0] >= base[0] - 1e-9
    assert larger[1] >= base[1] - 1e-6
    assert thinner[0] >= base[0] - 1e-9
    assert base[0] <= 10_000 / leverage + 1e-9, "no more than what backs it"


def test_the_order_of_markets_and_accounts_changes_nothing() -> None:
    rows = [row(long_level_quantity=levels((30, 500.0))), row(ETH)]
    accounts = [account(position(), name="a"), account(position(ETH, -5.0), name="b")]

    def result(reverse: bool) -> Any:
        found = markets(*(rows[::-1] if reverse else rows))
        own = accounts[::-1] if reverse else accounts
        return stress(found, own, custom_shock(found, {BTC: -0.1, ETH: -0.2}))

    one, other = result(False), result(True)
    assert one.figures == pytest.approx(other.figures)
    assert set(one.markets) == set(other.markets)
    assert set(one.accounts) == set(other.accounts)


def test_a_grid_has_every_cell_and_its_losses_grow_along_each_way() -> None:
    found = markets(row(long_level_quantity=levels((30, 5e3))), row(ETH))
    own = account(position(BTC, 10.0, leverage=2.0), position(ETH, 10.0), wallet=5000.0)
    axes: dict[str, Any] = {
        "shocks": [-0.05, -0.1],
        "depths": [1.0, 0.2],
        "correlations": [0.0, 0.5, 1.0],
    }
    cells = stress_grid(found, StressHoldings(accounts=(own,)), TIERS, reference=BTC, **axes)
    assert len(cells) == 12
    loss = {
        (c["shock"], c["depth"], c["correlation"]): c["figures"]["portfolio_loss"] for c in cells
    }
    assert loss[-0.05, 1.0, 0.0] == pytest.approx(50.0, rel=0.05)
    assert loss[-0.1, 1.0, 1.0] > loss[-0.1, 1.0, 0.5] > loss[-0.1, 1.0, 0.0]
    assert loss[-0.1, 0.2, 1.0] >= loss[-0.1, 1.0, 1.0] > loss[-0.05, 1.0, 1.0]
    with pytest.raises(RiskError, match="Expected 1 to 125 cells of a grid, was 0"):
        stress_grid(
            found,
            StressHoldings(accounts=(own,)),
            TIERS,
            reference=BTC,
            shocks=[],
            depths=[1],
            correlations=[1],
        )
    with pytest.raises(RiskError, match="Expected correlation from 0 to 1, was 2"):
        stress_grid(
            found,
            StressHoldings(accounts=(own,)),
            TIERS,
            reference=BTC,
            shocks=[0.1],
            depths=[1],
            correlations=[2],
        )
    with pytest.raises(RiskError, match="Expected a reference that is watched, was X"):
        stress_grid(
            found,
            StressHoldings(accounts=(own,)),
            TIERS,
            reference="X",
            shocks=[0.1],
            depths=[1],
            correlations=[1],
        )
    with pytest.raises(RiskError, match="Expected depth above 0 to 1, was 0"):
        stress_grid(
            found,
            StressHoldings(accounts=(own,)),
            TIERS,
            reference=BTC,
            shocks=[0.1],
            depths=[0],
            correlations=[1],
        )


def test_shocks_that_cannot_be_are_refused() -> None:
    found = markets()
    with pytest.raises(RiskError, match="Expected shocks of symbols that are watched, was SOL"):
        custom_shock(found, {"SOL": -0.1})
    with pytest.raises(RiskError, match="Expected shocks above -1, was -1"):
        custom_shock(found, {BTC: -1.0})
    other = markets(row())
    with pytest.raises(RiskError, match="Expected returns of 2 markets, was 1"):
        stress(found, [], custom_shock(other, {}))


def test_the_answer_is_plain_and_states_its_assumptions() -> None:
    found = markets(row(mark_price=np.nan), row(ETH))
    answer = stress(found, [account(position(ETH))], custom_shock(found, {ETH: -0.1})).as_dict()
    assert answer["assumptions"]["insurance_fund"] == 0.0
    assert answer["assumptions"]["levels"] == "estimated"
    assert answer["markets"][0]["price"] is None
    assert f"mark_price of binance:{BTC}" in answer["missing"]["liquidated_notional"]
    assert answer["accounts"][0]["loss"] == pytest.approx(100.0)

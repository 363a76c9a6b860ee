"""The desk as a whole: figures against the parts they are made of, and what is missing."""

import json
import math
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alphaplus.errors import RiskError, UnknownPortfolio, UnknownPosition
from alphaplus.leverage.account_margin import evaluate_account
from alphaplus.portfolio.desk import RiskDesk
from alphaplus.portfolio.histories import HistorySet
from alphaplus.portfolio.models import MarketModels, build_models
from alphaplus.risk.history_files import CandleHistory
from tests.portfolio.desk_cases import (
    BTC,
    ETH,
    INVERSE,
    NOW,
    account,
    candles,
    desk,
    history,
    instruments,
    move,
    position,
    risk_row,
    state,
    tier_book,
)

EXAMPLES = settings(max_examples=15, deadline=None)
TAIL = ("var_95_1d", "var_99_1d", "es_975_1d", "var_95_1h", "var_99_1h", "es_975_1h")


@cache
def models() -> MarketModels:
    return build_models(history(), "fhs", paths=2000)


def ready(*accounts: dict[str, Any], **options: Any) -> RiskDesk:
    made = desk(**options)
    made.set_models(models())
    made.set_accounts("main", list(accounts) or [account(position(), position(ETH, quantity=-9))])
    return made


def figure(report: dict[str, Any], name: str) -> float:
    value = report["figures"][name]["value"]
    assert value is not None, report["figures"][name]
    return float(value)


def test_nothing_is_missing_where_everything_is_known() -> None:
    held = account(position(), position(ETH, quantity=-9), wallet_balance=40_000.0)
    report = ready(held).report("main", NOW)
    later = {"evar_95", "realised_vol_1d"}  # three days of equity
    assert {k for k, v in report["figures"].items() if v["value"] is None} == later | {
        "joint_distance_up"
    }
    assert report["figures"]["joint_distance_up"]["flags"] == ["no_liquidation_shock"]
    assert report["currency"] == "USDT"
    assert not report["stale"]
    json.dumps(report, allow_nan=False)


def test_margins_are_those_of_the_engine_and_follow_the_mark() -> None:
    made = ready(account(position(leverage=10), position(ETH, quantity=-9.0)))
    made.report("main", NOW)
    move(made, BTC, 0.95)
    report = made.report("main", NOW)
    (own,) = made.accounts("main")
    expected = evaluate_account(
        own.margin_account(20_000.0, {BTC: 47_500.0, ETH: 2_000.0}), tier_book()
    )
    (found,) = report["accounts"]
    assert found["equity"] == pytest.approx(expected.equity)
    assert found["margin_ratio"] == pytest.approx(expected.margin_ratio)
    for row, margin in zip(report["positions"], expected.positions, strict=True):
        assert row["liquidation_price"] == pytest.approx(margin.liquidation_price)
        assert row["bankruptcy_price"] == pytest.approx(margin.bankruptcy_price)
        assert row["maintenance_margin"] == pytest.approx(margin.maintenance_margin)
    assert figure(report, "equity") == pytest.approx(expected.equity)
    assert figure(report, "maintenance_margin") == pytest.approx(expected.maintenance_margin)
    assert figure(report, "initial_margin") == pytest.approx(expected.initial_margin)


@EXAMPLES
@given(st.permutations(range(3)), st.floats(0.7, 1.2))
def test_the_order_of_positions_changes_nothing(order: list[int], factor: float) -> None:
    held = [position(), position(ETH, quantity=-30.0), position("SOL-USDC-PERP", quantity=50.0)]
    wanted = [account(p, id=f"a{at}") for at, p in enumerate(held)]
    one = ready(*wanted, at_par=("USDT", "USDC"))
    other = ready(*[wanted[at] for at in order], at_par=("USDT", "USDC"))
    for made in (one, other):
        move(made, BTC, factor)
    a, b = one.report("main", NOW), other.report("main", NOW)
    for name, found in a["figures"].items():
        if found["value"] is None:
            assert b["figures"][name]["value"] is None, name
        else:
            assert found["value"] == pytest.approx(b["figures"][name]["value"], rel=1e-9), name
    scores = {row["symbol"]: row["score"]["score"] for row in a["positions"]}
    assert scores == {row["symbol"]: row["score"]["score"] for row in b["positions"]}


@EXAMPLES
@given(st.floats(0.1, 5.0))
def test_a_pair_that_is_hedged_exactly_has_no_tail(quantity: float) -> None:
    legs = (position(quantity=quantity), position(quantity=-quantity))
    report = ready(account(*legs, position_mode="hedge")).report("main", NOW)
    for name in TAIL:
        assert figure(report, name) == pytest.approx(0.0, abs=1e-9 * quantity * 50_000)
    assert figure(report, "gross_exposure") == pytest.approx(2 * quantity * 50_000)
    assert figure(report, "net_exposure") == pytest.approx(0.0, abs=1e-9)


@EXAMPLES
@given(st.floats(0.2, 4.0))
def test_a_book_of_twice_the_size_has_twice_the_tail(factor: float) -> None:
    def scaled(by: float) -> dict[str, Any]:
        held = (position(quantity=by), position(ETH, quantity=-12.0 * by))
        return ready(account(*held, wallet_balance=40_000.0 * by)).report("main", NOW)

    one, more = scaled(1.0), scaled(factor)
    for name in (*TAIL, "gross_exposure", "equity", "beta_exposure"):
        assert figure(more, name) == pytest.approx(factor * figure(one, name), rel=1e-9), name
    assert figure(more, "var_99_1d_pct") == pytest.approx(figure(one, "var_99_1d_pct"))


def test_risk_follows_the_market() -> None:
    made = ready(account(position(leverage=20), wallet_balance=8_000.0))
    before = made.report("main", NOW)
    move(made, BTC, 0.96)
    after = made.report("main", NOW + 1)
    assert figure(after, "var_99_1d") == pytest.approx(0.96 * figure(before, "var_99_1d"))
    assert after["positions"][0]["score"]["score"] > before["positions"][0]["score"]["score"]
    assert after["advice"]["leverage"] <= before["advice"]["leverage"]
    move(made, BTC, 0.9)
    gone = made.report("main", NOW + 2)
    (row,) = gone["positions"]
    assert (row["state"], row["score"]["score"]) == ("bankrupt", 100.0)
    assert gone["accounts"][0]["score"]["score"] == 100.0
    assert figure(gone, "liq_score") == 100.0


def test_an_account_of_one_position_scores_as_the_position() -> None:
    report = ready(account(position(leverage=20), wallet_balance=8_000.0)).report("main", NOW)
    row, own = report["positions"][0]["score"], report["accounts"][0]["score"]
    # the account's shock has no simulated paths of its own, so at most the position's
    assert own["sigma_per_sqrt_hour"] == row["sigma_per_sqrt_hour"]
    assert own["score"] <= row["score"] + 1e-9
    assert report["accounts"][0]["joint_distance_down"] == pytest.approx(-row["distance"])


def test_what_stands_in_the_way_raises_the_score() -> None:
    made = ready(account(position(leverage=20), wallet_balance=5_000.0))
    before = made.report("main", NOW)["positions"][0]["score"]
    crowd = np.full(64, 1e4)
    made.take_risk(risk_row(BTC, long_level_quantity=crowd, short_level_quantity=crowd))
    crowded = made.report("main", NOW + 1)["positions"][0]["score"]
    assert crowded["quantity_at_level"] > before["quantity_at_level"]
    assert crowded["score"] > before["score"]
    unknown = np.full(64, math.nan)
    made.take_risk(risk_row(BTC, long_level_quantity=unknown, short_level_quantity=unknown))
    stale = made.report("main", NOW + 2)["positions"][0]["score"]
    assert stale["score"] == pytest.approx(before["score"])
    assert "map of liquidation levels is stale" in stale["notes"][0]


def test_the_larger_volatility_counts() -> None:
    made = ready(account(position(leverage=20), wallet_balance=8_000.0))
    quiet = made.report("main", NOW)["positions"][0]["score"]
    assert quiet["sigma_source"] == "history"
    made.take_risk(risk_row(BTC, sigma_per_sqrt_hour=0.05))
    wild = made.report("main", NOW + 1)["positions"][0]["score"]
    assert (wild["sigma_source"], wild["sigma_per_sqrt_hour"]) == ("live", 0.05)
    assert wild["score"] > quiet["score"]


@pytest.mark.parametrize(
    ("change", "figures", "says"),
    [
        ("tiers", ("margin_ratio", "joint_distance_down"), "tiers of BTC-USDT-PERP"),
        ("stale", ("equity", "var_99_1d", "margin_ratio", "liq_score"), "stale for"),
        ("wallet", ("equity", "var_99_1d_pct", "margin_ratio"), "wallet_balance of account a"),
        ("book", ("exit_cost_usd", "lvar_99_1d"), "book of binance:BTC-USDT-PERP"),
        ("history", ("var_99_1d", "es_975_1h", "avg_pairwise_corr"), "none has been loaded"),
    ],
)
def test_what_is_missing_is_null_with_its_reason(
    change: str, figures: tuple[str, ...], says: str
) -> None:
    made = desk(tiers=change != "tiers")
    if change != "history":
        made.set_models(models())
    wallet = None if change == "wallet" else 20_000.0
    made.set_accounts("main", [account(position(), wallet_balance=wallet)])
    if change == "stale":
        made.take_state(state(BTC, ts_recv=NOW - 60_000_000_000))
    if change == "book":
        made.take_risk(risk_row(BTC, bid_quantity=np.full(64, math.nan)))
    report = made.report("main", NOW)
    for name in figures:
        found = report["figures"][name]
        assert found["value"] is None, name
        assert any(says in reason for reason in found["missing"]), (name, found["missing"])
    assert report["stale"] is (change == "stale")
    if change in {"tiers", "stale", "wallet", "book"}:
        score = report["positions"][0]["score"]
        assert score["score"] is None
        assert score["missing"]
    assert report["advice"] is None or report["advice"]["leverage"] is None
    json.dumps(report, allow_nan=False)


def test_equity_of_zero_has_no_ratios() -> None:
    report = ready(account(position(), wallet_balance=0.0)).report("main", NOW)
    assert figure(report, "equity") == 0.0
    for name in ("margin_ratio", "var_99_1d_pct", "effective_leverage", "margin_utilisation"):
        assert report["figures"][name]["missing"] == ["equity above 0"], name
    assert report["accounts"][0]["state"] == "bankrupt"
    assert report["accounts"][0]["margin_ratio"] is None


def test_mixed_currencies_are_null_unless_they_count_as_one() -> None:
    two = (account(position(), id="a"), account(position("SOL-USDC-PERP"), id="b"))
    apart = ready(*two).report("main", NOW)
    assert apart["currency"] is None
    for name in ("equity", "var_99_1d", "gross_exposure"):
        assert "were USDC and USDT" in apart["figures"][name]["missing"][0]
    assert [item["equity"] for item in apart["accounts"]] == [20_000.0, 20_000.0]
    one = ready(*two, at_par=("USDT", "USDC")).report("main", NOW)
    assert figure(one, "equity") == 40_000.0
    assert one["at_par"] == ["USDC", "USDT"]


def test_a_coin_that_backs_an_account_has_a_risk_of_its_own() -> None:
    hedged = ready(account(position(INVERSE, quantity=-500), wallet_balance=1.0, id="coin"))
    report = hedged.report("main", NOW)
    assert figure(report, "equity") == pytest.approx(50_000.0)
    # 1 BTC held and 50,000 USD short of it: the dollar value stays
    assert figure(report, "var_99_1d") < 0.1 * 50_000 * 0.06
    with_btc = ready(
        account(
            position(ETH, quantity=1.0),
            wallet_balance=0.0,
            collateral=[{"asset": "BTC", "balance": 1.0, "haircut": 0.1}],
        )
    ).report("main", NOW)
    assert figure(with_btc, "equity") == pytest.approx(45_000.0)
    assert figure(with_btc, "var_99_1d") > 0.01 * 45_000
    unknown = ready(
        account(position(), collateral=[{"asset": "XYZ", "balance": 1.0, "haircut": 0.1}])
    ).report("main", NOW)
    assert unknown["figures"]["equity"]["missing"] == ["price of XYZ"]


def test_the_account_nearest_to_its_margin_says_how_far_it_is() -> None:
    far = account(position(quantity=0.1), id="far")
    near = account(position(ETH, quantity=40.0), id="near", wallet_balance=8_000.0)
    report = ready(far, near).report("main", NOW)
    nearest = next(item for item in report["accounts"] if item["id"] == "near")
    assert figure(report, "joint_distance_down") == pytest.approx(-nearest["joint_distance_down"])
    assert report["figures"]["liq_score"]["flags"] == ["near"]


def test_other_models_answer_beside_the_default() -> None:
    made = ready()
    plain = made.report("main", NOW)
    made.set_models(build_models(history(), "historical"))
    other = made.report("main", NOW, "historical")
    assert (plain["model"], other["model"]) == ("fhs", "historical")
    assert figure(other, "var_99_1h") != figure(plain, "var_99_1h")
    assert other["figures"]["var_99_1h"]["method"] == "historical"
    assert made.report("main", NOW)["figures"] == plain["figures"]
    evt = made.report("main", NOW, "evt")
    assert evt["figures"]["var_99_1d"]["value"] is None, "nobody built it"


def test_portfolios_are_told_apart_and_end() -> None:
    made = ready(account(position()))
    made.set_accounts("hedge", [account(position(ETH, quantity=-5.0))])
    assert made.portfolio_ids == ("main", "hedge")
    assert [row["symbol"] for row in made.report("hedge", NOW)["positions"]] == [ETH]
    made.set_accounts("hedge", [])
    assert made.portfolio_ids == ("main",)
    with pytest.raises(UnknownPortfolio, match="Expected a portfolio of main, was 'hedge'"):
        made.report("hedge", NOW)
    with pytest.raises(RiskError, match="portfolio id"):
        made.set_accounts("no spaces", [])


def test_liquidation_of_one_symbol() -> None:
    made = ready(account(position()), account(position(quantity=-1.0), id="b"))
    found = made.liquidation("main", BTC, NOW)
    assert [row["account"] for row in found] == ["a", "b"]
    assert found[0]["liquidation_price"] < 50_000 < found[1]["liquidation_price"]
    with pytest.raises(UnknownPosition, match="BTC-USDT-PERP"):
        made.liquidation("main", "NO-USDT-PERP", NOW)


def test_advice_for_a_symbol_says_for_which_equity() -> None:
    made = desk()
    made.set_models(models())
    alone = made.advice(BTC, "binance", NOW)
    assert alone["long"]["inputs"]["equity_source"] == "reference"
    assert alone["long"]["leverage"] > 0
    given_equity = made.advice(BTC, "binance", NOW, equity=1e9)
    assert given_equity["long"]["inputs"]["equity_source"] == "given"
    assert given_equity["long"]["leverage"] < alone["long"]["leverage"]
    assert given_equity["long"]["binding"] == "liquidity"
    made.set_accounts("main", [account(position(ETH, quantity=9.0))])
    beside = made.advice(BTC, "binance", NOW)
    assert beside["long"]["inputs"]["equity"] == 20_000.0
    assert beside["long"]["caps"]["portfolio"] < beside["short"]["caps"]["portfolio"]
    with pytest.raises(RiskError, match="equity above 0"):
        made.advice(BTC, "binance", NOW, equity=0.0)


def test_leverage_is_cut_at_once_and_raised_in_steps() -> None:
    made = ready(account(position(quantity=0.1)))
    first = made.report("main", NOW)["positions"][0]["advice"]
    assert first["action"] == "started"
    thin = risk_row(BTC, liquidity_score_bid=0.0)
    made.take_risk(thin)
    cut = made.report("main", NOW + 10**9)["positions"][0]["advice"]
    assert (cut["action"], cut["held"], cut["binding"]) == ("cut", 0.0, "liquidity")
    made.take_risk(risk_row(BTC))
    back = made.report("main", NOW + 2 * 10**9)["positions"][0]["advice"]
    assert (back["action"], back["held"]) == ("cooling", 0.0)
    assert back["leverage"] == pytest.approx(first["leverage"])


def test_drawdown_counts_from_the_highest_day() -> None:
    made = ready(account(position(quantity=0.2), wallet_balance=10_000.0))
    made.tick(NOW)
    made.set_accounts("main", [account(position(quantity=0.2), wallet_balance=8_000.0)])
    made.tick(NOW + 1)
    report = made.report("main", NOW + 2)
    assert figure(report, "drawdown") == pytest.approx(0.2)
    assert report["advice"]["throttle"] == pytest.approx(0.25)


def test_a_margin_quote_takes_live_marks_and_tiers() -> None:
    wanted = {
        "margin_mode": "cross",
        "position_mode": "one_way",
        "wallet_balance": 20_000.0,
        "positions": [
            {"symbol": BTC, "side": "long", "quantity": 2.0, "entry_price": 50_000.0, "leverage": 5}
        ],
    }
    made = ready(account(position()))
    quoted = made.margin_quote("binance", wanted, NOW)
    held = made.report("main", NOW)["positions"][0]
    assert quoted["live_marks"] == [BTC]
    assert quoted["positions"][0]["liquidation_price"] == held["liquidation_price"]
    with pytest.raises(RiskError, match="venue to be one of"):
        made.margin_quote("nowhere", wanted, NOW)
    with pytest.raises(RiskError, match="leverage"):
        made.margin_quote("binance", wanted | {"positions": [wanted["positions"][0] | {"leverage": 0}]}, NOW)  # type: ignore[index]  # fmt: skip  # noqa: E501


def test_histories_that_are_no_good_say_why() -> None:
    good, keys = history(), [item.key for item in instruments()]
    short = candles(ETH, hours=100)
    broken = candles(INVERSE)
    broken = replace(broken, close=np.where(np.arange(1200) == 7, -1.0, broken.close))
    still = candles("SOL-USDC-PERP")
    still = replace(still, close=np.full(1200, 7.0))
    old = candles(BTC, seed=5)
    old = replace(old, times=old.times - 40 * 24 * 3_600_000_000_000)
    holes = candles(BTC, seed=6)
    holes = replace(holes, close=np.where(np.arange(1200) % 50 == 3, math.nan, holes.close))
    made: dict[str, CandleHistory] = {
        keys[0]: holes, keys[1]: short, keys[2]: broken, keys[3]: still, keys[4]: old,
        keys[5]: good.candles[keys[5]],
    }  # fmt: skip
    found = build_models(HistorySet(candles=made), paths=500)
    assert found.markets == (keys[0], keys[5]), found.missing
    assert "100 of 500 candles" in found.missing[keys[1]]
    assert "above 0" in found.missing[keys[2]]
    assert "moves" in found.missing[keys[3]]
    assert "delisted" in found.missing[keys[4]]
    assert found.reason(keys[4]) == f"history of {keys[4]}: {found.missing[keys[4]]}"
    nothing = build_models(HistorySet(candles={keys[1]: short}))
    assert nothing.markets == ()
    assert nothing.scenarios == {}


def test_equal_histories_make_a_covariance_without_full_rank_that_is_said() -> None:
    same = candles(BTC)
    twins = HistorySet(candles={f"binance:{s}": same for s in (BTC, ETH)})
    made = ready()
    made.set_models(build_models(twins, paths=500))
    report = made.report("main", NOW)
    bets = report["figures"]["effective_bets"]
    assert bets["value"] is None or 1 <= bets["value"] <= 2
    assert figure(report, "avg_pairwise_corr") == pytest.approx(1.0, abs=1e-2)


@pytest.mark.parametrize("model", ["fhs", "historical", "ewma_normal", "evt"])
def test_scenarios_of_every_model_are_of_the_size_of_the_past(model: Any) -> None:
    found = build_models(history(f"binance:{BTC}", f"binance:{ETH}", hours=3000), model, paths=2000)
    assert found.gaps == {}
    past = np.diff(np.log(candles(BTC, hours=3000, seed=1).close)).std()
    assert found.scenarios["1h"].returns[:, 0].std() == pytest.approx(past, rel=0.5)
    day = found.scenarios["1d"].returns[:, 0].std()
    assert day == pytest.approx(past * 24**0.5, rel=0.5)
    again = build_models(history(f"binance:{BTC}", f"binance:{ETH}", hours=3000), model, paths=2000)
    np.testing.assert_array_equal(found.scenarios["1d"].returns, again.scenarios["1d"].returns)


def test_stress_inputs_have_everything_that_is_known() -> None:
    made = ready(account(position()), account(position(ETH), id="b", wallet_balance=None))
    found = made.stress_market("main", NOW)
    assert len(found.rows) == len(instruments())
    assert [item.name for item in found.holdings.accounts] == ["a"]
    assert found.holdings.left_out == ("wallet_balance of account b",)
    assert found.betas[f"binance:{BTC}"] == pytest.approx(1.0)
    assert found.funding_rates[f"binance:{BTC}"] == 0.0001
    assert found.sigmas[f"binance:{BTC}"] >= 0.006, "the larger of live and history"


def test_a_market_that_is_held_stays_known_and_its_symbol_says_by_whom() -> None:
    held = account(position(), position(ETH, quantity=-9), wallet_balance=40_000.0)
    made = ready(held)
    made.set_accounts("other", [account(position(ETH))])
    assert made.holders([ETH, INVERSE]) == {ETH: ["main", "other"]}
    before = figure(made.report("main", NOW), "equity")
    made.set_instruments([item for item in instruments() if item.symbol not in (ETH, INVERSE)])
    assert f"binance:{ETH}" in made.board.instruments
    assert f"binance:{INVERSE}" not in made.board.instruments
    assert figure(made.report("main", NOW), "equity") == before
    with pytest.raises(RiskError, match="one that is watched"):
        made.set_accounts("third", [account(position(ETH))])
    made.set_instruments(instruments())
    made.set_accounts("third", [account(position(ETH))])


def test_a_market_that_values_collateral_is_in_use() -> None:
    coin = {"asset": "ETH", "balance": 1.0, "haircut": 0.1}
    made = ready(account(position(), wallet_balance=1_000.0, collateral=[coin]))
    assert made.holders([ETH, BTC]) == {BTC: ["main"], ETH: ["main"]}

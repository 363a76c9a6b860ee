"""What the desk says, as plain values ready for JSON: None for what is unknown, never nan."""

import math
from dataclasses import asdict, replace
from typing import Any

from alphaplus.leverage.dynamic_leverage import LeverageAdvice
from alphaplus.leverage.leverage_steps import LeverageState
from alphaplus.portfolio.advice import binding_cap
from alphaplus.portfolio.held import HeldPortfolio, Snapshot, known
from alphaplus.portfolio.margins import AccountState
from alphaplus.portfolio.models import MarketModels
from alphaplus.portfolio.scores import PositionScore
from alphaplus.risk.figures import RiskFigure
from alphaplus.risk.portfolio_report import RiskReport


def portfolio_answer(
    portfolio_id: str, held: HeldPortfolio, snapshot: Snapshot, models: MarketModels, now_ns: int
) -> dict[str, Any]:
    """Return figures, series with their names, accounts and positions of a portfolio."""
    states, moment = snapshot.states, snapshot.moment
    report = _with_engine(snapshot)
    plain = report.as_dict()
    names = {
        "symbol": list(moment.markets),
        "position": [
            f"{s.account.id}:{item.symbol}" for s in states for item in s.account.positions
        ],
        "scenario": [scenario.name for scenario in held.scenarios],
    }
    for series in plain["series"].values():
        series["names"] = names[series["by"]] if series["values"] is not None else []
    return {
        "portfolio": portfolio_id,
        "currency": snapshot.common.currency,
        "at_par": list(snapshot.common.at_par),
        "model": models.model,
        "history_as_of": models.as_of,
        "as_of": now_ns,
        "figures": plain["figures"],
        "series": plain["series"],
        "stress_left_out": list(snapshot.left_out),
        "accounts": [account_answer(snapshot, at) for at in range(len(states))],
        "positions": [
            position_answer(state, score, at, now_ns, snapshot)
            for state, scores in zip(states, snapshot.scores, strict=True)
            for at, score in enumerate(scores)
        ],
        **freshness_of(snapshot),
    }


def account_answer(snapshot: Snapshot, at: int) -> dict[str, Any]:
    """Return the margins and the score of one account."""
    state, score = snapshot.states[at], snapshot.account_scores[at]
    account, margin = state.account, asdict(state.margin)
    margin.pop("positions")
    return {
        "id": account.id,
        "exchange": account.exchange,
        "margin_mode": account.margin_mode,
        "position_mode": account.position_mode,
        "currency": account.settlement,
        "wallet_balance": account.wallet_balance,
        "collateral": [asdict(item) for item in account.collateral],
        **margin,
        "missing": list(state.margin.missing),
        "joint_distance_down": known(state.down),
        "joint_distance_up": known(state.up),
        "score": asdict(score) | {"missing": list(score.missing)},
    }


def position_answer(
    state: AccountState, score: PositionScore, at: int, now_ns: int, snapshot: Snapshot
) -> dict[str, Any]:
    """Return one position with its margins, its liquidation price and its score."""
    item, margin = state.account.positions[at], asdict(state.margin.positions[at])
    mark = snapshot.moment.marks[item.key]
    return {
        "account": state.account.id,
        "exchange": state.account.exchange,
        "margin_mode": state.account.margin_mode,
        "quantity": item.quantity,
        "entry_price": item.entry_price,
        "leverage": item.leverage,
        "mark_price": mark.price,
        "mark_source": mark.source,
        **margin,
        "missing": list(dict.fromkeys((*mark.missing, *margin["missing"]))),
        "score": asdict(score.risk)
        | {
            "missing": list(score.risk.missing),
            "sigma_source": score.sigma_source,
            "simulated_hit_probability": score.simulated_hit_probability,
            "notes": list(score.notes),
        },
        "ts_event": mark.ts_event or None,
        "ts_recv": mark.ts_recv or None,
        "age_ms": (now_ns - mark.ts_recv) / 1e6 if mark.ts_recv else None,
        "stale": mark.price is None,
        "stale_reason": next(iter(mark.missing), None),
    }


def advice_answer(advice: LeverageAdvice, state: LeverageState) -> dict[str, Any]:
    """Return advice with what is held of it after the steps."""
    return advice.payload() | {
        "binding": binding_cap(advice),
        "held": known(state.leverage),
        "action": state.action.value,
        "cut_ns": state.cut_ns,
        "raised_ns": state.raised_ns,
    }


def freshness_of(snapshot: Snapshot) -> dict[str, Any]:
    """Return the freshness of the oldest mark that is used."""
    marks = list(snapshot.moment.marks.values())
    if not marks:
        return {"ts_event": None, "ts_recv": None, "stale": False, "stale_reason": None}
    oldest = min(marks, key=lambda mark: mark.ts_recv)
    stale = [reason for mark in marks for reason in mark.missing]
    return {
        "ts_event": oldest.ts_event or None,
        "ts_recv": oldest.ts_recv or None,
        "stale": bool(stale),
        "stale_reason": next(iter(stale), None),
    }


def _with_engine(snapshot: Snapshot) -> RiskReport:
    """Put the engine's joint distances, tiers and buckets in it, in place of pooled ones.

    Accounts do not share collateral: the nearest of them is what a common shock reaches first.
    """
    report, states = snapshot.report, snapshot.states
    figures = dict(report.figures)
    used = [s for s in states if s.account.positions]
    marks = [r for mark in snapshot.moment.marks.values() for r in mark.missing]
    lacking = (*marks, *(r for s in used for r in s.margin.missing))
    reasons = tuple(dict.fromkeys(lacking)) or ("positions",)
    whole = used and all(s.down is not None and s.up is not None for s in used)
    down = max((s.down or 0.0 for s in used), default=-math.inf) if whole else None
    up = min((s.up or 0.0 for s in used), default=math.inf) if whole else None
    ways = [way for way in (down, up) if way is not None and math.isfinite(way)]
    nearest = min(ways, key=abs, default=math.inf) if whole else None
    scores = [
        (score.score, s.account.id)
        for s, score in zip(states, snapshot.account_scores, strict=True)
    ]
    worst = None
    if used and all(value is not None for value, _ in scores):
        worst = max(scores, key=lambda pair: pair[0] or 0.0)
    unscored = (r for score in snapshot.account_scores for r in score.missing)
    why = tuple(dict.fromkeys((*marks, *unscored)))
    for name, value in (
        ("joint_distance_down", None if down is None else abs(down)),
        ("joint_distance_up", up),
        ("reverse_stress", nearest),
    ):
        figures[name] = _figure(figures[name], value, "margin_engine", reasons)
    figures["liq_score"] = _figure(
        replace(figures["equity"], name="liq_score"),
        None if worst is None else worst[0],
        "joint_distance",
        why or reasons,
        () if worst is None else (worst[1],),
    )
    return replace(report, figures=figures)


def _figure(
    figure: RiskFigure,
    value: float | None,
    method: str,
    missing: tuple[str, ...],
    flags: tuple[str, ...] = (),
) -> RiskFigure:
    if value is not None and not math.isfinite(value):
        value, missing, flags = (
            None,
            ("a common shock that reaches the margin",),
            ("no_liquidation_shock",),
        )
    elif value == 0 and method == "margin_engine":
        flags = ("liquidatable_now",)
    return replace(
        figure,
        value=value,
        method=method,
        missing=() if value is not None else missing,
        flags=flags,
    )

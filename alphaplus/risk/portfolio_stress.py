"""What scenarios do to a portfolio, and what it takes to reach its margin."""

import math
from typing import Final

import numpy as np

from alphaplus.risk.exposure import distance_to_liquidation
from alphaplus.risk.portfolio_holdings import Holdings
from alphaplus.risk.portfolio_report import Sheet
from alphaplus.risk.revaluation import Floats, signed_notional
from alphaplus.risk.stress import Account, joint_distance

_NO_SHOCK: Final = "no common shock reaches the maintenance margin"


def put_stress(sheet: Sheet, holdings: Holdings, equity: float | None) -> None:
    """Note the loss of each named scenario, the worst, and the margin ratio after it."""
    inputs, values = holdings.inputs, holdings.values
    losses = _stress_losses(sheet, holdings) if "marks" not in sheet.gaps else None
    needs = ("marks", "stress")
    sheet.put_series("stress_loss", "scenario", needs, losses)
    unknown = [
        f"inputs of {scenario.name}"
        for scenario, loss in zip(inputs.stress, _or_empty(losses), strict=False)
        if math.isnan(loss)
    ]
    known = losses is not None and not unknown
    worst = int(np.argmax(losses)) if known and losses is not None and len(losses) else None
    sheet.put(
        "worst_stress_loss",
        needs,
        lambda: None if worst is None or losses is None else float(losses[worst]),
        unknown=", ".join(unknown) or "stress scenarios",
        flags=() if worst is None else (inputs.stress[worst].name,),
    )
    margin, left = math.nan, None
    if worst is not None and losses is not None:
        ratio = 1.0 + inputs.stress[worst].returns
        scaled = np.where(inputs.inverse, values.maintenance / ratio, values.maintenance * ratio)
        margin = float(scaled[holdings.models.held].sum() - values.amount.sum())
        left = None if equity is None else equity - float(losses[worst])
    account = ("wallet_balance", *needs)
    put_ratio(sheet, "margin_ratio_stressed", account, margin, left)


def _stress_losses(sheet: Sheet, holdings: Holdings) -> Floats | None:
    """Return the loss of each scenario; nan where it takes an input that is missing."""
    inputs, values, gains = holdings.inputs, holdings.values, holdings.models.stress
    if gains is None:
        return None
    losses = -gains.total(values.notional, values.coins)
    funding = sheet.figures["funding_8h_cost"].value
    for number, scenario in enumerate(inputs.stress):
        if scenario.outage is not None:
            net = holdings.models.net_by_venue[scenario.outage]
            lost = signed_notional(net, values.marks, inputs.inverse)
            losses[number] += float(lost @ gains.positions[:, number])
        if scenario.depth is not None:
            gap = "depth" in sheet.gaps
            losses[number] += math.nan if gap else values.exit_costs[scenario.depth].sum()
        if scenario.funding:
            losses[number] += math.nan if funding is None else scenario.funding * funding
        if scenario.collateral:
            gap = "wallet_balance" in sheet.gaps
            wallet = math.nan if gap else inputs.wallet_balance or 0.0
            losses[number] -= scenario.collateral * wallet
    return losses


def put_distances(sheet: Sheet, holdings: Holdings, equity: float | None) -> None:
    """Note how far each position, and the account as a whole, is from liquidation."""
    inputs, values = holdings.inputs, holdings.values
    places, model = inputs.positions.symbol, holdings.models.comovement
    prices = inputs.liquidation_prices
    distance = np.zeros(0)
    if prices is not None:
        distance = distance_to_liquidation(values.marks[places], prices)
    needs = ("marks", "liquidation_prices")
    sheet.put_series("distance_to_liq", "position", needs, distance)

    def in_sigmas() -> Floats | None:
        if model is None:
            return None
        sigma = np.full(len(values.marks), np.nan)
        sigma[model.held] = np.where(model.sigma > 0, model.sigma, np.nan)
        return np.asarray(distance / sigma[places])

    sheet.put_series("distance_to_liq_sigma_1d", "position", (*needs, "covariance"), in_sigmas)
    account = ("wallet_balance", "marks", "maintenance")
    down = up = nearest = None
    if equity is not None and not sheet.missing(account):
        common = np.ones(len(values.marks))
        found = joint_distance(
            Account(
                equity=equity,
                notional=values.notional,
                coins=values.coins,
                maintenance=values.maintenance,
                amount=float(values.amount.sum()),
                betas=common,
                inverse=inputs.inverse,
            )
        )
        down, up, nearest = found.down, found.up, found.nearest
    for name, shock in (
        ("joint_distance_down", None if down is None else abs(down)),
        ("joint_distance_up", up),
        ("reverse_stress", nearest),
    ):
        sheet.put(
            name,
            account,
            shock,
            method="frozen_tiers",
            unknown=_NO_SHOCK,
            flags=_shock_flags(shock),
        )


def put_ratio(
    sheet: Sheet, name: str, needs: tuple[str, ...], margin: float, equity: float | None
) -> None:
    """Note margin / equity; an account without equity is bankrupt, which is no number."""
    bankrupt = equity is not None and equity <= 0 < margin
    sheet.put(
        name,
        (*needs, "maintenance"),
        lambda: margin / equity if equity is not None and equity > 0 < margin else None,
        unknown="equity above 0" if bankrupt else "positions",
        flags=("bankrupt",) if bankrupt else (),
    )


def _or_empty(values: Floats | None) -> Floats:
    return np.zeros(0) if values is None else values


def _shock_flags(shock: float | None) -> tuple[str, ...]:
    if shock is None:
        return ("no_liquidation_shock",)
    return ("liquidatable_now",) if shock == 0 else ()

"""The conventions that the desk works by."""

from dataclasses import dataclass, field

from alphaplus.leverage.leverage_steps import StepParameters
from alphaplus.leverage.risk_score import ScoreParameters
from alphaplus.portfolio.advice import AdviceSettings
from alphaplus.portfolio.scenario_models import Model


@dataclass(frozen=True, slots=True, kw_only=True)
class DeskSettings:
    """Conventions of the desk."""

    default_leverage: float = 5.0
    default_model: Model = "fhs"
    at_par: tuple[str, ...] = ()
    """Currencies that are counted as one; empty: all are told apart."""
    reference_equity: float = 10_000.0
    """Equity that markets are advised for where no portfolio's is known, quote currency."""
    level_band: float = 0.005
    """Fraction of the price around a liquidation price within which depth and levels count."""
    score: ScoreParameters = field(default_factory=ScoreParameters)
    advice: AdviceSettings = field(default_factory=AdviceSettings)
    steps: StepParameters = field(default_factory=StepParameters)

"""A portfolio between two reports: its inputs, what follows from them alone, and its values."""

from dataclasses import dataclass

from alphaplus.risk.portfolio_inputs import PortfolioInputs
from alphaplus.risk.portfolio_models import Models
from alphaplus.risk.portfolio_values import PortfolioValues


@dataclass(frozen=True, slots=True, kw_only=True)
class Holdings:
    """What the figures of one report are read from."""

    inputs: PortfolioInputs
    models: Models
    values: PortfolioValues

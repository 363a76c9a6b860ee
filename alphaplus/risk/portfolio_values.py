"""What positions are worth at the marks, by position and by symbol, kept up with single moves.

One moved mark changes its own positions and its own row of every sum, nothing else.
"""

import numpy as np

from alphaplus.errors import RiskError
from alphaplus.risk._impact_kernels import fill_costs
from alphaplus.risk.impact import IMPACT, root_slope
from alphaplus.risk.portfolio_inputs import PortfolioInputs
from alphaplus.risk.revaluation import Floats, Ints, signed_notional, unrealized_pnl


class PortfolioValues:
    """Values in quote currency at the marks; nan where a mark that matters is unknown."""

    def __init__(self, inputs: PortfolioInputs, marks: Floats) -> None:
        if marks.shape != (len(inputs.symbols),):
            raise RiskError(f"Expected a mark of each symbol, was shape {marks.shape}.")
        symbols, positions = len(inputs.symbols), len(inputs.positions)
        self._inputs = inputs
        self._net = inputs.positions.net_quantity(symbols)
        order = np.argsort(inputs.positions.symbol, kind="stable")
        counts = np.bincount(inputs.positions.symbol, minlength=symbols)
        self._members = np.split(order, np.cumsum(counts)[:-1]) if symbols else []
        self._survivals = sorted({s.depth for s in inputs.stress if s.depth is not None} | {1.0})
        self.marks = marks.astype(np.float64)
        self.position_notional = np.zeros(positions)
        """Signed, by position."""
        self.notional = np.zeros(symbols)
        """Signed and netted, by symbol."""
        self.gross = np.zeros(symbols)
        self.profit = np.zeros(symbols)
        self.coins = np.zeros(symbols)
        self.initial_margin = np.zeros(symbols)
        self.maintenance = np.zeros(symbols)
        """Rate times notional, by symbol; the margin is that minus `amount`."""
        self.amount = np.zeros(symbols)
        self.exit_costs = {share: np.zeros(symbols) for share in self._survivals}
        """Cost of closing all, by share of the depth that is left and by symbol."""
        for symbol in range(symbols):
            self.move(symbol, float(marks[symbol]))

    def move(self, symbol: int, mark: float) -> None:
        """Take a new mark of one symbol; one that is not above 0 makes it unknown."""
        inputs = self._inputs
        self.marks[symbol] = mark if 0 < mark < np.inf else np.nan
        price = self.marks[symbol]
        members: Ints = self._members[symbol]
        inverse = inputs.inverse[symbol]
        self.coins[symbol] = _coin_value(inputs.coins, symbol, price)
        if len(members):
            self._value_members(symbol, members, price)
        here = slice(symbol, symbol + 1)
        self.notional[here] = signed_notional(
            self._net[here], self.marks[here], np.array([inverse])
        )
        if inputs.depth is not None:
            depth = inputs.depth
            slopes = root_slope(depth.sigma[here], depth.volume[here], IMPACT)
            for share, costs in self.exit_costs.items():
                fill_costs(
                    depth.distance[here],
                    depth.quantity[here],
                    slopes,
                    self.notional[here],
                    self.marks[here],
                    share,
                    costs[here],
                )

    def _value_members(self, symbol: int, members: Ints, price: float) -> None:
        inputs, positions = self._inputs, self._inputs.positions
        inverse = bool(inputs.inverse[symbol])
        side, quantity = positions.side[members], positions.quantity[members]
        size = quantity + 0.0 * price if inverse else quantity * price
        size[quantity == 0] = 0.0
        self.position_notional[members] = side * size
        self.gross[symbol] = size.sum()
        profit = unrealized_pnl(
            side, quantity, positions.entry_price[members], np.array(price), np.array(inverse)
        )
        self.profit[symbol] = profit[quantity > 0].sum()
        if inputs.leverage is not None:
            self.initial_margin[symbol] = (size / inputs.leverage[members])[quantity > 0].sum()
        if inputs.maintenance_rate is not None and inputs.maintenance_amount is not None:
            open_ = quantity > 0
            unit = price if inverse else 1.0
            self.maintenance[symbol] = (size * inputs.maintenance_rate[members])[open_].sum()
            self.amount[symbol] = (inputs.maintenance_amount[members])[open_].sum() * unit


def _coin_value(coins: Floats | None, symbol: int, price: float) -> float:
    if coins is None or coins[symbol] == 0:
        return 0.0
    return float(coins[symbol]) * price

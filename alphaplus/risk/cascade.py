"""A cascade: a shock triggers liquidations, which move the price, which triggers more.

Each leg of a simulation is one outside shock to the index and what follows from it:

1. the index moves by the shock, and the price with it
2. the mark is the index plus what the price has moved beyond it, times `mark_weight`, capped
3. each account whose trigger the mark has crossed is closed by a market order, once
4. all orders of the leg so far walk the ladder, of which only a share is left, then the
   square-root law (`alphaplus.risk.impact`); the share left falls with the move
5. from 2 until nothing more is triggered and the price rests
6. fills are read off the walk in the order of the triggers; a fill beyond the bankruptcy price
   draws on the fund, and when that is empty the account's quantity is closed against the best
   ranked of the other side, at the bankruptcy price and without touching the book

Within a leg the book does not refill, so the price depends on what was sold and not on how it was
cut into orders: a larger shock, less depth or less survival never ends in a smaller move, nor
in less liquidated, drawn or deleveraged. Surplus of a liquidation reaches the fund when the leg is
over. Between legs the book refills, and withdrawn depth comes back with a half-life.

Contracts are linear, in base units; give an account that is closed in parts as several. It is a
stress model: its parameters are weakly known and it is not validated against real cascades.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from alphaplus.errors import RiskError
from alphaplus.risk._impact_kernels import run_leg, settle_leg
from alphaplus.risk.impact import IMPACT, Depth, root_slope

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

MOST_STEPS: Final = 200
MEDIAN_THINNING: Final = 3.4
"""How much thinner depth at 1 % gets in a cascade, at the median: a weak prior, as the next."""
WORST_DECILE_THINNING: Final = 17.0
_NORMAL_90: Final = 1.2815515655446004


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What the simulation assumes; raises RiskError for what is out of range."""

    impact: float = IMPACT
    """Y of the square-root law beyond the ladder."""
    withdrawal: float = 1.0
    """Depth left is (1 + largest move / daily sigma) ** -withdrawal; 0: none withdraws."""
    withdrawal_floor: float = 1 / WORST_DECILE_THINNING
    """Share of the depth that stays whatever happens, in (0, 1]."""
    half_life_s: float = 600.0
    """In which half of the withdrawn depth's cause is forgotten between legs."""
    mark_weight: float = 1.0
    """Share of the price's move beyond the index that the mark follows, in [0, 1]."""
    mark_cap: float = 1.0
    """Most that the mark is off the index, a fraction."""
    fee_rate: float = 0.0
    """Fee of a liquidated account to the venue, fraction of its value at the bankruptcy price."""
    surplus_to_fund: float = 1.0
    """Share of what a fill brings above the bankruptcy price that the fund keeps, in [0, 1]."""
    most_steps: int = MOST_STEPS

    def __post_init__(self) -> None:
        for name in ("impact", "withdrawal", "mark_cap", "fee_rate"):
            if not getattr(self, name) >= 0:
                raise RiskError(f"Expected {name} of 0 or more, was {getattr(self, name)}.")
        for name in ("mark_weight", "surplus_to_fund", "withdrawal_floor"):
            if not 0 <= getattr(self, name) <= 1:
                raise RiskError(f"Expected {name} from 0 to 1, was {getattr(self, name)}.")
        if not (self.withdrawal_floor > 0 and self.half_life_s > 0 and self.most_steps >= 1):
            raise RiskError(
                "Expected withdrawal_floor and half_life_s above 0 and most_steps from 1, "
                f"was {self.withdrawal_floor}, {self.half_life_s}, {self.most_steps}."
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Accounts:
    """Leveraged positions as columns, or the levels of an estimated map.

    Raises RiskError unless prices are above 0 and the bankruptcy price lies beyond the trigger.
    """

    symbol: Ints
    side: Floats
    """+1 long, -1 short."""
    quantity: Floats
    """Base units, 0 or more."""
    trigger_price: Floats
    """The mark at which it is liquidated."""
    bankruptcy_price: Floats
    """At which nothing is left of it."""
    adl_rank: Floats
    """First deleveraged is the highest; ties go to the larger, then to the first account."""

    @classmethod
    def of(
        cls,
        symbol: npt.ArrayLike,
        side: npt.ArrayLike,
        quantity: npt.ArrayLike,
        trigger_price: npt.ArrayLike,
        bankruptcy_price: npt.ArrayLike,
        *,
        adl_rank: npt.ArrayLike = 0.0,
    ) -> "Accounts":
        """Make accounts of anything like an array; one `adl_rank` may stand for all."""
        symbols = np.atleast_1d(np.asarray(symbol, np.int64))
        rank = np.broadcast_to(np.asarray(adl_rank, np.float64), symbols.shape).copy()
        sides, quantities, triggers, bankruptcies = (
            np.atleast_1d(np.asarray(values, np.float64))
            for values in (side, quantity, trigger_price, bankruptcy_price)
        )
        return cls(
            symbol=symbols,
            side=sides,
            quantity=quantities,
            trigger_price=triggers,
            bankruptcy_price=bankruptcies,
            adl_rank=rank,
        )

    def __post_init__(self) -> None:
        columns = (self.side, self.quantity, self.trigger_price, self.bankruptcy_price)
        if {column.shape for column in (*columns, self.adl_rank)} != {self.symbol.shape}:
            raise RiskError("Expected columns of accounts of one length, was not so.")
        if not np.isfinite(np.concatenate((*columns, self.adl_rank))).all():
            raise RiskError("Expected finite sides, quantities, prices and ranks, was not so.")
        if (np.abs(self.side) != 1).any() or (self.quantity < 0).any():
            raise RiskError("Expected side +1 or -1 and quantity of 0 or more, was not so.")
        if not ((self.trigger_price > 0) & (self.bankruptcy_price > 0)).all():
            raise RiskError("Expected trigger and bankruptcy prices above 0, was not so.")
        if (self.side * (self.trigger_price - self.bankruptcy_price) < 0).any():
            raise RiskError("Expected each bankruptcy price at or beyond its trigger, was not so.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Market:
    """Prices, depth and leveraged accounts of several symbols that share a fund."""

    prices: Floats
    """[symbols], quote currency, above 0."""
    depth: Depth
    accounts: Accounts
    fund: float = 0.0
    """Balance of the insurance fund, quote currency, 0 or more."""
    survival: float = 1.0
    """Share of the depth that is there before the shock, in (0, 1]."""
    rules: Rules = Rules()

    def __post_init__(self) -> None:
        if not (np.isfinite(self.prices) & (self.prices > 0)).all():
            raise RiskError("Expected prices above 0, was not so.")
        if self.depth.distance.shape[0] != len(self.prices):
            raise RiskError(f"Expected depth of {len(self.prices)} symbols, was not so.")
        held = self.accounts.symbol
        if len(held) and not (held.min() >= 0 and held.max() < len(self.prices)):
            raise RiskError(f"Expected accounts in {len(self.prices)} symbols, was not so.")
        if not (self.fund >= 0 and 0 < self.survival <= 1):
            raise RiskError(
                "Expected a fund of 0 or more and survival above 0 to 1, "
                f"was {self.fund}, {self.survival}."
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Cascade:
    """What a simulation led to; quote currency, arrays by symbol or by account."""

    path: Floats
    """[steps, symbols]: each leg begins with the price before its shock."""
    initial_price: Floats
    final_price: Floats
    final_mark: Floats
    initial_move: Floats
    """Fraction, 0 or more: the farthest that the shocks alone would have taken the price."""
    total_move: Floats
    """The farthest that it went."""
    amplification: Floats
    """Total by initial move, 1 or more after one leg; nan without a move."""
    branching: Floats
    """1 - 1 / amplification: share of the move that other liquidations caused."""
    liquidated: Flags
    """By account."""
    fill_price: Floats
    """By account: mean price on the book; nan unless liquidated."""
    liquidated_long: Floats
    """By symbol, valued at the triggers."""
    liquidated_short: Floats
    fund_draw: float
    fund_surplus: float
    fund_balance: float
    adl_value: float
    """Deleveraged quantity, valued at the initial price."""
    adl_loss: float
    """What the fund would have had to pay for it more."""
    adl_quantity: Floats
    """Closed against their will, by account, base units."""
    residual_deficit: float
    """Loss that neither fund nor deleveraging could take."""
    margin_ratio: Floats
    """Maintenance margin / equity of the standing at the final mark; nan where not above 0."""
    account_pnl: Floats
    """By account, from the initial to the final price, its fee deducted."""
    book_pnl: float
    """Of those who took the other side of the forced orders."""
    rest_pnl: float
    """Of the unlevered holders opposite to the accounts."""
    fees: float
    settled: bool
    """Whether all came to rest within `most_steps`."""

    @property
    def accounts_wiped(self) -> int:
        """Accounts that were liquidated."""
        return int(np.count_nonzero(self.liquidated))

    @property
    def liquidated_value(self) -> float:
        """Liquidated on both sides, valued at the triggers."""
        return float(self.liquidated_long.sum() + self.liquidated_short.sum())


def simulate(market: Market, shocks: npt.ArrayLike, gap_s: float = 0.0) -> Cascade:
    """Follow the cascade of `shocks`: simple returns [symbols], or [legs, symbols] `gap_s` apart.

    Raises RiskError for a shock of -1 or less, and where volatility or volume that it takes is
    unknown.
    """
    legs = _legs(market, shocks)
    state = _State.of(market)
    for number, leg in enumerate(legs):
        if number:
            state.stress *= 0.5 ** (gap_s / market.rules.half_life_s)
        state.run(market, leg)
    return _outcome(market, legs, state)


def depth_survival_draws(count: int, seed: int) -> Floats:
    """Return `count` shares of depth that survive, in (0, 1]: log-normal, equal for equal seeds.

    Its median and ninth decile of thinning are `MEDIAN_THINNING` and `WORST_DECILE_THINNING`.
    """
    spread = np.log(WORST_DECILE_THINNING / MEDIAN_THINNING) / _NORMAL_90
    draws = np.random.default_rng(seed).standard_normal(count)
    return np.asarray(np.minimum(np.exp(-np.log(MEDIAN_THINNING) - spread * draws), 1.0))


@dataclass(slots=True, kw_only=True)
class _State:
    """What the legs of one simulation change."""

    starts: Ints
    order: Ints
    ranked: Ints
    prices: Floats
    marks: Floats
    stress: Floats
    slopes: Floats
    survival: Floats
    open_quantity: Floats
    closed: Floats
    sold: Floats
    fills: Floats
    adl_quantity: Floats
    adl_value: Floats
    taken: Ints
    paths: list[Floats]
    fund: Floats
    surplus: float
    settled: bool

    @classmethod
    def of(cls, market: Market) -> "_State":
        accounts, depth = market.accounts, market.depth
        symbols, count = len(market.prices), len(accounts.symbol)
        lists = 2 * accounts.symbol + (accounts.side < 0)
        starts = np.zeros(2 * symbols + 1, np.int64)
        np.cumsum(np.bincount(lists, minlength=2 * symbols), out=starts[1:])
        return cls(
            starts=starts,
            order=np.lexsort((-accounts.side * accounts.trigger_price, lists)),
            ranked=np.lexsort((-accounts.quantity, -accounts.adl_rank, lists)),
            prices=market.prices.astype(np.float64),
            marks=market.prices.astype(np.float64),
            stress=np.zeros(symbols),
            slopes=root_slope(depth.sigma, depth.volume, market.rules.impact),
            survival=np.full(symbols, market.survival),
            open_quantity=accounts.quantity.copy(),
            closed=np.zeros(count),
            sold=np.zeros(count),
            fills=np.full(count, np.nan),
            adl_quantity=np.zeros(count),
            adl_value=np.zeros(count),
            taken=np.zeros(2 * symbols, np.int64),
            paths=[],
            fund=np.array([market.fund, 0.0, 0.0, 0.0, 0.0]),
            surplus=0.0,
            settled=True,
        )

    def run(self, market: Market, leg: Floats) -> None:
        """Shock, follow and settle once."""
        rules, accounts, depth = market.rules, market.accounts, market.depth
        path = np.empty((rules.most_steps + 2, len(leg)))
        fills = np.full(len(self.fills), np.nan)
        unsettled = run_leg(
            self.prices,
            leg,
            self.starts,
            self.order,
            accounts.trigger_price,
            self.open_quantity,
            depth.distance,
            depth.quantity,
            self.slopes,
            depth.sigma,
            self.survival,
            self.stress,
            rules.withdrawal,
            rules.withdrawal_floor,
            rules.mark_weight,
            rules.mark_cap,
            path,
            self.marks,
            self.taken,
            fills,
        )
        if np.isnan(self.prices).any():
            unknown = np.flatnonzero(np.isnan(self.prices)).tolist()
            raise RiskError(
                "Expected volatility and volume where orders exceed the ladder, was unknown for "
                f"symbols {unknown}."
            )
        self.settled = self.settled and unsettled == 0
        self.paths.append(_trimmed(path))
        hit = ~np.isnan(fills) & (self.open_quantity > 0)
        self.fills[hit] = fills[hit]
        self.closed[hit] = self.open_quantity[hit]
        settle_leg(
            self.starts,
            self.order,
            self.ranked,
            self.taken,
            accounts.side,
            accounts.bankruptcy_price,
            fills,
            self.open_quantity,
            self.sold,
            self.adl_quantity,
            self.adl_value,
            self.fund,
        )
        self.surplus += self.fund[2]
        self.fund[0] += rules.surplus_to_fund * self.fund[2]
        self.fund[2] = 0.0


def _legs(market: Market, shocks: npt.ArrayLike) -> Floats:
    legs = np.atleast_2d(np.asarray(shocks, np.float64))
    if legs.shape[1:] != market.prices.shape or not (np.isfinite(legs) & (legs > -1)).all():
        raise RiskError(
            f"Expected shocks above -1 for {len(market.prices)} symbols, was {legs.tolist()}."
        )
    sigma = market.depth.sigma[(legs != 0).any(axis=0)]
    if market.rules.withdrawal > 0 and not (np.isfinite(sigma) & (sigma > 0)).all():
        raise RiskError("Expected sigma above 0 of each shocked symbol, was not so.")
    return legs


def _trimmed(path: Floats) -> Floats:
    """Drop the steps at the end in which nothing moves any more."""
    still = (path[1:] == path[:-1]).all(axis=1)
    last = len(path) - 1
    while last > 1 and still[last - 1]:
        last -= 1
    return path[: last + 1]


def _outcome(market: Market, legs: Floats, state: _State) -> Cascade:
    accounts, rules = market.accounts, market.rules
    start, end = market.prices[accounts.symbol], state.prices[accounts.symbol]
    path = np.concatenate(state.paths)
    index = np.cumprod(1.0 + legs, axis=0)
    initial = np.abs(index - 1.0).max(axis=0)
    total = np.abs(path / market.prices - 1.0).max(axis=0)
    moved = initial > 0
    amplification = np.divide(total, initial, out=np.full(len(initial), np.nan), where=moved)
    liquidated = state.closed > 0
    value = state.closed * accounts.trigger_price
    fees = rules.fee_rate * state.closed * accounts.bankruptcy_price
    held = state.open_quantity
    fills = np.where(liquidated, state.fills, 0.0)
    pnl = accounts.side * (
        state.closed * (accounts.bankruptcy_price - start)
        + state.adl_value
        - state.adl_quantity * start
        + held * (end - start)
    )
    better = np.maximum(accounts.side * (fills - accounts.bankruptcy_price), 0.0) * liquidated
    refund = (1.0 - rules.surplus_to_fund) * better * state.closed
    long = accounts.side > 0
    return Cascade(
        path=path,
        initial_price=market.prices,
        final_price=state.prices,
        final_mark=state.marks,
        initial_move=initial,
        total_move=total,
        amplification=amplification,
        branching=1.0 - 1.0 / amplification,
        liquidated=liquidated,
        fill_price=state.fills,
        liquidated_long=_by_symbol(market, value * long),
        liquidated_short=_by_symbol(market, value * ~long),
        fund_draw=float(state.fund[1]),
        fund_surplus=rules.surplus_to_fund * state.surplus,
        fund_balance=float(state.fund[0]),
        adl_value=float(state.adl_quantity @ start),
        adl_loss=float(state.fund[3]),
        adl_quantity=state.adl_quantity,
        residual_deficit=float(state.fund[4]),
        margin_ratio=_margin_ratio(market, state),
        account_pnl=pnl - fees + refund,
        book_pnl=float(accounts.side * state.sold @ (end - fills)),
        rest_pnl=-float(accounts.side * accounts.quantity @ (end - start)),
        fees=float(fees.sum()),
        settled=state.settled,
    )


def _by_symbol(market: Market, values: Floats) -> Floats:
    return np.bincount(market.accounts.symbol, values, len(market.prices)).astype(np.float64)


def _margin_ratio(market: Market, state: _State) -> Floats:
    """Return m p / (s (p - B)), with the rate m that puts the trigger where it is."""
    accounts = market.accounts
    mark = state.marks[accounts.symbol]
    trigger, bankruptcy = accounts.trigger_price, accounts.bankruptcy_price
    rate = accounts.side * (trigger - bankruptcy) / trigger
    equity = accounts.side * (mark - bankruptcy)
    alive = (state.open_quantity > 0) & (equity > 0)
    ratio = np.full(len(mark), np.nan)
    np.divide(rate * mark, equity, out=ratio, where=alive)
    return ratio

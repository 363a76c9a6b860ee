"""What each venue does differently: valuation, fees, trigger, liquidation and deleveraging.

Every profile names its source and the date on which it was read; exchanges change these rules.
"""

from dataclasses import dataclass
from typing import Final, Literal

from alphaplus.errors import ConfigError

Valuation = Literal["mark", "entry"]
CloseFee = Literal["none", "notional", "bankruptcy"]
PartialPolicy = Literal["below_bracket", "two_tiers", "one_tier", "fifth_first", "block_limit"]
FundPolicy = Literal["bankruptcy_price", "capped_fee", "backstop_vault"]
AdlRank = Literal["profit_times_leverage", "profit_times_margin_ratio"]
MarkRule = Literal["median_of_three", "oracle_median", "oracle", "stream"]
MarginMode = Literal["cross", "isolated"]


@dataclass(frozen=True, slots=True, kw_only=True)
class MarginProfile:
    """How one venue, in one margin mode, turns positions into margins and liquidations."""

    name: str
    inverse: bool = False
    """Whether contracts are inverse where neither input nor symbol says."""
    mm_valuation: Valuation = "mark"
    """Whether initial and maintenance margin follow the mark or stay at the entry."""
    close_fee_in_margin: CloseFee = "none"
    """The fee inside MM: on the notional, on the bankruptcy price (then in IM too), or none."""
    fee_rate: float = 0.0
    """Taker fee per notional, for positions that state none; lowest tier of the venue."""
    strict: bool = False
    """Liquidate only when equity is below MM; else also when equal."""
    tier_source: str
    partial_policy: PartialPolicy
    fund_policy: FundPolicy = "bankruptcy_price"
    adl_rank: AdlRank = "profit_times_leverage"
    mark_rule: MarkRule = "stream"
    source: str
    """The venue's page that the rules follow. None of them was compared with the live page here:
    venues change their rules, so compare before relying on a profile."""

    def close_fee(self, direction: float, leverage: float, taker_fee: float) -> float:
        """Return the close fee inside MM per notional.

        `direction` is the side, turned round for inverse contracts. On the bankruptcy price
        P (1 - s / leverage) the fee is q P (1 - s / leverage) tau (Bybit, UTA).
        """
        if self.close_fee_in_margin == "none":
            return 0.0
        if self.close_fee_in_margin == "notional":
            return taker_fee
        return taker_fee * (1.0 - direction / leverage)

    def bankruptcy_fee(self, taker_fee: float) -> float:
        """Return the fee per notional that closing at the bankruptcy price costs."""
        return 0.0 if self.close_fee_in_margin == "none" else taker_fee

    def initial_rate(self, direction: float, leverage: float, taker_fee: float) -> float:
        """Return the initial margin per notional."""
        if self.close_fee_in_margin == "bankruptcy":
            return 1.0 / leverage + self.close_fee(direction, leverage, taker_fee)
        return 1.0 / leverage


BINANCE_USDM: Final = MarginProfile(
    name="binance",
    tier_source="fapi/v1/leverageBracket, amounts in quote",
    partial_policy="below_bracket",
    adl_rank="profit_times_margin_ratio",
    mark_rule="median_of_three",
    source="Binance FAQ, liquidation protocols and price of USD-M futures",
)
BINANCE_COINM: Final = MarginProfile(
    name="binancecoinm",
    inverse=True,
    tier_source="dapi/v2/leverageBracket, amounts in coin",
    partial_policy="below_bracket",
    adl_rank="profit_times_margin_ratio",
    mark_rule="median_of_three",
    source="Binance FAQ, leverage and margin of COIN-M futures",
)
BYBIT_ISOLATED: Final = MarginProfile(
    name="bybit",
    mm_valuation="entry",
    fee_rate=0.00055,
    tier_source="v5/market/risk-limit, with deductions",
    partial_policy="one_tier",
    source="Bybit help, liquidation price of USDT contracts (isolated)",
)
BYBIT_UTA: Final = MarginProfile(
    name="bybit",
    close_fee_in_margin="bankruptcy",
    fee_rate=0.00055,
    tier_source="v5/market/risk-limit, with deductions",
    partial_policy="one_tier",
    source="Bybit help, initial and maintenance margin of the unified trading account",
)
OKX: Final = MarginProfile(
    name="okx",
    close_fee_in_margin="notional",
    fee_rate=0.0005,
    tier_source="api/v5/public/position-tiers, bounds in contracts",
    partial_policy="two_tiers",
    source="OKX help, margin calculations; its cross page is secondary",
)
GATE: Final = MarginProfile(
    name="gate",
    close_fee_in_margin="notional",
    fee_rate=0.0005,
    tier_source="futures/{settle}/risk_limit_tiers",
    partial_policy="one_tier",
    source="Gate help, liquidation price of perpetual contracts",
)
HYPERLIQUID: Final = MarginProfile(
    name="hyperliquid",
    fee_rate=0.00045,
    strict=True,
    tier_source="margin tables of the documentation; rate = 1 / (2 max leverage)",
    partial_policy="fifth_first",
    fund_policy="backstop_vault",
    mark_rule="oracle_median",
    source="Hyperliquid docs, margining and liquidations",
)
DYDX: Final = MarginProfile(
    name="dydx",
    fee_rate=0.0005,
    strict=True,
    tier_source="liquidity tiers of the chain; initial rate rises with open interest",
    partial_policy="block_limit",
    fund_policy="capped_fee",
    mark_rule="oracle",
    source="dYdX v4 documentation and protocol tests",
)

_BOTH: Final = {
    "binance": BINANCE_USDM,
    "binancecoinm": BINANCE_COINM,
    "okx": OKX,
    "gate": GATE,
    "hyperliquid": HYPERLIQUID,
    "dydx": DYDX,
}
_ALIASES: Final = {
    "binanceusdm": "binance",
    "binance-usdm": "binance",
    "binance-coinm": "binancecoinm",
    "gateio": "gate",
    "okex": "okx",
    "dydx4": "dydx",
}
VENUES: Final = (*_BOTH, "bybit")


def profile_of(venue: str, margin_mode: MarginMode) -> MarginProfile:
    """Return the profile of a venue in a margin mode; raises ConfigError for another venue."""
    name = venue.lower().replace("_", "-")
    name = _ALIASES.get(name, name)
    if name == "bybit":
        return BYBIT_ISOLATED if margin_mode == "isolated" else BYBIT_UTA
    if name not in _BOTH:
        raise ConfigError(f"Expected venue to be one of {', '.join(VENUES)}, was {venue!r}.")
    return _BOTH[name]

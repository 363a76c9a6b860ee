"""Which measure fills which column of `market_depth_analysis`: (measure, value, ...) by column."""

from typing import Final

DEPTH_BPS: Final = (1, 5, 10, 25, 50, 100)
NOTIONALS: Final = {"10k": "10000", "100k": "100000", "1m": "1000000", "5m": "5000000"}
IMBALANCES: Final = (1, 5, 10, 20)

TOUCH: Final = ("best_bid", "best_ask", "spread", "spread_bps", "mid", "weighted_mid")
"""Columns that the touch of the book fills."""

MEASURED: Final[dict[str, tuple[str, ...]]] = {
    **{f"imbalance_{n}": ("imbalance", f"imbalance_{n}") for n in IMBALANCES},
    **{
        f"{side}_depth_{bps}_bps": ("depth", str(bps), side)
        for side in ("bid", "ask")
        for bps in DEPTH_BPS
    },
    **{
        f"{side}_slippage_bps_{name}": ("cost", notional, side, "slippage_bps")
        for side in ("buy", "sell")
        for name, notional in NOTIONALS.items()
    },
    **{
        f"distance_weighted_imbalance_{n}_bps": ("distance_weighted_imbalance", f"length_{n}_bps")
        for n in (1, 5, 25)
    },
    "microprice": ("microprice", "microprice"),
    "book_slope": ("book_slope", "book_slope"),
    "static_pressure": ("static_pressure", "static_pressure"),
    "liquidity_score": ("liquidity_score", "score"),
    "liquidity_score_book": ("liquidity_score", "score_book"),
    "liquidity_score_bid": ("liquidity_score", "bid", "score_book"),
    "liquidity_score_ask": ("liquidity_score", "ask", "score_book"),
    "ofi_1s": ("ofi", "ofi_1s"),
    "ofi_5s": ("ofi", "ofi_5s"),
    "ofi_30s": ("ofi", "ofi_30s"),
    "pc1_ofi_5s": ("multi_level_ofi", "pc1_ofi_5s"),
    "depth_pressure_1s": ("depth_pressure", "depth_pressure_1s"),
    "depth_pressure_5s": ("depth_pressure", "depth_pressure_5s"),
    "depth_pressure_30s": ("depth_pressure", "depth_pressure_30s"),
    "trade_imbalance_60s": ("trade_flow", "trade_imbalance_60s"),
    "cvd_base": ("trade_flow", "cvd_base"),
    "vpin": ("vpin", "vpin"),
    "signed_toxicity": ("vpin", "signed_toxicity"),
    "effective_spread_bps": ("trade_cost", "effective_spread_bps"),
    "realized_spread_bps_5s": ("trade_cost", "realized_spread_bps_5s"),
    "price_impact_bps_5s": ("trade_cost", "price_impact_bps_5s"),
    "kyle_lambda": ("illiquidity", "kyle_lambda"),
    "amihud_illiquidity_per_million": ("illiquidity", "amihud_illiquidity_per_million"),
    "roll_spread": ("illiquidity", "roll_spread"),
    "realized_volatility_annual": ("realized_volatility", "realized_volatility_annual"),
    "ewma_volatility_annual_60s": ("ewma_volatility", "volatility_annual_60s"),
    "ewma_volatility_annual_600s": ("ewma_volatility", "volatility_annual_600s"),
    "bid_half_life_s": ("resiliency", "bid_half_life_s"),
    "ask_half_life_s": ("resiliency", "ask_half_life_s"),
}

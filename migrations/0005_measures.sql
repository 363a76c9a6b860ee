-- The measures of a book and its flow, beside those of the first version.

ALTER TABLE market_depth_analysis
    ADD COLUMN imbalance_10 float8,
    ADD COLUMN bid_depth_100_bps float8,
    ADD COLUMN ask_depth_100_bps float8,
    ADD COLUMN buy_slippage_bps_5m float8,
    ADD COLUMN sell_slippage_bps_5m float8,
    ADD COLUMN distance_weighted_imbalance_1_bps float8,
    ADD COLUMN distance_weighted_imbalance_5_bps float8,
    ADD COLUMN distance_weighted_imbalance_25_bps float8,
    ADD COLUMN microprice float8,
    ADD COLUMN book_slope float8,
    ADD COLUMN static_pressure float8,
    ADD COLUMN liquidity_score float8,
    ADD COLUMN liquidity_score_book float8,
    ADD COLUMN liquidity_score_bid float8,
    ADD COLUMN liquidity_score_ask float8,
    ADD COLUMN ofi_1s float8,
    ADD COLUMN ofi_5s float8,
    ADD COLUMN ofi_30s float8,
    ADD COLUMN pc1_ofi_5s float8,
    ADD COLUMN depth_pressure_1s float8,
    ADD COLUMN depth_pressure_5s float8,
    ADD COLUMN depth_pressure_30s float8,
    ADD COLUMN trade_imbalance_60s float8,
    ADD COLUMN cvd_base float8,
    ADD COLUMN vpin float8,
    ADD COLUMN signed_toxicity float8,
    ADD COLUMN effective_spread_bps float8,
    ADD COLUMN realized_spread_bps_5s float8,
    ADD COLUMN price_impact_bps_5s float8,
    ADD COLUMN kyle_lambda float8,
    ADD COLUMN amihud_illiquidity_per_million float8,
    ADD COLUMN roll_spread float8,
    ADD COLUMN realized_volatility_annual float8,
    ADD COLUMN ewma_volatility_annual_60s float8,
    ADD COLUMN ewma_volatility_annual_600s float8,
    ADD COLUMN bid_half_life_s float8,
    ADD COLUMN ask_half_life_s float8;
COMMENT ON COLUMN market_depth_analysis.imbalance_10 IS
    '(bid - ask) / (bid + ask) of the quantities of the best 10 levels, -1 to 1';
COMMENT ON COLUMN market_depth_analysis.bid_depth_100_bps IS
    'value of the bids within 100 bps of mid, quote currency';
COMMENT ON COLUMN market_depth_analysis.ask_depth_100_bps IS
    'value of the asks within 100 bps of mid, quote currency';
COMMENT ON COLUMN market_depth_analysis.buy_slippage_bps_5m IS
    'cost of a market buy of 5m quote against mid, basis points; NULL: the book is too thin';
COMMENT ON COLUMN market_depth_analysis.sell_slippage_bps_5m IS
    'cost of a market sell of 5m quote against mid, basis points; NULL: the book is too thin';
COMMENT ON COLUMN market_depth_analysis.distance_weighted_imbalance_1_bps IS
    'imbalance of notionals with weights exp(-distance / 1 bps), -1 to 1';
COMMENT ON COLUMN market_depth_analysis.distance_weighted_imbalance_5_bps IS
    'imbalance of notionals with weights exp(-distance / 5 bps), -1 to 1';
COMMENT ON COLUMN market_depth_analysis.distance_weighted_imbalance_25_bps IS
    'imbalance of notionals with weights exp(-distance / 25 bps), -1 to 1';
COMMENT ON COLUMN market_depth_analysis.microprice IS
    'microprice of Stoikov (2018), fitted online, quote currency';
COMMENT ON COLUMN market_depth_analysis.book_slope IS
    'book slope of Naes and Skjeltorp (2006), mean of both sides';
COMMENT ON COLUMN market_depth_analysis.static_pressure IS
    'mean imbalance of the depth within 5, 10 and 25 bps, -1 to 1';
COMMENT ON COLUMN market_depth_analysis.liquidity_score IS
    'liquidity score with the volume of 24 hours, 0 to 1; NULL: volume unknown';
COMMENT ON COLUMN market_depth_analysis.liquidity_score_book IS
    'liquidity score of the book alone, 0 to 1';
COMMENT ON COLUMN market_depth_analysis.liquidity_score_bid IS
    'liquidity score of the bids, which a seller meets, 0 to 1';
COMMENT ON COLUMN market_depth_analysis.liquidity_score_ask IS
    'liquidity score of the asks, which a buyer meets, 0 to 1';
COMMENT ON COLUMN market_depth_analysis.ofi_1s IS
    'order flow imbalance at the touch over 1 s, base units';
COMMENT ON COLUMN market_depth_analysis.ofi_5s IS
    'order flow imbalance at the touch over 5 s, base units';
COMMENT ON COLUMN market_depth_analysis.ofi_30s IS
    'order flow imbalance at the touch over 30 s, base units';
COMMENT ON COLUMN market_depth_analysis.pc1_ofi_5s IS
    'first principal component of the order flow imbalance of 10 levels over 5 s';
COMMENT ON COLUMN market_depth_analysis.depth_pressure_1s IS
    'balance of order flow in 10 levels with a half-life of 1 s, -1 to 1';
COMMENT ON COLUMN market_depth_analysis.depth_pressure_5s IS
    'balance of order flow in 10 levels with a half-life of 5 s, -1 to 1';
COMMENT ON COLUMN market_depth_analysis.depth_pressure_30s IS
    'balance of order flow in 10 levels with a half-life of 30 s, -1 to 1';
COMMENT ON COLUMN market_depth_analysis.trade_imbalance_60s IS
    '(bought - sold) / traded by aggressors in 60 s, -1 to 1';
COMMENT ON COLUMN market_depth_analysis.cvd_base IS
    'bought minus sold by aggressors since midnight UTC, base units';
COMMENT ON COLUMN market_depth_analysis.vpin IS
    'volume-synchronised probability of informed trading, 0 to 1';
COMMENT ON COLUMN market_depth_analysis.signed_toxicity IS
    'VPIN with the sign of the flow, -1 to 1';
COMMENT ON COLUMN market_depth_analysis.effective_spread_bps IS
    'effective spread of the trades of 300 s, weighted by notional, basis points';
COMMENT ON COLUMN market_depth_analysis.realized_spread_bps_5s IS
    'realized spread 5 s after the trades of 300 s, basis points';
COMMENT ON COLUMN market_depth_analysis.price_impact_bps_5s IS
    'price impact 5 s after the trades of 300 s, basis points';
COMMENT ON COLUMN market_depth_analysis.kyle_lambda IS
    'Kyle''s lambda over 300 s, quote currency per base unit';
COMMENT ON COLUMN market_depth_analysis.amihud_illiquidity_per_million IS
    'Amihud illiquidity over 300 s, return per 1e6 quote currency';
COMMENT ON COLUMN market_depth_analysis.roll_spread IS
    'spread of Roll (1984) over 300 s, quote currency';
COMMENT ON COLUMN market_depth_analysis.realized_volatility_annual IS
    'realized volatility of 1-s returns over 300 s, fraction a year';
COMMENT ON COLUMN market_depth_analysis.ewma_volatility_annual_60s IS
    'volatility with a half-life of 60 s, fraction a year';
COMMENT ON COLUMN market_depth_analysis.ewma_volatility_annual_600s IS
    'volatility with a half-life of 600 s, fraction a year';
COMMENT ON COLUMN market_depth_analysis.bid_half_life_s IS
    'half-life in which the depth of the bids reverts to its mean, seconds';
COMMENT ON COLUMN market_depth_analysis.ask_half_life_s IS
    'half-life in which the depth of the asks reverts to its mean, seconds';

COMMENT ON COLUMN enhanced_order_book_snapshots.liquidity_score IS
    'liquidity score of the book, 0 to 1; NULL: not computed';
COMMENT ON COLUMN enhanced_order_book_snapshots.depth_pressure IS
    'balance of order flow in 10 levels with a half-life of 5 s, -1 to 1; NULL: not computed';
COMMENT ON COLUMN trades.liquidity_score IS 'liquidity score of the book, 0 to 1; NULL: not computed';

-- Our own fills, each with the state of market and account it met.

SELECT ap_make_timeseries('trades', $$
    portfolio text NOT NULL,
    fill_id int8 NOT NULL,
    side int2 NOT NULL,
    price float8 NOT NULL,
    qty float8 NOT NULL,
    fee float8,
    leverage_ratio float8,
    margin_used float8,
    liquidation_price float8,
    risk_score float8,
    liquidity_score float8,
    order_book_imbalance float8,
    funding_rate float8,
    open_interest_at_entry float8,
    depth_analysis_time timestamptz,
    depth_analysis_window_ms int4 NOT NULL
$$, 'portfolio, exchange, symbol, time DESC, fill_id',
    '1 day', 'exchange,symbol', 'time DESC', NULL, interval '2 days');
COMMENT ON TABLE trades IS 'Fills of our portfolios, with what was known when they happened';
COMMENT ON COLUMN trades.portfolio IS 'portfolio that traded';
COMMENT ON COLUMN trades.fill_id IS 'id of the fill';
COMMENT ON COLUMN trades.side IS '0 buy, 1 sell';
COMMENT ON COLUMN trades.price IS 'price, quote currency';
COMMENT ON COLUMN trades.qty IS 'quantity, in the unit of the exchange (base or contracts)';
COMMENT ON COLUMN trades.fee IS 'fee paid, quote currency; negative: rebate';
COMMENT ON COLUMN trades.leverage_ratio IS 'leverage of the position after the fill';
COMMENT ON COLUMN trades.margin_used IS
    'initial margin of the position after the fill, quote currency';
COMMENT ON COLUMN trades.liquidation_price IS
    'liquidation price after the fill, quote currency; NULL: none';
COMMENT ON COLUMN trades.risk_score IS
    'risk of the position after the fill, 0 to 100; NULL: not computed';
COMMENT ON COLUMN trades.liquidity_score IS 'liquidity of the book, 0 to 100; NULL: not computed';
COMMENT ON COLUMN trades.order_book_imbalance IS 'imbalance of the best 5 levels, -1 to 1';
COMMENT ON COLUMN trades.funding_rate IS 'funding rate in force, as a fraction per interval';
COMMENT ON COLUMN trades.open_interest_at_entry IS 'open interest, base units';
COMMENT ON COLUMN trades.depth_analysis_time IS
    'time of the market_depth_analysis in force; NULL: none';
COMMENT ON COLUMN trades.depth_analysis_window_ms IS
    'window_ms of the market_depth_analysis in force';

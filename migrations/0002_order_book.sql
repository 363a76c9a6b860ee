-- The order book, and what is measured on it.

SELECT ap_make_timeseries('enhanced_order_book_snapshots', $$
    seq int8 NOT NULL,
    bid_px float8[] NOT NULL,
    bid_qty float8[] NOT NULL,
    ask_px float8[] NOT NULL,
    ask_qty float8[] NOT NULL,
    depth int2 NOT NULL,
    is_rebuilt bool NOT NULL,
    spread float8,
    total_bid_volume float8,
    total_ask_volume float8,
    bid_ask_imbalance float8,
    liquidity_score float8,
    order_flow_toxicity float8,
    depth_pressure float8
$$, 'exchange, symbol, time DESC, seq',
    '1 hour', 'exchange,symbol', 'time DESC,seq', NULL, interval '2 hours');
COMMENT ON TABLE enhanced_order_book_snapshots IS 'The best levels of a book at a moment';
COMMENT ON COLUMN enhanced_order_book_snapshots.seq IS
    'update id of the exchange up to which the book is built';
COMMENT ON COLUMN enhanced_order_book_snapshots.bid_px IS 'bid prices, best first, quote currency';
COMMENT ON COLUMN enhanced_order_book_snapshots.bid_qty IS
    'quantities at bid_px, in the unit of the exchange (base or contracts)';
COMMENT ON COLUMN enhanced_order_book_snapshots.ask_px IS 'ask prices, best first, quote currency';
COMMENT ON COLUMN enhanced_order_book_snapshots.ask_qty IS
    'quantities at ask_px, in the unit of the exchange (base or contracts)';
COMMENT ON COLUMN enhanced_order_book_snapshots.depth IS 'levels per side that were asked for';
COMMENT ON COLUMN enhanced_order_book_snapshots.is_rebuilt IS
    'made from stored deltas rather than taken live';
COMMENT ON COLUMN enhanced_order_book_snapshots.spread IS
    'best ask minus best bid, quote currency; NULL: a side is empty';
COMMENT ON COLUMN enhanced_order_book_snapshots.total_bid_volume IS
    'sum of bid_qty, in the unit of the exchange';
COMMENT ON COLUMN enhanced_order_book_snapshots.total_ask_volume IS
    'sum of ask_qty, in the unit of the exchange';
COMMENT ON COLUMN enhanced_order_book_snapshots.bid_ask_imbalance IS
    '(bid - ask) / (bid + ask) of the total volumes, -1 to 1';
COMMENT ON COLUMN enhanced_order_book_snapshots.liquidity_score IS
    'liquidity of the book, 0 to 100; NULL: not computed';
COMMENT ON COLUMN enhanced_order_book_snapshots.order_flow_toxicity IS
    'VPIN, 0 to 1; NULL: not computed';
COMMENT ON COLUMN enhanced_order_book_snapshots.depth_pressure IS
    'distance-weighted imbalance of the levels, -1 to 1; NULL: not computed';

SELECT ap_make_timeseries('order_book_deltas', $$
    seq int8 NOT NULL,
    side int2 NOT NULL,
    price float8 NOT NULL,
    qty float8 NOT NULL,
    is_snapshot bool NOT NULL
$$, 'exchange, symbol, time DESC, seq, side, price',
    '1 hour', 'exchange,symbol', 'time DESC,seq', NULL, interval '2 hours');
COMMENT ON TABLE order_book_deltas IS 'Every change of a price level';
COMMENT ON COLUMN order_book_deltas.seq IS 'update id of the exchange of the message';
COMMENT ON COLUMN order_book_deltas.side IS '0 bid, 1 ask';
COMMENT ON COLUMN order_book_deltas.price IS 'price of the level, quote currency';
COMMENT ON COLUMN order_book_deltas.qty IS
    'quantity at the level from now on, in the unit of the exchange; 0: level removed';
COMMENT ON COLUMN order_book_deltas.is_snapshot IS
    'the row is part of a full book, which replaces all levels before it';

SELECT ap_make_timeseries('market_trades', $$
    trade_id int8 NOT NULL,
    side int2 NOT NULL,
    price float8 NOT NULL,
    qty float8 NOT NULL,
    is_liquidation bool NOT NULL,
    trade_ref text
$$, 'exchange, symbol, time DESC, trade_id',
    '1 hour', 'exchange,symbol', 'time DESC,trade_id', NULL, interval '2 hours');
COMMENT ON TABLE market_trades IS 'Public trades';
COMMENT ON COLUMN market_trades.trade_id IS 'trade id of the exchange, or a hash of trade_ref';
COMMENT ON COLUMN market_trades.side IS 'side of the taker: 0 buy, 1 sell';
COMMENT ON COLUMN market_trades.price IS 'price, quote currency';
COMMENT ON COLUMN market_trades.qty IS 'quantity, in the unit of the exchange (base or contracts)';
COMMENT ON COLUMN market_trades.is_liquidation IS
    'the exchange marks the trade as made by a liquidation or its fund';
COMMENT ON COLUMN market_trades.trade_ref IS 'trade id of the exchange where it is not a number';

SELECT ap_make_timeseries('market_depth_analysis', $$
    window_ms int4 NOT NULL,
    seq int8 NOT NULL,
    best_bid float8,
    best_ask float8,
    spread float8,
    spread_bps float8,
    mid float8,
    weighted_mid float8,
    imbalance_1 float8,
    imbalance_5 float8,
    imbalance_20 float8,
    bid_depth_1_bps float8,
    bid_depth_5_bps float8,
    bid_depth_10_bps float8,
    bid_depth_25_bps float8,
    bid_depth_50_bps float8,
    ask_depth_1_bps float8,
    ask_depth_5_bps float8,
    ask_depth_10_bps float8,
    ask_depth_25_bps float8,
    ask_depth_50_bps float8,
    buy_slippage_bps_10k float8,
    buy_slippage_bps_100k float8,
    buy_slippage_bps_1m float8,
    sell_slippage_bps_10k float8,
    sell_slippage_bps_100k float8,
    sell_slippage_bps_1m float8
$$, 'exchange, symbol, time DESC, window_ms',
    '1 hour', 'exchange,symbol', 'time DESC', NULL, interval '2 hours');
COMMENT ON TABLE market_depth_analysis IS 'Measures of a book at a moment; NULL: not computable';
COMMENT ON COLUMN market_depth_analysis.window_ms IS
    'width of the window that is summarised, milliseconds; 0: a moment';
COMMENT ON COLUMN market_depth_analysis.seq IS
    'update id of the exchange up to which the book is built';
COMMENT ON COLUMN market_depth_analysis.best_bid IS 'highest bid, quote currency';
COMMENT ON COLUMN market_depth_analysis.best_ask IS 'lowest ask, quote currency';
COMMENT ON COLUMN market_depth_analysis.spread IS 'best ask minus best bid, quote currency';
COMMENT ON COLUMN market_depth_analysis.spread_bps IS 'spread over mid, basis points';
COMMENT ON COLUMN market_depth_analysis.mid IS 'mean of best bid and best ask, quote currency';
COMMENT ON COLUMN market_depth_analysis.weighted_mid IS
    'mid weighted by the opposite side''s quantity, quote currency';
COMMENT ON COLUMN market_depth_analysis.imbalance_1 IS
    '(bid - ask) / (bid + ask) of the quantities of the best 1 levels, -1 to 1';
COMMENT ON COLUMN market_depth_analysis.imbalance_5 IS
    '(bid - ask) / (bid + ask) of the quantities of the best 5 levels, -1 to 1';
COMMENT ON COLUMN market_depth_analysis.imbalance_20 IS
    '(bid - ask) / (bid + ask) of the quantities of the best 20 levels, -1 to 1';
COMMENT ON COLUMN market_depth_analysis.bid_depth_1_bps IS
    'value of the bids within 1 bps of mid, quote currency';
COMMENT ON COLUMN market_depth_analysis.bid_depth_5_bps IS
    'value of the bids within 5 bps of mid, quote currency';
COMMENT ON COLUMN market_depth_analysis.bid_depth_10_bps IS
    'value of the bids within 10 bps of mid, quote currency';
COMMENT ON COLUMN market_depth_analysis.bid_depth_25_bps IS
    'value of the bids within 25 bps of mid, quote currency';
COMMENT ON COLUMN market_depth_analysis.bid_depth_50_bps IS
    'value of the bids within 50 bps of mid, quote currency';
COMMENT ON COLUMN market_depth_analysis.ask_depth_1_bps IS
    'value of the asks within 1 bps of mid, quote currency';
COMMENT ON COLUMN market_depth_analysis.ask_depth_5_bps IS
    'value of the asks within 5 bps of mid, quote currency';
COMMENT ON COLUMN market_depth_analysis.ask_depth_10_bps IS
    'value of the asks within 10 bps of mid, quote currency';
COMMENT ON COLUMN market_depth_analysis.ask_depth_25_bps IS
    'value of the asks within 25 bps of mid, quote currency';
COMMENT ON COLUMN market_depth_analysis.ask_depth_50_bps IS
    'value of the asks within 50 bps of mid, quote currency';
COMMENT ON COLUMN market_depth_analysis.buy_slippage_bps_10k IS
    'cost of a market buy of 10k quote against mid, basis points; NULL: the book is too thin';
COMMENT ON COLUMN market_depth_analysis.buy_slippage_bps_100k IS
    'cost of a market buy of 100k quote against mid, basis points; NULL: the book is too thin';
COMMENT ON COLUMN market_depth_analysis.buy_slippage_bps_1m IS
    'cost of a market buy of 1m quote against mid, basis points; NULL: the book is too thin';
COMMENT ON COLUMN market_depth_analysis.sell_slippage_bps_10k IS
    'cost of a market sell of 10k quote against mid, basis points; NULL: the book is too thin';
COMMENT ON COLUMN market_depth_analysis.sell_slippage_bps_100k IS
    'cost of a market sell of 100k quote against mid, basis points; NULL: the book is too thin';
COMMENT ON COLUMN market_depth_analysis.sell_slippage_bps_1m IS
    'cost of a market sell of 1m quote against mid, basis points; NULL: the book is too thin';

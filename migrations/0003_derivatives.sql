-- Liquidations, open interest and funding of derivatives.

SELECT ap_make_timeseries('liquidation_events', $$
    event_id int8 NOT NULL,
    side int2 NOT NULL,
    price float8 NOT NULL,
    avg_price float8,
    qty float8 NOT NULL,
    usd float8,
    order_state text,
    source text NOT NULL,
    sampled bool NOT NULL
$$, 'exchange, symbol, time DESC, event_id',
    '1 day', 'exchange,symbol', 'time DESC', NULL, interval '2 days');
COMMENT ON TABLE liquidation_events IS 'Liquidation orders that the exchange reports';
COMMENT ON COLUMN liquidation_events.event_id IS
    'id of the exchange, or a 63 bit hash of the event''s fields';
COMMENT ON COLUMN liquidation_events.side IS 'position that is liquidated: 0 long, 1 short';
COMMENT ON COLUMN liquidation_events.price IS 'price of the order, quote currency';
COMMENT ON COLUMN liquidation_events.avg_price IS 'mean price of its fills, quote currency';
COMMENT ON COLUMN liquidation_events.qty IS
    'quantity, in the unit of the exchange (base or contracts)';
COMMENT ON COLUMN liquidation_events.usd IS 'value, US dollars';
COMMENT ON COLUMN liquidation_events.order_state IS
    'state of the order in the words of the exchange';
COMMENT ON COLUMN liquidation_events.source IS 'stream or endpoint it came from';
COMMENT ON COLUMN liquidation_events.sampled IS
    'the source reports at most one event per symbol and second';

CREATE TABLE liquidation_assumptions (
    id int8 PRIMARY KEY,
    hash text NOT NULL UNIQUE,
    assumptions jsonb NOT NULL
);
COMMENT ON TABLE liquidation_assumptions IS 'What maps of liquidation levels are built on';
COMMENT ON COLUMN liquidation_assumptions.id IS 'number used by liquidation_levels';
COMMENT ON COLUMN liquidation_assumptions.hash IS 'SHA-256 of the canonical JSON';
COMMENT ON COLUMN liquidation_assumptions.assumptions IS 'leverage mix, tiers and other inputs';

SELECT ap_make_timeseries('liquidation_levels', $$
    model_id int8 NOT NULL,
    assumptions_id int8 NOT NULL,
    mark_price float8,
    long_px float8[] NOT NULL,
    long_usd float8[] NOT NULL,
    short_px float8[] NOT NULL,
    short_usd float8[] NOT NULL
$$, 'exchange, symbol, time DESC, model_id',
    '1 day', 'exchange,symbol', 'time DESC', NULL, interval '2 days');
COMMENT ON TABLE liquidation_levels IS 'Maps of the prices at which positions would be liquidated';
COMMENT ON COLUMN liquidation_levels.model_id IS 'model that made the map';
COMMENT ON COLUMN liquidation_levels.assumptions_id IS 'its inputs, in liquidation_assumptions';
COMMENT ON COLUMN liquidation_levels.mark_price IS 'mark price at the time, quote currency';
COMMENT ON COLUMN liquidation_levels.long_px IS
    'prices at which longs are liquidated, nearest first, quote currency';
COMMENT ON COLUMN liquidation_levels.long_usd IS 'value of the longs at long_px, US dollars';
COMMENT ON COLUMN liquidation_levels.short_px IS
    'prices at which shorts are liquidated, nearest first, quote currency';
COMMENT ON COLUMN liquidation_levels.short_usd IS 'value of the shorts at short_px, US dollars';

CREATE VIEW liquidation_level_points AS
SELECT m.time, m.exchange, m.symbol, m.model_id, m.assumptions_id,
    p.px AS price_level, p.side, p.usd / nullif(p.px, 0) AS quantity,
    p.usd / nullif(sum(p.usd) OVER (
        PARTITION BY m.exchange, m.symbol, m.time, m.model_id), 0) AS risk_score,
    p.px / nullif(m.mark_price, 0) - 1 AS distance_from_price
FROM liquidation_levels m
CROSS JOIN LATERAL (
    SELECT l.px, l.usd, 0::int2 FROM unnest(m.long_px, m.long_usd) AS l (px, usd)
    UNION ALL
    SELECT s.px, s.usd, 1::int2 FROM unnest(m.short_px, m.short_usd) AS s (px, usd)
) AS p (px, usd, side);
COMMENT ON VIEW liquidation_level_points IS 'liquidation_levels, one row per level';
COMMENT ON COLUMN liquidation_level_points.price_level IS 'price, quote currency';
COMMENT ON COLUMN liquidation_level_points.side IS 'position that is liquidated: 0 long, 1 short';
COMMENT ON COLUMN liquidation_level_points.quantity IS 'value over price, base units';
COMMENT ON COLUMN liquidation_level_points.risk_score IS 'share of the map''s value, 0 to 1';
COMMENT ON COLUMN liquidation_level_points.distance_from_price IS
    'price_level over the mark price, minus 1';

SELECT ap_make_timeseries('open_interest', $$
    source text NOT NULL,
    oi_base float8,
    oi_usd float8,
    mark_price float8
$$, 'exchange, symbol, time DESC, source',
    '1 day', 'exchange,symbol', 'time DESC', NULL, interval '2 days');
COMMENT ON TABLE open_interest IS 'Open interest as reported';
COMMENT ON COLUMN open_interest.source IS 'stream or endpoint it came from';
COMMENT ON COLUMN open_interest.oi_base IS 'open interest, base units';
COMMENT ON COLUMN open_interest.oi_usd IS 'open interest, US dollars';
COMMENT ON COLUMN open_interest.mark_price IS 'mark price used for the value, quote currency';

SELECT ap_make_timeseries('enhanced_funding_rates', $$
    kind text NOT NULL,
    rate float8 NOT NULL,
    interval_hours float8,
    next_time timestamptz,
    raw_time timestamptz,
    mark_price float8,
    index_price float8,
    premium float8
$$, 'exchange, symbol, time DESC, kind',
    '1 day', 'exchange,symbol', 'time DESC', NULL, interval '2 days');
COMMENT ON TABLE enhanced_funding_rates IS 'Funding rates: settled at time, or predicted as of time';
COMMENT ON COLUMN enhanced_funding_rates.kind IS
    'settled (time is the settlement) or predicted (time is the observation)';
COMMENT ON COLUMN enhanced_funding_rates.rate IS
    'rate per interval, as a fraction: 0.0001 is 1 basis point';
COMMENT ON COLUMN enhanced_funding_rates.interval_hours IS 'length of the funding interval, hours';
COMMENT ON COLUMN enhanced_funding_rates.next_time IS 'next settlement, UTC';
COMMENT ON COLUMN enhanced_funding_rates.raw_time IS
    'time as the exchange gave it, before it was put on the grid, UTC';
COMMENT ON COLUMN enhanced_funding_rates.mark_price IS 'mark price, quote currency';
COMMENT ON COLUMN enhanced_funding_rates.index_price IS 'index price, quote currency';
COMMENT ON COLUMN enhanced_funding_rates.premium IS 'premium index, as a fraction';

-- Minutes of trades and of measures, summed up: continuous aggregates on TimescaleDB, plain tables
-- that maintenance fills on plain PostgreSQL. Names and columns are the same.

CREATE TABLE ap_rollups (
    rollup_name text PRIMARY KEY,
    source text NOT NULL REFERENCES ap_timeseries,
    width interval NOT NULL,
    query text NOT NULL,
    filled_to timestamptz
);
COMMENT ON TABLE ap_rollups IS 'How each rollup is made of its source';
COMMENT ON COLUMN ap_rollups.rollup_name IS 'name of the table or continuous aggregate';
COMMENT ON COLUMN ap_rollups.source IS 'table whose rows are summed up';
COMMENT ON COLUMN ap_rollups.width IS 'length of an interval, which begins at a multiple of it';
COMMENT ON COLUMN ap_rollups.query IS 'SELECT list of the values, by interval and instrument';
COMMENT ON COLUMN ap_rollups.filled_to IS
    'end of the newest interval that was filled, UTC; NULL: none yet, or TimescaleDB keeps it';

-- The SELECT that sums up a range of the source.
CREATE FUNCTION ap_rollup_select(p_source text, p_width interval, p_query text, p_where text)
RETURNS text LANGUAGE sql STABLE AS $$
    SELECT format('SELECT %s AS time, exchange, symbol, %s FROM %I %s GROUP BY 1, 2, 3',
        CASE ap_flavor() WHEN 'native'
            THEN format('date_bin(%L, time, timestamptz ''1970-01-01 00:00:00+00'')', p_width)
            ELSE format('time_bucket(%L::interval, time)', p_width) END,
        p_query, p_source, p_where)
$$;

CREATE FUNCTION ap_make_rollup(
    p_rollup text, p_source text, p_width interval, p_query text, p_comment text
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v_select text := ap_rollup_select(p_source, p_width, p_query, '');
BEGIN
    INSERT INTO ap_rollups VALUES (p_rollup, p_source, p_width, p_query);
    IF ap_flavor() = 'native' THEN
        EXECUTE format('CREATE TABLE %I AS %s WITH NO DATA', p_rollup, v_select);
        EXECUTE format('CREATE UNIQUE INDEX %I ON %I (exchange, symbol, time DESC)',
            p_rollup || '_key', p_rollup);
        EXECUTE format('COMMENT ON TABLE %I IS %L', p_rollup, p_comment);
    ELSE
        EXECUTE format('CREATE MATERIALIZED VIEW %I WITH (timescaledb.continuous,
            timescaledb.materialized_only = false) AS %s WITH NO DATA', p_rollup, v_select);
        PERFORM add_continuous_aggregate_policy(p_rollup::regclass,
            start_offset => interval '3 hours', end_offset => p_width,
            schedule_interval => interval '1 minute');
        EXECUTE format('COMMENT ON VIEW %I IS %L', p_rollup, p_comment);
    END IF;
    EXECUTE format('COMMENT ON COLUMN %I.time IS %L', p_rollup, 'when the interval begins, UTC');
    EXECUTE format('COMMENT ON COLUMN %I.exchange IS %L', p_rollup, 'exchange, such as binance');
    EXECUTE format('COMMENT ON COLUMN %I.symbol IS %L', p_rollup,
        'instrument, such as BTC-USDT-PERP');
END
$$;

-- Fill a rollup natively from the intervals of [p_from, p_to) whose rows are in the table; returns
-- how many. Intervals of archived partitions stay as they are: their rows are not all here.
CREATE FUNCTION ap_fill_rollup(p_rollup text, p_from timestamptz, p_to timestamptz)
RETURNS int LANGUAGE plpgsql AS $$
DECLARE
    v_rollup ap_rollups%ROWTYPE;
    v_updates text;
    v_filled int;
    v_newest timestamptz;
BEGIN
    SELECT * INTO STRICT v_rollup FROM ap_rollups WHERE rollup_name = p_rollup FOR UPDATE;
    SELECT string_agg(format('%1$I = excluded.%1$I', attname), ', ') INTO v_updates
        FROM pg_attribute WHERE attrelid = p_rollup::regclass AND attnum > 3 AND NOT attisdropped;
    EXECUTE format('WITH filled AS (INSERT INTO %I SELECT * FROM (%s) AS summed
            WHERE NOT EXISTS (SELECT FROM archive_blocks b JOIN ap_timeseries s USING (table_name)
                WHERE b.table_name = %L AND b.exchange = summed.exchange
                AND b.symbol = summed.symbol AND b.chunk_from <= summed.time
                AND b.chunk_from + s.chunk > summed.time)
            ON CONFLICT (exchange, symbol, time) DO UPDATE SET %s RETURNING time)
        SELECT count(*)::int, max(time) FROM filled',
        p_rollup,
        ap_rollup_select(v_rollup.source, v_rollup.width, v_rollup.query,
            format('WHERE time >= %L AND time < %L', p_from, p_to)),
        v_rollup.source, v_updates) INTO v_filled, v_newest;
    UPDATE ap_rollups SET filled_to = greatest(filled_to, v_newest + width)
        WHERE rollup_name = p_rollup;
    RETURN v_filled;
END
$$;

-- Fill all rollups natively up to a time: from an hour before the newest interval that was filled,
-- as rows may come late. Does nothing on TimescaleDB, whose own job does it.
CREATE FUNCTION ap_fill_rollups(p_now timestamptz) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
    v_filled int;
BEGIN
    IF ap_flavor() <> 'native' THEN
        RETURN 0;
    END IF;
    SELECT coalesce(sum(ap_fill_rollup(rollup_name,
            coalesce(filled_to - interval '1 hour', '-infinity'),
            date_bin(width, p_now, timestamptz '1970-01-01 00:00:00+00'))), 0)::int
        INTO v_filled FROM ap_rollups;
    RETURN v_filled;
END
$$;

SELECT ap_make_rollup('market_trades_1m', 'market_trades', '1 minute', $$
    count(*) AS trades,
    (array_agg(price ORDER BY time, trade_id))[1] AS open,
    max(price) AS high,
    min(price) AS low,
    (array_agg(price ORDER BY time DESC, trade_id DESC))[1] AS close,
    sum(qty) AS volume,
    coalesce(sum(qty) FILTER (WHERE side = 0), 0) AS buy_volume,
    sum(price * qty) / nullif(sum(qty), 0) AS vwap
$$, 'Public trades by the minute');
COMMENT ON COLUMN market_trades_1m.trades IS 'number of trades';
COMMENT ON COLUMN market_trades_1m.open IS 'price of the first trade, quote currency';
COMMENT ON COLUMN market_trades_1m.high IS 'highest price, quote currency';
COMMENT ON COLUMN market_trades_1m.low IS 'lowest price, quote currency';
COMMENT ON COLUMN market_trades_1m.close IS 'price of the last trade, quote currency';
COMMENT ON COLUMN market_trades_1m.volume IS
    'sum of the quantities, in the unit of the exchange (base or contracts)';
COMMENT ON COLUMN market_trades_1m.buy_volume IS 'the part of it that takers bought';
COMMENT ON COLUMN market_trades_1m.vwap IS 'mean price by quantity, quote currency';

SELECT ap_make_rollup('market_depth_analysis_1m', 'market_depth_analysis', '1 minute', $$
    count(*) AS readings,
    avg(mid) AS mid_mean,
    min(mid) AS mid_min,
    max(mid) AS mid_max,
    (array_agg(mid ORDER BY time DESC, window_ms DESC) FILTER (WHERE mid IS NOT NULL))[1]
        AS mid_last,
    avg(spread_bps) AS spread_bps_mean,
    max(spread_bps) AS spread_bps_max,
    avg(imbalance_5) AS imbalance_5_mean,
    avg(bid_depth_10_bps) AS bid_depth_10_bps_mean,
    min(bid_depth_10_bps) AS bid_depth_10_bps_min,
    avg(ask_depth_10_bps) AS ask_depth_10_bps_mean,
    min(ask_depth_10_bps) AS ask_depth_10_bps_min,
    avg(liquidity_score_book) AS liquidity_score_book_mean,
    avg(vpin) AS vpin_mean
$$, 'Measures of books by the minute; NULL: not computable in any reading of it');
COMMENT ON COLUMN market_depth_analysis_1m.readings IS 'number of rows of market_depth_analysis';
COMMENT ON COLUMN market_depth_analysis_1m.mid_mean IS 'mean of mid, quote currency';
COMMENT ON COLUMN market_depth_analysis_1m.mid_min IS 'lowest mid, quote currency';
COMMENT ON COLUMN market_depth_analysis_1m.mid_max IS 'highest mid, quote currency';
COMMENT ON COLUMN market_depth_analysis_1m.mid_last IS 'last mid that is known, quote currency';
COMMENT ON COLUMN market_depth_analysis_1m.spread_bps_mean IS 'mean spread, basis points of mid';
COMMENT ON COLUMN market_depth_analysis_1m.spread_bps_max IS 'widest spread, basis points of mid';
COMMENT ON COLUMN market_depth_analysis_1m.imbalance_5_mean IS
    'mean imbalance of the best 5 levels, -1 to 1';
COMMENT ON COLUMN market_depth_analysis_1m.bid_depth_10_bps_mean IS
    'mean value of the bids within 10 bps of mid, quote currency';
COMMENT ON COLUMN market_depth_analysis_1m.bid_depth_10_bps_min IS
    'least value of the bids within 10 bps of mid, quote currency';
COMMENT ON COLUMN market_depth_analysis_1m.ask_depth_10_bps_mean IS
    'mean value of the asks within 10 bps of mid, quote currency';
COMMENT ON COLUMN market_depth_analysis_1m.ask_depth_10_bps_min IS
    'least value of the asks within 10 bps of mid, quote currency';
COMMENT ON COLUMN market_depth_analysis_1m.liquidity_score_book_mean IS
    'mean liquidity score of the book alone, 0 to 1';
COMMENT ON COLUMN market_depth_analysis_1m.vpin_mean IS 'mean VPIN, 0 to 1';

-- Histories that risk is estimated from: candles, and the leverage tiers in force.

SELECT ap_make_timeseries('candles', $$
    kind text NOT NULL,
    step_s int4 NOT NULL,
    open float8 NOT NULL,
    high float8 NOT NULL,
    low float8 NOT NULL,
    close float8 NOT NULL,
    volume float8,
    source text NOT NULL
$$, 'exchange, symbol, kind, step_s, time DESC',
    '30 days', 'exchange,symbol,kind,step_s', 'time DESC', NULL, interval '60 days');
COMMENT ON TABLE candles IS 'Closed candles of prices; time is when one opens';
COMMENT ON COLUMN candles.kind IS 'trade (last prices) or mark (mark prices)';
COMMENT ON COLUMN candles.step_s IS 'length of the candle, seconds';
COMMENT ON COLUMN candles.open IS 'first price, quote currency';
COMMENT ON COLUMN candles.high IS 'highest price, quote currency';
COMMENT ON COLUMN candles.low IS 'lowest price, quote currency';
COMMENT ON COLUMN candles.close IS 'last price, quote currency';
COMMENT ON COLUMN candles.volume IS
    'quantity traded, in the unit of the exchange (base or contracts); NULL for mark prices';
COMMENT ON COLUMN candles.source IS 'where it came from: exchange or file';

SELECT ap_make_timeseries('leverage_tiers', $$
    effective_to timestamptz,
    hash text NOT NULL,
    tiers jsonb NOT NULL,
    source text NOT NULL
$$, 'exchange, symbol, time DESC, hash',
    '3650 days', 'exchange,symbol', 'time DESC', NULL, NULL);
COMMENT ON TABLE leverage_tiers IS
    'Leverage tiers, a row whenever they have changed; the newest row at a time is in force';
COMMENT ON COLUMN leverage_tiers.time IS
    'from when on they hold, UTC: as stated, else when first seen; 2000-01-01 is since ever';
COMMENT ON COLUMN leverage_tiers.effective_to IS 'until when they hold, UTC; NULL: open';
COMMENT ON COLUMN leverage_tiers.hash IS 'hash of the numbers: equal tiers have equal hashes';
COMMENT ON COLUMN leverage_tiers.tiers IS
    'tiers as in a file of tiers: notionals in the settlement asset, rates as fractions';
COMMENT ON COLUMN leverage_tiers.source IS 'where they came from: exchange or file';

-- Tiers are asked for daily and rarely change: what says the same as the row before it is not kept.
CREATE FUNCTION ap_skip_same_tiers() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.hash = (
        SELECT hash FROM leverage_tiers
        WHERE exchange = NEW.exchange AND symbol = NEW.symbol AND time <= NEW.time
        ORDER BY time DESC LIMIT 1
    ) THEN
        RETURN NULL;
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER skip_same_tiers BEFORE INSERT ON leverage_tiers
    FOR EACH ROW EXECUTE FUNCTION ap_skip_same_tiers();

-- What maps of liquidation levels assume, by market: rows travel to it like all others.

DROP TABLE liquidation_assumptions;  -- nothing wrote to it
SELECT ap_make_timeseries('liquidation_assumptions', $$
    id int8 NOT NULL,
    hash text NOT NULL,
    assumptions jsonb NOT NULL
$$, 'exchange, symbol, time DESC, id',
    '3650 days', 'exchange,symbol', 'time DESC', NULL, NULL);
COMMENT ON TABLE liquidation_assumptions IS
    'What maps of liquidation levels are built on; written again, a row is the same row';
COMMENT ON COLUMN liquidation_assumptions.time IS
    'from when on the leverage tiers hold, UTC; 2000-01-01 is since ever';
COMMENT ON COLUMN liquidation_assumptions.id IS
    'first 63 bits of the hash: what liquidation_levels call assumptions_id';
COMMENT ON COLUMN liquidation_assumptions.hash IS 'SHA-256 of the canonical JSON';
COMMENT ON COLUMN liquidation_assumptions.assumptions IS 'leverage mix, tiers and other inputs';

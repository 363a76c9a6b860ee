-- Which symbols the fleet was told to watch, or no longer to watch, while it ran.

CREATE TABLE fleet_symbols (
    exchange text NOT NULL,
    symbol text NOT NULL,
    watched boolean NOT NULL,
    changed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (exchange, symbol)
);
COMMENT ON TABLE fleet_symbols IS 'Symbols added to, and removed from, those of the settings';
COMMENT ON COLUMN fleet_symbols.exchange IS 'exchange of the fleet';
COMMENT ON COLUMN fleet_symbols.symbol IS 'our name of the instrument';
COMMENT ON COLUMN fleet_symbols.watched IS 'true: watched; false: not watched, whatever the settings say';
COMMENT ON COLUMN fleet_symbols.changed_at IS 'when it was last told so, by the clock of the database';

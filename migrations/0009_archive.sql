-- The archive of closed partitions on plain PostgreSQL: rows as packed columns. On TimescaleDB it
-- stays empty, as its own compression does this work.

ALTER TABLE ap_timeseries ADD COLUMN archive boolean NOT NULL DEFAULT true;
COMMENT ON COLUMN ap_timeseries.archive IS
    'closed native partitions are packed into archive_blocks; false: queries need all rows in SQL';

-- Risk models read these by SQL over months, and they are small.
UPDATE ap_timeseries SET archive = false WHERE table_name IN (
    'trades', 'open_interest', 'enhanced_funding_rates', 'candles', 'leverage_tiers',
    'liquidation_assumptions');

CREATE TABLE archive_blocks (
    table_name text NOT NULL REFERENCES ap_timeseries,
    exchange text NOT NULL,
    symbol text NOT NULL,
    chunk_from timestamptz NOT NULL,
    ordinal int4 NOT NULL,
    time_from timestamptz NOT NULL,
    time_to timestamptz NOT NULL,
    rows int4 NOT NULL CHECK (rows > 0),
    plain_bytes int8 NOT NULL,
    format_version int2 NOT NULL,
    checksum bytea NOT NULL,
    payload bytea NOT NULL,
    PRIMARY KEY (table_name, exchange, symbol, chunk_from, ordinal)
);
-- The payload is compressed already: it is stored out of line as it is.
ALTER TABLE archive_blocks ALTER COLUMN payload SET STORAGE EXTERNAL;
COMMENT ON TABLE archive_blocks IS
    'Rows of closed partitions, packed: some thousand rows of one instrument a block';
COMMENT ON COLUMN archive_blocks.table_name IS 'table whose rows these are';
COMMENT ON COLUMN archive_blocks.exchange IS 'exchange, such as binance';
COMMENT ON COLUMN archive_blocks.symbol IS 'instrument, such as BTC-USDT-PERP';
COMMENT ON COLUMN archive_blocks.chunk_from IS
    'start of the partition that the rows were in, UTC; a block never spans two';
COMMENT ON COLUMN archive_blocks.ordinal IS
    'place of the block among those of its partition and instrument, from 0, in key order';
COMMENT ON COLUMN archive_blocks.time_from IS 'earliest event time of the rows, UTC, microseconds';
COMMENT ON COLUMN archive_blocks.time_to IS 'latest event time of the rows, UTC, microseconds';
COMMENT ON COLUMN archive_blocks.rows IS 'number of rows in the block';
COMMENT ON COLUMN archive_blocks.plain_bytes IS
    'bytes that the rows had in their partition, heap and index, by their share';
COMMENT ON COLUMN archive_blocks.format_version IS 'format of the payload';
COMMENT ON COLUMN archive_blocks.checksum IS
    'BLAKE2b of 16 bytes over table, exchange, symbol, times, rows, format and payload';
COMMENT ON COLUMN archive_blocks.payload IS 'columns of the rows, compressed with zstd';

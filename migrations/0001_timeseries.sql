-- Functions that make and keep time series tables, on TimescaleDB and on plain PostgreSQL.
-- Everything below branches on ap_flavor(); nothing outside these functions has to.

CREATE FUNCTION ap_flavor() RETURNS text LANGUAGE sql STABLE AS $$
    SELECT flavor FROM schema_migrations ORDER BY version LIMIT 1
$$;
COMMENT ON FUNCTION ap_flavor() IS 'timescale or native, decided at the first migration';

CREATE TABLE ap_timeseries (
    table_name text PRIMARY KEY,
    chunk interval NOT NULL,
    segmentby text NOT NULL,
    orderby text NOT NULL,
    retention interval,
    compress_after interval
);
COMMENT ON TABLE ap_timeseries IS 'How each time series table is cut, kept and compressed';
COMMENT ON COLUMN ap_timeseries.table_name IS 'name of the table';
COMMENT ON COLUMN ap_timeseries.chunk IS 'time covered by one partition or chunk: 1 hour or 1 day';
COMMENT ON COLUMN ap_timeseries.segmentby IS 'columns by which compressed data is grouped';
COMMENT ON COLUMN ap_timeseries.orderby IS 'columns by which compressed data is sorted';
COMMENT ON COLUMN ap_timeseries.retention IS 'age at which data is dropped; NULL: never';
COMMENT ON COLUMN ap_timeseries.compress_after IS 'age at which data is compressed or archived';

-- Make one table: its columns (DDL), its unique natural key, its width of chunks.
CREATE FUNCTION ap_make_timeseries(
    p_table text, p_columns text, p_key text, p_chunk interval,
    p_segmentby text, p_orderby text, p_retention interval, p_compress_after interval
) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format(
        'CREATE TABLE %I (time timestamptz NOT NULL, exchange text NOT NULL, symbol text NOT NULL,
         recv_time timestamptz NOT NULL, %s) %s',
        p_table, p_columns,
        CASE ap_flavor() WHEN 'native' THEN 'PARTITION BY RANGE (time)' ELSE '' END);
    EXECUTE format('COMMENT ON COLUMN %I.time IS %L', p_table,
        'event time by the clock of the exchange, UTC, microseconds');
    EXECUTE format('COMMENT ON COLUMN %I.exchange IS %L', p_table, 'exchange, such as binance');
    EXECUTE format('COMMENT ON COLUMN %I.symbol IS %L', p_table,
        'instrument, such as BTC-USDT-PERP');
    EXECUTE format('COMMENT ON COLUMN %I.recv_time IS %L', p_table,
        'when it was received, by our clock, UTC, microseconds');
    EXECUTE format('CREATE UNIQUE INDEX %I ON %I (%s)', p_table || '_key', p_table, p_key);
    INSERT INTO ap_timeseries VALUES
        (p_table, p_chunk, p_segmentby, p_orderby, p_retention, p_compress_after);
    IF ap_flavor() = 'native' THEN
        EXECUTE format('CREATE TABLE %I PARTITION OF %I DEFAULT', p_table || '_default', p_table);
        RETURN;
    END IF;
    PERFORM create_hypertable(p_table::regclass, 'time',
        chunk_time_interval => p_chunk, create_default_indexes => false);
    EXECUTE format(
        'ALTER TABLE %I SET (timescaledb.compress, timescaledb.compress_segmentby = %L,
         timescaledb.compress_orderby = %L)', p_table, p_segmentby, p_orderby);
    IF p_compress_after IS NOT NULL THEN
        PERFORM add_compression_policy(p_table::regclass, p_compress_after);
    END IF;
    IF p_retention IS NOT NULL THEN
        PERFORM add_retention_policy(p_table::regclass, p_retention);
    END IF;
END
$$;

-- Name of the native partition that begins at a time.
CREATE FUNCTION ap_partition_name(p_table text, p_from timestamptz) RETURNS text
LANGUAGE sql STABLE AS $$
    SELECT p_table || '_p' || to_char(p_from AT TIME ZONE 'UTC', 'YYYYMMDDHH24')
$$;

-- Make the native partition that begins at a time. Rows of its range that waited in the default
-- partition move along. The table is made first and attached then, since that lets readers and
-- writers of other partitions go on.
CREATE FUNCTION ap_make_partition(p_table text, p_from timestamptz, p_to timestamptz)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v_name text := ap_partition_name(p_table, p_from);
    v_default text := p_table || '_default';
    v_waiting boolean;
BEGIN
    EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING ALL EXCLUDING COMMENTS)', v_name, p_table);
    EXECUTE format('LOCK TABLE %I IN ACCESS EXCLUSIVE MODE', v_default);
    EXECUTE format('SELECT EXISTS (SELECT FROM %I WHERE time >= %L AND time < %L)',
        v_default, p_from, p_to) INTO v_waiting;
    IF v_waiting THEN
        EXECUTE format('WITH moved AS (DELETE FROM %I WHERE time >= %L AND time < %L RETURNING *)
            INSERT INTO %I SELECT * FROM moved', v_default, p_from, p_to, v_name);
    END IF;
    EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
        p_table, v_name, p_from, p_to);
END
$$;

-- Make the partitions of one table that times of [p_from, p_to] need; returns how many were new.
-- Does nothing on TimescaleDB. Fails rather than waits where a reader blocks it for long: rows
-- then go to the default partition and move later.
CREATE FUNCTION ap_ensure_partitions(p_table text, p_from timestamptz, p_to timestamptz)
RETURNS int LANGUAGE plpgsql SET lock_timeout = '2s' AS $$
DECLARE
    v_chunk interval;
    v_width double precision;
    v_start timestamptz;
    v_made int := 0;
BEGIN
    IF ap_flavor() <> 'native' THEN
        RETURN 0;
    END IF;
    SELECT chunk INTO STRICT v_chunk FROM ap_timeseries WHERE table_name = p_table;
    v_width := extract(epoch FROM v_chunk);
    v_start := to_timestamp(floor(extract(epoch FROM p_from) / v_width) * v_width);
    PERFORM pg_advisory_xact_lock(hashtext('ap_ensure_partitions'));
    WHILE v_start <= p_to LOOP
        IF to_regclass(format('%I', ap_partition_name(p_table, v_start))) IS NULL THEN
            PERFORM ap_make_partition(p_table, v_start, v_start + v_chunk);
            v_made := v_made + 1;
        END IF;
        v_start := v_start + v_chunk;
    END LOOP;
    RETURN v_made;
END
$$;

-- The same for all tables, from a time on for a horizon.
CREATE FUNCTION ap_ensure_partitions(p_now timestamptz, p_horizon interval)
RETURNS int LANGUAGE sql AS $$
    SELECT coalesce(sum(ap_ensure_partitions(table_name, p_now, p_now + p_horizon)), 0)::int
    FROM ap_timeseries
$$;

-- Every chunk: its table, range (NULL for the default partition), bytes and, roughly, rows.
CREATE FUNCTION ap_chunk_stats() RETURNS TABLE (
    table_name text, chunk_name text, from_time timestamptz, to_time timestamptz,
    size_bytes bigint, row_estimate bigint
) LANGUAGE plpgsql STABLE AS $$
BEGIN
    IF ap_flavor() = 'native' THEN
        RETURN QUERY
            SELECT s.table_name, c.relname::text, b.lower, b.lower + s.chunk,
                pg_total_relation_size(c.oid), greatest(c.reltuples, 0)::bigint
            FROM ap_timeseries s
            JOIN pg_inherits i ON i.inhparent = to_regclass(format('%I', s.table_name))
            JOIN pg_class c ON c.oid = i.inhrelid
            CROSS JOIN LATERAL (SELECT (regexp_match(
                pg_get_expr(c.relpartbound, c.oid), 'FROM \(''([^'']+)''\)'))[1]::timestamptz
                AS lower) b;
    ELSE
        RETURN QUERY
            SELECT s.table_name, format('%I.%I', h.chunk_schema, h.chunk_name),
                h.range_start, h.range_end,
                pg_total_relation_size(c.oid), greatest(c.reltuples, 0)::bigint
            FROM ap_timeseries s
            JOIN timescaledb_information.chunks h ON h.hypertable_name = s.table_name
            JOIN pg_class c
                ON c.oid = format('%I.%I', h.chunk_schema, h.chunk_name)::regclass;
    END IF;
END
$$;

-- Drop the chunks of a table that lie wholly before a time; returns how many.
CREATE FUNCTION ap_drop_before(p_table text, p_time timestamptz) RETURNS int
LANGUAGE plpgsql SET lock_timeout = '2s' AS $$
DECLARE
    v_name text;
    v_dropped int := 0;
BEGIN
    IF ap_flavor() <> 'native' THEN
        SELECT count(*)::int INTO v_dropped
            FROM drop_chunks(p_table::regclass, older_than => p_time);
        RETURN v_dropped;
    END IF;
    FOR v_name IN
        SELECT chunk_name FROM ap_chunk_stats() s
        WHERE s.table_name = p_table AND s.to_time <= p_time
    LOOP
        EXECUTE format('DROP TABLE %I', v_name);
        v_dropped := v_dropped + 1;
    END LOOP;
    RETURN v_dropped;
END
$$;

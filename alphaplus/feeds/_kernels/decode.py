"""A batch of frames to messages and rows of events: the scanner's entry for live data."""

from alphaplus.feeds._kernels import fields
from alphaplus.feeds._kernels.decimals import read_decimal
from alphaplus.feeds._kernels.identity import has_field, instrument_of, kind_of, partial_instrument
from alphaplus.feeds._kernels.layout import (
    BOOK_TICKER,
    DEPTH,
    EVENT_OPEN_INTEREST,
    FIELD,
    FIRST_FRAME,
    FLAG_LAST,
    LIQUIDATION,
    MARK_PRICE,
    NO_ROOM,
    OPEN_INTEREST,
    OTHER,
    PADDING,
    RUN_BREAKS,
    RUN_CHANGES,
    RUN_FIELDS,
    RUN_FIRST_ID,
    RUN_FIRST_LAST_ID,
    RUN_INSTRUMENT,
    RUN_LAST_ID,
    RUN_LEVELS,
    RUN_PREVIOUS_ID,
    RUN_TRADES,
    RUN_TS_RECV,
    SNAPSHOT,
    SPARE_ROWS,
    SYMBOL,
    SYNTAX,
    TRADE,
    UNSETTLED,
    Bytes,
    Longs,
    Record,
    Records,
    Words,
)
from alphaplus.feeds._kernels.messages import (
    finish_book,
    finish_liquidation,
    finish_mark,
    finish_ticker,
    finish_trade,
    read_nanoseconds,
)
from alphaplus.feeds._kernels.rows import marks_of, put_row
from alphaplus.feeds._kernels.scan import scan_object
from alphaplus.feeds._kernels.syntax import (
    OPEN_OBJECT,
    byte_at,
    end_of_frame,
    skip_space,
    skip_value,
)
from alphaplus.feeds._kernels.words import Word
from alphaplus.jit import borrowing_kernel


@borrowing_kernel
def _decode_known(
    buffer: Bytes,
    kind: int,
    ts_recv: int,
    scan: Record,
    names: Words,
    slots: Longs,
    market: Records,
    message: Record,
    events: Records,
) -> int:
    """Make the rows of a message whose kind is known; returns an error code."""
    level = scan.nested
    seen = scan.seen[level]
    clock = fields.E
    if kind == OPEN_INTEREST:
        clock = fields.TIME
    elif (kind == TRADE or kind == BOOK_TICKER) and has_field(seen, fields.T):
        clock = fields.T  # of the match; E, of sending, lags by up to some 30 ms
    ts_event = read_nanoseconds(buffer, scan, level, seen, clock, ts_recv)
    if kind == LIQUIDATION:
        if (
            not has_field(seen, fields.o)
            or byte_at(buffer, scan.begin[level, fields.o]) != OPEN_OBJECT
        ):
            return FIELD
        at = scan_object(buffer, scan.begin[level, fields.o], scan, names, slots, market, events)
        if at < 0:
            return -at
        if ts_event >= 0:
            ts_event = read_nanoseconds(buffer, scan, 0, scan.seen[0], fields.T, ts_event)
    instrument = instrument_of(buffer, scan, names, slots, market)
    if instrument == -2:
        return SYMBOL
    if instrument < 0:
        return FIELD
    message.instrument = instrument
    if ts_event < 0:
        return -ts_event
    decimals = market[instrument].price_decimals
    tick_units = market[instrument].tick_units
    error = 0
    if kind != DEPTH and kind != SNAPSHOT:
        scan.row = scan.base  # lists of levels in it mean something else
    if kind == DEPTH or kind == SNAPSHOT:
        error = finish_book(buffer, scan, kind, instrument, market, message, events)
    elif kind == BOOK_TICKER:
        error = finish_ticker(buffer, scan, decimals, tick_units, message, events)
    elif kind == TRADE:
        error = finish_trade(buffer, scan, decimals, tick_units, message, events)
    elif kind == MARK_PRICE:
        error = finish_mark(buffer, scan, events)
    elif kind == LIQUIDATION:
        error = finish_liquidation(buffer, scan, decimals, tick_units, events)
    else:
        at, interest = read_decimal(buffer, scan.begin[level, fields.OPEN_INTEREST])
        if at < 0:
            return -at
        put_row(events, scan, marks_of(EVENT_OPEN_INTEREST, 0, 0), 0, interest, 0)
    if error != 0:
        return error
    message.ts_event = ts_event
    row = scan.base
    while row < scan.row:  # an end in memory keeps the compiler from scatter stores, far slower
        event = events[Word(row)]
        event.ts_event = ts_event
        event.ts_recv = ts_recv
        if kind == DEPTH or kind == SNAPSHOT:
            event.sequence = message.last_id
        row += 1
    events[Word(scan.row - 1)].marks |= FLAG_LAST << 16
    return 0


@borrowing_kernel
def _decode_frame(
    buffer: Bytes,
    at: int,
    ts_recv: int,
    scan: Record,
    names: Words,
    slots: Longs,
    market: Records,
    message: Record,
    events: Records,
) -> int:
    """Decode one frame into a message and its rows: the end of it, or minus an error code."""
    at = skip_space(buffer, at)
    scan.seen[0] = 0
    scan.nested = 0
    scan.found[0] = -1
    is_object = byte_at(buffer, at) == OPEN_OBJECT
    if is_object:
        at = scan_object(buffer, at, scan, names, slots, market, events)
    else:
        at = skip_value(buffer, at)
    if at < 0:
        if is_object:
            instrument = partial_instrument(buffer, scan, names, slots, market)
            message.instrument = max(-1, instrument)
        return at
    at = skip_space(buffer, at)
    if byte_at(buffer, at) != 0:
        return -SYNTAX
    if not is_object:
        return at
    kind = kind_of(buffer, scan)
    message.kind = kind
    if kind == OTHER:
        scan.row = scan.base
        return at
    error = _decode_known(buffer, kind, ts_recv, scan, names, slots, market, message, events)
    return -error if error != 0 else at


@borrowing_kernel
def _join_run(run: Longs, message: Record) -> None:
    """Add a good message to what is told of the batch."""
    kind = message.kind
    run[RUN_TS_RECV] = message.ts_recv
    if run[RUN_INSTRUMENT] == -1:
        run[RUN_INSTRUMENT] = message.instrument
    if kind == OTHER or kind == SNAPSHOT or run[RUN_INSTRUMENT] != message.instrument:
        run[RUN_INSTRUMENT] = -2
    elif kind == TRADE:
        run[RUN_TRADES] += 1
    elif kind == DEPTH:
        before = run[RUN_LAST_ID]
        if run[RUN_CHANGES] == 0:
            run[RUN_FIRST_ID] = message.first_id
            run[RUN_PREVIOUS_ID] = message.previous_id
            run[RUN_FIRST_LAST_ID] = message.last_id
        elif message.last_id <= before:
            run[RUN_BREAKS] = 3
        else:
            if message.previous_id != before:
                run[RUN_BREAKS] |= 1
            if message.first_id != before + 1:
                run[RUN_BREAKS] |= 2
        run[RUN_CHANGES] += 1
        run[RUN_LEVELS] += message.levels
        run[RUN_LAST_ID] = message.last_id


@borrowing_kernel
def decode(
    buffer: Bytes,
    ts_recv: Longs,
    hints: Longs,
    names: Words,
    slots: Longs,
    market: Records,
    messages: Records,
    events: Records,
    scans: Records,
) -> int:
    """Decode every frame of a batch; returns the number of rows made, or how it failed:
    minus `UNSETTLED` or `NO_ROOM`. Then the messages and rows say nothing.

    A frame with an error makes no rows. There is one message for each frame; no hints are as
    good as -1 for each. `scans` is one row of scratch; its `run` tells of the batch as a whole.
    """
    scan = scans[0]
    run = scan.run
    for field in range(RUN_FIELDS):
        run[field] = 0
    run[RUN_INSTRUMENT] = -1
    rows = 0
    at = FIRST_FRAME
    for i in range(messages.size):
        if rows > events.size - SPARE_ROWS:
            return -NO_ROOM
        hint = hints[i] if hints.size > 0 else -1
        message = messages[i]
        message.first_id = -1
        message.last_id = -1
        message.previous_id = -1
        message.ts_event = ts_recv[i]
        message.ts_recv = ts_recv[i]
        message.begin = rows
        message.levels = 0
        message.instrument = hint
        message.kind = OTHER
        message.error = 0
        scan.row = rows
        scan.base = rows
        scan.hint = hint
        end = _decode_frame(buffer, at, ts_recv[i], scan, names, slots, market, message, events)
        if end >= 0:
            rows = scan.row
            _join_run(run, message)
        elif end == -UNSETTLED or end == -NO_ROOM:
            return end
        else:
            message.error = -end
            run[RUN_INSTRUMENT] = -2
            end = end_of_frame(buffer, at)
        message.end = rows
        at = end + 1
    if at != buffer.size - PADDING:
        return -UNSETTLED  # a NUL within a frame
    return rows

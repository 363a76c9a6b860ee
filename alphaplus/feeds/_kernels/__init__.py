"""Compiled scanner of Binance frames: JSON bytes to event rows, without a Python object.

The input is one buffer of all frames of a batch: the mark `RAW` or `SETTLED`, then each frame,
all of these with a NUL behind, then `PADDING` bytes. NUL is valid nowhere in JSON, so every
loop stops at the end of its frame without a bounds check, and a torn frame is a syntax
error at its last byte. Where eight bytes are read at once, some may lie behind the frame: they
are looked at only as far as all before them are valid.

Raw frames have not been looked at. Escapes, bytes beyond ASCII and NUL are rare, so what to make
of them is settled by the caller: `decode` and `survey` only say that there are some.

A frame is scanned once. Level lists are decoded on the way if the symbol came before them
(as the venue sends it); in any other key order their place is noted and decoded after.
Functions return the position behind what they read, or minus an error code.

The files, each built on those before it:

============  ================================================================
`fields`      numbers of the JSON fields that are kept
`layout`      dtypes, error codes, kinds of messages and events
`words`       eight bytes at once
`syntax`      JSON by its grammar
`decimals`    prices, quantities, ids
`names`       field names and symbols
`rows`        one row of events
`levels`      lists of price levels
`scan`        the pass over a frame
`identity`    which message it is, and whose
`messages`    the rows of each kind of message
`decode`      entry: a batch of frames
`survey`      entry: what a recording is of
============  ================================================================
"""

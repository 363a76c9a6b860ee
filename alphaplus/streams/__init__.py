"""The hot way between processes: bounded, numbered streams over Unix sockets and ZeroMQ.

==========  ============================  =====================================================
stream      from, to                      what the sender does while the receiver is busy
==========  ============================  =====================================================
`Event...`  feed, symbol                  joins batches into bigger ones; past its bound it
                                          drops all of them, says so, and the book starts anew
`Latest...` symbol, portfolio board       keeps the newest value of every key
`Row...`    symbol, store                 keeps every batch until it is acknowledged; past its
                                          bound it refuses, and the caller decides
==========  ============================  =====================================================

A receiver binds and has one `Endpoint`, plain data that is handed to its many senders through
Ray. No sender ever blocks: what the socket does not take at once waits in the sender and leaves
with a later `send` or `pump`. Every message is numbered, so a receiver sees what is missing.

    receiver = EventReceiver(Transport.ipc(make_run_directory()))
    sender = EventSender(receiver.endpoint, name="feed:binance:0", exchange="binance")
    sender.send(events)
    for batch in receiver.recv(timeout_ms=1000):
        book.apply(batch.events)

Receivers work in a thread (`recv`) or in an asyncio loop (`recv_async`). A sender belongs to one
thread, except `RowSender`, which any thread may use. `counters` may be read from anywhere.
"""

from alphaplus.streams.counters import StreamCounters
from alphaplus.streams.endpoint import Endpoint, StreamKeys, Transport, make_run_directory
from alphaplus.streams.events import EventBatch, EventReceiver, EventSender
from alphaplus.streams.latest import LatestReceiver, LatestSender, LatestValue
from alphaplus.streams.rows import RowBatch, RowReceiver, RowSender, SenderId

__all__ = [
    "Endpoint",
    "EventBatch",
    "EventReceiver",
    "EventSender",
    "LatestReceiver",
    "LatestSender",
    "LatestValue",
    "RowBatch",
    "RowReceiver",
    "RowSender",
    "SenderId",
    "StreamCounters",
    "StreamKeys",
    "Transport",
    "make_run_directory",
]

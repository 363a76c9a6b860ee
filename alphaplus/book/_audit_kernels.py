"""Compiled kernels of the audit: two queues, of touches and of quotes, judged as they meet.

Each queue is an array of twice its limit with a head and a tail: dropping the oldest moves the
head, and what is left moves to the front when the tail reaches the end.
"""

from typing import Any, Final

import numpy as np

from alphaplus.events import Kind
from alphaplus.jit import kernel

_DEPTH: Final = int(Kind.DEPTH)

Records = Any
"""A numpy structured array, or inside a kernel one row of it (attribute access)."""

AUDIT: Final = np.dtype(
    [
        ("equal", "<i8"),
        ("different", "<i8"),
        ("consecutive_different", "<i8"),
        ("unjudged", "<i8"),
        ("late", "<i8"),
        ("dropped_tops", "<i8"),
        ("dropped_quotes", "<i8"),
        ("top_head", "<i8"),
        ("top_tail", "<i8"),
        ("quote_head", "<i8"),
        ("quote_tail", "<i8"),
    ],
    align=True,
)


@kernel
def _judge(state: Records, top: Records, waiting_quotes: Records) -> None:
    """Compare a touch with the quote of the largest id at most its own; forget older ones."""
    head, tail = state.quote_head, state.quote_tail
    while head + 1 < tail and waiting_quotes[head + 1].sequence <= top.sequence:
        head += 1
    state.quote_head = head
    if head == tail or waiting_quotes[head].sequence > top.sequence:
        state.unjudged += 1
        return
    quote = waiting_quotes[head]
    same_bid = top.bid_tick == quote.bid_tick and top.bid_quantity == quote.bid_quantity
    same_ask = top.ask_tick == quote.ask_tick and top.ask_quantity == quote.ask_quantity
    if same_bid and same_ask:
        state.equal += 1
        state.consecutive_different = 0
    else:
        state.different += 1
        state.consecutive_different += 1


@kernel
def _judge_before(
    state: Records, waiting_tops: Records, waiting_quotes: Records, sequence: Any
) -> None:
    """Judge all waiting touches whose id is below `sequence`."""
    while state.top_head < state.top_tail:
        top = waiting_tops[state.top_head]
        if top.sequence >= sequence:
            return
        _judge(state, top, waiting_quotes)
        state.top_head += 1


@kernel
def observe(
    state_row: Records, waiting_tops: Records, waiting_quotes: Records, tops: Records, quotes: Any
) -> None:
    """Take touches, then quotes; the limit of each queue is half the length of its array."""
    state = state_row[0]
    limit = len(waiting_tops) // 2
    newest = np.int64(0)
    if state.quote_tail > state.quote_head:
        newest = waiting_quotes[state.quote_tail - 1].sequence
    for i in range(len(tops)):
        if tops[i].kind != _DEPTH:
            continue
        if newest > tops[i].sequence and state.top_head == state.top_tail:
            _judge(state, tops[i], waiting_quotes)
            continue
        if state.top_tail - state.top_head == limit:
            state.top_head += 1
            state.dropped_tops += 1
        if state.top_tail == len(waiting_tops):
            count = state.top_tail - state.top_head
            for k in range(count):
                waiting_tops[k] = waiting_tops[state.top_head + k]
            state.top_head, state.top_tail = 0, count
        waiting_tops[state.top_tail] = tops[i]
        state.top_tail += 1
    _judge_before(state, waiting_tops, waiting_quotes, newest)
    for i in range(len(quotes)):
        if quotes[i].sequence < newest:
            state.late += 1
            continue
        newest = quotes[i].sequence
        if state.quote_tail - state.quote_head == limit:
            state.quote_head += 1
            state.dropped_quotes += 1
        if state.quote_tail == len(waiting_quotes):
            count = state.quote_tail - state.quote_head
            for k in range(count):
                waiting_quotes[k] = waiting_quotes[state.quote_head + k]
            state.quote_head, state.quote_tail = 0, count
        waiting_quotes[state.quote_tail] = quotes[i]
        state.quote_tail += 1
        _judge_before(state, waiting_tops, waiting_quotes, newest)


@kernel
def finish(state_row: Records, waiting_tops: Records, waiting_quotes: Records) -> None:
    """Judge every waiting touch by the quotes that are there."""
    state = state_row[0]
    while state.top_head < state.top_tail:
        _judge(state, waiting_tops[state.top_head], waiting_quotes)
        state.top_head += 1

"""A market that plays one recording under any number of symbol names."""

import logging
from bisect import bisect_right
from heapq import heappop, heappush
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import orjson

from alphaplus.venue.candles import CandleArray, joined
from alphaplus.venue.market import VenueBook
from alphaplus.venue.protocol import Channel, Listing, Ticker, depth_snapshot
from alphaplus.venue.recorded_ticks import mark_ticks, traded_ticks
from alphaplus.venue.recording import SNAPSHOT, Recording
from alphaplus.venue.source import Publish, listed_names

log = logging.getLogger(__name__)

STAGGER_NS: Final = 730_000_000
"""Market time between the beginnings of two symbols..."""
MAX_STAGGER_NS: Final = 10_000_000_000
"""... whose beginnings all lie within this span."""
GATE_NS: Final = 30_000_000_000
"""How long (wall) playback waits at the recorded book until a client asks for it."""
IDLE_NS: Final = 1_000_000_000
GATE_POLL_NS: Final = 1_000_000
_MAX_RUN: Final = 200
"""Frames of one symbol that are sent before others get their turn."""
_MAX_RUNS: Final = 100
"""Such turns before the event loop gets its own."""
_CATCH_UP_FRAMES: Final = 100
"""Depth events parsed per slice (about 5 ms), so that sending is not held up."""
_OPEN_NOTIONAL: Final = 5e9
_FUNDING_RATE: Final = 0.0001


class CaptureSource:
    """Plays a recording at market time; times and ids stay the recorded ones.

    Symbols begin, one a little after the other, when their depth is first listened to. At
    the recorded book each waits until a client has asked for it, so what a client sees
    first does not depend on the speed; afterwards the book is answered as of the last
    depth frame sent.
    """

    has_mark_price: bool
    has_aggregate_trades: bool

    def __init__(self, recording: Recording, symbol_count: int) -> None:
        self._recording = recording
        self.listings = [
            Listing(
                symbol=name,
                price_decimals=recording.price_decimals,
                lot_decimals=recording.lot_decimals,
            )
            for name in listed_names(symbol_count, first=recording.symbol)
        ]
        self.has_mark_price = recording.has(Channel.MARK_PRICE)
        self.has_aggregate_trades = recording.has(Channel.AGG_TRADE)
        span = min(MAX_STAGGER_NS, STAGGER_NS * symbol_count)
        self._players = [
            _Player(recording, listing.symbol, span * index // symbol_count)
            for index, listing in enumerate(self.listings)
        ]
        self._ticks = {False: traded_ticks(recording), True: mark_ticks(recording)}
        self._due: list[tuple[int, int]] = []  # heap of (market time, index)

    def start(self, index: int, channel: Channel, market_ns: int) -> None:
        """Begin a symbol when its depth is listened to for the first time."""
        player = self._players[index]
        if channel is Channel.DEPTH and player.began_ns is None:
            player.began_ns = market_ns + player.offset_ns
            heappush(self._due, (player.began_ns, index))

    def advance(self, market_ns: int, wall_ns: int, publish: Publish) -> int:
        """Publish what is due, symbol by symbol in order of time."""
        budget = _MAX_RUNS
        while self._due and self._due[0][0] <= market_ns and budget:
            _, index = heappop(self._due)
            player = self._players[index]
            next_ns = player.play(index, market_ns, wall_ns, publish)
            if next_ns is not None:
                heappush(self._due, (next_ns, index))
            budget -= 1
        return self._due[0][0] if self._due else market_ns + IDLE_NS

    def catch_up(self, index: int) -> bool:
        """Replay a slice of what was sent into the symbol's own book."""
        return self._players[index].catch_up()

    def snapshot(self, index: int, limit: int, wall_ns: int, held: bool) -> bytes | None:
        """Return the recorded book up to its place, later the book of this moment."""
        return self._players[index].snapshot(limit, held)

    def book(self, index: int) -> dict[str, Any]:
        """Return the whole book; call `catch_up` until it is True before."""
        return self._players[index].whole_book()

    def ticker(self, index: int, wall_ns: int) -> Ticker:
        """Return prices from the recorded touch and trades; mark and index price are the mid."""
        return self._players[index].ticker()

    def trades(self, index: int, limit: int) -> list[dict[str, Any]]:
        """Return the latest of the trades sent."""
        return self._players[index].trades(limit)

    def funding_rate(self, index: int, period: int) -> None:
        """Return nothing: recordings hold no history."""

    def candles(
        self, index: int, *, mark: bool, step_ms: int, start_ms: int, end_ms: int, wall_ns: int
    ) -> CandleArray:
        """Return what the lines sent so far come to; a recording knows nothing before itself."""
        ticks = self._ticks[mark]
        sent = ticks.candles[: int(np.searchsorted(ticks.lines, self._players[index].position))]
        found = joined(sent, step_ms)
        begun = self._recording.times[0] // 1_000_000  # a candle that began earlier is torn
        return found[(found["time_ms"] >= max(begun, start_ms)) & (found["time_ms"] <= end_ms)]

    def open_interest_at(
        self, index: int, times_ms: npt.NDArray[np.int64], wall_ns: int
    ) -> npt.NDArray[np.float64]:
        """Return nan: recordings hold no open interest."""
        return np.full(len(times_ms), np.nan)

    def state(self, index: int) -> dict[str, Any]:
        """Return how far the playback is."""
        return self._players[index].state()


class _Player:
    """One symbol's place in the recording."""

    def __init__(self, recording: Recording, symbol: str, offset_ns: int) -> None:
        self.offset_ns = offset_ns
        self.began_ns: int | None = None  # market time of the first line, moved on by waiting
        self._recording = recording
        self._symbol = symbol.encode()
        self._gate = recording.first_snapshot
        self.position = 0  # lines sent
        self._at_gate = False
        self._asked = False
        self._gate_since_ns = 0
        self._book = VenueBook()
        self._book_position = 0  # lines that the book has seen
        self._gap_position = 0  # where it lost step: a later snapshot is joined from here

    def play(self, index: int, market_ns: int, wall_ns: int, publish: Publish) -> int | None:
        """Publish the lines due; return when the next is, or None at the end."""
        assert self.began_ns is not None
        times, channels = self._recording.times, self._recording.channels
        head, tail, symbol = self._recording.head, self._recording.tail, self._symbol
        begin, end = self.position, len(times) if self.position > self._gate else self._gate
        until = times[0] + market_ns - self.began_ns
        self.position = bisect_right(times, until, begin, min(end, begin + _MAX_RUN))
        for line in range(begin, self.position):
            channel = channels[line]
            if channel != SNAPSHOT:
                publish(index, Channel(channel), head[line] + symbol + tail[line])
        if self.position == len(times):
            return None
        if self.position == self._gate and times[self._gate] <= until:
            return self._wait_at_gate(market_ns, wall_ns)
        return self.began_ns + times[self.position] - times[0]

    def _wait_at_gate(self, market_ns: int, wall_ns: int) -> int:
        if not self._at_gate:
            self._at_gate = True
            self._gate_since_ns = wall_ns
        waited_ns = wall_ns - self._gate_since_ns
        if not self._asked and waited_ns < GATE_NS:
            return market_ns + GATE_POLL_NS
        if not self._asked:
            name, seconds = self._symbol.decode(), waited_ns / 1e9
            log.warning("%s: no client asked for the book in %.0f s, going on", name, seconds)
        self._at_gate = False
        self.position += 1
        times = self._recording.times
        self.began_ns = market_ns - (times[self._gate] - times[0])  # the wait is no market time
        return market_ns

    def snapshot(self, limit: int, held: bool) -> bytes | None:
        """Return the REST book; None holds the request until the recorded book's line.

        `held` marks a request that was held before: it gets the recorded book. So does one
        from before the first frame, at once, as it may be a client's way to begin.
        """
        if self.began_ns is None:
            return self._recorded_snapshot(limit)
        if self.position <= self._gate:
            self._asked = True
            return self._recorded_snapshot(limit) if self._at_gate or not self.position else None
        if held:
            return self._recorded_snapshot(limit)
        bids, asks = self._book.levels(limit)
        return depth_snapshot(self._book.sequence, self._time_ms(), bids, asks)

    def catch_up(self) -> bool:
        """Apply a slice of the depth events sent to the book; True once it has all."""
        events = 0
        while self._book_position < self.position and events < _CATCH_UP_FRAMES:
            line = self._book_position
            self._book_position += 1
            channel = self._recording.channels[line]
            if channel == Channel.DEPTH:
                events += 1
                self._apply(line)
            elif channel == SNAPSHOT and not self._book.in_step:
                self._book.load(orjson.loads(self._recording.head[line]))
                for earlier in range(self._gap_position, line):
                    if self._recording.channels[earlier] == Channel.DEPTH:
                        self._apply(earlier)
        return self._book_position >= self.position

    def _apply(self, line: int) -> None:
        was_in_step = self._book.in_step
        self._book.apply(self._message(line))
        if was_in_step and not self._book.in_step:
            self._gap_position = line
            log.warning("line %d of %s misses an update before it", line + 1, self._recording.path)

    def whole_book(self) -> dict[str, Any]:
        """Return every level; up to the recorded book's line that is the recorded book."""
        if self.position <= self._gate:
            recorded = self._message(self._gate)
            return {key: recorded[key] for key in ("lastUpdateId", "bids", "asks")}
        bids, asks = self._book.levels()
        return {"lastUpdateId": self._book.sequence, "bids": bids, "asks": asks}

    def ticker(self) -> Ticker:
        """Return prices as of the last line sent; before any, as of the recorded book.

        A recording holds no 24 hours: their volume is that of its whole span at the same rate.
        """
        touch = self._last(Channel.BOOK_TICKER)
        if touch is None:
            book = self._message(self._gate)
            (bid, bid_quantity), (ask, ask_quantity) = book["bids"][0], book["asks"][0]
        else:
            bid, bid_quantity, ask, ask_quantity = (touch[key] for key in "bBaA")
        mid = (float(bid) + float(ask)) / 2
        trades = self._recording.trades
        volume, quote_volume = self._recording.day_volume
        last = trades.before(self.position) - 1
        traded = last >= 0
        return Ticker(
            time_ms=self._time_ms(),
            bid=float(bid),
            bid_quantity=float(bid_quantity),
            ask=float(ask),
            ask_quantity=float(ask_quantity),
            open=trades.price[0] if traded else mid,
            high=trades.high[last] if traded else mid,
            low=trades.low[last] if traded else mid,
            last=trades.price[last] if traded else mid,
            volume=volume,
            quote_volume=quote_volume,
            trade_count=last + 1,
            mark_price=mid,
            index_price=mid,
            funding_rate=_FUNDING_RATE,
            open_interest=_OPEN_NOTIONAL / mid,
            sequence=touch["u"] if touch else self._message(self._gate)["lastUpdateId"],
        )

    def trades(self, limit: int) -> list[dict[str, Any]]:
        """Return the latest trades sent, oldest first."""
        trades = self._recording.trades
        end = trades.before(self.position)
        return [self._message(line) for line in trades.line[max(0, end - limit) : end]]

    def state(self) -> dict[str, Any]:
        """Return the place in the recording and what the recording lacks."""
        played = self._recording.channels[: self.position]
        depth = self._last(Channel.DEPTH)
        return {
            "symbol": self._symbol.decode(),
            "started": self.began_ns is not None,
            "ended": self.position == len(self._recording.times),
            "waiting_for_snapshot": self._at_gate,
            "sent": len(played) - played.count(SNAPSHOT),
            "depth": played.count(Channel.DEPTH),
            "book_ticker": played.count(Channel.BOOK_TICKER),
            "trade": played.count(Channel.TRADE),
            "last_update_id": None if depth is None else depth["u"],
            "not_recorded": [c.name.lower() for c in Channel if not self._recording.has(c)],
        }

    def _last(self, channel: Channel) -> dict[str, Any] | None:
        channels = self._recording.channels
        if not self._recording.has(channel):
            return None
        for line in range(self.position - 1, -1, -1):
            if channels[line] == channel:
                return self._message(line)
        return None

    def _time_ms(self) -> int:
        depth = self._last(Channel.DEPTH)
        return int(depth["E"]) if depth else self._recording.times[0] // 1_000_000

    def _message(self, line: int) -> dict[str, Any]:
        message: dict[str, Any] = orjson.loads(self._recording.json(line, self._symbol))
        return message

    def _recorded_snapshot(self, limit: int) -> bytes:
        text = self._recording.head[self._gate]
        snapshot = orjson.loads(text)
        if limit >= max(len(snapshot["bids"]), len(snapshot["asks"])):
            return text
        snapshot["bids"] = snapshot["bids"][:limit]
        snapshot["asks"] = snapshot["asks"][:limit]
        return orjson.dumps(snapshot)

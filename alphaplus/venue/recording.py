"""A raw recording of one Binance USD-M symbol, read into frames that any name can play.

Format: gzip text, each line `<receive time, ns> <JSON>`; the JSON is a combined-stream
frame, a bare stream payload, or the REST book at the place where it was received.
"""

import gzip
import re
import zlib
from bisect import bisect_left
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path
from typing import Any, Final

import orjson

from alphaplus.errors import CaptureError
from alphaplus.venue.protocol import Channel

DAY_NS: Final = 86_400 * 10**9
SNAPSHOT: Final = -1
"""The channel of a line that holds the REST book."""
_CHANNELS: Final = {
    "depthUpdate": Channel.DEPTH,
    "bookTicker": Channel.BOOK_TICKER,
    "trade": Channel.TRADE,
    "aggTrade": Channel.AGG_TRADE,
    "markPriceUpdate": Channel.MARK_PRICE,
    "forceOrder": Channel.FORCE_ORDER,
}


@dataclass(slots=True)
class Trades:
    """All trades of a recording as columns, with running totals; `line` is their place."""

    line: list[int] = field(default_factory=list)
    price: list[float] = field(default_factory=list)
    quantity: list[float] = field(default_factory=list)
    high: list[float] = field(default_factory=list)
    low: list[float] = field(default_factory=list)
    volume: list[float] = field(default_factory=list)
    quote_volume: list[float] = field(default_factory=list)

    def total(self) -> None:
        """Fill the running totals once all trades are read."""
        self.high = list(accumulate(self.price, max))
        self.low = list(accumulate(self.price, min))
        self.volume = list(accumulate(self.quantity))
        notional = (p * q for p, q in zip(self.price, self.quantity, strict=True))
        self.quote_volume = list(accumulate(notional))

    def before(self, line: int) -> int:
        """Return how many trades stand before a line."""
        return bisect_left(self.line, line)


@dataclass(slots=True)
class Recording:
    """One symbol's recording. `head` and `tail` are the JSON around the symbol's name."""

    path: Path
    symbol: str = ""
    times: list[int] = field(default_factory=list)
    """Receive time of each line, ns."""
    channels: list[int] = field(default_factory=list)
    """Channel of each line, or SNAPSHOT (then the JSON is in `head`)."""
    head: list[bytes] = field(default_factory=list)
    tail: list[bytes] = field(default_factory=list)
    trades: Trades = field(default_factory=Trades)
    present: set[int] = field(default_factory=set)
    """The channels that occur."""
    ignored: int = 0
    """Lines that no stream of the venue carries, such as answers to a subscription."""
    price_decimals: int = 0
    lot_decimals: int = 0

    @property
    def day_volume(self) -> tuple[float, float]:
        """Base and quote volume of 24 hours at the recording's own rate; 0 without trades."""
        span = self.times[-1] - self.times[0]
        if not self.trades.line or not span:
            return 0.0, 0.0
        scale = DAY_NS / span
        return scale * self.trades.volume[-1], scale * self.trades.quote_volume[-1]

    @property
    def first_snapshot(self) -> int:
        """The line of the first REST book."""
        return self.channels.index(SNAPSHOT)

    def has(self, channel: int) -> bool:
        """Tell whether any line is of a channel."""
        return channel in self.present

    def json(self, line: int, symbol: bytes) -> bytes:
        """Return a line's JSON under a symbol name."""
        if self.channels[line] == SNAPSHOT:
            return self.head[line]
        return self.head[line] + symbol + self.tail[line]

    def add(self, time_ns: int, text: bytes) -> None:
        """Append one line; raises CaptureError (without the place) if it cannot be used."""
        try:
            message = orjson.loads(text)
        except orjson.JSONDecodeError as error:
            raise CaptureError(f"its JSON is broken ({error})") from error
        if self.times and time_ns < self.times[-1]:
            raise CaptureError("its receive time is before that of the line above")
        if not isinstance(message, dict):
            raise CaptureError("it is not a JSON object")
        if "lastUpdateId" in message:
            self._append(time_ns, SNAPSHOT, text, b"")
            return
        payload = message.get("data", message)
        channel = _CHANNELS.get(payload.get("e", "")) if isinstance(payload, dict) else None
        if channel is None:
            if isinstance(payload, dict) and {"u", "s", "b", "a"} <= payload.keys():
                raise CaptureError(_NOT_USDM)  # only spot sends a book ticker without "e"
            self.ignored += 1
            return
        self._check(channel, payload)
        body = _payload_text(text) if payload is not message else text
        name = b'"s":"' + self.symbol.encode() + b'"'
        split = body.find(name)
        if split < 0:  # spaced JSON: write it anew
            body = orjson.dumps(payload)
            split = body.index(name)
        self._append(time_ns, channel, body[: split + 5], body[split + len(name) - 1 :])
        if channel is Channel.TRADE:
            self.trades.line.append(len(self.times) - 1)
            self.trades.price.append(float(payload["p"]))
            self.trades.quantity.append(float(payload["q"]))

    def _check(self, channel: Channel, payload: dict[str, Any]) -> None:
        holder = payload["o"] if channel is Channel.FORCE_ORDER else payload
        symbol = holder.get("s")
        if not isinstance(symbol, str):
            raise CaptureError("it names no symbol")
        if channel is Channel.DEPTH and "pu" not in payload:
            raise CaptureError(_NOT_USDM)
        if "_" in symbol:
            raise CaptureError(f"it is of {symbol}, a COIN-M contract; {_ONLY_USDM}")
        self.symbol = self.symbol or symbol
        if symbol != self.symbol:
            raise CaptureError(
                f"it is of {symbol} after lines of {self.symbol}; the venue plays recordings of "
                "one symbol"
            )

    def _append(self, time_ns: int, channel: int, head: bytes, tail: bytes) -> None:
        self.times.append(time_ns)
        self.channels.append(channel)
        self.present.add(channel)
        self.head.append(head)
        self.tail.append(tail)


_ONLY_USDM: Final = "the venue plays USD-M recordings only"
_NOT_USDM: Final = f"it is of a spot market; {_ONLY_USDM}"


def read_recording(path: Path) -> Recording:
    """Read a `.raw.gz` recording; raises CaptureError that names the file and the line."""
    recording = Recording(path)
    number = 0
    try:
        with gzip.open(path, "rb") as lines:
            for number, line in enumerate(lines, start=1):  # noqa: B007  # told in the errors
                stamp, _, text = line.rstrip(b"\r\n").partition(b" ")
                if not stamp.isdigit():
                    raise CaptureError("it does not begin with a receive time in ns")
                recording.add(int(stamp), text)
    except CaptureError as error:
        raise CaptureError(f"Line {number} of {path} cannot be played: {error}.") from error
    except (EOFError, zlib.error) as error:
        raise CaptureError(
            f"The recording {path} is truncated or damaged after line {number}: {error}."
        ) from error
    except (KeyError, TypeError, ValueError) as error:
        raise CaptureError(
            f"Line {number} of {path} cannot be played: it lacks a field or has a wrong one "
            f"({error!r})."
        ) from error
    except OSError as error:
        raise CaptureError(f"The recording {path} cannot be read: {error}.") from error
    if not recording.has(SNAPSHOT) or not recording.has(Channel.DEPTH):
        raise CaptureError(
            f"Expected depth frames and a REST book in {path}, was a recording without; "
            "record the depth stream together with its snapshot."
        )
    recording.trades.total()
    recording.price_decimals, recording.lot_decimals = _decimals(recording)
    return recording


def _payload_text(text: bytes) -> bytes:
    """Return the text of `data` in a combined-stream frame, whichever key comes first."""
    start = text.find(b'"data":')
    if text.startswith(b'{"stream":') and text.find(b'"data":', start + 1) < 0:
        return text[start + 7 : -1].strip()
    return orjson.dumps(orjson.loads(text)["data"])


def _decimals(recording: Recording) -> tuple[int, int]:
    """Return the significant decimals of all prices and of all quantities of the book."""
    text = b"".join(
        head + tail
        for channel, head, tail in zip(
            recording.channels, recording.head, recording.tail, strict=True
        )
        if channel in (SNAPSHOT, Channel.DEPTH)
    )
    return _significant(rb'\[ ?"', text), _significant(rb'", ?"', text)


def _significant(before: bytes, text: bytes) -> int:
    decimals = 0
    while re.search(rb"%s\d+\.\d{%d}\d*[1-9]" % (before, decimals), text):
        decimals += 1
    return decimals

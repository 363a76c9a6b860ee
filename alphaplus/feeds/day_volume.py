"""The volume of 24 hours: Binance's REST tickers to events.

An answer comes once in minutes, so it is read in plain Python, beside the compiled decoder:
that one takes it for JSON of no use, and `DayVolumes` puts the rows in their place. Formats
(`/fapi/v1`, `/dapi/v1` and `/api/v3/ticker/24hr`): https://developers.binance.com/docs.
"""

import math
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import orjson

from alphaplus.events import EventArray, Flag, Kind, event
from alphaplus.feeds.binance import Decoded, FrameError
from alphaplus.instruments import Instrument

DAY_VOLUME: Final = 255
"""The kind of such a message, which is none of the decoder's `MessageKind`."""
MARK: Final = b'"weightedAvgPrice"'
"""What only these answers have, whatever they lack."""

_MAX_MS: Final = 9_223_372_036_854


class DayVolumes:
    """Finds the volumes of 24 hours of some instruments among decoded frames."""

    def __init__(self, instruments: Sequence[Instrument]) -> None:
        self._instruments = instruments
        self._index = {item.venue_symbol: index for index, item in enumerate(instruments)}

    def read(
        self, decoded: Decoded, frames: Sequence[bytes], others: npt.NDArray[np.int64]
    ) -> Decoded:
        """Return the frames decoded with the rows, or the errors, of the answers among `others`.

        `others` are the places of frames that are valid JSON of no use to the decoder.
        """
        asked = [at for at in others.tolist() if _is_answer(frames[at])]
        if not asked:
            return decoded
        messages, pieces, rows = decoded.messages, [decoded.events], len(decoded.events)
        for at in asked:
            message = messages[at]
            instrument, found = self._read(frames[at], int(message["ts_recv"]))
            message["instrument"] = instrument
            if isinstance(found, FrameError):
                message["error"] = found
                continue
            message["kind"] = DAY_VOLUME
            message["ts_event"] = found["ts_event"][0]
            message["begin"], message["end"] = rows, rows + len(found)
            rows += len(found)
            pieces.append(found)
        return Decoded(messages, np.concatenate(pieces))

    def _read(self, frame: bytes, ts_recv: int) -> tuple[int, EventArray | FrameError]:
        """Return the index of the instrument, -1 if it is unknown, and the rows or the error."""
        try:
            answer: Any = orjson.loads(frame)
        except orjson.JSONDecodeError:
            return -1, FrameError.SYNTAX
        symbol = answer.get("symbol")
        if not isinstance(symbol, str):
            return -1, FrameError.FIELD
        index = self._index.get(symbol, -1)
        if index < 0:
            return -1, FrameError.SYMBOL
        return index, day_volume(answer, self._instruments[index], ts_recv)


def day_volume(
    answer: dict[str, Any], instrument: Instrument, ts_recv: int
) -> EventArray | FrameError:
    """Return a VOLUME_24H and a TURNOVER_24H row, or what is wrong with the answer.

    The volume of an inverse instrument is the venue's `baseVolume`, and its turnover the
    contracts times their value; of others, the contracts times their size and `quoteVolume`.
    """
    names = ("baseVolume", "volume") if instrument.inverse else ("volume", "quoteVolume")
    amounts = [_amount(answer.get(name)) for name in names]
    closed = answer.get("closeTime", ts_recv // 1_000_000)
    if None in amounts or type(closed) is not int:
        return FrameError.FIELD
    volume, turnover = (math.nan if amount is None else amount for amount in amounts)
    if instrument.inverse:
        turnover *= instrument.contract_size
    else:
        volume *= instrument.contract_size
    if not (0 <= volume < math.inf and 0 <= turnover < math.inf and 0 < closed <= _MAX_MS):
        return FrameError.NUMBER
    ts_event = closed * 1_000_000 if "closeTime" in answer else ts_recv
    rows = [
        event(kind, ts_recv=ts_recv, ts_event=ts_event, value=value, flags=flags)
        for kind, value, flags in (
            (Kind.VOLUME_24H, volume, Flag(0)),
            (Kind.TURNOVER_24H, turnover, Flag.LAST),
        )
    ]
    return np.concatenate(rows)


def _is_answer(frame: bytes) -> bool:
    return MARK in frame and frame.lstrip().startswith(b"{")


def _amount(text: Any) -> float | None:
    """Return a decimal text as float (nan for what is no number), None for what is no text."""
    if not isinstance(text, str):
        return None
    try:
        return float(Decimal(text))
    except (InvalidOperation, ValueError):
        return math.nan

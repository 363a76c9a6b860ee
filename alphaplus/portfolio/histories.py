"""Price histories as the desk takes them: candles by market, of one step."""

from collections.abc import Mapping
from dataclasses import dataclass

from alphaplus.risk.figures import HOUR_NS
from alphaplus.risk.history_files import CandleHistory


@dataclass(frozen=True, slots=True, kw_only=True)
class HistorySet:
    """Closed candles of equal steps by market (`binance:BTC-USDT-PERP`), holes left as holes."""

    candles: Mapping[str, CandleHistory]
    step_ns: int = HOUR_NS

    def __len__(self) -> int:
        return len(self.candles)

"""Leverage tiers on disk: our own file, ccxt's unified tiers, and two venues' published tables.

Our file is one JSON object, plain or gzipped:

{"format": "alphaplus-tiers-1", "venue": "binance", "source": "where from", "tables": [
  {"symbol": "BTC/USDT:USDT", "unit": "notional", "effective_from": "2024-10-01T00:00:00Z",
   "effective_to": null, "open_interest_caps": null, "tiers": [
     {"min_notional": 0, "max_notional": 50000, "maintenance_margin_rate": 0.004,
      "max_leverage": 125, "maintenance_amount": 0}]}]}

A missing amount is derived by the continuity rule. Times are ISO 8601 with a zone.
"""

import gzip
import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from alphaplus.errors import ConfigError
from alphaplus.leverage.tiers import LeverageTier, TierBook, TierTable, Unit

FORMAT: Final = "alphaplus-tiers-1"
SECOND: Final = 1_000_000_000

Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class _Tier(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    min_notional: Amount
    max_notional: Amount | None = None
    """None: without an upper bound."""
    maintenance_margin_rate: Amount
    max_leverage: Amount
    maintenance_amount: Amount | None = None
    initial_margin_rate: Amount | None = None


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    symbol: str
    unit: Unit = "notional"
    effective_from: str | None = None
    effective_to: str | None = None
    open_interest_caps: Annotated[list[Amount], Field(min_length=2, max_length=2)] | None = None
    tiers: Annotated[list[_Tier], Field(min_length=1)]


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    format: Literal["alphaplus-tiers-1"]
    venue: str = ""
    source: str = ""
    tables: list[_Table]


def read_tiers(path: Path, *, venue: str = "") -> TierBook:
    """Read a file of any known format; raises ConfigError that says what is wrong with it.

    Tables that break the rules of tiers are read and flagged (`TierBook.violations`).
    """
    try:
        raw = path.read_bytes()
        text = gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw
        found = orjson.loads(text)
    except (OSError, EOFError, ValueError) as error:
        raise ConfigError(f"Expected a JSON file of tiers at {path}, was: {error}.") from error
    return tiers_of(found, venue=venue, source=path.name)


def tiers_of(found: Any, *, venue: str = "", source: str = "") -> TierBook:
    """Return the tables in a decoded file, whichever known format it has."""
    if not isinstance(found, dict):
        raise ConfigError(f"Expected tiers as a JSON object, was {type(found).__name__}.")
    try:
        if "format" in found:
            return _own(found, source)
        if "mainnet" in found:
            return TierBook(_hyperliquid(found, source), venue=venue or "hyperliquid")
        if isinstance(found.get("tiers"), list):
            return TierBook(_dydx(found, source), venue=venue or "dydx")
        return tiers_from_ccxt(found, venue=venue, source=source)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ConfigError(
            f"Expected tiers in a known format, was {_words(error)}; see docs/margin.md."
        ) from error


def tiers_from_ccxt(
    found: Mapping[str, Sequence[Mapping[str, Any]]],
    *,
    venue: str = "",
    source: str = "ccxt",
    effective_from: int | None = None,
) -> TierBook:
    """Return the tables of ccxt's unified `fetch_leverage_tiers` (symbol -> list of tiers).

    The amount is Binance's `info.cum`, Bybit's `info.mmDeduction` or `maintAmt`, else derived.
    OKX states bounds in contracts (`info.minSz`); such a table has the unit "contracts".
    """
    return TierBook(
        [
            TierTable.of(
                symbol,
                [_from_ccxt(tier) for tier in tiers],
                unit=_ccxt_unit(tiers),
                source=source,
                effective_from=effective_from,
            )
            for symbol, tiers in found.items()
        ],
        venue=venue,
    )


def write_tiers(book: TierBook, path: Path, *, source: str = "") -> None:
    """Write our own format; gzipped if the name ends in .gz."""
    tables = [written_table(table) for tables in book.tables.values() for table in tables]
    content = {"format": FORMAT, "venue": book.venue, "source": source, "tables": tables}
    text = orjson.dumps(content, option=orjson.OPT_INDENT_2)
    path.write_bytes(gzip.compress(text, mtime=0) if path.suffix == ".gz" else text)


def _own(found: dict[str, Any], source: str) -> TierBook:
    file = _File.model_validate(found)
    return TierBook([_table(item, file.source or source) for item in file.tables], venue=file.venue)


def _table(item: _Table, source: str) -> TierTable:
    caps = item.open_interest_caps
    return TierTable.of(
        item.symbol,
        [
            LeverageTier(**(tier.model_dump() | {"max_notional": _cap(tier.max_notional)}))
            for tier in item.tiers
        ],
        unit=item.unit,
        source=source,
        effective_from=_time(item.effective_from),
        effective_to=_time(item.effective_to),
        open_interest_caps=None if caps is None else (caps[0], caps[1]),
    )


def _from_ccxt(tier: Mapping[str, Any]) -> LeverageTier:
    info = tier.get("info") or {}
    stated = (tier.get("maintAmt"), info.get("cum"), info.get("mmDeduction"))
    amount = next((x for x in stated if x not in {None, ""}), None)
    return LeverageTier(
        min_notional=float(tier["minNotional"] or 0),
        max_notional=_cap(tier["maxNotional"]),
        maintenance_margin_rate=float(tier["maintenanceMarginRate"]),
        max_leverage=float(tier["maxLeverage"]),
        maintenance_amount=None if amount is None else float(amount),
    )


def _ccxt_unit(tiers: Sequence[Mapping[str, Any]]) -> Unit:
    return "contracts" if any("minSz" in (tier.get("info") or {}) for tier in tiers) else "notional"


def _hyperliquid(found: dict[str, Any], source: str) -> list[TierTable]:
    """Bands of (floor in USDC, maximum leverage); the maintenance rate is half of 1/leverage."""
    tables = []
    for names, bands in found["mainnet"].items():
        floors = [float(floor) for floor, _ in bands]
        tiers = [
            LeverageTier(
                min_notional=floor,
                max_notional=cap,
                maintenance_margin_rate=0.5 / leverage,
                max_leverage=float(leverage),
            )
            for (floor, leverage), cap in zip(bands, [*floors[1:], math.inf], strict=True)
        ]
        tables += [
            TierTable.of(f"{name}/USDC:USDC", tiers, source=source) for name in names.split(",")
        ]
    return tables


def _dydx(found: dict[str, Any], source: str) -> list[TierTable]:
    """Liquidity tiers under their name, and under every market that `markets` gives one."""
    by_id = {tier["id"]: tier for tier in found["tiers"]}
    named = {str(tier["name"]): tier for tier in found["tiers"]}
    named |= {market: by_id[tier] for market, tier in found.get("markets", {}).items()}
    return [_dydx_table(name, tier, source) for name, tier in named.items()]


def _dydx_table(name: str, tier: Mapping[str, Any], source: str) -> TierTable:
    initial = float(tier["imf"])
    rate = math.floor(round(initial * float(tier["mm_fraction"]) * 1e6, 6)) / 1e6  # whole ppm
    caps = (float(tier["oi_lower"]), float(tier["oi_upper"]))
    row = LeverageTier(
        min_notional=0.0,
        max_notional=math.inf,
        maintenance_margin_rate=rate,
        max_leverage=1 / initial,
        initial_margin_rate=initial,
    )
    return TierTable.of(name, [row], source=source, open_interest_caps=caps)


def written_table(table: TierTable) -> dict[str, Any]:
    """Return a table as it stands in our own format, under `tables`."""
    caps = table.open_interest_caps
    return {
        "symbol": table.symbol,
        "unit": table.unit,
        "effective_from": _text(table.effective_from),
        "effective_to": _text(table.effective_to),
        "open_interest_caps": None if caps is None else list(caps),
        "tiers": [
            {
                "min_notional": float(row["floor"]),
                "max_notional": None if math.isinf(row["cap"]) else float(row["cap"]),
                "maintenance_margin_rate": float(row["rate"]),
                "max_leverage": float(row["max_leverage"]),
                "maintenance_amount": float(row["amount"]),
                "initial_margin_rate": tier.initial_margin_rate,
            }
            for tier, row in zip(table.tiers, table.rows, strict=True)
        ],
    }


def _cap(value: float | None) -> float:
    return math.inf if value is None else float(value)


def _time(text: str | None) -> int | None:
    if text is None:
        return None
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"a time without a zone: {text}")
    since = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * SECOND + since.microseconds * 1000


def _text(time_ns: int | None) -> str | None:
    if time_ns is None:
        return None
    return datetime.fromtimestamp(time_ns // SECOND, UTC).isoformat().replace("+00:00", "Z")


def _words(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    return f"{type(error).__name__} {error}"

"""What the history answers in JSON. Times are nanoseconds since 1970 UTC."""

from typing import Any, Literal

from pydantic import Field

from serve.schemas import Answer

Time = int | None
Rows = list[dict[str, Any]]
_TIME = [1723121999000000000]
_ROW = {"time": 1723121999000000000, "exchange": "binance", "symbol": "BTC-USDT-PERP"}
_TRADE = {**_ROW, "trade_id": 5061, "side": 0, "price": 57246.3, "qty": 0.004}
_BAR = {"time": 1723121940000000000, "open": 57240.1, "close": 57246.3, "volume": 12.81}


class StoredColumn(Answer):
    """One column of a table."""

    name: str = Field(description="Name of the column.", examples=["qty"])
    type: str = Field(description="Its type in PostgreSQL.", examples=["double precision"])
    nullable: bool = Field(description="Whether it may be null.", examples=[False])
    meaning: str | None = Field(
        None, description="What it is, with its unit.", examples=["price, quote currency"]
    )


class StoredTable(Answer):
    """One table and what it holds."""

    table: str = Field(description="Name of the table.", examples=["market_trades"])
    about: str | None = Field(None, description="What it holds.", examples=["Public trades"])
    key: list[str] = Field(
        description="Natural key, in the order in which rows come.",
        examples=[["exchange", "symbol", "time", "trade_id"]],
    )
    oldest: Time = Field(None, description="Time of the first row.", examples=_TIME)
    newest: Time = Field(None, description="Time of the last row.", examples=_TIME)
    columns: list[StoredColumn] = Field(description="Its columns.", examples=[[]])


class StoredTables(Answer):
    """Everything that is stored."""

    count: int = Field(description="Number of tables.", examples=[12])
    tables: list[StoredTable] = Field(description="The tables.", examples=[[]])


class HistoryRows(Answer):
    """Rows of a table, by instrument and then in the order of the key."""

    table: str = Field(description="Name of the table.", examples=["market_trades"])
    start: int = Field(description="First time of the range.", examples=[1723118400000000000])
    end: int = Field(
        description="End of the range, not included; the time of the first page if unset.",
        examples=[1723122000000000000],
    )
    count: int = Field(description="Rows in this answer.", examples=[1000])
    next: str | None = Field(
        None,
        description="Cursor of the next page; null: there are no more rows.",
        examples=["WzEsIjFmIl0"],
    )
    rows: Rows = Field(
        description="time, exchange, symbol and the columns, see /v1/history.", examples=[[_TRADE]]
    )


class NewestRows(Answer):
    """The newest rows of one instrument, newest first."""

    table: str = Field(description="Name of the table.", examples=["market_trades"])
    exchange: str = Field(description="Where it is traded.", examples=["binance"])
    symbol: str = Field(description="Our name of the instrument.", examples=["BTC-USDT-PERP"])
    source: Literal["memory", "sql"] = Field(
        description="memory: rows as they went to the store, at most one flush before SQL.",
        examples=["memory"],
    )
    newest: Time = Field(None, description="Time of the newest row.", examples=_TIME)
    newest_sequence: int | None = Field(
        None,
        description="Its seq, trade_id or event_id, where the table has one.",
        examples=[5061],
    )
    count: int = Field(description="Rows in this answer.", examples=[100])
    rows: Rows = Field(description="The rows, newest first.", examples=[[_TRADE]])


class HistoryBars(Answer):
    """Rows summed up by interval; an interval without rows has no bar."""

    table: str = Field(description="Name of the table.", examples=["market_trades"])
    exchange: str = Field(description="Where it is traded.", examples=["binance"])
    symbol: str = Field(description="Our name of the instrument.", examples=["BTC-USDT-PERP"])
    step_s: int = Field(description="Length of an interval, seconds.", examples=[60])
    count: int = Field(description="Bars in this answer.", examples=[60])
    next: Time = Field(
        None, description="The start of the next page; null: no more rows.", examples=_TIME
    )
    bars: Rows = Field(
        description="time (beginning of the interval), then open, high, low, close, volume, "
        "buy_volume, vwap and trades of market_trades; of market_depth_analysis "
        "{column}_mean, _min, _max and _last (null: unknown throughout) and rows.",
        examples=[[_BAR]],
    )

"""What is stored: the tables with the units of their columns, as the database itself tells."""

from dataclasses import dataclass
from typing import Any, Final

from alphaplus.storage.row_order import order_of
from alphaplus.storage.series import Extent, extent
from alphaplus.storage.tables import TABLES

_SQL: Final = """
SELECT c.relname AS table_name, obj_description(c.oid, 'pg_class') AS about,
    a.attname AS name, format_type(a.atttypid, a.atttypmod) AS type,
    NOT a.attnotnull AS nullable, col_description(c.oid, a.attnum) AS meaning
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
WHERE c.oid = ANY (SELECT to_regclass(name) FROM unnest($1::text[]) name)
    AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attnum
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnDescription:
    """One column; `meaning` states its unit."""

    name: str
    type: str
    nullable: bool
    meaning: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TableDescription:
    """One table: `key` is its natural key, in the order in which rows are read."""

    name: str
    about: str | None
    key: tuple[str, ...]
    columns: tuple[ColumnDescription, ...]
    extent: Extent


async def describe_tables(connection: Any) -> list[TableDescription]:
    """Return every table that history can be read of."""
    rows = await connection.fetch(_SQL, list(TABLES))
    found = []
    for name, spec in TABLES.items():
        of_table = [row for row in rows if row["table_name"] == name]
        columns = tuple(
            ColumnDescription(
                name=row["name"],
                type=row["type"],
                nullable=row["nullable"],
                meaning=row["meaning"],
            )
            for row in of_table
        )
        found.append(
            TableDescription(
                name=name,
                about=of_table[0]["about"] if of_table else None,
                key=("exchange", "symbol", *order_of(spec)),
                columns=columns,
                extent=await extent(connection, name),
            )
        )
    return found

"""Bring the schema forward: numbered SQL files, each applied once, whole, in order.

`migrations/NNNN_name.sql` runs in one transaction together with its row in
`schema_migrations`, so a file that fails leaves no trace (the first one not even that table, nor
the extension). A file that starts with the line
`-- alphaplus: no-transaction` is one statement that cannot run in a transaction (CREATE INDEX
CONCURRENTLY) and can be repeated. Concurrent runs wait for each other.

Refused, before anything is changed: an applied file that was edited, a gap or a repeated number
in the files, a database with migrations that these files do not have, and one whose
`schema_migrations` is that of another program.

The flavour is decided at the first run, `timescale` where the server has TimescaleDB loaded and
`native` otherwise, and kept in every row; a database of one flavour does not become the other.
"""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import asyncpg

import alphaplus
from alphaplus.errors import MigrationError
from alphaplus.storage.connection import LOST, connect

NATIVE: Final = "native"
TIMESCALE: Final = "timescale"
_LOCK_KEY: Final = 0x416C7068615031
"""Advisory lock of the run."""
_FILE: Final = re.compile(r"(\d{4})_([a-z0-9_]+)\.sql")
_ALONE: Final = "-- alphaplus: no-transaction"
_TABLE: Final = """
CREATE TABLE IF NOT EXISTS schema_migrations (
    version int PRIMARY KEY,
    name text NOT NULL,
    sha256 text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now(),
    flavor text NOT NULL
);
COMMENT ON TABLE schema_migrations IS 'Migrations that were applied';
COMMENT ON COLUMN schema_migrations.version IS 'number of the file';
COMMENT ON COLUMN schema_migrations.name IS 'name of the file, without number and suffix';
COMMENT ON COLUMN schema_migrations.sha256 IS 'SHA-256 of the file with LF line ends, hexadecimal';
COMMENT ON COLUMN schema_migrations.applied_at IS 'when it was applied, UTC';
COMMENT ON COLUMN schema_migrations.flavor IS 'native or timescale';
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Migration:
    """One file."""

    version: int
    name: str
    sql: str

    @property
    def sha256(self) -> str:
        """The checksum, the same for LF and CRLF line ends."""
        return hashlib.sha256(self.sql.encode()).hexdigest()

    def __str__(self) -> str:
        return f"{self.version:04d}_{self.name}.sql"


@dataclass(frozen=True, slots=True, kw_only=True)
class MigrationStatus:
    """Where a database stands: its flavour, the files applied, the files to apply."""

    flavor: str
    applied: tuple[str, ...]
    pending: tuple[str, ...]


def find_directory() -> Path:
    """Return the folder of the migrations, beside the package or in it.

    Raises MigrationError if it is in neither place.
    """
    package = Path(alphaplus.__file__).parent
    for directory in (package.parent / "migrations", package / "migrations"):
        if directory.is_dir():
            return directory
    raise MigrationError(
        f"Expected the folder migrations beside {package}, was none; run from a full checkout."
    )


def load(directory: Path | None = None) -> list[Migration]:
    """Read the files in order; raises MigrationError if their numbers are not 1, 2, 3, ..."""
    folder = directory or find_directory()
    migrations = []
    for path in sorted(folder.glob("*.sql")):
        match = _FILE.fullmatch(path.name)
        if match is None:
            raise MigrationError(f"Expected names like 0001_name.sql in {folder}, was {path.name}.")
        # Text mode turns CRLF into LF.
        sql = path.read_text(encoding="utf-8")
        migrations.append(Migration(version=int(match[1]), name=match[2], sql=sql))
    for expected, migration in enumerate(migrations, start=1):
        if migration.version != expected:
            raise MigrationError(
                f"Expected migration {expected:04d} next in {folder}, was {migration}; "
                "numbers must have no gap and no repetition."
            )
    return migrations


async def status(dsn: str, directory: Path | None = None) -> MigrationStatus:
    """Say where a database stands and change nothing.

    Raises MigrationError as `migrate` would, StorageError if it cannot be reached.
    """
    migrations = load(directory)
    connection = await connect(dsn)
    try:
        flavor, pending = await _compare(connection, migrations)
    finally:
        await connection.close()
    applied = migrations[: len(migrations) - len(pending)]
    return MigrationStatus(
        flavor=flavor, applied=tuple(map(str, applied)), pending=tuple(map(str, pending))
    )


async def migrate(
    dsn: str, directory: Path | None = None, *, dry_run: bool = False
) -> MigrationStatus:
    """Apply what is pending and return what was (`pending`) and what had been (`applied`).

    With `dry_run` nothing is changed. Raises MigrationError if the files and the database do
    not belong together or a file fails, StorageError if the database cannot be written.
    """
    if dry_run:
        return await status(dsn, directory)
    migrations = load(directory)
    connection = await connect(dsn, write=True)
    try:
        await connection.execute("SELECT pg_advisory_lock($1)", _LOCK_KEY)
        flavor, pending = await _compare(connection, migrations)
        for migration in pending:
            await _apply(connection, migration, flavor)
    except asyncpg.InsufficientPrivilegeError as error:
        raise MigrationError(f"The database user may not change the schema: {error}.") from error
    finally:
        await connection.close()
    applied = migrations[: len(migrations) - len(pending)]
    return MigrationStatus(
        flavor=flavor, applied=tuple(map(str, applied)), pending=tuple(map(str, pending))
    )


async def _compare(connection: Any, migrations: list[Migration]) -> tuple[str, list[Migration]]:
    """Return the flavour and what is pending; refuse what does not belong together."""
    possible = await _possible_flavor(connection)
    if await connection.fetchval("SELECT to_regclass('schema_migrations')") is None:
        return possible, migrations
    try:
        rows = await connection.fetch(
            "SELECT version, name, sha256, flavor FROM schema_migrations ORDER BY version"
        )
    except asyncpg.UndefinedColumnError as error:
        raise MigrationError(
            "The database has a table schema_migrations of another program; give alphaplus a "
            "database of its own."
        ) from error
    for index, row in enumerate(rows):
        label = f"{row['version']:04d}_{row['name']}.sql"
        if index >= len(migrations):
            raise MigrationError(
                f"The database is newer than this version of alphaplus: it has {label}; update."
            )
        if row["version"] != index + 1:
            raise MigrationError(f"The database lacks migration {index + 1:04d} before {label}.")
        if row["sha256"] != migrations[index].sha256:
            raise MigrationError(
                f"Migration {label} was changed after it was applied; restore it, and put the "
                "change into a new file."
            )
    flavor = str(rows[0]["flavor"]) if rows else possible
    if flavor == TIMESCALE and possible == NATIVE:
        raise MigrationError(
            "The database was made with TimescaleDB, but the server no longer has it; add "
            "timescaledb to its shared_preload_libraries."
        )
    return flavor, migrations[len(rows) :]


async def _possible_flavor(connection: Any) -> str:
    installed = await connection.fetchval(
        "SELECT EXISTS (SELECT FROM pg_extension WHERE extname = 'timescaledb')"
    )
    available = await connection.fetchval(
        "SELECT EXISTS (SELECT FROM pg_available_extensions WHERE name = 'timescaledb') "
        "AND 'timescaledb' = ANY(string_to_array(replace("
        "current_setting('shared_preload_libraries'), ' ', ''), ','))"
    )
    return TIMESCALE if installed or available else NATIVE


async def _apply(connection: Any, migration: Migration, flavor: str) -> None:
    if migration.sql.startswith(_ALONE):
        await _apply_alone(connection, migration, flavor)
        return
    try:
        async with connection.transaction():
            if migration.version == 1:
                await _prepare(connection, flavor)
            # The row goes first: what the file creates may ask for the flavour.
            await _record(connection, migration, flavor)
            await connection.execute(migration.sql)
    except asyncpg.InsufficientPrivilegeError:
        raise
    except (*LOST, asyncpg.PostgresError) as error:
        raise MigrationError(
            f"Migration {migration} failed and nothing of it was kept: {_first_line(error)}."
        ) from error


async def _apply_alone(connection: Any, migration: Migration, flavor: str) -> None:
    """Apply a file that cannot run in a transaction."""
    try:
        await connection.execute(migration.sql)
        await _record(connection, migration, flavor)
    except asyncpg.InsufficientPrivilegeError:
        raise
    except (*LOST, asyncpg.PostgresError) as error:
        raise MigrationError(
            f"Migration {migration} failed and, being one without a transaction, may be half "
            f"applied; it can be run again: {_first_line(error)}."
        ) from error


async def _prepare(connection: Any, flavor: str) -> None:
    if flavor == TIMESCALE:
        await connection.execute("CREATE EXTENSION IF NOT EXISTS timescaledb")
    await connection.execute("SET LOCAL client_min_messages = warning")
    await connection.execute(_TABLE)


async def _record(connection: Any, migration: Migration, flavor: str) -> None:
    await connection.execute(
        "INSERT INTO schema_migrations (version, name, sha256, flavor) VALUES ($1, $2, $3, $4)",
        migration.version,
        migration.name,
        migration.sha256,
        flavor,
    )


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")

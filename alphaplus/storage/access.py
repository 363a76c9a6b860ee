"""The configured database for a program that needs it for a while."""

from collections.abc import Iterator
from contextlib import contextmanager

from alphaplus.config import Storage
from alphaplus.errors import StorageError
from alphaplus.storage.connection import describe
from alphaplus.storage.migrations import status
from alphaplus.storage.postgres import EmbeddedPostgres


@contextmanager
def database(storage: Storage) -> Iterator[str]:
    """Yield the address of the database at `storage.dsn`, else of the embedded one.

    An embedded server that runs is shared; one that does not is started, and stopped at the end.
    Raises StorageError if there is none or it does not start.
    """
    if storage.dsn is not None:
        yield storage.dsn.get_secret_value()
        return
    if not (storage.data_dir / "postgres").exists():
        raise StorageError(
            f"Expected an embedded database in {storage.data_dir}, was none; start the fleet "
            "once, or name a server in ALPHAPLUS_STORAGE__DSN."
        )
    postgres = EmbeddedPostgres(storage.data_dir)
    try:
        yield postgres.start()
    finally:
        postgres.stop()


async def require_schema(dsn: str) -> None:
    """Raise StorageError unless all migrations of this version are applied."""
    found = await status(dsn)
    if found.pending:
        raise StorageError(
            f"Expected the schema of this version in {describe(dsn)}, was one without "
            f"{found.pending[0]}; apply it with alphaplus migrate, or start the stream job."
        )

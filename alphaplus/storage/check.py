"""Whether the configured storage can be used, before anything is started."""

import asyncio
import os
from pathlib import Path

from alphaplus.config import Storage
from alphaplus.errors import ConfigError
from alphaplus.storage.connection import connect


def check_storage(storage: Storage) -> None:
    """Raise ConfigError or StorageError, with what to do, unless rows can be kept there."""
    require_writable(storage.data_dir)
    if storage.dsn is not None:
        asyncio.run(_reach(storage.dsn.get_secret_value()))


def require_writable(folder: Path) -> None:
    """Raise ConfigError unless `folder` exists, or can be made, and takes files."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            f"Expected storage.data_dir to be a folder that can be made, was {folder} "
            f"({error.strerror}); choose another."
        ) from error
    probe = folder / f".probe-{os.getpid()}"
    try:
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise ConfigError(
            f"Expected storage.data_dir to be writable, was {folder} ({error.strerror}); "
            "choose another or change its owner."
        ) from error


async def _reach(dsn: str) -> None:
    connection = await connect(dsn, write=True)
    await connection.close()

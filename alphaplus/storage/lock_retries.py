"""Statements that need a lock which others hold for a moment."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from asyncpg import exceptions as pg

T = TypeVar("T")

TRIES: Final = 5
PAUSE_S: Final = 0.5


async def patiently(attempt: Callable[[], Awaitable[T]]) -> T:
    """Try again while a lock is not had; raises LockNotAvailableError after `TRIES` times.

    The statement has a lock_timeout, since whoever waits for a lock holds up those behind.
    """
    for _ in range(TRIES - 1):
        try:
            return await attempt()
        except pg.LockNotAvailableError:
            await asyncio.sleep(PAUSE_S)
    return await attempt()

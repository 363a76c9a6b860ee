"""The one way to compile a kernel, and a cache of compiled kernels that outlives code uploads.

Numba keys its on-disk cache by the folder of the source file, so every upload of the same
code to a Ray node would compile again. `ContentCacheLocator` keys it by what the file says, and
the files that it takes kernels and constants from: the same kernels compile once per machine,
wherever they were unpacked.
"""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import numba
from numba.core import config as _config
from numba.core.caching import UserProvidedCacheLocator

from alphaplus import kernel_sources

config: Any = _config
_njit: Any = numba.njit
"""Untyped, as the stubs do not know all of its options."""

_kernels: list[Any] = []

Function = TypeVar("Function", bound=Callable[..., Any])


def cache_dir() -> Path:
    """Return the folder of compiled kernels: `NUMBA_CACHE_DIR`, else the user's cache."""
    chosen = os.environ.get("NUMBA_CACHE_DIR")
    if chosen:
        return Path(chosen)
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = base / "alphaplus" / "kernels"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:  # no writable home: share one folder per user among the temporary files
        folder = Path(tempfile.gettempdir()) / f"alphaplus-kernels-{os.getuid()}"
        folder.mkdir(mode=0o700, exist_ok=True)
    return folder


class ContentCacheLocator(UserProvidedCacheLocator):
    """Find a kernel's cache by what it is compiled from rather than by where that lies."""

    @classmethod
    def get_suitable_cache_subpath(cls, py_file: str) -> str:
        return f"{Path(py_file).parent.name}_{kernel_sources.digest(py_file)}"


def kernel(function: Function) -> Function:
    """Compile `function` on first call: cached on disk, without the GIL, exact floats.

    `fastmath` stays off, as it would break the meaning of nan. A kernel may call kernels of
    other files and read their constants: `kernel_sources` says which files its cache follows.
    """
    return _compiled(function)


def borrowing_kernel(function: Function) -> Function:
    """Compile a kernel that makes, keeps and returns no array: it only borrows its arguments.

    Numba counts references for every array that it passes to a call, with atomic instructions;
    where calls are many and short that is most of their time. Here it counts none, so what
    such a kernel calls must borrow too. One that makes an array does not compile.
    """
    return _compiled(function, _nrt=False)


def inlined_kernel(function: Function) -> Function:
    """Compile a borrowing kernel into each kernel that calls it: no call, no arguments passed."""
    return _compiled(function, _nrt=False, forceinline=True)


def _compiled(function: Function, **options: Any) -> Function:
    before = config.CACHE_DIR, config.CACHE_LOCATOR_CLASSES
    config.CACHE_DIR = str(cache_dir())
    config.CACHE_LOCATOR_CLASSES = f"{__name__}.{ContentCacheLocator.__name__}"
    try:  # numba picks the place of a cache when it decorates; other code keeps its own place
        dispatcher = _njit(cache=True, nogil=True, **options)(function)
    finally:
        config.CACHE_DIR, config.CACHE_LOCATOR_CLASSES = before
    _kernels.append(dispatcher)
    return cast(Function, dispatcher)


def variants() -> dict[str, int]:
    """Return how many compiled variants this process has of each kernel that it has used."""
    return {
        f"{made.py_func.__module__}.{made.py_func.__name__}": len(made.signatures)
        for made in _kernels
        if made.signatures
    }

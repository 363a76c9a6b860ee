"""The files that a file's kernels are compiled from.

A kernel takes in what it uses of other files: kernels that it calls, and constants (numbers,
tables, dtypes, enumerations) as they were when it was compiled. So compiled code is good for as
long as none of these files changes: the kernel's own, those of its package that it imports a
kernel or a constant from, and those that these import from, all the way.

What a file imports is read from its text, and what the name stands for from the module, which
has been imported by then. Ordinary functions and classes are not compiled and do not count.
"""

import ast
import enum
import hashlib
import re
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Final, NamedTuple

import numpy as np
from numba.core.dispatcher import Dispatcher
from numba.core.extending import _Intrinsic

PACKAGE: Final = __name__.partition(".")[0]
_COMPILED_IN: Final = (
    Dispatcher, _Intrinsic, bool, int, float, complex, str, bytes, tuple,
    np.generic, np.ndarray, np.dtype, enum.EnumMeta, ModuleType,
)  # fmt: skip

_DEFINITION: Final = re.compile(rb"^(?:@|def |class |async )", re.MULTILINE)


class Source(NamedTuple):
    """A file as its text stands."""

    digest: str
    imported: tuple[tuple[str, str], ...]
    """Module and name of each import; the name is empty where it is the module itself."""


@cache
def digest(path: str) -> str:
    """Return 16 hexadecimal digits that change with any file that kernels in `path` are made of.

    To be asked while the file is being imported, behind its imports, or later; the answer holds
    for the process. Where the files lie has no part in it.
    """
    lines = "\n".join(f"{name} {text}" for name, text in sorted(files(path).items()))
    return hashlib.sha256(lines.encode()).hexdigest()[:16]


def files(path: str) -> dict[str, str]:
    """Return the modules that kernels in `path` are made of, itself included: name to digest."""
    found: dict[str, str] = {}
    roots = {PACKAGE, _name_of(path)[0]}
    waiting = [path]
    while waiting:
        at = waiting.pop()
        name = ".".join(_name_of(at))
        if name not in found:
            source = _read(at)
            found[name] = source.digest
            waiting += _compiled_in(source, roots)
    return found


def _compiled_in(source: Source, roots: set[str]) -> Iterator[str]:
    """Give the files from which a kernel or a constant is imported."""
    for module, name in source.imported:
        if module.partition(".")[0] not in roots:
            continue
        inner = sys.modules.get(f"{module}.{name}")
        loaded = inner or sys.modules[module]
        value = inner or getattr(loaded, name, loaded)  # itself, if it has not got to that name
        if isinstance(value, _COMPILED_IN) and loaded.__file__ is not None:
            yield loaded.__file__


@cache
def _read(path: str) -> Source:
    text = Path(path).read_bytes()
    parts = _name_of(path)
    package = parts if path.endswith("__init__.py") else parts[:-1]
    imported: list[tuple[str, str]] = []
    for statement in _head(text).body:
        if isinstance(statement, ast.Import):
            imported += [(alias.name, "") for alias in statement.names]
        elif isinstance(statement, ast.ImportFrom):
            above = package[: len(package) + 1 - statement.level] if statement.level else ()
            module = ".".join((*above, statement.module) if statement.module else above)
            names = [alias.name for alias in statement.names]
            imported += [(module, "" if name == "*" else name) for name in names]
    return Source(hashlib.sha256(text).hexdigest(), tuple(imported))


def _head(text: bytes) -> ast.Module:
    """Parse a file up to its first function or class, as imports stand before: far less work."""
    found = _DEFINITION.search(text)
    try:
        return ast.parse(text[: found.start()] if found else text)
    except SyntaxError:  # a line of the docstring looked like a definition
        return ast.parse(text)


@cache
def _name_of(path: str) -> tuple[str, ...]:
    """Return the parts of the name under which a file of a package is imported."""
    file = Path(path)
    parts = [] if file.stem == "__init__" else [file.stem]
    folder = file.parent
    while (folder / "__init__.py").exists():
        parts.insert(0, folder.name)
        folder = folder.parent
    return tuple(parts)

"""What a template has loaded, so that no worker has to."""

import ast
import importlib
import importlib.util
import os
from pathlib import Path
from typing import Any, Final

import ray._raylet

from actors.template.handover import NotReadyError
from alphaplus.analysis.warm import warm_once
from alphaplus.kernels import is_compiled
from alphaplus.storage._event_kernels import warm_event_kernels

ACTORS: Final = ("actors.symbol_host",)
"""Modules of the actors that are forked from a template. They themselves are left to the worker:
`ray.remote` at their end draws a random number, and Ray's generator must not have begun yet."""
OF_RAY: Final = (
    "pyarrow.json",
    "ray._common.pydantic_compat",
    "ray._common.usage.usage_lib",
    "starlette.datastructures",
)
"""What Ray imports when a worker connects."""


def load_all(title: str) -> None:
    """Import and warm everything; raises NotReadyError if it would take this node too long.

    The process is called `title` first of all: titles are written over its arguments, which
    are found only as long as nobody has changed the environment.
    """
    raylet: Any = ray._raylet
    raylet.setproctitle(title)
    if not is_compiled():  # takes a minute, longer than Ray waits; the first actor does it
        raise NotReadyError("the kernels are not compiled on this machine yet")
    for name in OF_RAY:
        importlib.import_module(name)
    for name in ACTORS:
        _import_what_it_imports(name)
    warm_once()
    warm_event_kernels()
    if _drawn_in_a_fork() == _drawn_in_a_fork():
        raise NotReadyError("Expected forks with random numbers of their own, were the same.")


def _import_what_it_imports(name: str) -> None:
    found = importlib.util.find_spec(name)
    assert found is not None  # it is ours
    assert found.origin is not None
    statements = ast.parse(Path(found.origin).read_bytes()).body
    imports: list[ast.stmt] = [
        item for item in statements if isinstance(item, ast.Import | ast.ImportFrom)
    ]
    exec(compile(ast.Module(imports, []), found.origin, "exec"), {})


def _drawn_in_a_fork() -> bytes:
    """Return the first identity that Ray makes up in a forked process.

    Two that were the same would be two workers whose objects have the same identities.
    """
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.write(writing, ray._raylet.WorkerID.from_random().binary())
        finally:
            os._exit(0)  # whatever happened, it must not go on as another template
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        drawn = pipe.read()
    os.waitpid(child, 0)
    return drawn

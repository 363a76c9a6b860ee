"""How Ray is told to start an actor by the template of its node."""

import hashlib
import logging
import shlex
import sys
from functools import cache
from pathlib import Path
from typing import Any, Final

import ray

import alphaplus
from actors.template import launch

log = logging.getLogger(__name__)

OF_OTHER_PYTHONS: Final = ("py_executable", "pip", "uv", "conda", "container", "image_uri")
"""Fields of a runtime environment that say themselves how Python is started."""


def template_options() -> dict[str, Any]:
    """Return Ray's options by which an actor is forked from a template; none where it cannot be.

    To be asked in an actor or a job, whose runtime environment the new actor takes over.
    """
    reason = _why_not()
    return {"runtime_env": {"py_executable": worker_command()}} if reason is None else {}


@cache
def worker_command() -> str:
    """Return what Ray runs in place of Python, as the shell reads it.

    Another node may have its Python elsewhere, where it is on the path.
    """
    python = shlex.quote(sys.executable)
    return f"$(command -v {python} || command -v python3) -S -m {launch.__name__} {code_digest()}"


@cache
def code_digest() -> str:
    """Return hexadecimal digits that change with any file that a template imports of ours."""
    digest = hashlib.sha256(sys.version.encode())
    for package in (Path(alphaplus.__file__).parent, Path(__file__).parents[1]):
        for source in sorted(package.rglob("*.py")):
            digest.update(source.read_bytes())
    return digest.hexdigest()[:8]


@cache
def _why_not() -> str | None:
    """Say once why actors are started one by one, None if they are not."""
    reason = None
    if sys.platform != "linux":
        reason = f"this is {sys.platform}, not Linux"
    else:
        environment = ray.get_runtime_context().runtime_env
        named = [field for field in OF_OTHER_PYTHONS if environment.get(field)]
        if named:
            reason = f"the runtime environment has {named[0]}, which says how Python is started"
    if reason is not None:
        log.warning("actors start without a template: %s", reason)
    return reason

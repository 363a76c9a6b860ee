"""Compile every kernel of the live path once per machine, in a process that then ends.

A compiler's memory (half a gigabyte) stays with the process that used it, and twenty actors
that start together would all compile the same. So whoever needs kernels calls
`ensure_compiled` first: one process of the machine compiles, the others wait for it, and all
load the result from the disk (`alphaplus.jit`).
"""

import fcntl
import hashlib
import logging
import os
import subprocess
import sys
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Final

import numba

from alphaplus.analysis.warm import EXAMPLE, warm_once
from alphaplus.errors import AlphaPlusError
from alphaplus.feeds.market_feed import MarketFeed
from alphaplus.jit import cache_dir
from alphaplus.leverage.engine import warm_engine
from alphaplus.leverage.hit_probability import hit_probability
from alphaplus.leverage.liquidation_tracker import warm_tracker
from alphaplus.storage._event_kernels import warm_event_kernels

log = logging.getLogger(__name__)

PACKAGE: Final = Path(__file__).resolve().parent
TIMEOUT_S: Final = 900.0


def is_compiled() -> bool:
    """Return whether every kernel of this code is compiled on this machine."""
    return _marker().exists()


def ensure_compiled(say: Callable[[str], None] = log.info) -> None:
    """Return once every kernel of this code is compiled on this machine.

    `say` is told when this takes a while. Raises AlphaPlusError with the compiler's last words
    if it fails.
    """
    marker = _marker()
    if marker.exists():
        return
    marker.parent.mkdir(parents=True, exist_ok=True)
    with (cache_dir() / "compiling.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # released with the file, also if this process dies
        if marker.exists():
            return
        say("compiling kernels: once per machine, about a minute")
        begun = time.monotonic()
        path = os.pathsep.join([str(PACKAGE.parent), os.environ.get("PYTHONPATH", "")])
        done = subprocess.run(
            [sys.executable, "-m", __name__],
            env={**os.environ, "PYTHONPATH": path.rstrip(os.pathsep)},
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
        if done.returncode != 0:
            words = done.stderr.strip().splitlines()[-1:] or [f"exit code {done.returncode}"]
            raise AlphaPlusError(f"Expected the kernels to compile, was: {words[0]}")
        say(f"kernels compiled in {time.monotonic() - begun:.0f} s")
        marker.touch()


def compile_all() -> None:
    """Run everything that has kernels on a little made-up data."""
    MarketFeed([EXAMPLE]).warm()
    warm_once()
    warm_event_kernels()
    warm_engine()
    warm_tracker(EXAMPLE)
    hit_probability(0.0, 0.0, 0.0)


def _marker() -> Path:
    return cache_dir() / f"compiled-{_digest()}"


@cache
def _digest() -> str:
    digest = hashlib.sha256(f"{sys.version} {numba.__version__}".encode())
    for source in sorted(PACKAGE.rglob("*.py")):
        digest.update(source.read_bytes())
    return digest.hexdigest()[:16]


if __name__ == "__main__":
    compile_all()

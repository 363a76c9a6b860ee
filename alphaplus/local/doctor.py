"""`alphaplus doctor`: does this machine have what AlphaPlus needs, and if not, what to do."""

import importlib.metadata
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import psutil

from alphaplus.config import Settings
from alphaplus.errors import AlphaPlusError
from alphaplus.jit import cache_dir
from alphaplus.local.demands import Offer, misfits, node_types, running_nodes
from alphaplus.local.ports import require_free
from alphaplus.local.up import repository_root
from alphaplus.processors import processors
from alphaplus.storage.binaries import find_binaries
from alphaplus.storage.check import check_storage
from alphaplus.storage.connection import describe

MIN_PYTHON: Final = (3, 11)
MIN_DISK_GB: Final = 2.0
MIN_MEMORY_GB: Final = 3.0
PACKAGES: Final = ("ray", "ccxt", "numpy", "numba", "pyarrow", "asyncpg", "fastapi", "pyzmq")


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at; `fix` says what to do where it is not ok."""

    name: str
    ok: bool
    detail: str
    fix: str = ""


def examine(settings: Settings) -> list[Finding]:
    """Look at everything; nothing is changed or started."""
    return [finding for look in _LOOKS for finding in look(settings)]


def _python(_: Settings) -> Iterator[Finding]:
    version = ".".join(map(str, sys.version_info[:3]))
    ok = sys.version_info >= MIN_PYTHON
    yield Finding("python", ok, version, "" if ok else "install Python 3.11 or newer")


def _packages(_: Settings) -> Iterator[Finding]:
    found, missing = [], []
    for name in PACKAGES:
        try:
            found.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            missing.append(name)
    if missing:
        yield Finding("packages", False, f"missing {', '.join(missing)}", "run make setup")
    else:
        yield Finding("packages", True, ", ".join(found))


def _ray(_: Settings) -> Iterator[Finding]:
    address = os.environ.get("RAY_ADDRESS")
    detail = f"RAY_ADDRESS is {address}" if address else "a cluster of its own is started locally"
    yield Finding("ray", True, detail)


def _code(_: Settings) -> Iterator[Finding]:
    yield _attempt("code", lambda: str(repository_root()), "run from a checkout")


def _database(settings: Settings) -> Iterator[Finding]:
    storage = settings.storage

    def look() -> str:
        check_storage(storage)
        if storage.dsn is not None:
            return f"{describe(storage.dsn.get_secret_value())} takes writes"
        return f"embedded, binaries in {find_binaries().directory}"

    yield _attempt("database", look, "")


def _port(settings: Settings) -> Iterator[Finding]:
    serve = settings.serve

    def look() -> str:
        require_free(serve.host, serve.port, "serve.port")
        return f"{serve.host}:{serve.port} is free"

    yield _attempt("port", look, "")


def _clock(_: Settings) -> Iterator[Finding]:
    """Compare the wall clock with the monotonic one: a clock that is being stepped shows."""
    wall, steady = time.time(), time.monotonic()
    time.sleep(0.2)
    drift_ms = ((time.time() - wall) - (time.monotonic() - steady)) * 1e3
    ok = abs(drift_ms) < 5 and wall > 1_700_000_000
    yield Finding(
        "clock",
        ok,
        f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())}, drift {drift_ms:+.2f} ms in 0.2 s",
        "" if ok else "let NTP set and keep the clock",
    )


def _disk(settings: Settings) -> Iterator[Finding]:
    for name, folder in (("data", settings.storage.data_dir), ("kernel cache", cache_dir())):
        place = folder
        while not place.exists():
            place = place.parent
        free_gb = shutil.disk_usage(place).free / 1e9
        ok = free_gb >= MIN_DISK_GB
        fix = "" if ok else f"free {MIN_DISK_GB - free_gb:.1f} GB or choose another folder"
        yield Finding(f"disk ({name})", ok, f"{free_gb:.1f} GB free at {folder}", fix)


def _memory(_: Settings) -> Iterator[Finding]:
    free_gb = psutil.virtual_memory().available / 1e9
    ok = free_gb >= MIN_MEMORY_GB
    fix = "" if ok else f"{MIN_MEMORY_GB:.0f} GB are needed for 10 symbols; close other programs"
    yield Finding("memory", ok, f"{free_gb:.1f} GB available", fix)


def _nodes(settings: Settings) -> Iterator[Finding]:
    """Look whether every actor fits on this machine, or on a node of each cluster that is said."""
    here = {"CPU": float(processors()), "memory": float(psutil.virtual_memory().total)}
    offers: list[tuple[str, Callable[[], Mapping[str, Offer]]]] = []
    if os.environ.get("RAY_ADDRESS"):
        offers.append(("nodes (running)", running_nodes))
    else:
        offers.append(("nodes (this machine)", lambda: {"this machine": here}))
    root = Path(__file__).resolve().parents[2]
    files = (root / "cluster.yaml", *sorted((root / "deploy").glob("cluster-*.yaml")))
    offers += [
        (f"nodes ({file.name})", partial(node_types, file))
        for file in files
        if file.is_file() and node_types(file)
    ]
    for name, ask in offers:
        try:
            found = misfits(settings.fleet, ask())
        except AlphaPlusError as error:
            yield Finding(name, False, str(error))
            continue
        yield Finding(
            name,
            not found,
            "; ".join(found) or "every actor fits on one of them",
            "lower fleet.*_cpus and fleet.*_memory_mb, or offer larger nodes" if found else "",
        )


def _attempt(name: str, look: Callable[[], str], fix: str) -> Finding:
    try:
        return Finding(name, True, look())
    except AlphaPlusError as error:
        return Finding(name, False, str(error), fix)


_LOOKS: Final = (
    _python, _packages, _ray, _code, _database, _port, _clock, _disk, _memory, _nodes,
)  # fmt: skip

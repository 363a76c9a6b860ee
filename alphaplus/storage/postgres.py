"""The embedded PostgreSQL server: made, started, adopted and stopped by us.

Everything of it lies in one directory, `<data_dir>/postgres`, which belongs to the server's
user and is closed to others (0700): `data` (the cluster), `socket`, `server.log`, `owner.lock`.
It listens on a unix socket only. As root that user is `nobody`; where `nobody` cannot enter
`data_dir` (a private home), the directory is made elsewhere and `<data_dir>/postgres` points
to it, since the rights of directories above are not ours to change.

The server outlives whoever started it: it is no child of ours, and the next `start` on the same
directory adopts it. One process at a time owns a directory (a lock that the kernel gives back
when the owner dies); only the owner stops the server, others merely connect.
"""

import contextlib
import fcntl
import hashlib
import logging
import os
import shutil
import signal
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote

import psutil

from alphaplus.errors import StorageError
from alphaplus.storage.binaries import (
    Binaries,
    ServerUser,
    find_binaries,
    runnable,
    server_user,
)

USER: Final = "alphaplus"
DATABASE: Final = "alphaplus"
PORT: Final = 5432
"""Only part of the socket's name: the server has no TCP port."""
STATE: Final = Path("/var/lib/alphaplus")
"""Where root keeps databases whose data_dir the server's user cannot enter."""
MAX_SOCKET_PATH: Final = 100
"""Bytes; the kernel's limit is 107."""
MIN_FREE_BYTES: Final = 256 * 2**20
NICENESS: Final = 10
RETRY_S: Final = 30.0
STOP_S: Final = 30.0
SILENT_S: Final = 60.0
"""A server that is not ready and writes no log for so long has failed."""
SETTINGS: Final = {
    "listen_addresses": "",
    "shared_buffers": "256MB",
    "max_wal_size": "2GB",
    "wal_compression": "on",
    # Rows that only come in are packed and dropped within hours: to vacuum them before is a tenth
    # of the server's work for nothing. What is updated, deleted or old is vacuumed as ever.
    "autovacuum_vacuum_insert_threshold": "-1",
    # New statistics of what grows by a tenth a minute would take a second of every minute.
    "autovacuum_naptime": "5min",
    "max_connections": "100",
    "max_locks_per_transaction": "256",  # a scan of all partitions locks each
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
}

# The inner shell stays as the server's parent, to reap it at once (a server killed under a
# process 1 that reaps nobody would hold its lock file for ever) and to leave its exit code.
_LAUNCH: Final = (
    '( "$@" </dev/null >>"$AP_LOG" 2>&1; echo $? >"$AP_EXIT" ) </dev/null >/dev/null 2>&1 &'
)
_PASSING: Final = ("already exists", "still in use", "shared memory block")
"""In the log of a start that may succeed once a killed predecessor is fully gone."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Running:
    """What `postmaster.pid` says of a live server."""

    process: psutil.Process
    socket_dir: Path


class EmbeddedPostgres:
    """A PostgreSQL server of our own in `<data_dir>/postgres`.

    `binaries` names the programs instead of a search; `settings` override server settings;
    `sync=False` skips flushing a new cluster (tests).
    Do not use it where `storage.dsn` is set.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        binaries: Binaries | None = None,
        settings: dict[str, str] | None = None,
        sync: bool = True,
    ) -> None:
        self.data_dir = Path(data_dir).absolute()
        self._settings = SETTINGS | (settings or {})
        self._sync = sync
        self._given = binaries
        self._binaries: Binaries | None = None
        self._log_start = 0
        self._exit = Path()
        self._home = self.data_dir / "postgres"
        self._lock: int | None = None
        self._user: ServerUser | None = None

    @property
    def is_owner(self) -> bool:
        """Whether this object may stop the server."""
        return self._lock is not None

    @property
    def dsn(self) -> str:
        """The address of the server, which has no secret in it."""
        host = quote(str(self._socket_dir()), safe="")
        return f"postgresql://{USER}@/{DATABASE}?host={host}&port={PORT}"

    @property
    def pid(self) -> int | None:
        """The process id of the live server, None if there is none."""
        running = self._running()
        return running.process.pid if running else None

    def start(self) -> str:
        """Make the cluster if there is none, start or adopt its server, return its DSN.

        Raises StorageError if it cannot be made, started or reached.
        """
        self._prepare_home()
        if not self._own() and self._await_owner():
            return self.dsn
        try:
            if not self._answers():
                self._make_cluster()
                self._launch()
        except BaseException:
            self._disown()
            raise
        return self.dsn

    def stop(self) -> None:
        """Shut the server down (fast: open transactions are rolled back) if we own it.

        Raises StorageError if it is still running after 30 s.
        """
        if self._lock is None:
            return
        running = self._running()
        try:
            if running:
                shell = _launcher(running.process)
                os.kill(running.process.pid, signal.SIGINT)
                self._await_end(running.process)
                if shell is not None:  # it leaves a last file in our directory
                    self._await_end(shell)
        except (ProcessLookupError, psutil.NoSuchProcess):
            log.debug("the database server ended by itself")
        finally:
            self._disown()

    # The directory

    def _prepare_home(self) -> None:
        try:
            self.data_dir.mkdir(parents=True, exist_ok=True)
            home = self.data_dir / "postgres"
            if not home.exists():
                self._make_home(home)
            self._home = home.resolve()
            self._user = server_user(self._home)
            probe = self._home / "owner.lock"
            os.close(os.open(probe, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        except OSError as error:
            raise StorageError(
                f"The data directory {self.data_dir} cannot be written: {error.strerror}; "
                "choose another one with ALPHAPLUS_STORAGE__DATA_DIR."
            ) from error
        if self._home.stat().st_uid != self._user.uid:
            raise StorageError(
                f"The database in {self._home} belongs to another user; run as that user, or "
                "choose another directory with ALPHAPLUS_STORAGE__DATA_DIR."
            )

    def _make_home(self, home: Path) -> None:
        user = server_user(home)
        if user.can_reach(self.data_dir):
            home.mkdir(mode=0o700, exist_ok=True)
            made = home
        else:
            temporary = Path(tempfile.gettempdir())
            base = temporary if home.is_relative_to(temporary) else STATE
            base.mkdir(mode=0o755, parents=True, exist_ok=True)
            made = Path(tempfile.mkdtemp(prefix="alphaplus-", dir=base))
            home.unlink(missing_ok=True)  # a pointer to a directory that is gone
            home.symlink_to(made)
            log.info("%s is private, so the database is kept in %s", self.data_dir, made)
        if user.switch:
            os.chown(made, user.uid, user.gid)

    def _socket_dir(self) -> Path:
        directory = self._home / "socket"
        if len(os.fsencode(directory)) + len(f"/.s.PGSQL.{PORT}") <= MAX_SOCKET_PATH:
            return directory
        mark = hashlib.sha256(os.fsencode(self._home)).hexdigest()[:12]
        return Path("/tmp") / f"alphaplus-{mark}"

    def _make_socket_dir(self, user: ServerUser) -> None:
        directory = self._socket_dir()
        directory.mkdir(mode=0o700, exist_ok=True)
        if user.switch and directory.lstat().st_uid == 0:
            os.chown(directory, user.uid, user.gid, follow_symlinks=False)
        found = directory.lstat()
        if directory.is_symlink() or found.st_uid != user.uid or found.st_mode & 0o077:
            raise StorageError(f"{directory} is not a private directory of ours; remove it.")

    # Ownership

    def _own(self) -> bool:
        if self._lock is not None:
            return True
        file = os.open(self._home / "owner.lock", os.O_RDWR | os.O_CLOEXEC)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(file)
            return False
        self._lock = file
        return True

    def _disown(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _await_owner(self) -> bool:
        """Wait for the owner's server; False if the owner went away and we own it now."""
        deadline = time.monotonic() + RETRY_S
        while not self._answers():
            if self._own():
                return False
            if time.monotonic() > deadline:
                raise StorageError(
                    f"Another process holds the database in {self._home}, but its server does "
                    f"not answer; see {self._home / 'server.log'}."
                )
            time.sleep(0.1)
        return True

    # The server

    def _running(self) -> _Running | None:
        try:
            lines = (self._home / "data" / "postmaster.pid").read_text().splitlines()
            process = psutil.Process(int(lines[0]))
            if process.status() == psutil.STATUS_ZOMBIE or process.name() != "postgres":
                return None
            return _Running(process, Path(lines[4]))
        except (OSError, ValueError, IndexError, psutil.Error):
            return None

    def _answers(self) -> bool:
        """Whether a server of this directory takes connections."""
        if self._running() is None:
            return False
        program = self._found().path("pg_isready")
        where = ["-h", str(self._socket_dir()), "-p", str(PORT), "-U", USER, "-d", DATABASE]
        assert self._user is not None
        return self._user.run([program, "-q", "-t", "3", *where]).returncode == 0

    def _found(self) -> Binaries:
        if self._binaries is None:
            assert self._user is not None
            version = self._home / "data" / "PG_VERSION"
            major = int(version.read_text()) if version.exists() else None
            self._binaries = runnable(self._given or find_binaries(major), self._user)
        return self._binaries

    def _make_cluster(self) -> None:
        data = self._home / "data"
        binaries = self._found()
        if (data / "PG_VERSION").exists():
            major = int((data / "PG_VERSION").read_text())
            if binaries.major != major:
                raise StorageError(
                    f"The database in {data} is of PostgreSQL {major}, but {binaries.major} was "
                    f"found; install PostgreSQL {major}, or upgrade the data with pg_upgrade or "
                    "with pg_dump from the old version and psql into a new data directory."
                )
            return
        if shutil.disk_usage(self._home).free < MIN_FREE_BYTES:
            raise StorageError(
                f"Less than {MIN_FREE_BYTES // 2**20} MB are free at {self._home}; make room, or "
                "choose another directory with ALPHAPLUS_STORAGE__DATA_DIR."
            )
        self._initdb(binaries, data)

    def _initdb(self, binaries: Binaries, data: Path) -> None:
        """Make the cluster beside its place, so that an interrupted one is never used."""
        assert self._user is not None
        new = data.with_name("data.new")
        if new.exists():
            shutil.rmtree(new)
        options = ["--auth=trust", "--encoding=UTF8", "--locale=C", "--data-checksums"]
        options += [] if self._sync else ["--no-sync"]
        made = self._user.run(
            [binaries.path("initdb"), "-D", str(new), "-U", USER, *options, "--no-instructions"]
        )
        if made.returncode == 0:
            made = self._user.run(
                [binaries.path("postgres"), "--single", "-D", str(new), "postgres"],
                input=f"CREATE DATABASE {DATABASE}\n",
            )
        if made.returncode != 0:
            shutil.rmtree(new, ignore_errors=True)
            raise StorageError(f"The database could not be made: {_last_line(made.stderr)}.")
        new.rename(data)

    def _launch(self) -> None:
        """Start the server, again for 30 s while a killed predecessor is not fully gone."""
        assert self._user is not None
        self._make_socket_dir(self._user)
        deadline = time.monotonic() + RETRY_S
        while True:
            self._spawn(self._user)
            failure = self._await_ready()
            if failure is None:
                return
            if time.monotonic() > deadline or not any(sign in failure for sign in _PASSING):
                self._end_failed()
                raise StorageError(
                    f"The database server did not start: {_last_line(failure)}; "
                    f"see {self._home / 'server.log'}."
                )
            time.sleep(0.2)

    def _end_failed(self) -> None:
        """End a server that runs but never became ready: nothing half-started is left."""
        running = self._running()
        if running is not None:
            with contextlib.suppress(psutil.Error):
                running.process.send_signal(signal.SIGQUIT)

    def _spawn(self, user: ServerUser) -> None:
        for old in self._home.glob("exit.*"):
            old.unlink(missing_ok=True)
        # A name of its own, since the shell of a killed server may leave its code late.
        self._exit = self._home / f"exit.{time.monotonic_ns()}"
        settings = self._settings | {"unix_socket_directories": f'"{self._socket_dir()}"'}
        arguments = [f"--{name}={value}" for name, value in settings.items()]
        options = user.options()
        options["env"] = options["env"] | {
            "AP_LOG": str(self._home / "server.log"),
            "AP_EXIT": str(self._exit),
        }
        server = self._found().path("postgres")
        # Rows may wait a moment for the processor, the books beside us may not: hence nice.
        program = ["nice", "-n", str(NICENESS), server, "-D", str(self._home / "data")]
        launch = ["/bin/sh", "-c", _LAUNCH, "sh", *program]
        self._log_start = self._log_size()
        subprocess.run(
            [*launch, f"--port={PORT}", *arguments],
            check=True,
            start_new_session=True,
            umask=0o077,
            **options,
        )

    def _await_ready(self) -> str | None:
        """Wait until the server answers; return the log of its end if it ended instead.

        A crash recovery may take long: it is waited for while the log grows.
        """
        size, changed = self._log_size(), time.monotonic()
        while not self._answers():
            if self._exit.exists():
                return self._log_tail()
            if self._log_size() != size:
                size, changed = self._log_size(), time.monotonic()
            if time.monotonic() - changed > SILENT_S:
                return f"it was not ready after {SILENT_S:.0f} s of silence"
            time.sleep(0.02)
        return None

    def _await_end(self, process: psutil.Process) -> None:
        try:
            process.wait(STOP_S)
        except psutil.TimeoutExpired:
            raise StorageError(
                f"The database server {process.pid} is still shutting down after "
                f"{STOP_S:.0f} s; see {self._home / 'server.log'}."
            ) from None

    def _log_size(self) -> int:
        try:
            return (self._home / "server.log").stat().st_size
        except FileNotFoundError:
            return 0

    def _log_tail(self) -> str:
        try:
            with (self._home / "server.log").open("rb") as file:
                file.seek(self._log_start)
                return file.read().decode(errors="replace")
        except FileNotFoundError:
            return "it left no log"


def _launcher(process: psutil.Process) -> psutil.Process | None:
    """Return the shell that started a server, None if it has another parent now."""
    parent = process.parent()
    return parent if parent is not None and _LAUNCH in parent.cmdline() else None


def _last_line(text: str) -> str:
    """Return the line that says what went wrong: the last error, else the last line."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if "FATAL" in line or "error" in line.lower()]
    return (errors or lines or ["no reason was given"])[-1].rstrip(".")

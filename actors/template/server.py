"""The template: a process with everything imported, which forks a worker for each request.

    python -m actors.template.server FOLDER LOCK NAME ADDED .../default_worker.py ...

It holds no connection and has one thread, as nothing else can be forked safely, and it ends
with its raylet, or when it has had no worker for a while. Its workers outlive it.
"""

import gc
import logging
import os
import random
import runpy
import select
import signal
import socket
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from actors.template.handover import (
    ANSWER_WITHIN_S,
    GO,
    READY,
    REFUSED,
    STREAMS,
    HandoverError,
    NotReadyError,
    Request,
    meeting_point,
    receive_request,
)

log = logging.getLogger(__name__)

IDLE_S: Final = 10.0
"""So long a template without workers waits for the next."""
OF_THE_SHELL: Final = frozenset({b"_", b"SHLVL", b"PWD", b"OLDPWD"})
"""Variables that may differ between workers, as nothing that was imported reads them."""
TITLE: Final = "alphaplus::template"


@dataclass(slots=True)
class Meeting:
    """Where launchers come to; `added` are variables that only the template has."""

    folder: int
    lock: int
    name: str
    added: frozenset[bytes]

    def listen(self) -> socket.socket:
        """Open the socket; raises OSError."""
        address = meeting_point(self.folder, self.name)
        Path(address).unlink(missing_ok=True)  # of one that was killed; the lock says it is gone
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.bind(address)
        listener.listen(128)
        return listener

    def close(self) -> None:
        """Leave nothing behind."""
        for name in (self.name, f"{self.name}.lock"):
            os.unlink(name, dir_fd=self.folder)


def main() -> None:
    """Import everything, then fork workers; in a forked process go on as the worker.

    Everything is imported here, after the environment has been noted, as Ray adds to it.
    """
    folder, lock, name, added, *arguments = sys.argv[1:]
    meeting = Meeting(int(folder), int(lock), name, frozenset(added.encode().split(b",")))
    own = Request.of_this_process(arguments)
    for key in meeting.added:
        own.environment.pop(key, None)
    _close_all_but(meeting.folder, meeting.lock)  # a raylet hands on sockets of its own
    try:
        _join_raylet()
        _load()
        raylet, listener = _watch_raylet(), meeting.listen()
        request = serve(meeting, own, raylet, listener)
    except (OSError, NotReadyError) as error:
        print(f"alphaplus: this worker starts without a template: {error}", file=sys.stderr)
        request = own
    if request is not None:
        become_worker(request)


def serve(meeting: Meeting, own: Request, raylet: int, listener: socket.socket) -> Request | None:
    """Fork workers until it is time to end.

    Returns a worker's request in the process that is to become it, None in the template.
    Raises OSError if not even the first can be forked.
    """
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # none of them becomes a zombie
    gc.collect()
    gc.freeze()  # a collection in a worker would otherwise write to, and copy, every object
    if os.fork() == 0:
        return own
    waiting = select.poll()
    waiting.register(listener, select.POLLIN)
    waiting.register(raylet, select.POLLIN)
    busy = time.monotonic()
    while True:
        ready = {number for number, _ in waiting.poll(IDLE_S * 1000 / 4)}
        if raylet in ready:
            break
        if listener.fileno() in ready:
            request = _answer(listener, own, meeting)
            if request is not None:
                return request
        if _has_workers() or ready:
            busy = time.monotonic()
        elif time.monotonic() > busy + IDLE_S:
            break
    meeting.close()
    return None


def _answer(listener: socket.socket, own: Request, meeting: Meeting) -> Request | None:
    """Fork for one launcher; returns its request in the forked process only."""
    connection, _ = listener.accept()
    with connection:
        connection.settimeout(ANSWER_WITHIN_S)
        try:
            request, streams = receive_request(connection)
        except (OSError, HandoverError) as error:
            log.error("a launcher was not understood: %s", error)
            return None
        try:
            reason = difference(own, request, meeting.added)
            if reason is not None:
                connection.sendall(REFUSED + reason.encode())
            elif os.fork() == 0:
                return _released(connection, request, streams)
        except OSError as error:  # no room for another process, or the launcher is gone
            log.error("a worker could not be forked: %s", error)
        finally:
            for stream in streams:
                os.close(stream)
    return None


def _released(connection: socket.socket, request: Request, streams: list[int]) -> Request:
    """In a forked process: take over, once the launcher has said that it will not."""
    try:
        connection.sendall(READY)
        released = connection.recv(1) == GO
    except OSError:
        released = False
    if not released:
        os._exit(1)  # the launcher starts the worker itself
    for number, stream in zip(STREAMS, streams, strict=True):
        os.dup2(stream, number)
    return request


def difference(own: Request, asked: Request, added: frozenset[bytes]) -> str | None:
    """Say why a worker is not to be a copy of this process, None if it can be."""
    if asked.folder != own.folder:
        return f"it runs in {os.fsdecode(asked.folder)}, not in {os.fsdecode(own.folder)}"
    told, known = (_relevant(item.environment, added) for item in (asked, own))
    if told != known:
        differing = sorted(key for key, _ in told.items() ^ known.items())
        return f"its environment differs in {os.fsdecode(differing[0])}"
    return None


def _relevant(environment: Mapping[bytes, bytes], added: frozenset[bytes]) -> dict[bytes, bytes]:
    ignored = OF_THE_SHELL | added
    return {key: value for key, value in environment.items() if key not in ignored}


def become_worker(request: Request) -> None:
    """Run Ray's worker in this process as if it had been started for it."""
    _close_all_but()
    os.setpgid(0, 0)  # Ray ends what a dead worker leaves behind by its process group
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for key in os.environb.keys() - request.environment.keys():
        del os.environb[key]
    os.environb.update(request.environment)
    import numpy as np

    random.seed()
    np.random.seed()
    program, *arguments = (os.fsdecode(item) for item in request.arguments)
    sys.argv = [program, *arguments]
    sys.path[0] = str(Path(program).parent)
    runpy.run_path(program, run_name="__main__")


def _load() -> None:
    """Import everything; raises NotReadyError if this process cannot be forked afterwards."""
    try:
        from actors.template.preload import load_all

        load_all(TITLE)
    except NotReadyError:
        raise
    except Exception as error:  # whatever it is, the worker of this process shall start
        log.exception("the template could not be loaded")
        raise NotReadyError(f"{type(error).__name__}: {error}") from error
    threads = len(os.listdir("/proc/self/task"))
    if threads > 1:
        raise NotReadyError(f"Expected one thread in the template, was {threads}.")


def _close_all_but(*kept: int) -> None:
    begin = max(STREAMS) + 1
    for number in (*sorted(kept), os.sysconf("SC_OPEN_MAX")):
        os.closerange(begin, number)
        begin = number + 1


def _join_raylet() -> None:
    """Leave the process group that Ray ends together with the first worker; raises OSError."""
    os.setpgid(0, os.getpgid(int(os.environ["RAY_RAYLET_PID"])))


def _watch_raylet() -> int:
    """Return a descriptor that can be read once the raylet is gone; raises OSError."""
    return os.pidfd_open(int(os.environ["RAY_RAYLET_PID"]))


def _has_workers() -> bool:
    try:
        os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        return False
    return True


if __name__ == "__main__":
    main()

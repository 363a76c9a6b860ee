"""Start one worker of Ray by having the node's template fork it.

    python -S -m actors.template.launch CODE .../default_worker.py --arguments-of-ray ...

Ray runs this in place of Python (`py_executable` of a runtime environment). It hands over what
it was given and ends. Where no template lives it becomes the template itself, so that all stay
descendants of the raylet. Whatever goes wrong, it becomes the worker, as without a template.
"""

import _socket
import fcntl
import os
import sys
import time

from actors.template.handover import (
    ANSWER_WITHIN_S,
    GO,
    READY,
    HandoverError,
    Request,
    meeting_folder,
    meeting_point,
    send_request,
)

TEMPLATE_WITHIN_S = 40.0
"""How long a template may take to start; Ray gives a worker 60 s to register."""
POLL_S = 0.02
SETTINGS = {
    b"OPENBLAS_NUM_THREADS": b"1",  # a process with threads cannot be forked
    b"OMP_NUM_THREADS": b"1",
    b"JE_ARROW_MALLOC_CONF": b"background_thread:false",
    b"MALLOC_ARENA_MAX": b"2",  # each thread's own pool of memory would stay half empty
}
"""What the environment of a template has beside that of its workers."""


def main() -> None:
    """Hand over, become the template, or become the worker."""
    code, *arguments = sys.argv[1:]
    try:
        if sys.platform != "linux":
            raise HandoverError("Expected Linux, whose sockets and descriptors this needs.")
        launch(code, arguments)
    except (OSError, HandoverError) as error:
        print(f"alphaplus: this worker starts without a template: {error}", file=sys.stderr)
        sys.stderr.flush()
        os.execv(sys.executable, [sys.executable, *arguments])


def launch(code: str, arguments: list[str]) -> None:
    """Return once a template has forked the worker; raises HandoverError or OSError if none has."""
    raylet, job = (os.environ.get(name, "") for name in ("RAY_RAYLET_PID", "RAY_JOB_ID"))
    name = f"{raylet}-{job}-{code}"
    folder = meeting_folder(arguments)
    give_up = time.monotonic() + TEMPLATE_WITHIN_S
    while True:
        connection = connect(meeting_point(folder, name))
        if connection is not None and hand_over(connection, Request.of_this_process(arguments)):
            return
        lock = take_lock(folder, f"{name}.lock")
        if lock is not None:
            become_template(folder, lock, name, arguments)
        if time.monotonic() > give_up:
            raise HandoverError(f"Expected a template within {TEMPLATE_WITHIN_S:g} s.")
        time.sleep(POLL_S)


def connect(address: str) -> _socket.socket | None:
    """Return a connection to the template, None if there is none."""
    connection = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    connection.settimeout(ANSWER_WITHIN_S)
    try:
        connection.connect(address)
    except (FileNotFoundError, ConnectionRefusedError):
        connection.close()
        return None
    return connection


def hand_over(connection: _socket.socket, request: Request) -> bool:
    """Have a worker forked, which goes on once this returns True; False if the template has ended.

    Raises HandoverError or OSError.
    """
    try:
        send_request(connection, request)
        answer = connection.recv(4096)
        if answer == READY:
            connection.sendall(GO)
            return True
    except (BrokenPipeError, ConnectionResetError):
        return False
    finally:
        connection.close()
    if answer:
        raise HandoverError(f"the template refused: {answer[1:].decode(errors='replace')}")
    return False


def take_lock(folder: int, name: str) -> int | None:
    """Return the descriptor of the lock that a living template holds, None if one does."""
    lock = os.open(name, os.O_RDWR | os.O_CREAT, 0o600, dir_fd=folder)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return None
    if not os.fstat(lock).st_nlink:  # the last template has removed it since it was opened
        os.close(lock)
        return None
    return lock


def become_template(folder: int, lock: int, name: str, arguments: list[str]) -> None:
    """Go on as the template, whose first worker is this one; the lock goes along."""
    for descriptor in (folder, lock):
        os.set_inheritable(descriptor, True)
    added = [key for key in SETTINGS if key not in os.environb]
    os.environb.update({key: SETTINGS[key] for key in added})
    told = [str(folder), str(lock), name, b",".join(added).decode()]
    program = [sys.executable, "-m", "actors.template.server", *told, *arguments]
    os.execv(sys.executable, program)


if __name__ == "__main__":
    main()

"""What a launcher hands over to the template: one message, and where the two meet.

Both ends run on one machine, with one Python, as one user. The launcher runs for each worker,
so nothing is imported here but what Python has built in; `socket` itself takes longer to import
than all that is done with it.

    launcher ─ request, and its standard streams ─▶ template
    launcher ◀─ "+" from the child that was forked, or "-" and the reason ─ template
    launcher ─ "!" ─▶ the child, which goes on as the worker; without it the child ends
"""

import _socket
import os
import sys

READY = b"+"
REFUSED = b"-"
GO = b"!"
STREAMS = (0, 1, 2)
ANSWER_WITHIN_S = 15.0
"""How long one end waits for the other."""

_SIZE = 4


class HandoverError(Exception):
    """The hand-over did not come about; whoever has the worker's arguments starts it alone."""


class NotReadyError(Exception):
    """This process cannot be a template; it becomes its worker."""


class Request:
    """A worker to be started: `arguments` (the program first), `environment`, `folder`."""

    __slots__ = ("arguments", "environment", "folder")

    def __init__(
        self, arguments: list[bytes], environment: dict[bytes, bytes], folder: bytes
    ) -> None:
        self.arguments = arguments
        self.environment = environment
        self.folder = folder

    @classmethod
    def of_this_process(cls, arguments: list[str]) -> "Request":
        """Return the request for what this process was to become."""
        encoded = [os.fsencode(item) for item in arguments]
        return cls(encoded, dict(os.environb), os.getcwdb())

    def to_bytes(self) -> bytes:
        """Return the request as bytes, its length first."""
        pairs = [part for item in self.environment.items() for part in item]
        items = [self.folder, str(len(self.arguments)).encode(), *self.arguments, *pairs]
        body = b"".join(_sized(item) for item in items)
        return _sized(body)

    @classmethod
    def from_bytes(cls, body: bytes) -> "Request":
        """Undo `to_bytes` of the bytes behind the length; raises HandoverError."""
        items = []
        at = 0
        while at < len(body):
            end = at + _SIZE + int.from_bytes(body[at : at + _SIZE], "big")
            items.append(body[at + _SIZE : end])
            at = end
        if at != len(body) or len(items) < 2 or not items[1].isdigit():
            raise HandoverError(f"Expected a request, was {len(body)} other bytes.")
        count = int(items[1])
        arguments, pairs = items[2 : 2 + count], items[2 + count :]
        if len(arguments) != count or len(pairs) % 2:
            raise HandoverError(f"Expected a whole request, was {len(items)} parts of one.")
        return cls(arguments, dict(zip(pairs[::2], pairs[1::2], strict=True)), items[0])


def send_request(connection: _socket.socket, request: Request) -> None:
    """Send a request and this process's standard streams."""
    message = request.to_bytes()
    streams = b"".join(number.to_bytes(4, sys.byteorder) for number in STREAMS)
    rights = [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, streams)]
    sent = connection.sendmsg([message], rights)
    while sent < len(message):
        sent += connection.send(message[sent:])


def receive_request(connection: _socket.socket) -> tuple[Request, list[int]]:
    """Receive a request and the streams that came with it; raises HandoverError or OSError."""
    head, ancillary, _, _ = connection.recvmsg(
        _SIZE, _socket.CMSG_SPACE(4 * len(STREAMS)), _socket.MSG_CMSG_CLOEXEC
    )
    streams = []
    for level, kind, data in ancillary:
        if (level, kind) == (_socket.SOL_SOCKET, _socket.SCM_RIGHTS):
            numbers = [data[at : at + 4] for at in range(0, len(data), 4)]
            streams += [int.from_bytes(number, sys.byteorder) for number in numbers]
    try:
        size = int.from_bytes(head + _receive(connection, _SIZE - len(head)), "big")
        request = Request.from_bytes(_receive(connection, size))
        if len(streams) != len(STREAMS):
            raise HandoverError(f"Expected {len(STREAMS)} streams, was {len(streams)}.")
    except BaseException:
        for stream in streams:
            os.close(stream)
        raise
    return request, streams


def _receive(connection: _socket.socket, size: int) -> bytes:
    parts = b""
    while len(parts) < size:
        part = connection.recv(size - len(parts))
        if not part:
            raise HandoverError(f"Expected {size} bytes, was the end after {len(parts)}.")
        parts += part
    return parts


def meeting_folder(arguments: list[str]) -> int:
    """Open the folder of this Ray session's templates, made if it is not there, for this user.

    Returns its descriptor; raises HandoverError where others could put something into it.
    """
    told = dict(item[2:].split("=", 1) for item in arguments if item[:2] == "--" and "=" in item)
    try:
        path = os.path.join(told["temp-dir"], told["session-name"], "templates")
    except KeyError as missing:
        raise HandoverError(f"Expected an argument --{missing.args[0]} from Ray.") from None
    os.makedirs(path, 0o700, exist_ok=True)
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    found = os.fstat(folder)
    if found.st_uid != os.geteuid() or found.st_mode & 0o077:
        os.close(folder)
        raise HandoverError(f"Expected {path} to be this user's alone; remove it.")
    return folder


def meeting_point(folder: int, name: str) -> str:
    """Return a socket's address that is short enough, however long the folder's path is."""
    return f"/proc/self/fd/{folder}/{name}"


def _sized(item: bytes) -> bytes:
    return len(item).to_bytes(_SIZE, "big") + item

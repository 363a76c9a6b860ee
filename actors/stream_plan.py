"""How the streams of a run go: every receiver binds at the address of the node it is on.

On one machine all go through socket files of one private folder. In a cluster a receiver takes a
port of its node, encrypted, and beside it a socket file for the senders that are there as well.
"""

import contextlib
import hashlib
import logging
import os
import shutil
import socket
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from actors.node import is_one_machine, this_address, this_node
from alphaplus.streams import StreamKeys, Transport

if TYPE_CHECKING:  # actors of symbols start without pydantic
    from alphaplus.config import Settings

log = logging.getLogger(__name__)

HOST: Final = "ALPHAPLUS_STREAMS__HOST"
"""Set on a node whose address for streams is not that which Ray has of it."""
FOLDER: Final = "alphaplus-near-"
LEFT_AFTER_S: Final = 3600.0
"""So old is a folder of sockets on which nobody listens when a later run removes it."""


@dataclass(frozen=True, slots=True)
class StreamPlan:
    """What every actor is told of the streams; plain data."""

    directory: Path | None = None
    """Private folder for socket files, where all of the fleet is on one machine."""
    keys: StreamKeys | None = None
    """The fleet's own, where it is not."""
    host: str = ""
    """Address to bind to; empty: that of each node."""
    has_near_way: bool = False
    ports: tuple[int, int] | None = None

    @classmethod
    def from_settings(cls, settings: "Settings", run_directory: Path) -> "StreamPlan":
        """Choose by `streams.transport`, and by the cluster where that is `auto`."""
        streams = settings.streams
        is_auto = streams.transport == "auto"
        if streams.transport == "ipc" or (is_auto and not streams.host and is_one_machine()):
            return cls(directory=run_directory)
        return cls(
            keys=StreamKeys.generate(),
            host=streams.host,
            has_near_way=is_auto,
            ports=streams.port_range,
        )

    def here(self, environ: Mapping[str, str] = os.environ) -> Transport:
        """Return how receivers bind on the node of this process.

        Raises ConfigError if its address is none that peers can connect to.
        """
        if self.keys is None:
            assert self.directory is not None
            return Transport.ipc(self.directory)
        host = environ.get(HOST) or self.host or this_address()
        transport = Transport.tcp(host, self.keys, self.ports)
        if not self.has_near_way:
            return transport
        node = this_node()
        run = hashlib.sha256(f"{self.keys.secret}/{node}".encode()).hexdigest()[:16]
        return transport.with_near_way(node, near_folder(Path(tempfile.gettempdir()), run))


def near_folder(parent: Path, run: str) -> Path:
    """Return the folder of the socket files of a run on a node; whoever comes first makes it.

    Its name cannot be guessed, and `Transport` refuses a folder that another user has made.
    """
    folder = parent / f"{FOLDER}{run}"
    if not folder.exists():
        _remove_left(parent)
        folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def _remove_left(parent: Path) -> None:
    for folder in parent.glob(f"{FOLDER}*"):
        with contextlib.suppress(FileNotFoundError):  # another actor removes it at the same time
            found = folder.stat()
            is_old = time.time() - found.st_mtime > LEFT_AFTER_S
            if found.st_uid == os.geteuid() and is_old and not any(map(_listens, folder.iterdir())):
                shutil.rmtree(folder)
                log.info("removed the sockets that an earlier run has left in %s", folder)


def _listens(file: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        probe.setblocking(False)
        try:
            probe.connect(str(file))
        except ConnectionRefusedError:
            return False
        except BlockingIOError:  # it has more callers than it can take
            return True
    return True

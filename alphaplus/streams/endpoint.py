"""Where a receiver listens, and with which keys: plain data that travels through Ray."""

import ipaddress
import os
import secrets
import stat
import tempfile
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import zmq

from alphaplus.errors import ConfigError

IPC: Final = "ipc://"
MAX_IPC_PATH_BYTES: Final = 100
"""The kernel allows 107 for a unix socket."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The address of one receiver, and its public key where the way is encrypted.

    A receiver that listens both ways has a socket file beside it, for senders on its own node.
    """

    address: str
    server_key: str | None = None
    node: str = ""
    """The node whose senders may take `near`; empty: there is no such way."""
    near: str = ""
    """Address of the socket file on that node."""

    def seen_from(self, node: str) -> "Endpoint":
        """Return the way that a sender on `node` takes: the socket file where it is there too."""
        return Endpoint(self.near) if self.near and self.node == node else self

    def __post_init__(self) -> None:
        if self.address.startswith("tcp://") and self.server_key is None:
            raise ConfigError(
                f"Expected a server key with {self.address}, was none; "
                "tcp streams are always encrypted."
            )
        if not self.address.startswith(("tcp://", "ipc://")):
            raise ConfigError(f"Expected an ipc:// or tcp:// address, was {self.address!r}.")


@dataclass(frozen=True, slots=True)
class StreamKeys:
    """The key pair by which a sender shows that it belongs to the fleet (CURVE, Z85 text)."""

    public: str
    secret: str = field(repr=False)

    @classmethod
    def generate(cls) -> "StreamKeys":
        """Make a new pair; a supervisor does it once and hands it to every actor."""
        public, secret = zmq.curve_keypair()
        return cls(public.decode(), secret.decode())


@dataclass(frozen=True, slots=True)
class Transport:
    """How a receiver binds: to a socket file, to a port of its node, or to both."""

    directory: Path | None = None
    host: str | None = None
    keys: StreamKeys | None = None
    node: str = ""
    """The node that it binds on, where it binds both ways."""
    ports: tuple[int, int] | None = None
    """First and last port to take one of; None: any that the system gives."""

    @classmethod
    def ipc(cls, directory: Path) -> "Transport":
        """Bind to socket files in a private folder (see `make_run_directory`)."""
        return cls(directory=directory)

    @classmethod
    def tcp(cls, host: str, keys: StreamKeys, ports: tuple[int, int] | None = None) -> "Transport":
        """Bind to free ports of the IPv4 address `host`, for peers that know `keys`.

        Raises ConfigError unless `host` is an address that other machines can connect to.
        """
        return cls(host=_checked_host(host), keys=keys, ports=ports)

    def with_near_way(self, node: str, directory: Path) -> "Transport":
        """Bind to a socket file in a private folder as well, for senders on the same node."""
        return replace(self, node=node, directory=directory)

    def new_address(self) -> str:
        """Return an address to bind to for everybody, used by nobody else."""
        return self.new_socket_file() if self.host is None else f"tcp://{self.host}:*"

    def new_near_address(self) -> str:
        """Return an address for senders of the same node; empty where there is no second way."""
        return "" if self.host is None or self.directory is None else self.new_socket_file()

    def new_socket_file(self) -> str:
        """Return the address of a socket file, used by nobody else.

        Raises ConfigError if the folder of sockets is open to others or its path too long.
        """
        assert self.directory is not None
        found = self.directory.stat()
        mode, owner = stat.S_IMODE(found.st_mode), found.st_uid
        if mode & 0o077 or owner != os.geteuid():
            raise ConfigError(
                f"Expected {self.directory} to be private (mode 0700), was {mode:04o} of user "
                f"{owner}; whoever can write there can send to the streams."
            )
        path = str(self.directory / secrets.token_hex(6))
        if len(path.encode()) > MAX_IPC_PATH_BYTES:
            raise ConfigError(
                f"Expected a socket path of at most {MAX_IPC_PATH_BYTES} bytes, was {path!r}; "
                "set TMPDIR to a shorter folder."
            )
        return f"ipc://{path}"


def _checked_host(host: str) -> str:
    try:
        address = ipaddress.IPv4Address(host)
    except ipaddress.AddressValueError as error:
        raise ConfigError(
            f"Expected streams.host to be an IPv4 address, was {host!r}; "
            "give the address of this machine."
        ) from error
    if address.is_unspecified:
        raise ConfigError(
            f"Expected streams.host to be an address that peers can connect to, was {host!r}."
        )
    return host


def make_run_directory(parent: Path | None = None) -> Path:
    """Create the private folder (0700) for the sockets of one run; its maker removes it."""
    return Path(tempfile.mkdtemp(prefix="alphaplus-", dir=parent))

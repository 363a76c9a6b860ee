"""Where a receiver listens, and with which keys: plain data that travels through Ray."""

import ipaddress
import secrets
import stat
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import zmq

from alphaplus.errors import ConfigError

MAX_IPC_PATH_BYTES: Final = 100
"""The kernel allows 107 for a unix socket."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The address of one receiver, and its public key where the way is encrypted."""

    address: str
    server_key: str | None = None

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
    """How the receivers of one run bind: `ipc` on one machine, `tcp` between machines."""

    directory: Path | None = None
    host: str | None = None
    keys: StreamKeys | None = None

    @classmethod
    def ipc(cls, directory: Path) -> "Transport":
        """Bind to socket files in a private folder (see `make_run_directory`)."""
        return cls(directory=directory)

    @classmethod
    def tcp(cls, host: str, keys: StreamKeys) -> "Transport":
        """Bind to free ports of the IPv4 address `host`, for peers that know `keys`.

        Raises ConfigError unless `host` is an address that other machines can connect to.
        """
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
        return cls(host=host, keys=keys)

    def new_address(self) -> str:
        """Return an address to bind to, used by nobody else.

        Raises ConfigError if the folder of sockets is open to others or its path too long.
        """
        if self.directory is None:
            return f"tcp://{self.host}:*"
        mode = self.directory.stat().st_mode
        if stat.S_IMODE(mode) & 0o077:
            raise ConfigError(
                f"Expected {self.directory} to be private (mode 0700), was "
                f"{stat.S_IMODE(mode):04o}; whoever can write there can send to the streams."
            )
        path = str(self.directory / secrets.token_hex(6))
        if len(path.encode()) > MAX_IPC_PATH_BYTES:
            raise ConfigError(
                f"Expected a socket path of at most {MAX_IPC_PATH_BYTES} bytes, was {path!r}; "
                "set TMPDIR to a shorter folder."
            )
        return f"ipc://{path}"


def make_run_directory(parent: Path | None = None) -> Path:
    """Create the private folder (0700) for the sockets of one run; its maker removes it."""
    return Path(tempfile.mkdtemp(prefix="alphaplus-", dir=parent))

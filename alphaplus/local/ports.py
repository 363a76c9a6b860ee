"""Free and occupied TCP ports of this machine."""

import contextlib
import socket

from alphaplus.errors import ConfigError


def free_ports(count: int) -> list[int]:
    """Return ports that were free a moment ago, all different."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for item in sockets:
            item.bind(("127.0.0.1", 0))
        return [item.getsockname()[1] for item in sockets]


def require_free(host: str, port: int, setting: str) -> None:
    """Raise ConfigError if nothing can listen there; `setting` is what to change."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise ConfigError(
                f"Expected {setting} to be an address that is free here, but {host}:{port} "
                f"cannot be used ({error.strerror}); choose another."
            ) from error

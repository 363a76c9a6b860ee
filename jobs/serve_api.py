"""Serve the HTTP API on this cluster until stopped (Ctrl-C or SIGTERM)."""

import argparse
import logging
import signal
import threading
from typing import Any

import ray
from ray import serve

from actors import names
from alphaplus.log import set_up_logging
from jobs.arguments import finish, parser, settings_of
from serve.app import build


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Deploy the API, wait, and take it down."""
    settings = settings_of(arguments)
    set_up_logging(settings.log)
    stop = threading.Event()
    ray.init(namespace=names.NAMESPACE, log_to_driver=False, logging_level=logging.WARNING)
    for number in (signal.SIGTERM, signal.SIGINT):  # after Ray, which sets its own
        signal.signal(number, lambda *_: stop.set())
    try:
        serve.start(http_options={"host": settings.serve.host, "port": settings.serve.port})
        serve.run(build(settings.fleet.stale_after_ms), name="api", route_prefix="/")
        stop.wait()
        serve.shutdown()  # type: ignore[no-untyped-call]
    finally:
        ray.shutdown()
    return {"api": "stopped"}


def main() -> None:
    """Parse the command line and run."""
    finish(run, parser(__doc__.splitlines()[0]).parse_args())


if __name__ == "__main__":
    main()

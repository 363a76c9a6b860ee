"""Run the local venue: python -m alphaplus.venue --source generated --symbols 10."""

import argparse
import asyncio
import gc
import json
import logging
import os
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from alphaplus.errors import AlphaPlusError, ConfigError
from alphaplus.venue.capture_source import CaptureSource
from alphaplus.venue.control import FASTEST
from alphaplus.venue.fault_schedule import PlannedFault, plan_faults, read_rates
from alphaplus.venue.generated_source import GeneratedSource
from alphaplus.venue.recording import read_recording
from alphaplus.venue.server import VenueServer
from alphaplus.venue.simulated_time import SimulatedTimeSource
from alphaplus.venue.source import Source
from alphaplus.venue.split_recording import split_recording

log = logging.getLogger(__name__)


def main(arguments: list[str] | None = None) -> int:
    """Run until stopped; 0 after a stop on request, 1 after a failure, 2 if it cannot start.

    The first line on stdout is {"url": ...}, or {"error": ...}; the log goes to stderr.
    """
    logging.basicConfig(
        stream=sys.stderr, level=logging.INFO, format="%(asctime)s venue %(levelname)s %(message)s"
    )
    try:
        options = _parser().parse_args(arguments)
        _check(options)
        source = _source(options)
        gc.freeze()  # a recording is a few hundred thousand objects that never become garbage
        return asyncio.run(_serve(source, options))
    except AlphaPlusError as error:
        print(json.dumps({"error": str(error)}), flush=True)
        print(f"alphaplus.venue: {error}", file=sys.stderr)
        return 2


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> None:  # type: ignore[override]
        raise ConfigError(f"{message[:1].upper()}{message[1:]}; see --help.")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="python -m alphaplus.venue", description=__doc__)
    parser.add_argument("--source", choices=("generated", "capture"), default="generated")
    parser.add_argument("--capture", type=Path, metavar="FILE", help="a .raw.gz recording")
    parser.add_argument(
        "--message-levels",
        type=int,
        metavar="N",
        help="cut a recording's depth messages to N levels, and play nothing else of it",
    )
    parser.add_argument("--symbols", type=int, default=10, metavar="N")
    parser.add_argument("--speed", type=float, default=1.0, help="market seconds per second")
    parser.add_argument("--seed", type=int, default=7, help="of the generated market")
    parser.add_argument(
        "--begins-at",
        type=int,
        metavar="MS",
        help="stamp a generated market's messages with its own time, from this one on",
    )
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0: any free port")
    parser.add_argument(
        "--fault", action="append", default=[], metavar="KIND=RATE", help="faults a minute"
    )
    parser.add_argument("--fault-seed", type=int, default=7)
    parser.add_argument("--fault-start-s", type=float, default=0.0, metavar="S")
    parser.add_argument("--fault-length-s", type=float, default=600.0, metavar="S")
    parser.add_argument(
        "--exit-with-parent",
        action="store_true",
        help="end when stdin ends, and only then: signals are ignored",
    )
    return parser


def _check(options: argparse.Namespace) -> None:
    if not 0 < options.speed <= FASTEST:
        raise ConfigError(f"Expected --speed above 0 and at most {FASTEST}, was {options.speed}.")
    if not 0 <= options.port <= 65_535:
        raise ConfigError(f"Expected --port from 0 to 65535, was {options.port}.")
    if options.seed < 0:
        raise ConfigError(f"Expected --seed of 0 or more, was {options.seed}.")
    if options.source == "capture" and options.capture is None:
        raise ConfigError("Expected --capture FILE with --source capture, was none.")
    if options.message_levels is not None and options.message_levels < 1:
        raise ConfigError(f"Expected --message-levels of 1 or more, was {options.message_levels}.")
    if options.begins_at is not None and (options.source != "generated" or options.begins_at < 0):
        raise ConfigError(
            "Expected --begins-at of 0 or more with --source generated, "
            f"was {options.begins_at} with {options.source}."
        )
    if options.source == "generated" and options.message_levels is not None:
        raise ConfigError("Expected --source capture with --message-levels, was generated.")
    if options.source == "generated" and options.capture is not None:
        raise ConfigError("Expected --source capture with --capture FILE, was generated.")


def _source(options: argparse.Namespace) -> Source:
    if options.begins_at is not None:
        return SimulatedTimeSource(options.symbols, options.seed, options.begins_at * 1_000_000)
    if options.source == "generated":
        return GeneratedSource(options.symbols, options.seed)
    recording = read_recording(options.capture)
    if recording.ignored:
        log.info("%d lines of %s are of no stream played", recording.ignored, options.capture)
    if options.message_levels is not None:
        recording = split_recording(recording, options.message_levels)
    return CaptureSource(recording, options.symbols)


def _planned(source: Source, options: argparse.Namespace) -> Sequence[PlannedFault]:
    rates = dict(item.partition("=")[::2] for item in options.fault)
    return plan_faults(
        seed=options.fault_seed,
        symbols=[listing.symbol for listing in source.listings],
        start_s=options.fault_start_s,
        length_s=options.fault_length_s,
        per_minute=read_rates(rates),
    )


async def _serve(source: Source, options: argparse.Namespace) -> int:
    planned = _planned(source, options)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        if options.exit_with_parent:
            signal.signal(number, signal.SIG_IGN)
        else:
            loop.add_signal_handler(number, stop.set)
    if options.exit_with_parent:
        # A thread, since epoll takes neither /dev/null nor a file, and stdin may be either.
        threading.Thread(target=_wait_for_stdin, args=(loop, stop), daemon=True).start()
    server = VenueServer(source, speed=options.speed)
    await server.start(options.host, options.port)
    server.follow(planned)
    print(json.dumps({"url": server.url}), flush=True)
    pump = asyncio.create_task(server.run())
    stopped = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait((pump, stopped), return_when=asyncio.FIRST_COMPLETED)
        if pump.done():
            log.error("the market stopped", exc_info=pump.exception())
            return 1
        return 0
    finally:
        pump.cancel()
        stopped.cancel()
        await server.stop()


def _wait_for_stdin(loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
    while os.read(0, 4096):
        pass
    loop.call_soon_threadsafe(stop.set)


if __name__ == "__main__":
    sys.exit(main())

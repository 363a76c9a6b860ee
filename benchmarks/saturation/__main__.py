"""How much a fleet takes, and how soon it is calm again after a burst.

    python -m benchmarks.saturation --json [--capture FILE] [--symbols 40] [--seconds 5]
        [--parts one_level,recorded,burst] [--base 250]

The local venue, Ray, the database and the fleet share this machine. The venue plays a recording
faster than can be taken and waits for its readers, so what is measured is what the whole way
carries: venue, ccxt's transport, decoder, streams, book and all measures. Three parts:

one_level   each depth message cut into messages of one level that lead to the same book; a
            quarter of the symbols, as each has 68 times the messages
recorded    messages as recorded, 68 levels in the mean
burst       ten seconds at ten times `--base` messages/s, the venue waiting for no one: seconds
            until the 99th percentile of a window of a second is below 10 ms again, for three of
            them, and no more than a tenth of a second of messages is on its way. The
            default base is calm, the burst more than can be carried calmly

Latency is from the socket to the published analysis. `waiting` counts messages that the venue
has sent and whose analysis is not there, wherever they are. Rows are stored each second, not
for each level. Prints one JSON line per part, and one object at the end with what met its target;
exit code 1 if a part failed or lost something.
"""

import argparse
import json
import os
import secrets
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from alphaplus.errors import AlphaPlusError

CAPTURE: Final = "captures/binance_usdm_btcusdt_20240808.raw.gz"
RAY: Final = {
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # loopback stays loopback, as where Ray is started
    "RAY_ENABLE_AUTO_CONNECT": "0",
    "RAY_AUTH_MODE": "token",
}
"""What Ray reads when it is imported."""
PARTS: Final = ("one_level", "recorded", "burst")
HOPED_PER_S: Final = {"one_level": 10_000.0, "recorded": 2_000.0}
OFFERED_PER_S: Final = {"one_level": 300_000.0, "recorded": 30_000.0}
"""More than can be taken, so that the venue waits for its readers."""
FACTOR: Final = 10.0
BASE_PER_S: Final = 250.0
"""A load that is calm, and ten times of which is not."""
RECOVERED_WITHIN_S: Final = 5.0


def main() -> None:
    """Run the parts and print what was found."""
    options = _options()
    os.environ |= {**RAY, "RAY_AUTH_TOKEN": secrets.token_hex(16)}
    found: dict[str, Any] = {}
    for part in options.parts:
        found[part] = _attempt(options, part)
        print(json.dumps({"part": part, **found[part]}), flush=True)
    print(json.dumps(_report(options, found)))
    sys.exit(not is_right(found))


def is_right(found: dict[str, Any]) -> bool:
    """Say whether every part ran, lost nothing and came back."""
    return all(
        "failed" not in part
        and not any(part[name] for name in ("gaps", "dropped_events", "slow_clients"))
        and part.get("recovered_after_s", 0.0) is not None
        for part in found.values()
    )


def _attempt(options: argparse.Namespace, part: str) -> dict[str, Any]:
    """Run a part on a fleet of its own; one that fails is told with its reason."""
    from benchmarks.saturation.run import Market, depth_rate, fleet_of  # as it imports Ray

    levels = 1 if part == "one_level" else None
    symbols = -(-options.symbols // 4) if part == "one_level" else options.symbols
    _say(f"{part}: starting")
    try:
        rate = depth_rate(options.capture, levels)
        market = Market(capture=options.capture, symbols=symbols, levels=levels, rate=rate)
        with fleet_of(market) as fleet:
            _say(f"{part}: running")
            if part != "burst":
                return fleet.saturate(OFFERED_PER_S[part], options.seconds)
            return fleet.burst(options.base, FACTOR)
    except (AlphaPlusError, OSError, AssertionError) as error:
        return {"failed": str(error) or repr(error)}


def _report(options: argparse.Namespace, found: dict[str, Any]) -> dict[str, Any]:
    return {
        "benchmark": "saturation",
        "symbols": options.symbols,
        "cpus": os.cpu_count(),
        "targets": {
            **{f"{part}_messages_per_s": rate for part, rate in HOPED_PER_S.items()},
            "recovered_within_s": RECOVERED_WITHIN_S,
        },
        "met": met(found),
        **found,
    }


def met(found: dict[str, Any]) -> dict[str, bool]:
    """Return, for each part that was measured, whether it reached its target."""
    verdicts = {
        part: found[part]["messages_per_s"] >= rate
        for part, rate in HOPED_PER_S.items()
        if "messages_per_s" in found.get(part, {})
    }
    if "recovered_after_s" in found.get("burst", {}):
        after = found["burst"]["recovered_after_s"]
        verdicts["burst"] = after is not None and after <= RECOVERED_WITHIN_S
    return verdicts


def _sayer() -> Callable[[str], None]:
    began = time.monotonic()

    def say(text: str) -> None:
        print(f"{time.monotonic() - began:6.1f} s  {text}", file=sys.stderr, flush=True)

    return say


_say: Final = _sayer()


def _options() -> argparse.Namespace:
    data = Path(os.environ.get("ALPHAPLUS_DATA", "../shared/data"))
    summary, _, usage = (__doc__ or "").partition("\n")
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.saturation",
        description=summary,
        epilog=usage,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--capture", type=Path, default=data / CAPTURE)
    parser.add_argument("--symbols", type=int, default=40)
    parser.add_argument("--seconds", type=float, default=5.0, help="of each saturated part")
    parser.add_argument(
        "--base", type=float, default=BASE_PER_S, help="messages/s about the burst, all symbols"
    )
    parser.add_argument("--parts", type=_parts, default=PARTS, help="with commas")
    parser.add_argument("--json", action="store_true", help="JSON, which is all there is")
    options = parser.parse_args()
    if not options.capture.is_file():
        parser.error(f"{options.capture} is no recording; name one")
    if not 1 <= options.symbols <= 200 or options.seconds < 1 or options.base <= 0:
        parser.error("expected --symbols from 1 to 200, --seconds from 1 on, --base above 0")
    options.capture = options.capture.absolute()
    return options


def _parts(text: str) -> tuple[str, ...]:
    wanted = text.split(",")
    unknown = [part for part in wanted if part not in PARTS]
    if unknown:
        raise argparse.ArgumentTypeError(
            f"Expected parts among {', '.join(PARTS)}, was {unknown[0]!r}."
        )
    return tuple(part for part in PARTS if part in wanted)


if __name__ == "__main__":
    main()

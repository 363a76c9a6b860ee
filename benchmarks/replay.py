"""How fast a recording goes through decoder, sequence, book, audit and measures.

python -m benchmarks.replay [--capture FILE] [--batch 1000] [--runs 5] [--json]
"""

import argparse
import json
import os
import statistics
import sys
from pathlib import Path

from alphaplus.feeds.replay import replay

DEFAULT = "captures/binance_usdm_btcusdt_20240808.raw.gz"


def main() -> None:
    """Measure each batch size `--runs` times; the median counts."""
    data = Path(os.environ.get("ALPHAPLUS_DATA", "../shared/data"))
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--capture", type=Path, default=data / DEFAULT)
    parser.add_argument("--batch", type=int, nargs="*", default=[1, 10, 1000])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if not options.capture.exists():
        sys.exit(f"There is no recording {options.capture}; name one with --capture.")
    replay(options.capture)  # compiled kernels are loaded, not counted
    rows = []
    for batch in options.batch:
        reports = [replay(options.capture, batch=batch) for _ in range(options.runs)]
        rows.append(
            {
                "batch": batch,
                "messages": reports[0].messages,
                "level_updates": reports[0].level_updates,
                "messages_per_s": round(statistics.median(r.messages_per_s for r in reports)),
                "slowest": round(min(r.messages_per_s for r in reports)),
                "fastest": round(max(r.messages_per_s for r in reports)),
            }
        )
    if options.json:
        print(json.dumps({"capture": options.capture.name, "runs": options.runs, "rows": rows}))
        return
    for row in rows:
        print(
            f"batch {row['batch']:>5}: {row['messages_per_s']:>9,} messages/s "
            f"({row['slowest']:,} to {row['fastest']:,})"
        )


if __name__ == "__main__":
    main()

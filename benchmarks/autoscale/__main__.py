"""A cluster grows with the fleet and shrinks with it: Ray's real autoscaler on one machine.

    python -m benchmarks.autoscale --json [--symbols 12] [--per-node 4] [--max-workers 4]

A head without CPUs, worker nodes with room for `--per-node` symbols each, which the autoscaler
starts and ends. A fleet of two symbols starts where there is no worker yet; symbols are added
until there are `--symbols`; a node is killed with all that runs on it; more symbols are added than
the largest cluster has room for; symbols are removed until one node is enough. At every stage each
book is compared with the venue's, and at the end every row that the store has acknowledged with
the database.

Exit code 0 if nodes came and went, books were right throughout and nothing was lost, 1 otherwise.
"""

import argparse
import json
import os
import sys

from benchmarks.chaos.__main__ import RAY
from benchmarks.own_output import own_output


def main() -> None:
    """Run once and print what was found."""
    summary, _, usage = (__doc__ or "").partition("\n")
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.autoscale",
        description=summary,
        epilog=usage,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--json", action="store_true", help="one line of JSON")
    parser.add_argument("--symbols", type=int, default=12, help="at the first full stage")
    parser.add_argument("--per-node", type=int, default=4, help="symbols that fill a worker")
    parser.add_argument("--max-workers", type=int, default=4)
    options = parser.parse_args()
    os.environ |= {**RAY, "RAY_AUTH_MODE": "disabled"}
    from benchmarks.autoscale.run import Plan, is_right, run  # only now, as it imports Ray

    plan = Plan(symbols=options.symbols, per_node=options.per_node, max_workers=options.max_workers)
    if plan.symbols >= plan.room or plan.symbols <= plan.per_node:
        parser.error(
            f"Expected --symbols between {plan.per_node} and {plan.room} (what one worker and all "
            f"workers have room for), was {plan.symbols}."
        )
    out = own_output()  # Ray prints what it has to say of dead nodes
    found = run(plan)
    print(json.dumps(found, indent=None if options.json else 2), file=out, flush=True)
    sys.exit(0 if is_right(found) else 1)


if __name__ == "__main__":
    main()

"""How many calls Ray carries, by the metrics that each node exposes to Prometheus.

Counted is `ray_tasks` in the state FINISHED as its callers tell it: every actor call and task
that has ended, those of Serve, jobs and health checks included. What the streams carry is no
call. Ray tells the counts every ten seconds, so a rate over a minute is good to a sixth.
"""

import json
import logging
import re
import urllib.request
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Final

log = logging.getLogger(__name__)

TARGETS: Final = "prom_metrics_service_discovery.json"
"""Ray's own list of metrics addresses, in its temporary folder."""
TIMEOUT_S: Final = 10.0
_COUNT: Final = re.compile(r"^ray_tasks\{(?P<labels>.*)\} (?P<value>\S+)$", re.MULTILINE)
_NAME: Final = re.compile(r'(?:^|,)Name="([^"]*)"')


def finished_calls(text: str) -> dict[str, float]:
    """Return ended calls by the class that was called, from one page of metrics.

    >>> finished_calls('ray_tasks{Name="Feed.ready",Source="owner",State="FINISHED"} 3.0')
    {'Feed': 3.0}
    """
    found: dict[str, float] = defaultdict(float)
    for match in _COUNT.finditer(text):
        labels = match["labels"]
        name = _NAME.search(labels)
        if name and 'State="FINISHED"' in labels and 'Source="owner"' in labels:
            # an actor is made by a call of its name and class: symbols:0:SymbolHost.__init__
            called = name[1].rpartition(".")[0].rpartition(":")[2] or "tasks"
            found[called] += float(match["value"])
    return dict(found)


def read_calls(ray_folder: Path | None) -> dict[str, float] | None:
    """Return ended calls of a whole cluster by class; None where its metrics are not told."""
    if ray_folder is None:
        return None
    total: dict[str, float] = defaultdict(float)
    try:
        targets = json.loads((ray_folder / TARGETS).read_text())
        for address in (item for group in targets for item in group["targets"]):
            with urllib.request.urlopen(f"http://{address}/metrics", timeout=TIMEOUT_S) as page:
                for called, count in finished_calls(page.read().decode()).items():
                    total[called] += count
    except (OSError, ValueError) as error:
        log.warning("Ray's calls are not counted: %s", error)
        return None
    return dict(total)


def calls_per_s(
    before: Mapping[str, float] | None, after: Mapping[str, float] | None, seconds: float
) -> dict[str, float] | None:
    """Return calls a second by class between two readings; None if either is missing.

    A caller that died takes its count along, so a count may fall: it then counts as none.
    """
    if before is None or after is None:
        return None
    grown = {name: max(count - before.get(name, 0.0), 0.0) for name, count in after.items()}
    return {name: round(count / seconds, 2) for name, count in sorted(grown.items()) if count}

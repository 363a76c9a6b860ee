"""Readings of the board, as metrics of Ray: counters grow by what is new, gauges are set anew."""

import math
from collections.abc import Callable, Iterable

from ray.util.metrics import Counter, Gauge

from actors.metric_readings import Reading
from actors.metric_table import METRICS, Metric

Instrument = Callable[[float, dict[str, str]], None]
"""Adds to a counter or sets a gauge, with its labels."""


class FleetMetrics:
    """All metrics of the table; `export` is to be called once per tick by one thread.

    Ray's gauges are gone with the scrape unless they are set again, so each call sets all that
    are known. A total that fell belongs to a new life of its actor and is added whole.
    """

    def __init__(self, make: Callable[[Metric], Instrument] | None = None) -> None:
        """`make` takes the place of Ray's metrics."""
        instrument = make or ray_metric
        by_labels: dict[tuple[str, ...], list[tuple[Metric, Instrument]]] = {}
        for metric in METRICS:
            by_labels.setdefault(metric.labels, []).append((metric, instrument(metric)))
        self._by_labels = by_labels
        self._totals: dict[tuple[str, str], float] = {}

    def export(self, readings: Iterable[Reading]) -> None:
        """Tell Ray everything that is known."""
        for reading in readings:
            labels = dict(reading.labels)
            for metric, tell in self._by_labels[tuple(reading.labels)]:
                value = reading.values.get(metric.source)
                if value is None or not math.isfinite(value):
                    continue
                if metric.kind == "gauge":
                    tell(float(value), labels)
                elif (grown := self._grown(metric.name, reading.origin, float(value))) > 0:
                    tell(grown, labels)

    def _grown(self, name: str, origin: str, total: float) -> float:
        before = self._totals.get((name, origin), 0.0)
        self._totals[name, origin] = total
        return total - before if total >= before else total


def ray_metric(metric: Metric) -> Instrument:
    """Return a metric of Ray's, in this process."""
    if metric.kind == "counter":
        inc: Instrument = Counter(metric.name, description=metric.help, tag_keys=metric.labels).inc
        return inc
    put: Instrument = Gauge(metric.name, description=metric.help, tag_keys=metric.labels).set
    return put

"""What all processes of a fleet are told alike by their environment: how they log and measure.

The job gives the supervisor these variables as its runtime environment. Ray hands it on to every
actor that the supervisor creates, and to those that it starts again.
"""

import logging
import os
import sys
from collections.abc import Mapping
from typing import Final

from alphaplus.log import JsonFormatter

LOG_FORMAT: Final = "ALPHAPLUS_LOG__FORMAT"
METRICS_ENABLED: Final = "ALPHAPLUS_METRICS__ENABLED"
METRICS_INTERVAL: Final = "ALPHAPLUS_METRICS__INTERVAL_S"
VARIABLES: Final = (LOG_FORMAT, METRICS_ENABLED, METRICS_INTERVAL)
INTERVAL_S: Final = 5.0


def fleet_environment(settings_environment: Mapping[str, str]) -> dict[str, str]:
    """Return those variables of settings (`alphaplus.config.settings_environment`) that all
    processes need; none of them is a secret."""
    return {name: settings_environment[name] for name in VARIABLES if name in settings_environment}


def metrics_interval_s(environ: Mapping[str, str] = os.environ) -> float | None:
    """Return how often metrics are told, None: not at all."""
    if environ.get(METRICS_ENABLED, "True").lower() != "true":
        return None
    return float(environ.get(METRICS_INTERVAL, INTERVAL_S))


def set_up_actor_logging(level: str, environ: Mapping[str, str] = os.environ, **ids: str) -> None:
    """Log to the actor's standard error, which Ray keeps, with its ids if it is to be JSON."""
    logging.basicConfig(level=level)
    if environ.get(LOG_FORMAT) != "json":
        return
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter(ids))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)

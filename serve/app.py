"""The HTTP API: a FastAPI application, and the Ray Serve deployment that runs it.

serve run serve.app:app --working-dir .        development
serve deploy serve/config.yaml                 production, the code being in the image
serve.run(build(stale_after_ms=...))           from a program, see jobs
"""

import time
from collections.abc import Callable
from typing import Final

from fastapi import FastAPI
from ray import serve
from ray.serve import Application
from ray.serve.config import BackpressureConfig
from ray.serve.schema import LoggingConfig

from alphaplus.config import Fleet as FleetSettings
from alphaplus.config import load_settings
from serve import problems
from serve.deps import Fleet, FleetView
from serve.fleet import RayFleet
from serve.guard import Guard
from serve.history_view import HistoryView
from serve.routes import fleet as fleet_routes
from serve.routes import (
    fleet_symbols,
    history,
    leverage,
    liquidations,
    measures,
    pages,
    portfolio,
    portfolios,
    risk,
    stress,
    symbols,
)

MAX_REQUESTS: Final = 128
"""Requests that a replica works on at once; more get a 429 problem."""

MAX_ONGOING: Final = 1000
"""Requests that Serve hands to a replica at once. Far above `MAX_REQUESTS`, since refusals of
our own are immediate and problems, while requests that wait in Serve's queue under load were
measured to stall for tens of seconds, and its refusals are plain text."""

MAX_QUEUED: Final = 256
"""Requests that wait in the proxy; past it Serve itself answers 429."""

API_VERSION: Final = "1"

MAX_BODY_BYTES: Final = 1_000_000
"""1000 positions take a fifth of it."""


def create_app(
    fleet: Fleet,
    *,
    stale_after_ms: float = FleetSettings().stale_after_ms,
    now_ns: Callable[[], int] = time.time_ns,
    max_requests: int = MAX_REQUESTS,
    dsn: str | None = None,
) -> FastAPI:
    """Return the application that answers from `fleet`; history is read at `dsn`, if it is set."""
    app = FastAPI(
        title="AlphaPlus",
        version=API_VERSION,
        summary="Order books, liquidity and leverage risk of crypto perpetual futures.",
        description="Every answer carries `ts_event`, `ts_recv`, `age_ms` and `stale`; "
        "errors are RFC 9457 problems.",
        docs_url=None,  # FastAPI's own page loads its scripts from the internet
        redoc_url=None,
        redirect_slashes=False,  # a redirect would repeat the Host header of the request
    )
    app.state.view = FleetView(fleet=fleet, stale_after_ms=stale_after_ms, now_ns=now_ns)
    app.state.history = HistoryView(app.state.view, dsn)
    problems.install(app)
    for routes in (
        symbols,
        measures,
        liquidations,
        leverage,
        portfolio,
        portfolios,
        risk,
        stress,
        history,
        fleet_routes,
        fleet_symbols,
    ):
        app.include_router(routes.router)
    pages.install(app)
    app.add_middleware(Guard, max_requests=max_requests, max_body_bytes=MAX_BODY_BYTES)
    return app


class Api:
    """A replica: builds its application where it runs, as actor handles do not travel.

    `stale_after_ms` unset is read from the settings of the replica's node.
    """

    def __init__(self, stale_after_ms: float | None = None) -> None:
        settings = load_settings()
        self._stale_after_ms = stale_after_ms or settings.fleet.stale_after_ms
        dsn = settings.storage.dsn
        self._dsn = None if dsn is None else dsn.get_secret_value()

    def __serve_build_asgi_app__(self) -> FastAPI:
        return create_app(RayFleet(), stale_after_ms=self._stale_after_ms, dsn=self._dsn)


# One replica: on a small machine more of them only take turns. config.yaml scales out.
deployment = serve.deployment(
    ray_actor_options={"num_cpus": 0.1},
    max_ongoing_requests=MAX_ONGOING,
    max_queued_requests=MAX_QUEUED,
    backpressure_config=BackpressureConfig(
        status_code=429, retry_after_s=float(problems.RETRY_AFTER_S)
    ),
    graceful_shutdown_timeout_s=5.0,
    logging_config=LoggingConfig(enable_access_log=False),  # an open page asks every second
)(serve.ingress()(Api))


def build(stale_after_ms: float | None = None) -> Application:
    """Return the application for `serve.run`."""
    return deployment.bind(stale_after_ms)


app = build()

"""A real Ray cluster of this test run, a real database, and fleets on them."""

import asyncio
import itertools
import json
import shutil
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import ray
from ray import serve

from actors import names
from actors.environment import fleet_environment
from actors.node import stay_here
from actors.supervisor import SupervisorActor
from alphaplus.config import load_settings, settings_environment
from alphaplus.storage.migrations import migrate
from alphaplus.storage.postgres import EmbeddedPostgres
from alphaplus.streams import make_run_directory
from alphaplus.venue.process import VenueProcess
from serve.app import build
from tests.waiting import until

_NUMBERS = itertools.count()


@pytest.fixture(scope="session")
def database_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An embedded server whose database `alphaplus` has the schema, and nothing else."""
    server = EmbeddedPostgres(tmp_path_factory.mktemp("pg"))
    dsn = server.start()
    asyncio.run(migrate(dsn))
    yield dsn
    server.stop()


@pytest.fixture(scope="module")
def database(database_server: str) -> Iterator[str]:
    """A database of the module's own: a fleet takes up what it finds."""
    with own_database(database_server) as dsn:
        yield dsn


@contextmanager
def own_database(server: str) -> Iterator[str]:
    """A fresh copy of the schema."""
    name = f"fleet_{next(_NUMBERS)}"
    admin = server.replace("@/alphaplus?", "@/postgres?")
    asyncio.run(_execute(admin, f"CREATE DATABASE {name} TEMPLATE alphaplus"))
    yield server.replace("@/alphaplus?", f"@/{name}?")
    asyncio.run(_execute(admin, f"DROP DATABASE {name} WITH (FORCE)"))


async def _execute(dsn: str, statement: str) -> None:
    connection = await asyncpg.connect(dsn)
    await connection.execute(statement)
    await connection.close()


@dataclass(slots=True)
class Fleet:
    """A running fleet and its venue, as a test asks them."""

    supervisor: Any
    venue_url: str
    symbols: list[str]
    report: dict[str, Any] | None = None

    def book(self, symbol: str, depth: int = 1000) -> dict[str, Any]:
        return dict(ray.get(names.symbol(symbol).book.remote(None, depth)))

    def summary(self, symbol: str) -> dict[str, Any]:
        return dict(ray.get(names.symbol(symbol).summary.remote()))

    def stats(self) -> dict[str, Any]:
        return dict(ray.get(self.supervisor.stats.remote()))

    def venue(self, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        return get_json(self.venue_url + path, body)

    def drain(self) -> dict[str, Any]:
        if self.report is None:
            self.report = ray.get(self.supervisor.drain.remote(), timeout=60)
        return self.report


def get_json(url: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    """GET, or POST `body`, and return the answer."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data=data, headers={"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return dict(json.load(answer))


@contextmanager
def served(url: str) -> Iterator[None]:
    """Serve the API at `url` on this run's cluster."""
    serve.start(http_options={"host": "127.0.0.1", "port": int(url.rpartition(":")[2])})
    try:
        serve.run(build(60_000.0), name="api", route_prefix="/")
        yield
    finally:
        serve.shutdown()


@contextmanager
def private_folder() -> Iterator[Path]:
    """A folder for sockets, with a path that is short enough for them."""
    folder = make_run_directory()
    yield folder
    shutil.rmtree(folder)


@contextmanager
def running_fleet(
    dsn: str, data_dir: Path, venue_arguments: list[str], **sections: dict[str, Any]
) -> Iterator[Fleet]:
    """Start a fleet on a venue of its own; both are ended whatever happens."""
    settings = load_settings(None, {"storage": {"data_dir": data_dir}, **sections}, {})
    with VenueProcess(venue_arguments) as venue, private_folder() as sockets:
        told = fleet_environment(settings_environment(settings))
        options = {
            "name": names.SUPERVISOR,
            "namespace": names.NAMESPACE,
            "num_cpus": 0.01,
            "max_concurrency": 32,
            "runtime_env": {"env_vars": told} if told else None,
        }
        supervisor = SupervisorActor.options(**stay_here(options)).remote(
            settings, dsn, venue.url, sockets
        )
        fleet = Fleet(supervisor, venue.url, [])
        try:
            fleet.symbols = ray.get(supervisor.start.remote(), timeout=120)["symbols"]
            yield fleet
            fleet.drain()
        finally:
            ray.kill(supervisor)
            until(lambda: not _alive())


def _alive() -> list[str]:
    found = ray.util.list_named_actors(all_namespaces=True)
    return [item["name"] for item in found if item["namespace"] == names.NAMESPACE]

"""Fixtures that tests of every folder share."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

# A busy machine is no failure: examples are bounded by number, not by time.
settings.register_profile("alphaplus", deadline=None)
settings.load_profile("alphaplus")

REPOSITORY = Path(__file__).resolve().parent.parent


def find_data_dir() -> Path:
    """Return the folder of shared recordings; skip the test where it is absent."""
    configured = os.environ.get("ALPHAPLUS_DATA")
    folder = Path(configured) if configured else REPOSITORY.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"no recordings: {folder} is not a folder (set ALPHAPLUS_DATA to it)")
    return folder


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of shared recordings, from ALPHAPLUS_DATA or beside the repository."""
    return find_data_dir()


@pytest.fixture(scope="session")
def cluster() -> Iterator[None]:
    """A local Ray, started for this run and ended with it."""
    import ray  # only where it is asked for: it takes a second

    ray.init(
        address="local",  # and not one that another program has left or runs
        num_cpus=2,
        namespace="alphaplus",
        include_dashboard=False,
        log_to_driver=False,
        object_store_memory=100_000_000,
        runtime_env={"env_vars": {"PYTHONPATH": str(REPOSITORY)}},
    )
    yield
    ray.shutdown()

"""Scores, advice and value at risk follow a market that moves; nothing is timed, all is bounded."""

from typing import Any

import pytest

from benchmarks.follow import DIRECTIONS, follow
from tests.fleet.conftest import Fleet, running_fleet, until

pytestmark = pytest.mark.ray

PATIENCE_S = 150.0
"""For the first history, tiers and model; the move and the liquidation have bounds of their own."""


@pytest.fixture(scope="module")
def fleet(cluster: None, database: str, tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("follow")
    with running_fleet(database, folder, ["--symbols=2", "--seed=23"]) as running:
        until(lambda: all(not running.summary(s)["stale"] for s in running.symbols))
        yield running


def test_risk_follows_and_the_account_goes_where_the_portfolio_said(fleet: Fleet) -> None:
    found = follow(fleet.venue_url, PATIENCE_S)
    print(found)
    assert found["missing"] == {}
    assert found["liquidated_where_said"] is True
    delays = found["seconds_until_followed"]
    assert set(delays) == set(DIRECTIONS) - {"venue_mark"}
    assert None not in delays.values(), "each value left its calm range in the right direction"

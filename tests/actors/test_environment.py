"""What the environment tells an actor: JSON logs with its ids, and how often metrics are told."""

import json
import logging

import pytest

from actors.environment import (
    INTERVAL_S,
    VARIABLES,
    fleet_environment,
    metrics_interval_s,
    set_up_actor_logging,
)
from alphaplus.config import SECRETS, Metrics, load_settings, settings_environment


@pytest.fixture(autouse=True)
def root():
    """The root logger; its handlers and level are put back."""
    logger = logging.getLogger()
    handlers, level = list(logger.handlers), logger.level
    yield logger
    logger.handlers[:] = handlers
    logger.setLevel(level)


def lines(capsys):
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_settings_travel_and_secrets_do_not():
    flags = {
        "log": {"format": "json"},
        "metrics": {"enabled": False},
        "storage": {"dsn": "postgresql://u:secret@h/d"},
        "feeds": {"api_key": "key"},
    }
    told = fleet_environment(settings_environment(load_settings(None, flags, {})))
    assert told == {"ALPHAPLUS_LOG__FORMAT": "json", "ALPHAPLUS_METRICS__ENABLED": "False"}
    assert fleet_environment(settings_environment(load_settings(None, {}, {}))) == {}
    secret = {f"ALPHAPLUS_{section}__{field}".upper() for section, field in SECRETS}
    assert secret.isdisjoint(VARIABLES)


@pytest.mark.parametrize("enabled", [True, False])
@pytest.mark.parametrize("interval_s", [0.5, 5.0, 10.0])
def test_an_actor_reads_what_the_settings_say(enabled, interval_s):
    flags = {"metrics": {"enabled": enabled, "interval_s": interval_s}}
    told = fleet_environment(settings_environment(load_settings(None, flags, {})))
    assert metrics_interval_s(told) == (interval_s if enabled else None)


def test_the_default_is_that_of_the_settings():
    assert metrics_interval_s({}) == INTERVAL_S == Metrics().interval_s
    assert metrics_interval_s({"ALPHAPLUS_METRICS__ENABLED": "true"}) == INTERVAL_S


def test_json_lines_carry_the_ids(capsys):
    environ = {"ALPHAPLUS_LOG__FORMAT": "json"}
    set_up_actor_logging("INFO", environ, actor="feed:binance:0", exchange="binance")
    log = logging.getLogger("actors.feed")
    log.warning("lost %s", "it", extra={"symbol": "BTC-USDT-PERP"})
    log.info("of nobody")
    first, second = lines(capsys)
    assert first["message"] == "lost it"
    assert first["level"] == "WARNING"
    assert (first["actor"], first["exchange"]) == ("feed:binance:0", "binance")
    assert first["symbol"] == "BTC-USDT-PERP"
    assert "symbol" not in second
    assert first["time"].endswith("Z")


def test_a_traceback_is_in_its_line(capsys):
    set_up_actor_logging("INFO", {"ALPHAPLUS_LOG__FORMAT": "json"}, actor="portfolio:main")
    try:
        raise ValueError("of a test")
    except ValueError:
        logging.getLogger("actors").exception("failed")
    (line,) = lines(capsys)
    assert "ValueError: of a test" in line["traceback"]
    assert line["actor"] == "portfolio:main"


def test_text_leaves_the_handlers_alone(root):
    before = list(root.handlers)
    set_up_actor_logging("INFO", {}, actor="symbol:BTC-USDT-PERP")
    assert root.handlers == before

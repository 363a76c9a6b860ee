import math
from typing import Any

import numpy as np
import pytest

from alphaplus.events import FeedStatus
from alphaplus.portfolio.board import MarketBoard
from tests.portfolio.desk_cases import BTC, ETH, NOW, instrument, risk_row, state

KEY = f"binance:{BTC}"


def board() -> MarketBoard:
    return MarketBoard([instrument(BTC)], stale_after_ms=10_000.0)


@pytest.mark.parametrize(
    ("changes", "price", "source"),
    [
        ({}, 50_000.0, "venue"),
        ({"mark_price": math.nan, "mid": 49_999.0}, 49_999.0, "mid"),
        ({"status": FeedStatus.RESYNC}, 50_000.0, "venue"),
        ({"crossed": True, "hole": True}, 50_000.0, "venue"),
    ],
)
def test_a_mark_that_counts(changes: dict[str, Any], price: float, source: str) -> None:
    made = board()
    made.take_state(state(BTC, **changes))
    mark = made.mark(KEY, NOW)
    assert (mark.price, mark.source, mark.missing) == (price, source, ())


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"mark_price": math.nan, "mid": math.nan}, "mark price of"),
        ({"ts_recv": NOW - 11_000_000_000}, "stale for 11.0 s"),
        ({"status": FeedStatus.DISCONNECTED}, "the feed is disconnected"),
        ({"ts_recv": 0}, "nothing has been received"),
    ],
)
def test_a_mark_that_is_unknown_says_why(changes: dict[str, Any], says: str) -> None:
    made = board()
    made.take_state(state(BTC, **changes))
    mark = made.mark(KEY, NOW)
    assert mark.price is None
    assert says in mark.missing[0]


def test_before_anything_was_heard_all_is_unknown() -> None:
    made = board()
    assert made.mark(KEY, NOW).price is None
    assert np.isnan(made.risk(KEY, NOW)["mid"])
    assert made.figure(KEY, "funding_rate") is None


def test_an_old_risk_row_counts_as_none() -> None:
    made = board()
    made.take_risk(risk_row(BTC))
    assert made.risk(KEY, NOW)["mid"] == 50_000.0
    blank = made.risk(KEY, NOW + 11_000_000_000)
    assert np.isnan(blank["mid"])
    assert str(blank["symbol"]) == BTC


def test_markets_come_and_go_and_who_stays_is_known_as_before() -> None:
    made = board()
    made.take_state(state(BTC))
    made.take_risk(risk_row(BTC))
    before = made.mark(KEY, NOW).price
    made.set_instruments([instrument(BTC), instrument(ETH)])
    assert made.mark(KEY, NOW).price == before
    assert made.mark(f"binance:{ETH}", NOW).missing[0].endswith("nothing has been received yet")
    made.set_instruments([instrument(ETH)])
    made.take_state(state(BTC))  # the last words of one that has left
    made.take_risk(risk_row(BTC))
    assert list(made.instruments) == [f"binance:{ETH}"]
    made.set_instruments([instrument(BTC)])
    assert made.mark(KEY, NOW).price is None, "nothing of its life before counts"

"""The state of one market: freshness through every change of status, counters, unknowns."""

from decimal import Decimal

import numpy as np
import pytest

from alphaplus.analysis import views
from alphaplus.analysis.analyzer import Analyzer
from alphaplus.analysis.market import MAX_WAITING, Market
from alphaplus.analysis.state import PRICES, summary
from alphaplus.events import EventArray, FeedStatus, Flag, Kind, Side, event, status_event
from alphaplus.instruments import Instrument

INSTRUMENT = Instrument(
    symbol="BTC-USDT-PERP",
    exchange="binance",
    venue_symbol="BTCUSDT",
    tick_size=Decimal("0.1"),
    lot_size=Decimal("0.001"),
)
SECOND = 1_000_000_000


def market() -> Market:
    return Market(INSTRUMENT, Analyzer(INSTRUMENT), stale_after_ms=10_000)


def levels(*items: tuple[Side, int, float], at: int, sequence: int) -> EventArray:
    rows = [
        event(
            Kind.DEPTH,
            ts_recv=at,
            sequence=sequence,
            side=side,
            price_tick=tick,
            value=quantity,
            flags=Flag(0),
        )
        for side, tick, quantity in items
    ]
    rows[-1]["flags"] = Flag.LAST
    return np.concatenate(rows)


def snapshot(at: int, sequence: int = 1) -> EventArray:
    body = levels((Side.BID, 1000, 2.0), (Side.ASK, 1001, 1.0), at=at, sequence=sequence)
    body["flags"] = 0
    begin = event(Kind.SNAPSHOT_BEGIN, ts_recv=at, sequence=sequence, flags=Flag(0))
    end = event(Kind.SNAPSHOT_END, ts_recv=at, sequence=sequence)
    return np.concatenate((begin, body, end))


def synced(at: int = SECOND) -> Market:
    made = market()
    made.apply(np.concatenate((snapshot(at), status_event(FeedStatus.SYNCED, ts_recv=at))))
    return made


def test_before_the_first_snapshot_everything_is_unknown_and_stale() -> None:
    shown = summary(views.state(market(), SECOND)[0], now_ns=SECOND, stale_after_ms=10_000)
    assert shown["stale"]
    assert shown["age_ms"] is None
    assert [shown[name] for name in PRICES] == [None] * len(PRICES)


def test_the_summary_has_the_venues_last_word_on_24_hours() -> None:
    made = synced()
    for volume in (7.0, 8.0):
        row = event(Kind.VOLUME_24H, ts_recv=SECOND, value=volume, flags=Flag(0))
        made.apply(
            np.concatenate((row, event(Kind.TURNOVER_24H, ts_recv=SECOND, value=volume * 100)))
        )
    shown = summary(views.state(made, SECOND)[0], now_ns=SECOND, stale_after_ms=10_000)
    assert (shown["volume_24h"], shown["turnover_24h"]) == (8.0, 800.0)


def test_a_synchronised_book_is_fresh_until_it_is_silent() -> None:
    made = synced()
    assert made.stale_reason(SECOND + 10 * SECOND) is None
    assert "nothing has been received" in str(made.stale_reason(SECOND + 11 * SECOND))


@pytest.mark.parametrize(
    "status", [FeedStatus.RESYNC, FeedStatus.DISCONNECTED, FeedStatus.BUFFERING]
)
def test_a_lost_book_is_stale_until_it_is_synchronised_again(status: FeedStatus) -> None:
    made = synced()
    made.apply(status_event(status, ts_recv=SECOND))
    assert made.stale_reason(SECOND) is not None
    made.apply(snapshot(2 * SECOND, sequence=9))
    assert made.stale_reason(2 * SECOND) is not None
    made.apply(status_event(FeedStatus.SYNCED, ts_recv=2 * SECOND))
    assert made.stale_reason(2 * SECOND) is None
    state = views.state(made, 2 * SECOND)[0]
    assert state["resyncs"] == 1
    assert state["gaps"] == (status is FeedStatus.RESYNC)


def test_a_hole_is_stale_until_the_next_snapshot() -> None:
    made = synced()
    made.mark_hole()
    assert "lost on the way" in str(made.stale_reason(SECOND))
    made.apply(
        np.concatenate(
            (
                status_event(FeedStatus.RESYNC, ts_recv=SECOND),
                snapshot(SECOND, 5),
                status_event(FeedStatus.SYNCED, ts_recv=SECOND),
            )
        )
    )
    assert made.stale_reason(SECOND) is None


def test_a_crossed_book_is_stale_and_has_no_measures() -> None:
    made = synced()
    made.apply(levels((Side.BID, 1005, 1.0), at=SECOND, sequence=2))
    assert made.stale_reason(SECOND) == "the book is crossed"
    assert views.state(made, SECOND)["mid"][0] != views.state(made, SECOND)["mid"][0]


def test_three_wrong_audits_in_a_row_ask_for_a_new_start() -> None:
    made = synced()
    for sequence in range(10, 50, 10):
        tickers = [
            event(
                Kind.BOOK_TICKER,
                ts_recv=SECOND,
                sequence=sequence,
                side=side,
                price_tick=tick,
                value=7.0,
                flags=flags,
            )
            for side, tick, flags in ((Side.BID, 1000, Flag(0)), (Side.ASK, 1001, Flag.LAST))
        ]
        made.apply(np.concatenate(tickers))
        made.apply(levels((Side.BID, 900, 1.0), at=SECOND, sequence=sequence))
    assert made.audit.different == 3
    assert made.needs_resync


def test_messages_levels_and_trades_are_counted() -> None:
    made = synced()
    made.apply(levels((Side.BID, 999, 1.0), (Side.ASK, 1002, 1.0), at=SECOND, sequence=2))
    made.apply(levels((Side.BID, 0, 0.0), at=SECOND, sequence=3))  # a message without levels
    made.apply(
        event(Kind.TRADE, ts_recv=SECOND, sequence=1, side=Side.BID, price_tick=1001, value=1.0)
    )
    state = views.state(made, SECOND)[0]
    assert (state["messages"], state["level_updates"], state["trades"]) == (4, 4, 1)
    assert state["last_price"] == 100.1


def test_quotes_and_trades_that_wait_are_in_every_answer() -> None:
    made = synced()
    for identity in range(1, 4):
        made.apply(
            event(
                Kind.TRADE,
                ts_recv=2 * SECOND,
                sequence=identity,
                side=Side.BID,
                price_tick=1000 + identity,
                value=1.0,
            )
        )
    assert views.state(made, 2 * SECOND)[0]["trades"] == 3
    assert views.state(made, 2 * SECOND)[0]["last_price"] == 100.3
    assert views.analyze(made).value("trade_flow", "cvd_base") == 3.0


def test_waiting_is_bounded() -> None:
    made = synced()
    row = event(Kind.MARK_PRICE, ts_recv=SECOND, value=100.0)
    for _ in range(MAX_WAITING):
        made.apply(row)
    assert made._waiting_rows == 0

"""The desk between threads, without Ray: what is cached, what waits, what never waits."""

import threading

import numpy as np
import pytest

from actors.live_desk import FRESH_FOR_NS, LiveDesk
from alphaplus.errors import UnknownPortfolio
from tests.portfolio.desk_cases import (
    BTC,
    ETH,
    NOW,
    PRICES,
    account,
    desk,
    instruments,
    position,
    state,
)


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> int:
        return self.now


def live(clock: Clock) -> LiveDesk:
    made = LiveDesk(desk(), dsn=None, reload_s=1.0, clock=clock)
    made.change(lambda d: d.set_accounts("main", [account(position())]))
    return made


def equity(made: LiveDesk) -> float:
    return float(made.report("main", None)["figures"]["equity"]["value"])


def test_a_report_stands_for_a_while_and_then_follows_the_mark() -> None:
    clock = Clock()
    made = live(clock)
    before = equity(made)
    made.take("state", f"binance:{BTC}", state(BTC, mark_price=PRICES[BTC] * 0.99))
    clock.now += FRESH_FOR_NS - 1
    assert equity(made) == before
    clock.now += 1
    assert equity(made) == pytest.approx(before - 1_000.0)


def test_a_change_is_seen_at_once() -> None:
    made = live(Clock())
    before = equity(made)
    made.change(lambda d: d.set_accounts("main", [account(position(), wallet_balance=7.0)]))
    assert equity(made) != before
    with pytest.raises(UnknownPortfolio):
        made.report("other", None)


def test_the_newest_of_many_rows_counts() -> None:
    clock = Clock()
    made = live(clock)
    for factor in (0.9, 0.95, 0.98):
        made.take("state", f"binance:{BTC}", state(BTC, mark_price=PRICES[BTC] * factor))
    assert made.ask(lambda d, now: d.board.mark(f"binance:{BTC}", now).price) == 49_000.0


def test_the_board_never_waits_for_the_desk() -> None:
    made = live(Clock())
    inside, done = threading.Event(), threading.Event()

    def slow() -> None:
        def question(_desk: object, _now: int) -> None:
            inside.set()
            done.wait(30)

        made.ask(question)

    asker = threading.Thread(target=slow)
    asker.start()
    assert inside.wait(30)
    made.take("state", f"binance:{BTC}", state(BTC))  # returns though the desk is busy
    done.set()
    asker.join(30)
    assert not asker.is_alive()


def test_what_is_held_is_not_released_and_the_rest_is_whole_or_not_at_all() -> None:
    made = live(Clock())
    assert made.release([ETH, BTC]) == {BTC: ["main"]}
    assert f"binance:{ETH}" in made.ask(lambda d, _: d.board.instruments)
    assert made.release([ETH]) == {}
    assert f"binance:{ETH}" not in made.ask(lambda d, _: d.board.instruments)


def test_a_portfolio_is_restored_once_its_markets_are_watched() -> None:
    saved = {"main": [account(position(ETH))], "other": [account(position())]}
    curve = (np.array([NOW - 10**9]), np.array([5_000.0]))
    everything = instruments()
    made = LiveDesk(desk(), dsn=None, reload_s=1.0, clock=Clock())
    made.set_instruments([item for item in everything if item.symbol != ETH])
    made._archive.load = lambda: (saved, dict.fromkeys(saved, curve))  # type: ignore[method-assign]
    made._restore()
    assert made.ask(lambda d, _: d.accounts("main")) == ()
    assert len(made.ask(lambda d, _: d.accounts("other"))) == 1
    made.set_instruments(everything)
    assert made.ask(lambda d, _: d.accounts("main")[0].positions[0].symbol) == ETH
    made.hold("main", lambda d: d.set_accounts("main", []))
    made.set_instruments(everything)
    assert made.ask(lambda d, _: d.accounts("main")) == (), "what was set since stands"

"""Market time is wall time at the venue's speed, without the pauses."""

from alphaplus.venue.clock import MarketClock


def test_speed_multiplies_and_pauses_and_holds_take_no_market_time() -> None:
    clock = MarketClock(2.5, wall_ns=1_000)
    assert clock.now(1_000) == 0
    assert clock.now(1_100) == 250
    clock.pause(1_200)
    assert clock.now(9_000) == 500
    clock.resume(10_000)
    assert clock.now(10_100) == 750
    clock.hold(20_000)
    assert clock.now(20_100) == 1_000


def test_market_time_never_goes_back_with_the_wall_clock() -> None:
    clock = MarketClock(1.0, wall_ns=1_000)
    assert clock.now(1_500) == 500
    assert clock.now(1_200) == 500
    assert clock.now(1_600) == 600


def test_a_new_speed_holds_from_then_on() -> None:
    clock = MarketClock(1.0, wall_ns=0)
    clock.change_speed(10.0, 100)
    assert clock.now(200) == 1_100
    clock.change_speed(0.5, 300)
    assert clock.now(400) == 2_150

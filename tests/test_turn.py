"""Turns: they come at their places, once each, and those of one name fall together."""

from hypothesis import given
from hypothesis import strategies as st

from alphaplus.turn import Turn

SECOND = 1_000_000_000
times = st.integers(10 * SECOND, 100 * SECOND)


@given(name=st.text(max_size=8), every_ms=st.integers(1, 5000), now=times)
def test_it_is_due_once_in_each_interval(name: str, every_ms: int, now: int) -> None:
    turn, every = Turn(name, every_ms), every_ms * 1_000_000
    assert turn.is_due(now)
    assert now < turn.due <= now + every
    assert not turn.is_due(turn.due - 1)
    first = turn.due
    assert turn.is_due(first)
    assert turn.due == first + every


@given(name=st.text(max_size=8), now=times, late=st.integers(1, 20 * SECOND))
def test_what_was_late_comes_back_to_its_grid(name: str, now: int, late: int) -> None:
    turn = Turn(name, 1000.0)
    turn.pass_on(now)
    place = turn.due % SECOND
    turn.pass_on(turn.due + late)
    assert turn.due % SECOND == place


@given(name=st.text(max_size=8), now=times)
def test_turns_of_a_name_fall_together(name: str, now: int) -> None:
    often, seldom = Turn(name, 500.0), Turn(name, 1000.0)
    often.pass_on(now)
    seldom.pass_on(now)
    assert (seldom.due - often.due) % (SECOND // 2) == 0


def test_names_are_spread_over_the_second() -> None:
    places = set()
    for at in range(200):
        turn = Turn(f"binance:S{at}-USDT-PERP", 1000.0)
        turn.pass_on(10 * SECOND)
        places.add(turn.due // (SECOND // 10) % 10)
    assert places == set(range(10))

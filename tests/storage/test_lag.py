"""The age of the oldest row that waits, and the alarm that it sets off once."""

from hypothesis import given
from hypothesis import strategies as st

from alphaplus.storage.lag import STEP_S, Alarm, Lag


def test_the_oldest_row_counts():
    lag = Lag()
    assert lag.behind_s(5.0) == 0.0
    lag.accept(100, 10.0)
    lag.accept(300, 15.0)
    assert lag.behind_s(20.0) == 10.0
    lag.settle(99)
    assert lag.behind_s(20.0) == 10.0
    lag.settle(100)
    assert lag.behind_s(20.0) == 5.0
    lag.settle(300)
    assert lag.behind_s(20.0) == 0.0


@given(
    st.lists(
        st.tuples(st.integers(1, 50), st.floats(0, 3), st.integers(0, 60)), min_size=1, max_size=40
    )
)
def test_against_a_list_of_all_rows(moves):
    """Every move accepts some rows, lets time pass and settles some."""
    lag, times, now, settled = Lag(), [], 0.0, 0
    for count, seconds, written in moves:
        times += [now] * count
        lag.accept(len(times), now)
        now += seconds
        settled = min(settled + written, len(times))
        lag.settle(settled)
        if settled == len(times):
            assert lag.behind_s(now) == 0.0
        else:
            exact = now - times[settled]
            assert exact - 1e-9 <= lag.behind_s(now) <= exact + STEP_S + 1e-9


def test_an_outage_of_a_day_takes_little_memory():
    lag = Lag()
    for tick in range(10 * 3600):
        lag.accept(tick + 1, tick / 10)
    assert len(lag._notes) <= 3600 / STEP_S + 1


def test_the_alarm_goes_on_once_and_off_below_half():
    alarm = Alarm(10.0)
    turns = [alarm.turns(behind_s) for behind_s in (9.9, 10.0, 50.0, 5.0, 4.9, 0.0, 9.0, 12.0)]
    assert turns == [False, True, False, False, True, False, False, True]
    assert alarm.is_on

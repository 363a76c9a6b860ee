from hypothesis import given
from hypothesis import strategies as st

from alphaplus.streams._ledger import Ledger, Verdict

arrivals = st.lists(st.tuples(st.booleans(), st.integers(1, 12)), max_size=80)


@given(st.sets(st.integers(1, 12)), arrivals)
def test_every_number_is_handed_out_once_unless_it_was_durable(known, steps):
    ledger = Ledger(durable=set(known))
    ledger.settle(())
    handed_out, durable = set(), set(known)
    for is_ack, number in steps:
        if is_ack:
            if number in handed_out:
                settled = ledger.settle([number])
                assert settled == (0 if number in durable else 10)
                durable.add(number)
            continue
        verdict = ledger.accept(number, oldest=1, rows=10)
        if number in durable:
            assert verdict is Verdict.DURABLE
        elif number in handed_out:
            assert verdict is Verdict.PENDING
        else:
            assert verdict is Verdict.NEW
            handed_out.add(number)
        assert set(ledger.pending) == handed_out - durable
    assert set(range(1, ledger.floor + 1)) | ledger.durable == durable
    assert ledger.floor + 1 not in ledger.durable


def test_floor_follows_what_an_earlier_receiver_acknowledged():
    ledger = Ledger(durable={7})
    assert ledger.accept(9, oldest=7, rows=1) is Verdict.NEW
    assert ledger.floor == 7
    assert not ledger.durable
    assert ledger.accept(3, oldest=7, rows=1) is Verdict.DURABLE
    assert ledger.accept(8, oldest=7, rows=1) is Verdict.NEW


def test_acknowledged_elsewhere_is_no_longer_pending():
    ledger = Ledger()
    ledger.accept(1, oldest=1, rows=5)
    ledger.accept(3, oldest=3, rows=5)
    assert ledger.pending == {3: 5}
    assert ledger.floor == 2

"""The rules of the audit, one case each."""

import functools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alphaplus.book import L2Book, TopArray, TopOfBookAudit, audit
from alphaplus.book.quotes import QUOTE, QuoteArray
from alphaplus.events import Side
from tests.book.events import INSTRUMENT, message, snapshot

NO_QUOTES = np.empty(0, dtype=QUOTE)


@functools.cache
def top(sequence: int, quantity: float = 1.0) -> TopArray:
    """The touch 10 x quantity / 11 x 1 after the depth message `sequence`."""
    book = L2Book(INSTRUMENT)
    book.apply(snapshot([(Side.ASK, 11, 1.0)]))
    return book.apply(message([(Side.BID, 10, quantity)], sequence))


NO_TOPS = top(0)[:0]


def best(sequence: int, quantity: float = 1.0, ask: int = 11) -> QuoteArray:
    """The venue's quote 10 x quantity / ask x 1."""
    quote = np.zeros(1, dtype=QUOTE)
    quote[0] = (1, 1, sequence, 10, ask, quantity, 1.0)
    return quote


def counts(made: TopOfBookAudit) -> tuple[int, int, int]:
    return made.equal, made.different, made.unjudged


def test_message_waits_for_a_ticker_with_a_larger_id() -> None:
    made = TopOfBookAudit()
    made.observe(top(5), best(4))
    assert counts(made) == (0, 0, 0)
    made.observe(NO_TOPS, best(5))
    assert counts(made) == (0, 0, 0)
    made.observe(NO_TOPS, best(6, 9.0))
    assert counts(made) == (1, 0, 0)


def test_ticker_of_the_largest_id_up_to_the_message_counts() -> None:
    made = TopOfBookAudit()
    made.observe(top(5), np.concatenate((best(3, 7.0), best(5, 1.0), best(6, 8.0))))
    made.observe(top(5), NO_QUOTES)
    assert counts(made) == (2, 0, 0)
    made.observe(top(7), best(8))
    assert counts(made) == (2, 1, 0)


def test_tickers_may_come_long_before_the_message() -> None:
    made = TopOfBookAudit()
    for sequence in range(1, 50):
        made.observe(NO_TOPS, best(sequence, float(sequence)))
    for sequence in (7, 20, 48):
        made.observe(top(sequence, float(sequence)), NO_QUOTES)
    assert counts(made) == (3, 0, 0)


def test_message_before_the_first_ticker_is_not_judged() -> None:
    made = TopOfBookAudit()
    made.observe(top(5, 3.0), NO_QUOTES)
    made.observe(NO_TOPS, best(6))
    assert counts(made) == (0, 0, 1)


@pytest.mark.parametrize("wrong", [best(4, 2.0), best(4, ask=12)])
def test_price_and_quantity_must_be_equal(wrong: QuoteArray) -> None:
    made = TopOfBookAudit()
    made.observe(top(5), wrong)
    made.finish()
    assert counts(made) == (0, 1, 0)


def test_finish_judges_what_waits() -> None:
    made = TopOfBookAudit()
    made.observe(top(5), best(5))
    made.finish()
    made.finish()
    assert counts(made) == (1, 0, 0)


def test_consecutive_differences_end_with_an_equal_one() -> None:
    made = TopOfBookAudit()
    made.observe(NO_TOPS, np.concatenate((best(1), best(10))))
    for sequence, quantity, run in ((2, 2.0, 1), (3, 2.0, 2), (4, 1.0, 0), (5, 2.0, 1)):
        made.observe(top(sequence, quantity), NO_QUOTES)
        assert made.consecutive_different == run
    assert counts(made) == (1, 3, 0)


def test_reset_forgets_what_waits_and_keeps_the_counts() -> None:
    made = TopOfBookAudit()
    made.observe(top(2, 2.0), np.concatenate((best(1), best(3))))
    made.observe(top(4), NO_QUOTES)
    made.reset()
    made.finish()
    assert counts(made) == (0, 1, 0)
    assert made.consecutive_different == 0


def test_snapshots_are_not_judged() -> None:
    made = TopOfBookAudit()
    made.observe(L2Book(INSTRUMENT).apply(snapshot([(Side.BID, 1, 1.0)], 5)), best(5))
    made.finish()
    assert counts(made) == (0, 0, 0)


def test_late_ticker_is_ignored_and_counted() -> None:
    made = TopOfBookAudit()
    made.observe(NO_TOPS, np.concatenate((best(3), best(2, 5.0), best(9))))
    made.observe(NO_TOPS, best(4, 5.0))
    made.observe(top(6), NO_QUOTES)
    assert counts(made) == (1, 0, 0)
    assert made.late == 2


def test_waiting_is_bounded_and_drops_are_counted(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(audit, "MAX_PENDING", 10)
    made = TopOfBookAudit()
    for sequence in range(2, 27):
        made.observe(top(sequence), NO_QUOTES)
    assert made.dropped == 15
    assert "dropped 15 touches" in caplog.text
    made.observe(NO_TOPS, np.concatenate((best(1), best(100))))
    assert counts(made) == (10, 0, 0)
    for sequence in range(101, 120):
        made.observe(NO_TOPS, best(sequence))
    assert made.dropped > 15
    assert "dropped 15 touches and 10 best prices" in caplog.text


@given(
    tickers=st.lists(st.tuples(st.integers(1, 60), st.sampled_from([1.0, 2.0])), max_size=20),
    depths=st.lists(st.tuples(st.integers(1, 60), st.sampled_from([1.0, 2.0])), max_size=20),
    mixed=st.randoms(use_true_random=False),
)
def test_equals_the_rule_applied_to_the_whole_recording(
    tickers: list[tuple[int, float]], depths: list[tuple[int, float]], mixed: object
) -> None:
    tickers, depths = sorted(dict(tickers).items()), sorted(dict(depths).items())
    expected = [0, 0, 0]
    for sequence, quantity in depths:
        before = [size for id_, size in tickers if id_ <= sequence]
        expected[2 if not before else 0 if before[-1] == quantity else 1] += 1
    made = TopOfBookAudit()
    waiting = {"depth": depths, "ticker": tickers}
    while waiting["depth"] or waiting["ticker"]:
        kind = mixed.choice([kind for kind, left in waiting.items() if left])  # type: ignore[attr-defined]
        (sequence, quantity), waiting[kind] = waiting[kind][0], waiting[kind][1:]
        if kind == "depth":
            made.observe(top(sequence, quantity), NO_QUOTES)
        else:
            made.observe(NO_TOPS, best(sequence, quantity))
    made.finish()
    assert list(counts(made)) == expected

"""Tapes that follow each other are one tape."""

import numpy as np

from alphaplus.analysis.tape import TRADE, Tape


def tape(*identities: int, ts_event: int) -> Tape:
    trades = np.zeros(len(identities), dtype=TRADE)
    trades["trade_id"] = identities
    return Tape.of(trades=trades, ts_event=ts_event)


def test_joined_tapes_have_all_rows_in_order_and_the_last_time() -> None:
    joined = Tape.joined([tape(1, 2, ts_event=5), tape(ts_event=7), tape(3, ts_event=7)])
    assert joined.trades["trade_id"].tolist() == [1, 2, 3]
    assert (len(joined.quotes), len(joined.best_levels), joined.ts_event) == (0, 0, 7)


def test_one_tape_is_itself() -> None:
    only = tape(1, ts_event=5)
    assert Tape.joined([only]) is only

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alphaplus.errors import ConfigError, RiskError
from alphaplus.leverage.realised_liquidations import RealisedLiquidations, liquidated_side

SECOND = 10**9
reports = st.lists(
    st.tuples(
        st.integers(0, 200),
        st.sampled_from(["long", "short"]),
        st.floats(1.0, 1e5),
        st.floats(0.001, 1e3),
    ),
    max_size=60,
)


@given(reports, st.integers(1, 30))
def test_totals_equal_a_sum_over_what_is_kept(
    found: list[tuple[int, str, float, float]], capacity: int
) -> None:
    book = RealisedLiquidations(capacity=capacity, windows_s=(50.0, 100.0))
    book.start(-(10**12))
    for ts, side, price, quantity in found:
        book.add(
            ts_event=ts * SECOND,
            side=side,  # type: ignore[arg-type]
            price=price,
            quantity=quantity,
            sampled=False,
        )
    kept, gone = found[-capacity:], found[:-capacity]
    assert len(book) == len(kept)
    for total in book.totals(150 * SECOND):
        begin = 150 - total.window_s
        for side in ("long", "short"):
            rows = [row for row in kept if begin < row[0] <= 150 and row[1] == side]
            part = getattr(total, side)
            assert part.count == len(rows)
            assert part.quantity == pytest.approx(sum(row[3] for row in rows))
            assert part.usd == pytest.approx(sum(row[2] * row[3] for row in rows))
        assert total.at_least == any(row[0] > begin for row in gone)


def test_a_sampled_source_gives_lower_bounds_and_says_so() -> None:
    book = RealisedLiquidations(windows_s=(10.0, 100.0))
    book.start(0)
    book.add(ts_event=150 * SECOND, side="long", price=10.0, quantity=2.0, sampled=True)
    short, long = book.totals(165 * SECOND)
    assert (short.long.count, short.at_least, short.reason) == (0, False, None)
    assert (long.long.usd, long.at_least) == (20.0, True)
    assert long.reason is not None
    assert "at most one order per second" in long.reason


def test_a_window_that_began_before_the_source_was_heard_is_incomplete() -> None:
    book = RealisedLiquidations(windows_s=(10.0,))
    assert book.totals(100 * SECOND)[0].reason == "not heard for the whole window"
    book.start(95 * SECOND)
    assert book.totals(100 * SECOND)[0].at_least
    assert not book.totals(105 * SECOND)[0].at_least


def test_newest_come_first() -> None:
    book = RealisedLiquidations(capacity=3)
    for k in (1, 4, 3, 2):
        book.add(ts_event=k, side="short", price=2.0, quantity=float(k), sampled=True)
    newest = book.newest(2)
    assert [row["ts_event"] for row in newest] == [4, 3]
    assert newest[0] == {
        "ts_event": 4,
        "side": "short",
        "price": 2.0,
        "quantity": 4.0,
        "usd": 8.0,
        "sampled": True,
    }
    assert book.reported == 4


def test_sides_follow_each_venues_meaning() -> None:
    """Seen elsewhere: Bybit's side inverted, as it is that of the position, not of the order."""
    assert liquidated_side("binance", "SELL") == "long"
    assert liquidated_side("binance", "BUY") == "short"
    assert liquidated_side("bybit", "Buy") == "long"
    assert liquidated_side("bybit", "Sell") == "short"
    with pytest.raises(RiskError, match="was okx"):
        liquidated_side("okx", "buy")
    with pytest.raises(RiskError, match="side"):
        liquidated_side("bybit", "long")


@pytest.mark.parametrize("wrong", [{"price": 0.0}, {"quantity": math.nan}, {"price": np.inf}])
def test_values_that_are_no_liquidation_are_refused(wrong: dict[str, float]) -> None:
    known = {"price": 1.0, "quantity": 1.0, **wrong}
    with pytest.raises(RiskError, match="above 0"):
        RealisedLiquidations().add(ts_event=1, side="long", sampled=False, **known)
    with pytest.raises(ConfigError, match="capacity"):
        RealisedLiquidations(capacity=0)
    with pytest.raises(ConfigError, match="windows"):
        RealisedLiquidations(windows_s=(0.0,))

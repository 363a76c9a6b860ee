"""Accounts as plain values: what is read from them is what they were made of."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from alphaplus.portfolio.account_records import account_records
from alphaplus.portfolio.reading import AccountReader
from tests.portfolio.desk_cases import BTC, ETH, instruments

amounts = st.floats(0.001, 1e6)
positions = st.fixed_dictionaries(
    {
        "quantity": amounts | amounts.map(lambda x: -x),
        "entry_price": amounts,
        "leverage": st.none() | st.integers(1, 125),
        "isolated_margin": st.none() | amounts,
    }
)
collateral = st.fixed_dictionaries(
    {"asset": st.just("BTC"), "balance": amounts, "haircut": st.none() | st.floats(0, 0.9)}
)


@given(
    st.lists(positions, max_size=2),
    st.none() | amounts,
    st.sampled_from(["cross", "isolated"]),
    st.lists(collateral, max_size=1),
)
def test_records_read_back_as_the_same_accounts(
    held: list[dict[str, Any]], wallet: float | None, mode: str, assets: list[dict[str, Any]]
) -> None:
    reader = AccountReader(instruments(), default_leverage=5.0)
    wanted = {
        "id": "hedge",
        "exchange": "binance",
        "margin_mode": mode,
        "wallet_balance": wallet,
        "currency": None if held else "USDT",
        "collateral": assets,
        "positions": [
            {"symbol": name, **item} for name, item in zip((BTC, ETH), held, strict=False)
        ],
    }
    accounts = reader.accounts([wanted])
    records = json.loads(json.dumps(account_records(accounts), allow_nan=False))
    assert reader.accounts(records) == accounts

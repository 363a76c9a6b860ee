import math
from typing import Any

import pytest

from alphaplus.errors import RiskError
from alphaplus.portfolio.accounts import Account
from alphaplus.portfolio.reading import AccountReader
from tests.portfolio.desk_cases import BTC, ETH, INVERSE, account, instruments, position

READER = AccountReader(instruments(), default_leverage=5.0)


def one(*positions: dict[str, Any], **changes: Any) -> Account:
    return READER.accounts([account(*positions, **changes)])[0]


def test_an_account_knows_its_currencies() -> None:
    linear = one(position(ETH))
    assert (linear.settlement, linear.quote, linear.inverse) == ("USDT", "USDT", False)
    inverse = one(position(INVERSE, quantity=-10), wallet_balance=1.0)
    assert (inverse.settlement, inverse.quote, inverse.inverse) == ("BTC", "USD", True)
    empty = one()
    assert empty.settlement is None
    assert one(currency="USDC").settlement == "USDC"


def test_a_position_is_in_base_units_for_the_engine() -> None:
    (held,) = one(position(INVERSE, quantity=-10), wallet_balance=1.0).positions
    assert (held.side, held.size) == (-1, 1000.0)
    taken = held.at(None)
    assert (taken.side, taken.quantity, taken.contract_size) == ("short", 10.0, 100.0)
    assert taken.leverage == 5.0, "the default"


def test_legs_need_hedge_mode() -> None:
    legs = (position(), position(quantity=-1.0))
    assert len(one(*legs, position_mode="hedge").positions) == 2
    with pytest.raises(RiskError, match="one-way"):
        one(*legs)
    with pytest.raises(RiskError, match="one long leg"):
        one(position(), position(), position_mode="hedge")


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (account(position(quantity=0.0)), "quantity of BTC-USDT-PERP other than 0"),
        (account(position(quantity=math.nan)), "quantity"),
        (account(position(entry_price=math.inf)), "entry_price"),
        (account(position(leverage=0.5)), "leverage"),
        (account(position(isolated_margin=-1.0)), "isolated_margin"),
        (account(position() | {"symbol": "GONE-USDT-PERP"}), "GONE-USDT-PERP"),
        (account(position(), exchange="okx"), "okx"),
        (account(wallet_balance=math.nan), "wallet_balance"),
        (account(id=""), "account id"),
        (account(id="a b"), "account id"),
        (account(position(), currency="USDC"), "currency of account a to be USDT"),
        (account(position(), position("SOL-USDC-PERP")), "one currency, were USDC and USDT"),
        (account(position(), position(INVERSE)), "currency"),
        (account(exchange="nowhere"), "venue to be one of .* for account a"),
        (account(collateral=[{"asset": "BTC", "balance": math.nan}]), "balance of BTC"),
        (account(collateral=[{"asset": "BTC", "balance": 1, "haircut": 1}]), "haircut of BTC"),
        (account(collateral=[{"asset": "BTC", "balance": 1}] * 2), "each collateral asset"),
    ],
)
def test_what_no_venue_could_hold_is_refused(wrong: dict[str, Any], says: str) -> None:
    with pytest.raises(RiskError, match=says):
        READER.accounts([wrong])


def test_ids_are_told_apart() -> None:
    with pytest.raises(RiskError, match="each account id once, was a several times"):
        READER.accounts([account(), account(position())])


def test_positions_alone_make_an_account_per_exchange() -> None:
    found = READER.positions([position(ETH, exchange="okx"), position(ETH, exchange="binance")])
    assert [(item.id, item.exchange, item.wallet_balance) for item in found] == [
        ("okx", "okx", None),
        ("binance", "binance", None),
    ]
    assert READER.positions([position(INVERSE)], 7.0)[0].wallet_balance == 7.0
    assert READER.positions([]) == ()
    with pytest.raises(RiskError, match="on one exchange beside wallet_balance, was 2"):
        READER.positions([position(ETH, exchange="okx"), position(INVERSE)], 7.0)
    with pytest.raises(RiskError, match="Expected exchange with BTC-USDT-PERP"):
        READER.positions([position(BTC)])

"""A symbol's handle asks its actor in the symbol's name, whoever else is kept there."""

import copy
import pickle
from types import SimpleNamespace
from typing import Any

import pytest

from actors.symbol_handle import OwnedSymbol, SymbolHandle

SYMBOL = "BTC-USDT-PERP"


class Actor:
    """Answers every call with what it was called with."""

    def __getattr__(self, method: str) -> Any:
        return SimpleNamespace(remote=lambda *arguments: (method, *arguments))


def test_questions_to_the_symbol_go_through_its_actor() -> None:
    handle = SymbolHandle(Actor(), SYMBOL)
    assert handle.book.remote(None, 20) == ("ask", SYMBOL, "book", None, 20)
    assert handle.ready.remote() == ("ask", SYMBOL, "ready")
    assert handle.begin_measuring.remote() == ("ask", SYMBOL, "begin_measuring")


def test_what_the_actor_has_to_do_itself_it_is_told_itself() -> None:
    handle = SymbolHandle(Actor(), SYMBOL)
    assert handle.start.remote("board", None) == ("start", SYMBOL, "board", None)
    assert handle.drain.remote(5.0) == ("drain", SYMBOL, 5.0)
    assert handle.report.remote() == ("report", SYMBOL)


def test_an_owner_has_the_symbol_kept_whenever_it_asks_whether_that_lives() -> None:
    handle = OwnedSymbol(Actor(), SYMBOL, ["instrument"])  # type: ignore[list-item]
    assert handle.ready.remote() == ("keep", SYMBOL, ("instrument",))
    assert handle.summary.remote() == ("ask", SYMBOL, "summary")


def test_what_python_looks_for_in_any_object_is_no_question() -> None:
    handle = SymbolHandle(Actor(), SYMBOL)
    with pytest.raises(AttributeError):
        handle.__ray_call__  # noqa: B018
    for other in (pickle.loads(pickle.dumps(handle)), copy.copy(handle)):
        assert other.symbol == SYMBOL
        assert other.summary.remote() == ("ask", SYMBOL, "summary")

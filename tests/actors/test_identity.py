"""Actors whose node has other code, or such as cannot say what it has."""

from types import SimpleNamespace
from typing import Any

import pytest
from ray.exceptions import RayTaskError

from actors import identity
from actors.identity import Inspection, code_of
from actors.template.command import code_digest
from alphaplus.errors import FleetConflict


class Actor:
    """A handle: on a node, with a code, and a count of how often it was asked."""

    def __init__(self, node: str, code: str | None) -> None:
        self.node, self.code, self.asked = node, code, 0
        self.__ray_call__ = SimpleNamespace(remote=self._remote)

    async def _remote(self, function: Any) -> str:
        assert function is code_of
        self.asked += 1
        if self.code is None:
            raise RayTaskError("code_of", "no such module", ImportError("actors.identity"))
        return self.code


@pytest.fixture
def inspection(monkeypatch: pytest.MonkeyPatch) -> Inspection:
    monkeypatch.setattr(identity, "placed_on", lambda handle: handle.node)
    return Inspection("ours")


async def test_a_node_is_asked_once(inspection: Inspection) -> None:
    first, second = Actor("n1", "ours"), Actor("n1", "ours")
    assert await inspection.node_of(first, "symbol:A") == "n1"
    assert await inspection.node_of(second, "symbol:B") == "n1"
    assert (first.asked, second.asked) == (1, 0)
    assert inspection.refused == {}


@pytest.mark.parametrize(("code", "was"), [("theirs", "was theirs"), (None, "older than that")])
async def test_other_code_is_refused_with_its_node(
    inspection: Inspection, code: str | None, was: str
) -> None:
    for _ in range(2):
        with pytest.raises(FleetConflict, match=f"node n2 .*code .ours.*{was}.*same version"):
            await inspection.node_of(Actor("n2", code), "symbol:A")
    assert list(inspection.refused) == ["n2"]
    assert await inspection.node_of(Actor("n1", "ours"), "symbol:A") == "n1"


def test_the_digest_is_of_what_is_imported() -> None:
    assert code_of(None) == code_digest() == Inspection()._ours

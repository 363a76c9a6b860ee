"""What an actor of symbols is created with. No Ray."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from actors import recruit
from actors.recruit import Recruiter
from alphaplus.config import load_settings


@pytest.mark.parametrize("symbols_per_actor", [1, 5])
def test_all_symbols_of_an_actor_may_wait_for_their_rows_and_it_still_answers(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, symbols_per_actor: int
) -> None:
    created: list[dict[str, Any]] = []

    def options(**given: Any) -> Any:
        return SimpleNamespace(remote=lambda *_, **more: created.append({**given, **more}))

    monkeypatch.setattr(recruit, "SymbolActor", SimpleNamespace(options=options))
    monkeypatch.setattr(recruit, "is_one_machine", lambda: True)
    fleet = {"symbols_per_actor": symbols_per_actor, "template": False}
    settings = load_settings(None, {"fleet": fleet, "streams": {"transport": "ipc"}}, {})
    hosts = Recruiter(settings, "", None, tmp_path).hosts(lambda: 1)
    hosts.recruit("BTC-USDT-PERP", [])
    (made,) = created
    assert made["max_concurrency"] > symbols_per_actor + 1
    assert made["asked_bytes"] == made["memory"]

"""What Ray is told: the command in place of Python, and when none is given."""

import logging
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import ray

from actors.template import command


@pytest.fixture
def runtime_env(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[dict[str, Any]], None]]:
    """Set the runtime environment of the process that asks; nothing is remembered from before."""

    def set_to(environment: dict[str, Any]) -> None:
        context = SimpleNamespace(runtime_env=environment)
        monkeypatch.setattr(ray, "get_runtime_context", lambda: context)

    forget()
    yield set_to
    forget()


def forget() -> None:
    for cached in (command._why_not, command.worker_command):
        cached.cache_clear()


def words(text: str) -> list[str]:
    """Return the words that the shell makes of a command."""
    done = subprocess.run(
        ["bash", "-c", f"printf '%s\\n' {text}"], capture_output=True, text=True, check=True
    )
    return done.stdout.splitlines()


@pytest.mark.skipif(sys.platform != "linux", reason="templates need Linux")
def test_symbols_start_by_the_launcher_of_this_code(runtime_env: Any) -> None:
    runtime_env({"working_dir": "gcs://code.zip", "env_vars": {"A": "1"}})
    told = command.template_options()["runtime_env"]

    assert set(told) == {"py_executable"}, "the rest of the environment is inherited"
    python, *arguments = words(told["py_executable"])
    assert python == sys.executable
    assert arguments == ["-S", "-m", "actors.template.launch", command.code_digest()]
    assert re.fullmatch("[0-9a-f]{8}", command.code_digest())


def test_node_with_python_elsewhere_takes_the_one_on_its_path(
    runtime_env: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere at all/python")
    python = words(command.worker_command())[0]

    assert python.endswith("python3")


@pytest.mark.parametrize("field", command.OF_OTHER_PYTHONS)
def test_environment_that_chooses_python_is_left_alone_and_said_once(
    runtime_env: Any, field: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    runtime_env({"working_dir": "gcs://code.zip", field: "something"})
    with caplog.at_level(logging.WARNING):
        assert command.template_options() == {}
        assert command.template_options() == {}

    (record,) = caplog.records
    assert field in record.getMessage()


def test_other_systems_start_actors_one_by_one(
    runtime_env: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert command.template_options() == {}

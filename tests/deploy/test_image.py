"""The Dockerfile: what it copies exists, what it needs is let in, nobody is root."""

import re
import shutil
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILE = ROOT / "deploy" / "Dockerfile"
TEXT = FILE.read_text(encoding="utf-8")


def copied() -> set[str]:
    """Return what is copied from the repository."""
    lines = re.findall(r"^COPY (?!--from)(.*) \S+$", TEXT, re.MULTILINE)
    return {source for line in lines for source in line.split()}


def test_what_is_copied_is_there_and_nothing_else_is_sent_to_the_builder() -> None:
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert ignored[0] == "*"
    assert {line[1:] for line in ignored if line.startswith("!")} == copied()
    for source in copied():
        assert (ROOT / source).exists()
    assert not any(fnmatch("alphaplus", line) for line in ignored[1:])


def test_every_program_is_in_it() -> None:
    assert {"alphaplus", "actors", "jobs", "serve", "migrations"} <= copied()


def test_versions_are_pinned_and_nobody_is_root() -> None:
    assert "--constraint constraints.txt" in TEXT
    stages = TEXT.split("FROM ")[1:]
    uid = re.search(r"^USER (\d+)$", stages[-1], re.MULTILINE)
    assert uid
    assert int(uid[1]) > 0
    assert f"useradd --uid {uid[1]} " in stages[-1]
    manifest = (ROOT / "deploy" / "kuberay" / "raycluster.yaml").read_text(encoding="utf-8")
    assert f"runAsUser: {uid[1]}" in manifest


def test_kernels_are_compiled_by_the_user_for_a_processor_that_is_named() -> None:
    user, compiled = TEXT.index("\nUSER "), TEXT.index("ensure_compiled(print)")
    assert user < compiled, "the cache belongs to who runs it"
    (name,) = re.findall(r"^ARG CPU=(\S+)$", TEXT, re.MULTILINE)
    code = (
        "import numba\n"
        "from numba.core.registry import cpu_target\n"
        "assert numba.njit(lambda x: x + 1)(1) == 2\n"
        "print(cpu_target.target_context.codegen().magic_tuple()[1])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"NUMBA_CPU_NAME": name},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert done.stdout.strip() == name, "compiled code is kept under this name"


def test_hadolint_finds_nothing() -> None:
    tool = shutil.which("hadolint", path=f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin")
    if tool is None:
        pytest.skip("no hadolint: pip install '.[deploy]' brings it")
    done = subprocess.run(
        [tool, str(FILE)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout

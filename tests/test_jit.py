import importlib
import sys
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

PACKAGE = "kernels_under_test"
CALLER = """
from alphaplus.jit import kernel
from kernels_under_test.helpers import described
from kernels_under_test.numbers import Step
from kernels_under_test.shared import FACTOR, scaled

WIDE = int(Step.WIDE)

@kernel
def total(count):
    value = 0.0
    for i in range(count):
        value += scaled(i) + FACTOR + WIDE
    return value

def words():
    return described(total(3))
"""
SHARED = """
from alphaplus.jit import kernel
from .offsets import OFFSET

FACTOR = 10.0

@kernel
def scaled(number):
    return FACTOR * number + OFFSET
"""
OFFSETS = "import numpy as np\n\nOFFSET = np.float64(1.0)\n"
NUMBERS = "from enum import IntEnum\n\nclass Step(IntEnum):\n    WIDE = 5\n"
HELPERS = "def described(value):\n    return f'the total is {value}'\n"
FILES = {
    "__init__.py": "",
    "caller.py": CALLER,
    "shared.py": SHARED,
    "offsets.py": OFFSETS,
    "numbers.py": NUMBERS,
    "helpers.py": HELPERS,
}

Load = Callable[..., ModuleType]


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Load]:
    """Unpack the package, some files of it changed, in a folder of its own, and import it anew."""
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "cache"))
    places = count()

    def forget() -> None:
        for name in [name for name in sys.modules if name.partition(".")[0] == PACKAGE]:
            del sys.modules[name]

    def load(**changed: str) -> ModuleType:
        forget()
        folder = tmp_path / f"upload{next(places)}" / PACKAGE
        folder.mkdir(parents=True)
        for name, text in {**FILES, **{f"{k}.py": v for k, v in changed.items()}}.items():
            (folder / name).write_text(text)
        monkeypatch.syspath_prepend(folder.parent)
        importlib.invalidate_caches()
        return importlib.import_module(f"{PACKAGE}.caller")

    yield load
    forget()


def hits(kernel: Any) -> int:
    return sum(kernel.stats.cache_hits.values())


def test_a_kernel_compiles_once_wherever_its_package_is_unpacked(load: Load) -> None:
    first = load()
    assert first.total(3) == 78.0  # of 10 i + 1 + 10 + 5 for i in 0, 1, 2
    assert hits(first.total) == 0
    second = load()
    assert second.__file__ != first.__file__
    assert second.total(3) == 78.0
    assert hits(second.total) == 1


@pytest.mark.parametrize(
    ("changed", "total"),
    [
        ({"caller": CALLER.replace("value = 0.0", "value = 0.5")}, 78.5),
        ({"shared": SHARED.replace("FACTOR * number", "2 * number")}, 54.0),
        ({"shared": SHARED.replace("FACTOR = 10.0", "FACTOR = 20.0")}, 138.0),
        ({"offsets": OFFSETS.replace("1.0", "2.0")}, 81.0),
        ({"numbers": NUMBERS.replace("5", "6")}, 81.0),
    ],
    ids=["own file", "kernel", "constant", "constant of the kernel's", "enumeration"],
)
def test_a_kernel_compiles_again_when_what_it_is_made_of_changes(
    load: Load, changed: dict[str, str], total: float
) -> None:
    load().total(3)
    again = load(**changed)
    assert again.total(3) == total
    assert hits(again.total) == 0


@pytest.mark.parametrize(
    "changed",
    [{"helpers": HELPERS.replace("is", "was")}, {"another": SHARED}],
    ids=["ordinary function", "file that is not imported"],
)
def test_a_kernel_stays_compiled_when_anything_else_changes(
    load: Load, changed: dict[str, str]
) -> None:
    load().total(3)
    again = load(**changed)
    assert again.total(3) == 78.0
    assert hits(again.total) == 1

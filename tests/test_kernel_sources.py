"""Which files count; `test_jit.py` changes such files and looks at what compiles again."""

from pathlib import Path

from alphaplus.analysis import market
from alphaplus.book._kernels import read
from alphaplus.kernel_sources import files


def test_files_of_kernels_and_constants_count_all_the_way() -> None:
    found = files(str(market.__file__))
    assert {"alphaplus.analysis.market", "alphaplus.book.quotes", "alphaplus.events"} <= set(found)


def test_files_of_intrinsics_count() -> None:
    assert "alphaplus.intrinsics" in files(str(read.__file__))


def test_files_of_functions_and_classes_do_not_count() -> None:
    found = files(str(market.__file__))
    assert found.keys().isdisjoint({"alphaplus.analysis.analyzer", "alphaplus.book.l2"})


def test_a_docstring_may_look_like_a_definition(tmp_path: Path) -> None:
    file = tmp_path / "odd.py"
    file.write_text('"""What this\nclass of kernels does."""\n\nimport alphaplus.events\n')
    assert set(files(str(file))) == {"odd", "alphaplus.events"}

from pathlib import Path

import pytest

from docs.build import ROOT, broken_links, pages


@pytest.mark.parametrize(("path", "text"), pages(), ids=lambda part: getattr(part, "name", ""))
def test_what_is_generated_is_current(path: Path, text: str) -> None:
    assert path.read_text(encoding="utf-8") == text, "run make docs"


def test_no_link_is_broken() -> None:
    assert broken_links() == []


def test_readme_names_its_two_commands() -> None:
    readme = (ROOT / "README.md").read_text()
    assert "make run" in readme
    assert "make test" in readme

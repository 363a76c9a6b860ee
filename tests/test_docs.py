import re
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


def test_operations_tells_of_every_job_and_of_no_other() -> None:
    page = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    programs = {
        f"jobs.{path.stem}"
        for path in (ROOT / "jobs").glob("*.py")
        if 'if __name__ == "__main__"' in path.read_text(encoding="utf-8")
    }
    table = page[page.index("## Jobs") : page.index("```", page.index("## Jobs"))]
    assert set(re.findall(r"^\| `python -m (jobs\.\w+)", table, re.MULTILINE)) == programs
    assert set(re.findall(r"python -m (jobs\.\w+)", page)) <= programs
    for file in re.findall(r"\b((?:deploy/)[\w./-]+\.yaml|cluster\.yaml)", page):
        assert (ROOT / file).is_file(), file

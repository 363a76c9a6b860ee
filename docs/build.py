"""Write what is generated (commands, settings, metrics, dashboards, scaling, plots); check links.

python -m docs.build            # write
python -m docs.build --check    # only say what is out of date
"""

import ast
import inspect
import json
import re
import sys
from pathlib import Path
from typing import Any, Final

import typer

from actors.metric_table import METRICS
from alphaplus.cli import app
from alphaplus.config import Section, Settings
from benchmarks.capacity.page import scaling_tables
from deploy import dashboards
from docs import plots

ROOT: Final = Path(__file__).resolve().parents[1]
LINK: Final = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")
INDEX_BEGINS: Final = "<!-- the index is written by make docs -->"
INDEX_ENDS: Final = "<!-- end of the index -->"
HEADER: Final = (
    "# Every setting with its default. Copy to alphaplus.toml and keep what you change.\n"
    "# Each can also be set as ALPHAPLUS_SECTION__FIELD; storage.dsn only so, as it is a secret.\n"
)


def settings_file() -> str:
    """Return alphaplus.example.toml: all settings, their defaults and their meaning."""
    lines = [HEADER]
    for name, info in Settings.model_fields.items():
        section = info.annotation
        assert section is not None
        lines.append(f"[{name}]  # {inspect.getdoc(section)}")
        lines += [_setting(section, field) for field in section.model_fields]
        lines.append("")
    return "\n".join(lines)


def _setting(section: type[Section], field: str) -> str:
    default = section.model_fields[field].get_default(call_default_factory=True)
    meaning = _meaning(section, field)
    comment = f"  # {meaning}" if meaning else ""
    if default is None or field == "data_dir":  # unset, or different on every machine
        return f"# {field} ={comment}"
    return f"{field} = {_toml(default)}{comment}"


def _meaning(section: type[Section], field: str) -> str:
    """Return the text that stands below a field in the source."""
    pattern = rf'^    {field}:(?:(?!^    [a-z_]+:).)*?"""(.*?)"""'
    found = re.search(pattern, inspect.getsource(section), re.DOTALL | re.MULTILINE)
    return " ".join(found.group(1).split()) if found else ""


def _toml(value: Any) -> str:
    if isinstance(value, tuple):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, bool | str):
        return json.dumps(value)
    return repr(value)


def measures_page() -> str:
    """Return docs/measures.md with its index of the pages made anew."""
    path = ROOT / "docs" / "measures.md"
    before, _, rest = path.read_text(encoding="utf-8").partition(INDEX_BEGINS)
    after = rest.partition(INDEX_ENDS)[2]
    entries = []
    for page in sorted((ROOT / "docs" / "measures").glob("*.md")):
        heading = page.read_text(encoding="utf-8").splitlines()[0].lstrip("# ")
        entries.append(f"- [{heading}](measures/{page.name})\n")
    return f"{before}{INDEX_BEGINS}\n{''.join(entries)}{INDEX_ENDS}{after}"


def scaling_page() -> str:
    """Return docs/scaling.md with its tables made anew from the measured points."""
    path = ROOT / "docs" / "scaling.md"
    before, _, rest = path.read_text(encoding="utf-8").partition(INDEX_BEGINS)
    after = rest.partition(INDEX_ENDS)[2]
    return f"{before}{INDEX_BEGINS}\n{scaling_tables()}{INDEX_ENDS}{after}"


def monitoring_page() -> str:
    """Return docs/monitoring.md with its table of metrics made anew."""
    path = ROOT / "docs" / "monitoring.md"
    before, _, rest = path.read_text(encoding="utf-8").partition(INDEX_BEGINS)
    after = rest.partition(INDEX_ENDS)[2]
    rows = ["| metric | kind | unit | labels | what |", "|---|---|---|---|---|"]
    rows += [
        f"| `{m.exposed}` | {m.kind} | {m.unit} | {', '.join(m.labels) or 'none'} | {m.help} |"
        for m in METRICS
    ]
    return f"{before}{INDEX_BEGINS}\n" + "\n".join(rows) + f"\n{INDEX_ENDS}{after}"


def command_page() -> str:
    """Return docs/cli.md: the help of every command."""
    root = typer.main.get_command(app)
    pages = ["# The `alphaplus` command", "", inspect.cleandoc(root.help or ""), ""]
    for name, command in _commands(root, ()):
        pages += [f"## `alphaplus {name}`", "", inspect.cleandoc(command.help or ""), ""]
        options = [p for p in command.params if p.name != "help"]
        pages += [f"- `{'`, `'.join(p.opts)}`: {_help(p)}" for p in options]
        pages += [""] if options else []
    return "\n".join([*pages, *_jobs()])


def _jobs() -> list[str]:
    """Return a section for each module of jobs/ that is a program: its own words on itself."""
    lines = [
        "# Jobs",
        "",
        "Programs for `ray job submit`, or for a shell on a node of the cluster.",
    ]
    for path in sorted((ROOT / "jobs").glob("*.py")):
        text = path.read_text(encoding="utf-8")
        if "__main__" in text:
            doc = ast.get_docstring(ast.parse(text)) or ""
            lines += ["", f"## `python -m jobs.{path.stem}`", "", doc]
    return [*lines, ""]


def _commands(group: Any, path: tuple[str, ...]) -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for name, command in sorted(group.commands.items()):
        if hasattr(command, "commands"):
            found += _commands(command, (*path, name))
        else:
            found.append((" ".join((*path, name)), command))
    return found


def _help(parameter: Any) -> str:
    return str(getattr(parameter, "help", "") or "required")


def broken_links() -> list[str]:
    """Return the relative links of all pages that lead nowhere."""
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    return [
        f"{page.relative_to(ROOT)}: {link}"
        for page in pages
        for link in LINK.findall(page.read_text(encoding="utf-8"))
        if "://" not in link and not (page.parent / link).exists()
    ]


def pages() -> list[tuple[Path, str]]:
    """Return every generated file with what it should say; plots are apart."""
    grafana = [(dashboards.FOLDER / f"{n}.json", dashboards.text(n)) for n in dashboards.DASHBOARDS]
    return [
        (ROOT / "alphaplus.example.toml", settings_file()),
        (ROOT / "docs" / "cli.md", command_page()),
        (ROOT / "docs" / "measures.md", measures_page()),
        (ROOT / "docs" / "monitoring.md", monitoring_page()),
        (ROOT / "docs" / "scaling.md", scaling_page()),
        *grafana,
    ]


def main() -> None:
    """Write or check; exit 1 if something is out of date or broken."""
    check = "--check" in sys.argv[1:]
    problems = []
    for path, text in pages():
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            if check:
                problems.append(f"{path.relative_to(ROOT)} is out of date; run make docs")
            else:
                path.write_text(text, encoding="utf-8")
                print(f"wrote {path.relative_to(ROOT)}")
    if not check:
        plots.main()
    problems += [f"broken link in {link}" for link in broken_links()]
    for problem in problems:
        print(problem, file=sys.stderr)
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()

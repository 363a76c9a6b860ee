"""How a job ends: its exit code and its last word."""

import json
from argparse import Namespace
from typing import Any

import pytest

from alphaplus.errors import AlphaPlusError, ConfigError
from jobs.arguments import finish


@pytest.mark.parametrize(
    ("summary", "code"),
    [({"rows_left": 0}, 0), ({"rows_written": 5}, 0), ({"rows_left": 2_700_000}, 3)],
)
def test_rows_in_the_spool_have_an_exit_code_and_no_error(
    summary: dict[str, Any], code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        finish(lambda _: summary, Namespace(json=True))
    assert ended.value.code == code
    told = capsys.readouterr()
    assert json.loads(told.out) == {"summary": summary}
    assert told.err == ""


@pytest.mark.parametrize(("error", "code"), [(ConfigError("no"), 2), (AlphaPlusError("no"), 1)])
def test_an_error_is_one_sentence(
    error: AlphaPlusError, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(_: Namespace) -> dict[str, Any]:
        raise error

    with pytest.raises(SystemExit) as ended:
        finish(fails, Namespace(json=False))
    assert ended.value.code == code
    assert capsys.readouterr().err == "error: no\n"

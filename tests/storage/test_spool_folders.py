"""Spools that a fleet of more writers has left behind."""

from pathlib import Path

from alphaplus.storage.spool import Spool
from alphaplus.storage.spool_folders import spools_left


def test_a_spool_with_rows_is_found_and_no_other(tmp_path: Path) -> None:
    assert spools_left(tmp_path / "absent") == set()
    for name in ("0", "3", "backfill"):
        spool = Spool(tmp_path / name)
        spool.append([b"rows"])
        spool.close()
    (tmp_path / "7").mkdir()
    assert spools_left(tmp_path) == {0, 3}

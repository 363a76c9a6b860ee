"""Where the spools of a machine lie: one folder for each writer, below the data folder."""

from pathlib import Path
from typing import Final

SPOOL: Final = "spool"
"""The folder of all spools in the data folder."""


def spools_left(folder: Path) -> set[int]:
    """Return the numbers of the spools that hold rows, as their last writer left them."""
    if not folder.is_dir():
        return set()
    return {
        int(path.name)
        for path in folder.iterdir()
        if path.name.isdecimal() and any(path.glob("*.seg"))
    }

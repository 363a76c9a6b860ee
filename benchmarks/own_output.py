"""Standard output for a program's own words alone, where a library prints there as well."""

import os
from typing import TextIO


def own_output() -> TextIO:
    """Return standard output, and let what anybody else prints there go to standard error."""
    own = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return own

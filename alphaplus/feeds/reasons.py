"""Errors of ccxt in words that may be logged: without addresses, and not too long."""

import re
from typing import Final

_ADDRESS: Final = re.compile(r"\S+://\S+|\S+:\d+")


def reason_of(error: BaseException) -> str:
    """Describe an error without any address.

    >>> reason_of(OSError("cannot reach http://10.0.0.1:80/x"))
    'OSError (cannot reach ...)'
    """
    words = _ADDRESS.sub("...", str(error)).strip()
    return f"{type(error).__name__} ({words[:200]})" if words else type(error).__name__

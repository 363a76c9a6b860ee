"""Numbers of the fields that are kept: A-Z are 0..25 and a-z are 26..51, then the long names.

What a letter means is a matter of the message: `b` is a list of bids or the best bid's price.
"""

from typing import Final

A, B, E, M, S, T, U, X = 0, 1, 4, 12, 18, 19, 20, 23
a, b, e, i, m, o, p, q, r, s, t, u = 26, 27, 30, 34, 38, 40, 41, 42, 43, 44, 45, 46

PU: Final = 52
SYMBOL: Final = 53
LAST_UPDATE_ID: Final = 54
BIDS: Final = 55
ASKS: Final = 56
OPEN_INTEREST: Final = 57
TIME: Final = 58
STREAM: Final = 59
DATA: Final = 60
COUNT: Final = 61

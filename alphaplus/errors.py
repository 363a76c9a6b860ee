"""Every error that AlphaPlus raises on purpose.

AlphaPlusError
├── ConfigError          a setting, a file or an argument is wrong; nothing was started
├── CaptureError         a recording cannot be read
├── FeedError            resync: must the book start again from a new snapshot?
│   ├── BadFrame         a venue's frame does not follow its format
│   ├── SequenceGap      an update is missing
│   ├── FeedDisconnected the connection to the venue is gone
│   └── UnknownSymbol    the venue, or the fleet, has no such symbol
├── SymbolNotKept        nobody keeps the symbol yet, or its actor no longer does
├── FleetConflict        the fleet, as it is now, cannot do what it is told
├── UnknownMeasure       the measure is not among those that are taken
├── StreamClosed         a stream between processes is gone
├── StaleBook            the book is not in step with the venue
├── StorageError         the database or the spool refuses
│   └── MigrationError   the schema cannot be brought to this version
└── RiskError            a position or a margin input is not usable
    ├── MissingTier      no usable leverage tiers are known
    ├── UnknownPortfolio no portfolio has that id
    └── UnknownPosition  the portfolio holds nothing in that symbol

Messages are one sentence, "Expected ..., was ...", and then what to do. All arguments
reach ``super().__init__``, since errors cross processes by pickle.
"""


class AlphaPlusError(Exception):
    """Base of every error raised on purpose; `str()` of it is fit for a user."""


class ConfigError(AlphaPlusError):
    """A setting, a file or an argument is wrong."""


class CaptureError(AlphaPlusError):
    """A recording cannot be read."""


class FeedError(AlphaPlusError):
    """Something is wrong between the venue and the book."""

    resync: bool = False


class BadFrame(FeedError):
    """A frame does not follow the venue's format; the book was left as it is."""


class SequenceGap(FeedError):
    """An update is missing, so the book no longer equals the venue's."""

    resync = True

    def __init__(self, symbol: str, expected: int, was: int) -> None:
        super().__init__(symbol, expected, was)
        self.symbol = symbol
        self.expected = expected
        self.was = was

    def __str__(self) -> str:
        return f"Expected {self.symbol} to continue at {self.expected}, was {self.was}."


class FeedDisconnected(FeedError):
    """The connection to the venue is gone."""

    resync = True


class UnknownSymbol(FeedError):
    """The venue, or the fleet, has no such symbol."""


class SymbolNotKept(AlphaPlusError):
    """Nobody keeps a symbol for the moment: its actor has begun anew, or it is being placed."""


class FleetConflict(AlphaPlusError):
    """The fleet, as it is now, cannot do what it is told; nothing was changed."""


class UnknownMeasure(AlphaPlusError):
    """The measure is not among those that are taken of a market."""

    def __init__(self, name: str, known: tuple[str, ...]) -> None:
        super().__init__(name, known)
        self.name = name
        self.known = known

    def __str__(self) -> str:
        return f"Expected one of the measures {', '.join(self.known)}, was {self.name!r}."


class StreamClosed(AlphaPlusError):
    """A stream between processes is closed."""


class StaleBook(AlphaPlusError):
    """The book is not in step with the venue."""


class StorageError(AlphaPlusError):
    """The database or the spool refuses."""


class MigrationError(StorageError):
    """The schema cannot be brought to this version; nothing was changed."""


class RiskError(AlphaPlusError):
    """A position or a margin input is not usable."""


class MissingTier(RiskError):
    """No usable leverage tiers are known for a symbol at a time."""


class UnknownPortfolio(RiskError):
    """No portfolio has that id."""

    def __init__(self, portfolio_id: str, known: tuple[str, ...]) -> None:
        super().__init__(portfolio_id, known)
        self.portfolio_id = portfolio_id
        self.known = known

    def __str__(self) -> str:
        listed = ", ".join(self.known)
        return f"Expected a portfolio of {listed}, was {self.portfolio_id!r:.60}."


class UnknownPosition(RiskError):
    """A portfolio holds nothing in a symbol."""

    def __init__(self, portfolio_id: str, symbol: str, held: tuple[str, ...]) -> None:
        super().__init__(portfolio_id, symbol, held)
        self.portfolio_id = portfolio_id
        self.symbol = symbol
        self.held = held

    def __str__(self) -> str:
        listed = ", ".join(self.held) or "nothing"
        return (
            f"Expected a symbol that portfolio {self.portfolio_id} holds ({listed}), "
            f"was {self.symbol!r:.60}."
        )

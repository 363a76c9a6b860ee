"""The claims: one figure of ours beside that of a peer, measured in the same run."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from benchmarks.book.contenders.registry import CONTENDERS, OURS
from benchmarks.book.rounds import Result
from benchmarks.book.tasks import Task

Results = Mapping[str, Result]

CCXT = ("ccxt",)
PEERS = tuple(name for name in CONTENDERS if name != OURS)
HFTBACKTEST = ("hftbacktest_hash", "hftbacktest_roi")
ONE_BOOK = ("hftbacktest_roi_local",)
MAX_KB = 150.0
MAX_SECONDS = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A measured value beside its target: `at_least` or else at most; None = not measured."""

    value: float | None
    target: float | None
    at_least: bool
    against: str | None
    meaning: str

    @property
    def reached(self) -> bool | None:
        """Whether the value is as good as the target."""
        if self.value is None or self.target is None:
            return None
        return self.value >= self.target if self.at_least else self.value <= self.target


def claims(results: Results, messages_of_all: int | None = None) -> dict[str, Claim]:
    """Return all claims by name; those of contenders that are absent have no value."""

    def ratio(
        mine: Task, theirs: Task, peers: Iterable[str], target: float | None, meaning: str
    ) -> Claim:
        return _ratio(results, (mine, theirs), peers, target, meaning)

    found = {
        "bytes_top_20_vs_ccxt": ratio(
            Task.BYTES_TOP_20, Task.BYTES_TOP_20, CCXT, 40, "bytes to top 20, in batches"
        ),
        "bytes_top_20_vs_best_peer": ratio(
            Task.BYTES_TOP_20, Task.BYTES_TOP_20, PEERS, 10, "the same, beside the fastest that can"
        ),
        "apply_vs_hftbacktest": ratio(
            Task.APPLY, Task.APPLY, HFTBACKTEST, 4, "apply, data as its converters write it"
        ),
        "apply_vs_hftbacktest_local": ratio(
            Task.APPLY,
            Task.APPLY,
            ONE_BOOK,
            None,
            "apply, its data cut to one book without exchange",
        ),
        "measures_vs_ccxt_bare_book": ratio(
            Task.BYTES_MEASURES, Task.BYTES_BOOK, CCXT, 10, "depth frames to all measures"
        ),
        "measures_of_all_frames_vs_ccxt_bare_book": ratio(
            Task.BYTES_MEASURES_ALL, Task.BYTES_BOOK, CCXT, 10, "all frames to all measures"
        ),
        "apply_each_vs_ccxt": ratio(
            Task.APPLY_EACH, Task.APPLY_EACH, CCXT, 20, "apply, a call for each message"
        ),
        "bytes_top_20_each_vs_ccxt": ratio(
            Task.BYTES_TOP_20_EACH, Task.BYTES_TOP_20_EACH, CCXT, 20, "bytes to top 20, one by one"
        ),
    }
    ours = results.get(OURS)
    found["kb_per_book"] = Claim(
        value=ours.kb_per_book if ours else None,
        target=MAX_KB,
        at_least=False,
        against=None,
        meaning="KB of a book of 1000 levels a side",
    )
    rate = ours.messages_per_s.get(Task.BYTES_MEASURES_ALL) if ours else None
    found["recording_to_measures_s"] = Claim(
        value=messages_of_all / rate if rate and messages_of_all else None,
        target=MAX_SECONDS,
        at_least=False,
        against=None,
        meaning="the whole recording to all measures, s",
    )
    return found


def _ratio(
    results: Results,
    tasks: tuple[Task, Task],
    peers: Iterable[str],
    target: float | None,
    meaning: str,
) -> Claim:
    """Set our rate beside that of the fastest of some peers that keep the same book."""
    rates: dict[str, float] = {}
    for name in peers:
        result = results.get(name)
        rate = result.messages_per_s.get(tasks[1]) if result else None
        if result is not None and rate is not None and result.agrees:
            rates[name] = rate
    fastest = max(rates, key=lambda name: rates[name], default=None)
    mine = results[OURS].messages_per_s.get(tasks[0]) if OURS in results else None
    known = fastest is not None and mine is not None
    return Claim(
        value=mine / rates[fastest] if known and mine and fastest else None,
        target=target,
        at_least=True,
        against=fastest,
        meaning=meaning,
    )

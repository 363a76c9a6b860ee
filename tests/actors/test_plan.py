"""The planner against a small world in which actors start, fail and end as they please."""

from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.plan import Phase, Plan, enlist, plan

SYMBOLS = tuple("ABCDEFGH")
WAVE = 3


def test_who_is_wanted_and_has_no_seat_is_recruited_in_order_up_to_a_wave() -> None:
    seats = {"A": Phase.RUNNING, "C": Phase.STARTING}
    assert plan(SYMBOLS, seats, wave=3) == Plan(recruit=("B", "D"))


def test_the_first_starts_alone() -> None:
    assert plan(SYMBOLS, {}, wave=3).recruit == ("A",)
    assert plan(SYMBOLS, {"A": Phase.STARTING}, wave=3).recruit == ()
    assert plan(SYMBOLS, {"A": Phase.READY}, wave=3).recruit == ("B", "C", "D")


def test_who_waits_for_a_node_holds_up_nobody() -> None:
    seats = {"A": Phase.RUNNING, "B": Phase.PENDING, "C": Phase.PENDING, "D": Phase.PENDING}
    assert plan(SYMBOLS, seats, wave=3).recruit == ("E", "F", "G")


@pytest.mark.parametrize("phase", [phase for phase in Phase if phase is not Phase.LEAVING])
def test_who_is_not_wanted_is_dismissed_once(phase: Phase) -> None:
    assert plan("A", {"A": Phase.RUNNING, "B": phase}, wave=3) == Plan(dismiss=("B",))
    assert plan("A", {"A": Phase.RUNNING, "B": Phase.LEAVING}, wave=3) == Plan()


def test_a_seat_is_not_given_again_while_its_actor_leaves() -> None:
    assert plan("AB", {"A": Phase.RUNNING, "B": Phase.LEAVING}, wave=3) == Plan()


@dataclass
class World:
    """Carries plans out; who has a seat has an owner, and it counts owners."""

    seats: dict[str, Phase] = field(default_factory=dict)
    owners: dict[str, int] = field(default_factory=dict)

    def carry_out(self, found: Plan) -> None:
        for symbol in found.dismiss:
            assert self.seats[symbol] is not Phase.LEAVING
            self.seats[symbol] = Phase.LEAVING
        for symbol in found.recruit:
            assert symbol not in self.seats, "a second owner"
            self.seats[symbol] = Phase.STARTING
            self.owners[symbol] = self.owners.get(symbol, 0) + 1
            assert self.owners[symbol] == 1, "a second owner"

    def happen(self, symbol: str, what: Phase | None) -> None:
        """Let one actor come to a phase that it may come to by itself; None: it is dead."""
        now = self.seats.get(symbol)
        if now is Phase.LEAVING or (now is Phase.FAILED and what is None):
            if what is None:
                del self.seats[symbol]
                self.owners[symbol] -= 1
        elif (now in (Phase.PENDING, Phase.STARTING) and what in (
            Phase.PENDING, Phase.STARTING, Phase.READY, Phase.FAILED,
        )) or (now is Phase.READY and what is Phase.RUNNING):  # fmt: skip
            self.seats[symbol] = what


events = st.tuples(st.sampled_from(SYMBOLS), st.sampled_from([*Phase, None]))
wishes = st.lists(st.sampled_from(SYMBOLS), unique=True)


@settings(max_examples=300)
@given(st.lists(st.tuples(wishes, st.lists(events, max_size=6)), max_size=12), wishes)
def test_whatever_happens_nobody_has_two_owners_and_in_the_end_all_is_as_wanted(
    rounds: list[tuple[list[str], list[tuple[str, Phase | None]]]], wanted: list[str]
) -> None:
    world = World()
    for wish, happened in rounds:
        world.carry_out(plan(wish, world.seats, wave=WAVE))
        starting = list(world.seats.values()).count(Phase.STARTING)
        assert starting <= WAVE or not plan(wish, world.seats, wave=WAVE).recruit
        for symbol, what in happened:
            world.happen(symbol, what)
    for _ in range(4 * len(SYMBOLS)):  # now everything goes well
        world.carry_out(plan(wanted, world.seats, wave=WAVE))
        for symbol, phase in list(world.seats.items()):
            ends = phase in (Phase.LEAVING, Phase.FAILED)
            world.happen(symbol, None if ends else Phase.READY)
            world.happen(symbol, Phase.RUNNING)
    assert world.seats == dict.fromkeys(wanted, Phase.RUNNING)
    assert plan(wanted, world.seats, wave=WAVE) == Plan()


@given(
    st.lists(st.integers(), unique=True, max_size=30),
    st.dictionaries(st.integers(0, 5), st.integers(0, 6)),
    st.integers(1, 6),
)
def test_every_symbol_gets_one_shard_and_no_shard_too_many(
    numbers: list[int], sizes: dict[int, int], per_feed: int
) -> None:
    ready = [str(number) for number in numbers]
    feeds = {shard: [f"{shard}/{at}" for at in range(size)] for shard, size in sizes.items()}
    divided = enlist(ready, feeds, per_feed=per_feed)
    given = [symbol for symbols in divided.values() for symbol in symbols]
    assert sorted(given) == sorted(ready)
    for shard, symbols in divided.items():
        assert symbols
        assert len(feeds.get(shard, [])) + len(symbols) <= per_feed
    new = sorted(divided.keys() - feeds.keys())
    taken = feeds.keys() | divided.keys()
    assert all(number in taken for number in range(max(new, default=0))), "no number is left out"
    if new:
        assert all(
            len(symbols) + len(divided.get(shard, ())) >= per_feed
            for shard, symbols in feeds.items()
        ), "shards that are there are filled first"


def test_symbols_fill_the_shards_in_order() -> None:
    assert enlist(["C", "D", "E"], {0: ["A", "B"]}, per_feed=3) == {0: ("C",), 1: ("D", "E")}
    assert enlist([], {0: ["A"]}, per_feed=3) == {}

"""Moves between nodes: they are few, they end, and they do what they are for."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from actors.balance import MARGIN, Move, pack, spread

NODES = ("a", "b", "c", "d")
worlds = st.tuples(
    st.lists(st.sampled_from(NODES), max_size=24),
    st.dictionaries(st.sampled_from(NODES), st.integers(0, 30)),
)


def carried_out(
    places: dict[str, str], room: dict[str, int], moves: tuple[Move, ...]
) -> tuple[dict[str, str], dict[str, int]]:
    places, room = dict(places), dict(room)
    for move in moves:
        assert room[move.node] > 0, "a node takes no more than it has room for"
        assert places[move.symbol] != move.node
        room[move.node] -= 1
        if places[move.symbol] in room:
            room[places[move.symbol]] += 1
        places[move.symbol] = move.node
    return places, room


def test_a_new_node_takes_the_surplus_step_by_step() -> None:
    places = {f"S{n}": "a" for n in range(6)}
    assert spread(places, {"a": 0, "b": 9}, at_once=2) == (
        Move(symbol="S4", node="b"),
        Move(symbol="S5", node="b"),
    )
    assert spread(places, {"a": 0, "b": 1}, at_once=2) == (Move(symbol="S5", node="b"),)
    assert spread(places, {"a": 3, "b": 0}, at_once=2) == (), "it has no room"
    assert spread({}, {"a": 3}, at_once=2) == ()


@given(worlds, st.integers(1, 4))
def test_spreading_ends_with_nodes_that_are_even_or_full(
    world: tuple[list[str], dict[str, int]], at_once: int
) -> None:
    placed, room = world
    places = {f"S{n}": node for n, node in enumerate(placed)}
    for _ in range(100):
        moves = spread(places, room, at_once=at_once)
        assert len(moves) <= at_once
        if not moves:
            break
        places, room = carried_out(places, room, moves)
    else:
        raise AssertionError("it never ends")
    counts = Counter(dict.fromkeys([*places.values(), *room], 0)) + Counter(places.values())
    with_room = [counts[node] for node, free in room.items() if free]
    if with_room:
        assert max(counts.values(), default=0) - min(with_room) <= MARGIN


@given(worlds, st.integers(1, 4), st.sampled_from(("", *NODES)))
def test_packing_never_uses_one_node_more_and_ends(
    world: tuple[list[str], dict[str, int]], at_once: int, keep: str
) -> None:
    placed, room = world
    places = {f"S{n}": node for n, node in enumerate(placed)}
    used = set(places.values()) | {keep} - {""}
    kept = sum(node == keep for node in places.values())
    for _ in range(200):
        moves = pack(places, room, at_once=at_once, keep=keep)
        assert len(moves) <= at_once
        if not moves:
            break
        places, room = carried_out(places, room, moves)
        assert set(places.values()) <= used
    else:
        raise AssertionError("it never ends")
    assert sum(node == keep for node in places.values()) >= kept


def test_packing_empties_the_node_with_the_fewest() -> None:
    places = {"A": "a", "B": "b", "C": "b", "D": "b"}
    assert pack(places, {"a": 9, "b": 9}, at_once=3) == (Move(symbol="A", node="b"),)
    assert pack(places, {"a": 9, "b": MARGIN}, at_once=3) == (), "too little to spare"
    assert pack(places, {"b": 9}, at_once=3, keep="a") == ()
    assert pack(places, {"a": 9, "b": 9}, at_once=2, keep="a") == (
        Move(symbol="B", node="a"),
        Move(symbol="C", node="a"),
    )

"""When symbols are moved: only while all is well, and with rests between."""

from collections.abc import Mapping

from actors.balance import Move
from actors.plan import Phase
from actors.rebalance import REST_S, Rebalancer

CROWDED = {f"S{n}": "a" for n in range(5)}
RUNNING = [Phase.RUNNING] * 5


class World:
    def __init__(self, policy: str, keep: str = "") -> None:
        self.now = 100.0
        self.calm = True
        self.room = {"a": 10, "b": 10}
        self.made = Rebalancer(
            policy,
            room=self._room,
            is_calm=self._is_calm,
            keep=keep,
            clock=lambda: self.now,
        )

    async def _room(self) -> Mapping[str, int]:
        return self.room

    async def _is_calm(self) -> bool:
        return self.calm

    async def look(self, phases: list[Phase] = RUNNING) -> tuple[Move, ...]:
        self.now += REST_S
        return await self.made.look(phases, CROWDED)


async def test_a_crowded_node_gives_some_away_and_then_all_rest() -> None:
    world = World("spread")
    assert [move.node for move in await world.look()] == ["b", "b"]
    world.now += 1 - REST_S
    assert await world.look() == ()
    assert len(await world.look()) == 2
    assert world.made.moves == 4


async def test_nothing_is_moved_while_anybody_is_not_well() -> None:
    for phase in (phase for phase in Phase if phase is not Phase.RUNNING):
        assert await World("spread").look([*RUNNING[1:], phase]) == ()
    world = World("spread")
    world.calm = False
    assert await world.look() == ()
    world.calm = True
    assert len(await world.look()) == 2


async def test_it_may_be_off_and_who_has_no_room_gets_nobody() -> None:
    assert await World("off").look() == ()
    for room in ({"a": 10}, {"a": 10, "b": 0}):
        world = World("spread")
        world.room = room
        assert await world.look() == ()


async def test_packing_needs_another_node_that_is_used() -> None:
    assert await World("pack").look() == ()
    assert [move.node for move in await World("pack", keep="b").look()] == ["b", "b"]

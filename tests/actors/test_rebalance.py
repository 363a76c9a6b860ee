"""When symbols are moved: only while all is well, and with rests between."""

from collections.abc import Mapping

from actors.balance import Move
from actors.plan import Phase
from actors.rebalance import REST_S, Rebalancer
from actors.room import Demand, Offer

CROWDED = {f"S{n}": "a" for n in range(5)}
RUNNING = [Phase.RUNNING] * 5
ROOM = {"CPU": 1.0, "memory": 4e9}


class World:
    def __init__(self, policy: str, keep: str = "") -> None:
        self.now = 100.0
        self.calm = True
        self.free: dict[str, Offer] = {"a": ROOM, "b": ROOM}
        self.made = Rebalancer(
            policy,
            Demand(cpus=0.1, memory_mb=100),
            free=self._free,
            is_calm=self._is_calm,
            keep=keep,
            clock=lambda: self.now,
        )

    async def _free(self) -> Mapping[str, Offer]:
        return self.free

    async def _is_calm(self) -> bool:
        return self.calm

    async def look(
        self, phases: list[Phase] = RUNNING, refused: tuple[str, ...] = ()
    ) -> tuple[Move, ...]:
        self.now += REST_S
        return await self.made.look(phases, CROWDED, refused)


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


async def test_it_may_be_off_and_a_refused_node_has_no_room() -> None:
    assert await World("off").look() == ()
    assert await World("spread").look(refused=("b",)) == ()


async def test_packing_needs_another_node_that_is_used() -> None:
    assert await World("pack").look() == ()
    assert [move.node for move in await World("pack", keep="b").look()] == ["b", "b"]


async def test_a_node_takes_as_many_as_ray_gives_it_room_for() -> None:
    demand = Demand(cpus=0.1, memory_mb=100)
    assert demand.times({"CPU": 0.3, "memory": 4e9}) == 3, "0.3 is not quite three times 0.1"
    assert demand.times({"CPU": 4, "memory": 250e6}) == 2
    assert demand.times({"memory": 4e9}) == 0

"""Makes the symbols that are watched those that are wanted, one small step after another.

Each symbol has at most one seat, and with it at most one owner: a place in an actor whose name
nobody else can have, and which writes for the symbol only after it was joined here. A seat is given
up when the rows are handed over and the actor is dead, or keeps the symbol no longer
(`actors/hosts.py`), so a successor begins after that.
Whatever cannot be done now (no node with room, a store that is away) holds up nobody else.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import ray
from ray.exceptions import ActorUnavailableError, RayError

from actors import names
from actors.feeding import Feeding
from actors.identity import Inspection
from actors.members import FleetMembers, Member, in_time
from actors.node import this_node
from actors.plan import Phase, plan
from actors.rebalance import Rebalancer
from actors.recruit import Recruiter
from actors.repair import Repairs
from actors.room import Offer, free_resources, is_placed, shortage
from alphaplus.config import Settings
from alphaplus.errors import FleetConflict, SymbolNotKept, UnknownSymbol
from alphaplus.instruments import Instrument

log = logging.getLogger(__name__)

LOOK_EVERY_S: Final = 1.0
PLACED_WITHIN_S: Final = 3.0
"""An actor that is not ready after this, and has no node while none has room, waits for one."""
TOGETHER_S: Final = 5.0
"""Symbols that are ready wait so long for others that start, to share their connections."""
RETRY_S: Final = 5.0


@dataclass(slots=True)
class Seat:
    """The one place of a symbol, and the actor that keeps it, maybe with others."""

    phase: Phase
    member: Member
    since: float
    """When it came to this phase, s of the monotonic clock."""
    detail: str = ""
    node: str = ""
    """Ray's id of the node of its actor, empty until that lives."""
    task: asyncio.Task[None] | None = None
    """What is being done with it."""

    def enter(self, phase: Phase, detail: str = "") -> None:
        """Come to a phase."""
        self.phase, self.detail, self.since = phase, detail, time.monotonic()


class Reconciler:
    """`settle` once, then `run`; who changes what is wanted calls `look_again`."""

    def __init__(
        self,
        settings: Settings,
        fleet: FleetMembers,
        recruiter: Recruiter,
        repairs: Repairs,
        wanted: Callable[[], Mapping[str, Instrument]],
        *,
        on_running: Callable[[str], None],
    ) -> None:
        """`on_running` hears of each symbol whose feed has been told to send."""
        self.left: list[dict[str, Any]] = []
        """Last reports of the symbols that were dismissed."""
        self._settings = settings
        self._fleet = fleet
        self._recruiter = recruiter
        self._repairs = repairs
        self._wanted = wanted
        self._on_running = on_running
        self.inspection = Inspection()
        self._hosts = recruiter.hosts(lambda: len(wanted()))
        self.rebalancer = Rebalancer(
            settings.fleet.rebalance,
            room=self._room,
            is_calm=self._is_calm,
            keep=this_node(),
        )
        self._feeding = Feeding(
            settings.feeds, fleet, recruiter, repairs, self.inspection, on_sent=self._sent
        )
        self._seats: dict[str, Seat] = {}
        self._targets: dict[str, str] = {}
        """The nodes of symbols that are being moved."""
        self._checks: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Event()
        self._failure: BaseException | None = None
        self._defect: BaseException | None = None
        self._shortage: str | None = None
        self._is_stopped = False

    @property
    def feeds_left(self) -> list[dict[str, Any]]:
        """Last reports of the feeds that had nobody to send any more."""
        return self._feeding.left

    async def settle(self, say: Callable[[str], None]) -> None:
        """Start everybody for whom there is room; raises what keeps one from starting."""
        while True:
            await self._step()
            if self._is_stopped:
                raise FleetConflict("Expected to start the fleet, was told to drain it meanwhile.")
            if self._failure is not None:
                raise self._failure
            phases = [seat.phase for seat in self._seats.values()]
            say(f"{phases.count(Phase.READY)} of {len(self._wanted())} symbols")
            if Phase.STARTING not in phases and len(phases) >= len(self._wanted()):
                break
            await self._wait()
        self._enlist(patient=False)
        while self._feeding.telling and self._feeding.failure is None:
            await asyncio.wait(self._feeding.telling, timeout=LOOK_EVERY_S)
        if self._feeding.failure is not None:
            raise self._feeding.failure

    async def run(self) -> None:
        """Look again and again, until cancelled; raises what is a defect."""
        while self._defect is None:
            await self._wait()
            await self._step()
            self._enlist(patient=True)
            await self._rebalance()
        raise self._defect

    def check_again(self, symbol: str) -> None:
        """Look at a symbol whose actor lives anew, maybe on another node."""
        task = self._begin(self._checked_again(symbol), f"check {symbol}")
        self._checks.add(task)
        task.add_done_callback(self._checks.discard)

    def leave(self, symbols: Iterable[str]) -> None:
        """Begin to end the owners of symbols at once, whatever is wanted in the next moment."""
        for symbol in symbols:
            seat = self._seats.get(symbol)
            if seat is not None and seat.phase is not Phase.LEAVING:
                self.dismiss(symbol)
        self.look_again()

    def look_again(self) -> None:
        """Look at once: what is wanted has changed."""
        self._changed.set()

    async def stop(self, timeout_s: float) -> None:
        """End what is under way: actors that were to start, and after them those that leave."""
        self._is_stopped = True
        starting = {
            symbol: seat
            for symbol, seat in self._seats.items()
            if seat.phase in (Phase.PENDING, Phase.STARTING)
        }
        for symbol, seat in starting.items():
            if seat.task is not None:
                seat.task.cancel()
            host = self._hosts.find(symbol)
            if host is not None and host.symbols <= starting.keys():  # else others are to drain
                ray.kill(host.actor, no_restart=True)
            log.info("%s did not start before the end", symbol)
        self._feeding.cancel()
        for task in self._checks:
            task.cancel()
        leaving = [s.task for s in self._seats.values() if s.phase is Phase.LEAVING and s.task]
        if leaving:
            _, late = await asyncio.wait(leaving, timeout=timeout_s)
            for task in late:
                task.cancel()

    def actor_of(self, symbol: str) -> str:
        """Return the name of the actor in which a symbol has its place.

        Raises UnknownSymbol if it is not to have one, SymbolNotKept while it has none.
        """
        host = self._hosts.find(symbol)
        if host is not None:
            return host.name
        if symbol in self._wanted():
            raise SymbolNotKept(f"{symbol} waits for an actor: {self.state(symbol)['detail']}.")
        raise UnknownSymbol(f"Expected a symbol that is watched, was {symbol}.")

    def states(self) -> list[dict[str, Any]]:
        """Say of each symbol that is wanted, or is leaving, where it stands."""
        wanted = self._wanted()
        everyone = [*wanted, *(symbol for symbol in self._seats if symbol not in wanted)]
        return [self.state(symbol) for symbol in everyone]

    def state(self, symbol: str) -> dict[str, Any]:
        """Say where one symbol stands: `symbol`, `state`, `detail`, `actor` and `feed`."""
        seat, host = self._seats.get(symbol), self._hosts.find(symbol)
        if seat is None:
            state, detail = Phase.PENDING, "others start before it"
        elif seat.phase is Phase.LEAVING and symbol in self._wanted():
            state, detail = Phase.PENDING, "its former actor ends first"
        elif seat.phase is Phase.RUNNING and self._repairs.is_away(names.symbol_name(symbol)):
            state = Phase.PENDING if self._shortage else Phase.STARTING
            detail = self._shortage or "it is started, or joined, again"
        else:
            state = Phase.STARTING if seat.phase is Phase.READY else seat.phase
            detail = seat.detail
        return {
            "symbol": symbol,
            "exchange": self._settings.feeds.exchange,
            "state": str(state),
            "detail": detail,
            "actor": None if host is None else host.name,
            "feed": self._fleet.feed_of(symbol),
        }

    def _begin(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        task = asyncio.create_task(work, name=name)
        task.add_done_callback(self._note_defect)
        return task

    def _note_defect(self, task: asyncio.Task[None]) -> None:
        """Have `run` end with what nobody has foreseen: a seat would stay as it is for ever."""
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._failure = self._defect = error
            self.look_again()

    async def _wait(self) -> None:
        try:
            async with asyncio.timeout(LOOK_EVERY_S):
                await self._changed.wait()
        except TimeoutError:
            return
        self._changed.clear()

    async def _step(self) -> None:
        await self._look_for_room()
        if self._is_stopped:
            return
        phases = {symbol: seat.phase for symbol, seat in self._seats.items()}
        wave = self._settings.fleet.start_wave * self._hosts.places
        found = plan(self._wanted(), phases, wave=wave)
        for symbol in found.dismiss:
            self.dismiss(symbol)
        for symbol in found.recruit:
            self._recruit(symbol, self._wanted()[symbol])

    async def _look_for_room(self) -> None:
        """Tell the actors that wait for a node from those that start."""
        now = time.monotonic()
        waiting = [
            (symbol, seat)
            for symbol, seat in self._seats.items()
            if seat.phase is Phase.PENDING
            or (seat.phase is Phase.STARTING and now - seat.since > PLACED_WITHIN_S)
        ]
        has_lost = any(self._repairs.is_away(names.symbol_name(s)) for s in self._seats)
        if not waiting and not has_lost:
            self._shortage = None
            return
        reason = shortage(self._hosts.demand, await self._free())
        self._shortage = reason
        for symbol, seat in waiting:
            actor = seat.member.handle.actor
            has_node = reason is None or await asyncio.to_thread(is_placed, actor)
            if seat.phase is Phase.PENDING and has_node:
                seat.enter(Phase.STARTING)
            elif seat.phase is Phase.STARTING and reason is not None and not has_node:
                log.warning("%s is pending: %s", symbol, reason)
                seat.enter(Phase.PENDING, reason)

    def _recruit(self, symbol: str, instrument: Instrument) -> None:
        try:
            member = self._hosts.recruit(
                symbol,
                [instrument],
                node=self._targets.get(symbol),
                avoid=self.inspection.refused,
            )
        except ValueError as error:  # the name is taken: its last owner is not quite gone
            log.warning("%s cannot start yet: %s", symbol, error)
            return
        self._targets.pop(symbol, None)
        seat = self._seats[symbol] = Seat(Phase.STARTING, member, time.monotonic())
        seat.task = self._begin(self._hired(symbol, instrument, seat), f"hire {symbol}")

    async def _hired(self, symbol: str, instrument: Instrument, seat: Seat) -> None:
        fleet, member = self._fleet, seat.member
        try:
            member.life = await _ready(member)
            await self._locate(symbol, seat)
        except FleetConflict as error:  # the node's fault: it starts elsewhere
            self._fail(symbol, seat, error)
            return
        except (RayError, TimeoutError) as error:
            self._failure = self._failure or error
            self._fail(symbol, seat, error)
            return
        fleet.symbols[symbol] = member
        if symbol in self._wanted() and symbol not in fleet.instruments:
            fleet.instruments[symbol] = instrument
            await self._tell_board()
        try:
            await fleet.join_symbol(member)
        except (RayError, TimeoutError) as error:
            log.warning("%s is not joined yet: %s", symbol, error)
            self._repairs.suspect(names.symbol_name(symbol))
        seat.enter(Phase.READY)
        self.look_again()

    async def _locate(self, symbol: str, seat: Seat) -> None:
        """Note the node of an actor that lives; raises FleetConflict if it must not be there."""
        try:
            seat.node = await self.inspection.node_of(
                seat.member.handle.actor, names.symbol_name(symbol)
            )
        except FleetConflict:
            self._hosts.shun(symbol)
            raise
        self._hosts.is_at(symbol, seat.node)

    async def _tell_board(self) -> None:
        try:
            await self._fleet.join_board()
        except (RayError, TimeoutError) as error:
            log.warning("the board does not know the symbols of now yet: %s", error)
            self._repairs.suspect(names.PORTFOLIO)

    def _fail(self, symbol: str, seat: Seat, error: BaseException) -> None:
        cause = getattr(error, "cause", None) or error
        reason = str(cause).strip().splitlines()[-1] if str(cause).strip() else repr(cause)
        log.error("%s cannot start, and is tried again in %g s: %s", symbol, RETRY_S, reason)
        seat.enter(Phase.FAILED, reason)
        seat.task = self._begin(self._vacate(symbol, seat, after_s=RETRY_S), f"vacate {symbol}")

    async def _vacate(self, symbol: str, seat: Seat, *, after_s: float = 0.0) -> None:
        """End the owner that has a seat, see it gone, and give up the seat."""
        await asyncio.sleep(after_s)
        await self._hosts.vacate(symbol)
        if self._seats.get(symbol) is seat:
            del self._seats[symbol]
        self.look_again()

    def _enlist(self, *, patient: bool) -> None:
        """Have feeds send to the symbols that are ready, many at a time."""
        fleet, now = self._fleet, time.monotonic()
        ready = {
            symbol: seat
            for symbol, seat in self._seats.items()
            if seat.phase is Phase.READY and fleet.feed_of(symbol) is None
        }
        others_start = any(seat.phase is Phase.STARTING for seat in self._seats.values())
        if not ready or (
            patient
            and others_start
            and all(now - seat.since < TOGETHER_S for seat in ready.values())
        ):
            return
        self._feeding.begin(list(ready))

    def _sent(self, symbol: str) -> None:
        seat = self._seats.get(symbol)
        if seat is not None and seat.phase is Phase.READY:
            seat.enter(Phase.RUNNING)
            self._on_running(symbol)

    async def _checked_again(self, symbol: str) -> None:
        seat = self._seats.get(symbol)
        if seat is None:
            return
        try:
            await self._locate(symbol, seat)
        except (RayError, TimeoutError) as error:
            log.warning("the node of %s is not known yet: %s", symbol, error)
        except FleetConflict:
            if self._seats.get(symbol) is seat and seat.phase is not Phase.LEAVING:
                self.dismiss(symbol)

    async def _rebalance(self) -> None:
        seats = self._seats
        moves = await self.rebalancer.look(
            [seat.phase for seat in seats.values()],
            {symbol: seat.node for symbol, seat in seats.items()},
        )
        for move in moves:
            self._targets[move.symbol] = move.node
            self.dismiss(move.symbol)

    async def _free(self) -> dict[str, Offer]:
        free = await asyncio.to_thread(free_resources)
        return {node: offer for node, offer in free.items() if node not in self.inspection.refused}

    async def _room(self) -> dict[str, int]:
        return self._hosts.room(await self._free())

    async def _is_calm(self) -> bool:
        try:
            stats = await in_time(self._fleet.portfolio.handle.stats.remote())
        except (RayError, TimeoutError) as error:
            log.warning("nothing is moved while the board does not answer: %s", error)
            return False
        return bool(stats["stale_symbols"] == 0)

    def dismiss(self, symbol: str) -> None:
        """Begin to end a symbol's owner; its seat is free when that is no more."""
        seat = self._seats[symbol]
        before = seat.task
        seat.enter(Phase.LEAVING)
        seat.task = self._begin(self._dismissed(symbol, seat, before), f"dismiss {symbol}")

    async def _dismissed(self, symbol: str, seat: Seat, before: asyncio.Task[None] | None) -> None:
        if before is not None:
            before.cancel()
            await asyncio.gather(before, return_exceptions=True)
        await self._repairs.leave(names.symbol_name(symbol))
        if self._fleet.symbols.pop(symbol, None) is not None:
            await self._feeding.end(symbol)
            await self._drained(symbol, seat)
        if symbol not in self._wanted() and self._fleet.instruments.pop(symbol, None) is not None:
            await self._tell_board()
        await self._vacate(symbol, seat)
        log.info("%s has left", symbol)

    async def _drained(self, symbol: str, seat: Seat) -> None:
        """Wait until the store has every row of an actor; one that died has taken its own along."""
        timeout_s = self._settings.fleet.drain_timeout_s / 2
        while True:
            try:
                report = await in_time(seat.member.handle.drain.remote(timeout_s), timeout_s * 3)
            except (RayError, TimeoutError) as error:
                log.warning("no report of %s: %s", symbol, str(error).splitlines()[0])
                return
            if not report["rows_unacked"]:
                self.left.append(report)
                return
            seat.detail = f"{report['rows_unacked']} rows wait for the store"
            log.warning("%s leaves: %s", symbol, seat.detail)


async def _ready(member: Member) -> Any:
    """Return an actor's life once it lives; raises RayError if it never will."""
    while True:
        try:
            return await member.handle.ready.remote()
        except ActorUnavailableError as error:  # its process died; Ray starts another
            log.warning("an actor died while it started: %s", str(error).splitlines()[0])
            await asyncio.sleep(LOOK_EVERY_S)

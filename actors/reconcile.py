"""Makes the symbols that are watched those that are wanted, one small step after another.

Each symbol has at most one seat, and with it at most one owner: an actor that was created for the
seat, whose name nobody else can have, and which writes only after it was joined here. A seat is
given up when the actor has handed over its rows and is dead, so a successor begins after that.
Whatever cannot be done now (no node with room, a store that is away) holds up nobody else.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import ray
from ray.exceptions import ActorUnavailableError, RayError

from actors import names
from actors.members import FeedMember, FleetMembers, Member, in_time
from actors.plan import Phase, enlist, plan
from actors.recruit import Recruiter
from actors.repair import Repairs
from actors.room import free_resources, shortage
from alphaplus.config import Settings
from alphaplus.errors import AlphaPlusError
from alphaplus.instruments import Instrument

log = logging.getLogger(__name__)

LOOK_EVERY_S: Final = 1.0
PLACED_WITHIN_S: Final = 3.0
"""An actor that is not ready after this, while no node has room, is waiting for one."""
TOGETHER_S: Final = 5.0
"""Symbols that are ready wait so long for others that start, to share their connections."""
RETRY_S: Final = 5.0
GONE_EVERY_S: Final = 0.05


@dataclass(slots=True)
class Seat:
    """The one place of a symbol, and the actor that has it."""

    phase: Phase
    member: Member
    since: float
    """When it came to this phase, s of the monotonic clock."""
    detail: str = ""
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
        """Last reports of the actors that were dismissed."""
        self._settings = settings
        self._fleet = fleet
        self._recruiter = recruiter
        self._repairs = repairs
        self._wanted = wanted
        self._on_running = on_running
        self._seats: dict[str, Seat] = {}
        self._recruited = 0
        self._changed = asyncio.Event()
        self._telling: set[asyncio.Task[None]] = set()
        self._failure: BaseException | None = None

    async def settle(self, say: Callable[[str], None]) -> None:
        """Start everybody for whom there is room; raises what keeps one from starting."""
        while True:
            await self._step()
            if self._failure is not None:
                raise self._failure
            phases = [seat.phase for seat in self._seats.values()]
            say(f"{phases.count(Phase.READY)} of {len(self._wanted())} symbols")
            if Phase.STARTING not in phases and len(phases) >= len(self._wanted()):
                break
            await self._wait()
        self._enlist(patient=False)
        while self._telling and self._failure is None:
            await asyncio.wait(self._telling, timeout=LOOK_EVERY_S)
        if self._failure is not None:
            raise self._failure

    async def run(self) -> None:
        """Look again and again, until cancelled."""
        while True:
            await self._wait()
            await self._step()
            self._enlist(patient=True)

    def look_again(self) -> None:
        """Look at once: what is wanted has changed."""
        self._changed.set()

    async def stop(self, timeout_s: float) -> None:
        """End what is under way: actors that were to start, and after them those that leave."""
        for symbol, seat in self._seats.items():
            if seat.phase in (Phase.PENDING, Phase.STARTING) and seat.task is not None:
                seat.task.cancel()
                ray.kill(seat.member.handle, no_restart=True)
                log.info("%s did not start before the end", symbol)
        for task in self._telling:
            task.cancel()
        leaving = [s.task for s in self._seats.values() if s.phase is Phase.LEAVING and s.task]
        if leaving:
            _, late = await asyncio.wait(leaving, timeout=timeout_s)
            for task in late:
                task.cancel()

    def states(self) -> list[dict[str, Any]]:
        """Say of each symbol that is wanted, or is leaving, where it stands."""
        wanted = self._wanted()
        everyone = [*wanted, *(symbol for symbol in self._seats if symbol not in wanted)]
        return [self.state(symbol) for symbol in everyone]

    def state(self, symbol: str) -> dict[str, Any]:
        """Say where one symbol stands: `symbol`, `state`, `detail` and `feed`."""
        seat = self._seats.get(symbol)
        if seat is None:
            state, detail = Phase.PENDING, "others start before it"
        elif seat.phase is Phase.LEAVING and symbol in self._wanted():
            state, detail = Phase.PENDING, "its former actor ends first"
        else:
            state = Phase.STARTING if seat.phase is Phase.READY else seat.phase
            detail = seat.detail
        return {
            "symbol": symbol,
            "exchange": self._settings.feeds.exchange,
            "state": str(state),
            "detail": detail,
            "feed": self._fleet.feed_of(symbol),
        }

    async def _wait(self) -> None:
        try:
            async with asyncio.timeout(LOOK_EVERY_S):
                await self._changed.wait()
        except TimeoutError:
            return
        self._changed.clear()

    async def _step(self) -> None:
        await self._look_for_room()
        phases = {symbol: seat.phase for symbol, seat in self._seats.items()}
        found = plan(self._wanted(), phases, wave=self._settings.fleet.start_wave)
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
        if not waiting:
            return
        reason = shortage(self._recruiter.symbol_demand, await asyncio.to_thread(free_resources))
        for symbol, seat in waiting:
            if reason is not None and seat.phase is Phase.STARTING:
                log.warning("%s is pending: %s", symbol, reason)
                seat.enter(Phase.PENDING, reason)
            elif reason is None and seat.phase is Phase.PENDING:
                seat.enter(Phase.STARTING)

    def _recruit(self, symbol: str, instrument: Instrument) -> None:
        try:
            member = self._recruiter.symbol(symbol, [instrument], self._recruited)
        except ValueError as error:  # the name is taken: its last owner is not quite gone
            log.warning("%s cannot start yet: %s", symbol, error)
            return
        self._recruited += 1
        seat = self._seats[symbol] = Seat(Phase.STARTING, member, time.monotonic())
        seat.task = asyncio.create_task(
            self._hired(symbol, instrument, seat), name=f"hire {symbol}"
        )

    async def _hired(self, symbol: str, instrument: Instrument, seat: Seat) -> None:
        fleet, member = self._fleet, seat.member
        try:
            member.life = await _ready(member)
        except RayError as error:
            self._fail(symbol, seat, error)
            return
        fleet.symbols[symbol] = member
        is_new = symbol not in fleet.instruments
        fleet.instruments[symbol] = instrument
        try:
            if is_new:
                await fleet.join_board()
        except (RayError, TimeoutError) as error:
            log.warning("%s is not on the board yet: %s", symbol, error)
            self._repairs.suspect(names.PORTFOLIO)
        try:
            await fleet.join_symbol(member)
        except (RayError, TimeoutError) as error:
            log.warning("%s is not joined yet: %s", symbol, error)
            self._repairs.suspect(names.symbol_name(symbol))
        seat.enter(Phase.READY)
        self.look_again()

    def _fail(self, symbol: str, seat: Seat, error: BaseException) -> None:
        cause = getattr(error, "cause", None) or error
        reason = str(cause).strip().splitlines()[-1] if str(cause).strip() else repr(cause)
        log.error("%s cannot start, and is tried again in %g s: %s", symbol, RETRY_S, reason)
        self._failure = self._failure or error
        seat.enter(Phase.FAILED, reason)
        seat.task = asyncio.create_task(self._vacate(symbol, seat, after_s=RETRY_S))

    async def _vacate(self, symbol: str, seat: Seat, *, after_s: float = 0.0) -> None:
        """Kill a seat's actor for good, see it gone, and give up the seat."""
        await asyncio.sleep(after_s)
        name = names.symbol_name(symbol)
        await asyncio.to_thread(ray.kill, seat.member.handle, no_restart=True)
        while await asyncio.to_thread(names.is_taken, name):  # noqa: ASYNC110  # Ray tells nobody
            await asyncio.sleep(GONE_EVERY_S)
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
        feeds = self._settings.feeds
        shards = {int(name.rpartition(":")[2]): feed.symbols for name, feed in fleet.feeds.items()}
        divided = enlist(list(ready), shards, per_feed=feeds.symbols_per_feed)
        for shard, symbols in divided.items():
            name = names.feed_name(feeds.exchange, shard)
            if name not in fleet.feeds:
                fleet.feeds[name] = self._recruiter.feed(shard)
            feed = fleet.feeds[name]
            feed.symbols += symbols
            task = asyncio.create_task(self._told(name, feed, symbols), name=f"tell {name}")
            self._telling.add(task)
            task.add_done_callback(self._telling.discard)

    async def _told(self, name: str, feed: FeedMember, symbols: tuple[str, ...]) -> None:
        """Tell a feed of more symbols until it has understood."""
        while True:
            try:
                await self._fleet.join_feed(feed)
                break
            except (RayError, TimeoutError) as error:
                cause = getattr(error, "cause", None) or error
                if isinstance(cause, AlphaPlusError):
                    self._failure = self._failure or cause
                log.warning("%s does not send %s yet: %s", name, ", ".join(symbols), cause)
            await asyncio.sleep(RETRY_S)
        for symbol in symbols:
            seat = self._seats.get(symbol)
            if seat is not None and seat.phase is Phase.READY:
                seat.enter(Phase.RUNNING)
                self._on_running(symbol)

    def dismiss(self, symbol: str) -> None:
        """Begin to end a symbol's actor; its seat is free when the actor is dead."""
        seat = self._seats[symbol]
        before = seat.task
        seat.enter(Phase.LEAVING)
        seat.task = asyncio.create_task(
            self._dismissed(symbol, seat, before), name=f"dismiss {symbol}"
        )

    async def _dismissed(self, symbol: str, seat: Seat, before: asyncio.Task[None] | None) -> None:
        if before is not None:
            before.cancel()
            await asyncio.gather(before, return_exceptions=True)
        await self._repairs.leave(names.symbol_name(symbol))
        if self._fleet.symbols.pop(symbol, None) is not None:
            await self._taken_off(symbol)
            await self._drained(symbol, seat)
        await self._vacate(symbol, seat)
        log.info("%s has left", symbol)

    async def _taken_off(self, symbol: str) -> None:
        """Have the feed send a symbol no longer; a feed that is away begins anew without it."""
        name = self._fleet.feed_of(symbol)
        if name is None:
            return
        feed = self._fleet.feeds[name]
        feed.symbols = tuple(other for other in feed.symbols if other != symbol)
        try:
            await self._fleet.join_feed(feed)
        except (RayError, TimeoutError) as error:
            log.warning("%s is not told yet that %s has left: %s", name, symbol, error)
            self._repairs.suspect(name)

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

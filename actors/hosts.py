"""Which actor keeps which symbol: one of its own each, or several in one process.

An actor is a process with a cost of its own, whatever it does: some 4.5 ms of processor time a
second and 30 MB. A machine with few processors for its symbols has them share processes.
"""

import logging
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from ray.exceptions import ActorDiedError, RayError

from actors import names
from actors.ending import killed, restarted
from actors.members import Member, in_time
from actors.room import Demand, Offer
from actors.symbol_handle import OwnedSymbol
from alphaplus.instruments import Instrument

log = logging.getLogger(__name__)

ALONE_PER_PROCESSOR: Final = 12
"""So many symbols for each processor of a machine have an actor each."""
ACTORS_PER_PROCESSOR: Final = 4
"""Those of more symbols; more actors would spend their time on waking up."""
MAX_PLACES: Final = 14
"""What a symbol keeps grows to 6 MB: an actor that is full stays below 120 MB."""


def places_on(symbols: int, processors: int) -> int:
    """Return how many symbols share an actor where one machine is all there is.

    >>> places_on(24, 2), places_on(50, 2), places_on(100, 2), places_on(200, 2), places_on(200, 64)
    (1, 7, 13, 14, 1)
    """
    if symbols <= ALONE_PER_PROCESSOR * processors:
        return 1
    return min(math.ceil(symbols / (ACTORS_PER_PROCESSOR * processors)), MAX_PLACES)


class Create(Protocol):
    """Creates an actor for symbols; see `Recruiter.host`."""

    def __call__(
        self, name: str, demand: Demand, *, places: int, node: str | None, avoid: Collection[str]
    ) -> Any: ...


@dataclass(slots=True, eq=False)
class Host:
    """An actor that keeps symbols, up to `places` of them."""

    name: str
    actor: Any
    places: int
    store: str
    """The name of the store that takes its rows."""
    symbols: set[str] = field(default_factory=set)
    node: str = ""
    """Ray's id of its node; until that is known that which it is meant for, empty if any."""
    is_shunned: bool = False
    """Whether nobody new comes: its node is refused, or it is dead for good."""

    def takes(self, node: str | None, avoid: Collection[str]) -> bool:
        """Whether one more symbol may come that wants a node, or any but those of `avoid`."""
        is_open = len(self.symbols) < self.places and not self.is_shunned
        return is_open and self.node not in avoid and (node is None or self.node == node)


class Hosts:
    """Finds places for symbols, and gives them up."""

    def __init__(
        self,
        create: Create,
        *,
        places: Callable[[], int],
        first: Demand,
        more: Demand,
        stores: Callable[[int], str],
    ) -> None:
        """`places` says how many symbols the next actor takes; the first of them makes it ask a
        node for `first`, each other one for `more`. `stores` names the store of the n-th actor."""
        self._create = create
        self._count_places = places
        self._first = first
        self._more = more
        self._stores = stores
        self._created = 0
        self._hosts: dict[str, Host] = {}
        self._kept_by: dict[str, Host] = {}

    @property
    def places(self) -> int:
        """How many symbols the next actor takes."""
        return self._count_places()

    @property
    def demand(self) -> Demand:
        """What the next actor asks of a node."""
        return self._first.plus(self._more, self.places - 1)

    def recruit(
        self,
        symbol: str,
        instruments: Sequence[Instrument],
        *,
        node: str | None = None,
        avoid: Collection[str] = (),
    ) -> Member:
        """Return the owner of a symbol, in an actor with a free place or a new one.

        It goes to `node` if there is room, and never to those of `avoid`. Raises ValueError
        while the name of the actor is taken.
        """
        taking = (host for host in self._hosts.values() if host.takes(node, avoid))
        host = next(taking, None) or self._new_host(symbol, node, avoid)
        host.symbols.add(symbol)
        self._kept_by[symbol] = host
        return Member(OwnedSymbol(host.actor, symbol, instruments), store=host.store)

    def find(self, symbol: str) -> Host | None:
        """Return the actor where a symbol has its place."""
        return self._kept_by.get(symbol)

    def is_at(self, symbol: str, node: str) -> None:
        """Remember the node of the actor of a symbol."""
        host = self.find(symbol)
        if host is not None:
            host.node = node

    def shun(self, symbol: str) -> None:
        """Place nobody else in the actor of a symbol, as its node is refused."""
        host = self.find(symbol)
        if host is not None:
            host.is_shunned = True

    def room(self, free: Mapping[str, Offer]) -> dict[str, int]:
        """Return how many more symbols each node can take; `free` is what nodes have free."""
        demand, places = self.demand, self.places
        room = {node: demand.times(offer) * places for node, offer in free.items()}
        for host in self._hosts.values():
            if host.node in room and not host.is_shunned:
                room[host.node] += host.places - len(host.symbols)
        return room

    async def vacate(self, symbol: str) -> None:
        """Return when a symbol's owner is no more; what it had not handed over is lost."""
        host = self.find(symbol)
        if host is None:
            return
        if len(host.symbols) > 1:
            await _given_up(host, symbol)
        host.symbols.discard(symbol)
        if self._kept_by.get(symbol) is host:
            del self._kept_by[symbol]
        if not host.symbols and self._hosts.get(host.name) is host:  # others left meanwhile
            del self._hosts[host.name]
            await killed(host.actor, host.name)

    def _new_host(self, symbol: str, node: str | None, avoid: Collection[str]) -> Host:
        places = self.places
        name = names.symbol_name(symbol) if places == 1 else self._free_name()
        actor = self._create(name, self.demand, places=places, node=node, avoid=avoid)
        store = self._stores(self._created)
        host = self._hosts[name] = Host(name, actor, places, store, node=node or "")
        self._created += 1
        return host

    def _free_name(self) -> str:
        numbers = range(len(self._hosts) + 1)
        return next(name for name in map(names.host_name, numbers) if name not in self._hosts)


async def _given_up(host: Host, symbol: str) -> None:
    """Return when an actor keeps a symbol no longer, by its word or by its end."""
    try:
        await in_time(host.actor.leave.remote(symbol))
    except ActorDiedError as error:
        log.error("%s, where %s was, never comes back: %s", host.name, symbol, error)
        host.is_shunned = True
    except (RayError, TimeoutError) as error:
        log.error("%s does not give up %s and begins anew: %s", host.name, symbol, error)
        await restarted(host.actor)

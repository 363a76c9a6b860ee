"""What the API says of the load of the fleet: each market and each role, right now.

CPU is in cores, memory in bytes (proportional set size, read once a minute). Null is unknown:
rates need two tellings of an actor, which come every five seconds.
"""

from pydantic import Field

from serve.schemas import Answer, Freshness


class MarketLoad(Freshness):
    """What one market does and costs; batch, CPU and memory are those of the symbol, which has a
    part of its actor's where symbols share one."""

    symbol: str = Field(description="Our name of the instrument.", examples=["BTC-USDT-PERP"])
    exchange: str = Field(description="Where it is traded.", examples=["binance"])
    actor: str | None = Field(
        None, description="The actor that keeps the symbol.", examples=["symbol:BTC-USDT-PERP"]
    )
    p50_ms: float | None = Field(
        None, description="Median of the last seconds, socket to analysis, ms.", examples=[0.6]
    )
    p99_ms: float | None = Field(
        None, description="99th percentile of the same, ms.", examples=[4.8]
    )
    messages_per_s: float | None = Field(None, description="Messages applied.", examples=[95.2])
    batch_events: float | None = Field(
        None, description="Events applied together, mean.", examples=[68.0]
    )
    apply_ms: float | None = Field(
        None, description="Time to apply a batch, mean, ms.", examples=[0.12]
    )
    gaps: int = Field(description="Sequence gaps since its start.", examples=[0])
    dropped_events: int | None = Field(
        None, description="Given up by its feeds since their start.", examples=[0]
    )
    dropped_rows: int = Field(
        description="Rows that the store was too far behind to take.", examples=[0]
    )
    backlog_events: int | None = Field(
        None, description="Events that wait in its feeds.", examples=[0]
    )
    cpu: float | None = Field(None, description="Cores in use.", examples=[0.012])
    memory_bytes: int | None = Field(None, description="Of the process.", examples=[95000000])


class RoleLoad(Answer):
    """What all actors of one role cost together."""

    role: str = Field(description="symbols, feeds, store or portfolio.", examples=["symbols"])
    actors: int = Field(description="How many there are.", examples=[10])
    cpu: float | None = Field(None, description="Cores in use.", examples=[0.31])
    cpu_s: float | None = Field(
        None, description="CPU seconds since their start.", examples=[1250.5]
    )
    memory_bytes: int | None = Field(None, description="Of all processes.", examples=[950000000])


class NodeOffer(Answer):
    """A node of the cluster that lives, and what it offers to actors in all."""

    name: str = Field(description="Its name in the cluster.", examples=["worker-1"])
    address: str = Field(description="Its address.", examples=["10.0.0.12"])
    cpus: float = Field(description="Cores offered; 0 of a head.", examples=[4.0])
    memory_bytes: int = Field(description="Memory offered.", examples=[11000000000])


class FleetLoad(Freshness):
    """The load of the fleet; freshness is that of its oldest book."""

    ts: int = Field(description="When it was read, ns since 1970 UTC.", examples=[1723111200123])
    markets: list[MarketLoad] = Field(description="One per exchange and symbol.")
    roles: list[RoleLoad] = Field(description="One per role.")
    nodes: list[NodeOffer] = Field(description="One per node that lives.")

"""Rows of the estimated map of liquidation levels: the map at the end of each bar, and what it
assumes whenever that has changed.

Both follow from the stream of events and from the assumptions alone, ids and times included, so
a replay or a restart makes the same rows again, and the database keeps one of each.
"""

import json
from collections.abc import Sequence
from typing import Final

from alphaplus.errors import StorageError
from alphaplus.leverage.liquidation_level import level_columns
from alphaplus.leverage.liquidation_tracker import SNAPSHOT_LEVELS, MapSnapshot
from alphaplus.leverage.map_assumptions import MODEL, MapAssumptions
from alphaplus.storage.tables import (
    ASSUMPTIONS_BYTES,
    LIQUIDATION_LEVELS,
    MIN_TIME_NS,
    TABLES,
    TableBatch,
)

LEVELS: Final = min(SNAPSHOT_LEVELS, LIQUIDATION_LEVELS)
"""Levels a side of one row."""


class LiquidationRows:
    """Turns the snapshots of one market's map into rows."""

    def __init__(self) -> None:
        self._told: int | None = None

    def rows_of(self, snapshots: Sequence[MapSnapshot], now_ns: int) -> list[TableBatch]:
        """Return the rows of snapshots in order; `now_ns` is our clock.

        Raises StorageError for assumptions that are too long for their column.
        """
        batches = []
        for snapshot in snapshots:
            if snapshot.assumptions.id != self._told:
                batches.append(assumptions_row(snapshot.assumptions, now_ns))
                self._told = snapshot.assumptions.id
            batches.append(levels_row(snapshot, now_ns))
        return batches


def assumptions_row(assumptions: MapAssumptions, now_ns: int) -> TableBatch:
    """Return the one row of `liquidation_assumptions` that an id has."""
    text = json.dumps(assumptions.fixed(), sort_keys=True, separators=(",", ":")).encode()
    if len(text) > ASSUMPTIONS_BYTES:
        raise StorageError(
            f"Expected assumptions of {assumptions.symbol} of at most {ASSUMPTIONS_BYTES} bytes, "
            f"was {len(text)}; shorten the prior."
        )
    rows = TABLES["liquidation_assumptions"].rows(1)
    rows["time"] = max(assumptions.tiers.effective_from or MIN_TIME_NS, MIN_TIME_NS)
    rows["recv_time"] = now_ns
    rows["id"], rows["hash"] = assumptions.id, assumptions.hash.encode()
    rows["assumptions"] = text
    return TableBatch("liquidation_assumptions", assumptions.venues[0], assumptions.symbol, rows)


def levels_row(snapshot: MapSnapshot, now_ns: int) -> TableBatch:
    """Return the row of `liquidation_levels` of one snapshot."""
    assumptions = snapshot.assumptions
    rows = TABLES["liquidation_levels"].rows(1)
    rows["time"], rows["recv_time"] = snapshot.ts_event, now_ns
    rows["model_id"], rows["assumptions_id"] = MODEL, assumptions.id
    rows["mark_price"] = snapshot.mark_price
    for name, values in level_columns(snapshot.levels).items():
        kept = values[:LEVELS]
        rows[name][0, : len(kept)] = kept
        rows[f"{name.partition('_')[0]}_levels"] = len(kept)
    return TableBatch("liquidation_levels", assumptions.venues[0], assumptions.symbol, rows)

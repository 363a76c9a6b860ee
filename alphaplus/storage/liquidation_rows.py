"""Rows of the estimated map of liquidation levels: one for the map at the end of each bar.

Both depend on the stream of events alone, so a replay makes the same rows again.
"""

from collections.abc import Sequence

from alphaplus.leverage.liquidation_level import level_columns
from alphaplus.leverage.liquidation_tracker import SNAPSHOT_LEVELS, MapSnapshot
from alphaplus.leverage.map_assumptions import MODEL
from alphaplus.storage.tables import LIQUIDATION_LEVELS, TABLES, TableBatch

assert SNAPSHOT_LEVELS == LIQUIDATION_LEVELS, "a snapshot must fit its row"


def level_batches(snapshots: Sequence[MapSnapshot], now_ns: int) -> list[TableBatch]:
    """Return a row of `liquidation_levels` for each snapshot; `now_ns` is our clock."""
    return [_levels(snapshot, now_ns) for snapshot in snapshots]


def _levels(snapshot: MapSnapshot, now_ns: int) -> TableBatch:
    assumptions = snapshot.assumptions
    rows = TABLES["liquidation_levels"].rows(1)
    rows["time"], rows["recv_time"] = snapshot.ts_event, now_ns
    rows["model_id"], rows["assumptions_id"] = MODEL, assumptions.id
    rows["mark_price"] = snapshot.mark_price
    for name, values in level_columns(snapshot.levels).items():
        rows[name][0, : len(values)] = values
        rows[f"{name.partition('_')[0]}_levels"] = len(values)
    return TableBatch("liquidation_levels", assumptions.venues[0], assumptions.symbol, rows)

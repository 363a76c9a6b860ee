"""What the database's own statistics say an operator may want to do, one sentence each."""

from typing import Any, Final

MIN_DEAD: Final = 10_000
DEAD_SHARE: Final = 0.2
"""Autovacuum's own threshold: beyond it, it should have run."""
MIN_CHANGED: Final = 100_000
XID_AGE: Final = 1_000_000_000
"""Half way to the age at which the server stops taking writes."""


async def vacuum_hints(connection: Any) -> list[str]:
    """Return hints for tables that autovacuum leaves behind; none while all is well."""
    hints = []
    if await connection.fetchval("SELECT current_setting('autovacuum') = 'off'"):
        hints.append("Autovacuum is off on this server; turn it on, or run VACUUM by a timer.")
    rows = await connection.fetch(
        "SELECT s.relname, n_live_tup, n_dead_tup, n_mod_since_analyze, "
        "age(c.relfrozenxid) AS age, "
        "coalesce(greatest(last_vacuum, last_autovacuum)::text, 'never') AS vacuumed, "
        "coalesce(greatest(last_analyze, last_autoanalyze)::text, 'never') AS analyzed "
        "FROM pg_stat_user_tables s JOIN pg_class c ON c.oid = s.relid "
        "WHERE c.relkind = 'r' ORDER BY s.relname"
    )
    for row in rows:
        name, dead, live = row["relname"], row["n_dead_tup"], row["n_live_tup"]
        if dead >= MIN_DEAD and dead > DEAD_SHARE * live:
            hints.append(
                f"{name} has {dead:,} dead rows beside {live:,} live ones "
                f"(last vacuum: {row['vacuumed']}); run VACUUM {name}."
            )
        if row["n_mod_since_analyze"] >= MIN_CHANGED and row["analyzed"] == "never":
            hints.append(
                f"{name} was never analyzed, so plans for it are guesses; run ANALYZE {name}."
            )
        if row["age"] >= XID_AGE:
            hints.append(
                f"{name} has transaction ids {row['age']:,} old; run VACUUM FREEZE {name} soon."
            )
    return hints

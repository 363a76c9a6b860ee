"""Start actors by forking a process that has imported everything they need (docs/operations.md).

    raylet ──spawns──▶ launch ──hand-over──▶ template (one per node, job and code)
                       (ends)                    └──forks──▶ Ray's worker

A process that has Ray, numba and the compiled kernels loaded is made once per node, and every
worker is a copy of it: it starts in milliseconds and shares the memory that it does not change.
"""

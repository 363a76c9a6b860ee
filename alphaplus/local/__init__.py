"""Everything on one machine: Ray, job and API as child processes, started and stopped together."""

"""A cluster that grows with the fleet and shrinks with it, by Ray's own autoscaler."""

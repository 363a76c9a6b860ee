"""Feeds: from a venue's bytes to events, their order checked, recorded and replayed."""

"""From a venue's bytes to events: connections, decoders, sequence rules, captures, replay."""

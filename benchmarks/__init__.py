"""One claim per file, one command each."""

"""How fast is the book, beside the books that others use? `python -m benchmarks.book --help`."""

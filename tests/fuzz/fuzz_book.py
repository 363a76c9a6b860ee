"""Fuzz with atheris: python -m tests.fuzz.fuzz_book -runs=200000."""

from tests.fuzz.run import run

if __name__ == "__main__":
    run("tests.fuzz.book", "check_book")

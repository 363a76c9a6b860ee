"""What the benchmark of scale reads off a command line and a system's processes."""

import argparse

import pytest

from benchmarks.scale.__main__ import _counts
from benchmarks.scale.point import _role


def test_processes_are_told_by_their_names() -> None:
    assert _role(["ray::Symbol.start"]) == "Symbol"
    assert _role(["ray::PortfolioRisk"]) == "PortfolioRisk"
    assert _role(["/usr/bin/python3", "-m", "alphaplus.venue"]) == "venue"
    assert _role(["postgres: writer process"]) == "database"
    assert _role(["ray::IDLE"]) == "Ray and others"


def test_numbers_of_symbols_come_with_commas() -> None:
    assert _counts("10,25,50") == (10, 25, 50)
    with pytest.raises(argparse.ArgumentTypeError, match="1 to 1000"):
        _counts("0,5")

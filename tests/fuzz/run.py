"""Drive a check by atheris, guided by coverage; options are libFuzzer's."""

import importlib
import logging
import sys
import tempfile
from pathlib import Path

GUIDES = (
    "alphaplus.feeds.binance",
    "alphaplus.book.l2",
)
"""Modules whose coverage guides, beside the checks: no kernels, as numba takes them as written."""


def run(module: str, check: str) -> None:
    """Run a check on bytes until `-runs` or `-max_total_time` is reached, or one fails.

    What fails is kept as a file in the folder for temporary files. Run it once more with
    NUMBA_BOUNDSCHECK=1 and a NUMBA_CACHE_DIR of its own, which lets kernels fail loudly.
    """
    try:
        import atheris
    except ModuleNotFoundError:
        sys.exit("Fuzzing needs atheris: pip install -e '.[fuzz]'.")
    logging.disable(logging.WARNING)  # rejected levels are wanted here
    others = [name for name in _modules("alphaplus") if name not in GUIDES]
    with atheris.instrument_imports(
        include=["alphaplus", "tests"], exclude=others, enable_loader_override=False
    ):
        target = getattr(importlib.import_module(module), check)
    target(b"")  # compiles the kernels before the clock runs
    options = [
        "-max_len=2048",
        "-len_control=0",
        "-rss_limit_mb=0",
        f"-artifact_prefix={tempfile.gettempdir()}/",
    ]
    atheris.Setup([sys.argv[0], *options, *sys.argv[1:]], target)
    atheris.Fuzz()


def _modules(package: str) -> list[str]:
    root = Path(__file__).parents[2]
    paths = (path.relative_to(root) for path in (root / package).rglob("*.py"))
    return [".".join(path.with_suffix("").parts).removesuffix(".__init__") for path in paths]

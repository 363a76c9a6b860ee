"""Backtest every model of value at risk on price histories, and write a report.

    python -m jobs.backtest_var --data FOLDER --json
    ray job submit --working-dir . -- python -m jobs.backtest_var --data FOLDER

The folder, or its subfolders, hold SYMBOL-TIMEFRAME-futures.feather. Progress goes to standard
error; the tests are printed and stand in the report folder with plots.
"""

import argparse
import sys
import time
from pathlib import Path
from typing import Any, Final

import numpy as np

from alphaplus.errors import ConfigError, RiskError
from alphaplus.risk.evaluation import LEVELS, Outcome, run_models
from alphaplus.risk.figures import HOUR_NS
from alphaplus.risk.filtered import PATHS
from alphaplus.risk.history_files import find_histories, read_candles
from alphaplus.risk.returns import ReturnSeries, close_returns
from alphaplus.risk.shortfall_backtest import FEWEST_DRAWS
from jobs.arguments import finish
from jobs.backtest_report import write_report

REPORT: Final = Path("reports/backtest_var")
CLAIM_LEVEL: Final = 0.99


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Run the job; returns the summary."""
    begun = time.monotonic()
    outcomes: dict[str, list[Outcome]] = {}
    unusable: dict[str, str] = {}
    for name, path in find_all(arguments.data).items():
        _say(f"{name}: reading {path}")
        try:
            series = read_series(path)
            outcomes[name] = _run_symbol(name, series, arguments)
        except RiskError as error:
            unusable[name] = str(error)
            _say(f"{name}: {error}")
    rows = [{"symbol": name, **item.tests} for name, items in outcomes.items() for item in items]
    settings = {name: getattr(arguments, name) for name in ("paths", "draws", "seed", "levels")}
    page = write_report(arguments.report, outcomes, rows, unusable, settings)
    _say(f"report: {page}")
    if not arguments.json:
        _print_table(rows)
    summary: dict[str, Any] = {
        "symbols": list(outcomes),
        "unusable": unusable,
        "coverage_claim": coverage_claim(rows),
        "report": str(page),
        "seconds": round(time.monotonic() - begun, 1),
    }
    return {**summary, "results": rows} if arguments.json else summary


def find_all(folder: Path) -> dict[str, Path]:
    """Return name -> file for a folder, or for each of its subfolders as `folder/symbol`."""
    direct = find_histories(folder)
    if direct:
        return direct
    found = {
        f"{inner.name}/{symbol}": path
        for inner in sorted(folder.iterdir())
        if inner.is_dir()
        for symbol, path in find_histories(inner).items()
    }
    if not found:
        raise ConfigError(f"Expected SYMBOL-TIMEFRAME-futures.feather in {folder}, were none.")
    return found


def read_series(path: Path) -> ReturnSeries:
    """Return the log returns of a candle file; the step is the usual distance of its candles."""
    candles = read_candles(path)
    if len(candles) < 2:
        raise RiskError(f"Expected at least 2 candles in {path}, was {len(candles)}.")
    step_ns = int(np.median(np.diff(candles.times)))
    return close_returns(candles.times, candles.close, step_ns)


def coverage_claim(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return what became of the claim: 99 % of the default model accepted by Kupiec at 1 %."""
    return [
        {
            "symbol": row["symbol"],
            "figure": row["figure"],
            "side": row["side"],
            "n_obs": row["n_obs"],
            "exceedances": row["exceedances"],
            "expected": row["expected"],
            "kupiec_p": row["kupiec"] and row["kupiec"]["p_value"],
            "christoffersen_p": row["christoffersen"] and row["christoffersen"]["p_value"],
            "accepted": row["coverage_accepted"],
        }
        for row in rows
        if row["model"] == "fhs" and row["level"] == CLAIM_LEVEL
    ]


def _run_symbol(name: str, series: ReturnSeries, arguments: argparse.Namespace) -> list[Outcome]:
    days = len(series) * series.step_ns / HOUR_NS / 24
    _say(f"{name}: {len(series)} returns, {days:.0f} days")
    found: list[Outcome] = []
    last = ""
    for item in run_models(
        series,
        levels=arguments.levels,
        paths=arguments.paths,
        draws=arguments.draws,
        seed=arguments.seed,
    ):
        found.append(item)
        label = f"{item.model} {item.tests['horizon']}"
        if label != last:
            _say(f"{name}: {label}, {item.tests['n_obs']} forecasts")
            last = label
    return found


def _print_table(rows: list[dict[str, Any]]) -> None:
    print(
        f"{'symbol':24} {'model':12} {'figure':11} {'side':5} {'T':>6} {'x':>5} {'expected':>8} "
        f"{'Kupiec p':>8} {'indep. p':>8} {'cond. p':>8} {'light':6} {'Z2':>7} {'Z2 p':>6}"
    )
    for row in rows:
        head = (
            f"{row['symbol']:24} {row['model']:12} {row['figure']:11} {row['side']:5} "
            f"{row['n_obs']:6d}"
        )
        if row["missing"]:
            print(f"{head} {'; '.join(row['missing'])}")
            continue
        z2 = row["acerbi_szekely_z2"]
        print(
            f"{head} {row['exceedances']:5d} {row['expected']:8.1f} "
            f"{row['kupiec']['p_value']:8.4f} {row['christoffersen']['p_value']:8.4f} "
            f"{row['conditional_coverage']['p_value']:8.4f} {row['traffic_light']['zone']:6} "
            f"{z2['statistic']:7.3f} {z2['p_value']:6.3f}"
        )


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _parser() -> argparse.ArgumentParser:
    result = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    result.add_argument("--data", type=Path, required=True, help="folder of price histories")
    result.add_argument("--report", type=Path, default=REPORT, help=f"folder; default {REPORT}")
    result.add_argument(
        "--levels", type=float, nargs="+", default=LEVELS, help="default 0.95 0.975 0.99"
    )
    result.add_argument("--paths", type=int, default=PATHS, help="simulated paths per day")
    result.add_argument(
        "--draws", type=int, default=FEWEST_DRAWS, help="simulated histories behind each Z2"
    )
    result.add_argument("--seed", type=int, default=0)
    result.add_argument("--json", action="store_true", help="end with one JSON object")
    return result


if __name__ == "__main__":
    finish(run, _parser().parse_args())

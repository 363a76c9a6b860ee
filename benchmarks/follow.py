"""How soon risk follows the market, and whether an account goes where the engine says.

    python -m benchmarks.follow --json

Starts a fleet on a generated market, plants a leveraged account in the local venue and puts the
same into a portfolio. Once its risk is known it moves the market toward the account, and looks
some fifty times a second at the venue's mark and at the portfolio's report until the venue has
liquidated the account. A value has followed when it leaves the range in which it was before the
move by more than the width of that range, in the direction that it has to; seconds are counted
from the moment when the venue's own mark does so. The engine's price is right if it lies between
the mark at which the venue liquidated and the mark of 100 ms before.
"""

import argparse
import json
import logging
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import ray

from actors import names
from actors.supervisor import SupervisorActor
from alphaplus.config import load_settings
from alphaplus.kernels import ensure_compiled
from jobs.services import Services

SYMBOL: Final = "BTC-USDT-PERP"
VENUE_SYMBOL: Final = "BTCUSDT"
PORTFOLIO: Final = "follow"
QUANTITY: Final = 40.0
LEVERAGE: Final = 50.0
SHOCK: Final = -0.03
OVER_S: Final = 10.0
CALM_S: Final = 5.0
"""How long values are looked at before the move."""
LOOK_EVERY_S: Final = 0.02
DIRECTIONS: Final = {
    "venue_mark": -1,
    "mark_price": -1,
    "equity": -1,
    "score": +1,
    "advice": -1,
    "var_99_1d_pct": +1,
}
"""What a fall does to a long: VaR is a share of the equity, which falls faster than its value."""


@dataclass(slots=True)
class Watch:
    """What was seen of each value, and when; None where it was not known."""

    begun_s: float | None = None
    """When the market began to move."""
    seen: dict[str, list[tuple[float, float]]] = field(default_factory=dict)

    def add(self, at_s: float, values: Mapping[str, float | None]) -> None:
        """Note all values of one look."""
        for name, value in values.items():
            if value is not None:
                self.seen.setdefault(name, []).append((at_s, value))

    def departure(self, name: str, direction: int) -> float | None:
        """Return when a value left its calm range in a direction; None if it never did."""
        seen, begun = self.seen.get(name, []), self.begun_s
        calm = [value for at, value in seen if begun is not None and at < begun]
        if begun is None or not calm:
            return None
        low, high = min(calm), max(calm)
        width = max(high - low, 1e-9 * abs(high))
        for at, value in seen:
            beyond = value - high if direction > 0 else low - value
            if at >= begun and beyond > width:
                return at
        return None

    def delays(self, directions: Mapping[str, int], first: str) -> dict[str, float | None]:
        """Return the seconds from the departure of `first` to that of every other value."""
        start = self.departure(first, directions[first])
        found: dict[str, float | None] = {}
        for name, direction in directions.items():
            if name != first:
                left = self.departure(name, direction)
                known = left is not None and start is not None
                found[name] = round(left - start, 3) if known else None
        return found


def values_of(report: Mapping[str, Any]) -> dict[str, float | None]:
    """Return the values that are watched, of a report on a portfolio of one position."""
    (position,) = report["positions"]
    figures = report["figures"]
    return {
        "mark_price": position["mark_price"],
        "equity": figures["equity"]["value"],
        "score": position["score"]["score"],
        "advice": position["advice"]["leverage"],
        "var_99_1d_pct": figures["var_99_1d_pct"]["value"],
    }


def missing_of(report: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return what the values that are not known lack."""
    (position,) = report["positions"]
    reasons = {
        "score": position["score"]["missing"],
        "advice": position["advice"]["missing"],
        "var_99_1d_pct": report["figures"]["var_99_1d_pct"]["missing"],
    }
    return {name: list(found) for name, found in reasons.items() if found}


def follow(venue_url: str, patience_s: float) -> dict[str, Any]:
    """Plant, wait for the portfolio's risk, move, and tell what followed when."""
    planted = ask(
        venue_url + "/control/accounts",
        {"symbol": VENUE_SYMBOL, "side": "long", "quantity": QUANTITY, "leverage": LEVERAGE},
    )
    (held,) = planted["positions"]
    account = {
        "id": "planted",
        "exchange": "binance",
        "margin_mode": "isolated",
        "wallet_balance": planted["wallet_balance"],
        "positions": [
            {
                "symbol": SYMBOL,
                "quantity": QUANTITY,
                "entry_price": held["entry_price"],
                "leverage": LEVERAGE,
                "isolated_margin": planted["wallet_balance"],
            }
        ],
    }
    portfolio: Any = names.portfolio()
    ray.get(portfolio.set_accounts.remote(PORTFOLIO, [account]))
    report = _wait_for_risk(portfolio, patience_s)
    price = report["positions"][0]["liquidation_price"]
    watch, due, told = Watch(), time.monotonic() + CALM_S, planted
    give_up = due + 20 * OVER_S
    while told["state"] == "open" and time.monotonic() < give_up:
        if watch.begun_s is None and time.monotonic() >= due:
            ask(
                venue_url + "/control/market",
                {"symbol": VENUE_SYMBOL, "shock": SHOCK, "over_s": OVER_S},
            )
            watch.begun_s = time.monotonic()
        told = _account(venue_url, planted["account"])
        watch.add(time.monotonic(), {"venue_mark": told["positions"][0]["mark_price"]})
        report = ray.get(portfolio.risk.remote(PORTFOLIO))
        watch.add(time.monotonic(), values_of(report))
        time.sleep(LOOK_EVERY_S)
    at = told["liquidated_at"]
    return {
        "engine_liquidation_price": price,
        "liquidated_at_mark": None if at is None else at["mark_price"],
        "mark_before": None if at is None else at["mark_price_before"],
        "liquidated_where_said": None
        if at is None or price is None
        else at["mark_price"] <= price < at["mark_price_before"],
        "error_bps": None
        if at is None or price is None
        else round(abs(at["mark_price"] / price - 1) * 1e4, 3),
        "seconds_until_followed": watch.delays(DIRECTIONS, "venue_mark"),
        "missing": missing_of(report),
    }


def ask(url: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """GET, or POST `body`, and return the answer."""
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(url, data=data), timeout=10) as answer:
        return dict(json.load(answer))


@contextmanager
def local_fleet(symbols: int, seed: int) -> Iterator[str]:
    """Run a fleet on a venue and a database of its own; gives the venue's address."""
    with tempfile.TemporaryDirectory(prefix="alphaplus-follow-") as folder:
        settings = load_settings(
            flags={
                "venue": {"symbols": symbols, "seed": seed},
                "storage": {"data_dir": Path(folder)},
            },
            environ={},
        )
        ray.init(
            namespace=names.NAMESPACE,
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.WARNING,
        )
        try:
            with Services(settings) as services:
                assert services.venue_url is not None
                supervisor = SupervisorActor.options(
                    name=names.SUPERVISOR, namespace=names.NAMESPACE, max_concurrency=32
                ).remote(settings, services.dsn, services.venue_url, services.run_directory)
                ray.get(supervisor.start.remote())
                yield services.venue_url
                ray.get(supervisor.drain.remote())
        finally:
            ray.shutdown()


def _wait_for_risk(portfolio: Any, patience_s: float) -> dict[str, Any]:
    """Return the first report that lacks nothing of what is watched, or the last in time."""
    give_up = time.monotonic() + patience_s
    while True:
        report: dict[str, Any] = ray.get(portfolio.risk.remote(PORTFOLIO))
        if None not in values_of(report).values() or time.monotonic() >= give_up:
            return report
        time.sleep(0.5)


def _account(venue_url: str, name: str) -> dict[str, Any]:
    accounts = ask(venue_url + "/control/accounts")["accounts"]
    return next(item for item in accounts if item["account"] == name)


def main() -> None:
    """Run once and print what was found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="one line of JSON")
    parser.add_argument(
        "--patience", type=float, default=240.0, help="seconds for risk to be known"
    )
    parser.add_argument("--symbols", type=int, default=3)
    parser.add_argument("--seed", type=int, default=23)
    options = parser.parse_args()
    ensure_compiled()
    with local_fleet(options.symbols, options.seed) as venue_url:
        found = follow(venue_url, options.patience)
    result = {"benchmark": "follow", "symbol": SYMBOL, "symbols": options.symbols, **found}
    print(json.dumps(result) if options.json else json.dumps(result, indent=2))


if __name__ == "__main__":
    main()

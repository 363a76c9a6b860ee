"""Draw the main measures on the recordings of one perpetual and its spot market.

python -m docs.plots            # into docs/measures/plots/, from ALPHAPLUS_DATA or ../shared/data
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from alphaplus.analysis.as_of import as_of
from alphaplus.analysis.basis import basis_series
from alphaplus.analysis.book_levels import BookLevels
from alphaplus.analysis.cost import cost_curve, round_trip_bps
from alphaplus.analysis.depth_pressure import depth_pressure
from alphaplus.analysis.epps import STEPS_S, epps_curve
from alphaplus.analysis.first_passage import first_passage_probability
from alphaplus.analysis.hayashi_yoshida import log_mid_moves
from alphaplus.analysis.lead_lag import contrast, lag_grid
from alphaplus.analysis.market_making import arrival_rates, calibrate_intensity
from alphaplus.analysis.ofi import ofi
from alphaplus.analysis.queue_imbalance_model import fit_queue_imbalance, sample_quotes
from alphaplus.analysis.splitter import EventSplitter
from alphaplus.book.best_levels import BEST_LEVELS
from alphaplus.book.l2 import L2Book
from alphaplus.events import EventArray
from alphaplus.feeds.capture import RawCapture
from alphaplus.feeds.discover import discover
from alphaplus.feeds.market_feed import MarketFeed
from alphaplus.instruments import Instrument

ROOT: Final = Path(__file__).resolve().parents[1]
FOLDER: Final = ROOT / "docs" / "measures" / "plots"
MARKETS: Final = {
    "perpetual": "captures/binance_usdm_btcusdt_20240808.raw.gz",
    "spot": "captures/binance_spot_btcusdt_20240808.raw.gz",
}
MAX_BYTES: Final = 60_000
_SECOND: Final = 1_000_000_000
_NEVER: Final = 2**63 - 1
_STYLE: Final = {
    "figure.figsize": (6.4, 3.2),
    "axes.grid": True,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "font.size": 9.0,
    "grid.alpha": 0.3,
    "legend.frameon": False,
    "lines.linewidth": 1.2,
    "path.simplify_threshold": 0.5,
    "svg.fonttype": "none",  # text stays text: small files
    "svg.hashsalt": "alphaplus",  # the same plot gives the same file
}

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Market:
    """One recording as what measures take. Times of quotes and trades are receive times."""

    name: str
    instrument: Instrument
    book: L2Book
    """As it stands at the end."""
    quotes: Any
    trades: Any
    best_levels: Any

    @property
    def mids(self) -> Floats:
        """The mid of each quote, in ticks."""
        twice: Floats = self.quotes["bid_tick"] + self.quotes["ask_tick"]
        return twice / 2.0

    @property
    def seconds(self) -> npt.NDArray[np.int64]:
        """Whole seconds from the first quote to the last, ns."""
        times = self.quotes["ts_recv"]
        return np.arange(times[0], times[-1], _SECOND)


def read_market(name: str, path: Path) -> Market:
    """Read a raw recording of one market."""
    capture = RawCapture.read(path)
    found = discover(capture.frames)
    output = MarketFeed(found.instruments).on_frames(capture.frames, capture.ts_recv, found.hints)
    events = np.concatenate([batch.events for batch in output.batches])
    book = L2Book(found.instruments[0])
    best_levels = np.zeros(len(events), BEST_LEVELS)
    messages = len(book.apply(events, best_levels))
    quotes, trades = _quotes_and_trades(events)
    return Market(
        name=name,
        instrument=found.instruments[0],
        book=book,
        quotes=quotes,
        trades=trades,
        best_levels=best_levels[:messages],
    )


def _quotes_and_trades(events: EventArray) -> tuple[Any, Any]:
    splitter = EventSplitter()
    quotes, trades = [], []
    at = 0
    while at < len(events):
        piece = splitter.read(events, at, _NEVER)
        quotes.append(piece.quotes.copy())
        trades.append(piece.trades.copy())
        at = piece.end
    return np.concatenate(quotes), np.concatenate(trades)


def plot_basis(axes: Any, perp: Market, spot: Market) -> None:
    """The basis each second."""
    grid = perp.seconds
    mids = [market.mids * float(market.instrument.tick_size) for market in (perp, spot)]
    series = basis_series(perp.quotes["ts_recv"], mids[0], spot.quotes["ts_recv"], mids[1], grid)
    axes.plot((grid - grid[0]) / 1e9, series)
    axes.set(xlabel="seconds", ylabel="basis, bps")


def plot_cost(axes: Any, perp: Market, spot: Market) -> None:
    """What a round trip costs, by its size."""
    notionals = np.geomspace(1e3, 5e6, 40).tolist()
    for market in (perp, spot):
        levels = BookLevels.of(market.book)
        assert levels is not None
        curve = cost_curve(levels, notionals)
        costs = [
            np.nan if value is None else value
            for value in (
                round_trip_bps(buy, sell) for buy, sell in zip(curve.buys, curve.sells, strict=True)
            )
        ]
        axes.plot(curve.notionals, costs, label=market.name)
    axes.set(xscale="log", yscale="log", xlabel="notional, USDT", ylabel="round trip, bps")
    axes.legend()


def plot_depth_pressure(axes: Any, perp: Market, spot: Market) -> None:
    """Depth pressure of the perpetual, half-life 5 s, with its mid."""
    times = perp.best_levels["ts_recv"]
    pressure = depth_pressure(perp.best_levels, perp.instrument)
    grid = perp.seconds
    at = (grid - grid[0]) / 1e9
    axes.plot(at, as_of(np.maximum.accumulate(times), pressure, grid), color="tab:orange")
    axes.set(xlabel="seconds", ylabel="depth pressure", ylim=(-1, 1))
    beside = axes.twinx()
    mids = as_of(perp.quotes["ts_recv"], perp.mids * float(perp.instrument.tick_size), grid)
    beside.plot(at, mids, color="tab:blue", alpha=0.6)
    beside.set_ylabel("mid, USDT", color="tab:blue")
    beside.grid(visible=False)


def plot_epps(axes: Any, perp: Market, spot: Market) -> None:
    """How correlation falls with the length of the returns."""
    x, y = (log_mid_moves(market.quotes, "ts_recv") for market in (perp, spot))
    curve = [np.nan if value is None else value for value in epps_curve(*x, *y)]
    axes.plot(STEPS_S, curve, marker="o")
    axes.set(xscale="log", xlabel="length of a return, seconds", ylabel="correlation", ylim=(0, 1))


def plot_first_passage(axes: Any, perp: Market, spot: Market) -> None:
    """Chance of a touch by distance, at the volatility of the recording."""
    grid = perp.seconds
    mids = np.log(as_of(perp.quotes["ts_recv"], perp.mids, grid))
    variance = float(np.mean(np.diff(mids) ** 2))
    distances = np.linspace(0.0, 0.03, 60)
    for horizon, label in ((60.0, "1 minute"), (600.0, "10 minutes"), (3600.0, "1 hour")):
        chance = first_passage_probability(distances, horizon, variance)
        axes.plot(100 * distances, chance, label=label)
    axes.set(xlabel="distance of the liquidation price, %", ylabel="probability", ylim=(0, 1))
    axes.legend(title="model, not validated")


def plot_lead_lag(axes: Any, perp: Market, spot: Market) -> None:
    """The contrast over lags; its peak is right of 0 where the perpetual leads."""
    x, y = (log_mid_moves(market.quotes, "ts_recv") for market in (perp, spot))
    grid = lag_grid(2 * _SECOND, _SECOND // 100)
    axes.plot(grid / 1e6, contrast(*x, *y, grid))
    axes.axvline(0, color="gray", linewidth=0.8)
    axes.set(xlabel="lag, ms (+ = perpetual leads)", ylabel="Hayashi-Yoshida correlation")


def plot_market_making(axes: Any, perp: Market, spot: Market) -> None:
    """Arrival rates by distance from the mid, and the fit near the touch."""
    trades = perp.trades[perp.trades["off_market"] == 0]
    times = trades["ts_recv"]
    before = as_of(perp.quotes["ts_recv"], perp.mids, times - 1)
    reach = trades["side"] * (trades["price_tick"] - before)
    known = np.isfinite(reach) & (trades["side"] != 0)
    distances = np.arange(1.5, 100.0)  # beyond the touch, where ten times as many come
    arrivals = arrival_rates(
        times[known],
        reach[known],
        distances,
        begin_ns=int(times[0]),
        end_ns=int(times[-1]),
    )
    shown = arrivals.rates > 0
    axes.plot(distances[shown], arrivals.rates[shown], ".", markersize=3, label="arrivals")
    fit = calibrate_intensity(arrivals)
    if fit is not None:
        rates = fit.intensity * np.exp(-fit.k * distances[:40])
        label = f"{fit.intensity:.2f} exp(-{fit.k:.3f} delta)"
        axes.plot(distances[:40], rates, label=label)
    axes.set(yscale="log", xlabel="distance from the mid, ticks", ylabel="arrivals per second")
    axes.legend()


def plot_ofi(axes: Any, perp: Market, spot: Market) -> None:
    """Order flow imbalance of a second against the move of the mid in that second."""
    grid = perp.seconds
    times = perp.quotes["ts_recv"]
    running = as_of(times, np.cumsum(ofi(perp.quotes, perp.instrument)), grid)
    flow, move = np.diff(running), np.diff(as_of(times, perp.mids, grid))
    slope, start = np.polyfit(flow, move, 1)
    edges = np.array([flow.min(), flow.max()])
    axes.plot(flow, move, ".", markersize=3)
    axes.plot(edges, start + slope * edges)
    axes.set(xlabel="OFI in one second, BTC", ylabel="mid change in it, ticks")


def plot_queue_imbalance_model(axes: Any, perp: Market, spot: Market) -> None:
    """Share of moves that went up, by tenths of the imbalance, and the fits."""
    edges = np.linspace(-1, 1, 11)
    grid = np.linspace(-1, 1, 60)
    for horizon, color in ((0.5, "tab:blue"), (5.0, "tab:orange")):
        samples = sample_quotes(perp.quotes, horizon)
        moved = samples.change != 0
        up, at = samples.change[moved] > 0, np.digitize(samples.imbalance[moved], edges[1:-1])
        shares = [
            up[at == bucket].mean() if (at == bucket).any() else np.nan for bucket in range(10)
        ]
        axes.plot((edges[:-1] + edges[1:]) / 2, shares, "o", markersize=4, color=color)
        model = fit_queue_imbalance(samples.imbalance, samples.change)
        if model is not None:
            axes.plot(grid, model.probability_up(grid), color=color, label=f"{horizon:g} s ahead")
    axes.set(xlabel="queue imbalance", ylabel="share of moves up", ylim=(0, 1))
    axes.legend()


PLOTS: Final[dict[str, Callable[[Any, Market, Market], None]]] = {
    "basis": plot_basis,
    "cost": plot_cost,
    "depth_pressure": plot_depth_pressure,
    "epps": plot_epps,
    "first_passage": plot_first_passage,
    "lead_lag": plot_lead_lag,
    "market_making": plot_market_making,
    "ofi": plot_ofi,
    "queue_imbalance_model": plot_queue_imbalance_model,
}
"""By the name of the measure's page."""


def data_dir() -> Path | None:
    """Return the folder of recordings, None if it is not there or lacks one that is needed."""
    configured = os.environ.get("ALPHAPLUS_DATA")
    folder = Path(configured) if configured else ROOT.parent / "shared" / "data"
    return folder if all((folder / name).is_file() for name in MARKETS.values()) else None


def write_plots(recordings: Path, folder: Path = FOLDER) -> list[Path]:
    """Draw every plot as SVG and return the paths; ValueError if one is too large to keep."""
    import matplotlib as mpl
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    perp, spot = (read_market(name, recordings / path) for name, path in MARKETS.items())
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    with mpl.rc_context(_STYLE):
        for name, draw in PLOTS.items():
            figure = Figure(layout="constrained")
            draw(figure.add_subplot(), perp, spot)
            path = folder / f"{name}.svg"
            FigureCanvasSVG(figure).print_svg(path, metadata={"Date": None, "Creator": None})
            if path.stat().st_size > MAX_BYTES:
                raise ValueError(f"Expected at most {MAX_BYTES} bytes of {path.name}; draw less.")
            written.append(path)
    return written


def main() -> None:
    """Write the plots, or say in one line why there are none."""
    recordings = data_dir()
    if recordings is None:
        print("plots: left as they are, no recordings here (set ALPHAPLUS_DATA to their folder)")
        return
    for path in write_plots(recordings):
        print(f"wrote {path.relative_to(ROOT)}")


if __name__ == "__main__":
    main()

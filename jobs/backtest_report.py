"""The page of a backtest of value at risk: every test in a table, and what they saw as plots."""

import html
import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from alphaplus.risk.evaluation import Outcome
from alphaplus.risk.figures import DAY_NS, horizon_name

log = logging.getLogger("jobs.backtest_report")

SHOWN: Final = 0.99
_STYLE: Final = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:75rem;margin:2rem auto;padding:0 1rem}"
    "table{border-collapse:collapse;font-variant-numeric:tabular-nums}"
    "td,th{padding:.15rem .6rem;text-align:right;border-bottom:1px solid #ddd}"
    "td:nth-child(-n+4),th:nth-child(-n+4){text-align:left}"
    ".no{color:#b00020;font-weight:600}.yellow{background:#fff3c4}.red{background:#ffd6d6}"
    ".green{background:#dff5e1}img{max-width:100%}"
)
_COLUMNS: Final = (
    "symbol", "model", "figure", "side", "T", "exceedances", "expected", "Kupiec p",
    "independence p", "conditional p", "duration p", "light", "Z2", "Z2 critical", "Z2 p",
)  # fmt: skip
_READING: Final = (
    "Losses are fractions of notional; an exceedance is a loss strictly above the forecast. "
    "Kupiec tests the number of exceedances, Christoffersen whether they follow each other, "
    "conditional coverage both; the duration test looks at the times between them. Z2 (Acerbi and "
    "Szekely) tests the shortfall against its simulated law, one-sided at 5 %. P-values below 1 % "
    "are red. With this many tests some are small by chance: of 100 right models one is red. "
    "Every forecast uses earlier data only, horizons do not overlap, and funding is not included."
)


def write_report(
    folder: Path,
    outcomes: Mapping[str, Sequence[Outcome]],
    rows: Sequence[Mapping[str, Any]],
    unusable: Mapping[str, str],
    settings: Mapping[str, Any],
) -> Path:
    """Write index.html, results.json and the plots into `folder`; returns the page."""
    folder.mkdir(parents=True, exist_ok=True)
    results = {"settings": settings, "unusable": unusable, "results": rows}
    (folder / "results.json").write_text(json.dumps(results, indent=1), encoding="utf-8")
    plots = _draw_all(folder, outcomes)
    page = folder / "index.html"
    page.write_text(_page(rows, unusable, plots, settings), encoding="utf-8")
    return page


def _page(
    rows: Sequence[Mapping[str, Any]],
    unusable: Mapping[str, str],
    plots: Mapping[str, Sequence[str]] | None,
    settings: Mapping[str, Any],
) -> str:
    parts = [
        "<!doctype html><meta charset='utf-8'><title>Backtest of value at risk</title>",
        f"<style>{_STYLE}</style><h1>Backtest of value at risk</h1><p>{_READING}</p>",
        f"<p>Settings: {html.escape(json.dumps(dict(settings)))}.</p>",
    ]
    if unusable:
        items = "".join(
            f"<li>{html.escape(name)}: {html.escape(why)}</li>" for name, why in unusable.items()
        )
        parts.append(f"<h2>Histories that could not be used</h2><ul>{items}</ul>")
    claim = [row for row in rows if row["model"] == "fhs" and row["level"] == SHOWN]
    parts += ["<h2>The claim: 99 % of the default model</h2>", _table(claim)]
    if plots is None:
        parts.append("<p>No plots: matplotlib is not installed here.</p>")
    for symbol, files in (plots or {}).items():
        parts.append(f"<h2>{html.escape(symbol)}</h2>")
        parts += [f"<p><img src='{html.escape(name)}' alt=''></p>" for name in files]
    parts += ["<h2>All models and levels</h2>", _table(rows)]
    return "\n".join(parts)


def _table(rows: Sequence[Mapping[str, Any]]) -> str:
    head = "".join(f"<th>{name}</th>" for name in _COLUMNS)
    return f"<table><tr>{head}</tr>{''.join(map(_row, rows))}</table>"


def _row(row: Mapping[str, Any]) -> str:
    cells = [
        f"<td>{html.escape(str(row[name]))}</td>"
        for name in ("symbol", "model", "figure", "side", "n_obs")
    ]
    if row["missing"]:
        reason = html.escape("; ".join(row["missing"]))
        cells.append(f"<td colspan='{len(_COLUMNS) - len(cells)}'>{reason}</td>")
        return f"<tr>{''.join(cells)}</tr>"
    cells += [f"<td>{row['exceedances']}</td>", f"<td>{row['expected']:.1f}</td>"]
    for name in ("kupiec", "christoffersen", "conditional_coverage", "duration"):
        cells.append(_p_value(row[name] and row[name]["p_value"]))
    zone, z2 = row["traffic_light"]["zone"], row["acerbi_szekely_z2"]
    cells.append(f"<td class='{zone}'>{zone}</td>")
    cells += [f"<td>{z2['statistic']:.3f}</td>", f"<td>{z2['critical']:.3f}</td>"]
    cells.append(_p_value(z2["p_value"]))
    return f"<tr>{''.join(cells)}</tr>"


def _p_value(value: float | None) -> str:
    if value is None:
        return "<td>-</td>"
    mark = " class='no'" if value < 0.01 else ""
    return f"<td{mark}>{value:.4f}</td>"


def _draw_all(
    folder: Path, outcomes: Mapping[str, Sequence[Outcome]]
) -> dict[str, list[str]] | None:
    """Draw every symbol; None where there is nothing to draw with."""
    try:
        import matplotlib as mpl
    except ModuleNotFoundError:
        log.warning("no plots: matplotlib is not installed")
        return None
    mpl.use("svg")
    found = {}
    for symbol, items in outcomes.items():
        stem = symbol.replace("/", "_")
        found[symbol] = [
            name
            for name in (
                _bands(folder / f"{stem}_bands.png", items),
                _counts(folder / f"{stem}_exceedances.svg", items),
            )
            if name
        ]
    return found


def _bands(path: Path, outcomes: Sequence[Outcome]) -> str | None:
    """Draw outcomes against both limits of the default model, each horizon below the other."""
    from matplotlib import pyplot as plt

    pairs = _default_pairs(outcomes)
    if not pairs:
        return None
    figure, axes = plt.subplots(len(pairs), 1, figsize=(11, 3.6 * len(pairs)), squeeze=False)
    for axis, (horizon, sides) in zip(axes[:, 0], sorted(pairs.items()), strict=True):
        long, short = sides["long"], sides["short"]
        at = long.times.astype("datetime64[ns]")
        axis.plot(at, -100 * long.losses, color="0.6", lw=0.5, label="return")
        axis.plot(at, -100 * long.value_at_risk, color="tab:red", lw=0.8, label="-VaR, long")
        axis.plot(
            short.times.astype("datetime64[ns]"),
            100 * short.value_at_risk,
            color="tab:blue",
            lw=0.8,
            label="VaR, short",
        )
        for forecasts, sign in ((long, -1), (short, 1)):
            hit = forecasts.losses > forecasts.value_at_risk
            axis.plot(
                forecasts.times[hit].astype("datetime64[ns]"),
                100 * sign * forecasts.losses[hit],
                "k.",
                ms=4,
            )
        axis.set_title(f"99 % filtered historical simulation, {horizon_name(horizon)}")
        axis.set_ylabel("%")
        axis.legend(loc="upper left", ncols=3, frameon=False)
    return _save(figure, path)


def _counts(path: Path, outcomes: Sequence[Outcome]) -> str | None:
    """Draw exceedances over time less those expected, per model: a right one stays near 0."""
    from matplotlib import pyplot as plt

    horizons = sorted({item.horizon_ns for item in outcomes})
    figure, axes = plt.subplots(1, len(horizons), figsize=(11, 4), squeeze=False)
    drawn = 0
    for axis, horizon in zip(axes[0], horizons, strict=True):
        for item in outcomes:
            forecasts = item.forecasts
            if item.horizon_ns != horizon or forecasts is None or not len(forecasts):
                continue
            if forecasts.level != SHOWN or forecasts.side != "long":
                continue
            hits = forecasts.losses > forecasts.value_at_risk
            axis.plot(
                forecasts.times.astype("datetime64[ns]"),
                np.cumsum(hits - (1 - SHOWN)),
                label=item.model,
                lw=1,
            )
            drawn += 1
        axis.axhline(0, color="0.7", lw=0.8)
        axis.set_title(f"99 %, {horizon_name(horizon)}, long: exceedances above those expected")
        axis.tick_params(axis="x", rotation=30)
        if axis.lines[:-1]:
            axis.legend(frameon=False)
    if drawn:
        return _save(figure, path)
    plt.close(figure)
    return None


def _default_pairs(outcomes: Sequence[Outcome]) -> dict[int, dict[str, Any]]:
    pairs: dict[int, dict[str, Any]] = {}
    for item in outcomes:
        forecasts = item.forecasts
        if item.model == "fhs" and forecasts is not None and forecasts.level == SHOWN:
            pairs.setdefault(item.horizon_ns, {})[forecasts.side] = forecasts
    return {
        horizon: sides
        for horizon, sides in pairs.items()
        if horizon <= DAY_NS and all(len(one) for one in sides.values())
    }


def _save(figure: Any, path: Path) -> str:
    from matplotlib import pyplot as plt

    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)
    return path.name

import json
import sys
from argparse import Namespace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import feather

from alphaplus.errors import ConfigError
from alphaplus.risk.evaluation import evaluate
from alphaplus.risk.figures import DAY_NS
from alphaplus.risk.filtered import filter_returns
from alphaplus.risk.rolling import SIDES, filtered_forecasts, simulated_forecasts
from jobs.backtest_var import find_all, read_series, run
from tests.risk.value_at_risk_series import garch_series

SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT")


@pytest.fixture
def histories(tmp_path: Path) -> Path:
    """Two symbols: one with enough history, one without a move."""
    folder = tmp_path / "histories"
    folder.mkdir()
    series = garch_series(1200)
    for name, prices in (
        ("AAA", 100 * np.exp(np.cumsum(series.values))),
        ("FLAT", np.full(len(series), 5.0)),
    ):
        columns = {"date": pa.array(series.times, pa.timestamp("ns", "UTC"))}
        columns |= dict.fromkeys(("open", "high", "low", "close", "volume"), pa.array(prices))
        feather.write_feather(  # type: ignore[no-untyped-call,unused-ignore]
            pa.table(columns), folder / f"{name}-1h-futures.feather"
        )
    return folder


def _arguments(data: Path, report: Path, **changed: Any) -> Namespace:
    chosen = {"levels": (0.99,), "paths": 300, "draws": 5_000, "seed": 0, "json": True, **changed}
    return Namespace(data=data, report=report, **chosen)


def test_report_names_every_test_and_what_could_not_be_used(
    histories: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    summary = run(_arguments(histories, tmp_path / "report"))
    assert summary["symbols"] == ["AAA"]
    assert "moves" in summary["unusable"]["FLAT"]
    models = {row["model"] for row in summary["results"]}
    assert models == {"fhs", "fhs_garch", "historical", "ewma_normal", "evt"}
    row = summary["results"][0]
    for name in ("kupiec", "christoffersen", "conditional_coverage"):
        assert 0 <= row[name]["p_value"] <= 1
    assert row["traffic_light"]["zone"] in {"green", "yellow", "red"}
    assert set(row["acerbi_szekely_z2"]) == {"statistic", "critical", "p_value", "accepted"}
    page = Path(summary["report"])
    text = page.read_text()
    assert "FLAT" in text
    for name in ("AAA_bands.png", "AAA_exceedances.svg"):
        assert (page.parent / name).stat().st_size > 1000
        assert name in text
    saved = json.loads((page.parent / "results.json").read_text())
    assert saved["results"] == summary["results"]
    said = capsys.readouterr()
    assert "AAA: fhs 1d" in said.err
    assert said.out == ""


def test_same_seed_gives_the_same_results(histories: Path, tmp_path: Path) -> None:
    first, second = (run(_arguments(histories, tmp_path / name)) for name in ("a", "b"))
    assert first["results"] == second["results"]


def test_without_matplotlib_the_page_says_so(
    histories: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    summary = run(_arguments(histories, tmp_path / "report", json=False))
    assert "No plots" in Path(summary["report"]).read_text()
    assert "results" not in summary
    assert "Kupiec p" in capsys.readouterr().out


def test_folder_without_histories_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="were none"):
        find_all(tmp_path)
    with pytest.raises(ConfigError, match="folder"):
        find_all(tmp_path / "absent")


def test_folders_of_folders_are_found(data_dir: Path) -> None:
    found = find_all(data_dir / "risk")
    assert {name.split("/")[0] for name in found} == {
        "freqtrade_xrp_2021", "perps_1h_2024-01_2025-06", "perps_5m_2026-01",
    }  # fmt: skip


@pytest.mark.parametrize("symbol", SYMBOLS)
def test_coverage_claim_of_the_default_model(data_dir: Path, symbol: str) -> None:
    folder = data_dir / "risk" / "perps_1h_2024-01_2025-06"
    filtered = filter_returns(read_series(find_all(folder)[symbol]))
    claims = [filtered_forecasts(filtered, 0.99, side) for side in SIDES]
    claims += simulated_forecasts(filtered, DAY_NS, (0.99,))
    assert [item.horizon_ns // DAY_NS for item in claims] == [0, 0, 1, 1]
    for item in claims:
        tests = evaluate(item, draws=5_000)
        assert tests["n_obs"] > 500
        assert tests["coverage_accepted"], (item.side, tests["kupiec"])

"""The plots of the documentation: all of them, small, and none without recordings."""

import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from docs import plots


def test_without_recordings_it_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ALPHAPLUS_DATA", str(tmp_path))
    assert plots.data_dir() is None
    plots.main()
    assert capsys.readouterr().out.startswith("plots: left as they are, no recordings here")


def test_every_plot_is_drawn_small(data_dir: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="plots need matplotlib (a development dependency)")
    written = plots.write_plots(data_dir, tmp_path / "plots")
    assert [path.stem for path in written] == [*plots.PLOTS]
    for path in written:
        assert 5_000 < path.stat().st_size <= plots.MAX_BYTES
        root = ET.parse(path).getroot()
        texts = [element for element in root.iter() if element.tag.endswith("text")]
        assert len(texts) > 5
        assert 'd=""' not in path.read_text(encoding="utf-8")  # a line without points

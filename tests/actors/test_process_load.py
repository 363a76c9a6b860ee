"""CPU and memory of this process, against what psutil says."""

import os

import psutil
import pytest

from actors.process_load import MEMORY_EVERY_S, ROLLUP, ProcessLoad, proportional_set_size


@pytest.mark.skipif(not ROLLUP.exists(), reason="the kernel has no smaps_rollup")
def test_memory_is_the_proportional_set_size():
    assert proportional_set_size() == pytest.approx(
        psutil.Process().memory_full_info().pss, rel=0.05
    )


def test_cpu_is_that_of_this_process():
    load = ProcessLoad().read()
    assert load["pid"] == os.getpid()
    assert 0 < load["cpu_s"] <= sum(os.times()[:2])


def test_memory_is_read_again_only_now_and_then(tmp_path):
    now, rollup = 0.0, tmp_path / "rollup"
    rollup.write_bytes(b"5500-7000 ---p\nRss: 9 kB\nPss: 4 kB\n")
    load = ProcessLoad(lambda: now, rollup)
    assert load.read()["memory_bytes"] == 4096
    rollup.write_bytes(b"5500-7000 ---p\nRss: 9 kB\nPss: 6 kB\n")
    assert load.read()["memory_bytes"] == 4096
    now = MEMORY_EVERY_S
    assert load.read()["memory_bytes"] == 6144


@pytest.mark.parametrize("text", [None, b"", b"Rss: 9 kB\n"])
def test_memory_that_is_not_told_is_unknown(tmp_path, text):
    rollup = tmp_path / "rollup"
    if text is not None:
        rollup.write_bytes(text)
    assert proportional_set_size(rollup) is None

"""The queueing simulation against closed forms."""

import math

import pytest

from benchmarks.capacity.queueing import Setting, simulate

SERVICE_S = 0.001


def one_server(load: float, *, exponential: bool, seconds: float = 400.0, seed: int = 3) -> Setting:
    return Setting(
        symbols=1,
        rate=load / SERVICE_S,
        cores=1,
        feed_s=0.0,
        symbol_s=SERVICE_S,
        exponential=exponential,
        batches=False,
        seconds=seconds,
        seed=seed,
    )


@pytest.mark.parametrize("load", [0.3, 0.7])
def test_md1_mean_is_that_of_pollaczek_and_khinchine(load: float) -> None:
    found = simulate(one_server(load, exponential=False))
    expected = SERVICE_S * (1 + load / (2 * (1 - load)))
    assert found.mean / 1e9 == pytest.approx(expected, rel=0.03)


@pytest.mark.parametrize("load", [0.3, 0.7])
def test_mm1_times_are_exponential(load: float) -> None:
    found = simulate(one_server(load, exponential=True))
    mean = SERVICE_S / (1 - load)
    assert found.mean / 1e9 == pytest.approx(mean, rel=0.05)
    for percent in (50, 90, 99):
        expected = -mean * math.log(1 - percent / 100)
        assert found.percentile(percent) / 1e9 == pytest.approx(expected, rel=0.1)


def test_mmk_mean_is_that_of_erlang_c() -> None:
    """200 symbols on two cores are nearly one queue with two servers."""
    load, cores = 0.7, 2
    found = simulate(
        Setting(
            symbols=200,
            rate=load * cores / SERVICE_S / 200,
            cores=cores,
            feed_s=0.0,
            symbol_s=SERVICE_S,
            exponential=True,
            batches=False,
            seconds=200.0,
        )
    )
    offered = load * cores
    head = sum(offered**n / math.factorial(n) for n in range(cores))
    tail = offered**cores / math.factorial(cores) / (1 - load)
    waits = tail / (head + tail)
    expected = SERVICE_S + waits * SERVICE_S / (cores * (1 - load))
    assert found.mean / 1e9 == pytest.approx(expected, rel=0.05)


def test_company_is_waited_for_once_and_stages_add_up() -> None:
    found = simulate(
        Setting(
            symbols=1,
            rate=1.0,
            cores=2,
            feed_s=0.0002,
            symbol_s=0.0003,
            company_s=0.001,
            seconds=300.0,
        )
    )
    assert found.percentile(50) / 1e9 == pytest.approx(0.0015, rel=0.02)


def test_batches_lose_no_message_and_bound_the_wait_no_worse() -> None:
    common = {"symbols": 4, "rate": 200.0, "cores": 1, "feed_s": 0.0002, "symbol_s": 0.0008}
    batched = simulate(Setting(**common, company_s=0.001, seconds=30.0))
    single = simulate(Setting(**common, batches=False, seconds=30.0))
    assert len(batched) == pytest.approx(800 * 27, rel=0.03)
    assert len(single) == pytest.approx(800 * 27, rel=0.03)


def test_other_work_makes_messages_wait() -> None:
    common = {"symbols": 10, "rate": 10.0, "cores": 1, "feed_s": 0.0001, "symbol_s": 0.0005}
    alone = simulate(Setting(**common))
    beside = simulate(Setting(**common, other_cores=0.8, other_job_s=0.002))
    assert beside.percentile(99) > 2 * alone.percentile(99)


def test_the_same_seed_gives_the_same_times() -> None:
    setting = one_server(0.5, exponential=True, seconds=5.0)
    assert simulate(setting) == simulate(setting)
    assert simulate(setting) != simulate(one_server(0.5, exponential=True, seconds=5.0, seed=4))


def test_sizes_have_the_mean_and_spread_asked_for() -> None:
    common = {"symbols": 1, "rate": 1.0, "cores": 1, "feed_s": 0.0, "symbol_s": 0.001}
    whole = simulate(Setting(**common, spread=1.0, seconds=4000.0))
    partly = simulate(Setting(**common, spread=1.0, sized=0.2, seconds=4000.0))
    assert whole.mean / 1e6 == pytest.approx(1.0, rel=0.06)
    assert whole.percentile(50) / 1e6 == pytest.approx(math.exp(-0.5), rel=0.06)
    assert partly.percentile(50) / 1e6 == pytest.approx(0.8 + 0.2 * math.exp(-0.5), rel=0.02)

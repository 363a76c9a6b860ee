"""All measures together: how a stream is cut changes nothing, and every answer can be shown."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from alphaplus.analysis import views
from alphaplus.analysis.analyzer import Analyzer
from alphaplus.analysis.market import Market
from alphaplus.analysis.registry import REGISTRY, MeasureParameters
from alphaplus.errors import ConfigError, StaleBook
from alphaplus.events import EventArray, FeedStatus, Flag, Kind, Side, event, status_event
from tests.analysis.capture_tapes import capture_stream
from tests.book.events import INSTRUMENT, cut, message, snapshot, ticker

DOCS = Path(__file__).resolve().parents[2] / "docs" / "measures"
SECOND = 1_000_000_000
PARAMETERS = MeasureParameters(volume_bucket=0.5)


def run(batches: list[EventArray], *, every_ms: float | None = None) -> Market:
    market = Market(
        INSTRUMENT, Analyzer(INSTRUMENT, PARAMETERS, every_ms=every_ms), stale_after_ms=math.inf
    )
    for batch in batches:
        market.apply(batch)
    return market


@pytest.fixture(scope="module")
def part(data_dir: Path) -> EventArray:
    """The first 40 s or so of the recording, with a break in the middle."""
    events = capture_stream(data_dir, "perp").events[:120_000].copy()
    ends = np.flatnonzero(events["flags"] & Flag.LAST)
    middle = int(ends[len(ends) // 2])
    at = int(events["ts_recv"][middle])
    pieces = [events[: middle + 1], status_event(FeedStatus.DISCONNECTED, ts_recv=at)]
    return np.concatenate(
        [*pieces, status_event(FeedStatus.SYNCED, ts_recv=at), events[middle + 1 :]]
    )


def assert_same(found: Any, expected: Any, where: str) -> None:
    if isinstance(expected, dict):
        assert found.keys() == expected.keys(), where
        for key, value in expected.items():
            assert_same(found[key], value, f"{where}.{key}")
    elif isinstance(expected, list):
        assert len(found) == len(expected), where
        for index, value in enumerate(expected):
            assert_same(found[index], value, f"{where}[{index}]")
    elif isinstance(expected, float):
        assert found == pytest.approx(expected, rel=1e-12, abs=1e-12), where
    else:
        assert found == expected, where


def test_no_measure_depends_on_how_the_stream_is_cut(part: EventArray) -> None:
    whole = views.analyze(run([part]))
    random = np.random.default_rng(5)
    for count in (7, 500, 5000):
        places = random.integers(0, len(part), count).tolist()
        cut_up = views.analyze(run(cut(part, places)))
        assert_same(cut_up.measures, whole.measures, f"{count} cuts")


def test_measures_without_memory_are_the_same_whether_taken_at_turns_or_when_asked(
    part: EventArray,
) -> None:
    assert_same(
        views.analyze(run([part], every_ms=1000.0)).measures,
        views.analyze(run([part])).measures,
        "eager",
    )


def test_every_measure_knows_something_of_a_recording(part: EventArray) -> None:
    found = views.analyze(run([part]))
    assert set(found.measures) == set(REGISTRY)
    for name, values in found.measures.items():
        assert any(value not in (None, 0, 0.0, [], {}) for value in values.values()), name


def test_what_is_missing_is_none_and_said_in_words(part: EventArray) -> None:
    for market in (run([]), run([part])):
        found = views.analyze(market)
        json.dumps(found.as_dict(), allow_nan=False)
        for name, phrases in found.missing.items():
            for key, phrase in phrases.items():
                assert phrase.strip(), (name, key)
                assert found.measures[name].get(key) is None, (name, key)


@pytest.mark.parametrize("name", REGISTRY)
def test_every_measure_has_its_page(name: str) -> None:
    module = REGISTRY[name](INSTRUMENT, PARAMETERS).__class__.__module__.rsplit(".", 1)[-1]
    page = DOCS / f"{module}.md"
    assert page.is_file(), page
    assert page.read_text().startswith("#")


def test_settings_choose_the_measures() -> None:
    chosen = MeasureParameters(measures=("depth", "ofi"))
    assert list(Analyzer(INSTRUMENT, chosen).measures) == ["depth", "ofi"]
    with pytest.raises(ConfigError, match=r"analysis.measures among .*, was 'dpeth'"):
        Analyzer(INSTRUMENT, MeasureParameters(measures=("dpeth",)))


def synced() -> EventArray:
    return np.concatenate(
        (
            snapshot([(Side.BID, 1000, 2.0), (Side.ASK, 1001, 1.0)], 1, SECOND),
            status_event(FeedStatus.SYNCED, ts_recv=SECOND),
            ticker((1000, 2.0), (1001, 1.0), 2, SECOND),
        )
    )


def told(volume: float, ts: int) -> EventArray:
    volume_row = event(Kind.VOLUME_24H, ts_recv=ts, value=volume, flags=Flag(0))
    return np.concatenate((volume_row, event(Kind.TURNOVER_24H, ts_recv=ts, value=volume * 100)))


def traded(identity: int, ts: int) -> EventArray:
    side = Side.BID if identity % 3 else Side.ASK
    return event(Kind.TRADE, ts_recv=ts, sequence=identity, side=side, price_tick=1000, value=0.3)


def two_days() -> EventArray:
    """Trades before and after a midnight, and what the venue says of 24 hours between them."""
    midnight, parts = 86_400 * SECOND, [synced()]
    for number in range(1, 400):
        ts = midnight + (number - 200) * SECOND // 3
        parts.append(traded(number, ts))
        if number in (40, 90, 198, 300):
            parts.append(told(10.0 * number, ts))
        if number % 7 == 0:
            parts.append(message([(Side.BID, 990, float(number))], 2 + number, ts))
    return np.concatenate(parts)


def test_the_venues_volume_reaches_its_measures_however_the_stream_is_cut() -> None:
    events = two_days()

    def known(batches: list[EventArray]) -> dict[str, Any]:
        market = Market(INSTRUMENT, Analyzer(INSTRUMENT), stale_after_ms=math.inf)
        for batch in batches:
            market.apply(batch)
        return views.analyze(market).measures

    whole = known([events])
    vpin = whole["vpin"]
    # From trade 41 on buckets of 400 / 50, of 1980 / 50 from midnight on.
    assert (vpin["bucket_volume"], vpin["bucket_volume_source"]) == (39.6, "venue")
    assert vpin["full_buckets"] == int(0.3 * 160 / 8) + 1
    assert whole["liquidity_score"]["components"]["volume"] == 3e5 / (3e5 + 50e6)
    assert whole["liquidity_score"]["score"] is not None
    random = np.random.default_rng(3)
    for count in (1, 20, 300):
        places = random.integers(0, len(events), count).tolist()
        assert_same(known(cut(events, places)), whole, f"{count} cuts")
    assert_same(known(np.split(events, len(events))), whole, "row by row")


def test_the_venues_volume_outlives_a_break_of_the_stream() -> None:
    market = run([synced(), told(5e3, SECOND), traded(1, SECOND)])
    broken = status_event(FeedStatus.DISCONNECTED, ts_recv=2 * SECOND)
    market.apply(np.concatenate((broken, synced())))
    assert views.analyze(market).value("liquidity_score", "components", "volume") == 1 / 101


def test_a_crossed_book_has_no_measure_of_the_book() -> None:
    market = run([synced(), message([(Side.BID, 1005, 1.0)], 3, 2 * SECOND)])
    found = views.analyze(market)
    assert found.crossed
    assert found.mid is None
    for name in ("depth", "cost", "book_slope", "liquidity_score", "imbalance"):
        assert not any(value for value in found.measures[name].values()), name
    with pytest.raises(StaleBook):
        views.liquidity(market, 1000.0, 2 * SECOND)


def test_a_book_without_one_side_scores_nothing() -> None:
    market = run([synced(), message([(Side.ASK, 1001, 0.0)], 3, 2 * SECOND)])
    found = views.analyze(market)
    assert found.value("liquidity_score", "score_book") == 0
    assert (found.best_bid, found.best_ask, found.mid) == (100.0, None, None)


def test_instant_measures_follow_each_message() -> None:
    market = run([synced()])
    before = views.analyze(market).value("depth", "25", "bid")
    market.apply(message([(Side.BID, 1000, 5.0)], 3, SECOND + 1))
    assert views.analyze(market).value("depth", "25", "bid") == pytest.approx(before * 5 / 2)


def test_a_snapshot_for_the_tables_has_the_fields_of_its_type() -> None:
    found = views.order_book_snapshot(run([synced()]), 20)
    assert (found.bids, found.asks) == (((100.0, 2.0),), ((100.1, 1.0),))
    assert found.bid_ask_imbalance == pytest.approx(1 / 3)
    assert (found.depth_levels, found.total_bid_volume, found.order_flow_toxicity) == (
        20,
        2.0,
        None,
    )

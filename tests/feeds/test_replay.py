"""Whole recordings through the live path: the real ones, and what may go wrong in one."""

import gzip
from pathlib import Path

import numpy as np
import orjson
import pytest

from alphaplus.errors import CaptureError
from alphaplus.events import EVENT
from alphaplus.feeds.capture import EventCapture
from alphaplus.feeds.discover import infer_instrument
from alphaplus.feeds.replay import ReplayReport, replay
from tests.feeds.synthetic import (
    Line,
    SyntheticVenue,
    depth_positions,
    is_snapshot,
    market,
    write_capture,
)

PERP = "captures/binance_usdm_btcusdt_20240808.raw.gz"
SPOT = "captures/binance_spot_btcusdt_20240808.raw.gz"


def run(folder: Path, lines: list[Line], **options: object) -> ReplayReport:
    path = write_capture(folder / "lines.raw.gz", lines)
    return replay(path, **options)  # type: ignore[arg-type]


def lines_of(path: Path) -> list[Line]:
    lines = gzip.decompress(path.read_bytes()).splitlines()
    return [(int(stamp), frame) for stamp, frame in (line.split(b" ", 1) for line in lines)]


@pytest.fixture(scope="session")
def spot_lines(data_dir: Path) -> list[Line]:
    """The spot recording, cut to its first twentieth."""
    return lines_of(data_dir / SPOT)[:2000]


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        (PERP, ("BTC-USDT-PERP", 93_954, 6547, 443_262, 21_313, 5018, 4578)),
        (SPOT, ("BTC-USDT-SPOT", 41_249, 3449, 124_073, 9757, 1209, 2196)),
    ],
)
def test_real_recordings_are_right_at_every_message_and_from_parquet(
    data_dir: Path, tmp_path: Path, file: str, expected: tuple[str, int, int, int, int, int, int]
) -> None:
    symbol, messages, depth_messages, level_updates, trades, bids, asks = expected
    parquet = tmp_path / "events.parquet"
    report = replay(data_dir / file, record=parquet)
    assert report.symbols == (symbol,)
    assert report.messages == messages
    again = replay(parquet)
    for made in (report, again):
        assert (made.audit.equal, made.audit.different) == (depth_messages, 0)
        assert (made.depth_messages, made.level_updates) == (depth_messages, level_updates)
        assert (made.trades, made.gaps, made.resyncs, made.crossed) == (trades, 0, 0, 0)
        assert (made.bids, made.asks) == (bids, asks)
        assert made.instruments[0].sequence == report.instruments[0].sequence
        assert made.book_hash == report.book_hash


def test_first_applied_change_is_the_one_around_the_snapshot(
    data_dir: Path, tmp_path: Path
) -> None:
    # The published rule names these ids: U and u of the first change applied.
    for file, first_id, last_id in (
        (PERP, 5123107850310, 5123107853551),
        (SPOT, 50093239208, 50093239224),
    ):
        lines = lines_of(data_dir / file)[:200]
        parquet = tmp_path / "events.parquet"
        run(tmp_path, lines, record=parquet)
        events = EventCapture.read(parquet).events
        end = int(np.flatnonzero(events["kind"] == 3)[0])
        first = int(events["sequence"][end + 1])
        assert first == last_id
        frame = next(f for _, f in lines if f'"u":{first},'.encode() in f and b"depthUpdate" in f)
        assert orjson.loads(frame)["data"]["U"] == first_id


@pytest.mark.parametrize("batch", [1, 7, 1000])
def test_any_batch_size_gives_the_same_book(
    spot_lines: list[Line], tmp_path: Path, batch: int
) -> None:
    report = run(tmp_path, spot_lines, batch=batch)
    reference = run(tmp_path, spot_lines, batch=len(spot_lines))
    assert report.book_hash == reference.book_hash
    assert report.audit == reference.audit
    assert report.audit.different == 0
    assert report.audit.equal > 100


def healthy(report: ReplayReport) -> bool:
    return (report.audit.different, report.crossed, report.gaps) == (0, 0, 0)


def test_lost_change_is_one_gap_at_the_next(spot_lines: list[Line], tmp_path: Path) -> None:
    lines = list(spot_lines)
    del lines[depth_positions(lines)[50]]
    report = run(tmp_path, lines)
    assert (report.gaps, report.resyncs) == (1, 0)
    assert report.instruments[0].status == "resync"
    assert report.audit.different == 0
    assert report.depth_messages == 48  # of the first fifty, two are older than the snapshot


def test_duplicated_change_leaves_the_book_as_it_is(spot_lines: list[Line], tmp_path: Path) -> None:
    lines = list(spot_lines)
    at = depth_positions(lines)[50]
    lines.insert(at, lines[at])
    report = run(tmp_path, lines)
    assert healthy(report)
    assert report.book_hash == run(tmp_path, spot_lines).book_hash
    assert report.instruments[0].duplicates == 1


def test_reordered_changes_are_a_gap(spot_lines: list[Line], tmp_path: Path) -> None:
    lines = list(spot_lines)
    first, second = depth_positions(lines)[50:52]
    lines[first], lines[second] = (
        (lines[first][0], lines[second][1]),
        (
            lines[second][0],
            lines[first][1],
        ),
    )
    report = run(tmp_path, lines)
    assert (report.gaps, report.audit.different) == (1, 0)


def moved_snapshot(lines: list[Line], seconds: float) -> list[Line]:
    """The recording with its snapshot received later."""
    at = next(at for at, line in enumerate(lines) if is_snapshot(line))
    late = lines[at][0] + int(seconds * 1e9)
    rest = [*lines[:at], *lines[at + 1 :], (late, lines[at][1])]
    return sorted(rest, key=lambda line: line[0])


def test_snapshot_one_second_late_gives_the_same_book(
    spot_lines: list[Line], tmp_path: Path
) -> None:
    report = run(tmp_path, moved_snapshot(spot_lines, 1.0))
    assert healthy(report)
    on_time = run(tmp_path, spot_lines)
    assert report.book_hash == on_time.book_hash
    assert report.audit == on_time.audit


def test_two_snapshots_give_the_same_book(spot_lines: list[Line], tmp_path: Path) -> None:
    at = next(at for at, line in enumerate(spot_lines) if is_snapshot(line))
    lines = [*spot_lines[: at + 1], *spot_lines[at:]]
    report = run(tmp_path, lines)
    assert healthy(report)
    assert report.book_hash == run(tmp_path, spot_lines).book_hash


def test_second_snapshot_after_a_hole_heals_the_book(tmp_path: Path) -> None:
    for is_spot in (False, True):
        venue = market(is_spot=is_spot)
        heard = len(venue.lines)
        venue.run(20)  # the connection is down
        back = len(venue.lines)
        venue.run(3).snapshot().run(40)
        lines = venue.lines[:heard] + venue.lines[back:]
        reports = [run(tmp_path, lines, batch=batch) for batch in (1, 7, 1000)]
        assert len({report.book_hash for report in reports}) == 1
        assert {(r.gaps, r.resyncs, r.crossed, r.audit.different) for r in reports} == {
            (1, 1, 0, 0)
        }
        assert reports[0].book_hash == run(tmp_path, venue.lines).book_hash
        assert reports[0].instruments[0].status == "synced"


def test_snapshot_received_before_the_change_that_shows_the_hole_is_used(tmp_path: Path) -> None:
    venue = market()
    heard = len(venue.lines)
    venue.run(20)
    back = len(venue.lines)
    venue.snapshot().run(1).run(30)
    lines = venue.lines[:heard] + venue.lines[back:]
    # A futures snapshot joins the change that ends with its id: it must be heard as well.
    overlap = [line for line in venue.lines[heard:back] if b"depthUpdate" in line[1]][-1:]
    lines = [*venue.lines[:heard], venue.lines[back], *overlap, *venue.lines[back + 1 :]]
    report = run(tmp_path, sorted(lines, key=lambda line: line[0]))
    assert (report.gaps, report.resyncs, report.audit.different) == (1, 1, 0)


def test_messages_of_other_symbols_do_not_touch_the_book(
    spot_lines: list[Line], tmp_path: Path
) -> None:
    mixed = []
    for number, (ts_recv, frame) in enumerate(spot_lines):
        mixed.append((ts_recv, frame))
        if number % 3 == 0 and b"lastUpdateId" not in frame:
            other = frame.replace(b"BTCUSDT", b"ETHUSDT").replace(b"btcusdt", b"ethusdt")
            mixed.append((ts_recv, other))
    alone = run(tmp_path, spot_lines)
    report = run(tmp_path, mixed)
    assert report.symbols == ("BTC-USDT-SPOT", "ETH-USDT-SPOT")
    assert report.book_hash == alone.book_hash
    assert report.audit == alone.audit
    assert report.instruments[1].status == "buffering"
    given = infer_instrument([frame for _, frame in spot_lines])
    only = run(tmp_path, mixed, instruments=[given])
    assert only.book_hash == alone.book_hash
    assert only.unknown_symbol_frames == len(mixed) - len(spot_lines)


def test_unknown_fields_and_other_spacing_give_the_same_book(
    spot_lines: list[Line], tmp_path: Path
) -> None:
    changed = []
    for ts_recv, frame in spot_lines:
        whole = orjson.loads(frame)
        data = whole.get("data", whole)
        data |= {"st": 1, "ps": "PAIR", "nq": "0.1", "ap": None, "deep": {"a": [{"b": "1"}]}}
        data = dict(reversed(data.items()))
        whole = whole | {"data": data} if "data" in whole else data
        text = orjson.dumps(whole, option=orjson.OPT_INDENT_2).replace(b"\n", b" ")
        changed.append((ts_recv, text))
    report = run(tmp_path, changed)
    assert report.book_hash == run(tmp_path, spot_lines).book_hash
    assert healthy(report)


def test_torn_frames_are_counted_and_the_book_is_never_wrong(tmp_path: Path) -> None:
    venue = market(changes=80)
    at = depth_positions(venue.lines)[40]
    venue.lines[at] = (venue.lines[at][0], venue.lines[at][1][:70])
    venue.lines.insert(5, (venue.lines[5][0], b"\xff\x00garbage"))
    report = run(tmp_path, venue.lines)
    assert (report.bad_frames, report.gaps, report.audit.different) == (2, 1, 0)


@pytest.mark.parametrize("symbol", ["BTCUSD_PERP", "ETHUSD_240927"])
def test_coin_margined_recording_reads_alike(tmp_path: Path, symbol: str) -> None:
    venue = SyntheticVenue(symbol=symbol).run(10)
    payload = orjson.loads(venue.snapshot_payload())
    payload |= {"symbol": symbol, "pair": symbol.partition("_")[0]}
    venue.lines.append((venue.now, orjson.dumps(payload)))
    venue.run(50)
    report = run(tmp_path, venue.lines)
    assert healthy(report)
    # The snapshot's id is the last of the tenth change, so that one is applied too.
    assert report.audit.equal == report.depth_messages == 51
    assert report.instruments[0].tick_size == "0.1"


def test_several_symbols_are_reported_apart_and_together(tmp_path: Path) -> None:
    venues = [
        market(),
        market(symbol="ETHUSDT", seed=2, mid=30_000, start_id=70_000),
        market(symbol="SOLUSDT", seed=3, mid=1500, start_id=500_000),
    ]
    lines = sorted((line for venue in venues for line in venue.lines), key=lambda line: line[0])
    parquet = tmp_path / "events.parquet"
    report = run(tmp_path, lines, batch=13, record=parquet)
    alone = {r.symbols[0]: r for r in (run(tmp_path, venue.lines) for venue in venues)}
    assert healthy(report)
    assert report.messages == sum(r.messages for r in alone.values())
    assert report.level_updates == sum(r.level_updates for r in alone.values())
    assert {part.symbol: part.book_hash for part in report.instruments} == {
        symbol: r.book_hash for symbol, r in alone.items()
    }
    assert replay(parquet).book_hash == report.book_hash


def test_parquet_holds_the_same_events_for_any_batch_size(tmp_path: Path) -> None:
    venue = market(changes=200)
    streams = []
    for batch in (1, 50):
        path = tmp_path / f"{batch}.parquet"
        run(tmp_path, venue.lines, batch=batch, record=path)
        streams.append(EventCapture.read(path).events)
    for name in EVENT.names or ():
        assert streams[0][name].tobytes() == streams[1][name].tobytes()


def test_warm_up_market_is_a_whole_one(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    run(tmp_path, market(is_spot=True).lines)
    run(tmp_path, market().lines)
    assert caplog.records == []  # neither a gap nor a difference, on spot and on futures


def test_truncated_recording_is_one_sentence(data_dir: Path, tmp_path: Path) -> None:
    path = tmp_path / "cut.raw.gz"
    path.write_bytes((data_dir / SPOT).read_bytes()[:100_000])
    with pytest.raises(CaptureError, match=r"cut\.raw\.gz.*cut off"):
        replay(path)


def test_recording_of_nothing_known_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CaptureError, match="Expected frames of Binance"):
        run(tmp_path, [(1, b"{}"), (2, b'{"e":"kline","s":"BTCUSDT"}')])


def test_recording_without_snapshot_has_no_book_and_says_so(tmp_path: Path) -> None:
    report = run(tmp_path, SyntheticVenue().run(20).lines)
    assert (report.depth_messages, report.bids, report.instruments[0].status) == (0, 0, "buffering")

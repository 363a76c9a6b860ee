"""A generated market at speed whose messages carry its own time."""

import orjson
import pytest

from alphaplus.venue.__main__ import main
from alphaplus.venue.generated_source import STEP_NS, GeneratedSource
from alphaplus.venue.protocol import Channel
from alphaplus.venue.simulated_time import MAX_ROUNDS, SimulatedTimeSource

BEGINS_NS = 1_700_000_000_000_000_000
MINUTE_NS = 60_000_000_000


def play(source: GeneratedSource, until_ns: int, turn_ns: int) -> list[dict[str, object]]:
    """Return the depth messages of the first symbol, the clock moved in turns."""
    found = []

    def publish(index: int, channel: Channel, payload: bytes) -> None:
        if index == 0 and channel is Channel.DEPTH:
            found.append(orjson.loads(payload))

    for index in range(len(source.listings)):
        source.start(index, Channel.DEPTH, 0)
    for market_ns in range(0, until_ns, turn_ns):
        while source.advance(market_ns, 5, publish) <= market_ns:
            pass
    return found


def test_each_moment_has_its_own_stamp_however_long_the_turns_are() -> None:
    source = SimulatedTimeSource(2, 7, BEGINS_NS)
    messages = play(source, MINUTE_NS, turn_ns=1_100_000_000)
    stamps = [message["E"] for message in messages]
    assert stamps == [BEGINS_NS // 10**6 + 100 * place for place in range(len(stamps))]
    assert len(stamps) > 580
    assert source.ticker(0, 5).time_ms >= stamps[-1]
    assert source.state(0)["time_ms"] >= stamps[-1]


def test_turns_do_not_change_what_happens() -> None:
    fine = play(SimulatedTimeSource(2, 7, BEGINS_NS), MINUTE_NS // 6, turn_ns=STEP_NS)
    rough = play(SimulatedTimeSource(2, 7, BEGINS_NS), MINUTE_NS // 6, turn_ns=7 * STEP_NS)
    shared = min(len(fine), len(rough))
    assert fine[:shared] == rough[:shared]
    assert shared > 80


def test_what_is_late_is_played_later_and_nothing_is_skipped() -> None:
    source = SimulatedTimeSource(1, 7, BEGINS_NS)
    sent = []
    source.start(0, Channel.DEPTH, 0)
    late_ns = 10 * MAX_ROUNDS * STEP_NS
    rounds = 1
    while source.advance(late_ns, 5, lambda *message: sent.append(message)) <= late_ns:
        rounds += 1
    assert rounds > 10
    assert source.skipped_steps == [0]
    assert sum(channel is Channel.DEPTH for _, channel, _ in sent) > 9 * MAX_ROUNDS


def test_the_book_is_that_of_its_messages() -> None:
    source = SimulatedTimeSource(1, 7, BEGINS_NS)
    messages = play(source, STEP_NS * 20, turn_ns=STEP_NS)
    book = orjson.loads(source.snapshot(0, 1000, 5, held=False))
    assert book["lastUpdateId"] == messages[-1]["u"]
    assert book["E"] == messages[-1]["E"]


def test_candles_lie_in_its_own_day() -> None:
    source = SimulatedTimeSource(1, 7, BEGINS_NS)
    play(source, 3 * MINUTE_NS, turn_ns=STEP_NS)
    begins_ms = BEGINS_NS // 10**6
    found = source.candles(
        0, mark=False, step_ms=60_000, start_ms=begins_ms, end_ms=2 * begins_ms, wall_ns=5
    )
    assert begins_ms <= found["time_ms"][0] <= found["time_ms"][-1] < begins_ms + 4 * 60_000


@pytest.mark.parametrize(
    "arguments", [["--begins-at=-1"], ["--begins-at=1", "--source=capture", "--capture=x"]]
)
def test_a_recording_keeps_its_own_times(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    assert "--begins-at" in capsys.readouterr().out

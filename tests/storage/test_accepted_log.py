"""The log of accepted batches: all lives are read, and a torn end is left out."""

from contextlib import closing
from pathlib import Path

from alphaplus.storage.accepted_log import SUFFIX, AcceptedLog, read_accepted
from tests.storage.rows import batch


def test_what_several_lives_wrote_is_read_as_the_database_will_have_it(tmp_path: Path) -> None:
    sent = [batch("market_trades", 3), batch("order_book_deltas", 5, symbol="ETH-USDT-PERP")]
    for item in sent:
        item.rows["time"] += 123  # below a microsecond
    for batches in (sent[:1], [sent[1], batch("market_trades", 0)]):
        with closing(AcceptedLog(tmp_path / "log")) as log:
            log.write(batches)
    found = {item.table: item for item in read_accepted(tmp_path / "log")}
    assert found.keys() == {"market_trades", "order_book_deltas"}
    for item in sent:
        read = found[item.table]
        assert (read.exchange, read.symbol) == (item.exchange, item.symbol)
        assert read.rows.tobytes() == item.floored().rows.tobytes()


def test_a_torn_end_is_left_out_wherever_it_is_torn(tmp_path: Path) -> None:
    with closing(AcceptedLog(tmp_path)) as log:
        log.write([batch("market_trades", 2), batch("market_trades", 4)])
    (path,) = tmp_path.glob(f"*{SUFFIX}")
    whole = path.read_bytes()
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        rows = [len(item) for item in read_accepted(tmp_path)]
        assert rows in ([], [2])
    path.write_bytes(whole)
    assert [len(item) for item in read_accepted(tmp_path)] == [2, 4]

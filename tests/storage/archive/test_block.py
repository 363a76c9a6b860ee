"""Packed blocks: any rows come back bit for bit, and damage is an error."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alphaplus.errors import StorageError
from alphaplus.storage.archive import block as blocks
from alphaplus.storage.archive.block import block_rows, pack, pack_all, unpack
from alphaplus.storage.tables import NAT, TABLES, Table, TableBatch, Type
from tests.storage.rows import T0, batch

ODD = np.array(
    [0.0, -0.0, np.nan, np.inf, -np.inf, 5e-324, 1.7976931348623157e308, 2.0**53, -(2.0**60), 0.1],
)
EXTREMES = np.array([0, 1, -1, 2**63 - 1, -(2**63), 2**31, -(2**31), 1000], dtype=np.int64)
STYLES = ("equal", "grid", "wild", "odd", "mixed", "null", "drift")


def canonical(table, rows):
    """What is meant of rows: array elements past their length are nan."""
    rows = rows.copy()
    for column in TABLES[table].columns:
        if column.type is Type.FLOAT8_ARRAY:
            counts = np.clip(rows[column.count], 0, column.width)
            rows[column.name][np.arange(column.width) >= counts[:, None]] = np.nan
    return rows


def floats(style, random, shape):
    grid = random.integers(-50_000, 90_000, shape) / 10.0 ** random.integers(0, 9)
    match style:
        case "equal":
            return np.full(shape, random.choice(ODD))
        case "grid" | "drift":
            return grid
        case "wild":
            return random.integers(-(2**63), 2**63 - 1, shape).view(np.float64)
        case "odd":
            return random.choice(ODD, shape)
        case "mixed":
            return np.where(random.random(shape) < 0.05, random.choice(ODD, shape), grid)
        case _:
            return np.where(random.random(shape) < 0.5, np.nan, random.normal(size=shape))


def integers(style, random, shape):
    match style:
        case "equal":
            return np.full(shape, random.choice(EXTREMES))
        case "grid" | "drift":
            return T0 + np.cumsum(random.integers(-5, 300, shape)) * 1_000_000
        case "odd" | "mixed":
            return random.choice(EXTREMES, shape)
        case _:
            return random.integers(-(2**63), 2**63 - 1, shape)


@st.composite
def any_rows(draw, table):
    spec = TABLES[table]
    count = draw(st.sampled_from([1, 2, 3, 7, 8, 9, 60]))
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    made = spec.rows(count)
    for column in spec.columns:
        style = draw(st.sampled_from(STYLES))
        shape = made[column.name].shape
        match column.type:
            case Type.FLOAT8 | Type.FLOAT8_ARRAY:
                made[column.name] = floats(style, random, shape)
            case Type.BOOL:
                made[column.name] = random.integers(0, 2, count)
            case Type.COUNT:
                made[column.name] = random.choice([0, 1, 5, 20], count)
            case Type.TEXT | Type.JSON:
                texts = [b"", b"a", b"\xff\x00b", b"x" * column.width]
                made[column.name] = random.choice(np.array(texts), count)
            case _:
                made[column.name] = integers(style, random, shape)
    return made


@pytest.mark.parametrize("table", TABLES)
@given(data=st.data())
def test_any_rows_come_back_bit_for_bit(table, data):
    made = data.draw(any_rows(table))
    packed = pack(TableBatch(table, "binance", "BTC-USDT-PERP", made))
    assert unpack(packed).tobytes() == canonical(table, made).tobytes()
    assert packed.rows == len(made)
    assert packed.time_from == int(made["time"].min()) // 1000 * 1000
    assert packed.time_to == int(made["time"].max()) // 1000 * 1000


@pytest.mark.parametrize("table", TABLES)
def test_stored_like_rows_come_back(table):
    """Rows as the tests of the writer make them, of several blocks."""
    sent = batch(table, 2 * block_rows(table) + 3).floored()
    packed = list(pack_all(sent))
    assert [len(item.payload) > 0 for item in packed] == [True] * 3
    assert abs(packed[1].rows - packed[2].rows) <= 1
    got = np.concatenate([unpack(item) for item in packed])
    assert got.tobytes() == canonical(table, sent.rows).tobytes()


def test_no_rows_make_no_block():
    assert list(pack_all(batch("market_trades", 0))) == []
    with pytest.raises(StorageError, match="at least one row"):
        pack(batch("market_trades", 0))


def test_packing_is_the_same_every_time():
    assert pack(batch("order_book_deltas", 100)) == pack(batch("order_book_deltas", 100))


@given(data=st.data())
def test_a_damaged_payload_is_an_error_and_never_rows(data):
    packed = pack(batch("order_book_deltas", 50))
    payload = bytearray(packed.payload)
    if data.draw(st.booleans()):
        at = data.draw(st.integers(0, len(payload) - 1))
        payload[at] ^= data.draw(st.integers(1, 255))
    else:
        del payload[data.draw(st.integers(0, len(payload) - 1)) :]
    with pytest.raises(StorageError, match=r"checksum .* order_book_deltas of binance:BTC"):
        unpack(dataclasses.replace(packed, payload=bytes(payload)))


@pytest.mark.parametrize(
    "change",
    [
        {"symbol": "ETH-USDT-PERP"},
        {"exchange": "okx"},
        {"table": "market_trades"},
        {"rows": 49},
        {"time_from": T0 + 1000},
        {"time_to": T0},
        {"checksum": bytes(16)},
    ],
)
def test_a_block_under_anothers_name_is_an_error(change):
    packed = pack(batch("order_book_deltas", 50))
    with pytest.raises(StorageError, match="checksum"):
        unpack(dataclasses.replace(packed, **change))


def test_a_later_format_is_refused_in_words():
    packed = dataclasses.replace(pack(batch("market_trades", 3)), format_version=9)
    with pytest.raises(StorageError, match="Expected a block of format 1, was 9"):
        unpack(packed)


def test_a_block_of_fewer_columns_reads_as_null_and_of_more_is_refused(monkeypatch):
    spec = TABLES["liquidation_events"]
    old = Table(spec.name, tuple(c for c in spec.columns if c.name != "usd"), spec.key)
    sent = batch(spec.name, 20)
    monkeypatch.setitem(TABLES, spec.name, old)
    less = old.rows(20)
    for name in old.dtype.names:
        less[name] = sent.rows[name]
    packed = pack(TableBatch(spec.name, "binance", "BTC-USDT-PERP", less))
    monkeypatch.setitem(TABLES, spec.name, spec)
    rows = unpack(packed)
    assert np.isnan(rows["usd"]).all()
    assert all(rows[name].tobytes() == less[name].tobytes() for name in old.dtype.names)
    packed = pack(sent)
    monkeypatch.setitem(TABLES, spec.name, old)
    with pytest.raises(StorageError, match="'usd' in a block; read it with the version"):
        unpack(packed)


def test_columns_that_follow_from_levels_cost_nothing():
    def size(volumes):
        made = batch("enhanced_order_book_snapshots", 500, seed=3).rows
        made["bid_qty"] = np.random.default_rng(1).integers(1, 10**6, made["bid_qty"].shape) / 1e3
        made["total_bid_volume"] = volumes(made)
        return len(pack(TableBatch("enhanced_order_book_snapshots", "b", "X", made)).payload)

    def summed(made):
        counts = np.clip(made["bid_levels"], 0, 20)
        return [sum(row[:n]) for row, n in zip(made["bid_qty"], counts, strict=True)]

    random = np.random.default_rng(2)
    assert size(summed) < size(lambda made: random.normal(size=len(made))) - 7 * 500


def test_nullable_times():
    sent = batch("trades", 40)
    sent.rows["depth_analysis_time"][::3] = NAT
    assert unpack(pack(sent)).tobytes() == sent.rows.tobytes()
    sent.rows["depth_analysis_time"] = NAT
    assert unpack(pack(sent)).tobytes() == sent.rows.tobytes()


def pinned_deltas():
    rows = TABLES["order_book_deltas"].rows(3)
    rows["time"] = rows["recv_time"] = T0 + np.array([0, 10_000_000, 10_000_000])
    rows["seq"], rows["side"] = [7, 9, 9], [0, 1, 1]
    rows["price"], rows["qty"] = [61_234.5, 61_235.0, 61_235.1], [0.25, -0.0, 1.5]
    return TableBatch("order_book_deltas", "binance", "BTC-USDT-PERP", rows)


def pinned_snapshots():
    """Levels that stay, move and end, sums that follow from them and one that does not."""
    rows = TABLES["enhanced_order_book_snapshots"].rows(3)
    rows["time"] = rows["recv_time"] = T0 + np.array([0, 1_000_000_000, 2_000_000_000])
    rows["seq"], rows["depth"], rows["is_rebuilt"] = [7, 9, 12], 20, [True, False, False]
    for row, (levels, shift) in enumerate(((3, 0), (2, 1), (0, 0))):
        rows["bid_levels"][row] = rows["ask_levels"][row] = levels
        steps = np.arange(levels) + shift
        rows["bid_px"][row, :levels] = (612_345 - steps) / 10
        rows["ask_px"][row, :levels] = (612_346 + steps) / 10
        rows["bid_qty"][row, :levels] = (steps + 1) / 8
        rows["ask_qty"][row, :levels] = (steps * 3 + 1) / 1000
    rows["total_bid_volume"], rows["total_ask_volume"] = [0.75, 0.625, 0.0], [0.012, 0.011, 7.5]
    rows["bid_ask_imbalance"], rows["liquidity_score"] = (
        [0.96, np.nan, np.nan],
        [50.1, 50.2, np.nan],
    )
    return TableBatch("enhanced_order_book_snapshots", "binance", "BTC-USDT-PERP", rows)


@pytest.mark.parametrize("table", ["order_book_deltas", "enhanced_order_book_snapshots"])
def test_format_is_pinned(table):
    """What was packed once must be readable for ever: change this only with a format version."""
    sent, payload = {
        "order_book_deltas": (pinned_deltas(), PINNED),
        "enhanced_order_book_snapshots": (pinned_snapshots(), PINNED_SNAPSHOTS),
    }[table]
    pinned = dataclasses.replace(pack(sent), payload=bytes.fromhex(payload))
    identity = {f.name: getattr(pinned, f.name) for f in dataclasses.fields(pinned)}
    identity.pop("checksum")
    pinned = dataclasses.replace(pinned, checksum=blocks._checksum(**identity))
    assert unpack(pinned).tobytes() == sent.rows.tobytes()


PINNED = (
    "010003000000c700000028b52ffd20c705040054060700740474696d6540420f000001010032dc31"
    "9101000014007409726563765f690373657101010700040069047369646501010002006605707269"
    "6365000000f957090a0266037174790000ff00088000d000f8bf00bf690b69735f736e617073686f"
    "74000a0040c17013afb8782846a007e6ba38a107cee3b083ffe613"
)
PINNED_SNAPSHOTS = (
    "0100030000002b02000028b52ffd602b01950900828f3732806b3a640a8ab86531c4987219aca1d3"
    "d593a0bd93947bf24fdf36ef2477698301150b2727f2583b3a8cf02e6993dfe44e294db15a9b5a2f"
    "80dabc4fae99ff26a6a41eed48e700f57c60f0369d537d9bf7e8d8e5b2427138188c8642c6a36d20"
    "480e1c05975d868b0b440634e19e24a08452e50291b3093be1ae3039b327e1cfb7c40a90089b5ad5"
    "51cb2f1d939abeea9113ec3ebcd511c09d6bbb8f8883cfc34bd14676290d21cccbbcf90b82acb11c"
    "8ca830f2c68db9cace5abee852e44eb210f3d5b5f9cba6a69487a04e67972d0c3a0ef6e1dd4a66a1"
    "2b7fc9af25232070824266e501ad3d7e366c086cc9eebd8134b459286069a47384922cfc046ccb55"
    "16d50431ef64cb19c580427e593266c71eb4418406691651f4a519601ef5d0640b697a6261267397"
    "171a8e423d9e"
)

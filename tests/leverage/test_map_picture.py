import numpy as np
import pytest

from alphaplus.leverage.map_picture import MapPicture

CANDLE = (1.0, 2.0, 0.5, 1.5)


def test_columns_share_one_axis_of_prices() -> None:
    picture = MapPicture(columns=5, cells_per_column=9, bin_width=0.1)
    picture.add(1, CANDLE, 10, np.array([0.0, 3.0, 0.0, 4.0]))
    picture.add(2, CANDLE, 11, np.array([5.0, 0.0, 0.0, 6.0]))
    told = picture.payload()
    assert told["y_axis"] == pytest.approx(np.exp([1.1, 1.3, 1.4]).tolist())
    assert told["cells"] == [[0, 0, 3.0], [0, 1, 4.0], [1, 0, 5.0], [1, 2, 6.0]]
    assert told["x_axis"] == [1, 2]
    assert told["candles"] == [[1, *CANDLE], [2, *CANDLE]]
    assert told["shown"] == [1.0, 1.0]


def test_only_the_newest_columns_and_the_largest_cells_are_kept() -> None:
    picture = MapPicture(columns=1, cells_per_column=2, bin_width=0.1)
    picture.add(1, CANDLE, 0, np.ones(3))
    picture.add(2, CANDLE, 0, np.array([5.0, 1.0, 4.0]))
    told = picture.payload()
    assert told["x_axis"] == [2]
    assert told["cells"] == [[0, 0, 5.0], [0, 1, 4.0]]
    assert told["shown"] == [0.9]


def test_an_empty_picture_has_empty_axes() -> None:
    picture = MapPicture(columns=1, cells_per_column=2, bin_width=0.1)
    assert set(map(len, picture.payload().values())) == {0}

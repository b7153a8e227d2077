"""Several cameras in one picture."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from topreward_ros.video.mosaic import Layout, LayoutError, tile

COLOURS = np.array(
    [(250, 10, 10), (10, 250, 10), (10, 10, 250), (250, 250, 10), (250, 10, 250)], np.uint8
)


def plain(index, height, width):
    return np.broadcast_to(COLOURS[index], (height, width, 3)).copy()


def is_colour(pixel, index):
    return np.array_equal(pixel, COLOURS[index])


def test_a_single_camera_stays_as_it_is():
    frame = plain(0, 4, 6)
    for layout in Layout:
        assert tile([frame], layout) is frame


def test_a_row_goes_from_left_to_right():
    mosaic = tile([plain(0, 4, 6), plain(1, 4, 6), plain(2, 4, 6)], "row")
    assert mosaic.shape == (4, 18, 3)
    assert [mosaic[2, x].tolist() for x in (2, 8, 14)] == COLOURS[:3].tolist()


def test_a_column_goes_from_top_to_bottom():
    mosaic = tile([plain(0, 4, 6), plain(1, 4, 6)], Layout.COLUMN)
    assert mosaic.shape == (8, 6, 3)
    assert is_colour(mosaic[1, 3], 0) and is_colour(mosaic[6, 3], 1)


def test_a_grid_is_filled_row_by_row_and_ends_black():
    mosaic = tile([plain(i, 4, 6) for i in range(3)], "grid")
    assert mosaic.shape == (8, 12, 3)
    assert is_colour(mosaic[1, 1], 0) and is_colour(mosaic[1, 9], 1) and is_colour(mosaic[6, 1], 2)
    assert not mosaic[4:, 6:].any()


def test_smaller_pictures_fill_their_cell_and_keep_their_aspect():
    mosaic = tile([plain(0, 40, 60), plain(1, 10, 30)], "row")  # 3:2 and 3:1
    assert mosaic.shape == (40, 120, 3)
    right = mosaic[:, 60:]
    assert not right[:10].any() and not right[30:].any()  # 60 x 20 px in the middle of 60 x 40
    assert (right[10:30] == COLOURS[1]).all()


def test_insets_lie_in_the_corners_at_a_third():
    mosaic = tile([plain(0, 90, 120)] + [plain(i, 90, 120) for i in range(1, 5)], "main_inset")
    assert mosaic.shape == (90, 120, 3)
    corners = [mosaic[-1, -1], mosaic[-1, 0], mosaic[0, -1], mosaic[0, 0]]
    assert [c.tolist() for c in corners] == COLOURS[1:].tolist()
    assert (mosaic[60:, 80:] == COLOURS[1]).all()
    assert is_colour(mosaic[45, 60], 0) and is_colour(mosaic[59, 110], 0)


def test_an_inset_leaves_the_camera_s_own_picture_alone():
    main = plain(0, 90, 120)
    tile([main, plain(1, 90, 120)], "main_inset")
    assert (main == COLOURS[0]).all()


@settings(max_examples=100)
@given(
    st.sampled_from(list(Layout)),
    st.lists(st.tuples(st.integers(1, 40), st.integers(1, 40)), min_size=1, max_size=5),
)
def test_every_camera_is_seen_whatever_the_sizes(layout, sizes):
    frames = [plain(i, *size) for i, size in enumerate(sizes)]
    mosaic = tile(frames, layout)
    assert mosaic.dtype == np.uint8 and mosaic.shape[2] == 3
    if layout is not Layout.MAIN_INSET:
        for index in range(len(frames)):
            assert (mosaic == COLOURS[index]).all(axis=-1).any()


def test_unknown_layouts_are_refused_by_name():
    with pytest.raises(LayoutError, match="'circle' does not exist; expected one of row, column"):
        tile([plain(0, 4, 4)], "circle")


@pytest.mark.parametrize(("layout", "count"), [("main_inset", 6), ("row", 17), ("grid", 0)])
def test_more_cameras_than_a_layout_holds_are_refused(layout, count):
    with pytest.raises(LayoutError, match=f"not {count}"):
        tile([plain(0, 4, 4)] * count, layout)

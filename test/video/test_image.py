"""Image messages become the right picture, or are refused with a reason."""

from __future__ import annotations

import array
import io
import re
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as Picture
from rosbags.typesys import Stores, get_typestore

from topreward_ros.video import pixels
from topreward_ros.video.image import ImageError, StampError, decode, frame_id, stamp_seconds

STORE = get_typestore(Stores.ROS2_JAZZY)
RawImage = STORE.types["sensor_msgs/msg/Image"]
CompressedImage = STORE.types["sensor_msgs/msg/CompressedImage"]
Header = STORE.types["std_msgs/msg/Header"]
Time = STORE.types["builtin_interfaces/msg/Time"]

HEADER = Header(stamp=Time(sec=12, nanosec=500_000_000), frame_id="camera_optical")
COLOUR = (200, 100, 40)
RNG = np.random.default_rng(5)


def raw(rows, encoding, width, *, height=None, padding=0, big_endian=0):
    """An Image whose rows are given as bytes (height, bytes of a row)."""
    rows = np.ascontiguousarray(rows)
    height = rows.shape[0] if height is None else height
    rows = rows.view(np.uint8).reshape(rows.shape[0], -1)
    rows = np.pad(rows, ((0, 0), (0, padding)), constant_values=255)
    return RawImage(
        header=HEADER, height=height, width=width, encoding=encoding, is_bigendian=big_endian,
        step=rows.shape[1], data=rows.reshape(-1),
    )  # fmt: skip


def compressed(data, format_name="jpeg"):
    return CompressedImage(
        header=HEADER, format=format_name, data=np.frombuffer(bytes(data), np.uint8)
    )


def encoded(picture, container, **options):
    stream = io.BytesIO()
    Picture.fromarray(picture).save(stream, container, **options)
    return stream.getvalue()


def random_picture(height, width, channels=3):
    return RNG.integers(0, 256, (height, width, channels), np.uint8)


def smooth_picture(height, width):
    y, x = np.mgrid[0:height, 0:width]
    planes = (255 * x / width, 255 * y / height, 127 + 100 * np.sin(x / 20))
    return np.stack(planes, axis=-1).astype(np.uint8)


CONVERTERS = {"rosbags-image": pixels._rosbags_image, "cv_bridge": pixels._cv_bridge()}


@pytest.fixture(params=[name for name, convert in CONVERTERS.items() if convert])
def converter(request, monkeypatch):
    """The tests that use it run once for each converter that works here."""
    monkeypatch.setattr(pixels, "_converter", lambda: CONVERTERS[request.param])


# --- raw encodings, each against pixels computed here ------------------------------------------


@pytest.mark.parametrize("padding", [0, 2, 8])
@pytest.mark.parametrize(
    ("encoding", "order"), [("rgb8", "RGB"), ("bgr8", "BGR"), ("rgba8", "RGBA"), ("bgra8", "BGRA")]
)
def test_channel_orders_become_rgb(converter, encoding, order, padding):
    stored = random_picture(5, 7, len(order))
    expected = np.stack([stored[..., order.index(c)] for c in "RGB"], axis=-1)
    np.testing.assert_array_equal(decode(raw(stored, encoding, 7, padding=padding)), expected)


@pytest.mark.parametrize("padding", [0, 3])
def test_mono8_fills_all_channels(converter, padding):
    stored = random_picture(4, 5, 1)[..., 0]
    expected = np.repeat(stored[..., None], 3, axis=-1)
    np.testing.assert_array_equal(decode(raw(stored, "mono8", 5, padding=padding)), expected)


@pytest.mark.parametrize("padding", [0, 6])
@pytest.mark.parametrize("big_endian", [0, 1])
@pytest.mark.parametrize(
    ("encoding", "order"),
    [("mono16", "M"), ("rgb16", "RGB"), ("bgr16", "BGR"), ("rgba16", "RGBA"), ("bgra16", "BGRA")],
)
def test_sixteen_bits_are_scaled_to_eight_in_either_byte_order(
    converter, encoding, order, big_endian, padding
):
    values = RNG.integers(0, 65536, (6, 9, len(order)), np.uint16)
    values[0, 0] = 65535
    stored = values.astype(">u2" if big_endian else "<u2")
    message = raw(stored, encoding, 9, padding=padding, big_endian=big_endian)
    wanted = "MMM" if order == "M" else "RGB"
    eight = np.rint(values / 257).astype(np.uint8)
    expected = np.stack([eight[..., order.index(c)] for c in wanted], axis=-1)
    np.testing.assert_array_equal(decode(message), expected)


@pytest.mark.parametrize("padding", [0, 2])
@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize(
    ("pattern", "cell"),
    [("rggb", "RGGB"), ("bggr", "BGGR"), ("gbrg", "GBRG"), ("grbg", "GRBG")],
)
def test_bayer_cells_become_their_colour(converter, pattern, cell, depth, padding):
    value = dict(zip("RGB", COLOUR, strict=True))
    mosaic = np.array([[value[cell[0]], value[cell[1]]], [value[cell[2]], value[cell[3]]]])
    stored = np.tile(mosaic, (4, 5)).astype(np.uint8)
    if depth == 16:
        stored = stored.astype("<u2") * 257
    rgb = decode(raw(stored, f"bayer_{pattern}{depth}", 10, padding=padding))
    np.testing.assert_array_equal(rgb, np.broadcast_to(np.array(COLOUR), (8, 10, 3)))


def test_bayer_interpolates_between_neighbours(converter):
    stored = random_picture(8, 8, 1)[..., 0]
    rgb = decode(raw(stored, "bayer_rggb8", 8)).astype(int)
    around = stored.astype(int)
    for y, x in [(2, 2), (4, 4), (2, 4)]:  # red sites
        assert rgb[y, x, 0] == around[y, x]
        cross = around[y - 1, x] + around[y + 1, x] + around[y, x - 1] + around[y, x + 1]
        diagonal = (
            around[y - 1, x - 1]
            + around[y - 1, x + 1]
            + around[y + 1, x - 1]
            + around[y + 1, x + 1]
        )
        assert abs(rgb[y, x, 1] - cross / 4) <= 1
        assert abs(rgb[y, x, 2] - diagonal / 4) <= 1


def yuv_of(colour):
    """BT.601 in video range, as UVC cameras send it (ITU-R BT.601-7, table 3)."""
    r, g, b = (v / 255 for v in colour)
    luma = 0.299 * r + 0.587 * g + 0.114 * b
    return tuple(
        round(v)
        for v in (16 + 219 * luma, 128 + 224 * (b - luma) / 1.772, 128 + 224 * (r - luma) / 1.402)
    )


TWO_COLOURS = ((200, 100, 40), (20, 90, 230))


def two_halves(height, width):
    """Expected picture: the left half in one colour, the right half in another."""
    picture = np.empty((height, width, 3), int)
    picture[:, : width // 2], picture[:, width // 2 :] = TWO_COLOURS
    return picture


@pytest.mark.parametrize("padding", [0, 4])
@pytest.mark.parametrize(
    ("encoding", "order"),
    [("yuv422", "UYVY"), ("uyvy", "UYVY"), ("yuv422_yuy2", "YUYV"), ("yuyv", "YUYV")],
)
def test_yuv422_becomes_rgb(converter, encoding, order, padding):
    row = []
    for colour in TWO_COLOURS:
        y, u, v = yuv_of(colour)
        row += ([u, y, v, y] if order == "UYVY" else [y, u, y, v]) * 2
    stored = np.tile(np.array(row, np.uint8), (6, 1))
    rgb = decode(raw(stored, encoding, 8, padding=padding))
    np.testing.assert_allclose(rgb.astype(int), two_halves(6, 8), atol=2)


@pytest.mark.parametrize("padding", [0, 4])
@pytest.mark.parametrize("encoding", ["nv12", "nv21"])
def test_half_resolution_colour_planes_become_rgb(encoding, padding):
    (y1, u1, v1), (y2, u2, v2) = (yuv_of(colour) for colour in TWO_COLOURS)
    luma = np.tile(np.array([y1] * 4 + [y2] * 4, np.uint8), (6, 1))
    pairs = [[u1, v1]] * 2 + [[u2, v2]] * 2
    if encoding == "nv21":
        pairs = [pair[::-1] for pair in pairs]
    chroma = np.tile(np.array(pairs, np.uint8).reshape(1, 8), (3, 1))
    message = raw(np.vstack([luma, chroma]), encoding, 8, height=6, padding=padding)
    rgb = decode(message)
    assert rgb.shape == (6, 8, 3)
    np.testing.assert_allclose(rgb.astype(int), two_halves(6, 8), atol=2)


def test_every_encoding_that_is_read_is_tested_above():
    tested = {"mono8", "mono16", "yuv422", "yuv422_yuy2", "nv12", "nv21"}
    tested |= {f"{name}{depth}" for name in ("rgb", "bgr", "rgba", "bgra") for depth in (8, 16)}
    tested |= {f"bayer_{p}{d}" for p in ("rggb", "bggr", "gbrg", "grbg") for d in (8, 16)}
    assert set(pixels.FORMATS) == tested


# --- what carries the bytes --------------------------------------------------------------------


@pytest.mark.parametrize(
    "carrier",
    [bytes, bytearray, memoryview, lambda b: array.array("B", b), lambda b: np.frombuffer(b, "u1"),
     lambda b: np.repeat(np.frombuffer(b, "u1"), 2)[::2]],
)  # fmt: skip
def test_bytes_are_read_from_any_buffer(carrier):
    stored = random_picture(3, 4)
    fields = vars(raw(stored, "rgb8", 4)) | {"data": carrier(stored.tobytes())}
    np.testing.assert_array_equal(decode(SimpleNamespace(**fields)), stored)


def test_messages_from_a_serialised_recording_are_read():
    stored = random_picture(3, 4)
    for message in (raw(stored, "rgb8", 4), compressed(encoded(stored, "png"), "rgb8; png")):
        name = message.__msgtype__
        again = STORE.deserialize_cdr(STORE.serialize_cdr(message, name), name)
        np.testing.assert_array_equal(decode(again), stored)


def test_messages_of_a_live_topic_are_read():
    messages = pytest.importorskip("sensor_msgs.msg")
    stored = random_picture(3, 4)
    live = messages.Image(height=3, width=4, encoding="bgr8", step=14)
    live.data = np.pad(stored.reshape(3, 12), ((0, 0), (0, 2))).tobytes()
    np.testing.assert_array_equal(decode(live), stored[..., ::-1])
    live = messages.CompressedImage(format="png", data=encoded(stored, "png"))
    live.header.stamp.sec, live.header.frame_id = 7, "wrist"
    np.testing.assert_array_equal(decode(live), stored)
    assert (stamp_seconds(live), frame_id(live)) == (7.0, "wrist")


def test_stamp_and_frame_come_from_the_header():
    message = raw(random_picture(2, 2), "rgb8", 2)
    assert stamp_seconds(message) == 12.5
    assert frame_id(message) == "camera_optical"


def test_a_missing_stamp_is_refused():
    message = SimpleNamespace(header=Header(stamp=Time(sec=0, nanosec=0), frame_id=""))
    with pytest.raises(StampError, match="no time stamp"):
        stamp_seconds(message)


@pytest.mark.parametrize("seconds", [-1, -(2**31)])
def test_a_negative_stamp_is_called_that(seconds):
    message = SimpleNamespace(header=Header(stamp=Time(sec=seconds, nanosec=5), frame_id=""))
    with pytest.raises(StampError, match=rf"stamp is negative \(header.stamp is {seconds}.000 s\)"):
        stamp_seconds(message)


# --- refused -----------------------------------------------------------------------------------


def refused(message, *words):
    with pytest.raises(ImageError) as caught:
        decode(message)
    text = str(caught.value)
    assert "\n" not in text and text.endswith(".")
    for word in words:
        assert str(word) in text
    return text


@pytest.mark.parametrize("encoding", ["16UC1", "32FC1"])
def test_depth_maps_are_refused(encoding):
    refused(raw(random_picture(4, 4, 4), encoding, 4), encoding, "distances", "colour topic")


@pytest.mark.parametrize("encoding", ["8UC3", "8UC1", "nv24", "RGB8", "", "h264"])
def test_encodings_without_known_colours_are_refused(encoding):
    refused(raw(random_picture(4, 4), encoding, 4), repr(encoding), "expected one of")


@pytest.mark.parametrize(("height", "width"), [(0, 4), (4, 0), (0, 0)])
def test_empty_images_are_refused(height, width):
    message = raw(np.zeros((4, 12), np.uint8), "rgb8", width, height=height)
    refused(message, f"{width} x {height}", "no pixels")


def test_absurd_sizes_are_refused_before_memory_is_taken():
    message = raw(np.zeros((4, 12), np.uint8), "rgb8", 2**31, height=2**31)
    refused(message, "beyond")


def test_a_step_shorter_than_a_row_is_refused_with_both_numbers():
    fields = vars(raw(random_picture(4, 4), "rgb8", 4)) | {"step": 11}
    refused(SimpleNamespace(**fields), 11, 12)


def test_data_of_another_length_is_refused_with_both_numbers():
    fields = vars(raw(random_picture(4, 4), "rgb8", 4))
    for data in (fields["data"][:-1], np.append(fields["data"], 0), fields["data"][:0]):
        refused(SimpleNamespace(**fields | {"data": data.astype(np.uint8)}), data.size, 48)


def test_odd_sizes_are_refused_where_pixels_share_colour():
    refused(raw(np.zeros((4, 10), np.uint8), "yuv422", 5), "5 x 4", "even")
    refused(raw(np.zeros((7, 4), np.uint8), "nv12", 4, height=5), "4 x 5", "even")


def test_bayer_images_without_an_inside_are_refused():
    refused(raw(np.zeros((2, 8), np.uint8), "bayer_rggb8", 8), "too small", "bayer_rggb8")


def test_data_that_are_no_bytes_are_refused():
    fields = vars(raw(random_picture(2, 2), "rgb8", 2))
    refused(SimpleNamespace(**fields | {"data": [1] * 12}), "list")


def test_messages_of_another_type_are_refused():
    refused(Time(sec=1, nanosec=0), "sensor_msgs/Image")


# --- compressed --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "format_name",
    ["jpeg", "jpg", "JPEG", "", "rgb8; jpeg compressed bgr8", "bgr8; jpeg compressed bgr8"],
)  # fmt: skip
def test_jpeg_becomes_rgb(format_name):
    picture = smooth_picture(48, 64)
    rgb = decode(compressed(encoded(picture, "jpeg", quality=95, subsampling=0), format_name))
    assert np.abs(rgb.astype(int) - picture).mean() < 1.5


@pytest.mark.parametrize("format_name", ["png", "", "rgb8; png compressed bgr8", "bgra8; png"])
@pytest.mark.parametrize("channels", [3, 4])
def test_png_becomes_exactly_its_rgb(format_name, channels):
    picture = random_picture(9, 11, channels)
    rgb = decode(compressed(encoded(picture, "png"), format_name))
    np.testing.assert_array_equal(rgb, picture[..., :3])


def test_grey_pictures_fill_all_channels():
    grey = random_picture(9, 11, 1)[..., 0]
    rgb = decode(compressed(encoded(grey, "png"), "mono8; png compressed "))
    np.testing.assert_array_equal(rgb, np.repeat(grey[..., None], 3, axis=-1))


def test_mono16_png_is_scaled():
    values = RNG.integers(0, 65536, (9, 11), np.uint16)
    rgb = decode(compressed(encoded(values, "png"), "mono16; png compressed "))
    np.testing.assert_array_equal(rgb[..., 1], np.rint(values / 257).astype(np.uint8))


def test_a_compressor_that_was_given_rgb_is_undone():
    picture = random_picture(6, 6)
    message = compressed(encoded(picture[..., ::-1].copy(), "png"), "rgb8; png compressed rgb8")
    np.testing.assert_array_equal(decode(message), picture)


def test_bayer_that_was_compressed_as_grey_gets_its_colours():
    r, g, b = COLOUR
    mosaic = np.tile(np.array([[r, g], [g, b]], np.uint8), (4, 4))
    rgb = decode(compressed(encoded(mosaic, "png"), "bayer_rggb8; png compressed "))
    np.testing.assert_array_equal(rgb, np.broadcast_to(np.array(COLOUR), (8, 8, 3)))


def test_cameras_that_are_mounted_turned_are_shown_upright():
    picture = smooth_picture(16, 32)
    exif = Picture.Exif()
    exif[0x0112] = 3  # turned by 180 degrees
    rgb = decode(compressed(encoded(picture, "png", exif=exif), "png"))
    np.testing.assert_array_equal(rgb, picture[::-1, ::-1])


@pytest.mark.parametrize(
    ("format_name", "word"),
    [("16UC1; compressedDepth png", "depth"), ("32FC1; compressedDepth", "depth"),
     ("16UC1; png compressed ", "distances"), ("h264", "only JPEG and PNG"),
     ("rgb8; tiff compressed bgr8", "only JPEG and PNG"), ("jpegxl", "only JPEG and PNG")],
)  # fmt: skip
def test_other_formats_are_refused(format_name, word):
    refused(compressed(encoded(random_picture(4, 4), "png"), format_name), repr(format_name), word)


def test_sixteen_bits_that_may_be_depth_are_refused():
    values = RNG.integers(0, 65536, (9, 11), np.uint16)
    refused(compressed(encoded(values, "png"), "png"), "mono16", "depth")


def test_compressed_data_that_do_not_fit_their_encoding_are_refused():
    grey = random_picture(2, 8, 1)[..., 0]
    refused(compressed(encoded(grey, "png"), "bayer_rggb8; png"), "bayer_rggb8")
    refused(compressed(encoded(grey, "png"), "bayer_rgrg8; png"), "bayer_rgrg8")


@pytest.mark.parametrize("data", [b"", b"\xff\xd8", b"GIF89a", bytes(1000)])
def test_data_without_a_picture_are_refused(data):
    text = refused(compressed(data), "JPEG or PNG", len(data))
    assert "0x" not in text


JPEG = encoded(smooth_picture(48, 64), "jpeg", quality=90)
PNG = encoded(smooth_picture(24, 32), "png")


@settings(max_examples=150)
@given(st.integers(0, len(JPEG) - 1))
def test_a_cut_jpeg_is_always_refused(length):
    refused(compressed(JPEG[:length]))


@settings(max_examples=150)
@given(st.integers(0, len(PNG) - 1))
def test_a_cut_png_is_refused_unless_all_pixels_are_there(length):
    try:
        rgb = decode(compressed(PNG[:length], "png"))
    except ImageError:
        return
    np.testing.assert_array_equal(rgb, smooth_picture(24, 32))


@settings(max_examples=150)
@given(st.sampled_from([JPEG, PNG]), st.integers(0, 10_000), st.binary(min_size=1, max_size=8))
def test_damaged_bytes_never_raise_anything_else(data, where, junk):
    where %= len(data)
    damaged = data[:where] + junk + data[where + len(junk) :]
    try:
        rgb = decode(compressed(damaged, ""))
    except ImageError as error:
        assert "\n" not in str(error)
    else:
        assert rgb.dtype == np.uint8 and rgb.ndim == 3 and rgb.shape[2] == 3


@settings(max_examples=300)
@given(
    encoding=st.sampled_from([*pixels.FORMATS, "yuyv", "16UC1", "8UC3", "", "nv24"]),
    height=st.integers(0, 9), width=st.integers(0, 9), step=st.integers(0, 80),
    size=st.integers(0, 800), big_endian=st.integers(0, 1), exact=st.booleans(),
)  # fmt: skip
def test_any_raw_message_is_a_picture_of_its_size_or_refused(
    encoding, height, width, step, size, big_endian, exact
):
    if exact:
        size = step * height * 3 // 2 if encoding.startswith("nv") else step * height
    message = RawImage(
        header=HEADER, height=height, width=width, encoding=encoding, is_bigendian=big_endian,
        step=step, data=RNG.integers(0, 256, size, np.uint8),
    )  # fmt: skip
    try:
        rgb = decode(message)
    except ImageError as error:
        assert re.search(r"\.$", str(error))
    else:
        assert exact or size == message.data.size
        assert rgb.shape == (height, width, 3) and rgb.dtype == np.uint8


@settings(max_examples=100)
@given(height=st.integers(1, 12), width=st.integers(1, 12), padding=st.integers(0, 20))
def test_padding_never_changes_the_picture(height, width, padding):
    stored = random_picture(height, width)
    np.testing.assert_array_equal(decode(raw(stored, "bgr8", width, padding=padding)),
                                  stored[..., ::-1])  # fmt: skip


# --- which converter ---------------------------------------------------------------------------


def test_a_cv_bridge_that_cannot_convert_is_passed_over(monkeypatch):
    class Broken:
        def imgmsg_to_cv2(self, *_):
            raise AttributeError("_ARRAY_API not found")

    monkeypatch.setitem(__import__("sys").modules, "cv_bridge", SimpleNamespace(CvBridge=Broken))
    monkeypatch.setattr(pixels.np, "__version__", "1.26.4")
    assert pixels._cv_bridge() is None


def test_a_sound_jpeg_is_what_its_bare_decoding_gives():
    picture = np.clip(smooth_picture(480, 640) + RNG.normal(0, 4, (480, 640, 3)), 0, 255)
    data = encoded(picture.astype(np.uint8), "jpeg", quality=90)
    bare = np.array(Picture.open(io.BytesIO(data)))
    np.testing.assert_array_equal(decode(compressed(data)), bare)

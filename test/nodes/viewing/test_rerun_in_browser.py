"""The page that `rerun_node` serves, as a browser shows it: the camera's picture and the curves.

In headless Chromium, which draws with the processor; skipped where there is none.
"""

from __future__ import annotations

import base64
import io
import json
import shutil
import subprocess
import time
import urllib.request
from array import array
from contextlib import contextmanager

import numpy as np
import pytest
from PIL import Image as Picture
from reward_stack import START, image, stack

pytest.importorskip("rerun", reason="the extra [rerun] is not installed")
websocket = pytest.importorskip("websockets.sync.client")
BROWSER = next(filter(None, map(shutil.which, ("chromium", "google-chrome", "chrome"))), None)
MAGENTA, BLUE, RED = (220, 30, 200), (74, 179, 255), (214, 39, 40)
"""Of the camera's picture, of the curve of progress, of that of the reward."""
PATIENCE = 120.0
pytestmark = [
    pytest.mark.usefixtures("context"),
    pytest.mark.slow,
    pytest.mark.skipif(BROWSER is None, reason="there is no Chromium"),
]


@contextmanager
def browser(page: str, profile, port: int):
    """Opens a page; yields what takes a picture of it, uint8 RGB (H, W, 3)."""
    software = ("--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader")
    process = subprocess.Popen(
        [BROWSER, "--headless=new", "--no-sandbox", f"--user-data-dir={profile}", *software,
         "--window-size=1200,760", f"--remote-debugging-port={port}", page],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        with websocket.connect(_tab(port), max_size=None) as tab:

            def shot() -> np.ndarray:
                tab.send(json.dumps({"id": 1, "method": "Page.captureScreenshot"}))
                while (answer := json.loads(tab.recv(PATIENCE))).get("id") != 1:
                    pass
                data = base64.b64decode(answer["result"]["data"])
                return np.asarray(Picture.open(io.BytesIO(data)).convert("RGB"))

            yield shot
    finally:
        process.kill()
        process.wait()


def _tab(port: int) -> str:
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/json", timeout=5) as answer:
                pages = [one for one in json.load(answer) if one["type"] == "page"]
                if pages:
                    return pages[0]["webSocketDebuggerUrl"]
        except OSError:
            pass
        time.sleep(0.1)
    raise AssertionError("the browser did not start")


def pixels(shot: np.ndarray, colour: tuple[int, int, int]) -> np.ndarray:
    """Where a picture has a colour: rows and columns, (N, 2)."""
    return np.argwhere(np.abs(shot.astype(int) - colour).max(axis=2) < 16)


def test_the_page_shows_the_cameras_picture_left_and_the_curves_right(model, tmp_path):
    from test_rerun_node import free_port, watching

    ports = {"port": free_port(), "web_port": free_port()}
    flat = np.tile(np.array(MAGENTA, np.uint8), (48, 64, 1))
    with stack(model) as live:
        live.up()
        with watching(live, show="web", **ports):
            for index in range(12):
                shown = image(START + index / 2)
                marked = flat.copy()
                marked[:4, : 5 * index] = 255
                shown.data = array("B", marked.tobytes())
                live.cameras[0].publish(shown)
                live.wait(lambda n=index: len(live.readings) > n)
            page = (
                f"http://127.0.0.1:{ports['web_port']}/?renderer=webgl&url=rerun%2Bhttp%3A%2F%2F"
                f"127.0.0.1%3A{ports['port']}%2Fproxy"
            )
            with browser(page, tmp_path / "profile", free_port()) as take:
                end = time.monotonic() + PATIENCE
                while True:
                    shot = take()
                    seen = [pixels(shot, colour) for colour in (MAGENTA, BLUE, RED)]
                    if len(seen[0]) > 20_000 and min(map(len, seen[1:])) > 60:
                        break
                    assert time.monotonic() < end, [len(one) for one in seen]
                    time.sleep(1.0)
    picture, progress, reward = seen
    half = shot.shape[1] / 2
    assert np.median(picture[:, 1]) < half < np.median(progress[:, 1])
    assert np.median(progress[:, 0]) < np.median(reward[:, 0])

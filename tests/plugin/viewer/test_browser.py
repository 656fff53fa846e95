"""The real viewer in a real browser: a slider is moved, and the picture changes."""

import io
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.plugin.tiny_scenes import Scene, small_config, train

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(BROWSER is None, reason="no chromium on PATH")
PATIENCE = 90.0
"""Seconds: the browser paints without a GPU."""
PICTURE = {"x": 60, "y": 100, "width": 480, "height": 380}
"""Of the page: well inside the rendered scene."""


@pytest.fixture(scope="module")
def run(open_scene: Scene, tmp_path_factory: Any) -> Path:
    """A finished run whose two styles are plainly different."""
    folder = tmp_path_factory.mktemp("browser")
    for name, color in (("red", (230, 20, 20)), ("blue", (20, 20, 230))):
        stripes = np.tile(np.array(color, np.uint8), (64, 64, 1))
        stripes[::4] = 250
        Image.fromarray(stripes).save(folder / f"{name}.png")
    styles = (folder / "red.png", folder / "blue.png")
    config = small_config(open_scene, folder, content_steps=100, style_steps=40, model__styles=styles, model__colors="style")
    return train(config).base_dir


@pytest.fixture(scope="module")
def page(run: Path) -> Iterator[Any]:
    """The viewer's page, connected and painted."""
    from playwright.sync_api import sync_playwright

    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    command = [Path(sys.executable).parent / "ns-viewer", "--load-config", run / "config.yml"]
    viewer = subprocess.Popen(
        [str(part) for part in [*command, "--viewer.websocket-port", port]], stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        wait_for(lambda: socket.socket().connect_ex(("localhost", port)) == 0, "the viewer to listen")
        with sync_playwright() as browsers:
            arguments = ["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
            browser = browsers.chromium.launch(executable_path=BROWSER, args=arguments)
            page = browser.new_page(viewport={"width": 960, "height": 540})
            page.set_default_timeout(1000 * PATIENCE)
            page.goto(f"http://localhost:{port}")
            press(page, "Hide Train Cams")
            wait_for(lambda: picture(page).std() > 5, "a picture")
            yield page
            browser.close()
    finally:
        viewer.kill()


def picture(page: Any) -> np.ndarray:
    """What is painted now, height x width x 3."""
    return np.asarray(Image.open(io.BytesIO(page.screenshot(clip=PICTURE))).convert("RGB")).astype(float)


def redness(page: Any) -> float:
    """Mean of red less blue, in 1/255."""
    seen = picture(page)
    return float(seen[..., 0].mean() - seen[..., 2].mean())


def wait_for(condition: Any, what: str) -> None:
    """Until it holds; the page follows the server after a while."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"waited {PATIENCE:.0f} s for {what}"
        time.sleep(0.5)


def press(page: Any, text: str) -> None:
    """At once: a page that is painted without a GPU takes minutes to hold still."""
    page.get_by_text(text).dispatch_event("click")


def field(page: Any, label: str) -> Any:
    """The box beside a label; the last one, because the host has labels of its own."""
    beside = f"//label[text()='{label}']/ancestor::div[1]/following-sibling::div//input[not(@type='hidden')]"
    return page.locator(f"xpath={beside}").last


def type_into(page: Any, label: str, value: float) -> None:
    """Sliders have a box for their number."""
    box = field(page, label)
    box.fill(str(value), force=True)
    box.press("Enter")


def test_sliders_and_the_switch_change_the_picture_and_the_button_saves_the_mix(page: Any, run: Path):
    wait_for(lambda: redness(page) > 20, "the first style, red")
    type_into(page, "blue", 1)
    type_into(page, "red", 0)
    wait_for(lambda: redness(page) < -20, "the second style, blue")
    assert field(page, "Style").input_value() == "blue"
    press(page, "Save this mix")
    wait_for((run / "style_mix.json").is_file, "the saved mix")
    assert '"blue": 1' in (run / "style_mix.json").read_text()
    field(page, "Stylised").dispatch_event("click")
    wait_for(lambda: abs(redness(page)) < 20, "the content")
    field(page, "Stylised").dispatch_event("click")
    wait_for(lambda: redness(page) < -20, "the style again")
    type_into(page, "Strength", 0)
    wait_for(lambda: abs(redness(page)) < 20, "the content, by strength 0")

"""The real viewer in a real browser: what it opens with, and a slider that is moved changes the picture.

Pictures of each state are written to the folder that INS3D_SCREENSHOTS names, else to one that is thrown away.
"""

import io
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ins3d.plugin.finished.splat_export import run_splats
from ins3d.splats.settings import ExportSplats
from tests.plugin.tiny_scenes import Scene, build_trainer, small_config, train

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
def shots(tmp_path_factory: Any) -> Path:
    """Where pictures of the page go."""
    folder = Path(os.environ.get("INS3D_SCREENSHOTS") or tmp_path_factory.mktemp("shots"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Without a GPU."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as browsers:
        arguments = ["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
        browser = browsers.chromium.launch(executable_path=BROWSER, args=arguments)
        yield browser
        browser.close()


@contextmanager
def opened(browser: Any, port: int) -> Iterator[Any]:
    """A page that is connected."""
    wait_for(lambda: socket.socket().connect_ex(("localhost", port)) == 0, "the viewer to listen")
    page = browser.new_page(viewport={"width": 960, "height": 720})
    page.set_default_timeout(1000 * PATIENCE)
    page.goto(f"http://localhost:{port}")
    yield page
    page.close()


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("localhost", 0))
        return free.getsockname()[1]


@contextmanager
def viewed(run: Path, browser: Any) -> Iterator[Any]:
    """The page of `ns-viewer` in a process of its own."""
    port = free_port()
    command = [Path(sys.executable).parent / "ns-viewer", "--load-config", run / "config.yml"]
    viewer = subprocess.Popen(
        [str(part) for part in [*command, "--viewer.websocket-port", port]], stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        with opened(browser, port) as page:
            yield page
    finally:
        viewer.kill()


@pytest.fixture(scope="module")
def page(run: Path, browser: Any) -> Iterator[Any]:
    """The page of `ns-viewer`, painted."""
    with viewed(run, browser) as page:
        wait_for(lambda: picture(page).std() > 5, "a picture")
        yield page


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


def top_of(page: Any, text: str) -> float:
    """Pixels from the page's top; of the first that says it."""
    return page.get_by_text(text, exact=True).first.bounding_box()["y"]


def test_it_opens_with_a_picture_and_the_styles_by_name_and_picture(page: Any, shots: Path):
    page.screenshot(path=shots / "opened.png")
    assert top_of(page, "Stylised") < top_of(page, "Render Options")
    assert (
        page.evaluate("[...document.images].filter(each => each.src.startsWith('data:') && each.naturalWidth).length") == 2
    )
    assert page.get_by_text("Show Train Cams").is_visible() and not page.get_by_text("Hide Train Cams").is_visible()
    for nonsense in ("Pause Training", "Resume Training", "Train Speed"):
        assert not page.get_by_text(nonsense).is_visible()


def test_a_drag_turns_the_scene(page: Any, shots: Path):
    before = picture(page)
    x, y = PICTURE["x"] + 200, PICTURE["y"] + 200
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 40, y, steps=8)
    page.mouse.up()
    page.screenshot(path=shots / "dragged.png")
    wait_for(lambda: np.abs(picture(page) - before).mean() > 5, "another picture")


def test_sliders_and_the_switch_change_the_picture_and_the_button_saves_the_mix(page: Any, run: Path, shots: Path):
    wait_for(lambda: redness(page) > 20, "the first style, red")
    type_into(page, "blue", 1)
    type_into(page, "red", 0)
    wait_for(lambda: redness(page) < -20, "the second style, blue")
    page.screenshot(path=shots / "other_style.png")
    assert field(page, "Style").input_value() == "blue"
    press(page, "Save this mix")
    wait_for((run / "style_mix.json").is_file, "the saved mix")
    assert '"blue": 1' in (run / "style_mix.json").read_text()
    field(page, "Stylised").dispatch_event("click")
    wait_for(lambda: abs(redness(page)) < 20, "the content")
    page.screenshot(path=shots / "content.png")
    field(page, "Stylised").dispatch_event("click")
    wait_for(lambda: redness(page) < -20, "the style again")
    type_into(page, "Strength", 0)
    wait_for(lambda: abs(redness(page)) < 20, "the content, by strength 0")


def test_a_switch_shows_the_splats_that_were_exported_and_sliders_recolour_them(run: Path, browser: Any, shots: Path):
    (run / "style_mix.json").unlink(missing_ok=True)
    run_splats(run / "config.yml", ExportSplats(load_config=run / "config.yml", steps=40, size=64))
    with viewed(run, browser) as page:
        wait_for(lambda: redness(page) > 20, "the first style, red")
        field(page, "As splats").dispatch_event("click")
        time.sleep(3)
        wait_for(lambda: redness(page) > 20, "red splats")
        page.screenshot(path=shots / "splats.png")
        type_into(page, "blue", 1)
        type_into(page, "red", 0)
        wait_for(lambda: redness(page) < -20, "blue splats")
        field(page, "As splats").dispatch_event("click")
        wait_for(lambda: redness(page) < -20 and picture(page).std() > 5, "a blue picture")


def test_a_training_can_be_watched_from_its_first_step_to_its_end(
    open_scene: Scene, tmp_path: Path, browser: Any, shots: Path
):
    config = small_config(open_scene, tmp_path, vis="viewer", content_steps=60, style_steps=10)
    config.viewer.websocket_port, config.viewer.quit_on_train_completion = free_port(), False
    trainer = build_trainer(config)
    viewer = trainer.viewer_state
    update, looked = viewer.update_scene, {"content 60/60": Event(), "keeping samples": Event(), "style 10/10": Event()}

    def held(*arguments: Any) -> None:
        update(*arguments)
        for doing, event in looked.items():
            if viewer._doing.startswith(doing):
                event.wait(PATIENCE)

    viewer.update_scene = held
    with opened(browser, config.viewer.websocket_port) as page:
        Thread(target=trainer.train, daemon=True).start()
        wait_for(lambda: page.get_by_text("Pause Training").is_visible(), "the panel")
        for doing, event in looked.items():
            wait_for(lambda doing=doing: page.get_by_text(doing).is_visible() and picture(page).std() > 5, doing)
            page.screenshot(path=shots / f"training_{doing.split()[0]}.png")
            event.set()
        wait_for(lambda: page.get_by_text("finished").is_visible(), "the end")
        assert not page.get_by_text("Pause Training").is_visible() and picture(page).std() > 5
        page.screenshot(path=shots / "training_finished.png")
    viewer.viser_server.stop()

"""The page of splats in a real browser, which draws them; a slider recolours them."""

import io
import os
import shutil
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from ins3d.splats.gaussians import covariances, plain_gaussians
from ins3d.splats.page import SplatPage, most_central
from ins3d.splats.showing import ShownSplats
from ins3d.style.mix import Mix
from tests.splats.clouds import a_view, some_splats

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
PATIENCE = 60.0
ARGUMENTS = ["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
MEASURE = """() => new Promise(done => { let frames = 0; const began = performance.now();
  const count = () => { frames++; performance.now() - began < 3000 ? requestAnimationFrame(count) : done(frames / 3); };
  requestAnimationFrame(count); })"""


def ball() -> ShownSplats:
    """Red under its first style, blue under the second; grey without."""
    toward = torch.nn.functional.normalize(torch.randn(3000, 3, generator=torch.Generator().manual_seed(0)), dim=-1)
    upright = torch.tensor([1.0, 0, 0, 0]).expand(3000, 4)
    grey = plain_gaussians(toward, torch.full_like(toward, 0.06), upright, torch.full((3000,), 0.9), 0.5 + 0.1 * toward)
    change = torch.tensor([[0.4, -0.4, -0.4], [-0.4, -0.4, 0.4]])
    views = [a_view(80, 60, angle) for angle in (0.0, 0.5, 1.0)]
    return ShownSplats(("red", "blue"), lambda code: grey.painted(grey.rgb + code @ change), views, torch.ones(3))


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("localhost", 0))
        return free.getsockname()[1]


def test_covariances_are_those_of_the_turned_scales():
    splats = some_splats(5)
    found = covariances(splats)
    assert torch.allclose(torch.linalg.eigvalsh(found), (splats.scales**2).sort(-1).values, rtol=1e-3, atol=1e-7)


def test_the_most_central_view_has_the_others_around_it():
    views = [a_view(angle=angle) for angle in (0.0, 0.4, 0.1, 0.3, 0.2)]
    assert most_central(views) is views[4]


@pytest.mark.skipif(BROWSER is None, reason="no chromium on PATH")
class TestInTheBrowser:
    @pytest.fixture(scope="class")
    def page(self) -> Iterator[Any]:
        from playwright.sync_api import sync_playwright

        port = free_port()
        shown = SplatPage(ball(), Mix((1.0, 0.0)), port)
        with sync_playwright() as browsers:
            browser = browsers.chromium.launch(executable_path=BROWSER, args=ARGUMENTS)
            page = browser.new_page(viewport={"width": 800, "height": 600})
            page.goto(f"http://localhost:{port}")
            yield page
            browser.close()
        shown.server.stop()

    @staticmethod
    def redness(page: Any) -> float:
        """Of the middle of the page: red less blue."""
        shot = page.screenshot(clip={"x": 200, "y": 150, "width": 300, "height": 300})
        seen = np.asarray(Image.open(io.BytesIO(shot)).convert("RGB")).astype(float)
        return float(seen[..., 0].mean() - seen[..., 2].mean())

    @staticmethod
    def wait_for(what: Any) -> None:
        began = time.monotonic()
        while not what():
            assert time.monotonic() - began < PATIENCE
            time.sleep(0.2)

    def test_a_slider_recolours_the_splats(self, page: Any, tmp_path: Path):
        shots = Path(os.environ.get("INS3D_SCREENSHOTS") or tmp_path)
        self.wait_for(lambda: self.redness(page) > 40)
        page.screenshot(path=shots / "splats_before.png")
        sliders = page.get_by_role("slider")
        for slider, key in ((sliders.nth(1), "Home"), (sliders.nth(2), "End")):  # strength, red, blue
            slider.focus()
            page.keyboard.press(key)
        self.wait_for(lambda: self.redness(page) < -40)
        page.screenshot(path=shots / "splats_after.png")

    def test_frames_go_on_while_it_is_turned(self, page: Any):
        page.mouse.move(300, 300)
        page.mouse.down()
        page.mouse.move(420, 320, steps=5)
        frames = page.evaluate(MEASURE)
        page.mouse.up()
        print(f"{frames:.1f} frames a second")
        assert frames > 1  # by a CPU that draws in the browser's stead

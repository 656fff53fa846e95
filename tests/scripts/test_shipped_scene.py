"""The scene and the style pictures that ship with the project, and the scripts that made them."""

import json
from pathlib import Path

import imageio.v3 as imageio
import numpy as np
import pytest
import torch

from tests.scripts.loading import load_script

ROOT = Path(__file__).resolve().parents[2]
SCENE = ROOT / "scenes" / "still_life"


class TestStillLife:
    def test_has_about_sixty_pictures_of_320_pixels_in_under_four_megabytes(self):
        files = sorted((SCENE / "images").iterdir())
        assert 55 <= len(files) <= 65
        assert {imageio.imread(file).shape for file in files} == {(320, 320, 3)}
        assert sum(file.stat().st_size for file in SCENE.rglob("*") if file.is_file()) < 4e6

    def test_lists_every_picture_with_a_rigid_pose(self):
        transforms = json.loads((SCENE / "transforms.json").read_text())
        for frame in transforms["frames"]:
            assert (SCENE / frame["file_path"]).is_file()
            rotation = np.array(frame["transform_matrix"])[:3, :3]
            assert np.allclose(rotation @ rotation.T, np.eye(3), atol=1e-4)
            assert np.linalg.det(rotation) == pytest.approx(1, abs=1e-4)

    def test_is_what_the_script_renders(self):
        script = load_script("make/demo_scene")
        transforms = json.loads((SCENE / "transforms.json").read_text())
        frame = transforms["frames"][0]
        coarse = 40
        focal = transforms["fl_x"] * coarse / transforms["w"]
        rendered = script.render(np.array(frame["transform_matrix"]), coarse, focal, samples=4).astype(float)
        shipped = imageio.imread(SCENE / frame["file_path"]).astype(float)
        block = shipped.shape[0] // coarse
        shrunk = shipped.reshape(coarse, block, coarse, block, 3).mean((1, 3))
        assert np.abs(shrunk - rendered).mean() < 6  # of 255: JPEG, and fewer rays per pixel at edges

    def test_rays_end_on_a_surface(self):
        script = load_script("make/demo_scene")
        origins = torch.tensor([[0.0, -2.5, 1.0]])
        directions = torch.nn.functional.normalize(torch.tensor([[0.1, 1.0, -0.3]]), dim=-1)
        points = origins + script.march(origins, directions)[:, None] * directions
        assert script.distances(points).abs().amin() < 2e-3


class TestDefaultPhoto:
    def test_is_the_first_picture_of_the_scene(self):
        from ins3d.pictures.settings import DEFAULT_CONTENT

        assert DEFAULT_CONTENT.read_bytes() == (SCENE / "images" / "000.jpg").read_bytes()


class TestStylePictures:
    def test_are_painted_alike_every_time(self):
        script = load_script("make/style_pictures")
        assert np.array_equal(script.woodcut(32), script.woodcut(32))

    def test_ship_with_the_package(self):
        from ins3d.style.styles import DEFAULT_STYLE

        assert imageio.imread(DEFAULT_STYLE).shape == (256, 256, 3)
        assert {file.name for file in (ROOT / "scenes" / "styles").iterdir()} == {"swirls.png", "woodcut.png"}

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from ins3d.image_files import read_rgb
from ins3d.perceptual_features import PerceptualFeatures
from ins3d.style_targets import style_code, style_target

LAYERS = ("relu1_1", "relu2_1")
CPU = torch.device("cpu")


@pytest.fixture
def features(tiny_vgg: Callable[..., dict[str, Tensor]]) -> PerceptualFeatures:
    return PerceptualFeatures(tiny_vgg("vgg19", last=10), LAYERS + ("relu3_1",), source="tiny")


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    """60 pixels high, 90 wide."""
    pixels = np.random.default_rng(0).integers(0, 256, (60, 90, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "starry night.png")
    return tmp_path / "starry night.png"


def grams_of_map(features: Tensor) -> Tensor:
    return torch.einsum("bchw,bdhw->bcd", features, features) / features[0].numel()


class TestStyleTarget:
    def test_keeps_the_name_and_the_style_layers(self, picture: Path, features: PerceptualFeatures):
        target = style_target(picture, features, LAYERS, long_side=45, square=False, device=CPU)
        assert target.name == "starry night"
        assert set(target.grams) == set(LAYERS)

    def test_keeps_the_gram_matrices_of_the_picture_at_the_size_asked_for(self, picture, features: PerceptualFeatures):
        target = style_target(picture, features, LAYERS, long_side=45, square=False, device=CPU)
        resize = torch.nn.functional.interpolate
        seen = resize(read_rgb(picture, "style")[None], size=(30, 45), mode="bilinear", antialias=True)
        for layer in LAYERS:
            torch.testing.assert_close(target.grams[layer], grams_of_map(features(seen)[layer]))

    def test_squares_the_picture_by_nearest_neighbour_as_the_release_does(self, picture, features: PerceptualFeatures):
        target = style_target(picture, features, LAYERS, long_side=45, square=True, device=CPU)
        # Nearest neighbour by hand: output pixel i shows input pixel floor(i * size / 224).
        rows, columns = (torch.arange(224) * size // 224 for size in (60, 90))
        seen = read_rgb(picture, "style")[None][:, :, rows][:, :, :, columns]
        for layer in LAYERS:
            torch.testing.assert_close(target.grams[layer], grams_of_map(features(seen)[layer]))

    def test_keeps_no_gradient(self, picture: Path, features: PerceptualFeatures):
        target = style_target(picture, features, LAYERS, 45, False, CPU)
        assert not any(gram.requires_grad for gram in target.grams.values())

    def test_names_the_setting_of_a_picture_that_is_missing(self, tmp_path: Path, features: PerceptualFeatures):
        with pytest.raises(
            FileNotFoundError, match=r"^pipeline\.model\.styles: .*nowhere\.jpg does not exist; give the path"
        ):
            style_target(tmp_path / "nowhere.jpg", features, LAYERS, 45, False, CPU)


class TestStyleCode:
    def test_is_one_hot_at_full_strength(self):
        codes = torch.stack([style_code(index, 4, CPU) for index in range(4)])
        assert torch.equal(codes, torch.eye(4))

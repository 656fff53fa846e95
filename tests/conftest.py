"""What several test files need: fixed randomness, the real weights and pictures, and a VGG small enough for a loop."""

import os
from collections.abc import Callable
from pathlib import Path

import imageio.v3 as imageio
import numpy as np
import pytest
import torch
from torch import Tensor

from ins3d.perception.features import PerceptualFeatures
from ins3d.pictures.fitting import PictureSource
from ins3d.style.objective import StyleObjective
from ins3d.style.styles import parse_style
from ins3d.style.targets import StyleView, style_target

collect_ignore = ["outside"]
"""A package of somebody else's: looked into for doctests, it would be installed here."""

# Where torchvision's `features` keeps the convolutions, from the published table (spec 0.2, minus one); the compact
# encoder's blocks have 2, 2, 3 and 1.
VGG_CONVS = {
    "compact": (0, 2, 5, 7, 10, 12, 14, 17),
    "vgg16": (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28),
    "vgg19": (0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28, 30, 32, 34),
}
VGG_BLOCKS = {
    "compact": (1, 1, 2, 2, 3, 3, 3, 4),
    "vgg16": (1, 1, 2, 2, 3, 3, 3, 4, 4, 4, 5, 5, 5),
    "vgg19": (1, 1, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5),
}
TINY_CHANNELS = {1: 4, 2: 5, 3: 6, 4: 7, 5: 8}


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Tests of a GPU need one."""
    if item.get_closest_marker("gpu") and not torch.cuda.is_available():
        pytest.skip("there is no GPU here")


@pytest.fixture
def random() -> torch.Generator:
    """A generator with a fixed seed; torch's own generator, which initialises layers, is seeded along with it."""
    torch.manual_seed(0)
    return torch.Generator().manual_seed(0)


@pytest.fixture
def assets() -> Path:
    """The development assets: real weights, scenes and pictures."""
    folder = Path(os.environ.get("INS3D_ASSETS", Path(__file__).resolve().parents[2] / "shared" / "assets"))
    if not folder.is_dir():
        pytest.skip(f"the development assets are missing: {folder} is no folder; set INS3D_ASSETS")
    return folder


@pytest.fixture
def tiny_vgg(random: torch.Generator) -> Callable[..., dict[str, Tensor]]:
    """Makes a state dict with torchvision's names and topology and a handful of channels."""

    def make(network: str = "vgg19", normalised: bool = False, last: int = 1000) -> dict[str, Tensor]:
        state, inputs = {}, 3
        if network == "compact":
            state["features.compact"] = torch.ones(1)
        if normalised:
            state["features.pre.weight"] = torch.randn(3, 3, 1, 1, generator=random)
            state["features.pre.bias"] = torch.randn(3, generator=random)
        for index, block in zip(VGG_CONVS[network], VGG_BLOCKS[network], strict=True):
            if index > last:
                break
            outputs = TINY_CHANNELS[block]
            # He's scale keeps the activations of every layer near 1.
            kernel = torch.randn(outputs, inputs, 3, 3, generator=random) * (2 / (9 * inputs)) ** 0.5
            state[f"features.{index}.weight"] = kernel
            state[f"features.{index}.bias"] = 0.1 * torch.randn(outputs, generator=random)
            inputs = outputs
        return state

    return make


@pytest.fixture
def source() -> PictureSource:
    """Soft waves, 20 x 28."""
    rows, columns = torch.meshgrid(torch.arange(20) / 20, torch.arange(28) / 28, indexing="ij")
    waves = [0.5 + 0.4 * torch.sin(6 * rows * share + 5 * columns) for share in (0.2, 1.0, 1.7)]
    return PictureSource(torch.stack(waves))


@pytest.fixture
def two_styles(tiny_vgg, tmp_path: Path) -> Callable[..., StyleObjective]:
    """Makes an objective with stripes of two directions and colours as its styles."""

    def make(content_weight: float) -> StyleObjective:
        view = StyleView(layers=("relu1_1", "relu2_1"), long_side=24)
        features = PerceptualFeatures(tiny_vgg("vgg19", last=19), ("relu1_1", "relu2_1"), source="tiny")
        targets = []
        for name, axis in (("wave", 0), ("mosaic", 1)):
            picture = np.zeros((24, 24, 3), dtype=np.uint8)
            picture.swapaxes(0, axis)[::3] = (250, 40, 200) if axis else (30, 220, 60)
            imageio.imwrite(tmp_path / f"{name}.png", picture)
            style = parse_style(str(tmp_path / f"{name}.png"), "styles")
            targets.append(style_target(style, features, view, torch.device("cpu")))
        weights = {"content_loss": content_weight, "gram_loss": 1.0, "tv_loss": 0.0}
        return StyleObjective(features, targets, view, ("relu2_1",), weights)

    return make

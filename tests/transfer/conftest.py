"""An encoder of a few channels, and pictures to paint."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from ins3d.perception.features import PerceptualFeatures
from ins3d.transfer.judging import STYLE_LAYERS


@pytest.fixture
def encoder(tiny_vgg: Callable[..., dict[str, Tensor]]) -> PerceptualFeatures:
    """A compact encoder that is even smaller."""
    return PerceptualFeatures(tiny_vgg("compact"), STYLE_LAYERS, "tiny")


@pytest.fixture
def picture(random: torch.Generator) -> Callable[..., Tensor]:
    """Makes a picture: coarse noise, enlarged, so that neighbours are alike."""

    def make(height: int = 48, width: int = 64) -> Tensor:
        noise = torch.rand(1, 3, -(-height // 4), -(-width // 4), generator=random)
        return torch.nn.functional.interpolate(noise, size=(height, width), mode="bilinear")[0]

    return make

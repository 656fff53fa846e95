"""Style pictures become targets by layer, and names for the entries of the style code."""

from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from ins3d.image_files import read_rgb, resize_long_side
from ins3d.perceptual_features import PerceptualFeatures
from ins3d.perceptual_losses import Grams, grams_of

PICTURE_SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp"}


@dataclass
class StyleTarget:
    """One style: its name and what the encoder sees in it."""

    name: str
    mean_rgb: Float[Tensor, " 3"]
    """The picture's mean colour: what stands behind an object while its patches are judged."""
    grams: Grams


def style_target(
    path: Path, features: PerceptualFeatures, layers: tuple[str, ...], long_side: int, square: bool, device: torch.device
) -> StyleTarget:
    """Reads a style picture and keeps its Gram matrices, which never change.

    With `square` the picture is squashed to 224x224 by nearest neighbour, as the INS release does.
    """
    rgb = read_rgb(path, "pipeline.model.styles")
    seen = F.interpolate(rgb[None], size=(224, 224), mode="nearest")[0] if square else resize_long_side(rgb, long_side)
    with torch.no_grad():
        grams = grams_of(features(seen[None].to(device)))
    return StyleTarget(path.stem, seen.mean((1, 2)).to(device), {layer: grams[layer] for layer in layers})


def style_code(index: int, num_styles: int, device: torch.device) -> Float[Tensor, " styles"]:
    """The one-hot code of one style at full strength.

    >>> style_code(1, 3, torch.device("cpu")).tolist()
    [0.0, 1.0, 0.0]
    """
    return F.one_hot(torch.tensor(index, device=device), num_styles).float()

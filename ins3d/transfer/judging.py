"""What a network's pictures are judged by while it is trained: a frozen encoder, whose layers all count alike."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from ins3d.perception.features import FeatureMaps, PerceptualFeatures
from ins3d.perception.losses import statistics_loss, statistics_of
from ins3d.transfer.statistics import normalized

STYLE_LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1")
"""Of AdaIN (section 6.2) and of what came after it."""
CONTENT_LAYER = "relu4_1"


class TransferJudge:
    """Distances in features, as shares of the root mean square of their layer.

    Differs from the papers, whose weights belong to the filter-normalised VGG-19, of which a mean activation is about 1:
    divided by its size a layer of any encoder is of that order, and their weights hold.
    """

    def __init__(self, features: PerceptualFeatures, pictures: Float[Tensor, "batch 3 height width"]) -> None:
        """`pictures`: some to measure sizes with."""
        self.features = features
        self.sizes = {layer: float(values.square().mean().sqrt()) for layer, values in self.known(pictures).items()}

    def __call__(self, pictures: Float[Tensor, "batch 3 height width"]) -> FeatureMaps:
        """{layer: features}, with gradients to the pictures."""
        return self.features(pictures, STYLE_LAYERS)

    def known(self, pictures: Float[Tensor, "batch 3 height width"]) -> FeatureMaps:
        """The same without gradients."""
        with torch.no_grad():
            return self(pictures)

    def style_distance(self, maps: FeatureMaps, style: FeatureMaps) -> Float[Tensor, ""]:
        """Squared differences of channels' means and deviations, summed over layers (Huang and Belongie, equation 13)."""
        ours, theirs = statistics_of(maps), statistics_of(style)
        return torch.stack([statistics_loss(ours, {layer: theirs[layer]}) / self.sizes[layer] ** 2 for layer in maps]).sum()

    def content_distance(self, maps: FeatureMaps, content: FeatureMaps) -> Float[Tensor, ""]:
        """Mean squared difference of the deepest layer's normalised features (Park and Lee, CVPR 2019, equation 8)."""
        return F.mse_loss(normalized(maps[CONTENT_LAYER]), normalized(content[CONTENT_LAYER]))

    def feature_distance(self, maps: FeatureMaps, wanted: FeatureMaps) -> Float[Tensor, ""]:
        """Mean squared differences of features, summed over layers."""
        return torch.stack([F.mse_loss(maps[layer], wanted[layer]) / self.sizes[layer] ** 2 for layer in maps]).sum()


@dataclass(frozen=True)
class PaintingWeights:
    """Of the four losses that networks with an identity have in common."""

    content: float
    style: float
    identity: float
    feature_identity: float


def some_of_both(contents: Tensor, styles: Tensor) -> Tensor:
    """Every other content, and every other style."""
    return torch.cat([contents[::2], styles[1::2]])


def painting_losses(
    judge: TransferJudge,
    pictures: Float[Tensor, "all 3 height width"],
    contents: Float[Tensor, "batch 3 height width"],
    styles: Float[Tensor, "batch 3 height width"],
    weights: PaintingWeights,
) -> dict[str, Float[Tensor, ""]]:
    """SANet's losses (Park and Lee 2019, equations 7 to 10), which others took over.

    `pictures`: the contents painted by the styles, one each, and after them what became of `some_of_both` when they were
    painted by themselves. Differs from the paper, which paints all of both by themselves: half say the same for less.
    """
    number = len(contents)
    maps, truth = judge(pictures), judge.known(torch.cat([contents, styles]))
    painted = {layer: values[:number] for layer, values in maps.items()}
    content, style = (
        {layer: values[part] for layer, values in truth.items()} for part in (slice(number), slice(number, None))
    )
    own = {layer: some_of_both(content[layer], style[layer]) for layer in maps}
    again = {layer: values[number:] for layer, values in maps.items()}
    return {
        "content_loss": weights.content * judge.content_distance(painted, content),
        "style_loss": weights.style * judge.style_distance(painted, style),
        "identity_loss": weights.identity * 2 * F.mse_loss(pictures[number:], some_of_both(contents, styles)),
        "feature_identity_loss": weights.feature_identity * 2 * judge.feature_distance(again, own),
    }

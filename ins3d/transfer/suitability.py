"""Which paintings suit a picture: those whose brushwork it takes on while it stays recognisable."""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from ins3d.perception.features import PerceptualFeatures
from ins3d.perception.losses import relative_statistics_distance, statistics_of
from ins3d.transfer.judging import CONTENT_LAYER, STYLE_LAYERS
from ins3d.transfer.statistics import normalized

RULE = "least sum of the ranks by style distance and by content distance"


@torch.no_grad()
def distances(
    encoder: PerceptualFeatures,
    painted: Float[Tensor, "3 height width"],
    content: Float[Tensor, "3 height width"],
    style: Float[Tensor, "3 _ _"],
) -> tuple[float, float]:
    """How far a painted picture is from its style and from its content.

    Of the style: |a - b| / |b| of channels' means and deviations, mean over layers. Of the content: half the mean squared
    difference of normalised relu4_1, which is 1 for pictures that have nothing in common.
    """
    ours, theirs, known = (encoder(each[None], STYLE_LAYERS) for each in (painted, style, content))
    apart = relative_statistics_distance(statistics_of(ours), statistics_of(theirs))
    lost = F.mse_loss(normalized(ours[CONTENT_LAYER]), normalized(known[CONTENT_LAYER])) / 2
    return float(apart), float(lost)


def best_first(found: Mapping[str, tuple[float, float]]) -> list[str]:
    """Names by `RULE`; of two with one sum the one that is nearer to its style comes first.

    >>> best_first({"a": (0.1, 0.9), "b": (0.2, 0.2), "c": (0.3, 0.3)})
    ['b', 'a', 'c']
    """
    ranks = [
        {name: place for place, name in enumerate(sorted(found, key=lambda name: found[name][part]))} for part in (0, 1)
    ]
    return sorted(found, key=lambda name: (ranks[0][name] + ranks[1][name], ranks[0][name]))

"""RAST: what was painted can be restored, content and style, again and again (Ma et al., WACV 2023)."""

import torch
import torch.nn.functional as F
from torch import Tensor

from ins3d.perception.features import FeatureMaps
from ins3d.transfer.encoder_decoder import joined
from ins3d.transfer.judging import TransferJudge
from ins3d.transfer.sanet import WEIGHTS, SANet

RESTORATION_WEIGHT, TRANSITIVE_WEIGHT, DIFFERENCE_WEIGHT = 1.0, 2.0, 2.0
"""Of the released variant that replaces SANet's losses."""
LEAST_APART = 0.05
"""Added to a distance before its reciprocal is taken. Differs from the release, which divides by what may be 0."""


class RAST(SANet):
    """SANet's network, trained by restorations: of a painted picture content and style can be made again.

    Differs from the release: no discriminators, which in an hour on two cores learn nothing that can be seen, and losses on
    four layers instead of five.
    """

    def losses(self, judge: TransferJudge, contents: Tensor, styles: Tensor, done: float) -> dict[str, Tensor]:
        """Multi-restoration (equations 2 to 4), style difference (equation 6, as a reciprocal), identity."""
        number = len(contents)
        content, style = self.known(contents), self.known(styles)
        # Each picture and, after it, the other way round: o = T(c, s) and o' = T(s, c), with both identities.
        c_look, s_look = self.look_of(content), self.look_of(style)
        first = self.painted(joined(content, style, content, style), joined(s_look, c_look, c_look, s_look))
        both = self.encode(first[: 2 * number])
        # c' = T(o, c), s' = T(s, o), c'' = T(c, o'), s'' = T(o', s).
        there, back = (tuple(level[part] for level in both) for part in (slice(number), slice(number, None)))
        looks = joined(c_look, self.look_of(there), self.look_of(back), s_look)
        second = self.painted(joined(there, style, content, back), looks)
        maps = _split(judge(torch.cat([first, second])), number)
        o, o_back, c_same, s_same, c_once, s_once, c_twice, s_twice = maps
        c, s = _split(judge.known(torch.cat([contents, styles])), number)
        content_apart, style_apart = judge.content_distance, judge.style_distance
        restored = content_apart(c_once, c) + content_apart(s_twice, s) + style_apart(s_once, s) + style_apart(c_twice, c)
        pairs = ((c_once, c_twice), (s_once, s_twice))
        alike = torch.stack([content_apart(a, b) + style_apart(a, b) for a, b in pairs]).sum()
        difference = 1 / (style_apart(o, c) + LEAST_APART) + 1 / (style_apart(o_back, s) + LEAST_APART)
        same = judge.feature_distance(c_same, c) + judge.feature_distance(s_same, s)
        return {
            "restoration_loss": TRANSITIVE_WEIGHT * restored,
            "alike_loss": RESTORATION_WEIGHT * alike,
            "difference_loss": DIFFERENCE_WEIGHT * difference,
            "identity_loss": WEIGHTS.identity
            * (F.mse_loss(first[2 * number : 3 * number], contents) + F.mse_loss(first[3 * number :], styles)),
            "feature_identity_loss": WEIGHTS.feature_identity * same,
        }


def _split(maps: FeatureMaps, number: int) -> list[FeatureMaps]:
    """One pile of feature maps for each `number` of pictures."""
    layers = {layer: values.split(number) for layer, values in maps.items()}
    return [dict(zip(layers, pile, strict=True)) for pile in zip(*layers.values(), strict=True)]

"""What a style does to colours: it brings its own, leaves the scene's, or whatever the losses make of them."""

from collections.abc import Sequence
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ins3d.perception.color_transfer import (
    ColorStatistics,
    apply_color_map,
    brightness_only,
    compose,
    identity_map,
    matching_map,
)

Colors = Literal["style", "content", "none"]
MOST_GAIN = 8.0
"""Coloured scenes need less; a grey picture would need forty."""


class StyleColors(nn.Module):
    """One affine colour map per style, mixed by the style code, and whether strokes may change hue.

    `style`: pictures get the style's mean and covariance before training, and most of it at its end once more
    (`style.stage.StyleStage.end`).
    `content`: strokes change brightness alone (Gatys et al. 2016b). `none`: the losses decide. Under the zero code the map
    is the identity, whatever the mode.
    """

    maps: Tensor
    trained: Tensor
    scene_mean: Tensor
    scene_covariance: Tensor

    def __init__(self, mode: Colors, num_styles: int) -> None:
        super().__init__()
        self.mode = mode
        self.register_buffer("maps", identity_map().repeat(num_styles, 1, 1))
        self.register_buffer("trained", self.maps.clone())
        self.register_buffer("scene_mean", torch.zeros(3))
        self.register_buffer("scene_covariance", torch.eye(3))

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *more: Any) -> None:
        """Before 0.3 the maps that strokes were learned under were not kept: they are those that are rendered with."""
        if f"{prefix}maps" in state_dict:
            state_dict.setdefault(f"{prefix}trained", state_dict[f"{prefix}maps"])
        super()._load_from_state_dict(state_dict, prefix, *more)

    @property
    def scene(self) -> ColorStatistics:
        """The photographs' colours."""
        return ColorStatistics(self.scene_mean, self.scene_covariance)

    def see_scene(self, colors: ColorStatistics) -> None:
        """Takes over the photographs' colours."""
        self.scene_mean.copy_(colors.mean)
        self.scene_covariance.copy_(colors.covariance)

    def match(self, style: int, seen: ColorStatistics, wanted: ColorStatistics) -> None:
        """From now on, what had the colours `seen` under this style has those `wanted`; in mode `style` only.

        In a grey scene there is no hue to stretch but noise: directions of colour are stretched up to `MOST_GAIN` times, by
        all maps together.
        """
        self.finish(style, seen, wanted)
        self.trained[style] = self.maps[style]

    def finish(self, style: int, seen: ColorStatistics, wanted: ColorStatistics) -> None:
        """As `match`, until training is taken up again (`reopen`)."""
        if self.mode == "style":
            color_map = matching_map(seen.to("cpu"), wanted.to("cpu"), MOST_GAIN).to(self.maps)
            self.maps[style] = _limited(compose(color_map, self.maps[style]), wanted.mean.to(self.maps))

    def reopen(self, styles: Sequence[int]) -> None:
        """Back to the maps under which these styles' strokes are learned."""
        self.maps[list(styles)] = self.trained[list(styles)]

    def change(self, change: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 3"]:
        """What the strokes may change."""
        return brightness_only(change) if self.mode == "content" else change

    def map(
        self,
        rgb: Float[Tensor, "*batch 3"],
        alpha: Float[Tensor, "*batch 1"] | float,
        code: Float[Tensor, " styles"],
    ) -> Float[Tensor, "*batch 3"]:
        """Colours, multiplied by `alpha`, under the maps of the style code."""
        if self.mode != "style":
            return rgb
        identity = identity_map().to(self.maps)
        mixed = identity + (code.to(self.maps)[:, None, None] * (self.maps - identity)).sum(0)
        return apply_color_map(mixed, rgb, alpha)


def _limited(color_map: Float[Tensor, "3 4"], mean: Float[Tensor, " 3"]) -> Float[Tensor, "3 4"]:
    """The map with no direction of colour stretched beyond `MOST_GAIN`; what it makes `mean` stays that."""
    left, gains, _ = torch.linalg.svd(color_map[:, :3])
    if float(gains.max()) <= MOST_GAIN * 1.001:
        return color_map
    shrink = left @ torch.diag((MOST_GAIN / gains).clamp(max=1)) @ left.T
    offset = shrink @ (color_map[:, 3] - mean) + mean
    return torch.cat([shrink @ color_map[:, :3], offset[:, None]], dim=1)

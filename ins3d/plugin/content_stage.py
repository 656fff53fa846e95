"""What the content stage renders of random training rays, and what is wrong with it."""

from typing import Any

import torch
from jaxtyping import Float
from nerfstudio.cameras.rays import RayBundle
from nerfstudio.model_components.losses import distortion_loss, interlevel_loss
from torch import Tensor

from ins3d.plugin.ray_content import RayContent, RayContentField
from ins3d.plugin.rays.compositing import composite
from ins3d.plugin.settings import ModelSettings


def training_outputs(
    ray_content: RayContentField, along: RayContent, rays: RayBundle, view_dropout: float, background: Float[Tensor, " 3"]
) -> dict[str, Any]:
    """Colours of the rays, of which a share is shown no view direction; before a random background for an object."""
    content, features = ray_content.content, along.point.color_features
    blind = int(len(features) * view_dropout)
    directions = rays.directions[blind:, None, :].expand(*along.positions[blind:].shape)
    rgb = torch.cat([content.rgb(features[:blind], None), content.rgb(features[blind:], directions)])
    behind = torch.rand_like(rays.directions) if bool(ray_content.placement.bounded) else background
    coarse = ray_content.coarse_samples(along)
    return {
        "rgb": composite(rgb, along.weights, behind),
        "coarse_rgb": None if coarse is None else composite(*coarse, behind),
        "background": behind,
        "weights_list": [*along.proposal_weights, along.weights],
        "ray_samples_list": [*along.proposal_samples, along.samples],
    }


def content_losses(settings: ModelSettings, outputs: dict[str, Any], image: Float[Tensor, "rays 3"]) -> dict[str, Tensor]:
    """Weighted, of `training_outputs` against the photographs' pixels."""
    weights, samples = outputs["weights_list"], outputs["ray_samples_list"]
    losses = {"rgb_loss": settings.rgb_loss_mult * ((outputs["rgb"] - image) ** 2).mean()}
    if outputs["coarse_rgb"] is not None:
        losses["coarse_rgb_loss"] = settings.rgb_loss_mult * ((outputs["coarse_rgb"] - image) ** 2).mean()
    losses["interlevel_loss"] = settings.interlevel_loss_mult * interlevel_loss(weights, samples)
    losses["distortion_loss"] = settings.distortion_loss_mult * distortion_loss(weights, samples)
    return losses

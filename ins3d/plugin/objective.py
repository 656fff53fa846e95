"""The encoder, the styles and the losses that a model's settings name."""

from pathlib import Path

import torch

from ins3d.perception.color_transfer import ColorStatistics
from ins3d.perception.weights import load_encoder
from ins3d.plugin.settings import ModelSettings
from ins3d.style.losses import loss_weights, parse_style_losses
from ins3d.style.objective import StyleObjective
from ins3d.style.targets import StyleView, style_target


def build_objective(model: ModelSettings, scene: ColorStatistics, device: torch.device) -> StyleObjective:
    """Finds the weights, reads the style pictures, and keeps what the encoder sees in them."""
    view = style_view(model)
    layers = tuple(dict.fromkeys([*view.all_layers, *model.content_layers]))
    features = load_encoder(model.perceptual_weights, model.perceptual_encoder, layers, device, model.perceptual_pooling)
    recolored_to = scene if model.colors == "content" else None
    styles = [style_target(Path(path), features, view, device, recolored_to) for path in model.styles]
    return StyleObjective(features, styles, view, model.content_layers, weights_of(model))


def style_view(model: ModelSettings) -> StyleView:
    """How the settings say that style pictures are looked at."""
    return StyleView(
        losses=tuple(parse_style_losses(model.style_loss)),
        layers=model.style_layers,
        scales=model.style_scales,
        long_side=model.style_picture_size,
        square=model.loss_scale == "release",
    )


def weights_of(model: ModelSettings) -> dict[str, float]:
    """{content_loss, NAME_loss of every style loss, tv_loss: weight}."""
    return loss_weights(model.style_loss, model.style_loss_mult, model.content_loss_mult, model.tv_loss_mult)


def num_loss_terms(model: ModelSettings) -> int:
    """How many losses are computed in a step."""
    return sum(weight > 0 for weight in weights_of(model).values())

"""The encoder and the styles that a model's settings name."""

from pathlib import Path

import torch

from ins3d.perceptual_features import load_perceptual_features
from ins3d.plugin.settings import ModelSettings
from ins3d.style_objective import StyleObjective
from ins3d.style_targets import style_target


def build_objective(model: ModelSettings, device: torch.device) -> StyleObjective:
    """Finds the weights, reads the style pictures, and keeps what the encoder sees in them."""
    layers = tuple(dict.fromkeys([*model.style_layers, *model.content_layers]))
    features = load_perceptual_features(model.perceptual_weights, model.perceptual_network, layers)
    features = features.use_fast_precision(device)
    square = model.loss_scale == "release"
    styles = [
        style_target(Path(path), features, model.style_layers, model.style_picture_size, square, device)
        for path in model.styles
    ]
    return StyleObjective(features, styles, model.style_layers, model.content_layers, model.loss_scale)

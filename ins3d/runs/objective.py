"""What a subcommand is told becomes a device, an encoder, and the losses of a painted field."""

import torch

from ins3d.perception.color_transfer import ColorStatistics
from ins3d.perception.features import PerceptualFeatures
from ins3d.perception.weights import load_encoder
from ins3d.runs.record import CONSOLE
from ins3d.runs.settings import Judged, Painted
from ins3d.style.losses import GRAM_LAYERS, LOSSES, loss_weights, parse_style_losses
from ins3d.style.objective import StyleObjective
from ins3d.style.pictures import find_style_pictures
from ins3d.style.targets import StyleView, style_target


def torch_device(setting: str) -> torch.device:
    """The device that is meant; a ValueError when there is no such."""
    if setting == "cuda" and not torch.cuda.is_available():
        raise ValueError("device: cuda was asked for and torch sees no GPU; use cpu.")
    return torch.device("cuda" if setting == "auto" and torch.cuda.is_available() else setting.replace("auto", "cpu"))


def command_encoder(settings: Judged, layers: tuple[str, ...], device: torch.device) -> PerceptualFeatures:
    """The encoder, named in a line."""
    features = load_encoder(
        settings.perceptual_weights, settings.perceptual_encoder, layers, device, settings.perceptual_pooling
    )
    CONSOLE.print(f"Judged by {features.source}, in {str(features.precision).removeprefix('torch.')} on {device}.")
    return features


def command_objective(
    settings: Painted,
    usual_layers: tuple[str, ...],
    device: torch.device,
    recolored_to: ColorStatistics | None = None,
) -> StyleObjective:
    """The losses, with what the encoder sees in the style pictures, which may first be given other colours."""
    weights = loss_weights(settings.style_loss, style=1.0, content=settings.content_weight, tv=settings.tv_weight)
    losses = parse_style_losses(settings.style_loss)
    if not any(losses.values()):
        raise ValueError("style-loss: every weight is 0; give one of them a weight above 0.")
    # A loss with layers of its own would be slow, and another loss, at those of Gram matrices.
    alike = all(LOSSES[name].layers == GRAM_LAYERS for name in losses)
    view = StyleView(
        losses=tuple(losses),
        layers=settings.style_layers or (usual_layers if alike else ()),
        scales=settings.scales,
        long_side=settings.size,
    )
    paths = find_style_pictures(settings.styles, "styles")
    layers = tuple(dict.fromkeys([*view.all_layers, *settings.content_layers]))
    features = command_encoder(settings, layers, device)
    styles = [style_target(path, features, view, device, recolored_to, "styles", "size") for path in paths]
    return StyleObjective(features, styles, view, settings.content_layers, weights)

"""Device, encoder and objective of a subcommand, from its settings."""

import torch

from ins3d.perception.color_transfer import ColorStatistics
from ins3d.perception.features import PerceptualFeatures
from ins3d.perception.weights import load_encoder
from ins3d.runs.record import CONSOLE
from ins3d.runs.settings import Painted
from ins3d.style.objective import StyleObjective
from ins3d.style.settings import JudgeSettings, build_objective


def torch_device(setting: str) -> torch.device:
    """The device that is meant; a ValueError when there is no such."""
    if setting == "cuda" and not torch.cuda.is_available():
        raise ValueError("device: cuda was asked for and torch sees no GPU; use cpu.")
    return torch.device("cuda" if setting == "auto" and torch.cuda.is_available() else setting.replace("auto", "cpu"))


def command_encoder(settings: JudgeSettings, layers: tuple[str, ...], device: torch.device) -> PerceptualFeatures:
    """The encoder, named in a line."""
    features = load_encoder(
        settings.perceptual_weights, settings.perceptual_encoder, layers, device, settings.perceptual_pooling
    )
    _tell(features, device)
    return features


def command_objective(
    settings: Painted, device: torch.device, scene: ColorStatistics | None, picture_side: int
) -> StyleObjective:
    """The losses, and the encoder named in a line; see `style.settings.build_objective`."""
    objective = build_objective(settings, device, scene, picture_side)
    _tell(objective.features, device)
    return objective


def _tell(features: PerceptualFeatures, device: torch.device) -> None:
    CONSOLE.print(f"Judged by {features.source}, in {str(features.precision).removeprefix('torch.')} on {device}.")

"""Runs `ins3d picture train`: a network that paints any picture in one style; and how all of one pass are trained."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ins3d.extension.ranges import check_ranges
from ins3d.files.pictures import picture_files, read_rgb, resize_long_side
from ins3d.perception.weights import load_encoder
from ins3d.pictures.settings import TrainStyle
from ins3d.runs.objective import torch_device
from ins3d.runs.record import say
from ins3d.runs.settings import Trained
from ins3d.runs.training import Training
from ins3d.runs.training_folder import run_training
from ins3d.transfer.crops import Crops
from ins3d.transfer.judging import STYLE_LAYERS, TransferJudge
from ins3d.transfer.methods import new_network, save_network

LAST_RATE = 0.05
"""The share of the learning rate that is left at the end."""
SHOWN_SIDE, SHOWN = 224, 4
SMALLEST = 32
"""Pixels a side of the style picture; its deepest features then have a few values."""
Draw = Callable[[int], tuple[Tensor, Tensor]]
"""So many contents and styles."""


def run_train(settings: TrainStyle) -> None:
    """`train`: reads the style and the photographs, trains, writes the network."""
    check_ranges(settings)
    device = torch_device(settings.device)
    torch.manual_seed(settings.seed)
    options = {"norm": settings.norm}
    network = new_network(settings.method, None, **options).to(device)
    training = new_training(settings, network, settings.rate)
    # Strokes are as large beside the crop as in the style picture.
    side = round(settings.size * settings.stroke_size)
    style = resize_long_side(read_rgb(settings.style, "style", say=say), side)
    if min(style.shape[1:]) < SMALLEST:
        raise ValueError(
            f"stroke-size: {settings.stroke_size:g} looks at {settings.style.name} in {style.shape[2]}x{style.shape[1]} "
            f"pixels, and {SMALLEST} a side are needed; use more, or a larger size."
        )
    photographs = Crops(folder_pictures(settings.photographs), settings.size, training.generator, "photographs", grey=0.0)
    features = load_encoder(settings.perceptual_weights, settings.perceptual_encoder, STYLE_LAYERS, device)
    say(f"Judged by {features.source}.")
    judge = TransferJudge(features, torch.cat([photographs.draw(4)]).to(device))

    def draw(number: int) -> tuple[Tensor, Tensor]:
        return photographs.draw(number), style[None].expand(number, -1, -1, -1)

    card = {"method": settings.method, "width": "compact", "options": options, "style": settings.style.name}
    examples = photographs.draw(SHOWN)
    train_network(settings, training, judge, draw, settings.batch, card, lambda: sheet(network, style, examples))


def new_training(settings: Trained, network: Any, rate: float) -> Training:
    """Of all that a network learns."""
    return Training(network, [{"params": list(network.parameters()), "lr": rate}], settings.steps, settings.seed, LAST_RATE)


def train_network(
    settings: Trained, training: Training, judge: TransferJudge, draw: Draw, batch: int, card: dict[str, Any],
    show: Callable[[], Tensor],
) -> None:  # fmt: skip
    """Runs or resumes a training, and writes METHOD.safetensors with its card; `show` makes the picture of a preview."""
    network: Any = training.field
    device = next(network.parameters()).device
    path = settings.output / f"{card['method']}.safetensors"

    def losses(step: int, _: torch.Generator) -> dict[str, Tensor]:
        contents, styles = (each.to(device) for each in draw(batch))
        with torch.autocast(device.type, torch.bfloat16):
            return network.losses(judge, contents, styles, step / settings.steps)

    def show_trained() -> Tensor:
        network.eval()
        picture = show()
        network.train()
        return picture

    run_training(
        settings, training, losses, save=lambda: save_network(path, network, card | {"steps": training.step}),
        show=show_trained, begun_with={}, parameters=sum(each.numel() for each in network.parameters()),
    )  # fmt: skip
    say(f"Wrote {path}: {path.stat().st_size / 1e6:.2f} MB.")


def folder_pictures(folder: Path) -> list[Path]:
    """Of a folder that was named to learn from. Raises FileNotFoundError where there are none."""
    found = picture_files(folder) if folder.is_dir() else []
    if not found:
        raise FileNotFoundError(f"photographs: {folder} holds no pictures; give a folder of photographs, fifty or more.")
    return found


def sheet(network: Any, style: Tensor, contents: Tensor) -> Tensor:
    """The style, and beside it what some contents became."""
    device = next(network.parameters()).device
    painted = [network.paint(content.to(device), [(None, 1.0)]).cpu() for content in contents]
    return torch.cat([resize_square(each) for each in (style, *painted)], dim=2)


def resize_square(rgb: Tensor, wanted: int = SHOWN_SIDE) -> Tensor:
    """The middle of a picture."""
    side = min(rgb.shape[1:])
    top, left = ((length - side) // 2 for length in rgb.shape[1:])
    return resize_long_side(rgb[:, top : top + side, left : left + side], wanted)

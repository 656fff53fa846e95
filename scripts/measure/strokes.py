"""How runs on one scene are brushed: a table of numbers against the painting and the content, and a sheet to look at.

    python scripts/measure/strokes.py --load-configs outputs/.../a/config.yml outputs/.../b/config.yml --output compared

Held-out views at their own size; where they are larger than 256 pixels on the short side, at that. `gram` is the mean
ratio of the relative Gram distances of the painted and of the unstylised view; remd, coherence and spectrum are those of
`evaluation.strokes`; ssim is to the unstylised view. But for ssim less is better, and none of them says it alone: look at
sheet.jpg.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
import tyro
from nerfstudio.utils.eval_utils import eval_setup
from rich.console import Console
from rich.table import Table
from torch import Tensor
from torchvision.utils import make_grid

from ins3d.evaluation.statistics import structural_similarity
from ins3d.evaluation.strokes import HYPERCOLUMN_LAYERS, StrokeJudge
from ins3d.files.pictures import read_rgb, resize_long_side, write_rgb
from ins3d.files.run_record import run_record
from ins3d.perception.losses import grams_of, relative_gram_loss
from ins3d.perception.weights import load_encoder
from ins3d.style.losses import GRAM_LAYERS

CONSOLE = Console()
JUDGED_SIDE = 256
"""Short side in pixels at which views are judged at most."""


@dataclass
class Settings:
    """Which runs, and where to write."""

    load_configs: tuple[Path, ...]
    """config.yml of finished runs of one style each."""
    output: Path
    """Folder of numbers.json and sheet.jpg."""
    views: int = 5
    """Held-out views, evenly spread."""


def main(settings: Settings) -> None:
    """Renders, measures, prints, writes."""
    table = Table("run", "gram", "remd", "coherence", "spectrum", "ssim")
    rows, told = [], {}
    for config in settings.load_configs:
        views, style = render(config, settings.views)
        numbers = judge(views, style)
        told[str(config.parent)] = numbers
        table.add_row(config.parent.name, *(f"{value:.3f}" for value in numbers.values()))
        rows.append(torch.cat([painted for _, painted in views], dim=2))
        if len(rows) == 1:  # the content, once, above all
            rows.insert(0, torch.cat([plain for plain, _ in views], dim=2))
    CONSOLE.print(table)
    settings.output.mkdir(parents=True, exist_ok=True)
    (settings.output / "numbers.json").write_text(json.dumps(run_record(runs=told), indent=1))
    write_rgb(settings.output / "sheet.jpg", make_grid(rows, nrow=1, padding=4))


@torch.no_grad()
def render(config: Path, number: int) -> tuple[list[tuple[Tensor, Tensor]], Path]:
    """(unstylised, painted) pictures of held-out views, and the style picture."""
    _, pipeline, _, _ = eval_setup(config, test_mode="test")
    model: Any = pipeline.model
    data: Any = pipeline.datamanager
    cameras = data.eval_dataset.cameras
    chosen = torch.linspace(0, len(cameras) - 1, min(number, len(cameras))).round().long().unique().tolist()
    outputs = [model.get_outputs_for_camera(cameras[index : index + 1]) for index in chosen]
    model: Any = pipeline.model
    return [
        tuple(each[name].cpu().permute(2, 0, 1) for name in ("content_rgb", "rgb")) for each in outputs
    ], model.config.styles[0]  # type: ignore[misc]


def judge(views: list[tuple[Tensor, Tensor]], style: Path) -> dict[str, float]:
    """Means over views."""
    layers = tuple(dict.fromkeys([*HYPERCOLUMN_LAYERS, *GRAM_LAYERS]))
    features = load_encoder(None, "auto", layers, torch.device("cpu"))
    painting = resize_long_side(read_rgb(style, "styles"), JUDGED_SIDE)
    strokes = StrokeJudge(features, painting)
    kept = grams_of(features(painting[None], GRAM_LAYERS))

    def gram(picture: Tensor) -> float:
        return float(relative_gram_loss(grams_of(features(picture[None], GRAM_LAYERS)), kept))

    found = []
    for pair in views:
        plain, painted = (reduced(picture) for picture in pair)
        numbers = {"gram": gram(painted) / gram(plain), **strokes.measure(painted)}
        found.append(numbers | {"ssim": structural_similarity(painted, plain)})
    return {name: sum(each[name] for each in found) / len(found) for name in found[0]}


def reduced(picture: Tensor) -> Tensor:
    """At most `JUDGED_SIDE` on the short side."""
    factor = JUDGED_SIDE / min(picture.shape[1:])
    if factor >= 1:
        return picture
    return F.interpolate(picture[None], scale_factor=factor, mode="bilinear", antialias=True)[0].clamp(0, 1)


if __name__ == "__main__":
    main(tyro.cli(Settings, description=__doc__))

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
import tyro
from nerfstudio.utils.eval_utils import eval_setup
from rich.console import Console
from rich.table import Table
from torch import Tensor
from torchvision.utils import make_grid

from ins3d.evaluation.frame_judge import judge_frames
from ins3d.files.pictures import write_rgb
from ins3d.files.run_record import run_record

CONSOLE = Console()


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
        numbers = judge_frames([painted for _, painted in views], style, [plain for plain, _ in views])
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
def render(config: Path, number: int) -> tuple[list[tuple[Tensor, Tensor]], str]:
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


if __name__ == "__main__":
    main(tyro.cli(Settings, description=__doc__))

"""How much splats of finished runs look as their fields do, and how good another mix is without a new fit.

    python scripts/measure/splats.py --load-configs outputs/.../config.yml ... --output compared
    python scripts/measure/splats.py --speed --output compared

Mean PSNR over held-out cameras at the size that was fitted and at twice that: content, the first style, half of it; and
half of it once more by splats that were fitted to that. Pictures lie beside the numbers: field above, splats below.
`--speed`: the compositor's seconds on a ball of splats, as numba compiles it and in plain torch.
"""

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
import tyro
from rich.console import Console
from rich.table import Table

from ins3d.files.pictures import write_rgb
from ins3d.files.run_record import run_record
from ins3d.plugin.field_splats import KEPT, look_from, painter, view_of
from ins3d.plugin.finished.scenes import open_scene
from ins3d.plugin.finished.splat_export import paintable_splats, training_views
from ins3d.splats import compositing
from ins3d.splats.compositing import render
from ins3d.splats.gaussians import plain_gaussians
from ins3d.splats.making import likeness, make_splats
from ins3d.splats.settings import ExportSplats
from ins3d.splats.views import View

CONSOLE = Console()
SPEEDS = ((100_000, 135, 240), (300_000, 270, 480))


@dataclass
class Settings:
    """Which runs, and where to write."""

    output: Path
    """Folder of numbers.json and a picture for each run."""
    load_configs: tuple[Path, ...] = ()
    """config.yml of finished runs."""
    views: int = 5
    """Held-out views, evenly spread."""
    speed: bool = False
    """Times the compositor instead."""


def main(settings: Settings) -> None:
    """Measures, prints, writes."""
    settings.output.mkdir(parents=True, exist_ok=True)
    told = {"speed": speeds()} if settings.speed else {str(path): compared(path, settings) for path in settings.load_configs}
    (settings.output / "numbers.json").write_text(json.dumps(run_record(found=told), indent=1))
    for name, rows in told.items():
        table = Table(name, *next(iter(rows.values())))
        for row, values in rows.items():
            table.add_row(row, *(f"{value:.3g}" for value in values.values()))
        CONSOLE.print(table)


def compared(path: Path, settings: Settings) -> dict[str, dict[str, float]]:
    """{size: {what: dB}}; and the seconds of a mix."""
    scene = open_scene(path)
    pipeline, model = scene.pipeline, scene.pipeline.model
    export = ExportSplats(load_config=scene.config)
    made, background = paintable_splats(pipeline, export, scene.config.parent / KEPT), model.background.cpu()
    views, paint = training_views(pipeline, export), painter(model, made.splats)
    code = torch.eye(len(scene.styles))[0]
    codes = torch.stack([code, 0.5 * code])
    began = time.perf_counter()
    half = made.painted(codes[1], paint)
    seconds = time.perf_counter() - began
    to_half = [look_from(model, view, view.reduced(max(view.shape) // 2), codes[1:]) for view in views]
    behind = None if model.ray_content.placement.is_bounded else background
    fitted = make_splats(to_half, behind, export.max_splats, export.steps, 0, torch.Generator().manual_seed(0))
    shown = [made.splats, made.painted(code, paint), half, fitted.splats.painted(fitted.styles[0])]
    names, looks = ("content", "painted", "half", "half, fitted to it"), (0, 1, 2, 2)
    found, cameras = {}, scene.cameras
    for times in (1, 2):
        side = times * max(views[0].shape)
        held = [
            view_of(cameras, index).reduced(side) for index in range(0, len(cameras), -(-len(cameras) // settings.views))
        ]
        seen = [look_from(model, view, view.reduced(8), codes) for view in held]
        values = [likeness(splats, seen, look, background) for splats, look in zip(shown, looks, strict=True)]
        told = {"splats": float(len(made.splats)), "seconds of a mix": seconds}
        found[f"{held[0].width}x{held[0].height}"] = dict(zip(names, values, strict=True)) | told
    above = torch.cat([seen[0].over(look, background) for look in (0, 1)], dim=1)
    below = torch.cat([render(held[0], splats, background) for splats in shown[:2]], dim=1)
    rows = torch.cat([above, below])
    write_rgb(settings.output / f"{scene.config.parents[2].name}.png", rows.permute(2, 0, 1).clamp(0, 1))
    return found


def speeds() -> dict[str, dict[str, float]]:
    """{scene: {which: seconds}}: the least of three."""
    found: dict[str, dict[str, float]] = {}
    for number, width, height in SPEEDS:
        toward = F.normalize(torch.randn(number, 3, generator=torch.Generator().manual_seed(0)), dim=-1)
        size = 0.6 * (12.6 / number) ** 0.5
        pose = torch.cat([torch.eye(3), torch.tensor([[0.0], [0.0], [4.0]])], dim=1)
        view = View(pose, 1.7 * width, 1.7 * width, width / 2, height / 2, width, height)
        learned: list[Any] = [toward, torch.full_like(toward, size), torch.full((number,), 0.9), (toward + 1) / 2]
        row: dict[str, float] = {}
        for name, is_compiled in (("numba", True), ("torch", False)):
            compositing.COMPILED = is_compiled
            row |= {f"{name}, forward": 9.0, f"{name}, and back": 9.0}
            for _ in range(4):
                means, scales, opacities, rgb = (each.clone().requires_grad_() for each in learned)
                upright = torch.tensor([1.0, 0, 0, 0]).expand(number, 4)
                began = time.perf_counter()
                picture = render(view, plain_gaussians(means, scales, upright, opacities, rgb), torch.ones(3))
                half = time.perf_counter()
                picture.square().mean().backward()
                row[f"{name}, forward"] = min(row[f"{name}, forward"], half - began)
                row[f"{name}, and back"] = min(row[f"{name}, and back"], time.perf_counter() - began)
        found[f"{number:,} at {width}x{height}"] = row
    return found


if __name__ == "__main__":
    main(tyro.cli(Settings, description=__doc__))

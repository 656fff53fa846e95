"""Measures what a network of several styles is worth: each style against its own network, mixes, strength, depth.

    python scripts/measure/styles.py --load-config outputs/.../config.yml --singles outputs/.../a outputs/.../b ...

On held-out views. Distances in features are |a - b| / |b|, mean over the layers of the Gram distances, which are
those of `ns-eval`.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
import tyro
from nerfstudio.utils.eval_utils import eval_setup
from rich.console import Console
from rich.progress import track
from torch import Tensor
from torchvision.utils import make_grid

from ins3d.files.pictures import write_rgb
from ins3d.files.run_record import run_record
from ins3d.perception.features import FeatureMaps
from ins3d.perception.losses import grams_of, relative_gram_loss
from ins3d.plugin.code_renders import CodeRenders, render_codes
from ins3d.plugin.datamanager import InsStylizeDataManager
from ins3d.style.mix import single_style

CONSOLE = Console()
MIXES = [step / 20 for step in range(21)]
STRENGTHS = [step / 10 for step in range(11)]


@dataclass
class Settings:
    """Which runs."""

    load_config: Path
    """config.yml of a run of several styles."""
    singles: tuple[Path, ...] = ()
    """Folders of runs of one style each, in the same order, on the same content."""
    views: int = 5
    """Held-out views, evenly spread."""
    output: Path | None = None
    """Folder of the numbers and strips; by default `measured` beside the config."""


class Run:
    """A finished run's held-out views under any codes, and what its judge says of them."""

    def __init__(self, config: Path, views: int) -> None:
        _, pipeline, _, _ = eval_setup(config, test_mode="test")
        self.model: Any = pipeline.model
        if not bool(self.model.is_stylized):
            raise ValueError(f"load-config: {config} has no style yet; let that run go on (--load-dir).")
        self.names = self.model.controls.names
        self.judge = self.model._style_objective()
        cameras = cast(InsStylizeDataManager, pipeline.datamanager).eval_dataset.cameras
        chosen = torch.linspace(0, len(cameras) - 1, min(views, len(cameras))).round().long().unique()
        self.cameras = [cameras[index : index + 1] for index in chosen.tolist()]
        self.bounded = bool(self.model.ray_content.placement.bounded)

    def renders(self, codes: Tensor, what: str) -> list[CodeRenders]:
        """By view."""
        return [render_codes(self.model, camera, codes) for camera in track(self.cameras, what, console=CONSOLE)]

    def gram(self, renders: list[CodeRenders], code: int, style: int) -> float:
        """Mean over views of the distance to a style."""
        masks = [view.accumulation[None] if self.bounded else None for view in renders]
        found = [
            float(self.judge.gram_distance(view.rgb[code][None], style, mask))
            for view, mask in zip(renders, masks, strict=True)
        ]
        return sum(found) / len(found)

    @torch.no_grad()
    def grams_apart(self, renders: list[CodeRenders]) -> list[list[float]]:
        """Gram distance of every code's picture to the first code's, and to the last's; mean over views."""
        found = []
        for view in renders:
            mask = view.accumulation[None] if self.bounded else None
            grams = [grams_of(self.features(picture), mask) for picture in view.rgb]
            found.append([[float(relative_gram_loss(gram, end)) for gram in grams] for end in (grams[0], grams[-1])])
        return torch.tensor(found).mean(0).tolist()

    @torch.no_grad()
    def features(self, picture: Tensor) -> FeatureMaps:
        """What the judge sees in a picture."""
        return self.judge.features(picture[None], self.judge.view.gram_layers)

    def steps(self, pictures: list[Tensor]) -> list[float]:
        """From each picture to the next; each is looked at once, and two at a time are in memory."""
        found, before = [], self.features(pictures[0])
        for picture in pictures[1:]:
            maps = self.features(picture)
            found.append(apart(maps, before))
            before = maps
        return found

    def away(self, pictures: list[Tensor], reference: Tensor) -> list[float]:
        """How far each picture is from one."""
        maps = self.features(reference)
        return [apart(self.features(picture), maps) for picture in pictures]


def main(settings: Settings) -> None:
    """Measures, prints, writes."""
    output = settings.output or settings.load_config.parent / "measured"
    run = Run(settings.load_config, settings.views)
    report: dict[str, Any] = {"styles": run.names, "judge": run.judge.features.source}
    report["each"] = _each(run, settings)
    report["mixes"], mixed = _mixes(run)
    report["strength"], swept = _strengths(run)
    report["depth"] = _depth(run)
    for name, strip in (("mixes", mixed), ("strengths", swept)):
        write_rgb(output / f"{name}.png", strip)
    (output / "styles.json").write_text(json.dumps(report | {"record": run_record(seed=None)}, indent=1))
    CONSOLE.print_json(json.dumps(report))
    CONSOLE.print(f"Numbers and strips: {output}", soft_wrap=True)


def _each(run: Run, settings: Settings) -> dict[str, dict[str, float]]:
    """Gram distance of every style here, in its own network, and unstylised."""
    renders = run.renders(torch.cat([torch.eye(len(run.names)), torch.zeros(1, len(run.names))]), "every style")
    found = {
        name: {"here": run.gram(renders, style, style), "content": run.gram(renders, len(run.names), style)}
        for style, name in enumerate(run.names)
    }
    for style, folder in enumerate(settings.singles):
        single = Run(folder / "config.yml", settings.views)
        if single.names != run.names[style : style + 1]:
            raise ValueError(f"singles: {folder} is a run of {', '.join(single.names)}, not of {run.names[style]} alone.")
        alone = single.gram(single.renders(torch.ones(1, 1), single.names[0]), 0, 0)
        found[run.names[style]] |= {"alone": alone, "ratio": found[run.names[style]]["here"] / alone}
    return found


def _mixes(run: Run) -> tuple[dict[str, Any], Tensor]:
    """From each style to the next: how even the steps are, and whether distances only rise and only fall.

    Distances are those to the style pictures, and those to the renders of either style alone (INS's vertices).
    """
    found, rows = {}, []
    number = len(run.names)
    for first, second in [(style, (style + 1) % number) for style in range(number)]:
        eye = torch.eye(number)
        codes = torch.stack([torch.lerp(eye[first], eye[second], share) for share in MIXES])
        renders = run.renders(codes, f"{run.names[first]} to {run.names[second]}")
        steps = torch.tensor([run.steps(view.rgb) for view in renders]).mean(0)
        away = [run.gram(renders, index, first) for index in range(len(MIXES))]
        near = [run.gram(renders, index, second) for index in range(len(MIXES))]
        from_end, to_end = run.grams_apart(renders)
        found[f"{run.names[first]} to {run.names[second]}"] = {
            "largest_by_median_step": float(steps.max() / steps.median()),
            "first_rises": is_monotone(away), "second_falls": is_monotone([-value for value in near]),
            "first_end_rises": is_monotone(from_end), "second_end_falls": is_monotone([-value for value in to_end]),
            "to_first": away, "to_second": near, "to_first_end": from_end, "to_second_end": to_end,
        }  # fmt: skip
        rows += [renders[len(renders) // 2].rgb[index] for index in range(0, 21, 4)]
    return found, make_grid(torch.stack(rows), nrow=6, padding=0)


def _strengths(run: Run) -> tuple[dict[str, Any], Tensor]:
    """Every style at eleven strengths: distance from the content, and to the style."""
    found, rows = {}, []
    for style, name in enumerate(run.names):
        codes = torch.stack([single_style(style, len(run.names), strength).code() for strength in STRENGTHS])
        renders = run.renders(codes, f"{name}, strengths")
        away = torch.tensor([run.away(view.rgb, view.content_rgb) for view in renders]).mean(0).tolist()
        near = [run.gram(renders, index, style) for index in range(11)]
        mistake = max(float(((view.rgb[0] - view.content_rgb) ** 2).mean()) for view in renders)
        found[name] = {
            "content_rises": is_monotone(away), "style_falls": is_monotone([-value for value in near]),
            "psnr_at_0": None if mistake == 0 else float(-10 * torch.log10(torch.tensor(mistake))),  # None: the same bits
            "from_content": away, "to_style": near,
        }  # fmt: skip
        rows += [renders[len(renders) // 2].rgb[index] for index in range(0, 11, 2)]
    return found, make_grid(torch.stack(rows), nrow=6, padding=0)


def _depth(run: Run) -> dict[str, float]:
    """How far depth moves under any style or mix: the largest change, and the median relative one where something is."""
    number = len(run.names)
    codes = torch.cat([torch.eye(number), torch.full((1, number), 1 / number)])
    views = run.renders(codes, "depth")
    moved = [((depth - view.content_depth).abs(), view) for view in views for depth in view.depth]
    largest = max(float(change.max()) for change, _ in moved)
    relative = [float((change / view.content_depth)[view.accumulation > 0.5].median()) for change, view in moved]
    return {"largest_change": largest, "median_drift": max(relative)}


def apart(ours: FeatureMaps, theirs: FeatureMaps) -> float:
    """Distance in features."""
    return float(torch.stack([(ours[layer] - theirs[layer]).norm() / theirs[layer].norm() for layer in theirs]).mean())


def is_monotone(values: list[float]) -> bool:
    """Never falls."""
    return all(after >= before for before, after in zip(values, values[1:], strict=False))


if __name__ == "__main__":
    main(tyro.cli(Settings, description=__doc__))

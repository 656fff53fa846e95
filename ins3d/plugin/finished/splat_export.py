"""A finished run's field becomes a file of Gaussian splats; they are kept, so that another mix takes a second."""

import math
from pathlib import Path
from typing import cast

import torch
from nerfstudio.utils.eval_utils import eval_setup
from rich.progress import Progress

from ins3d.evaluation.settings import check_config
from ins3d.plugin.field_splats import KEPT, fingerprint, look_from, own_splats, painter, view_of
from ins3d.plugin.model import InsStylizeModel
from ins3d.plugin.pipeline import InsStylizePipeline
from ins3d.plugin.ray_content import RayContentField
from ins3d.runs.record import CONSOLE, progress, say
from ins3d.splats.cameras import between
from ins3d.splats.field_views import FieldView
from ins3d.splats.fitting import Fitted
from ins3d.splats.gaussians import Gaussians
from ins3d.splats.making import PaintableSplats, likeness, make_splats, paintable
from ins3d.splats.settings import ExportSplats
from ins3d.splats.showing import ShownSplats
from ins3d.splats.views import View

CAMERAS = 60
"""That splats are fitted to; a third of them stands where photographs were taken."""
JUDGED_CAMERAS = 5
PIXELS_ON_CPU = 32_400
"""Of each picture."""
PROBE_SHARE = 0.5
"""Of the pictures' sides: along so many rays the field is asked where it is dense."""


def run_splats(path: Path, settings: ExportSplats | None = None) -> ShownSplats:
    """The splats of a finished run: those kept beside it, or made now, as an export with these settings makes them.

    Raises FileNotFoundError or ValueError naming `load-config`.
    """
    path = path / "config.yml" if path.is_dir() else path
    settings = settings or ExportSplats(load_config=path)
    check_config(path)
    _, loaded, _, _ = eval_setup(path, test_mode="test")
    pipeline = cast(InsStylizePipeline, loaded)
    pipeline.eval()
    model, made = pipeline.model, paintable_splats(pipeline, settings, path.parent / KEPT)
    paint = painter(model, made.splats)
    cameras = pipeline.datamanager.train_dataset.cameras
    views = [view_of(cameras, index) for index in range(len(cameras))]
    names = model.controls.names if model.has_style else ()
    return ShownSplats(
        names, lambda code: made.painted(code, paint), views, model.background.cpu(), model.controls.mix,
        in_dataset=lambda splats: in_dataset(splats, pipeline), folder=path.parent,
    )  # fmt: skip


def paintable_splats(pipeline: InsStylizePipeline, settings: ExportSplats, kept: Path) -> PaintableSplats:
    """Those that are painted, kept beside the run, or made now."""
    model = pipeline.model
    own = own_splats(model)
    if own is not None:
        return own
    if not isinstance(model.ray_content, RayContentField):
        raise ValueError(
            f"load-config: content {model.ray_content.kind} says nothing along rays; no splats can be made of it."
        )
    about = {name: getattr(settings, name) for name in ("max_splats", "size", "steps", "degree")}
    about["network"] = fingerprint(pipeline.model)
    found = PaintableSplats.load(kept, about)
    if found is not None:
        return found
    views = training_views(pipeline, settings)
    seen = [_look(model, view) for view in progress(views, "looking at the field")]
    behind = None if model.ray_content.placement.is_bounded else model.background.cpu()
    with Progress(console=CONSOLE, transient=True) as bar:
        task = bar.add_task("fitting splats", total=settings.steps)
        fitted = make_splats(
            seen, behind, settings.max_splats, settings.steps, settings.degree,
            torch.Generator().manual_seed(0), lambda done, of: bar.update(task, completed=done),
        )  # fmt: skip
    _judge(pipeline, fitted, max(seen[0].view.shape))
    made = paintable(fitted, painter(model, fitted.splats))
    made.save(kept, about)
    return made


def _look(model: InsStylizeModel, view: View) -> FieldView:
    return look_from(model, view, view.reduced(max(round(PROBE_SHARE * max(view.shape)), 1)))


def training_views(pipeline: InsStylizePipeline, settings: ExportSplats) -> list[View]:
    """Training cameras, evenly, and twice as many places between them, as large as there is time for."""
    cameras = pipeline.datamanager.train_dataset.cameras
    every = [view_of(cameras, index) for index in range(len(cameras))]
    side = max(max(view.shape) for view in every)
    if settings.size is not None:
        side = settings.size
    elif pipeline.model.device.type == "cpu":
        side = min(side, *(math.ceil(max(view.shape) * (PIXELS_ON_CPU / math.prod(view.shape)) ** 0.5) for view in every))
    every = [view.reduced(side) for view in every]
    given = [every[index] for index in _evenly(len(every), CAMERAS // 3)]
    return given + between(every, CAMERAS - CAMERAS // 3, torch.Generator().manual_seed(0))


def _evenly(number: int, most: int) -> list[int]:
    return torch.linspace(0, number - 1, min(most, number)).round().long().unique().tolist()


def _judge(pipeline: InsStylizePipeline, fitted: Fitted, side: int) -> None:
    """Says how much the splats look as the field does from cameras that they were not fitted to."""
    cameras, background = pipeline.datamanager.eval_dataset.cameras, pipeline.model.background.cpu()
    held = [_look(pipeline.model, view_of(cameras, index).reduced(side)) for index in _evenly(len(cameras), JUDGED_CAMERAS)]
    looks = [fitted.splats, *(fitted.splats.painted(rgb) for rgb in fitted.styles)]
    names = ["content", *pipeline.model.controls.names]
    found = [likeness(splats, held, look, background) for look, splats in enumerate(looks)]
    told = ", ".join(f"{name} {decibels:.1f} dB" for name, decibels in zip(names, found, strict=False))
    say(f"As the field looks from {len(held)} held-out cameras, at {held[0].view.width}x{held[0].view.height}: {told}")


def in_dataset(splats: Gaussians, pipeline: InsStylizePipeline) -> Gaussians:
    """Out of the host's coordinates, into those that the dataset's cameras are given in."""
    outputs = pipeline.datamanager.train_dataparser_outputs
    rotation, translation = outputs.dataparser_transform[:, :3].cpu(), outputs.dataparser_transform[:, 3].cpu()
    return splats.mapped(rotation.T, -rotation.T @ translation, 1 / float(outputs.dataparser_scale))

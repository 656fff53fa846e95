"""Runs `ins3d splats paint`: a scene of splats gets strokes of every style, and stays where it is."""

import math
from dataclasses import replace
from typing import Any

import psutil
import torch
from torch import Tensor

from ins3d.extension.ranges import check_ranges
from ins3d.runs.objective import command_objective, torch_device
from ins3d.runs.record import make_folder, progress, say
from ins3d.runs.training import Training
from ins3d.runs.training_folder import paint, run_training
from ins3d.splats.cameras import given_views, place_of, views_around
from ins3d.splats.checkpoint import PaintedSplats, PaintSpec, camera_words, save_network, save_splats
from ins3d.splats.compositing import render
from ins3d.splats.gaussians import Gaussians
from ins3d.splats.ply import read_ply, write_ply
from ins3d.splats.settings import PaintSplats
from ins3d.splats.splitting import split_large
from ins3d.splats.stylization import SplatSubject, SplatWindows
from ins3d.splats.stylized import StylizedSplats
from ins3d.splats.views import View, nearest_pixel
from ins3d.style.mix import Mix
from ins3d.style.sizes import steps_of_a_style
from ins3d.style.targets import refuse_small
from ins3d.style.windows import plan_windows

PAINTED = "painted.ply"
STROKE, GROWTH = 0.01, 2.0
"""Standard deviation of the largest splat, as a share of a picture's long side: half of a stroke; and how many times as many
splats there may be to come near it."""
BYTES_A_SPLAT, BYTES_A_PIXEL = 1000, 500
"""That painting takes of memory: a splat's numbers, colours and gradients; the weights behind a pixel."""
SHOWN = 3
"""Views side by side in picture.png."""


def run_paint_splats(settings: PaintSplats) -> None:
    """`paint`: learns the strokes, and writes painted.ply and the network."""
    check_ranges(settings)
    device = torch_device(settings.device)
    splats, notes = read_ply(settings.splats, "splats")
    for note in notes:
        say(note)
    every = given_views(settings.cameras, settings.size) if settings.cameras else None
    views = views_around(splats, settings.views, settings.size) if every is None else some_of(every, settings.views)
    check_memory(len(splats), views)
    splats = split_to_strokes(splats, views)
    extent = min(view.height for view in views), min(view.width for view in views)
    if settings.steps is None:
        settings = replace(settings, steps=steps_of_a_style(math.prod(extent)))
    objective = command_objective(settings, device, None, settings.size)
    plan = plan_windows(extent, 0, settings.patches)
    smallest = min(min(plan.patch_at(stride)) for stride in plan.counts)
    refuse_small(f"patches.size: {smallest} places are", smallest, objective.features, settings.style_scales, "use more")
    names = tuple(style.name for style in objective.styles)
    mix = settings.mix_of(names)
    placement = place_of(splats, views)
    windows = SplatWindows(splats, progress(views, "looking at the splats"), plan)
    if settings.colors == "content":
        objective = command_objective(settings, device, windows.seen_colors(splats), settings.size)
    make_folder(settings.output)
    save_splats(settings.output, splats)
    torch.manual_seed(settings.seed)
    spec = PaintSpec(names, settings.colors, settings.size, [camera_words(view) for view in views])
    field = StylizedSplats(len(names), settings.colors, settings.size, placement).to(device)
    painted = PaintedSplats(splats, field, spec)
    subject = SplatSubject(field, splats, windows, objective, settings.seed)
    paint(settings, field, subject, objective, mix, lambda *args, **more: train(settings, painted, mix, *args, **more))
    write_ply(settings.output / PAINTED, painted.painted(mix.code()))
    say(f"{mix.describe(names)}: {len(splats):,} splats in {settings.output / PAINTED}")


def train(settings: PaintSplats, painted: PaintedSplats, mix: Mix, training: Training, losses: Any, **about: Any) -> Tensor:
    """Runs or resumes; the picture that is shown on the way is a few views."""
    views = some_of(painted.spec.views(), SHOWN)

    def show() -> Tensor:
        splats = painted.painted(mix.code())
        height = min(view.height for view in views)
        seen = [
            render(view.resized(round(view.width * height / view.height), height), splats, torch.ones(3)) for view in views
        ]
        return torch.cat(seen, dim=1).permute(2, 0, 1).clamp(0, 1)

    return run_training(
        settings, training, losses, save=lambda: save_network(settings.output, painted.field, painted.spec), show=show,
        begun_with={"styles": painted.spec.styles}, **about,
    )  # fmt: skip


def some_of(views: list[View], most: int) -> list[View]:
    """A few of them, evenly."""
    return [views[index] for index in torch.linspace(0, len(views) - 1, min(most, len(views))).round().long().tolist()]


def check_memory(number: int, views: list[View]) -> None:
    """Says what large scenes take, and refuses what does not fit."""
    needed = BYTES_A_SPLAT * number + BYTES_A_PIXEL * sum(math.prod(view.shape) for view in views)
    free = psutil.virtual_memory().available
    told = f"{number:,} splats seen by {len(views)} cameras take {needed / 2**30:.1f} GB, and {free / 2**30:.1f} GB are free"
    if needed > free:
        raise ValueError(f"splats: {told}; use fewer views, a smaller size, or fewer splats.")
    if number > 1_000_000:
        say(f"{told}.")


def split_to_strokes(splats: Gaussians, views: list[View]) -> Gaussians:
    """No splat larger than a stroke, where a camera sees it."""
    most = STROKE * max(max(view.shape) for view in views) * nearest_pixel(splats.means, views)
    found = split_large(splats, most, GROWTH)
    if len(found) > len(splats):
        say(f"Splats that are larger than a stroke were split: {len(splats):,} became {len(found):,}.")
    return found

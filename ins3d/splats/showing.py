"""Splats that can be shown in any mix of their styles, whether a file, a painting or a finished run."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from ins3d.extension.ranges import check_ranges
from ins3d.files.videos import open_video
from ins3d.runs.record import make_folder, progress, say
from ins3d.splats.cameras import views_around, walk_through
from ins3d.splats.checkpoint import load_painted
from ins3d.splats.compositing import render
from ins3d.splats.converting import check_output, write_splats
from ins3d.splats.gaussians import Gaussians
from ins3d.splats.ply import read_ply
from ins3d.splats.settings import ExportSplats, RenderSplats
from ins3d.splats.views import View
from ins3d.style.mix import Mix, MixSettings, make_mix

NUM_VIEWS = 40
SIZE = 480
MOVING = (".mp4", ".gif")


@dataclass
class ShownSplats:
    """Splats, their styles, and from where to look."""

    names: tuple[str, ...]
    """Of the styles; none of splats that are not painted."""
    painted: Callable[[Float[Tensor, " styles"]], Gaussians]
    """Under a style code; without styles it is not looked at."""
    views: list[View]
    background: Float[Tensor, " 3"]
    mix: Mix | None = None
    """That they are shown in unless another is asked for."""
    in_dataset: Callable[[Gaussians], Gaussians] = lambda splats: splats
    """Into the coordinates of the dataset's cameras."""
    folder: Path = Path()
    """Where what is made of them is written, unless something else is said."""

    def mix_of(self, settings: MixSettings) -> Mix:
        """The one that is asked for, or else their own."""
        if not self.names:
            return Mix((1.0,), 0.0)
        if settings.mix or settings.at_stroke_size is not None or self.mix is None:
            return settings.mix_of(self.names)
        return make_mix(self.mix.weights, settings.strength, self.names, "mix", "strength")


def is_run(path: Path) -> bool:
    """Whether it is a config.yml, or a folder that holds one."""
    return path.suffix in (".yml", ".yaml") or (path / "config.yml").is_file()


def open_splats(path: Path, setting: str) -> ShownSplats:
    """A .ply of splats, or the output folder of `paint`. Raises FileNotFoundError or ValueError for another."""
    if path.is_dir():
        painted = load_painted(path, setting)
        return ShownSplats(painted.spec.styles, painted.painted, painted.spec.views(), torch.ones(3), folder=path)
    splats, notes = read_ply(path, setting)
    for note in notes:
        say(note)
    views = views_around(splats, NUM_VIEWS, SIZE)
    return ShownSplats((), lambda code: splats, views, torch.ones(3), folder=path.parent)


def export_shown(settings: ExportSplats, open_shown: Callable[[], ShownSplats]) -> None:
    """Writes them in one mix; what cannot be written is refused before they are opened."""
    check_ranges(settings)
    if settings.output is not None:
        check_output(settings.output)
    shown = open_shown()
    mix = shown.mix_of(settings)
    splats = shown.painted(mix.code())
    output = settings.output or shown.folder / "splats.ply"
    write_splats(output, shown.in_dataset(splats) if settings.frame == "dataset" else splats)
    what = mix.describe(shown.names) if shown.names else "without a style"
    say(f"{what}: {len(splats):,} splats, {output.stat().st_size / 1e6:.1f} MB in {output}")


def render_shown(settings: RenderSplats, open_shown: Callable[[], ShownSplats]) -> None:
    """Writes a film of them."""
    check_ranges(settings)
    if settings.output.suffix.lower() not in MOVING or settings.output.is_dir():
        raise ValueError(f"output: {settings.output} is no film; name a .mp4 or .gif.")
    shown = open_shown()
    make_folder(settings.output.parent)
    views = walk_through([view.reduced(settings.size) for view in shown.views], settings.frames)
    names = shown.names or ("content",)
    path = settings.path_of(names)
    with open_video(settings.output, settings.fps) as add, torch.inference_mode():
        before, splats = None, None
        for frame in progress(range(settings.frames), "rendering"):
            code = path.code(frame / max(settings.frames - 1, 1))
            if splats is None or before is None or not torch.equal(code, before):
                before, splats = code, shown.painted(code)
            add(render(views[frame], splats, shown.background).clamp(0, 1).permute(2, 0, 1))
    say(f"Wrote {settings.output}, {settings.frames} frames.")

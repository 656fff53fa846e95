"""Films of a finished run: a walk through all styles, a sweep of strength, all styles side by side; or its mix is saved."""

from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from nerfstudio.utils.eval_utils import eval_setup
from rich.progress import track

from ins3d.evaluation.settings import Flight, check_config
from ins3d.files.videos import open_video
from ins3d.plugin.finished.frames import evaluation_path
from ins3d.plugin.finished.style_videos import style_frames
from ins3d.plugin.pipeline import InsStylizePipeline
from ins3d.runs.record import CONSOLE
from ins3d.style.mix import FILE_NAME, Mix, MixSettings, make_mix, write_mix


@dataclass
class Film(MixSettings):
    """Which run, where the camera flies, how long."""

    load_config: Path = field(kw_only=True)
    """config.yml of a finished run."""
    output: Path | None = None
    """Folder of the videos; by default `styles` beside the config."""
    path: Flight = "auto"
    """`orbit` around the scene's middle, `spiral` before it, or through the places of the training `cameras`; `auto`: an
    orbit for an object before an empty background, a spiral otherwise."""
    frames: int = 60
    fps: int = 12
    scale: float = 1.0
    """Of the pictures' sides, against the training pictures'."""
    mix: tuple[float, ...] = ()
    """Weights of the styles in the sweep of strength, and of the mix that is saved; by default those saved before, or else
    the config's."""
    save_mix: bool = False
    """Save `--mix` and `--strength` next to the run, and render nothing."""


def run_film(settings: Film) -> None:
    """Renders three videos, with progress; or saves the mix. Raises FileNotFoundError or ValueError with the remedy."""
    _check(settings)
    _, loaded, _, _ = eval_setup(settings.load_config, test_mode="test")
    pipeline = cast(InsStylizePipeline, loaded)
    controls = pipeline.model.controls
    if settings.mix or settings.at_stroke_size is not None:
        mix = settings.mix_of(controls.names)
    else:
        assert controls.mix is not None
        mix = make_mix(controls.mix.weights, settings.strength, controls.names, "mix", "strength")
    if settings.save_mix:
        path = (pipeline.config.run_dir or settings.load_config.parent) / FILE_NAME
        write_mix(path, mix, controls.names)
        CONSOLE.print(f"Saved {mix.describe(controls.names)} to {path}", soft_wrap=True)
        return
    if not pipeline.model.has_style:
        raise ValueError(f"load-config: {settings.load_config} has no style yet; let that run go on (--load-dir).")
    _render(pipeline, settings, mix)


def _check(settings: Film) -> None:
    check_config(settings.load_config)
    if settings.frames < 2 or settings.fps < 1 or settings.scale <= 0:
        raise ValueError(
            f"frames, fps, scale: {settings.frames}, {settings.fps}, {settings.scale:g} make no video; use 2 or more "
            "frames, 1 or more a second, and a scale above 0."
        )


def _render(pipeline: Any, settings: Film, mix: Mix) -> None:
    output = settings.output or settings.load_config.parent / "styles"
    paths = [output / f"{name}.mp4" for name in ("morph", "strength", "grid")]
    cameras = evaluation_path("smooth", pipeline, settings.frames, settings.path).cameras
    cameras.rescale_output_resolution(settings.scale)
    with ExitStack() as stack:
        films = [stack.enter_context(open_video(path, settings.fps)) for path in paths]
        frames = style_frames(pipeline.model, cameras, mix)
        for frame in track(frames, "rendering three videos", total=len(cameras), console=CONSOLE):
            for add, picture in zip(films, (frame.morph, frame.strength, frame.grid), strict=True):
                add(picture)
    for path, what in zip(paths, ("all styles in turn", "strength up and down", "all styles side by side"), strict=True):
        CONSOLE.print(f"{what}: {path}", soft_wrap=True)

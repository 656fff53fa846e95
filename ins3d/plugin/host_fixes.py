"""What nerfstudio 1.1.5 trips over on an ordinary machine, put right when one of our runs is opened, and not before."""

import os
import shutil
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from nerfstudio.cameras import camera_paths
from nerfstudio.cameras.cameras import Cameras

from ins3d.plugin.data.refusals import speak_plainly


def mend_the_host() -> None:
    """Called by our pipeline before it reads anything: old checkpoints open, and videos need no ffmpeg of the system's.

    Runs of other methods find the host as it is. `ns-render` looks for ffmpeg after the pipeline is there.
    """
    speak_plainly()
    allow_numpy_scalars()
    try:
        offer_bundled_ffmpeg()
    except (OSError, RuntimeError):
        pass  # no place to put it: ns-render says itself that ffmpeg is missing, every other command must go on


def allow_numpy_scalars() -> None:
    """torch >= 2.6 refuses checkpoints whose schedulers left numpy scalars; these types are harmless, so they may pass."""
    import numpy

    scalar = numpy.core.multiarray.scalar  # type: ignore[attr-defined]
    torch.serialization.add_safe_globals([scalar, numpy.dtype, type(numpy.dtype("float64"))])


def offer_bundled_ffmpeg() -> None:
    """nerfstudio looks for a program called `ffmpeg` on PATH; imageio-ffmpeg brings one under another name."""
    if shutil.which("ffmpeg"):
        return
    folder = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "ins3d" / "bin"
    program = folder / ("ffmpeg.exe" if sys.platform == "win32" else "ffmpeg")
    if not program.exists():
        import imageio_ffmpeg

        folder.mkdir(parents=True, exist_ok=True)
        temporary = folder / f"{program.name}.{os.getpid()}"
        shutil.copy(imageio_ffmpeg.get_ffmpeg_exe(), temporary)
        os.replace(temporary, program)
    os.environ["PATH"] = os.pathsep.join(filter(None, [os.environ.get("PATH"), str(folder)]))


def mend_the_films(train_cameras: Callable[[], Cameras]) -> None:
    """Films of `ns-render` show what pictures show, and play: their size is that of the pictures (the host takes it from the
    principal point), with even sides (of odd ones it makes a kind of H.264 that browsers and QuickTime do not play).

    A flight between fewer than two held-out cameras goes through those of the training pictures.
    """
    render: Any = sys.modules.get("nerfstudio.scripts.render")
    if render is None:
        return  # another of the host's commands: it makes no films

    def between(cameras: Cameras, steps: int, order_poses: bool) -> Cameras:
        if len(cameras) < 2:
            cameras = train_cameras().to("cpu")
        return _sized(camera_paths.get_interpolated_camera_path(cameras, steps, order_poses), cameras)

    def around(camera: Cameras, *args: Any, **kwargs: Any) -> Cameras:
        return _sized(camera_paths.get_spiral_path(camera, *args, **kwargs), camera)

    render.get_interpolated_camera_path = between
    render.get_spiral_path = around
    if not isinstance(render._render_trajectory_video, partial):
        render._render_trajectory_video = partial(_even_film, render._render_trajectory_video)


def mend_the_viewer() -> None:
    """A pipeline whose class names a `viewer` of its own is shown in that; the host's commands know the host's alone."""
    for name in ("nerfstudio.engine.trainer", "nerfstudio.scripts.viewer.run_viewer"):
        command: Any = sys.modules.get(name)
        if command is not None and not isinstance(command.ViewerState, partial):
            command.ViewerState = partial(_viewer_of, command.ViewerState)


def _viewer_of(of_the_host: type, *args: Any, pipeline: Any, **kwargs: Any) -> Any:
    return getattr(pipeline, "viewer", of_the_host)(*args, pipeline=pipeline, **kwargs)


def _sized(path: Cameras, cameras: Cameras) -> Cameras:
    """The cameras of a path for pictures as those of the first of `cameras`."""
    for name in ("width", "height"):
        setattr(path, name, torch.full_like(getattr(path, name), int(getattr(cameras, name).flatten()[0])))
    return path


def _even_film(film: Callable[..., None], pipeline: Any, cameras: Cameras, *args: Any, **kwargs: Any) -> None:
    """Calls the host's with cameras of the size that is rendered; of films an odd row or column is cut off."""
    cameras.rescale_output_resolution(kwargs.pop("rendered_resolution_scaling_factor", 1.0))
    if kwargs.get("output_format", "video") == "video":
        for name in ("width", "height"):
            setattr(cameras, name, (getattr(cameras, name) // 2 * 2).clamp(min=2))
    film(pipeline, cameras, *args, **kwargs)

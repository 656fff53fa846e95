"""What nerfstudio 1.1.5 trips over on an ordinary machine, put right when one of our runs is opened, and not before."""

import os
import shutil
import sys
from pathlib import Path


def mend_the_host() -> None:
    """Called by our pipeline before it reads anything: old checkpoints open, and videos need no ffmpeg of the system's.

    Runs of other methods find the host as it is. `ns-render` looks for ffmpeg after the pipeline is there.
    """
    allow_numpy_scalars()
    try:
        offer_bundled_ffmpeg()
    except (OSError, RuntimeError):
        pass  # no place to put it: ns-render says itself that ffmpeg is missing, every other command must go on


def allow_numpy_scalars() -> None:
    """torch >= 2.6 refuses checkpoints whose schedulers left numpy scalars; these types are harmless, so they may pass."""
    import numpy
    import torch

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

"""Other formats than .ply are written by a program of their own, where it is installed."""

import shutil
import subprocess
import tempfile
from pathlib import Path

from ins3d.files.whole import written_whole
from ins3d.splats.gaussians import Gaussians
from ins3d.splats.ply import write_ply

PROGRAM = "splat-transform"
CONVERTED = (".compressed.ply", ".spz", ".sog", ".html")


def check_output(path: Path) -> None:
    """Refuses a file that could not be written, before anything is computed."""
    ending = ending_of(path)
    if ending not in (".ply", *CONVERTED):
        raise ValueError(f"output: {path.name} is none of .ply, {', '.join(CONVERTED)}; name a .ply.")
    if ending != ".ply" and shutil.which(PROGRAM) is None:
        raise ValueError(
            f"output: {ending} is written by {PROGRAM}, which is not installed (npm install -g @playcanvas/{PROGRAM}); "
            "name a .ply, or install it."
        )
    if path.is_dir():
        raise ValueError(f"output: {path} is a folder; name a file.")


def ending_of(path: Path) -> str:
    """In small letters, of a compressed .ply both parts.

    >>> ending_of(Path("fox.compressed.PLY")), ending_of(Path("fox.v2.ply"))
    ('.compressed.ply', '.ply')
    """
    name = path.name.lower()
    return next((ending for ending in CONVERTED if name.endswith(ending)), path.suffix.lower())


def write_splats(path: Path, splats: Gaussians) -> None:
    """Writes the file, whole or not at all. Raises ValueError with the converter's last words where it fails."""
    if ending_of(path) == ".ply":
        write_ply(path, splats)
        return
    with tempfile.TemporaryDirectory() as folder:
        plain, made = Path(folder) / "splats.ply", Path(folder) / f"made{ending_of(path)}"
        write_ply(plain, splats)
        done = subprocess.run([PROGRAM, "-g", "cpu", str(plain), str(made)], capture_output=True, text=True)
        if done.returncode or not made.is_file():
            words = (done.stderr or done.stdout).strip().splitlines()
            raise ValueError(f"output: {PROGRAM} could not write {path.name}: {words[-1] if words else 'it said nothing'}")
        with written_whole(path) as aside:
            shutil.copyfile(made, aside)

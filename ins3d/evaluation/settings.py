"""Settings of `ins3d evaluate` and `ins3d evaluate compare`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tyro.conf import Positional

from ins3d.evaluation.consistency import Protocol
from ins3d.evaluation.frames import PathName
from ins3d.perception.lpips import LpipsNet
from ins3d.perception.weights import Encoder

Flight = Literal["auto", "orbit", "spiral", "cameras"]


@dataclass
class Evaluate:
    """Evaluates a finished run of ins-stylize: consistency, style, content, geometry, cost; numbers and a page."""

    load_config: Path
    """config.yml of a finished run."""
    output: Path | None = None
    """Folder to write into; by default `evaluation` beside the config. What is there already is not made again."""
    frames: int = 20
    """Of the path through neighbouring photographs, and of the smooth one."""
    held_out: int = 5
    """Most held-out pictures on which style, content and blur are judged."""
    flight: Flight = "auto"
    """The smooth path: an `orbit`, a `spiral`, or through the `cameras`; auto: an orbit around an object, else a spiral."""
    paths: tuple[PathName, ...] = ("views", "smooth")
    """Where consistency is measured: `views`, with photographs as the floor, and `smooth`."""
    protocols: tuple[Protocol, ...] = ("G", "A", "B")
    """How: G by geometry, A and B by optical flow (docs/evaluation.md)."""
    gaps: tuple[int, ...] = (1, 7, 10)
    """Frames between the two of a pair."""
    pairs: int = 8
    """Most pairs of each gap."""
    judge: Encoder | None = None
    """Who judges style and content, whoever trained it. Not given: VGG-19 where its weights are at hand, else compact."""
    judge_weights: Path | None = None
    """A file of VGG weights, .pth or .safetensors."""
    other_styles: tuple[Path, ...] = ()
    """More pictures, or a folder of them, that must not be nearer than the style itself."""
    per_frame: bool = True
    """Paint the same frames one by one with a 2D network (MicroAST) for comparison."""
    per_frame_weights: Path | None = None
    """Folder of MicroAST's four files; INS3D_PER_FRAME_WEIGHTS names it too."""
    flow_weights: Path | None = None
    """File of RAFT-small; torchvision's is downloaded when not given. INS3D_FLOW_WEIGHTS names it too."""
    lpips_net: LpipsNet = "squeeze"
    """Which LPIPS; numbers of different ones do not compare. Published ones are alex (A, B) and vgg (D)."""
    lpips_backbone: Path | None = None
    """File of its backbone; torchvision's is downloaded when not given. INS3D_LPIPS_BACKBONE names it too."""


@dataclass
class Compare:
    """Puts finished evaluations beside each other: one table, one page."""

    runs: Positional[tuple[Path, ...]]
    """Folders of runs, or of their evaluations."""
    output: Path = Path("outputs/comparison")
    """Folder to write into."""


def check_config(path: Path) -> None:
    """Refuses a `load-config` that is not there."""
    if not path.is_file():
        raise FileNotFoundError(f"load-config: {path} does not exist; give the config.yml of a finished run.")


def check_evaluate(settings: Evaluate) -> None:
    """Refuses what cannot be measured, before anything is rendered."""
    check_config(settings.load_config)
    for name, least in (("frames", 2), ("held_out", 1), ("pairs", 1)):
        if getattr(settings, name) < least:
            raise ValueError(f"{name.replace('_', '-')}: {getattr(settings, name)} is too little; use {least} or more.")
    far = [gap for gap in settings.gaps if not 1 <= gap < settings.frames]
    if far or not settings.gaps:
        what = far[0] if far else "none"
        raise ValueError(f"gaps: {what}; give one or more whole numbers from 1 to {settings.frames - 1}, or more frames.")

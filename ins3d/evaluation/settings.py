"""Settings of `ins3d evaluate`, `ins3d evaluate compare` and `ins3d evaluate frames`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tyro.conf import Positional

from ins3d.evaluation.consistency import Protocol
from ins3d.evaluation.flow_warp import Valid
from ins3d.evaluation.frames import PathName
from ins3d.evaluation.posed_depth import DepthKind
from ins3d.perception.lpips import LpipsNet
from ins3d.perception.weights import Encoder

PerFrame = Literal["adain", "wct", "sanet", "mccnet", "microast"]
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
    per_frame: tuple[PerFrame, ...] = ("adain",)
    """2D networks that paint the same frames one by one, for comparison; how steady a run is is said beside the first. All
    but `microast` ship with ins3d. Nothing: none."""
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


@dataclass
class EvaluateFrames:
    """Judges frames of any program: do they hold still, are they the painting's, what is left of the content?"""

    stylised: Positional[Path]
    """Folder of the stylised frames (png, jpg), in the order of their names' numbers, or a video."""
    content: Path
    """The same frames without a style, renders or photographs: their own error is the floor, and optical flow is theirs."""
    style: str | None = None
    """The painting. Not given: brushwork is not judged."""
    cameras: Path | None = None
    """transforms.json of the frames, matched by their files' names: with `depth`, protocol G."""
    depth: Path | None = None
    """Folder of depth maps of the frames' names: .npy, .npy.gz (ns-render's raw-depth), 16-bit .png, .exr, .tif."""
    depth_kind: DepthKind = "ray"
    """Distance along the pixel's `ray`, as nerfstudio's fields render it; `z`, along the camera's axis: splats, Blender."""
    depth_scale: float | None = None
    """Times this, depth maps are in the cameras' units. By default 1, and .001 (millimetres) for 16-bit pictures."""
    output: Path = Path("outputs/frames")
    """Folder to write frames.json and frames.html into."""
    protocols: tuple[Protocol, ...] = ("G", "A", "B")
    """How consistency is measured: G by geometry, A and B by optical flow (docs/evaluation.md)."""
    valid: Valid = "consistent"
    """Which pixels count by protocol A: where flows agree, or all that are `splatted` on, as its author counts."""
    gaps: tuple[int, ...] = (1, 7, 10)
    """Frames between the two of a pair."""
    pairs: int = 8
    """Most pairs of each gap."""
    long_side: int = 640
    """Consistency is measured on frames reduced to this many pixels. Protocol B is published at 1024: slow on a CPU."""
    judged: int = 5
    """Most frames on which brushwork is judged, at 256 pixels and at their own size."""
    flow_weights: Path | None = None
    """File of RAFT-small; torchvision's is downloaded when not given. INS3D_FLOW_WEIGHTS names it too."""
    lpips_net: LpipsNet = "squeeze"
    """Which LPIPS; numbers of different ones do not compare. Published ones are alex (A, B) and vgg (D)."""
    lpips_backbone: Path | None = None
    """File of its backbone; torchvision's is downloaded when not given. INS3D_LPIPS_BACKBONE names it too."""


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


def check_frames(settings: EvaluateFrames) -> None:
    """Refuses what cannot be measured, before a frame is read."""
    for name, least in (("pairs", 1), ("judged", 1), ("long_side", 128)):
        if getattr(settings, name) < least:
            raise ValueError(f"{name.replace('_', '-')}: {getattr(settings, name)} is too little; use {least} or more.")
    wrong = [gap for gap in settings.gaps if gap < 1]
    if wrong or not settings.gaps:
        raise ValueError(f"gaps: {wrong[0] if wrong else 'none'}; give one or more whole numbers from 1.")
    if (settings.cameras is None) != (settings.depth is None):
        given, lacking = ("cameras", "depth") if settings.depth is None else ("depth", "cameras")
        raise ValueError(f"{lacking}: protocol G needs it beside {given}; give both, or none of them.")
    if settings.depth_scale is not None and not settings.depth_scale > 0:
        raise ValueError(f"depth-scale: {settings.depth_scale} is none; give a number above 0.")

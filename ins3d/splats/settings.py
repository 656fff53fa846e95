"""Settings of `ins3d splats`."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from tyro.conf import Positional

from ins3d.extension.ranges import ranged
from ins3d.runs.settings import Painted
from ins3d.style.mix import MixFilmSettings, MixSettings
from ins3d.style.windows import PatchSettings

Frame = Literal["dataset", "nerfstudio"]


@dataclass
class ExportSplats(MixSettings):
    """A finished run of ns-train becomes Gaussian splats, in the colours of any mix of its styles. What `paint` has painted
    is written in another mix."""

    load_config: Path = field(kw_only=True)
    """config.yml of a finished run, or the output folder of `paint`."""
    output: Path | None = None
    """File to write; by default `splats.ply` beside it. A .ply as 3DGS writes it, or, where `splat-transform` (npm)
    is installed, .compressed.ply, .spz, .sog or .html."""
    max_splats: int = ranged(500_000, min=10)
    """Where there would be more, those that show most are kept."""
    size: int | None = ranged(None, min=16)
    """Long side, in pixels, of the pictures that splats are fitted to: larger ones take longer, and make more and finer
    splats. By default the training pictures', or what a CPU has a minute for."""
    steps: int = ranged(250, min=0)
    """Of fitting them to the field's pictures."""
    degree: Literal[0, 1] = 0
    """Of the colours' spherical harmonics: 1 keeps some of how the content changes with the view; the file grows by half."""
    frame: Frame = "dataset"
    """Whose coordinates: those of the `dataset`'s cameras, or those into which nerfstudio turns and scales them."""


@dataclass
class SplatPatches(PatchSettings):
    """What a step judges."""

    usual_size = 192
    rule: str = "frames"
    """Which rule lays the windows: all of a picture at the stride at which it fits, and squares at the finer ones."""


@dataclass
class PaintSplats(Painted):
    """Paints a scene of splats, whoever made it; they stay where they are, and get colours."""

    splats: Path = field(kw_only=True)
    """A .ply as 3DGS, splatfacto, Postshot and others write it."""
    cameras: Path | None = None
    """transforms.json, or a folder of COLMAP's, of the pictures that the splats were made from. Not given: views all around
    what is densest."""
    output: Path = Path("outputs/splats")
    """Folder to write into; what an earlier run left there is replaced, unless it is resumed."""
    size: int = ranged(480, min=64)
    """Long side in pixels of the pictures in which strokes are learned; they are a share of it (`stroke-size`)."""
    views: int = ranged(40, min=1)
    """Cameras, at most; of more that are given every so many."""
    steps: int | None = ranged(None, min=1, may_change=True)  # type: ignore[assignment]
    """Of one style; every further style adds 45 % of them. By default as many as scenes of this size get."""
    style_loss: tuple[str, ...] = ("gram_bold", "nnfm:0.3", "coherence:2")
    """As for scenes: gram, gram_bold, gram_chw, gram_hw, statistics, nnfm, swd, remd, coherence; several with weights."""
    content_weight: float = 0.2
    """More keeps more of the content; 1 is the difference between two places of it."""
    content_layers: tuple[str, ...] = ("relu3_1",)
    """Layers whose features carry the content."""
    patches: PatchSettings = field(default_factory=SplatPatches)
    """What a step judges."""


@dataclass
class RenderSplats(MixFilmSettings):
    """Renders splats: a film (.mp4, .gif) through the cameras that they were painted from, or around what is densest."""

    load: Path = field(kw_only=True)
    """A .ply of splats, the output folder of `paint`, or config.yml of a finished run."""
    output: Path = Path("outputs/splats.mp4")
    """A film to write."""
    size: int = ranged(480, min=16)
    """Long side of a picture in pixels."""
    frames: int = ranged(72, min=1)
    """Of the film."""
    fps: int = ranged(24, min=1)
    """Frames a second."""


@dataclass
class ViewSplats(MixSettings):
    """Shows splats in a browser, which draws them; sliders mix the styles, where there are any."""

    load: Positional[Path] = field(kw_only=True)
    """A .ply of splats, the output folder of `paint`, or config.yml of a finished run."""
    port: int = ranged(7007, min=1)
    """Of the page."""

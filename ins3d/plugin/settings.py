"""What can be set about the content, the style on top of it, and what pulls at both."""

from dataclasses import dataclass, field
from typing import Literal

from nerfstudio.models.base_model import ModelConfig
from tyro.conf import Suppress

from ins3d.extension.ranges import ranged
from ins3d.plugin.contents.content import ContentChoice
from ins3d.plugin.ray_content import GridSettings
from ins3d.plugin.style_field import HashStyle, StyleFieldChoice
from ins3d.style.mix import MixSettings
from ins3d.style.sampling import BLENDED, PARTIAL
from ins3d.style.settings import StyleSettings

Geometry = Literal["locked", "distilled", "free"]


@dataclass
class ModelSettings(StyleSettings, MixSettings, ModelConfig):
    """The content, the style on top of it, and what pulls at both. The mix is what is rendered; one that was saved in the
    viewer takes precedence."""

    enable_collider: bool = False
    eval_num_rays_per_chunk: int = 8192
    geometry: Geometry = ranged("locked", rendered=True)
    """`locked`: densities stay those of the content, to the last bit. `distilled`: the style may move them, held back
    by the frozen content (INS). `free`: nothing holds them back, for the ablation."""
    shading: Literal["deferred", "full"] = ranged("deferred", rendered=True)
    """`deferred`: style is computed at a few merged points of each ray. `full`: at every sample; several times slower."""
    num_points: tuple[int, int] = ranged((2, 4), min=1, max=4, rendered=True)
    """Merged points per ray of deferred shading: while the style is learned, where more cost time and gain little; and in
    pictures, where with more of them strokes jump less between views."""
    footprint_mult: float = ranged(0.6, min=0, rendered=True)
    """How strongly strokes finer than a pixel fade out: the standard deviation, in pixels, over which they are averaged
    (mip-NeRF's integrated encoding); 0 leaves them, and they shimmer when the camera moves."""
    spread_mult: Suppress[float] = ranged(0.3, min=0, rendered=True)
    """Scale on the samples' depth standard deviation that low-passes SIM's planes; 0 disables."""
    content: ContentChoice = field(default_factory=GridSettings)
    """What is painted (CIM), and its settings: `planes:num_samples=32,resolutions=64/128`. `planes`: pure torch, minutes on
    a CPU. `hash`: nerfacto's hash grid, with tinycudann when it is there. `frequency`: the paper's 8x256 network, for
    faithful runs; slow. A key that is none is answered with those there are; other packages bring other contents."""
    style_field: StyleFieldChoice = field(default_factory=HashStyle, metadata={"rendered": True})
    """SIM and AM, and their settings: `hash:width=64`, `planes`, or `frequency`, the paper's sines and cosines."""
    style_loss: tuple[str, ...] = ("gram_bold", "nnfm:0.3", "coherence:2")
    """gram, gram_bold (coarse layers count more), gram_chw (INS), gram_hw (Gatys), statistics (AdaIN), nnfm (ARF), swd
    (sliced Wasserstein), remd (STROTSS), coherence (strokes have a direction), or what another package registers; each with
    a weight, if it is not 1."""
    stroke_sizes: tuple[float, ...] = ()
    """Every style is learned at each of these stroke sizes, and shown at any between them (`at-stroke-size`, a slider in the
    viewer); empty: at one."""
    content_weight: float = 0.2
    """More keeps more of the content; 1 is the difference between two places of it."""
    content_layers: tuple[str, ...] = ("relu3_1",)
    """Layers whose features carry the content."""
    geometry_weight: float = ranged(0.1, min=0)
    """Weight of the distance between student and teacher density (`distilled` only)."""
    interlevel_loss_mult: float = ranged(1.0, min=0)
    """Weight, in the content stage, of what teaches the proposal networks (mip-NeRF 360)."""
    distortion_loss_mult: float = ranged(0.01, min=0)
    """Pulls each ray's weight together; the style's strokes are as sharp as the depth is."""
    near: float | None = ranged(None, min=1e-6)
    """Nearest depth of anything, in the dataparser's units; measured when not given. So are the next three."""
    far: float | None = None
    center: tuple[float, float, float] | None = None
    radius: float | None = ranged(None, min=1e-6)
    # What only presets set.
    view_dropout: Suppress[float] = 0.1
    """Share of the content stage's rays that are shown no view direction, so that the colour without one is known."""
    partial_share: Suppress[float] = ranged(PARTIAL, min=0, max=1)
    """Share of the style stage's steps that train a random strength below 1."""
    blend_share: Suppress[float] = ranged(BLENDED, min=0, max=1)
    """Share of the style stage's steps that train a random blend of two styles, where there are two."""
    normalise_losses: Suppress[bool] = True
    """Each loss is divided by its value at the start; False: raw, as in the INS release."""
    squash_patches: Suppress[bool] = False
    """Patches and style are resized to 224x224 by nearest neighbour, as in the INS release."""
    over_style_mean: Suppress[bool] = True
    """Objects are judged before the style's mean colour; False: before the background."""


def check_model(settings: ModelSettings, prefix: str) -> None:
    """Raises ValueError for settings that exclude each other; `prefix` is what options begin with."""
    if settings.geometry == "free" and settings.shading == "deferred":
        raise ValueError(
            f"{prefix}geometry: free geometry has no samples that can be merged beforehand; add --{prefix}shading full."
        )
    if settings.near is not None and settings.far is not None and settings.far <= settings.near:
        raise ValueError(
            f"{prefix}near/far: {settings.near} and {settings.far} are no stretch of depths; use 0 < near < far."
        )

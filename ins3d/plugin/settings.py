"""What can be set about the content field, the style on top of it, and what pulls at both."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from nerfstudio.models.base_model import ModelConfig

from ins3d.perception.features import Pooling
from ins3d.perception.weights import Encoder
from ins3d.plugin.content import ContentChoice
from ins3d.plugin.ray_content import PlanesSettings
from ins3d.style.colors import Colors
from ins3d.style.objective import LossScale
from ins3d.style.pictures import DEFAULT_STYLE

Geometry = Literal["locked", "distilled", "free"]


@dataclass
class ModelSettings(ModelConfig):
    """The content field, the style on top of it, and what pulls at both."""

    enable_collider: bool = False
    eval_num_rays_per_chunk: int = 8192
    styles: tuple[Path, ...] = (DEFAULT_STYLE,)
    """Pictures to take the style from, or a folder of them; the default is one that ships with ins3d."""
    style_mix: tuple[float, ...] = ()
    """What is rendered: a weight for each style, of which only the ratios count; empty: the first style alone. A mix that
    was saved in the viewer takes precedence."""
    style_strength: float = 1.0
    """How strongly: 0 is the content, 1 the full style."""
    strength_share: float = 0.2
    """Share of the style stage's steps that train a random strength below 1."""
    mix_share: float = 0.2
    """Share of the style stage's steps that train a random blend of two styles, where there are two."""
    geometry: Geometry = "locked"
    """`locked`: densities stay those of the content, to the last bit. `distilled`: the style may move them, held back
    by the frozen content (INS). `free`: nothing holds them back, for the ablation."""
    shading: Literal["deferred", "full"] = "deferred"
    """`deferred`: style is computed at a few merged points of each ray. `full`: at every sample; several times slower."""
    num_surface_points: int = 4
    """Merged points per ray of deferred shading, 1 to 4, in pictures; the more, the less strokes jump between views."""
    num_training_points: int = 2
    """The same while the style is learned, where more cost time and gain little."""
    num_render_samples: int | None = None
    """Samples of the content along a ray in pictures; not given: as many as it was trained with. 48 make strokes calmer
    where depth is soft, at twice the time or more."""
    spread_mult: float = 0.3
    """How strongly strokes finer than the depth is sure fade out; 0 leaves them, and speckle where depth is noisy."""
    footprint_mult: float = 0.6
    """How strongly strokes finer than a pixel fade out: the deviation, in pixels, over which they are averaged (mip-NeRF's
    integrated encoding); 0 leaves them, and they shimmer when the camera moves."""
    zero_view_direction: bool = True
    """The style's change of colour does not depend on where one looks from (INS, `zero_viewdir`)."""
    content: ContentChoice = field(default_factory=PlanesSettings)
    """What is painted (CIM), and its settings: `planes:num_samples=32,resolutions=64/128`. `planes`: pure torch, minutes on
    a CPU. `hash`: nerfacto's hash grid, with tinycudann when it is there. `frequency`: the paper's 8x256 network, for
    faithful runs; slow. A key that is none is answered with those there are; other packages bring other contents."""
    style_encoding: Literal["planes", "frequency"] = "planes"
    """Where SIM reads positions from: feature planes of its own, or the paper's sines and cosines."""
    style_plane_resolutions: tuple[int, ...] = (96, 192, 384)
    """Cells along a side of the style's feature planes."""
    style_plane_channels: int = 8
    """Features in each of the style's planes."""
    style_width: int = 64
    """Width of SIM and AM (the paper: 256)."""
    gate_init: tuple[float, float] = (1.0, 0.9)
    """Where the density and the colour gate start; at 1 nothing but the gates has a gradient (as in the release)."""
    perceptual_encoder: Encoder = "auto"
    """Which network looks at pictures. `auto`: VGG-19 where its weights are at hand or, on a GPU, can be downloaded; else
    the compact encoder that ships with ins3d. A file that is named says itself what it is."""
    perceptual_weights: Path | None = None
    """VGG weights (.pth or .safetensors with torchvision's names). Without it: INS3D_PERCEPTUAL_WEIGHTS, torch's cache,
    torchvision's download."""
    perceptual_pooling: Pooling = "max"
    """`max`, as VGG was trained; `average`, as Gatys et al. prefer."""
    style_loss: tuple[str, ...] = ("gram",)
    """gram, gram_chw (INS), gram_hw, gram_raw (Gatys), statistics (AdaIN), nnfm (ARF), swd (sliced Wasserstein); several
    with weights: gram nnfm:0.3."""
    style_layers: tuple[str, ...] = ()
    """Layers that carry the style; empty: each loss its own."""
    style_scales: tuple[int, ...] = (1,)
    """Patches and style are compared at full size and shrunk by these; `1 2 4` with `gram statistics` is SGSST's SOS."""
    content_layers: tuple[str, ...] = ("relu2_2",)
    """Layers whose features carry the content."""
    style_picture_size: int = 256
    """Long side, in pixels, at which the style picture is looked at; smaller gives finer strokes."""
    colors: Colors = "style"
    """`style`: the scene gets the style's mean and covariance of colour, before and after (ARF). `content`: the scene keeps
    its colours, strokes change brightness alone. `none`: the losses decide."""
    loss_scale: LossScale = "measured"
    """`measured`: each loss is divided by its value at the start, so that weights mean the same for every encoder, scene and
    size. `release`: the raw losses of the INS release."""
    style_loss_mult: float = 1.0
    content_loss_mult: float = 0.15
    """1 is the difference between two places of the scene."""
    tv_loss_mult: float = 0.0
    """Weight of the patches' total variation; 1 is that of the photographs."""
    geometry_loss_mult: float = 0.1
    """Weight of the distance between student and teacher density (`distilled` only)."""
    rgb_loss_mult: float = 1.0
    """Weight of the photometric loss of the content stage."""
    interlevel_loss_mult: float = 1.0
    distortion_loss_mult: float = 0.01
    """Pulls each ray's weight together; the style's strokes are as sharp as the depth is."""
    view_dropout: float = 0.1
    """Share of the content stage's rays that are shown no view direction, so that the colour without one is known."""
    near: float | None = None
    """Nearest depth of anything, in the dataparser's units; measured when not given. So are the next three."""
    far: float | None = None
    center: tuple[float, float, float] | None = None
    radius: float | None = None

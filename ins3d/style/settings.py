"""How styles are read and judged: one vocabulary for scenes, pictures and objects, and what is built from it."""

from dataclasses import dataclass
from pathlib import Path

import torch

from ins3d.extension.ranges import ranged
from ins3d.perception.color_transfer import ColorStatistics
from ins3d.perception.features import Pooling
from ins3d.perception.weights import Encoder, load_encoder
from ins3d.style.colors import Colors
from ins3d.style.losses import loss_weights, parse_style_losses
from ins3d.style.objective import StyleObjective
from ins3d.style.styles import DEFAULT_STYLE, find_styles
from ins3d.style.targets import StyleView, style_target

STROKE_SHARE = 0.8
"""Long side at which a style picture is looked at, as a share of the painted picture's, at a stroke size of 1."""
SMALLEST_STYLE = 64
"""Pixels of it, however small pictures and strokes are."""


@dataclass
class JudgeSettings:
    """Which pictures are the style, and how they are looked at."""

    styles: tuple[str, ...] = (DEFAULT_STYLE,)
    """Style pictures, or a folder of them; the default is one that ships with ins3d. `a.jpg+b.jpg`: two pictures that are
    one style; `a.jpg@0,0,.5,1`: a part (left, top, right, bottom); `a.jpg@mask.png`: what a mask leaves."""
    stroke_size: float = ranged(1.0, min=0.2, max=5)
    """How large strokes are beside the picture, whatever its size in pixels: 2 paints twice as broadly, .5 as finely."""
    style_size: int | None = ranged(None, min=16)
    """Long side, in pixels, at which style pictures are looked at. By default it follows from `stroke-size`: 80 % of the
    painted pictures' long side, times that."""
    style_loss: tuple[str, ...] = ("gram",)
    """gram, gram_bold (coarse layers count more), gram_chw (INS), gram_hw (Gatys), statistics (AdaIN), nnfm (ARF), swd
    (sliced Wasserstein), remd (STROTSS), coherence (strokes have a direction), or what another package registers; several
    with weights: gram nnfm:0.3."""
    style_layers: tuple[str, ...] = ()
    """Layers that carry the style; empty: each loss its own."""
    style_scales: tuple[int, ...] = ranged((1,), min=1)
    """Pictures and style are compared at full size and shrunk by these; `1 2 4` with `gram statistics` is SGSST's SOS."""
    tv_weight: float = ranged(0.0, min=0)
    """Weight of total variation, against noise; 1 is that of the photographs."""
    perceptual_encoder: Encoder = "auto"
    """Which network looks at pictures. `auto`: VGG-19 where its weights are at hand or, on a GPU, can be downloaded; else
    the compact encoder that ships with ins3d. A file that is named says itself what it is."""
    perceptual_weights: Path | None = None
    """VGG weights (.pth or .safetensors with torchvision's names). Without it: INS3D_PERCEPTUAL_WEIGHTS, torch's cache,
    torchvision's download."""
    perceptual_pooling: Pooling | None = None
    """`max`, as VGG was trained; `average`, smoother (Gatys et al.). By default average for VGG, max for compact."""


@dataclass
class StyleSettings(JudgeSettings):
    """And what of the content is kept."""

    content_weight: float = ranged(0.3, min=0)
    """More keeps more of the content; 1 is the difference between two places of it."""
    content_layers: tuple[str, ...] = ("relu4_1",)
    """Layers whose features carry the content."""
    colors: Colors = ranged("style", rendered=True)
    """`style`: the style's mean and covariance of colour, before and after (ARF). `content`: colours stay, strokes change
    brightness alone. `none`: the losses decide."""


def style_side(settings: JudgeSettings, picture_side: int) -> int:
    """Long side, in pixels, at which style pictures are looked at when those that are painted have `picture_side`.

    >>> style_side(JudgeSettings(), 480), style_side(JudgeSettings(stroke_size=0.5), 480)
    (384, 192)
    """
    return settings.style_size or max(round(STROKE_SHARE * settings.stroke_size * picture_side), SMALLEST_STYLE)


def style_view(
    settings: JudgeSettings, picture_side: int, square: bool = False, usual_layers: tuple[str, ...] = ()
) -> StyleView:
    """How the settings say that style pictures are looked at; `picture_side`: long side in pixels of what is painted."""
    return StyleView(
        losses=tuple(parse_style_losses(settings.style_loss)),
        layers=settings.style_layers or usual_layers,
        scales=settings.style_scales,
        long_side=style_side(settings, picture_side),
        square=square,
    )


def build_objective(
    settings: StyleSettings,
    device: torch.device,
    scene: ColorStatistics | None,
    picture_side: int,
    prefix: str = "",
    square: bool = False,
) -> StyleObjective:
    """Finds the encoder's weights, reads the style pictures, and keeps what the encoder sees in them.

    `picture_side`: long side, in pixels, of the pictures that are painted. `scene`: the content's colours, which `colors
    content` gives the style pictures; may be None otherwise. `prefix` is what options begin with in errors, such as
    `pipeline.model.`; `square` squashes pictures to 224x224 as the INS release does.
    """
    view = style_view(settings, picture_side, square)
    weights = loss_weights(settings.style_loss, settings.content_weight, settings.tv_weight)
    styles = find_styles(settings.styles, f"{prefix}styles")
    layers = tuple(dict.fromkeys([*view.all_layers, *settings.content_layers]))
    features = load_encoder(
        settings.perceptual_weights, settings.perceptual_encoder, layers, device, settings.perceptual_pooling
    )
    recolored_to = scene if settings.colors == "content" else None
    targets = [style_target(style, features, view, device, recolored_to, prefix) for style in styles]
    return StyleObjective(features, targets, view, settings.content_layers, weights)

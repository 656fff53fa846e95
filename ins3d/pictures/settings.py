"""What the subcommands of `ins3d picture` are told."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from ins3d.extension.ranges import ranged
from ins3d.perception.weights import Encoder
from ins3d.pictures.pixel_objective import Optimizer, PixelSettings
from ins3d.pictures.rendering import Direction
from ins3d.pictures.stylized import BlendNetwork
from ins3d.runs.settings import OnDevice, Output, Painted, Trained
from ins3d.style.colors import Colors
from ins3d.style.mix import MixFilmSettings, MixSettings
from ins3d.style.settings import JudgeSettings, StyleSettings
from ins3d.style.styles import DEFAULT_STYLE
from ins3d.style.windows import PatchSettings
from ins3d.transfer.methods import Method
from ins3d.transfer.style_net import Norm

DEFAULT_CONTENT = Path(__file__).with_name("default_photo.jpg")
"""A picture of the scene that ships with the project."""
SMALLEST_COARSE = 48
"""Long side below which a coarse picture tells nothing, at scale 1."""


@dataclass
class Pixels(JudgeSettings, Output):
    """What optimising pixels is told."""

    size: int = ranged(256, min=16)
    """Long side in pixels of the result."""
    steps: int = ranged(300, min=1)
    """Evaluations in total, each forward and backward; half of them at half the size."""
    optimizer: Optimizer = "lbfgs"
    """lbfgs gets further in as many steps; adam bears losses that are not smooth."""

    def pixel_settings(self, **more: Any) -> PixelSettings:
        """The same settings for `gatys` and `texture`, which know no files; `more` of them on top."""
        least = SMALLEST_COARSE * max(self.style_scales, default=1)
        coarse = (self.size // 2,) if self.size >= 2 * least and self.steps > 1 else ()
        alike = {name: value for name, value in vars(self).items() if name in PixelSettings.__dataclass_fields__}
        return PixelSettings(long_sides=(*coarse, self.size), **alike | more)


@dataclass
class Gatys(StyleSettings, Pixels):
    """Paints a picture like another by optimising its pixels (Gatys et al., 2016)."""

    output: Path = Path("outputs/gatys")
    """Folder to write into; what an earlier run left there is replaced."""
    content: Path = DEFAULT_CONTENT
    """The picture to paint."""
    content_weight: float = 1.0
    """More keeps more of the content; 1 is the difference between it and the style picture."""


@dataclass
class Texture(Pixels):
    """Makes another piece of the style picture out of noise (Gatys et al., 2015)."""

    output: Path = Path("outputs/texture")
    """Folder to write into; what an earlier run left there is replaced."""
    height: int | None = ranged(None, min=1)
    """Of the result, in pixels; the source's when not given."""
    width: int | None = ranged(None, min=1)
    style_scales: tuple[int, ...] = (1, 2)
    """How much pictures are shrunk before they are compared: 2 sees structures twice as large."""


@dataclass
class Fit(Trained):
    """Fits a picture with a network: colour as a function of place (stage 1 of INS)."""

    output: Path = Path("outputs/fit")
    """Folder to write into; what an earlier run left there is replaced, unless it is resumed."""
    content: Path = DEFAULT_CONTENT
    """The picture to fit."""
    size: int | None = ranged(None, min=16)
    """Long side in pixels at which the picture is learned, and written. By default it is learned at its own size, at most
    768, and written at its own, at most 2048."""
    network: str = "planes"
    """planes: feature planes and a small network, fastest. siren: the paper's sine layers. fourier: random Fourier
    features. Other packages register theirs as `ins3d.picture_networks`."""
    steps: int | None = None  # type: ignore[assignment]
    """planes 500, siren 1500, fourier 1500 when not given."""


@dataclass
class PicturePatchSettings(PatchSettings):
    """The same in pictures that are painted coarse to fine: strides are those of the finest size."""

    size: int | None = ranged(None, min=0)
    """Pixels along one side of the square patches that are judged; 0: all of the picture, whatever its size. By default all
    of it where it has no more than 120,000 pixels, else 256."""


@dataclass
class PaintedPicture(Painted):
    """What training a painted picture is told."""

    content: Path = DEFAULT_CONTENT
    """The picture to paint."""
    size: int | None = ranged(None, min=16)
    """Long side in pixels at which the picture is learned, after a quarter and a half of it, and written. By default it is
    learned at its own size, at most 768, and written at its own, at most 2048."""
    patches: PicturePatchSettings = field(default_factory=PicturePatchSettings)
    """What a step judges."""


@dataclass
class Stylize(PaintedPicture):
    """Paints a fitted picture: one network for all styles, mixed and dosed afterwards (stage 2 of INS)."""

    output: Path = Path("outputs/stylize")
    """Folder to write into; what an earlier run left there is replaced, unless it is resumed."""
    fit: Path | None = None
    """Output folder of `fit`; without it the picture is fitted first, into `fit` in the output folder."""
    steps: int = 400
    """Of one style; every further style adds 45 % of them."""


@dataclass
class Blend(PaintedPicture):
    """Trains one network on content and style at once, to be dosed at every pixel (INR-st)."""

    output: Path = Path("outputs/blend")
    """Folder to write into; what an earlier run left there is replaced, unless it is resumed."""
    network: BlendNetwork = "planes"
    """planes: feature planes and a narrow network, fastest. harmonic: the paper's sines and 256 wide layers."""
    colors: Colors = "none"
    """`none`: the losses decide. `content`: the style picture is seen in the content's colours. There is no `style` here."""
    fit_steps: int = ranged(300, min=0)
    """Steps that fit the picture, before style comes in."""
    steps: int = 400
    """Steps after those. The paper makes 20,000."""
    content_layers: tuple[str, ...] = ("relu2_2",)
    """Layers whose features carry the content (the paper's `shallow_relu`)."""
    style_layers: tuple[str, ...] = ("relu1_1", "relu1_2", "relu2_1", "relu2_2", "relu3_1")
    """Layers that carry the style: the paper's `shallow_relu`; empty: each loss its own."""


@dataclass
class Render(MixFilmSettings, OnDevice):
    """Renders what fit, stylize or blend have made: any size, part, mix, and strength at every pixel; or an animation."""

    load: Path = Path("outputs/stylize")
    """Output folder of fit, stylize or blend."""
    strength: float = 1.0
    """0 is the content, 1 the full style; multiplied by mask, strength map, gradation and bands."""
    output: Path = Path("outputs/render/picture.png")
    """File to write: a picture as .png, an animation as .mp4 or .gif."""
    size: int | None = ranged(None, min=1)
    """Long side in pixels; that of the fitted picture when not given."""
    window: tuple[float, float, float, float] = (0.0, 0.0, 1.0, 1.0)
    """Left, top, right, bottom, in shares of the picture: 0 0 .5 .5 is the upper left quarter. What lies outside 0 to 1 is
    extrapolated; feature planes repeat their border there, siren, fourier and harmonic go on."""
    mask: Path | None = None
    """A picture: painted where it is lighter than middle grey. It is stretched over the whole picture."""
    strength_map: Path | None = None
    """A picture: black keeps the content, white has the full strength, greys lie between."""
    gradation: Direction | None = None
    """Strength that grows from left to right or from top to bottom."""
    bands: tuple[float, ...] = ranged((), min=0, max=1)
    """Strengths of as many bands of one width, such as .25 1 0 .75."""
    band_direction: Direction = "horizontal"
    """horizontal: bands side by side; vertical: one above the other."""
    frames: int = ranged(48, min=2)
    """Of an animation. Without keyframes it goes through all styles and back, or with one style from the content to full
    strength and back."""
    fps: int = ranged(24, min=1)
    """Frames a second of an animation."""


@dataclass
class FeedForward(OnDevice):
    """What painting in one pass is told."""

    method: Method = "adain"
    """adain, wct (whitening), sanet (attention), mccnet (calm films). octave (two sliders) and rast have no weights yet that
    ship; johnson and texture are of one style each, with the weights that `train` has written."""
    weights: Path | None = None
    """File of its network, as scripts/make/train_transfer.py writes it; by default the one that ships."""
    encoder_weights: Path | None = None
    """File of the filter-normalised VGG-19, for networks that were trained with `--width vgg`."""
    stroke_size: float = ranged(1.0, min=0.2, max=5)
    """How large strokes are beside the picture: style pictures are looked at in 80 % of its long side, times that."""


@dataclass
class Transfer(MixSettings, FeedForward):
    """Paints a picture, a folder of frames or a film like any painting, in one pass, by a network that saw neither."""

    content: Path = DEFAULT_CONTENT
    """A picture, a folder of frames, or a film."""
    styles: tuple[str, ...] = (DEFAULT_STYLE,)
    """Style pictures, or a folder of them, as for `stylize`."""
    output: Path = Path("outputs/transfer/picture.png")
    """File to write; for frames a film (.mp4, .gif), or a folder of frames."""
    size: int | None = ranged(None, min=32, max=4096)
    """Long side in pixels of the result. By default that of the content, at most 1024: strokes are a few dozen pixels long
    at any size, and look like grain in larger pictures."""
    mask: tuple[Path, ...] = ()
    """A picture for each style: it paints where that is lighter than middle grey. Instead of a mix."""
    colors: Colors = "none"
    """`none`: as the network has it. `content`: the style is seen in the content's colours. `style`: the picture gets the
    style's mean and covariance of colour."""
    strength_high: float = ranged(1.0, min=0, max=1)
    """Of octave: how much of fine features is painted."""
    strength_low: float = ranged(1.0, min=0, max=1)
    """Of octave: of coarse ones."""
    calm: float = ranged(0.0, min=0, max=0.95)
    """Of frames: how much of each comes from the one before it, moved along optical flow. .5 flickers half as much."""
    fps: int | None = ranged(None, min=1, max=240)
    """Frames a second of the film. By default those of the content, 24 for a folder."""


@dataclass
class Preview(FeedForward):
    """One sheet that shows all paintings on a photograph or a scene, and which five suit it best."""

    content: Path = DEFAULT_CONTENT
    """A picture; of a scene (its folder with transforms.json, or config.yml of a run) the photograph in its middle."""
    styles: Path = Path("scenes/styles")
    """Folder of paintings; what is no picture in it is passed over."""
    output: Path = Path("outputs/preview/sheet.png")
    """File to write; preview.json beside it says how every painting did."""
    side: int = ranged(192, min=64, max=1024)
    """Long side in pixels of each picture on the sheet."""


@dataclass
class TrainStyle(Trained):
    """Trains a network of your own that paints any picture in one style, in one pass, for `transfer --weights`."""

    method: Literal["johnson", "texture"] = "johnson"
    """johnson: for pictures. texture: a pyramid that also makes textures out of noise."""
    style: Path = Path(DEFAULT_STYLE)
    """The painting."""
    photographs: Path = field(kw_only=True)
    """Folder of photographs to learn from, fifty or more of any kind."""
    output: Path = Path("outputs/train")
    """Folder to write into: METHOD.safetensors, picture.png, loss.csv, loss.png, run.json."""
    steps: int = ranged(2000, min=1)
    """Of Adam; ten minutes on two cores."""
    batch: int = ranged(4, min=2)
    """Photographs in each."""
    size: int = ranged(192, min=64)
    """Side, in pixels, of the crops that are learned from."""
    stroke_size: float = ranged(1.5, min=0.2, max=5)
    """Long side of the style picture beside a crop: 2 paints more broadly."""
    norm: Norm = "instance"
    """instance: every picture by itself, as it should be. batch: as the first papers had it, for comparison."""
    rate: float = ranged(2e-3, min=0, max=0.1)
    """Learning rate at first."""
    perceptual_encoder: Encoder = "auto"
    """Which network looks at pictures; see `stylize`."""
    perceptual_weights: Path | None = None
    """Its file."""

"""What the subcommands of `ins3d picture` are told."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ins3d.pictures.content import PictureNetwork
from ins3d.pictures.pixel_objective import Optimizer, PixelSettings
from ins3d.pictures.rendering import Direction
from ins3d.pictures.stylized import BlendNetwork
from ins3d.runs.settings import Judged, Output, Painted
from ins3d.style.colors import Colors
from ins3d.style.pictures import DEFAULT_STYLE

DEFAULT_CONTENT = Path(__file__).with_name("default_photo.jpg")
"""A picture of the scene that ships with the project."""
SMALLEST_COARSE = 48
"""Long side below which a coarse picture tells nothing, at scale 1."""


@dataclass
class Pixels(Judged):
    """What optimising pixels is told."""

    steps: int = 300
    """Evaluations in total, each forward and backward; half of them at half the size."""
    optimizer: Optimizer = "lbfgs"
    """lbfgs gets further in as many steps; adam bears losses that are not smooth."""
    learning_rate: float = 0.03
    """Adam's, in pixel values."""

    def pixel_settings(self, **more) -> PixelSettings:
        """The core's settings, with `more` of them."""
        least = SMALLEST_COARSE * max(more.get("scales", (1,)), default=1)
        coarse = (self.size // 2,) if self.size >= 2 * least and self.steps > 1 else ()
        return PixelSettings(
            long_sides=(*coarse, self.size),
            steps=self.steps,
            style_losses=self.style_loss,
            style_layers=self.style_layers,
            tv_weight=self.tv_weight,
            optimizer=self.optimizer,
            learning_rate=self.learning_rate,
            seed=self.seed,
            **more,
        )


@dataclass
class Gatys(Pixels):
    """Paints a picture like another by optimising its pixels (Gatys et al., 2016)."""

    output: Path = Path("outputs/gatys")
    """Folder to write into; what an earlier run left there is replaced."""
    content: Path = DEFAULT_CONTENT
    """The picture to paint."""
    content_weight: float = 1.0
    """More keeps more of the content."""
    content_layers: tuple[str, ...] = ("relu4_1",)
    """Where the content is compared."""
    colors: Colors = "style"
    """Whose colours the result has; none: whatever the losses make of them."""
    scales: tuple[int, ...] = (1,)
    """How much pictures are shrunk before style is compared; 1 2 4 with the losses gram and statistics is SGSST's SOS."""


@dataclass
class Texture(Pixels):
    """Makes another piece of the style picture out of noise (Gatys et al., 2015)."""

    output: Path = Path("outputs/texture")
    """Folder to write into; what an earlier run left there is replaced."""
    height: int | None = None
    """Of the result, in pixels; the source's when not given."""
    width: int | None = None
    scales: tuple[int, ...] = (1, 2)
    """How much pictures are shrunk before they are compared: 2 sees structures twice as large."""


@dataclass
class Fit(Output):
    """Fits a picture with a network: colour as a function of place (stage 1 of INS)."""

    output: Path = Path("outputs/fit")
    """Folder to write into; what an earlier run left there is replaced, unless it is resumed."""
    content: Path = DEFAULT_CONTENT
    """The picture to fit."""
    size: int = 256
    """Long side in pixels at which the picture is looked at."""
    network: PictureNetwork = "planes"
    """planes: feature planes and a small network, fastest. siren: the paper's sine layers. fourier: random Fourier
    features."""
    steps: int | None = None
    """planes 500, siren 1500, fourier 1500 when not given."""
    points: int = 16384
    """Places asked in each step."""
    resume: bool = False
    """Goes on where the run in the output folder was stopped."""


@dataclass
class PaintedPicture(Painted):
    """What training a painted picture is told."""

    content: Path = DEFAULT_CONTENT
    """The picture to paint."""
    patch: int = 0
    """Side of the square patches that are judged; 0: all of the picture in every step."""
    coarse_share: float = 0.5
    """Share of the steps, the first, that look at the picture at half its size (without patches): large strokes first."""


@dataclass
class Stylize(PaintedPicture):
    """Paints a fitted picture: one network for all styles, mixed and dosed afterwards (stage 2 of INS)."""

    output: Path = Path("outputs/stylize")
    """Folder to write into; what an earlier run left there is replaced, unless it is resumed."""
    styles: tuple[Path, ...] = (DEFAULT_STYLE,)
    """Style pictures, or a folder of them."""
    fit: Path | None = None
    """Output folder of `fit`; without it the picture is fitted first, into `fit` in the output folder."""
    steps: int = 400
    """Of one style; every further style adds half as many."""
    colors: Colors = "style"
    """Whose colours the result has; none: whatever the losses make of them."""
    strength_share: float = 0.2
    """Share of the steps that train a random strength below 1."""
    mix_share: float = 0.2
    """Share of the steps that train a random blend of two styles, where there are two."""
    mix: tuple[float, ...] = ()
    """Of the picture that is written: a weight for each style; empty: the first alone."""


@dataclass
class Blend(PaintedPicture):
    """Trains one network on content and style at once, to be dosed at every pixel (INR-st)."""

    output: Path = Path("outputs/blend")
    """Folder to write into; what an earlier run left there is replaced, unless it is resumed."""
    network: BlendNetwork = "planes"
    """planes: feature planes and a narrow network, fastest. harmonic: the paper's sines and 256 wide layers."""
    fit_steps: int = 300
    """Steps that fit the picture, before style comes in."""
    steps: int = 400
    """Steps after those. The paper makes 20,000."""
    points: int = 8192
    """Places at which the photograph is asked for in each step."""
    fit_weight: float = 150.0
    """How much the photograph counts at strength 0."""
    content_layers: tuple[str, ...] = ("relu2_2",)
    """Where the content is compared (the paper's `shallow_relu`)."""
    style_layers: tuple[str, ...] = ()
    """Such as relu1_1 relu3_1; empty: the paper's relu1_1 relu1_2 relu2_1 relu2_2 relu3_1, and for nnfm the third block."""


@dataclass
class Render:
    """Renders what fit, stylize or blend have made: any size, part, mix, and strength at every pixel; or an animation."""

    load: Path = Path("outputs/stylize")
    """Output folder of fit, stylize or blend."""
    output: Path = Path("outputs/render/picture.png")
    """File to write: a picture as .png, an animation as .mp4 or .gif."""
    size: int | None = None
    """Long side in pixels; that of the fitted picture when not given."""
    window: tuple[float, float, float, float] = (0.0, 0.0, 1.0, 1.0)
    """Left, top, right, bottom, in shares of the picture: 0 0 .5 .5 is the upper left quarter. What lies outside 0 to 1 is
    extrapolated; feature planes repeat their border there, siren, fourier and harmonic go on."""
    mix: tuple[float, ...] = ()
    """A weight for each style; empty: the first alone."""
    strength: float = 1.0
    """0 is the content, 1 the full style; multiplied by all that follows."""
    mask: Path | None = None
    """A picture: painted where it is lighter than middle grey. It is stretched over the whole picture."""
    strength_map: Path | None = None
    """A picture: black keeps the content, white has the full strength, greys lie between."""
    gradation: Direction | None = None
    """Strength that grows from left to right or from top to bottom."""
    bands: tuple[float, ...] = ()
    """Strengths of as many bands of one width, such as .25 1 0 .75."""
    band_direction: Direction = "horizontal"
    """horizontal: bands side by side; vertical: one above the other."""
    frames: int = 48
    """Of an animation: through all styles and back, or with one style from the content to full strength and back."""
    fps: int = 24
    """Frames a second of an animation."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """auto is a GPU where there is one."""

"""Pictures from pictures: `python scripts/fit_image.py gatys --content PHOTO --styles PAINTING`.

`gatys` paints a photograph like a painting by optimising its pixels; `texture` makes another piece of a picture, any size.
While it runs it writes picture.png and loss.csv into the output folder; at the end also loss.png and run.json.
"""

import csv
import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import torch
import tyro
from matplotlib.figure import Figure
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor

from ins3d.image_files import read_rgb, write_rgb
from ins3d.perceptual_features import PerceptualFeatures, Pooling
from ins3d.perceptual_weights import Encoder, load_encoder
from ins3d.pixel_objective import Colors, Optimizer, PixelSettings
from ins3d.pixel_optimization import gatys, texture
from ins3d.run_record import run_record

ROOT = Path(__file__).resolve().parents[1]
CONSOLE = Console()
WRITE_EVERY = 25
"""Steps between two writings of the picture."""
SMALLEST_COARSE = 48
"""Long side below which a coarse picture tells nothing, at scale 1."""


@dataclass
class Common:
    """What every subcommand is told."""

    styles: Path = ROOT / "ins3d" / "default_style.png"
    """The style picture."""
    output: Path = Path("outputs/gatys")
    """Folder to write into; what an earlier run left there is replaced."""
    size: int = 256
    """Long side in pixels at which the pictures are looked at; half of the steps are spent at half of it."""
    steps: int = 300
    """Evaluations in total, each forward and backward."""
    seed: int = 0
    """Of the noise that a texture starts from, and of the directions of swd."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    perceptual_encoder: Encoder = "auto"
    """Who judges; auto is VGG-19 when its weights are at hand or there is a GPU, else compact."""
    perceptual_weights: Path | None = None
    """A file of VGG weights, .pth or .safetensors; it says itself which encoder it is."""
    style_loss: tuple[str, ...] = ("gram",)
    """One or more of gram, gram_chw, gram_hw, gram_raw, statistics, nnfm, swd, each with `:weight` when it is not 1."""
    style_layers: tuple[str, ...] = ()
    """Such as relu1_1 relu3_1; empty: relu1_1 relu2_1 relu3_1 relu4_1, and for nnfm the third block."""
    tv_weight: float = 0.0
    """Weight of total variation, against noise."""
    perceptual_pooling: Pooling | None = None
    """average makes smoother pictures (Gatys et al.), max is what VGG and compact were trained with; average for VGG and max
    for compact when not given."""
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
class Gatys(Common):
    """Paints a picture like another by optimising its pixels (Gatys et al., 2016)."""

    content: Path = ROOT / "scenes" / "still_life" / "images" / "000.jpg"
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
class Texture(Common):
    """Makes another piece of the style picture out of noise (Gatys et al., 2015)."""

    output: Path = Path("outputs/texture")
    """Folder to write into; what an earlier run left there is replaced."""
    height: int | None = None
    """Of the result, in pixels; the source's when not given."""
    width: int | None = None
    scales: tuple[int, ...] = (1, 2)
    """How much pictures are shrunk before they are compared: 2 sees structures twice as large."""


def run_gatys(settings: Gatys) -> None:
    """`gatys`: reads both pictures, optimises."""
    content, style = read_rgb(settings.content, "content"), read_rgb(settings.styles, "styles")
    pixels = settings.pixel_settings(
        content_weight=settings.content_weight,
        content_layers=settings.content_layers,
        colors=settings.colors,
        scales=settings.scales,
    )
    features, device = encoder(settings, pixels)
    with Record(settings, features) as record:
        record.end(gatys(content.to(device), style.to(device), features, pixels, record))


def run_texture(settings: Texture) -> None:
    """`texture`: reads the source, optimises noise."""
    source = read_rgb(settings.styles, "styles")
    pixels = settings.pixel_settings(content_layers=(), scales=settings.scales)
    features, device = encoder(settings, pixels)
    with Record(settings, features) as record:
        record.end(texture(source.to(device), features, pixels, settings.height, settings.width, record))


def encoder(settings: Common, pixels: PixelSettings) -> tuple[PerceptualFeatures, torch.device]:
    """The encoder, named in a line, and where it is."""
    if settings.device == "cuda" and not torch.cuda.is_available():
        raise ValueError("device: cuda was asked for and torch sees no GPU; use cpu.")
    device = torch.device(
        "cuda" if settings.device == "auto" and torch.cuda.is_available() else settings.device.replace("auto", "cpu")
    )
    features = load_encoder(
        settings.perceptual_weights, settings.perceptual_encoder, pixels.all_layers, device, settings.perceptual_pooling
    )
    CONSOLE.print(f"Judged by {features.source}, in {str(features.precision).removeprefix('torch.')} on {device}.")
    return features, device


class Record:
    """Shows and writes what happens: a report for the optimiser."""

    def __init__(self, settings: Common, features: PerceptualFeatures) -> None:
        if settings.output.exists() and not settings.output.is_dir():
            raise ValueError(f"output: {settings.output} is a file; name a folder.")
        self.settings, self.features, self.rows = settings, features, []
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self.bar = Progress(*columns, console=CONSOLE)
        self.task = self.bar.add_task("looking at the pictures", total=settings.steps)

    def __enter__(self) -> "Record":
        self.settings.output.mkdir(parents=True, exist_ok=True)
        for name in ("picture.png", "loss.png", "run.json"):
            (self.settings.output / name).unlink(missing_ok=True)
        self.file = (self.settings.output / "loss.csv").open("w", newline="", buffering=1)
        self.started = time.perf_counter()
        self.bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.bar.stop()
        self.file.close()
        if kind is KeyboardInterrupt and self.rows:
            self.end(self.reached())

    def __call__(self, step: int, losses: dict[str, float], picture: Callable[[], Tensor]) -> None:
        """One step more; now and then the picture."""
        row = {"step": step, "seconds": round(time.perf_counter() - self.started, 3), **losses}
        writer = csv.DictWriter(self.file, list(row))
        if not self.rows:
            writer.writeheader()
        writer.writerow(row)
        self.rows.append(row)
        self.reached = picture
        words = " ".join(f"{name.removesuffix('_loss')} {value:.3f}" for name, value in losses.items())
        self.bar.update(self.task, completed=step, description=words)
        if step % WRITE_EVERY == 0:
            write_rgb(self.settings.output / "picture.png", picture())

    def end(self, picture: Tensor) -> None:
        """The last picture, the curve, and what it all depended on."""
        output = self.settings.output
        write_rgb(output / "picture.png", picture)
        figure = Figure(figsize=(7, 4), layout="constrained")
        axes = figure.add_subplot(yscale="log", xlabel="step (one evaluation)", ylabel="loss (1 = at the start)")
        for name in [name for name in self.rows[0] if name not in ("step", "seconds")]:
            axes.plot([row["step"] for row in self.rows], [row[name] for row in self.rows], label=name)
        # Content starts at nothing, which a logarithm would show at the cost of all else.
        axes.set_ylim(bottom=0.1 * min(row["total"] for row in self.rows))
        axes.legend()
        figure.savefig(output / "loss.png", dpi=110)
        named = {name: str(value) if isinstance(value, Path) else value for name, value in asdict(self.settings).items()}
        record = run_record(settings=named, encoder=self.features.source, precision=str(self.features.precision))
        record |= {
            "threads": torch.get_num_threads(),
            "last": self.rows[-1],
            "least": min(row["total"] for row in self.rows),
        }
        (output / "run.json").write_text(json.dumps(record, indent=1))
        CONSOLE.print(f"Wrote {output / 'picture.png'}, loss.csv, loss.png and run.json.")


COMMANDS = {"gatys": (Gatys, run_gatys), "texture": (Texture, run_texture)}


def main(arguments: list[str] | None = None) -> None:
    """Runs the subcommand; what a user can mend is said in a sentence."""
    settings = tyro.extras.subcommand_cli_from_dict(
        {name: settings for name, (settings, _) in COMMANDS.items()}, description=__doc__, args=arguments
    )
    run = next(run for kind, run in COMMANDS.values() if type(settings) is kind)
    try:
        run(settings)
    except (FileNotFoundError, ValueError) as error:
        raise SystemExit(str(error)) from error
    except KeyboardInterrupt:
        raise SystemExit(130) from None  # what was reached is written


if __name__ == "__main__":
    main()

"""What fit_image.py is worth: `pairs` sets stylize beside Gatys, `controls` measures strength, mask, mix and size.

    python scripts/measure/pictures.py pairs --contents A B --styles C D
    python scripts/measure/pictures.py controls --load outputs/stylize

Both sides of a pair have one encoder, are learned at one size, and get the same wall time; `ins3d.judge_frames` judges.
Distances of the controls: to the style, relative Gram over relu1_1, relu2_1, relu3_1 and relu4_1; to the content,
|a - b| / |b| of features at relu4_1.
"""

import json
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
import tyro
from rich.console import Console
from rich.table import Table
from torch import Tensor
from torchmetrics.functional.image import peak_signal_noise_ratio
from torchvision.transforms.functional import center_crop, resize
from torchvision.utils import make_grid

from ins3d.evaluation.frame_judge import judge_frames
from ins3d.files.pictures import read_rgb, resize_long_side, write_rgb
from ins3d.files.run_record import run_record
from ins3d.perception.features import PerceptualFeatures
from ins3d.perception.losses import grams_of, relative_gram_loss
from ins3d.perception.weights import load_encoder
from ins3d.pictures.checkpoint import load_field, read_spec
from ins3d.pictures.commands import run_stylize
from ins3d.pictures.pixel_optimization import gatys
from ins3d.pictures.rendering import StrengthMap, render_picture
from ins3d.pictures.settings import Gatys, Stylize
from ins3d.pictures.stylized import StylizedPicture
from ins3d.pictures.windows import window_of_size
from ins3d.style.losses import GATYS_LAYERS
from ins3d.style.mix import Mix, single_style

CONSOLE = Console()
CPU = torch.device("cpu")
STRENGTHS = (0.0, 0.25, 0.5, 0.75, 1.0)


@dataclass
class Pairs:
    """Every content with the style that stands in its place, as a field and as pixels."""

    contents: tuple[Path, ...]
    styles: tuple[Path, ...]
    output: Path = Path("outputs/pairs")
    size: int | None = None
    """Long side in pixels at which both are learned; by default as typed."""


@dataclass
class Controls:
    """What a field does when strength, mask, mix and size are turned."""

    load: Path
    """Output folder of stylize or blend."""
    content: Path
    """The picture it was made from."""
    styles: tuple[Path, ...]
    """Its style pictures, in order."""
    output: Path = Path("outputs/controls")


class Judge:
    """An encoder's distances."""

    def __init__(self, features: PerceptualFeatures) -> None:
        self.features, self.name = features, features.source.split(" from ")[0]

    @torch.no_grad()
    def to_style(self, picture: Tensor, style: Tensor) -> float:
        """Relative Gram distance."""
        ours, theirs = (grams_of(self.features(each[None], GATYS_LAYERS)) for each in (picture, style))
        return float(relative_gram_loss(ours, theirs))

    @torch.no_grad()
    def to_content(self, picture: Tensor, content: Tensor) -> float:
        """Relative feature distance."""
        ours, theirs = (self.features(each[None], GATYS_LAYERS[-1:])[GATYS_LAYERS[-1]] for each in (picture, content))
        return float((ours - theirs).norm() / theirs.norm())


def main(settings: Pairs | Controls) -> None:
    """Measures, prints, writes."""
    if isinstance(settings, Pairs):
        measure_pairs(settings)
    else:
        measure_controls(settings)


def measure_pairs(settings: Pairs) -> None:
    """One row for each pair; those of an earlier run that was stopped are kept."""
    file = settings.output / "pairs.json"
    report: dict[str, Any] = {"rows": [], "record": run_record(size=settings.size)}
    if file.is_file():
        report = json.loads(file.read_text())
        if report["record"]["size"] != settings.size:
            raise ValueError(f"output: {file} holds pairs of size {report['record']['size']}; name another folder.")
    for content, style in zip(settings.contents, settings.styles, strict=True):
        if [content.stem, style.stem] in [row["pair"] for row in report["rows"]]:
            continue
        report["rows"].append(_pair(content, style, settings))
        file.write_text(json.dumps(report, indent=1))
    _print(report["rows"])
    _sheet(settings)


def _pair(content: Path, style: Path, settings: Pairs) -> dict[str, Any]:
    folder = settings.output / f"{content.stem}_{style.stem}"
    started = time.perf_counter()
    run_stylize(
        Stylize(
            output=folder,
            content=content,
            styles=(str(style),),
            size=settings.size,
            perceptual_encoder="compact",
            device="cpu",
        )  # fmt: skip
    )
    seconds = time.perf_counter() - started
    photograph = read_rgb(content, "contents")
    field = read_rgb(folder / "picture.png", "output")
    side = read_spec(folder, "output").long_side
    pixels, spent, steps = _gatys_for(seconds, photograph, read_rgb(style, "styles"), side)
    write_rgb(folder / "gatys.png", pixels)
    judged = {}
    for name, picture in (("field", field), ("gatys", pixels)):
        plain = resize_long_side(photograph, max(picture.shape[1:]))
        judged[name] = judge_frames([picture], str(style), [plain])
    row = {
        "pair": [content.stem, style.stem],
        "seconds": {"field": seconds, "gatys": spent},
        "steps": steps,
        "judged": judged,
    }
    CONSOLE.print(row)
    return row


def _gatys_for(seconds: float, content: Tensor, style: Tensor, size: int) -> tuple[Tensor, float, int]:
    """(picture, seconds, evaluations): as many evaluations as fit, by those of a short run."""
    said = Gatys(size=size, perceptual_encoder="compact")
    features = load_encoder(None, "compact", GATYS_LAYERS, CPU, None)

    def run(steps: int) -> tuple[Tensor, float]:
        pixels = replace(said, steps=steps).pixel_settings(
            content_weight=said.content_weight, content_layers=said.content_layers, colors=said.colors
        )
        started = time.perf_counter()
        picture = gatys(content, style, features, pixels)
        return picture, time.perf_counter() - started

    _, short = run(10)
    steps = max(round(10 * seconds / short), 2)
    return *run(steps), steps


def _print(rows: list[dict[str, Any]]) -> None:
    numbers = ("gram", "remd", "coherence", "spectrum", "ssim")
    table = Table("content", "style", "seconds", *numbers, title="field / Gatys' pixels")
    for row in rows:
        judged = row["judged"]
        both = [f"{judged['field'][name]:.3f} / {judged['gatys'][name]:.3f}" for name in numbers]
        table.add_row(*row["pair"], f"{row['seconds']['field']:.0f} / {row['seconds']['gatys']:.0f}", *both)
    CONSOLE.print(table)


def _sheet(settings: Pairs) -> None:
    """A row for each pair: photograph, painting, field, pixels."""
    side = 320

    def square(path: Path) -> Tensor:
        rgb = read_rgb(path, "contents or styles")
        return center_crop(resize(rgb, [side], antialias=True), [side])

    tiles = []
    for content, style in zip(settings.contents, settings.styles, strict=True):
        folder = settings.output / f"{content.stem}_{style.stem}"
        tiles += [square(path) for path in (content, style, folder / "picture.png", folder / "gatys.png")]
    write_rgb(settings.output / "pairs.png", make_grid(torch.stack(tiles), nrow=4, padding=2))


def measure_controls(settings: Controls) -> None:
    """Strength at five values, a mask, an even mix, and a size of four times."""
    field, spec = load_field(settings.load, "load", CPU)
    if tuple(path.stem for path in settings.styles) != spec.styles:
        raise ValueError(f"styles: {settings.load} has {', '.join(spec.styles)}; give their pictures, in that order.")
    judge = Judge(load_encoder(None, "compact", GATYS_LAYERS, CPU, None))
    styles = [resize_long_side(read_rgb(path, "styles"), spec.long_side) for path in settings.styles]
    photograph = resize_long_side(read_rgb(settings.content, "content"), spec.long_side)
    window, alone = window_of_size(spec.long_side, spec.aspect), single_style(0, len(styles))
    swept = [render_picture(field, window, alone, StrengthMap(strength)) for strength in STRENGTHS]
    fitted = field.content if isinstance(field, StylizedPicture) else field
    plain = render_picture(fitted, window, alone, StrengthMap(0.0))
    mask = torch.zeros(photograph.shape[1:])
    mask[:, mask.shape[1] // 3 : 2 * mask.shape[1] // 3] = 1
    masked = render_picture(field, window, alone, StrengthMap(mask=mask))
    large = window_of_size(4 * spec.long_side, spec.aspect)
    down = F.avg_pool2d(render_picture(field, large, alone, StrengthMap())[None], 4)[0]
    report = {
        "strengths": STRENGTHS,
        "from_content": [judge.to_content(picture, plain) for picture in swept],
        "to_style": [judge.to_style(picture, styles[0]) for picture in swept],
        "fit_psnr": _psnr(plain, photograph),
        "outside_mask_psnr": _psnr(masked[:, mask == 0], plain[:, mask == 0]),
        "four_times_psnr": _psnr(down, swept[-1]),
    }
    if len(styles) > 1:
        mixes = [
            single_style(0, len(styles)),
            Mix((0.5, 0.5, *[0.0] * (len(styles) - 2))),
            single_style(1, len(styles)),
        ]
        mixed = [render_picture(field, window, mix, StrengthMap()) for mix in mixes]
        report["mix"] = {f"to_style_{n}": [judge.to_style(picture, styles[n]) for picture in mixed] for n in (0, 1)}
        swept += mixed
    write_rgb(settings.output / "controls.png", make_grid(torch.stack([*swept, masked]), nrow=len(STRENGTHS), padding=2))
    record = run_record(settings={name: str(value) for name, value in asdict(settings).items()})
    (settings.output / "controls.json").write_text(json.dumps(report | {"record": record}, indent=1))
    CONSOLE.print_json(json.dumps(report))


def _psnr(one: Tensor, other: Tensor) -> float | None:
    """None: the same bits."""
    return None if torch.equal(one, other) else float(peak_signal_noise_ratio(one, other, data_range=1.0))


if __name__ == "__main__":
    main(tyro.cli(Pairs | Controls, description=__doc__))

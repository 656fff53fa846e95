"""Which encoder may judge: how fast each is, and how far optimising against it brings the true VGG-19 losses down.

    python scripts/measure/encoders.py --assets ../shared/assets

Timing: forward and backward of a Gram loss to relu4_1, turn by turn in one process. Reduction: the same content, style,
steps and optimiser (Gatys on pixels), judged by VGG-19 whatever encoder was optimised. Writes a table, JSON, pictures.
"""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
import torch.nn.functional as F
import tyro
from rich.console import Console
from rich.progress import track
from torch import Tensor, nn

from ins3d.files.pictures import read_rgb, resize_long_side, write_rgb
from ins3d.files.run_record import run_record
from ins3d.perception.features import FeatureMaps, PerceptualFeatures
from ins3d.perception.losses import content_loss, grams_of, relative_gram_loss
from ins3d.perception.weights import load_encoder
from ins3d.pictures.pixel_objective import PixelSettings
from ins3d.pictures.pixel_optimization import gatys
from ins3d.style.losses import GRAM_LAYERS

CAFFE = "vgg/vgg19_caffe_conv1_1-conv4_1_f16.safetensors"
NORMALISED = "vgg/vgg19_normalised_conv1_1-conv4_1_f16.safetensors"
COLLABORATIVE = "style2d/collab_distill_wct/4SE.pth"
CONTENT_LAYERS = ("relu2_2",)
CPU = torch.device("cpu")
# Photographs of Kodak, which the compact encoder never saw; nine pairs with paintings that it never saw, two with others.
PAIRS = (
    ("03", "starry_night.jpg"), ("15", "starry_night.jpg"), ("23", "starry_night.jpg"),
    ("07", "mosaic.jpg"), ("23", "mosaic.jpg"), ("03", "mosaic.jpg"),
    ("04", "sketch.png"), ("21", "sketch.png"), ("07", "sketch.png"),
    ("19", "candy.jpg"), ("20", "wave.jpg"),
)  # fmt: skip
CONSOLE = Console()


@dataclass
class Settings:
    """What is compared."""

    assets: Path = Path("../shared/assets")
    output: Path = Path("outputs/encoders")
    compact: Path | None = None
    """A compact encoder to try; the default is the one that ships."""
    size: int = 192
    """Long side of the pictures."""
    steps: int = 150
    content_weight: float = 0.1
    rounds: int = 15
    """Of timing."""
    pairs: int = len(PAIRS)


class Collaborative(nn.Module):
    """The 16 times compressed VGG-19 of Collaborative Distillation (CVPR 2020), as far as relu4_1, under our names."""

    NAMES = {"11": "relu1_1", "12": "relu1_2", "21": "relu2_1", "22": "relu2_2", "31": "relu3_1", "32": "relu3_2",
             "33": "relu3_3", "34": "relu3_4", "41": "relu4_1"}  # fmt: skip

    def __init__(self, path: Path) -> None:
        super().__init__()
        state = torch.load(path, map_location="cpu", weights_only=True)["model"]
        self.source = f"Collaborative Distillation, {path.name}"
        self.state = {key: value.bfloat16() for key, value in state.items()}
        self.walk = list(self.NAMES.values())
        self.smallest_side = 16

    def forward(self, images: Tensor, layers: tuple[str, ...] = GRAM_LAYERS) -> FeatureMaps:
        """As `PerceptualFeatures`."""
        hidden = F.conv2d(images.bfloat16(), self.state["conv0.weight"], self.state["conv0.bias"])
        maps: FeatureMaps = {}
        for number, name in self.NAMES.items():
            if number in ("21", "31", "41"):
                hidden = F.max_pool2d(hidden, 2)
            hidden = F.pad(hidden, (1, 1, 1, 1), mode="reflect")
            hidden = F.relu(F.conv2d(hidden, self.state[f"conv{number}.weight"], self.state[f"conv{number}.bias"]))
            if name in layers:
                maps[name] = hidden.float()
        return maps


def main(settings: Settings) -> None:
    """Times, optimises, judges, writes."""
    settings.output.mkdir(parents=True, exist_ok=True)
    encoders = _encoders(settings)
    table: dict[str, dict[str, Any]] = {
        name: {"source": encoder.source} | _size(encoder) for name, encoder in encoders.items()
    }
    for side in (64, 128, 256):
        for name, milliseconds in _timings(encoders, side, settings.rounds).items():
            table[name][f"ms_{side}"] = milliseconds
            CONSOLE.print(f"{side} px  {name:18} {milliseconds:7.1f} ms")
    results = [_compare(encoders, pair, settings) for pair in track(PAIRS[: settings.pairs], "painting", console=CONSOLE)]
    _print(table, results)
    record = run_record(encoders=table, pairs=results, size=settings.size, steps=settings.steps)
    (settings.output / "encoders.json").write_text(json.dumps(record, indent=1))


def _encoders(settings: Settings) -> dict[str, PerceptualFeatures | Collaborative]:
    layers = tuple(dict.fromkeys([*GRAM_LAYERS, *CONTENT_LAYERS]))
    paths = {"vgg19": settings.assets / CAFFE, "vgg19-normalised": settings.assets / NORMALISED, "compact": settings.compact}
    encoders: dict[str, PerceptualFeatures | Collaborative] = {
        name: load_encoder(path, "auto" if path else "compact", layers, CPU) for name, path in paths.items()
    }
    if (settings.assets / COLLABORATIVE).is_file():
        encoders["collaborative"] = Collaborative(settings.assets / COLLABORATIVE)
    return encoders


def _size(encoder: PerceptualFeatures | Collaborative) -> dict[str, int]:
    """Parameters of the convolutions to relu4_1, and their bytes in half precision."""
    if isinstance(encoder, Collaborative):
        number = sum(value.numel() for key, value in encoder.state.items() if "_aux" not in key)
    else:
        number = sum(parameter.numel() for parameter in encoder.parameters())
    return {"parameters": number, "bytes": 2 * number}


def _timings(encoders: Mapping[str, nn.Module], side: int, rounds: int) -> dict[str, float]:
    """The least of several turns, in milliseconds: whatever else the machine does only ever adds."""
    picture = torch.rand(1, 3, side, side, generator=torch.Generator().manual_seed(0)).requires_grad_()
    targets = {name: grams_of(encoder(picture.detach().flip(3), GRAM_LAYERS)) for name, encoder in encoders.items()}
    times: dict[str, list[float]] = {name: [] for name in encoders}
    for _ in range(rounds + 1):
        for name, encoder in encoders.items():
            started = time.perf_counter()
            loss = relative_gram_loss(grams_of(encoder(picture, GRAM_LAYERS)), targets[name])
            torch.autograd.grad(loss, picture)
            times[name].append(1000 * (time.perf_counter() - started))
    return {name: min(values[1:]) for name, values in times.items()}


def _compare(encoders: Mapping[str, nn.Module], pair: tuple[str, str], settings: Settings) -> dict[str, object]:
    """One content and style, painted by every encoder; distances by both VGG-19."""
    content = resize_long_side(read_rgb(settings.assets / "images/kodak" / f"{pair[0]}.png", "assets"), settings.size)
    style = resize_long_side(read_rgb(settings.assets / "styles" / pair[1], "assets"), settings.size)
    options = PixelSettings(
        long_sides=(settings.size,), steps=settings.steps, style_layers=GRAM_LAYERS, content_layers=CONTENT_LAYERS,
        content_weight=settings.content_weight, colors="none",
    )  # fmt: skip
    judges = {name: encoders[name] for name in ("vgg19", "vgg19-normalised")}
    painted = {name: gatys(content, style, cast(PerceptualFeatures, encoder), options) for name, encoder in encoders.items()}
    write_rgb(
        settings.output / f"{pair[0]}_{Path(pair[1]).stem}.png",
        torch.cat([content, _fitted(style, content), *painted.values()], dim=2),
    )
    before = {judge: _distances(judges[judge], content, content, style) for judge in judges}
    after = {
        name: {judge: _distances(judges[judge], picture, content, style) for judge in judges}
        for name, picture in painted.items()
    }
    for judge in judges:
        best = before[judge]["gram"] - after[judge][judge]["gram"]
        for found in after.values():
            found[judge]["reduction"] = (before[judge]["gram"] - found[judge]["gram"]) / best
    return {"content": pair[0], "style": pair[1], "before": before, "after": after}


@torch.no_grad()
def _distances(judge: nn.Module, picture: Tensor, content: Tensor, style: Tensor) -> dict[str, float]:
    grams = grams_of(judge(picture[None], GRAM_LAYERS))
    targets = judge(content[None], CONTENT_LAYERS)
    size = sum(float(values.square().mean()) for values in targets.values())
    return {
        "gram": float(relative_gram_loss(grams, grams_of(judge(style[None], GRAM_LAYERS)))),
        "content": float(content_loss(judge(picture[None], CONTENT_LAYERS), targets)) / size,
    }


def _fitted(style: Tensor, content: Tensor) -> Tensor:
    return F.interpolate(style[None], size=content.shape[1:], mode="bilinear", antialias=True)[0]


def _print(table: dict[str, dict], results: list[dict]) -> None:
    """Markdown, for docs/perceptual.md."""
    CONSOLE.print(
        "| encoder | parameters | MB in half precision | 64 px | 128 px | 256 px |\n|---|---|---|---|---|---|",
        soft_wrap=True,
    )
    for name, row in table.items():
        times = " | ".join(
            f"{row[f'ms_{side}']:.1f} ({table['vgg19'][f'ms_{side}'] / row[f'ms_{side}']:.1f}x)" for side in (64, 128, 256)
        )
        CONSOLE.print(f"| {name} | {row['parameters']:,} | {row['bytes'] / 1e6:.2f} | {times} |", soft_wrap=True)
    names = list(table)
    for judge in ("vgg19", "vgg19-normalised"):
        CONSOLE.print(f"\nGram distance by {judge}, and the share of its own reduction\n", soft_wrap=True)
        CONSOLE.print("| pair | before | " + " | ".join(names) + " |\n|" + "---|" * (len(names) + 2), soft_wrap=True)
        for result in results:
            cells = [
                f"{result['after'][n][judge]['gram']:.3f} ({100 * result['after'][n][judge]['reduction']:.0f} %)"
                for n in names
            ]
            label = f"{result['content']} / {Path(result['style']).stem}"
            CONSOLE.print(f"| {label} | {result['before'][judge]['gram']:.3f} | " + " | ".join(cells) + " |", soft_wrap=True)
        means = [sum(r["after"][n][judge]["reduction"] for r in results) / len(results) for n in names]
        content = [sum(r["after"][n][judge]["content"] for r in results) / len(results) for n in names]
        CONSOLE.print("| mean | | " + " | ".join(f"{100 * mean:.0f} %" for mean in means) + " |", soft_wrap=True)
        CONSOLE.print(
            "| content distance, mean | | " + " | ".join(f"{value:.3f}" for value in content) + " |", soft_wrap=True
        )


if __name__ == "__main__":
    main(tyro.cli(Settings, description=__doc__))

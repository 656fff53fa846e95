"""Measures the networks that paint in one pass: on paintings and photographs that none of them has seen.

    python scripts/measure/transfer.py --assets ../shared/assets --judge-weights VGG19 --output outputs/measured/transfer

Writes transfer.json and a table (transfer.md), a sheet of pictures, and one that shows all strengths. MicroAST is measured
beside them, and Gatys on pixels for some of the pairs: what can be reached without a network. Flicker needs a folder of
frames, its cameras and depth: `evaluate.py --per-frame` says it for a scene.
"""

import csv
import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean, median
from typing import Any, cast

import torch
import tyro
from rich.progress import track
from torch import Tensor
from torchmetrics.functional.image import structural_similarity_index_measure as ssim

from ins3d.evaluation.style_distances import JUDGED_LAYERS, StyleDistances, content_distance, self_similarity
from ins3d.files.pictures import read_rgb, resize_long_side, write_rgb
from ins3d.files.run_record import run_record
from ins3d.perception.lpips import PerceptualDistance, load_lpips
from ins3d.perception.weights import load_encoder
from ins3d.pictures.pixel_objective import PixelSettings
from ins3d.pictures.pixel_optimization import gatys
from ins3d.pictures.train_command import resize_square
from ins3d.runs.record import CONSOLE, make_folder
from ins3d.transfer.methods import SHIPPED, load_network
from ins3d.transfer.microast import load_microast
from ins3d.transfer.network import TransferNetwork
from ins3d.transfer.octave import OctaveAdaIN

CPU = torch.device("cpu")
SIDE, TIMED = 384, 512
"""Pixels: the long side at which pairs are painted, and the side of the square that is timed."""
STRENGTHS = (0.0, 0.25, 0.5, 0.75, 1.0)
COLUMNS = ("statistics", "gram", "content", "self-similarity", "SSIM", "LPIPS")


@dataclass
class Settings:
    """Which networks, on what."""

    assets: Path = Path("../shared/assets")
    """Folder with paintings/ and images/photos/, each with its SOURCES.csv: their test splits are measured."""
    judge_weights: Path | None = None
    """VGG-19; without it INS3D_PERCEPTUAL_WEIGHTS."""
    microast: Path | None = None
    """Folder of MicroAST's four files, to be measured beside the others."""
    lpips_backbone: Path | None = None
    """Of LPIPS (squeeze); not measured without it, where torchvision's cannot be downloaded."""
    methods: tuple[str, ...] = ()
    """Networks; by default all that ship. NAME=FILE: other weights."""
    photographs: int = 2
    """For each painting."""
    gatys: int = 0
    """Pairs that are painted by optimising pixels, too."""
    output: Path = Path("outputs/measured/transfer")


class Measured:
    """Pairs of photographs and paintings, and who judges."""

    def __init__(self, settings: Settings) -> None:
        photographs, paintings = (listed(settings.assets / folder) for folder in ("images/photos", "paintings"))
        self.weights = settings.judge_weights
        self.judge = load_encoder(settings.judge_weights, "vgg19", JUDGED_LAYERS, CPU)
        self.lpips: PerceptualDistance | None = None
        if settings.lpips_backbone is not None:
            self.lpips = load_lpips("squeeze", settings.lpips_backbone, CPU)
        self.styles = {path.stem: resize_long_side(read_rgb(path, "assets"), SIDE) for path in paintings}
        self.distances = {name: StyleDistances(self.judge, {name: rgb}) for name, rgb in self.styles.items()}
        # Every painting meets other photographs.
        self.pairs = [
            (name, resize_long_side(read_rgb(photographs[(5 * row + turn) % len(photographs)], "assets"), SIDE))
            for row, name in enumerate(self.styles)
            for turn in range(settings.photographs)
        ]

    def numbers(self, painted: Tensor, content: Tensor, style: str, few: bool = False) -> dict[str, float]:
        """What is measured of a picture; `few`: the distances alone."""
        found = self.distances[style].measure(painted)
        numbers = {name: found[name][style] for name in ("statistics", "gram")}
        numbers["content"] = content_distance(self.judge, painted, content)
        if few:
            return numbers
        numbers["self-similarity"] = self_similarity(self.judge, painted, content)
        numbers["SSIM"] = float(cast(Tensor, ssim(painted[None], content[None], data_range=1.0)))
        if self.lpips is not None:
            with torch.no_grad():
                numbers["LPIPS"] = self.lpips(painted, content)
        return numbers

    def of(self, paint: Callable[[Tensor, str], Tensor], number: int | None = None, few: bool = False) -> dict[str, float]:
        """Means over the pairs, or the first of them."""
        found = [self.numbers(paint(content, name), content, name, few) for name, content in self.pairs[:number]]
        return {column: mean(each[column] for each in found) for column in found[0]}


def main(settings: Settings) -> None:
    """Measures, prints, writes."""
    make_folder(settings.output)
    measured, rows = Measured(settings), {}
    networks = found_networks(settings)
    for name, network in track(networks.items(), "measuring", console=CONSOLE):
        looks = {style: network.look_at(rgb) for style, rgb in measured.styles.items()}
        rows[name] = measured.of(lambda content, style, at=network, seen=looks: at.paint(content, [(seen[style], 1.0)]))
        rows[name] |= cost(network, settings, name)
        rows[name]["strengths"] = strengths(network, measured, looks)
    if settings.gatys:
        rows["Gatys on pixels"] = measured.of(lambda content, style: optimised(measured, content, style), settings.gatys)
        for name, network in networks.items():
            looks = {style: network.look_at(rgb) for style, rgb in measured.styles.items()}
            few = measured.of(
                lambda content, style, at=network, seen=looks: at.paint(content, [(seen[style], 1.0)]), settings.gatys
            )
            rows[f"{name}, the same pairs"] = few
    for name, network in networks.items():
        if isinstance(network, OctaveAdaIN):
            rows[name]["octave"] = sliders(network, measured, settings.output / "octave.png")
    write_rgb(settings.output / "sheet.png", sheet(networks, measured))
    record = run_record(settings={name: str(value) for name, value in asdict(settings).items()}, judge=measured.judge.source)
    (settings.output / "transfer.json").write_text(json.dumps({"record": record, "rows": rows}, indent=1))
    told = table(rows)
    (settings.output / "transfer.md").write_text(told)
    CONSOLE.print(told, soft_wrap=True)


def found_networks(settings: Settings) -> dict[str, TransferNetwork]:
    """By name; MicroAST last."""
    words = settings.methods or tuple(path.stem for path in sorted(SHIPPED.glob("*.safetensors")))
    found: dict[str, TransferNetwork] = {}
    for word in words:
        name, _, path = word.partition("=")
        found[name] = load_network(name, Path(path) if path else None, CPU)
    if settings.microast is not None:
        found["microast"] = load_microast(settings.microast, CPU)
    return found


def cost(network: TransferNetwork, settings: Settings, name: str) -> dict[str, Any]:
    """Milliseconds for a square picture and a style that is seen anew, median of three; numbers and bytes that ship."""
    content, style, spent = torch.rand(3, TIMED, TIMED), torch.rand(3, TIMED, TIMED), []
    for _ in range(4):
        begun = time.perf_counter()
        network(content, style)
        spent.append(1000 * (time.perf_counter() - begun))
    file = SHIPPED / f"{name}.safetensors"
    parameters = sum(each.numel() for each in network.parameters())
    return {"ms": median(spent[1:]), "parameters": parameters, "MB": file.stat().st_size / 1e6 if file.is_file() else None}


def strengths(network: TransferNetwork, measured: Measured, looks: dict[str, Any]) -> list[dict[str, float]]:
    """Distances at every strength, over a few pairs: towards the style and away from the content, step by step."""
    return [
        measured.of(lambda content, style, at=at: network.paint(content, [(looks[style], at)]), 6, few=True)
        for at in STRENGTHS
    ]


def sliders(network: OctaveAdaIN, measured: Measured, path: Path) -> dict[str, float]:
    """What the two sliders of the octave network do, over a few pairs; writes a sheet, fine across and coarse down.

    PSNR at nothing of both, and of what each slider changes the share of energy that lies above a quarter of the pictures'
    highest frequency.
    """
    found: dict[str, list[float]] = {"PSNR": [], "fine slider": [], "coarse slider": []}
    for style, content in measured.pairs[::7]:
        look = network.look_at(measured.styles[style])
        made = {}
        for at in ((0.0, 0.0), (1.0, 0.0), (0.0, 1.0)):
            network.strength_high, network.strength_low = at
            made[at] = network.paint(content, [(look, 1.0)])
        found["PSNR"].append(float(-10 * (made[0.0, 0.0] - content).square().mean().log10()))
        found["fine slider"].append(fine_share(made[1.0, 0.0] - made[0.0, 0.0]))
        found["coarse slider"].append(fine_share(made[0.0, 1.0] - made[0.0, 0.0]))
    style, content = measured.pairs[0]
    look, lines = network.look_at(measured.styles[style]), []
    for low in STRENGTHS:
        line = []
        for high in STRENGTHS:
            network.strength_high, network.strength_low = high, low
            line.append(resize_square(network.paint(content, [(look, 1.0)]), 200))
        lines.append(torch.cat(line, dim=2))
    write_rgb(path, torch.cat(lines, dim=1))
    network.strength_high = network.strength_low = 1.0
    return {name: mean(values) for name, values in found.items()}


def fine_share(change: Tensor) -> float:
    """The share of energy above a quarter of the highest frequency."""
    energy = torch.fft.fft2(change).abs().square().sum(0)
    down, across = (torch.fft.fftfreq(side).abs() for side in energy.shape)
    fine = torch.maximum(down[:, None], across[None]) > 0.125
    return float(energy[fine].sum() / energy.sum())


def optimised(measured: Measured, content: Tensor, style: str) -> Tensor:
    """Gatys et al. 2016 on the pixels, judged by the same VGG-19."""
    settings = PixelSettings(long_sides=(SIDE // 2, SIDE), style_size=SIDE, steps=200, content_weight=0.3)
    features = load_encoder(measured.weights, "vgg19", settings.all_layers, CPU)
    return gatys(content, measured.styles[style], features, settings)


def sheet(networks: dict[str, TransferNetwork], measured: Measured) -> Tensor:
    """A column for each network, a row for each of some pairs; first the painting and the photograph."""
    rows = []
    for name, content in measured.pairs[:: max(len(measured.pairs) // 6, 1)][:6]:
        painted = [network.paint(content, [(network.look_at(measured.styles[name]), 1.0)]) for network in networks.values()]
        rows.append(torch.cat([resize_square(each) for each in (measured.styles[name], content, *painted)], dim=2))
    return torch.cat(rows, dim=1)


def table(rows: dict[str, dict[str, Any]]) -> str:
    """As docs/transfer.md has it."""
    columns = [*COLUMNS, "ms", "parameters", "MB"]
    lines = ["| | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
    for name, row in rows.items():
        lines.append(f"| {name} | " + " | ".join(cell(row.get(column)) for column in columns) + " |")
    return "\n".join(lines) + "\n"


def cell(value: float | None) -> str:
    """Three digits, or nothing.

    >>> cell(0.1634), cell(190.3), cell(376371), cell(None)
    ('.163', '190', '376,371', '')
    """
    if value is None:
        return ""
    return f"{value:.3f}".removeprefix("0") if value < 1 else f"{value:.2f}" if value < 10 else f"{value:,.0f}"


def listed(folder: Path) -> list[Path]:
    """The pictures of the test split."""
    with (folder / "SOURCES.csv").open(newline="") as file:
        return [folder / row["file"] for row in csv.DictReader(file) if row["split"] == "test"]


if __name__ == "__main__":
    main(tyro.cli(Settings, description=__doc__))

"""Trains a feed-forward network that paints any photograph like any painting, and writes its weights with a card.

    python scripts/make/train_transfer.py --method adain --assets ../shared/assets --minutes 60

Photographs and paintings are those of the assets whose terms allow that weights learned from them are given away; those for
testing are left out. While it runs, picture.png shows test photographs under test paintings. A stopped run goes on with
--resume.
"""

import csv
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import torch
import tyro
from safetensors.torch import load_file
from torch import Tensor

from ins3d.extension.ranges import check_ranges, ranged
from ins3d.files.pictures import read_rgb
from ins3d.perception.features import PerceptualFeatures
from ins3d.perception.weights import Encoder, load_encoder
from ins3d.pictures.train_command import new_training, resize_square, train_network
from ins3d.runs.objective import torch_device
from ins3d.runs.record import make_folder, say
from ins3d.runs.settings import Trained
from ins3d.transfer.crops import Crops
from ins3d.transfer.judging import STYLE_LAYERS, TransferJudge
from ins3d.transfer.methods import Width, encoder_of, new_network, read_card

NOT_TO_LEARN_FROM, CUSTOMARY = ("research", "non-commercial"), "customary test picture of style-transfer papers"
"""Words in the terms of photographs, and the rights of paintings, that weights which are given away have not seen."""
SHEET_PICTURES = 4


@dataclass
class TrainTransfer(Trained):
    """What is learned from, for how long, and where it goes."""

    method: Literal["adain", "octave", "wct", "sanet", "rast", "mccnet"] = "adain"
    """Which network; those of one style are trained by `ins3d picture train`."""
    assets: Path = Path("../shared/assets")
    """Folder with paintings/ and images/photos/, each with its SOURCES.csv."""
    output: Path = Path("outputs/transfer")
    """Folder to write into: METHOD.safetensors, picture.png, loss.csv, loss.png, run.json."""
    steps: int = ranged(8000, min=1)
    """Of Adam."""
    batch: int = ranged(4, min=1)
    """Photographs, and as many paintings, in each."""
    size: int = ranged(128, min=32)
    """Side of a crop, in pixels."""
    rate: float = ranged(1e-3, min=0)
    """Learning rate at first; it falls to a twentieth, exponentially."""
    width: Width = "compact"
    """compact: the encoder that ships, and networks of a megabyte. vgg: VGG-19 and the papers' channels."""
    upsampling: Literal["nearest", "bilinear"] = "bilinear"
    """Of the decoder."""
    begin_with: Path | None = None
    """Weights to begin with, of this method or another; wct's decoder of relu4_1 makes pictures of features already."""
    judge: Encoder = "auto"
    """Which encoder says how far pictures are from styles and contents."""
    judge_weights: Path | None = None
    """Its file; without it INS3D_PERCEPTUAL_WEIGHTS."""
    encoder_weights: Path | None = None
    """File of the filter-normalised VGG-19, for width vgg."""


def main(settings: TrainTransfer) -> None:
    """Trains, or goes on training, and writes the weights."""
    check_ranges(settings)
    make_folder(settings.output)
    torch.manual_seed(settings.seed)
    device = torch_device(settings.device)
    photographs, paintings = (listed(settings.assets / folder, "train") for folder in ("images/photos", "paintings"))
    encoder = encoder_of(settings.width, settings.encoder_weights, device)
    network: Any = new_network(settings.method, encoder, upsampling=settings.upsampling)
    if settings.begin_with:
        begin(network, settings.begin_with)
    network.to(device, memory_format=torch.channels_last)
    training = new_training(settings, network, settings.rate)
    contents, styles = (Crops(paths, settings.size, training.generator) for paths in (photographs, paintings))
    judge = find_judge(settings, device, torch.cat([contents.draw(8), styles.draw(8)]))
    training.generator.manual_seed(settings.seed)
    card, shown = card_of(settings, judge.features, len(photographs), len(paintings)), Sheet(settings.assets)
    train_network(
        settings, training, judge, lambda number: (contents.draw(number), styles.draw(number)), settings.batch, card,
        lambda: shown.of(network),
    )  # fmt: skip


def begin(network: Any, path: Path) -> None:
    """Takes over what fits of the weights of another network."""
    read_card(path, "begin-with")
    state = {name.replace("decoders.relu4_1.", "decoder."): value.float() for name, value in load_file(path).items()}
    mine = network.state_dict()
    fits = {name: value for name, value in state.items() if name in mine and mine[name].shape == value.shape}
    if not fits:
        raise ValueError(f"begin-with: nothing of {path} fits; name weights of the same width.")
    network.load_state_dict(mine | fits)


def listed(folder: Path, split: Literal["train", "test"]) -> list[Path]:
    """The pictures of a folder's SOURCES.csv; of those to train with, only what may be given away."""
    sources = folder / "SOURCES.csv"
    if not sources.is_file():
        raise FileNotFoundError(f"assets: {sources} is missing; name the folder of the development assets with --assets.")
    with sources.open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == split]
    return [folder / row["file"] for row in rows if split == "test" or _may_be_learned_from(row)]


def _may_be_learned_from(row: dict[str, str]) -> bool:
    terms = row.get("terms") or row["rights"]
    return terms != CUSTOMARY and not any(words in terms for words in NOT_TO_LEARN_FROM)


def find_judge(settings: TrainTransfer, device: torch.device, pictures: Tensor) -> TransferJudge:
    """Named in a line."""
    features = load_encoder(settings.judge_weights, settings.judge, STYLE_LAYERS, device)
    say(f"Judged by {features.source}.")
    return TransferJudge(features, pictures.to(device))


def card_of(settings: TrainTransfer, judge: PerceptualFeatures, photographs: int, paintings: int) -> dict[str, Any]:
    """How the weights came about."""
    told = {name: value for name, value in asdict(settings).items() if name in ("batch", "size", "rate", "seed")}
    if settings.begin_with:
        told["begun_with"] = read_card(settings.begin_with, "begin-with")
    return told | {
        "method": settings.method, "width": settings.width, "options": {"upsampling": settings.upsampling},
        "judge": judge.source.split(",")[0], "photographs": photographs, "paintings": paintings,
        "terms": "photographs of sets that are not for research only; paintings in the public domain",
    }  # fmt: skip


class Sheet:
    """Test photographs, left, under test paintings, above."""

    def __init__(self, assets: Path) -> None:
        every = {"images/photos": 27, "paintings": 5}
        self.photographs, self.paintings = (
            [resize_square(read_rgb(path, "assets")) for path in listed(assets / folder, "test")[::step][:SHEET_PICTURES]]
            for folder, step in every.items()
        )

    def of(self, network: Any) -> Tensor:
        """RGB of all."""
        device = next(network.parameters()).device
        looks = [network.look_at(painting.to(device)) for painting in self.paintings]
        rows = [torch.cat([torch.ones_like(self.photographs[0]), *self.paintings], dim=2)]
        for photograph in self.photographs:
            painted = [network.paint(photograph.to(device), [(look, 1.0)]).cpu() for look in looks]
            rows.append(torch.cat([photograph, *painted], dim=2))
        return torch.cat(rows, dim=1)


if __name__ == "__main__":
    main(tyro.cli(TrainTransfer, description=__doc__))

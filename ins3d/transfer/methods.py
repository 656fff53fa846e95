"""The networks by name; their files, and the weights that ship with the project."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Protocol, get_args

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from ins3d.files.weights import mismatch
from ins3d.files.whole import replace_file
from ins3d.perception.features import PerceptualFeatures
from ins3d.perception.weights import load_encoder
from ins3d.transfer.adain import AdaIN
from ins3d.transfer.judging import STYLE_LAYERS, TransferJudge
from ins3d.transfer.mccnet import MCCNet
from ins3d.transfer.network import TransferNetwork
from ins3d.transfer.octave import OctaveAdaIN
from ins3d.transfer.rast import RAST
from ins3d.transfer.sanet import SANet
from ins3d.transfer.style_net import Johnson, OneStyle, TextureNet
from ins3d.transfer.wct import WCT

Method = Literal["adain", "octave", "wct", "sanet", "rast", "mccnet", "johnson", "texture"]
"""In one pass: any painting, but for the last two, which are trained for one each."""
Width = Literal["compact", "vgg"]
"""Which encoder a network has: the one that ships, or the filter-normalised VGG-19 with the papers' channels."""
NETWORKS: dict[str, type[Any]] = {
    "adain": AdaIN, "octave": OctaveAdaIN, "wct": WCT, "sanet": SANet, "rast": RAST, "mccnet": MCCNet,
    "johnson": Johnson, "texture": TextureNet,
}  # fmt: skip
SHIPPED = Path(__file__).with_name("weights")
REMEDY = "give a file that scripts/make/train_transfer.py or ins3d picture train has written"


class Trainable(Protocol):
    """A network that can be trained here."""

    def losses(self, judge: TransferJudge, contents: Tensor, styles: Tensor, done: float) -> dict[str, Tensor]:
        """What a step minimises, by name and weighted, for as many contents as styles. `done`: share of all steps."""
        ...


def encoder_of(width: Width, weights: Path | None, device: torch.device) -> PerceptualFeatures:
    """The frozen encoder of networks of a width, in full precision: what is decoded should be what was seen."""
    if width == "compact" and weights is not None:
        raise ValueError(f"encoder-weights: {weights} is of no use: this network has the encoder that ships; leave it out.")
    name = "compact" if width == "compact" else "vgg19-normalised"
    try:
        encoder = load_encoder(weights, name, STYLE_LAYERS, device)
    except (OSError, ValueError) as error:
        raise ValueError(
            f"encoder-weights: this network needs the filter-normalised VGG-19 of AdaIN, and {weights or 'no file'} was "
            f"given ({error})"
        ) from error
    encoder.convs.float()
    encoder.precision = torch.float32
    return encoder


def new_network(method: str, encoder: PerceptualFeatures | None, **options: Any) -> TransferNetwork:
    """Untrained; `options` are those of its class."""
    return NETWORKS[method](encoder, **options)


def save_network(path: Path, network: TransferNetwork, card: Mapping[str, Any]) -> None:
    """Writes weights in half precision, and a card: `method`, `width`, and whatever says how they came about."""
    state = {
        name: (value.half() if value.is_floating_point() else value).detach().contiguous()
        for name, value in network.state_dict().items()
    }
    replace_file(path, lambda aside: save_file(state, aside, {"card": json.dumps(card)}))


def read_card(path: Path, setting: str = "weights") -> dict[str, Any]:
    """What a file of weights says of itself. Raises FileNotFoundError, or ValueError for files of others."""
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise FileNotFoundError(f"{setting}: {path} {what}; {REMEDY}.")
    try:
        with safe_open(path, "pt") as file:
            card = json.loads((file.metadata() or {})["card"])
            assert card["method"] in NETWORKS and card["width"] in get_args(Width)
            assert isinstance(card.get("options", {}), dict)
            return card
    except (OSError, SafetensorError, KeyError, TypeError, ValueError, AssertionError) as error:
        raise ValueError(f"{setting}: {path} holds no network of this project's; {REMEDY}.") from error


def load_network(
    method: str, weights: Path | None, device: torch.device, encoder_weights: Path | None = None
) -> TransferNetwork:
    """Those weights, or the ones that ship. Raises ValueError for those of another method."""
    if weights is None and issubclass(NETWORKS[method], OneStyle):
        raise ValueError(
            f"weights: {method} is a network of one style; train yours (ins3d picture train), and give its file."
        )
    path = weights or SHIPPED / f"{method}.safetensors"
    if weights is None and not path.is_file():
        raise ValueError(
            f"weights: no network of {method} ships with ins3d yet; train one (scripts/make/train_transfer.py --method "
            f"{method}), and give its file."
        )
    card = read_card(path)
    if card["method"] != method:
        raise ValueError(
            f"weights: {path} holds {card['method']}, and {method} was asked for; use --method {card['method']}."
        )
    encoder = None if issubclass(NETWORKS[method], OneStyle) else encoder_of(card["width"], encoder_weights, device)
    try:
        network = new_network(method, encoder, **card.get("options", {}))
    except TypeError as error:
        raise ValueError(f"weights: {path} was made with options that {method} does not have; {REMEDY}.") from error
    with safe_open(path, "pt") as file:
        state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # it is no dict
    state = {name: value.float() if value.is_floating_point() else value for name, value in state.items()}
    problem = mismatch(state, network.state_dict())
    if problem:
        raise ValueError(f"weights: {path} does not fit {method} ({problem}); {REMEDY}.")
    if not all(bool(value.isfinite().all()) for value in state.values()):
        raise ValueError(
            f"weights: {path} holds numbers that are none; its training failed: train it anew at a smaller rate."
        )
    network.load_state_dict(state)
    network.source = f"{method} ({card['width']}) from {path.name}, {'named' if weights else 'found in the package'}"
    return network.to(device).eval().requires_grad_(False)

"""Images in [0, 1] become feature maps by layer name, in a frozen VGG; where the weights come from is said aloud."""

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

Network = Literal["vgg16", "vgg19"]
FeatureMaps = dict[str, Float[Tensor, "_ _ _ _"]]
"""By layer name: batch, channels, height, width (which differ from layer to layer)."""

# How many convolutions each block has; a max pooling stands between two blocks.
BLOCKS: dict[str, tuple[int, ...]] = {"vgg16": (2, 2, 3, 3, 3), "vgg19": (2, 2, 4, 4, 4)}
OFFICIAL_FILES = {"vgg16": "vgg16-397923af.pth", "vgg19": "vgg19-dcbb9e9d.pth"}
WEIGHTS_VARIABLE = "INS3D_PERCEPTUAL_WEIGHTS"
ASSETS_VARIABLE = "INS3D_ASSETS"
# In a source checkout the development assets lie beside the project; an installed package has none there.
DEVELOPMENT_ASSETS = Path(__file__).resolve().parents[2] / "shared" / "assets"
DEVELOPMENT_FILES = ("vgg19_normalised_conv1_1-conv4_1_f16.safetensors", "vgg19_caffe_conv1_1-conv5_1_q8.safetensors")

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


def conv_layers(network: Network) -> dict[str, int]:
    """{reluX_Y: index of convolution X_Y in torchvision's `features`}, in order of depth (spec 0.2, minus one).

    >>> conv_layers("vgg19")["relu4_1"], conv_layers("vgg16")["relu4_3"]
    (19, 21)
    """
    indices, index = {}, 0
    for block, num_convs in enumerate(BLOCKS[network], start=1):
        for conv in range(1, num_convs + 1):
            indices[f"relu{block}_{conv}"] = index
            index += 2
        index += 1
    return indices


class PerceptualFeatures(nn.Module):
    """A VGG as far as its deepest layer asked for. It cannot be trained; gradients reach the images.

    Three things depend on the weights file, and are read off it: the network (VGG-16 or VGG-19), how deep it goes, and
    whether it is the filter-normalised VGG-19 of AdaIN (1x1 convolution first, reflect padding, ceil-mode pooling)
    or takes ImageNet-normalised input with zero padding.
    """

    def __init__(self, state: dict[str, Tensor], layers: tuple[str, ...], source: str) -> None:
        super().__init__()
        self.network = network_of(state)
        self.source = source
        self.normalised = "features.pre.weight" in state
        self.layers = layers
        self.precision = torch.float32
        self.convs = nn.ModuleDict()
        names = conv_layers(self.network)
        unknown = [layer for layer in layers if layer not in names]
        if unknown:
            raise ValueError(f"{self.network} has no layer {unknown[0]}; it has {', '.join(names)}.")
        last = max(names[layer] for layer in layers)
        self.walk = [name for name, index in names.items() if index <= last]
        for name in self.walk:
            self.convs[name] = _conv(state, f"features.{names[name]}", source)
        if self.normalised:
            self.convs["pre"] = _conv(state, "features.pre", source, padding=0)
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).reshape(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(IMAGENET_STD).reshape(3, 1, 1), persistent=False)
        self.requires_grad_(False)
        super().train(False)

    def train(self, mode: bool = True) -> "PerceptualFeatures":
        """Stays in eval mode, whatever the host asks for."""
        return self

    def use_fast_precision(self, device: torch.device) -> "PerceptualFeatures":
        """bfloat16 where the device multiplies in it (1.6 times faster here), float32 elsewhere, where it is slower."""
        self.precision = torch.bfloat16 if _has_bfloat16(device) else torch.float32
        return self.to(device=device, dtype=self.precision)

    def forward(self, images: Float[Tensor, "batch 3 height width"], layers: tuple[str, ...] | None = None) -> FeatureMaps:
        """Feature maps after ReLU, in float32, of `layers` (default: all named at construction), and no deeper ones."""
        layers = self.layers if layers is None else layers
        last = max(self.walk.index(layer) for layer in layers)
        hidden = images if self.normalised else (images - self.mean.float()) / self.std.float()
        hidden = hidden.to(self.precision)
        if self.normalised:
            hidden = self.convs["pre"](hidden)
        maps: FeatureMaps = {}
        block = "1"
        for name in self.walk[: last + 1]:
            if name[4] != block:
                hidden, block = F.max_pool2d(hidden, 2, ceil_mode=self.normalised), name[4]
            if self.normalised:
                hidden = F.pad(hidden, (1, 1, 1, 1), mode="reflect")
            hidden = F.relu(self.convs[name](hidden))
            if name in layers:
                maps[name] = hidden.float()
        return maps

    @property
    def smallest_side(self) -> int:
        """Images must be at least this large: the deepest map then still has two values a side to pad from."""
        return 2 * 2 ** (max(int(name[4]) for name in self.walk) - 1)


def _conv(state: dict[str, Tensor], key: str, source: str, padding: int = 1) -> nn.Conv2d:
    if f"{key}.weight" not in state:
        deepest = max(int(found) for found in re.findall(r"features\.(\d+)\.weight", " ".join(state)))
        raise ValueError(f"{source}: {key}.weight is missing (the file ends at features.{deepest}); use deeper weights.")
    weight, bias = state[f"{key}.weight"].float(), state[f"{key}.bias"].float()
    normalised = "features.pre.weight" in state
    conv = nn.Conv2d(weight.shape[1], weight.shape[0], weight.shape[2], padding=0 if normalised else padding)
    if conv.weight.shape != weight.shape or conv.bias is None or conv.bias.shape != bias.shape:
        raise ValueError(f"{source}: {key} has shapes {tuple(weight.shape)} and {tuple(bias.shape)}, which do not fit.")
    conv.load_state_dict({"weight": weight, "bias": bias})
    return conv


def network_of(state: dict[str, Tensor]) -> Network:
    """VGG-16 has its first 512-channel convolution at 17, VGG-19 at 19; files that end before it count as VGG-19."""
    return "vgg16" if "features.17.weight" in state else "vgg19"


def _has_bfloat16(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return device.type == "cpu" and torch.cpu._is_avx512_bf16_supported()


@dataclass
class WeightsFile:
    """Where perceptual weights are read from."""

    path: Path
    found_in: str
    """Which rule found them; printed and recorded with the run, because losses compare only within one encoder."""


def find_weights(setting: Path | None, network: Network, layers: tuple[str, ...]) -> WeightsFile:
    """A path given, then INS3D_PERCEPTUAL_WEIGHTS, torch's cache, a checkout's assets, torchvision's download."""
    if setting is not None:
        return WeightsFile(_existing(setting, "perceptual-weights"), "the setting perceptual-weights")
    if os.environ.get(WEIGHTS_VARIABLE):
        return WeightsFile(_existing(Path(os.environ[WEIGHTS_VARIABLE]), WEIGHTS_VARIABLE), WEIGHTS_VARIABLE)
    cached = Path(torch.hub.get_dir()) / "checkpoints" / OFFICIAL_FILES[network]
    if cached.is_file():
        return WeightsFile(cached, "torch's cache")
    names = conv_layers("vgg19")
    deep = max(names[layer] for layer in layers) > names["relu4_1"]
    asset = Path(os.environ.get(ASSETS_VARIABLE, DEVELOPMENT_ASSETS)) / "vgg" / DEVELOPMENT_FILES[deep]
    if network == "vgg19" and asset.is_file():
        return WeightsFile(asset, "the development assets")
    return WeightsFile(_download(network, cached), "torchvision's download")


def _existing(path: Path, setting: str) -> Path:
    if not path.is_file():
        raise FileNotFoundError(f"{setting}: {path} is not a file; give VGG weights as .pth or .safetensors.")
    return path


def _download(network: Network, target: Path) -> Path:
    name = OFFICIAL_FILES[network]
    try:
        torch.hub.load_state_dict_from_url(f"https://download.pytorch.org/models/{name}", check_hash=True, progress=True)
    except (OSError, RuntimeError) as error:  # no network; a download that does not match its checksum
        raise FileNotFoundError(
            f"perceptual-weights: no VGG weights here, and {name} could not be downloaded ({error}); "
            f"fetch it elsewhere and give its path with --pipeline.model.perceptual-weights or {WEIGHTS_VARIABLE}."
        ) from error
    return target


def load_weights(file: WeightsFile) -> dict[str, Tensor]:
    """Reads a .pth (safely, tensors only) or .safetensors file of VGG weights with torchvision's names."""
    try:
        if file.path.suffix == ".safetensors":
            from safetensors.torch import load_file

            state = load_file(file.path)
        else:
            state = torch.load(file.path, map_location="cpu", weights_only=True)
    except Exception as error:  # truncated or foreign files raise a different exception in every reader
        raise ValueError(f"{file.path} is not a whole weights file ({error}); fetch it again.") from error
    items = state.items() if isinstance(state, dict) else []
    state = {key: value for key, value in items if str(key).startswith("features.")}
    if "features.0.weight" not in state:
        raise ValueError(f"{file.path} holds no VGG weights: expected torchvision's names, features.0.weight and so on.")
    return _dequantised(state)


def _dequantised(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Kernels kept in 8 bits (`weight_q8` with its `weight_scale_min`) become ordinary ones."""
    result = {key: value for key, value in state.items() if not key.endswith(("_q8", "_scale_min"))}
    for key in state:
        if key.endswith("weight_q8"):
            scale, smallest = state[key.replace("_q8", "_scale_min")]
            result[key.removesuffix("_q8")] = state[key].float() * scale + smallest
    return result


def load_perceptual_features(setting: Path | None, network: Network, layers: tuple[str, ...]) -> PerceptualFeatures:
    """Finds, reads and builds; the result's `source` is the line to print and to record."""
    file = find_weights(setting, network, layers)
    state = load_weights(file)
    kind = network_of(state) + (" (filter-normalised)" if "features.pre.weight" in state else "")
    return PerceptualFeatures(state, layers, source=f"{kind} from {file.path.name}, found in {file.found_in}")

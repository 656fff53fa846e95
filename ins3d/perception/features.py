"""Feature maps of images in [0, 1], by layer name: a frozen VGG, or the compact encoder distilled from one."""

import re
from typing import Literal, cast

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

Network = Literal["vgg16", "vgg19", "compact"]
Pooling = Literal["max", "average"]
FeatureMaps = dict[str, Float[Tensor, "_ _ _ _"]]
"""By layer name: batch, channels, height, width (which differ from layer to layer)."""

# How many convolutions each block has; a pooling stands between two blocks.
BLOCKS: dict[str, tuple[int, ...]] = {"vgg16": (2, 2, 3, 3, 3), "vgg19": (2, 2, 4, 4, 4), "compact": (2, 2, 3, 1)}
COMPACT_MARK = "features.compact"
"""A key that only the compact encoder's file has; names and shapes alone could belong to any small VGG."""

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

    Three things depend on the weights file, and are read off it: the network (VGG-16, VGG-19 or compact), how deep it
    goes, and whether it is the filter-normalised VGG-19 of AdaIN (1x1 convolution first, reflect padding, ceil-mode
    pooling) or takes ImageNet-normalised input. VGG pads with zeros, as it was trained; the compact encoder reflects: on
    patches of 64 pixels zeros are an edge all around, and what is painted within comes out pale. `pooling` is a choice: VGG
    was trained with maxima, Gatys et al. average.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, state: dict[str, Tensor], layers: tuple[str, ...], source: str, pooling: Pooling = "max") -> None:
        super().__init__()
        self.network = network_of(state)
        self.source = source
        self.pooling = pooling
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
        inputs = 3
        for name in self.walk:
            conv = self.convs[name] = _conv(state, f"features.{names[name]}", source, inputs)
            inputs = conv.out_channels
        if self.normalised:
            self.convs["pre"] = _conv(state, "features.pre", source, 3, padding=0)
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
        # Kernels with channels innermost are a sixth faster; the colours that are subtracted first stay exact.
        # torch's stubs do not know that a module takes both at once.
        self.convs.to(dtype=self.precision, memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
        return self.to(device)

    def forward(self, images: Float[Tensor, "batch 3 height width"], layers: tuple[str, ...] | None = None) -> FeatureMaps:
        """Feature maps after ReLU, in float32, of `layers` (default: all named at construction), and no deeper ones."""
        layers = self.layers if layers is None else layers
        last = max(self.walk.index(layer) for layer in layers)
        hidden = images if self.normalised else (images - self.mean) / self.std
        hidden = hidden.to(self.precision)
        if self.normalised:
            hidden = self.convs["pre"](hidden)
        pool = F.max_pool2d if self.pooling == "max" else F.avg_pool2d
        maps: FeatureMaps = {}
        block = "1"
        for name in self.walk[: last + 1]:
            if name[4] != block:
                hidden, block = pool(hidden, 2, ceil_mode=self.normalised), name[4]
            hidden = F.relu(self.convs[name](hidden))
            if name in layers:
                maps[name] = hidden.float()
        return maps

    @property
    def channels(self) -> dict[str, tuple[int, int]]:
        """{layer: channels that its convolution takes and gives}, in order of depth."""
        convs = {name: cast(nn.Conv2d, self.convs[name]) for name in self.walk}
        return {name: (conv.in_channels, conv.out_channels) for name, conv in convs.items()}

    @property
    def smallest_side(self) -> int:
        """Images must be at least this large: the deepest map then still has two values a side to pad from."""
        return 2 * 2 ** (max(int(name[4]) for name in self.walk) - 1)


def _conv(state: dict[str, Tensor], key: str, source: str, inputs: int, padding: int = 1) -> nn.Conv2d:
    if f"{key}.weight" not in state:
        deepest = max(int(found) for found in re.findall(r"features\.(\d+)\.weight", " ".join(state)))
        raise ValueError(f"{source}: {key}.weight is missing (the file ends at features.{deepest}); use deeper weights.")
    if f"{key}.bias" not in state:
        raise ValueError(f"{source}: {key}.bias is missing; fetch the file again.")
    weight, bias = state[f"{key}.weight"].float(), state[f"{key}.bias"].float()
    reflects = "features.pre.weight" in state or COMPACT_MARK in state
    side = 3 if padding else 1
    if bias.ndim != 1 or tuple(weight.shape) != (len(bias), inputs, side, side):
        raise ValueError(
            f"{source}: {key} has a kernel of shape {tuple(weight.shape)} and a bias of {tuple(bias.shape)}, where "
            f"(outputs, {inputs}, {side}, {side}) and (outputs,) were expected; fetch the file again."
        )
    conv = nn.Conv2d(inputs, len(bias), side, padding=padding, padding_mode="reflect" if reflects else "zeros")
    conv.load_state_dict({"weight": weight, "bias": bias})
    return conv


def network_of(state: dict[str, Tensor]) -> Network:
    """VGG-16 has its first 512-channel convolution at 17, VGG-19 at 19; files that end before it count as VGG-19."""
    if COMPACT_MARK in state:
        return "compact"
    return "vgg16" if "features.17.weight" in state else "vgg19"


def _has_bfloat16(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return device.type == "cpu" and torch.cpu._is_avx512_bf16_supported()

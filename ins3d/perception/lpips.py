"""Two pictures become one number: LPIPS, averaged over the pixels that count."""

import re
from pathlib import Path
from typing import Literal

import h5py
import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torchmetrics.functional.image.lpips import _LPIPS, ScalingLayer

from ins3d.files.weights import WeightsFile, find_weights_file, read_weights

LpipsNet = Literal["squeeze", "alex", "vgg"]
InputRange = Literal["-1..1", "0..1"]
"""What the network is shown: -1..1 is what it was made for, 0..1 what some evaluations feed it."""

SETTING = "lpips-backbone"
REMEDY = "give a state dict of torchvision's, or fetch it again."
BACKBONE_VARIABLE = "INS3D_LPIPS_BACKBONE"
OFFICIAL_FILES: dict[LpipsNet, str] = {
    "squeeze": "squeezenet1_1-b8a52dc0.pth",
    "alex": "alexnet-owt-7be5be79.pth",
    "vgg": "vgg16-397923af.pth",
}
SMALLEST_SIDE = 32
"""Pixels; the deepest features of every backbone still have a value there."""

KERAS_SUFFIXES = (".h5", ".hdf5")
# Where torchvision's `features` keeps what Keras calls fire2, fire3 and so on.
FIRE_MODULES = {3: "fire2", 4: "fire3", 6: "fire4", 7: "fire5", 9: "fire6", 10: "fire7", 11: "fire8", 12: "fire9"}
FIRE_PARTS = {"squeeze": "squeeze1x1", "expand1x1": "expand1x1", "expand3x3": "expand3x3"}
KERAS_NAMES = {"features.0": "conv1"} | {
    f"features.{index}.{part}": f"{fire}/{FIRE_PARTS[part]}" for index, fire in FIRE_MODULES.items() for part in FIRE_PARTS
}
CAFFE_MEAN = (123.0, 117.0, 104.0)
"""Of red, green, blue in 0..255: what Caffe's networks subtract."""


class PerceptualDistance:
    """LPIPS v0.1 (Zhang et al., CVPR 2018, equation 1), with torchmetrics' network and linear heads, frozen.

    Published numbers name alex or vgg, mostly. `source` says net, backbone and input range: none of them compares with
    numbers of another.
    """

    def __init__(self, network: _LPIPS, source: str) -> None:
        """`network` gives maps (`spatial`)."""
        self.network = network.eval().requires_grad_(False)
        self.source = source

    def __call__(
        self,
        ours: Float[Tensor, "3 height width"],
        theirs: Float[Tensor, "3 height width"],
        valid: Bool[Tensor, "height width"] | None = None,
        input_range: InputRange = "-1..1",
    ) -> float:
        """The mean over valid pixels, 0 for equal pictures; nan where no pixel is valid. Pictures are RGB in [0, 1].

        What is not valid in `theirs` is replaced by `ours`, so that nothing differs there: features see their surroundings.
        """
        if valid is None:
            return float(self.distance_map(ours, theirs, input_range).mean())
        return float(self.distance_map(ours, torch.where(valid, theirs, ours), input_range)[valid].mean())

    def distance_map(
        self,
        ours: Float[Tensor, "3 height width"],
        theirs: Float[Tensor, "3 height width"],
        input_range: InputRange = "-1..1",
    ) -> Float[Tensor, "height width"]:
        """How far apart the pictures are around each pixel: the layers' distances, each enlarged, summed."""
        height, width = ours.shape[1:]
        if min(height, width) < SMALLEST_SIDE:
            raise ValueError(
                f"LPIPS cannot compare pictures of {width}x{height} pixels; use at least {SMALLEST_SIDE} pixels a side."
            )
        with torch.no_grad():
            return self.network(ours[None], theirs[None], normalize=input_range == "-1..1")[0, 0]


def load_lpips(net: LpipsNet, backbone: Path | None, device: torch.device) -> PerceptualDistance:
    """LPIPS with the backbone in the file `backbone`, else INS3D_LPIPS_BACKBONE, else torchvision's, downloaded.

    Understands torchvision's state dicts, and for `squeeze` the .h5 file of keras-squeezenet (SqueezeNet 1.1 as trained in
    Caffe). That is not the backbone whose channels the published heads were trained to weigh: its numbers compare with
    themselves only. They come from the backbone, hardly from the heads: shuffled heads rank distorted photographs alike
    (rank correlation 0.99).
    """
    found = find_weights_file(backbone, SETTING, BACKBONE_VARIABLE, OFFICIAL_FILES[net])
    is_keras = found.path.suffix in KERAS_SUFFIXES
    state = _read_keras(found, net) if is_keras else read_weights(found, SETTING, REMEDY)
    # `pnet_rand` keeps torchmetrics from downloading; every number it draws is replaced.
    with torch.random.fork_rng(devices=[]):
        network = _LPIPS(pretrained=True, net=net, pnet_rand=True, spatial=True)
    if is_keras:
        state = _for_scaled_input(state, network.scaling_layer)
    _give_backbone(network, net, state, f"{SETTING}: {found.path} (from {found.found_in})")
    kind = ", not the published backbone" if is_keras else ""
    source = f"LPIPS 0.1 {net} on {found.path.name}{kind}, found in {found.found_in}; input -1..1 unless said otherwise"
    return PerceptualDistance(network.to(device), source)


def _give_backbone(network: _LPIPS, net: LpipsNet, state: dict[str, Tensor], file: str) -> None:
    """Loads what torchvision calls features.N; torchmetrics keeps the same layers in slices."""
    own = network.net.state_dict()
    names = {key: re.sub(r"^slices?\.?\d+\.", "features.", key) for key in own}
    for key, name in names.items():
        shape = tuple(own[key].shape)
        if name not in state or tuple(state[name].shape) != shape:
            raise ValueError(
                f"{file} is no backbone of LPIPS {net}: {name} of shape {shape} is missing; give torchvision's "
                f"{OFFICIAL_FILES[net]}."
            )
    network.net.load_state_dict({key: state[name] for key, name in names.items()})


def _read_keras(found: WeightsFile, net: LpipsNet) -> dict[str, Tensor]:
    """The file's SqueezeNet with torchvision's names; it still takes what Caffe gave it."""
    if net != "squeeze":
        raise ValueError(
            f"{SETTING}: {found.path} is a Keras file, which is understood for squeeze only; give torchvision's "
            f"{OFFICIAL_FILES[net]}, or set lpips-net to squeeze."
        )
    state = {}
    try:
        with h5py.File(found.path) as file:
            for ours, theirs in KERAS_NAMES.items():
                state[f"{ours}.weight"], state[f"{ours}.bias"] = _keras_layer(file[theirs])
    except (OSError, KeyError, AttributeError) as error:
        raise ValueError(
            f"{SETTING}: {found.path} (from {found.found_in}) cannot be read as Keras's SqueezeNet 1.1; fetch "
            "squeezenet_weights_tf_dim_ordering_tf_kernels_notop.h5 from github.com/rcmalli/keras-squeezenet."
        ) from error
    return state


def _keras_layer(group) -> tuple[Tensor, Tensor]:
    """(kernel: outputs, inputs, height, width; bias). Told apart by their dimensions, as their names vary."""
    items: list = []
    group.visititems(lambda _, item: items.append(item))
    values = {item.ndim: torch.from_numpy(item[()]) for item in items if hasattr(item, "ndim")}
    return values[4].permute(3, 2, 0, 1).contiguous(), values[1]


def _for_scaled_input(state: dict[str, Tensor], scaling: ScalingLayer) -> dict[str, Tensor]:
    shift, scale = scaling.shift.flatten(), scaling.scale.flatten()
    kernel, bias = fold_caffe_input(state["features.0.weight"], state["features.0.bias"], shift, scale)
    return state | {"features.0.weight": kernel, "features.0.bias": bias}


def fold_caffe_input(
    kernel: Float[Tensor, "outputs 3 side side"],
    bias: Float[Tensor, " outputs"],
    shift: Float[Tensor, "3"],
    scale: Float[Tensor, "3"],
) -> tuple[Float[Tensor, "outputs 3 side side"], Float[Tensor, " outputs"]]:
    """A first convolution on BGR in 0..255 less Caffe's mean becomes one on y = (x - shift) / scale, x RGB in -1..1.

    Of each colour Caffe sees 127.5 (x + 1) - mean = 127.5 scale y + 127.5 (shift + 1) - mean: the factor goes into the
    kernel, the rest into the bias. Exact where the convolution pads nothing, as SqueezeNet's first.

    >>> ones = torch.ones(3)
    >>> kernel, bias = fold_caffe_input(torch.ones(1, 3, 1, 1), torch.zeros(1), -ones, ones)
    >>> kernel.flatten().tolist(), bias.item()
    ([127.5, 127.5, 127.5], -344.0)
    """
    rgb = kernel.flip(1)
    constant = 127.5 * (shift + 1) - torch.tensor(CAFFE_MEAN)
    return rgb * (127.5 * scale)[:, None, None], bias + rgb.sum((2, 3)) @ constant

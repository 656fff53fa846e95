"""Writes keras-squeezenet's SqueezeNet 1.1 (as trained in Caffe) as a backbone that `evaluate --lpips-backbone` reads.

    python scripts/make/lpips_backbone.py squeezenet_weights_tf_dim_ordering_tf_kernels_notop.h5 squeezenet1_1_caffe.pth

For machines that cannot download torchvision's. It is not the backbone whose channels the published heads of LPIPS were
trained to weigh: its numbers compare with themselves only. They come from the backbone, hardly from the heads: shuffled
heads rank distorted photographs alike (rank correlation 0.99). The file is at github.com/rcmalli/keras-squeezenet.
"""

from pathlib import Path

import h5py
import torch
import tyro
from jaxtyping import Float
from torch import Tensor
from torchmetrics.functional.image.lpips import ScalingLayer
from tyro.conf import Positional

# Where torchvision's `features` keeps what Keras calls fire2, fire3 and so on.
FIRE_MODULES = {3: "fire2", 4: "fire3", 6: "fire4", 7: "fire5", 9: "fire6", 10: "fire7", 11: "fire8", 12: "fire9"}
FIRE_PARTS = {"squeeze": "squeeze1x1", "expand1x1": "expand1x1", "expand3x3": "expand3x3"}
KERAS_NAMES = {"features.0": "conv1"} | {
    f"features.{index}.{part}": f"{fire}/{FIRE_PARTS[part]}" for index, fire in FIRE_MODULES.items() for part in FIRE_PARTS
}
CAFFE_MEAN = (123.0, 117.0, 104.0)
"""Of red, green, blue in 0..255: what Caffe's networks subtract."""


def convert(source: Path) -> dict[str, Tensor]:
    """The file's SqueezeNet with torchvision's names; it takes what LPIPS gives it, not what Caffe gave it."""
    state = {}
    with h5py.File(source) as file:
        for ours, theirs in KERAS_NAMES.items():
            state[f"{ours}.weight"], state[f"{ours}.bias"] = _layer(file[theirs])
    scaling = ScalingLayer()
    first = state["features.0.weight"], state["features.0.bias"]
    kernel, bias = fold_caffe_input(*first, scaling.shift.flatten(), scaling.scale.flatten())
    return state | {"features.0.weight": kernel, "features.0.bias": bias}


def _layer(group) -> tuple[Tensor, Tensor]:
    """(kernel: outputs, inputs, height, width; bias). Told apart by their dimensions, as their names vary."""
    items: list = []
    group.visititems(lambda _, item: items.append(item))
    values = {item.ndim: torch.from_numpy(item[()]) for item in items if hasattr(item, "ndim")}
    return values[4].permute(3, 2, 0, 1).contiguous(), values[1]


def fold_caffe_input(
    kernel: Float[Tensor, "outputs 3 side side"],
    bias: Float[Tensor, " outputs"],
    shift: Float[Tensor, "3"],
    scale: Float[Tensor, "3"],
) -> tuple[Float[Tensor, "outputs 3 side side"], Float[Tensor, " outputs"]]:
    """A first convolution on BGR in 0..255 less Caffe's mean becomes one on y = (x - shift) / scale, x RGB in -1..1.

    Of each colour Caffe sees 127.5 (x + 1) - mean = 127.5 scale y + 127.5 (shift + 1) - mean: the factor goes into the
    kernel, the rest into the bias. Exact where the convolution pads nothing, as SqueezeNet's first.
    """
    rgb = kernel.flip(1)
    constant = 127.5 * (shift + 1) - torch.tensor(CAFFE_MEAN)
    return rgb * (127.5 * scale)[:, None, None], bias + rgb.sum((2, 3)) @ constant


def main(source: Positional[Path], output: Positional[Path]) -> None:
    """Converts `source`, Keras's .h5 file, into `output`, a .pth file."""
    torch.save(convert(source), output)


if __name__ == "__main__":
    tyro.cli(main)

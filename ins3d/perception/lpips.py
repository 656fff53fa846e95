"""LPIPS, averaged over valid pixels."""

import re
from pathlib import Path
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torchmetrics.functional.image.lpips import _LPIPS

from ins3d.files.weights import find_weights_file, mismatch, read_weights

LpipsNet = Literal["squeeze", "alex", "vgg"]
InputRange = Literal["-1..1", "0..1"]
"""What the network is shown: -1..1 is what it was made for, 0..1 what some evaluations feed it."""

SETTING = "lpips-backbone"
REMEDY = "give a state dict of torchvision's (of Keras's .h5, scripts/make/lpips_backbone.py makes one), or fetch it again."
BACKBONE_VARIABLE = "INS3D_LPIPS_BACKBONE"
OFFICIAL_FILES: dict[LpipsNet, str] = {
    "squeeze": "squeezenet1_1-b8a52dc0.pth",
    "alex": "alexnet-owt-7be5be79.pth",
    "vgg": "vgg16-397923af.pth",
}
MIN_SIDE = 32
"""Pixels; the deepest features of every backbone still have a value there."""


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
        if min(height, width) < MIN_SIDE:
            raise ValueError(
                f"LPIPS cannot compare pictures of {width}x{height} pixels; use at least {MIN_SIDE} pixels a side."
            )
        with torch.no_grad():
            return self.network(ours[None], theirs[None], normalize=input_range == "-1..1")[0, 0]


def load_lpips(net: LpipsNet, backbone: Path | None, device: torch.device) -> PerceptualDistance:
    """LPIPS with the backbone in the file `backbone`, else INS3D_LPIPS_BACKBONE, else torchvision's, downloaded.

    Understands torchvision's state dicts. Of a file of another name it is said that its backbone may not be the one whose
    channels the published heads were trained to weigh: its numbers compare with themselves only.
    """
    found = find_weights_file(backbone, SETTING, BACKBONE_VARIABLE, OFFICIAL_FILES[net])
    state = read_weights(found, SETTING, REMEDY)
    # `pnet_rand` keeps torchmetrics from downloading; every number it draws is replaced.
    with torch.random.fork_rng(devices=[]):
        network = _LPIPS(pretrained=True, net=net, pnet_rand=True, spatial=True)
    _give_backbone(network, net, state, f"{SETTING}: {found.path} (from {found.found_in})")
    kind = "" if found.path.name == OFFICIAL_FILES[net] else " (maybe not the published backbone)"
    source = f"LPIPS 0.1 {net} on {found.path.name}{kind}, found in {found.found_in}; input -1..1 unless said otherwise"
    return PerceptualDistance(network.to(device), source)


def _give_backbone(network: _LPIPS, net: LpipsNet, state: dict[str, Tensor], file: str) -> None:
    """Loads what torchvision calls features.N; torchmetrics keeps the same layers in slices."""
    own = {re.sub(r"^slices?\.?\d+\.", "features.", key): value for key, value in network.net.state_dict().items()}
    problem = mismatch({name: state[name] for name in own if name in state}, own)
    if problem:
        raise ValueError(f"{file} is no backbone of LPIPS {net}: {problem}; give torchvision's {OFFICIAL_FILES[net]}.")
    for name, value in own.items():
        value.copy_(state[name])

"""Two pictures become an optical flow: how far each pixel of the first is from where the second shows the same thing."""

import re
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor
from torchvision.models.optical_flow import RAFT, raft_small

from ins3d.files.weights import WeightsFile, find_weights_file, read_weights

SETTING = "flow-weights"
OFFICIAL_FILE = "raft_small_C_T_V2-01064c6d.pth"
WEIGHTS_VARIABLE = "INS3D_FLOW_WEIGHTS"
SMALLEST_SIDE = 128
"""The coarsest of torchvision's four correlation levels, at 1/64 of the picture, needs two values a side."""

# From the authors' names (github.com/princeton-vl/RAFT) to torchvision's, one after the other; torchvision's own match none.
RENAMED = (
    (r"^module\.", ""),
    (r"^fnet\.", "feature_encoder."),
    (r"^cnet\.", "context_encoder."),
    (r"_encoder\.conv1\.", "_encoder.convnormrelu.0."),
    (r"_encoder\.conv2\.", "_encoder.conv."),
    (r"(layer\d\.\d)\.conv(\d)\.", r"\1.convnormrelu\2.0."),
    (r"^update_block\.encoder\.convc1\.", "update_block.motion_encoder.convcorr1.0."),
    (r"^update_block\.encoder\.convf(\d)\.", r"update_block.motion_encoder.convflow\1.0."),
    (r"^update_block\.encoder\.conv\.", "update_block.motion_encoder.conv.0."),
    (r"^update_block\.gru\.", "update_block.recurrent_block.convgru1."),
)


@dataclass(frozen=True)
class OpticalFlow:
    """RAFT-small (Teed & Deng 2020), frozen."""

    network: RAFT
    source: str
    """Which weights, and where they were found: the line to print and record."""

    @torch.inference_mode()
    def __call__(
        self, first: Float[Tensor, "3 height width"], second: Float[Tensor, "3 height width"], iterations: int = 24
    ) -> Float[Tensor, "2 height width"]:
        """What is at x in `first` is at x + flow(x) in `second`: pixels, rightwards and downwards. Pictures in [0, 1].

        Memory grows with the square of the pixels: 0.8 GB for 1024x768, briefly twice that. Where nothing in
        `second` fits, the flow is a guess.
        """
        height, width = first.shape[1:]
        down, across = _padding(height), _padding(width)
        pictures = F.pad(torch.stack([first, second]) * 2 - 1, (*across, *down), mode="replicate")
        flow = self.network(pictures[:1], pictures[1:], num_flow_updates=iterations)[-1][0]
        # Torchvision would keep the correlations, by far the largest tensors, until the next call.
        self.network.corr_block.corr_pyramid = []
        return flow[:, down[0] : down[0] + height, across[0] : across[0] + width]


def load_flow(given: Path | None, device: torch.device) -> OpticalFlow:
    """Finds and reads RAFT-small: the path `given`, INS3D_FLOW_WEIGHTS, torch's cache, torchvision's download.

    The file has torchvision's names or the authors' (raft-small.pth). ValueError for any other.
    """
    file = find_weights_file(given, SETTING, WEIGHTS_VARIABLE, OFFICIAL_FILE)
    network = raft_small()
    network.load_state_dict(_read(file, network.state_dict()))
    network.requires_grad_(False).eval().to(device)
    return OpticalFlow(network, f"RAFT-small from {file.path.name}, found in {file.found_in}")


def torchvision_name(key: str) -> str:
    """What torchvision calls a parameter of the authors' RAFT-small; its own names stay as they are.

    >>> torchvision_name("module.fnet.layer1.0.conv2.bias"), torchvision_name("feature_encoder.conv.bias")
    ('feature_encoder.layer1.0.convnormrelu2.0.bias', 'feature_encoder.conv.bias')
    """
    for pattern, name in RENAMED:
        key = re.sub(pattern, name, key)
    return key


def _read(file: WeightsFile, expected: dict[str, Tensor]) -> dict[str, Tensor]:
    """The file's parameters under torchvision's names, which are exactly those `expected`."""
    items = read_weights(file, SETTING, "fetch it again.").items()
    state = {torchvision_name(str(key)): value for key, value in items}
    problem = _difference(state, expected)
    if problem:
        raise ValueError(
            f"{SETTING}: {file.path} does not hold RAFT-small ({problem}); give torchvision's {OFFICIAL_FILE} or "
            "raft-small.pth of princeton-vl/RAFT."
        )
    return state


def _difference(state: dict[str, Tensor], expected: dict[str, Tensor]) -> str | None:
    """The first thing in which a file is not what was expected."""
    for key, value in expected.items():
        if not isinstance(state.get(key), Tensor):
            return f"{key} is missing"
        if state[key].shape != value.shape:
            return f"{key} has shape {tuple(state[key].shape)} where {tuple(value.shape)} was expected"
    more = sorted(state.keys() - expected.keys())
    return f"{more[0]} is no part of it" if more else None


def _padding(length: int) -> tuple[int, int]:
    """(before, after): to a multiple of 8 that is not too small, in the middle as in the authors' code.

    >>> _padding(135), _padding(136), _padding(100)
    ((0, 1), (0, 0), (14, 14))
    """
    more = max(-(-length // 8) * 8, SMALLEST_SIDE) - length
    return more // 2, more - more // 2

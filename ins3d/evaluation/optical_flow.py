"""Optical flow between two pictures, by RAFT-small."""

from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor
from torchvision.models.optical_flow import RAFT, raft_small

from ins3d.files.weights import find_weights_file, mismatch, read_weights

SETTING = "flow-weights"
OFFICIAL_FILE = "raft_small_C_T_V2-01064c6d.pth"
WEIGHTS_VARIABLE = "INS3D_FLOW_WEIGHTS"
MIN_SIDE = 128
"""The coarsest of torchvision's four correlation levels, at 1/64 of the picture, needs two values a side."""


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

    The authors' file (raft-small.pth of github.com/princeton-vl/RAFT) is read, too: it holds the same tensors in the same
    order under other names. ValueError for any other file.
    """
    file = find_weights_file(given, SETTING, WEIGHTS_VARIABLE, OFFICIAL_FILE)
    network = raft_small()
    state, expected = read_weights(file, SETTING, "fetch it again."), network.state_dict()
    if len(state) == len(expected) and not state.keys() & expected.keys():
        state = dict(zip(expected, state.values(), strict=True))
    problem = mismatch(state, expected)
    if problem:
        raise ValueError(
            f"{SETTING}: {file.path} does not hold RAFT-small ({problem}); give torchvision's {OFFICIAL_FILE} or "
            "raft-small.pth of princeton-vl/RAFT."
        )
    network.load_state_dict(state)
    network.requires_grad_(False).eval().to(device)
    return OpticalFlow(network, f"RAFT-small from {file.path.name}, found in {file.found_in}")


def _padding(length: int) -> tuple[int, int]:
    """(before, after): to a multiple of 8 that is not too small, in the middle as in the authors' code.

    >>> _padding(135), _padding(136), _padding(100)
    ((0, 1), (0, 0), (14, 14))
    """
    more = max(-(-length // 8) * 8, MIN_SIDE) - length
    return more // 2, more - more // 2

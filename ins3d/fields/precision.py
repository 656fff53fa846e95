"""Where products are rounded: in pictures and while strokes are learned, networks may be; positions never."""

from contextlib import AbstractContextManager

import torch
from torch import Tensor


def rounded_products(device: torch.device, learning: bool = False) -> AbstractContextManager:
    """Linear layers multiply in bfloat16, on a CPU that has instructions for it: three times as fast.

    In inference mode, as pictures are rendered, and for what is `learning`; elsewhere, and on other machines, nothing
    changes.
    """
    able = device.type == "cpu" and getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)()
    return torch.autocast(device.type, torch.bfloat16, enabled=able and (learning or torch.is_inference_mode_enabled()))


def exact_product(first: Tensor, second: Tensor) -> Tensor:
    """Of positions and rotations, whatever the products around: eight bits of a position are not a place."""
    with torch.autocast(first.device.type, enabled=False):
        return first @ second

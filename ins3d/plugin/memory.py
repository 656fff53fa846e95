"""What is asked for is compared with the memory that is free, before it is taken."""

from collections.abc import Callable

import psutil
import torch
from torch import nn

from ins3d.plugin.contents.content import SETTING, build_content
from ins3d.plugin.settings import ModelSettings
from ins3d.style.sizes import USUAL_SIDE, suited
from ins3d.style.styles import style_names

BYTES_A_PARAMETER = 16
"""Of one that learns: itself, its gradient, and Adam's two moments."""


def free_memory(device: torch.device) -> int:
    """Bytes, of the GPU or of the machine."""
    return torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else psutil.virtual_memory().available


def refuse_large_networks(model: ModelSettings, device: torch.device) -> None:
    """ValueError, naming the setting, where content and style together do not fit while they learn."""
    content = _num_parameters(lambda: build_content(suited(model.content, USUAL_SIDE)))
    field = suited(model.style_field, USUAL_SIDE)
    channels = 32  # of the content's features, whatever they are: next to nothing beside tables
    style = _num_parameters(lambda: field.setup(channels, channels, len(style_names(model.styles))))
    needed, free = BYTES_A_PARAMETER * (content + style), free_memory(device)
    if needed > free:
        setting, number = (SETTING, content) if content > style else ("pipeline.model.style-field", style)
        raise ValueError(
            f"{setting}: {number / 1e6:,.0f} million numbers to learn, with their gradients and Adam's moments "
            f"{BYTES_A_PARAMETER * number / 2**30:.1f} GB, and {free / 2**30:.1f} GB are free; use lower resolutions, fewer "
            "channels or smaller tables."
        )


def _num_parameters(build: Callable[[], nn.Module]) -> int:
    with torch.device("meta"):  # nothing is allocated, and no random number drawn
        return sum(parameter.numel() for parameter in build().parameters())

"""Loads the networks that an evaluation needs; what one that is missing would measure is left out, and reported."""

import os
import re
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TypeVar

import torch

from ins3d.evaluation import optical_flow
from ins3d.evaluation.consistency import Judges
from ins3d.evaluation.frame_judge import JUDGE_LAYERS, OWN_SIDE
from ins3d.evaluation.optical_flow import load_flow
from ins3d.evaluation.pictures import at_most
from ins3d.evaluation.settings import Evaluate
from ins3d.evaluation.style_distances import JUDGED_LAYERS, StyleDistances
from ins3d.files.pictures import resize_long_side
from ins3d.perception import lpips
from ins3d.perception.features import PerceptualFeatures
from ins3d.perception.weights import WEIGHTS_VARIABLE, Encoder, find_weights, load_encoder
from ins3d.runs.record import CONSOLE
from ins3d.style.styles import find_styles
from ins3d.transfer import microast
from ins3d.transfer.methods import load_network
from ins3d.transfer.microast import load_microast
from ins3d.transfer.network import TransferNetwork

Network = TypeVar("Network")
JUDGED_SIDE, PAINTED_SIDE = 256, 512
"""Long sides, in pixels, at which style pictures are looked at by the judge, and by per-frame networks."""


@dataclass
class EvaluationJudges:
    """All that judges, and what is missing."""

    distances: StyleDistances
    consistency: Judges
    per_frame: dict[str, TransferNetwork]
    """The 2D networks that paint frame by frame, by name."""
    paintings: dict[str, torch.Tensor]
    """The run's style pictures, as large as frames are judged at their own size."""
    sources: dict[str, str] = field(default_factory=dict)
    """Which networks, from where."""
    missing: list[str] = field(default_factory=list)
    """What is not measured, and why."""
    checksums: dict[str, int] = field(default_factory=dict)
    """Of the style pictures that distances are taken to."""

    def seen_per_frame(self) -> dict[str, torch.Tensor]:
        """The paintings as the per-frame networks see them."""
        return {name: resize_long_side(painting, PAINTED_SIDE) for name, painting in self.paintings.items()}

    def key(self, *names: str) -> dict[str, str]:
        """Which networks a number depends on, wherever their files were found."""
        return {name: network_name(self.sources.get(name, "none")) for name in names}


def network_name(source: str) -> str:
    """A network's name without the place that it was found in.

    >>> network_name("RAFT-small from raft.pth, found in the setting flow-weights")
    'RAFT-small from raft.pth'
    """
    return re.sub(r",? \(?found in [^;)]*\)?", "", source)


def load_or_say(
    what: str, given: Path | None, variable: str, load: Callable[[Path | None], Network], missing: list[str]
) -> Network | None:
    """The network; None, printed and added to what is `missing`, where nobody named a file and none can be had.

    FileNotFoundError for a file that is `given`, or that the environment's `variable` names, and that does not exist.
    """
    try:
        return load(given)
    except FileNotFoundError as error:
        if given is not None or os.environ.get(variable):
            raise
        missing.append(f"{what}: {error}")
        CONSOLE.print(f"Not measured: {missing[-1]}", soft_wrap=True)
        return None


def find_judges(settings: Evaluate, styles: Sequence[str | Path], device: torch.device) -> EvaluationJudges:
    """Loads what is at hand, and prints its sources and what is missing.

    FileNotFoundError for a file that a setting or a variable names and that does not exist.
    """
    missing: list[str] = []
    features, flow = load_judge(settings, device), None
    if {"A", "B"} & set(settings.protocols):
        variable = optical_flow.WEIGHTS_VARIABLE
        given = settings.flow_weights
        flow = load_or_say("protocols A and B", given, variable, lambda given: load_flow(given, device), missing)
    net, backbone = settings.lpips_net, settings.lpips_backbone
    variable = lpips.BACKBONE_VARIABLE
    distance = load_or_say("LPIPS", backbone, variable, lambda given: lpips.load_lpips(net, given, device), missing)
    per_frame = _per_frame(settings, device, missing)
    for style in find_styles(styles, "pipeline.model.styles"):
        if any(source.mask for source in style.sources) or len(style.sources) > 1:
            missing.append(f"{style.name}: distances are to its first picture alone, without its mask")
    own = _pictures(styles, "pipeline.model.styles")
    judged = (_pictures(settings.other_styles, "other-styles") if settings.other_styles else {}) | own
    small = {name: resize_long_side(rgb, JUDGED_SIDE).to(device) for name, rgb in judged.items()}
    loaded = {"judge": features, "flow": flow, "lpips": distance}
    sources = {name: network.source for name, network in loaded.items() if network is not None}
    if per_frame:
        sources["per-frame"] = "; ".join(network.source for network in per_frame.values())
    for name, source in sources.items():
        CONSOLE.print(f"{name}: {source}", soft_wrap=True)
    paintings = {name: at_most(rgb, OWN_SIDE).to(device) for name, rgb in own.items()}
    return EvaluationJudges(
        StyleDistances(features, small), Judges(flow, distance), per_frame, paintings, sources, missing,
        {name: zlib.crc32(rgb.numpy().tobytes()) for name, rgb in judged.items()},
    )  # fmt: skip


def _per_frame(settings: Evaluate, device: torch.device, missing: list[str]) -> dict[str, TransferNetwork]:
    found: dict[str, TransferNetwork] = {}
    for name in settings.per_frame:
        if name == "microast":
            load = partial(load_microast, device=device)
            folder, variable = settings.per_frame_weights, microast.WEIGHTS_VARIABLE
            network = load_or_say("per-frame microast", folder, variable, load, missing)
        else:
            network = load_network(name, None, device)
        if network is not None:
            found[name] = network
    return found


def _pictures(styles: Sequence[str | Path], setting: str) -> dict[str, torch.Tensor]:
    """Of each style its first."""
    return {style.name: style.read(setting)[0][0] for style in find_styles(styles, setting)}


def load_judge(settings: Evaluate, device: torch.device) -> PerceptualFeatures:
    """The encoder asked for; else the VGG that INS3D_PERCEPTUAL_WEIGHTS names, or torchvision's, or the compact one."""
    encoder: Encoder = settings.judge or "auto"
    if settings.judge is None and settings.judge_weights is None and not os.environ.get(WEIGHTS_VARIABLE):
        try:
            find_weights(None, "vgg19", device)
            encoder = "vgg19"
        except FileNotFoundError:
            encoder = "compact"
            CONSOLE.print("No VGG-19 is at hand: the compact encoder judges; its numbers compare with its own only.")
    layers = tuple(dict.fromkeys([*JUDGED_LAYERS, *JUDGE_LAYERS]))
    return load_encoder(settings.judge_weights, encoder, layers, device)

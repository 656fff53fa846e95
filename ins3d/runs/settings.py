"""What the subcommands of pictures and objects are told alike: where to, on what, and how fields are painted."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from ins3d.extension.ranges import ranged
from ins3d.style.mix import MixSettings
from ins3d.style.settings import StyleSettings
from ins3d.style.windows import PatchSettings


@dataclass
class OnDevice:
    """Where the work is done."""

    device: Literal["auto", "cpu", "cuda"] = ranged("auto", may_change=True)
    """auto is a GPU where there is one."""


@dataclass
class Output(OnDevice):
    """Where to, and on what."""

    output: Path = ranged(Path("outputs"), may_change=True)
    """Folder to write into; what an earlier run left there is replaced."""
    seed: int = ranged(0, min=0)
    """Of all that is random."""


@dataclass
class Trained(Output):
    """What is trained can be stopped and resumed."""

    steps: int = ranged(1, min=1, may_change=True)
    """Of the training."""
    resume: bool = ranged(False, may_change=True)
    """Goes on where the run in the output folder was stopped."""


@dataclass
class Painted(StyleSettings, MixSettings, Trained):
    """What training a painted field is told; the mix is that of the picture that is written."""

    patches: PatchSettings = field(default_factory=PatchSettings)
    """What a step judges."""

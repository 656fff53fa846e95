"""Saves and loads splats that were painted: the splats, the network, and what it is built from."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from ins3d.files.fields import read_meaning, read_numbers, write_field
from ins3d.splats.gaussians import Gaussians
from ins3d.splats.ply import read_ply, write_ply
from ins3d.splats.stylized import StylizedSplats, mean_size
from ins3d.splats.views import View
from ins3d.style.colors import Colors

SPLATS = "unpainted.ply"
KINDS = ("paint",)
AT_ONCE = 65_536
"""Splats whose colours are asked for together."""


@dataclass(frozen=True)
class PaintSpec:
    """What the network is built from, and from where the splats are looked at."""

    styles: tuple[str, ...]
    """Names, in the order of the style code."""
    colors: Colors
    side: int
    """Long side, in pixels, of the pictures that strokes were learned in."""
    cameras: list[dict[str, Any]]
    kind: str = "paint"

    def build(self) -> StylizedSplats:
        """A network of this kind, untrained."""
        return StylizedSplats(len(self.styles), self.colors, self.side)

    def views(self) -> list[View]:
        """Those that strokes were learned from."""
        told: list[dict[str, Any]] = [
            each | {"camera_to_world": torch.tensor(each["camera_to_world"])} for each in self.cameras
        ]
        return [View(**each) for each in told]


def camera_words(view: View) -> dict[str, Any]:
    """A view as JSON takes it, for `PaintSpec.cameras`."""
    return vars(view) | {"camera_to_world": view.camera_to_world.tolist()}


@dataclass
class PaintedSplats:
    """Splats and the network that paints them."""

    splats: Gaussians
    """Unpainted."""
    field: StylizedSplats
    spec: PaintSpec

    @torch.no_grad()
    def painted(self, code: Float[Tensor, " styles"]) -> Gaussians:
        """In the colours of a mix. What changes with the view goes with the strength: strokes do not shine."""
        device = next(self.field.parameters()).device
        sizes, parts = mean_size(self.splats.scales), []
        for start in range(0, len(self.splats), AT_ONCE):
            some = slice(start, start + AT_ONCE)
            rgb, means, size = (each[some].to(device) for each in (self.splats.rgb, self.splats.means, sizes))
            parts.append(self.field.rgb(rgb, means, size, code.to(device)).cpu())
        kept = (1 - float(code.sum())) * self.splats.harmonics
        if float(code.sum()) == 1:
            kept = kept[:, :0]
        return Gaussians(**{**vars(self.splats), "rgb": torch.cat(parts), "harmonics": kept})


def save_network(folder: Path, field: StylizedSplats, spec: PaintSpec) -> None:
    """Writes weights and metadata; see `files.fields`."""
    write_field(folder, field, asdict(spec))


def save_splats(folder: Path, splats: Gaussians) -> None:
    """Writes the unpainted splats."""
    write_ply(folder / SPLATS, splats)


def load_painted(folder: Path, setting: str) -> PaintedSplats:
    """What was saved. Raises FileNotFoundError or ValueError, naming `setting`, for another folder."""

    def build(meaning: dict[str, Any]) -> PaintSpec:
        told: dict[str, Any] = meaning | {"styles": tuple(meaning["styles"])}
        return PaintSpec(**told)

    spec = read_meaning(folder, setting, KINDS, build)
    splats, _ = read_ply(folder / SPLATS, setting)
    return PaintedSplats(splats, read_numbers(folder, spec.build(), setting), spec)

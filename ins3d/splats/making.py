"""What a field shows its cameras becomes splats that can be painted in any mix of its styles."""

import json
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path

import torch
from jaxtyping import Float
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from ins3d.files.whole import replace_file
from ins3d.splats.compositing import render
from ins3d.splats.field_views import FieldView
from ins3d.splats.fitting import Fitted, fit
from ins3d.splats.gaussians import Gaussians
from ins3d.splats.placing import place_splats

CELL, SMALLEST_CELL = 3.0, 1.2
"""Pixels along a side of the cells of which each gets a splat, usually, and where these would be `FEW`."""
FEW = 60_000
"""Splats: with more an object that fills little of its pictures looks sharper, and the fit is still short."""
Report = Callable[[int, int], None]
"""How many steps are made, of how many."""
Paint = Callable[[Float[Tensor, " styles"]], Float[Tensor, "splats 3"]]
"""A style code to the colours that the style network gives the content's at the splats' centres."""


@dataclass
class PaintableSplats:
    """Splats that can be given the colours of any mix."""

    splats: Gaussians
    """In the content's colours."""
    residuals: Float[Tensor, "styles #splats 3"]
    """Added to what the network says at their centres: a splat stands for more than its centre. One for all where there are
    none."""

    def painted(self, code: Float[Tensor, " styles"], paint: Paint) -> Gaussians:
        """In the colours of a mix; under the zero code the content's."""
        if not len(self.residuals) or not float(code.sum()):
            return self.splats
        return self.splats.painted(paint(code) + torch.einsum("s,snc->nc", code, self.residuals))

    def save(self, path: Path, about: dict[str, object]) -> None:
        """Writes one file, whole or not at all; `about` is what `load` looks for."""
        state = {each.name: getattr(self.splats, each.name).contiguous() for each in fields(Gaussians)}
        state["residuals"] = self.residuals.contiguous()
        replace_file(path, lambda aside: save_file(state, aside, {"about": json.dumps(about, sort_keys=True)}))

    @classmethod
    def load(cls, path: Path, about: dict[str, object]) -> "PaintableSplats | None":
        """What was saved, if `about` is a part of what it was saved with; else None."""
        if not path.is_file():
            return None
        try:
            with safe_open(path, "pt") as file:
                told = json.loads((file.metadata() or {}).get("about", "{}"))
                if any(name not in told or told[name] != value for name, value in about.items()):
                    return None
                state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # it is no dict
            return cls(residuals=state.pop("residuals"), splats=Gaussians(**state))
        except (OSError, SafetensorError, KeyError, TypeError, ValueError):
            return None  # cut off: made again


def paintable(fitted: Fitted, paint: Paint) -> PaintableSplats:
    """What the fitted colours have beside those that the network gives the splats' centres."""
    codes = torch.eye(len(fitted.styles))
    residuals = [rgb - paint(code) for rgb, code in zip(fitted.styles, codes, strict=True)]
    return PaintableSplats(fitted.splats, torch.stack(residuals) if residuals else fitted.styles)


def make_splats(
    seen: list[FieldView],
    background: Float[Tensor, " 3"] | None,
    most: int,
    steps: int,
    degree: int,
    generator: torch.Generator,
    report: Report = lambda done, of: None,
) -> Fitted:
    """Places splats, then fits them; see `fit` for the background, and `ExportSplats` for the other arguments."""
    placed, looks = place_splats(seen, CELL, most, generator)
    if len(placed) < FEW:
        cell = max(CELL * (len(placed) / FEW) ** 0.5, SMALLEST_CELL)
        placed, looks = place_splats(seen, cell, most, generator)
    return fit(placed, looks, seen, steps, background, degree, generator, lambda step: report(step + 1, steps))


def likeness(splats: Gaussians, seen: list[FieldView], look: int, background: Float[Tensor, " 3"]) -> float:
    """Mean PSNR, in dB, between pictures of the splats and the field's; colours are cut to [0, 1], as on a screen."""
    found = []
    for each in seen:
        ours, theirs = render(each.view, splats, background).clamp(0, 1), each.over(look, background).clamp(0, 1)
        found.append(float(-10 * ((ours - theirs) ** 2).mean().clamp(min=1e-12).log10()))
    return sum(found) / len(found)

"""One view under many style codes: the content is asked once, and painted as often as there are codes."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from nerfstudio.cameras.cameras import Cameras
from nerfstudio.cameras.rays import RayBundle
from torch import Tensor

from ins3d.plugin.contents.content import FrozenDensity, GeometryLook, Look
from ins3d.plugin.model import InsStylizeModel

EMPTY, SOLID = 0.01, 0.05
"""Opacity of a sample below which the frozen field has nothing there, and above which the stylised one has something."""


@dataclass
class CodeRenders:
    """Pictures of one view; colours in [0, 1], depths along the ray in scene units."""

    content_rgb: Float[Tensor, "3 height width"]
    content_depth: Float[Tensor, "1 height width"]
    accumulation: Float[Tensor, "1 height width"]
    rgb: list[Float[Tensor, "3 height width"]]
    """One for each code, as all below."""
    depth: list[Float[Tensor, "1 height width"]]
    opacity: list[Float[Tensor, "1 height width"]]
    """Share of the ray that ends, in [0, 1]."""
    floating: list[Float[Tensor, "1 height width"]]
    """Share of the ray that ends where the frozen field has nothing."""


def render_codes(
    model: InsStylizeModel,
    camera: Cameras,
    codes: Sequence[Float[Tensor, " styles"]] | Float[Tensor, "codes styles"],
    frozen: FrozenDensity | None = None,
) -> CodeRenders:
    """As `ns-render` renders each code; for every further code only the style is computed. Before the style stage has
    begun every picture is the content.

    `frozen` is the field whose depth and opacity are the content's, where the model's own has gone on learning.
    """
    codes = torch.stack([code.to(model.device) for code in codes]) * model.is_stylized
    bundle = model.picture_rays(camera.to(model.device))
    height, width = bundle.shape
    seen = model.in_chunks(lambda rays: _render_rays(model, rays, codes, frozen), bundle.flatten())
    content_rgb, content_depth, accumulation, *others = (values.T.reshape(-1, height, width) for values in seen.values())
    return CodeRenders(content_rgb, content_depth, accumulation, *(others[each::4] for each in range(4)))


def _render_rays(model: InsStylizeModel, rays: RayBundle, codes: Tensor, frozen: FrozenDensity | None) -> dict[str, Tensor]:
    """In the order of `CodeRenders`: what is of the content, then four for each code."""
    look = model.look(rays, movable=frozen is not None)
    reference = look
    if frozen is not None:
        assert isinstance(look, GeometryLook)
        reference = model.movable_content.moved(look, frozen(look.positions))
    found = [look.rgb.clamp(0, 1), reference.depth, reference.accumulation]
    for code in codes:
        stylized = model.stylize(look, rays, code)
        painted = stylized.look
        found += [stylized.rgb.clamp(0, 1), painted.depth, painted.accumulation, _floating(model, painted, reference)]
    return {str(place): values for place, values in enumerate(found)}


def _floating(model: InsStylizeModel, look: Look, reference: Look) -> Float[Tensor, "rays 1"]:
    """The share of each ray that ends where the reference has nothing; none where both are one."""
    if look is reference:
        return torch.zeros_like(look.accumulation)
    content = model.movable_content
    assert isinstance(look, GeometryLook) and isinstance(reference, GeometryLook)
    floats = (content.opacity(reference) < EMPTY) & (content.opacity(look) > SOLID)
    return (look.weights * floats).sum(-2)

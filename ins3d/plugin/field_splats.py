"""A run's field as splats: what it shows cameras, colours at splats' centres, and the splats that an export has kept."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import torch
from jaxtyping import Float
from nerfstudio.cameras.cameras import Cameras
from nerfstudio.cameras.rays import RayBundle
from torch import Tensor

from ins3d.fields.merged_points import SurfacePoints
from ins3d.plugin.code_renders import render_codes
from ins3d.plugin.contents.splat_content import SplatContent
from ins3d.plugin.model import InsStylizeModel
from ins3d.plugin.ray_content import RayContentField
from ins3d.plugin.viewer.splats import SplatArrays
from ins3d.splats.field_views import FieldView
from ins3d.splats.gaussians import Gaussians, covariances
from ins3d.splats.making import PaintableSplats
from ins3d.splats.stylized import SPREAD, mean_size
from ins3d.splats.views import View


def view_of(cameras: Cameras, index: int) -> View:
    """One of the host's cameras as a pinhole; its lens's distortion is left out: splats know none."""
    fx, fy, cx, cy = (float(getattr(cameras, name)[index]) for name in ("fx", "fy", "cx", "cy"))
    width, height = int(cameras.width[index]), int(cameras.height[index])
    return View(cameras.camera_to_worlds[index].cpu().float(), fx, fy, cx, cy, width, height)


def camera_of(view: View) -> Cameras:
    """The same as one of the host's cameras."""
    return Cameras(
        view.camera_to_world[None], *(torch.tensor([[each]]) for each in (view.fx, view.fy, view.cx, view.cy)),
        width=torch.tensor([[view.width]]), height=torch.tensor([[view.height]]),
    )  # fmt: skip


def look_from(
    model: InsStylizeModel, view: View, probes: View, codes: Float[Tensor, "codes styles"] | None = None
) -> FieldView:
    """What the field shows of the content and of each style, or under given codes; and where it is dense along the rays of
    `probes`."""
    if codes is None:
        codes = torch.eye(len(model.controls.names)) if model.has_style else torch.zeros(0, len(model.controls.names))
    seen = render_codes(model, camera_of(view), codes)
    alpha = seen.accumulation.permute(1, 2, 0).cpu().clamp(0, 1)
    pictures = torch.stack([seen.content_rgb, *seen.rgb]).permute(0, 2, 3, 1).cpu()
    behind = (1 - alpha) * model.background.cpu()
    rays = camera_of(probes).to(model.device).generate_rays(camera_indices=0, keep_shape=True).flatten()
    along = model.in_chunks(lambda chunk: _along(model, chunk), rays)
    return FieldView(view, pictures - behind, alpha, probes, along["edges"].half().cpu(), along["weights"].half().cpu())


def _along(model: InsStylizeModel, rays: RayBundle) -> dict[str, Tensor]:
    content = model.ray_content
    assert isinstance(content, RayContentField)
    along = content(rays)
    frustums = along.samples.frustums
    edges = torch.cat([frustums.starts[..., 0], frustums.ends[:, -1:, 0]], dim=-1)
    return {"edges": edges, "weights": along.weights[..., 0]}


def painter(model: InsStylizeModel, splats: Gaussians) -> Callable[[Float[Tensor, " styles"]], Float[Tensor, "splats 3"]]:
    """For a style code: the colours that the style gives the content's at the splats' centres.

    `splats` in the host's coordinates. Under the zero code their own colours come back.
    """
    content = model.ray_content
    placed = content.placement
    device = model.device
    means, rgb = splats.means.to(device), splats.rgb.to(device)
    size = mean_size(splats.scales.to(device))
    field = content if isinstance(content, RayContentField) and not model.stylized.mixes_colors else None
    positions, spread = placed(means), SPREAD * size * placed.scale_across(means)

    def told(rows: Tensor) -> SurfacePoints:
        where = rows[:, 0]
        ones = torch.ones(len(where), 1, 1, device=device)
        features = rgb[where] if field is None else field.content(positions[where]).color_features
        return SurfacePoints(positions[where, None], features[:, None], ones, spread[where, None])

    def paint(code: Float[Tensor, " styles"]) -> Float[Tensor, "splats 3"]:
        def at(rows: Tensor) -> dict[str, Tensor]:
            points, own = told(rows), rgb[rows[:, 0]]
            before, after = points.color_features, model.stylized.color_features(points, code).to(own)
            if field is not None:  # without a direction, even where strokes have one: splats do not know it
                before, after = (field.restyle(points, features, None) for features in (before, after))
            change = model.colors.change(after - before)[:, 0]
            return {"rgb": model.recolor(own + change, torch.ones(len(own), 1, device=device), code)}

        rows = torch.arange(len(means), device=device)[:, None]
        return model.in_chunks(at, rows)["rgb"].cpu()

    return paint


def own_splats(model: InsStylizeModel) -> PaintableSplats | None:
    """Those of a content that is splats itself; None of others."""
    content = model.ray_content
    if not isinstance(content, SplatContent):
        return None
    splats = Gaussians(**{name: value.cpu() for name, value in vars(content.splats).items()})
    return PaintableSplats(splats, torch.zeros(len(model.controls.names) if model.has_style else 0, 1, 3))


# ---- kept beside a run

KEPT = "splats.safetensors"
"""Beside config.yml: the splats as they were fitted."""


def fingerprint(model: InsStylizeModel) -> str:
    """Of all that a run has learned: splats of another state of it are not its own."""
    digest = hashlib.sha1(usedforsecurity=False)
    for name, value in model.state_dict().items():
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def kept_splats(model: InsStylizeModel, folder: Path) -> Callable[[Float[Tensor, " styles"]], SplatArrays] | None:
    """By style code: what a page is told of the splats kept in a run's folder; None where there are none of this state."""
    made = own_splats(model)
    if made is None and (folder / KEPT).is_file():
        made = PaintableSplats.load(folder / KEPT, {"network": fingerprint(model)})
    if made is None:
        return None
    paint, spread = painter(model, made.splats), covariances(made.splats)

    def painted(code: Float[Tensor, " styles"]) -> SplatArrays:
        splats = made.painted(code, paint)
        return SplatArrays(
            splats.means.numpy(), spread.numpy(), splats.rgb.clamp(0, 1).numpy(), splats.opacities[:, None].numpy()
        )

    return painted

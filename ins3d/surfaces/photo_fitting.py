"""Fits a surface field to photographs with masks (stage 1, when there is no mesh): IDR, Yariv et al. 2020."""

from typing import cast

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from scipy.ndimage import distance_transform_edt
from torch import Tensor
from torchmetrics.functional.image import peak_signal_noise_ratio

from ins3d.fields.geometry_losses import eikonal_loss, signed_distance_loss, silhouette_loss
from ins3d.placement.posed_pictures import PosedPictures
from ins3d.placement.visual_hull import carve
from ins3d.surfaces.content import SurfaceContent
from ins3d.surfaces.photographs import ObjectPictures
from ins3d.surfaces.sphere_tracing import surface_positions, trace_rays

ALPHA, DOUBLINGS = 50.0, 5
"""Sharpness of silhouettes at the beginning, and how often it is doubled (spec A.9)."""
NO_DIRECTION = 0.1
"""Share of the steps that show the colours no direction: they learn what does not depend on the view."""
HULL_SHARE = 0.05
"""Share of the steps, the first, that make the sphere the visual hull."""
HULL_RESOLUTION = 96


class PhotoLosses:
    """What a step of the fit minimises (spec A.9): colours where ray and silhouette agree, silhouettes elsewhere, eikonal.

    Differs from IDR: the first steps fit the visual hull of the silhouettes instead of carving it out of a sphere; rays of
    a step come from all pictures; half of them from silhouettes.
    """

    def __init__(
        self, content: SurfaceContent, seen: ObjectPictures, num_steps: int, num_rays: int, mask_weight: float,
        eikonal_weight: float,
    ) -> None:  # fmt: skip
        self.content, self.seen, self.num_steps, self.num_rays = content, seen, num_steps, num_rays
        self.mask_weight, self.eikonal_weight = mask_weight, eikonal_weight
        self.covered = (seen.pictures[:, 3] > 0.5).nonzero()
        self.hull = hull_distances(seen)
        self.hull_steps = max(int(HULL_SHARE * num_steps), 1)

    def __call__(self, step: int, generator: torch.Generator) -> dict[str, Tensor]:
        """One step's losses, weighted."""
        if step < self.hull_steps:
            return self._hull_losses(generator)
        cameras, places, rgb, covered = self._draw(generator)
        origins, directions = self.seen.cameras.rays(cameras, places)
        hits = trace_rays(self.content.signed_distance, origins, directions)
        both = hits.hit & covered
        chance = float(torch.rand(1, generator=generator))
        losses = self._color_losses(hits.positions[both], directions[both], rgb[both], chance)
        # The nearest place of a ray that misses lies somewhere on it, outside the object; that of one that hits, on it.
        distance = self.content.signed_distance(hits.positions[~both])
        alpha = ALPHA * 2 ** int(DOUBLINGS * step / self.num_steps)
        losses["mask_loss"] = self.mask_weight * silhouette_loss(distance, covered[~both], alpha, self.num_rays)
        losses["eikonal_loss"] = self.eikonal_weight * self._eikonal(hits.positions[hits.hit], generator)
        return losses

    def _draw(self, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """(camera, place in pixels, colour, whether the object covers it): half inside silhouettes, half anywhere."""
        pictures, half = self.seen.pictures, self.num_rays // 2
        inside = self.covered[torch.randint(len(self.covered), (half,), generator=generator).to(pictures.device)]
        ends = (len(pictures), *pictures.shape[2:])
        anywhere = torch.stack([torch.randint(end, (self.num_rays - half,), generator=generator) for end in ends], -1)
        cameras, rows, columns = torch.cat([inside, anywhere.to(pictures.device)]).unbind(-1)
        values = pictures[cameras, :, rows, columns]
        places = torch.stack([columns, rows], dim=-1) + 0.5
        return cameras, places, values[:, :3], values[:, 3] > 0.5

    def _color_losses(self, at: Tensor, directions: Tensor, rgb: Tensor, chance: float) -> dict[str, Tensor]:
        if not len(at):
            return {}
        with torch.no_grad():
            gradient = self.content.gradient(at)
        on = surface_positions(at, directions, self.content.signed_distance(at), gradient)
        _, features = self.content(on)
        shown = None if chance < NO_DIRECTION else directions
        found = self.content.rgb(features, on, F.normalize(gradient, dim=-1), shown)
        psnr = peak_signal_noise_ratio(found.detach(), rgb, data_range=1.0)
        return {"color_loss": (found - rgb).abs().sum() / (3 * self.num_rays), "psnr": psnr}

    def _eikonal(self, hits: Tensor, generator: torch.Generator) -> Tensor:
        """At places of the surface, beside them, and anywhere in the ball."""
        number = self.num_rays // 4
        places = [2 * torch.rand(number, 3, generator=generator).to(self.seen.pictures) - 1]
        if len(hits):
            on = hits[torch.randint(len(hits), (number,), generator=generator).to(hits.device)]
            places += [on, on + 0.02 * torch.randn(on.shape, generator=generator).to(on)]
        return eikonal_loss(self.content.gradient(torch.cat(places)))

    def _hull_losses(self, generator: torch.Generator) -> dict[str, Tensor]:
        places = (2 * torch.rand(4 * self.num_rays, 3, generator=generator) - 1).to(self.seen.pictures)
        grid = places.flip(-1)[None, :, None, None]
        wanted = F.grid_sample(self.hull[None, None], grid, align_corners=True)[0, 0, :, 0]
        losses = {"hull_loss": signed_distance_loss(self.content.signed_distance(places), wanted)}
        losses["eikonal_loss"] = self.eikonal_weight * eikonal_loss(self.content.gradient(places[: self.num_rays]))
        return losses


def hull_distances(seen: ObjectPictures) -> Float[Tensor, "resolution resolution resolution"]:
    """Signed distance, in [-1, 1]^3, to what no silhouette carves away and lies in the ball."""
    device = seen.pictures.device
    line = torch.linspace(-1, 1, HULL_RESOLUTION, device=device)
    points = torch.stack(torch.meshgrid(line, line, line, indexing="ij"), dim=-1)
    inside = points.norm(dim=-1) < 1
    posed = PosedPictures(seen.pictures[:, 3:], seen.cameras.camera_to_world, seen.cameras.intrinsics)
    inside &= carve(posed, points, range(len(seen.pictures)))[0]
    if not inside.any():
        raise ValueError("images: the silhouettes have no place in common; check that masks and cameras belong together.")
    solid = inside.cpu().numpy()
    cell = 2 / (HULL_RESOLUTION - 1)
    outside, within = (cast(np.ndarray, distance_transform_edt(part)) for part in (~solid, solid))
    distance = (outside - within) * cell
    return torch.from_numpy(distance).float().to(device)


@torch.no_grad()
def compare_views(content: SurfaceContent, seen: ObjectPictures) -> dict[str, int | float]:
    """Of pictures that were not learned from: PSNR where the object is, and how far the silhouettes agree (IoU).

    Pictures without the object are left out; of none there is nothing.
    """
    psnr, overlap = [], []
    for camera, picture in enumerate(seen.pictures):
        origins, directions = seen.cameras.picture_rays(camera)
        hits = trace_rays(content.signed_distance, origins, directions)
        covered = (picture[3] > 0.5).flatten()
        if not covered.any():  # there is nothing to be compared
            continue
        overlap.append(float((hits.hit & covered).sum() / (hits.hit | covered).sum()))
        rgb = torch.zeros(len(origins), 3, device=origins.device)
        at, towards = hits.positions[hits.hit], directions[hits.hit]
        normals = F.normalize(content.gradient(at), dim=-1)
        rgb[hits.hit] = content.rgb(content(at)[1], at, normals, towards)
        # Where the object is missed, black is compared with: a hole costs what it should.
        psnr.append(float(peak_signal_noise_ratio(rgb[covered], picture[:3].flatten(1).T[covered], data_range=1.0)))
    if not psnr:
        return {}
    return {"views": len(psnr), "psnr": sum(psnr) / len(psnr), "silhouette_iou": sum(overlap) / len(overlap)}

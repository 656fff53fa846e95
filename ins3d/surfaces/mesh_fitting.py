"""Fits a surface field to a mesh: signed distance and colours (stage 1, when there is a mesh)."""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from ins3d.fields.geometry_losses import eikonal_loss, normal_loss, signed_distance_loss
from ins3d.meshes.queries import MeshQueries, Progress
from ins3d.runs.training import Losses
from ins3d.surfaces.content import SurfaceContent

DEVIATIONS = (0.004, 0.02, 0.1)
"""Standard deviations, in radii of the ball, of places near the surface."""
EIKONAL_WEIGHT = 0.1


@dataclass(frozen=True)
class MeshSamples:
    """What is known of a mesh at many places."""

    positions: Float[Tensor, "places 3"]
    """Near the surface and anywhere in the ball."""
    distances: Float[Tensor, "places 1"]
    surface: Float[Tensor, "points 3"]
    """On the surface."""
    normals: Float[Tensor, "points 3"]
    rgb: Float[Tensor, "points 3"]


def sample_mesh(
    queries: MeshQueries, number: int, seed: int, device: torch.device, progress: Progress | None = None
) -> MeshSamples:
    """`number` places on the surface, as many near it, and as many in all of the ball. `progress` is told how many of them
    are done, and of how many."""
    random = np.random.default_rng(seed)
    faces, weights = queries.sample_faces(number, random)
    on = queries.mesh.positions_at(faces, weights)
    deviation = random.choice(DEVIATIONS, (number, 1))
    anywhere = random.normal(size=(number, 3))
    anywhere *= random.random((number, 1)) ** (1 / 3) / np.linalg.norm(anywhere, axis=1, keepdims=True)
    places = np.concatenate([on + deviation * random.normal(size=on.shape), anywhere])
    distances = queries.signed_distances(places, progress)[:, None]
    values = (places, distances, on, queries.face_normals[faces], queries.mesh.colors_at(faces, weights))
    return MeshSamples(*(torch.from_numpy(value).float().to(device) for value in values))


def mesh_losses(content: SurfaceContent, samples: MeshSamples, num_points: int, sheet: bool) -> Losses:
    """The field against the mesh: distances at places, and distance 0, normals and colours on the surface.

    A sheet's surface lies inside the solid that is made of it: there only distances are compared.
    """

    def losses(step: int, generator: torch.Generator) -> dict[str, Tensor]:
        places = torch.randint(len(samples.positions), (num_points,), generator=generator)
        points = torch.randint(len(samples.surface), (num_points // 2,), generator=generator)
        positions, surface = samples.positions[places], samples.surface[points]
        wanted = samples.distances[places]
        distance, _ = content(positions)
        on, features = content(surface)
        # Elsewhere than at the samples: nothing is to happen between them.
        elsewhere = positions[: num_points // 2] + 0.05 * torch.randn(num_points // 2, 3, generator=generator).to(positions)
        slopes = content.gradient(torch.cat([surface, elsewhere]))
        gradient, anywhere = slopes.split([len(surface), len(elsewhere)])
        rgb = content.rgb(features, surface, samples.normals[points], None)
        found = {
            "distance_loss": signed_distance_loss(distance, wanted),
            "eikonal_loss": EIKONAL_WEIGHT * eikonal_loss(anywhere),
            "color_loss": 10 * F.mse_loss(rgb, samples.rgb[points]),
        }
        if not sheet:
            found["surface_loss"] = signed_distance_loss(on, torch.zeros_like(on))
            found["normal_loss"] = 0.1 * normal_loss(gradient, samples.normals[points])
        return found

    return losses

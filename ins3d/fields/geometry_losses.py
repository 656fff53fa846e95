"""What is said about the same points by student and teacher, or by a surface and what is known of it, becomes one number."""

import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor


def density_distillation_loss(
    raw_density: Float[Tensor, "*batch 1"], teacher_raw_density: Float[Tensor, "*batch 1"]
) -> Float[Tensor, ""]:
    """mean |student - teacher| of densities before their activation (spec A.7, L_geo), at the same points.

    Differs from INS: the release asks student and teacher at different random points, which leaves a noise floor.

    >>> import torch
    >>> density_distillation_loss(torch.tensor([[1.0], [4.0]]), torch.tensor([[1.0], [2.0]])).item()
    1.0
    """
    return (raw_density - teacher_raw_density.detach()).abs().mean()


def eikonal_loss(gradient: Float[Tensor, "*batch 3"]) -> Float[Tensor, ""]:
    """mean (|gradient| - 1)^2: a distance grows by one unit a unit (spec A.9; IGR, Gropp et al. 2020).

    >>> import torch
    >>> eikonal_loss(torch.tensor([[0.0, 3.0, 4.0], [1.0, 0.0, 0.0]])).item()
    8.0
    """
    return (_length(gradient) - 1).square().mean()


def signed_distance_loss(
    signed_distance: Float[Tensor, "*batch 1"], wanted: Float[Tensor, "*batch 1"], softening: float = 0.05
) -> Float[Tensor, ""]:
    """mean |found - wanted| / (|wanted| + softening): the nearer to the surface, the more an error counts.

    >>> import torch
    >>> signed_distance_loss(torch.tensor([[0.05], [0.45]]), torch.tensor([[0.0], [0.95]])).item()
    0.75
    """
    return ((signed_distance - wanted).abs() / (wanted.abs() + softening)).mean()


def normal_loss(gradient: Float[Tensor, "*batch 3"], normals: Float[Tensor, "*batch 3"]) -> Float[Tensor, ""]:
    """mean |gradient - normal|^2 at the surface; `normals` have unit length.

    >>> import torch
    >>> normal_loss(torch.tensor([[0.0, 0.0, 2.0]]), torch.tensor([[0.0, 1.0, 0.0]])).item()
    5.0
    """
    return (gradient - normals).square().sum(-1).mean()


def silhouette_loss(
    signed_distance: Float[Tensor, "rays 1"], covered: Bool[Tensor, " rays"], alpha: float, num_rays: int
) -> Float[Tensor, ""]:
    """How far rays that should hit the object are from it, and those that should not are inside (IDR, equation 7).

    Cross entropy of sigmoid(-alpha * distance) with the mask, divided by alpha and by the number of rays of the step, those
    that are not asked about included. `signed_distance` is that of the nearest place along each ray.

    >>> import torch
    >>> round(silhouette_loss(torch.tensor([[0.0]]), torch.tensor([True]), 1.0, 2).item(), 4)
    0.3466
    """
    logits = -alpha * signed_distance[:, 0]
    return F.binary_cross_entropy_with_logits(logits, covered.to(logits), reduction="sum") / (alpha * num_rays)


def _length(vectors: Tensor) -> Tensor:
    return vectors.square().sum(-1).clamp(min=1e-12).sqrt()

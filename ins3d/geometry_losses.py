"""What the student and the teacher say about the same points becomes one number."""

from jaxtyping import Float
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

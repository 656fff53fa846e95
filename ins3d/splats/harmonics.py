"""How colours of splats change with the view: real spherical harmonics in the order and with the signs of 3DGS files."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

FIRST = 0.4886025119029199
SECOND = (1.0925484305920792, -1.0925484305920792, 0.31539156525252005, -1.0925484305920792, 0.5462742152960396)
THIRD = (
    -0.5900435899266435, 2.890611442640554, -0.4570457994644658, 0.3731763325901154, -0.4570457994644658,
    1.445305721320277, -0.5900435899266435,
)  # fmt: skip
NUMBER = (0, 3, 8, 15)
"""Of harmonics above degree 0, up to each degree."""


def view_harmonics(directions: Float[Tensor, "*batch 3"], degree: int) -> Float[Tensor, "*batch coefficients"]:
    """Of degrees 1 to `degree` (at most 3), towards unit vectors.

    >>> [round(abs(value), 4) for value in view_harmonics(torch.tensor([0.0, 0.0, 1.0]), 1).tolist()]
    [0.0, 0.4886, 0.0]
    """
    x, y, z = directions.unbind(-1)
    xx, yy, zz = x * x, y * y, z * z
    found = [-FIRST * y, FIRST * z, -FIRST * x]
    if degree > 1:
        second = (x * y, y * z, 2 * zz - xx - yy, x * z, xx - yy)
        found += [factor * each for factor, each in zip(SECOND, second, strict=True)]
    if degree > 2:
        third = (
            y * (3 * xx - yy), x * y * z, y * (4 * zz - xx - yy), z * (2 * zz - 3 * xx - 3 * yy), x * (4 * zz - xx - yy),
            z * (xx - yy), x * (xx - 3 * yy),
        )  # fmt: skip
        found += [factor * each for factor, each in zip(THIRD, third, strict=True)]
    return torch.stack(found[: NUMBER[degree]], dim=-1)


def view_colors(
    harmonics: Float[Tensor, "splats coefficients 3"], directions: Float[Tensor, "splats 3"]
) -> Float[Tensor, "splats 3"]:
    """What is added to the colours that do not depend on the view."""
    basis = view_harmonics(directions, NUMBER.index(harmonics.shape[1]))
    return (basis[..., None] * harmonics).sum(1)


def turned_harmonics(rotation: Float[Tensor, "3 3"], degree: int) -> Float[Tensor, "coefficients coefficients"]:
    """What coefficients are multiplied by when what they colour is turned: those of the same function, turned.

    Harmonics of a degree turned are sums of those of that degree, so that enough directions determine them.
    """
    some = F.normalize(torch.randn(64, 3, generator=torch.Generator().manual_seed(0)), dim=-1).double()
    before, after = (view_harmonics(each, degree) for each in (some, some @ rotation.double().cpu()))
    return torch.linalg.lstsq(before, after).solution.to(rotation)

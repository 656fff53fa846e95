"""A scene as 3D Gaussians (Kerbl et al. 2023)."""

from dataclasses import dataclass, fields, replace

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ins3d.splats.harmonics import NUMBER, turned_harmonics


@dataclass(frozen=True)
class Gaussians:
    """Splats, in the units of the space that `means` lie in."""

    means: Float[Tensor, "splats 3"]
    scales: Float[Tensor, "splats 3"]
    """Standard deviations along the splat's own axes, above 0."""
    rotations: Float[Tensor, "splats 4"]
    """Unit quaternions w, x, y, z: from the splat's own axes to those of the space."""
    opacities: Float[Tensor, " splats"]
    """In (0, 1): what a splat hides at its centre."""
    rgb: Float[Tensor, "splats 3"]
    """The colour that does not depend on the view; it may lie outside [0, 1], where splats make up for each other."""
    harmonics: Float[Tensor, "splats coefficients 3"]
    """Of the degrees above 0, in the order of the 3DGS files: 0, 3, 8 or 15 coefficients."""

    def __len__(self) -> int:
        return len(self.means)

    def __getitem__(self, which: Bool[Tensor, " splats"] | Int[Tensor, " some"] | slice) -> "Gaussians":
        """Some of them."""
        return Gaussians(*(getattr(self, each.name)[which] for each in fields(self)))

    @property
    def degree(self) -> int:
        """Of the spherical harmonics, 0 to 3."""
        return NUMBER.index(self.harmonics.shape[1])

    def painted(self, rgb: Float[Tensor, "splats 3"]) -> "Gaussians":
        """The same splats in other colours; how these change with the view stays."""
        return replace(self, rgb=rgb)

    def mapped(self, rotation: Float[Tensor, "3 3"], translation: Float[Tensor, " 3"], scale: float) -> "Gaussians":
        """Under a similarity: every place p becomes scale * rotation p + translation.

        What changes with the view turns with the splats.
        """
        turn = quaternion_of(rotation).to(self.rotations)
        harmonics = self.harmonics
        if self.degree:
            harmonics = torch.einsum("ij,njc->nic", turned_harmonics(rotation.to(harmonics), self.degree), harmonics)
        return replace(
            self,
            means=scale * self.means @ rotation.to(self.means).T + translation.to(self.means),
            scales=scale * self.scales,
            rotations=multiplied(turn.expand_as(self.rotations), self.rotations),
            harmonics=harmonics,
        )


def plain_gaussians(
    means: Float[Tensor, "splats 3"],
    scales: Float[Tensor, "splats 3"],
    rotations: Float[Tensor, "splats 4"],
    opacities: Float[Tensor, " splats"],
    rgb: Float[Tensor, "splats 3"],
) -> Gaussians:
    """Splats whose colours are the same from everywhere."""
    return Gaussians(means, scales, F.normalize(rotations, dim=-1), opacities, rgb, rgb.new_zeros(len(rgb), 0, 3))


def rotation_matrices(quaternions: Float[Tensor, "splats 4"]) -> Float[Tensor, "splats 3 3"]:
    """Of quaternions w, x, y, z of any length but 0.

    >>> rotation_matrices(torch.tensor([[1.0, 0, 0, 1]]))[0].round(decimals=6).abs().tolist()
    [[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]
    """
    w, x, y, z = F.normalize(quaternions, dim=-1).unbind(-1)
    rows = [
        1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y),
        2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x),
        2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y),
    ]  # fmt: skip
    return torch.stack(rows, dim=-1).reshape(-1, 3, 3)


def covariances(splats: Gaussians) -> Float[Tensor, "splats 3 3"]:
    """Of the splats' places."""
    spread = rotation_matrices(splats.rotations) * splats.scales[:, None]
    return spread @ spread.mT


def quaternion_of(rotation: Float[Tensor, "3 3"]) -> Float[Tensor, " 4"]:
    """w, x, y, z of a rotation matrix."""
    from scipy.spatial.transform import Rotation

    x, y, z, w = Rotation.from_matrix(rotation.double().numpy()).as_quat()
    return torch.tensor([w, x, y, z])


def multiplied(first: Float[Tensor, "splats 4"], second: Float[Tensor, "splats 4"]) -> Float[Tensor, "splats 4"]:
    """The rotation `second`, then `first`.

    >>> half = torch.tensor([[0.5**0.5, 0, 0, 0.5**0.5]])
    >>> multiplied(half, half).round(decimals=6).abs().tolist()
    [[0.0, 0.0, 0.0, 1.0]]
    """
    (w, x, y, z), (a, b, c, d) = first.unbind(-1), second.unbind(-1)
    return torch.stack(
        [w * a - x * b - y * c - z * d, w * b + x * a + y * d - z * c,
         w * c - x * d + y * a + z * b, w * d + x * c - y * b + z * a], dim=-1
    )  # fmt: skip

import pytest
import torch
import torch.nn.functional as F
from gsplat.cuda._torch_impl import _spherical_harmonics

from ins3d.splats.harmonics import NUMBER, view_colors, view_harmonics


def directions(number: int) -> torch.Tensor:
    """Evenly over the sphere."""
    steps = torch.arange(number, dtype=torch.double) + 0.5
    height, angle = 1 - 2 * steps / number, steps * torch.pi * (3 - 5**0.5)
    flat = (1 - height.square()).sqrt()
    return torch.stack([flat * angle.cos(), flat * angle.sin(), height], dim=-1)


def test_all_are_of_length_one_and_at_right_angles_to_each_other():
    basis = view_harmonics(directions(20_000), 3)
    products = 4 * torch.pi * basis.T @ basis / len(basis)
    assert torch.allclose(products, torch.eye(15, dtype=torch.double), atol=1e-3)


@pytest.mark.parametrize("degree", [1, 2, 3])
def test_colours_are_those_of_gsplat(degree: int):
    generator = torch.Generator().manual_seed(degree)
    towards = F.normalize(torch.randn(40, 3, generator=generator), dim=-1)
    harmonics = torch.randn(40, NUMBER[degree], 3, generator=generator)
    theirs = _spherical_harmonics(degree, towards, torch.cat([torch.zeros(40, 1, 3), harmonics], dim=1))
    assert torch.allclose(view_colors(harmonics, towards), theirs, atol=1e-5)

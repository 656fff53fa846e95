import torch

from ins3d.splats.gaussians import plain_gaussians
from ins3d.splats.splitting import split_large
from tests.splats.clouds import some_splats


def depth_at(splats, places: torch.Tensor) -> torch.Tensor:
    """Optical depth of axis-aligned splats, one over the other, at places."""
    away = (places[:, None] - splats.means) / splats.scales
    return (-torch.log1p(-splats.opacities) * torch.exp(-0.5 * away.square().sum(-1))).sum(-1)


def one_splat(scales: list[float], opacity: float = 0.6):
    return plain_gaussians(
        torch.zeros(1, 3),
        torch.tensor([scales]),
        torch.tensor([[1.0, 0, 0, 0]]),
        torch.tensor([opacity]),
        torch.ones(1, 3) / 2,
    )


class TestSplitLarge:
    def test_parts_are_as_small_as_asked_and_hide_what_the_splat_hid(self):
        whole = one_splat([4.0, 0.5, 2.0])
        parts = split_large(whole, torch.tensor([1.0]), 1000.0)
        assert len(parts) > 10 and float(parts.scales.max()) <= 1.0
        assert torch.allclose(parts.scales[:, 1], torch.tensor(0.5))  # was small enough
        places = torch.tensor([4.0, 0.5, 2.0]) * torch.randn(500, 3, generator=torch.Generator().manual_seed(1)).clamp(
            -1.5, 1.5
        )
        assert ((depth_at(parts, places) - depth_at(whole, places)).abs() < 0.06).all()  # of .92 in the middle

    def test_small_splats_stay_as_they_are(self):
        splats = some_splats(30)
        assert split_large(splats, torch.full((30,), 10.0), 2.0) is splats

    def test_there_are_never_more_than_growth_times_as_many(self):
        splats = some_splats(100)
        parts = split_large(splats, torch.full((100,), 0.02), 3.0)
        assert 100 < len(parts) <= 300

    def test_turned_splats_are_split_along_their_own_axes(self):
        turned = one_splat([3.0, 0.1, 0.1])
        half = 0.5**0.5
        turned.rotations[0] = torch.tensor([half, 0, 0, half])  # a quarter turn about z: x becomes y
        parts = split_large(turned, torch.tensor([1.0]), 100.0)
        assert parts.means[:, 1].abs().max() > 2 and parts.means[:, [0, 2]].abs().max() < 1e-5

    def test_colours_and_harmonics_are_the_splats(self):
        splats = some_splats(20, degree=1)
        parts = split_large(splats, torch.full((20,), 0.05), 10.0)
        assert set(map(tuple, parts.rgb.tolist())) == set(map(tuple, splats.rgb.tolist()))
        assert parts.harmonics.shape[1] == 3

import math

import pytest
import torch
from pytest import approx
from torch import Tensor

from ins3d.evaluation.strokes import stroke_coherence
from ins3d.perception.stroke_direction import coherence_loss, coherence_of


def stripes(angle: float, side: int = 64, channels: int = 3) -> Tensor:
    """Of 8 positions, rising at `angle` degrees."""
    down, across = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    along = across * math.cos(math.radians(angle)) + down * math.sin(math.radians(angle))
    return torch.sin(along * math.pi / 4).expand(1, channels, side, side)


def noise(side: int = 64) -> Tensor:
    return torch.randn(1, 3, side, side, generator=torch.Generator().manual_seed(3))


def of(features: Tensor, mask: Tensor | None = None) -> float:
    return coherence_of({"relu1_2": features}, mask)["relu1_2"].item()


class TestCoherence:
    @pytest.mark.parametrize("angle", [0, 30, 90, 135])
    def test_parallel_stripes_have_one_direction_whichever_it_is(self, angle: float):
        assert of(stripes(angle)) == approx(1, abs=0.02)

    def test_what_is_flat_and_what_is_smaller_than_a_gradient_have_none(self):
        assert of(torch.ones(1, 3, 32, 32)) == approx(0, abs=1e-3)
        assert of(torch.rand(1, 3, 2, 2)) == 0

    def test_checks_have_none_and_noise_little(self):
        assert of(stripes(0) + stripes(90)) < 0.1
        assert of(noise()) < 0.35

    def test_channels_are_seen_together(self):
        assert of(torch.cat([stripes(0), stripes(90)], dim=1)) < 0.1  # each channel alone has one direction

    def test_it_is_that_of_the_places_that_the_mask_counts(self):
        both = torch.cat([stripes(0), noise()], dim=3)
        left = torch.zeros(1, 1, 64, 128)
        left[..., :60] = 1
        assert of(both, left) == approx(1, abs=0.03)
        assert of(both, 1 - left) < 0.5

    def test_it_orders_pictures_as_the_judge_does(self):
        pictures = [stripes(20) + share * noise() for share in (0.0, 0.3, 1.0)]
        ours = [of(picture) for picture in pictures]
        judged = [float(stroke_coherence(picture[0]).mean()) for picture in pictures]
        assert ours == sorted(ours, reverse=True) and judged == sorted(judged, reverse=True)

    def test_every_picture_of_a_batch_has_its_own(self):
        found = coherence_of({"relu1_2": torch.cat([stripes(0), noise()])})["relu1_2"]
        assert found.tolist() == approx([of(stripes(0)), of(noise())])


class TestLoss:
    def test_descending_it_lays_noise_in_strokes(self):
        wanted = {"relu1_2": torch.tensor([0.9])}
        picture = noise(32).requires_grad_(True)
        before = of(picture.detach())
        optimizer = torch.optim.Adam([picture], lr=0.05)
        for _ in range(60):
            optimizer.zero_grad()
            coherence_loss(coherence_of({"relu1_2": picture}), wanted).backward()
            optimizer.step()
        assert of(picture.detach()) > before + 0.3

    def test_a_style_of_one_flat_colour_asks_for_nothing(self):
        flat = coherence_of({"relu1_2": torch.full((1, 3, 16, 16), 0.5)})
        for picture in (torch.zeros(1, 3, 16, 16), noise(16), stripes(0, 16)):
            assert coherence_loss(coherence_of({"relu1_2": picture}), flat).item() == 0

    def test_gradients_are_finite_where_nothing_is_painted_and_where_enough_is(self):
        for picture in (torch.zeros(1, 3, 16, 16), stripes(0, 16)):
            leaf = picture.clone().requires_grad_(True)
            coherence_loss(coherence_of({"relu1_2": leaf}), {"relu1_2": torch.tensor([0.5])}).backward()
            assert leaf.grad is not None and bool(leaf.grad.isfinite().all())

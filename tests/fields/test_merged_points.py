import pytest
import torch
from jaxtyping import TypeCheckError
from torch import Tensor

from ins3d.fields.merged_points import merge_samples


def slow_merge(weights: Tensor, values: Tensor, num_points: int) -> Tensor:
    """Walks along one ray [samples] and pours the weight into `num_points` buckets of equal size."""
    bucket = weights.sum().item() / num_points
    means, point, room = torch.zeros(num_points, values.shape[1], dtype=values.dtype), 0, bucket
    for weight, value in zip(weights.tolist(), values, strict=True):
        while weight > 1e-12 and point < num_points:
            poured = min(weight, room)
            means[point] += poured / bucket * value
            weight, room = weight - poured, room - poured
            if room <= 1e-12:
                point, room = point + 1, bucket
    return means


@pytest.fixture
def rays(random: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """3 rays of 6 samples: weights, positions, features."""
    weights = torch.rand(3, 6, 1, generator=random) * 0.16
    return weights, torch.randn(3, 6, 3, generator=random), torch.randn(3, 6, 4, generator=random)


class TestMergeSamples:
    @pytest.mark.parametrize("num_points", [1, 2, 3, 5])
    def test_equals_a_slow_walk_along_each_ray(self, rays, num_points: int):
        weights, positions, features = rays
        merged = merge_samples(weights, positions, features, num_points)
        for ray in range(3):
            expected = slow_merge(weights[ray, :, 0], torch.cat([positions, features], -1)[ray], num_points)
            found = torch.cat([merged.positions, merged.color_features], -1)[ray]
            torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)

    def test_returns_the_samples_when_there_are_as_many_points_of_equal_weight(self, rays):
        _, positions, features = rays
        merged = merge_samples(torch.full((3, 6, 1), 0.1), positions, features, num_points=6)
        torch.testing.assert_close(merged.positions, positions, atol=1e-5, rtol=0)
        torch.testing.assert_close(merged.color_features, features, atol=1e-5, rtol=0)
        torch.testing.assert_close(merged.weights, torch.full((3, 6, 1), 0.1))

    def test_one_point_is_the_weighted_mean(self, rays):
        weights, positions, features = rays
        merged = merge_samples(weights, positions, features, num_points=1)
        torch.testing.assert_close(merged.positions[:, 0], (weights * positions).sum(1) / weights.sum(1))
        torch.testing.assert_close(merged.color_features[:, 0], (weights * features).sum(1) / weights.sum(1))

    @pytest.mark.parametrize("num_points", [1, 2, 4])
    def test_keeps_the_total_weight_in_equal_parts_and_the_mean(self, rays, num_points: int):
        weights, positions, features = rays
        merged = merge_samples(weights, positions, features, num_points)
        torch.testing.assert_close(merged.weights.sum(1), weights.sum(1))
        torch.testing.assert_close(merged.weights.amax(1), merged.weights.amin(1))
        # A colour that is linear in the features is therefore rendered exactly.
        torch.testing.assert_close((merged.weights * merged.color_features).sum(1), (weights * features).sum(1))

    def test_shares_a_sample_on_a_cut_between_its_pieces(self):
        # Weights 1/4, 1/2, 1/4: each half takes one end and half of the middle: means (0 + 1) / 2 and (1 + 2) / 2.
        weights = torch.tensor([[0.25], [0.5], [0.25]])
        positions = torch.tensor([[0.0, 0, 0], [1, 0, 0], [2, 0, 0]])
        merged = merge_samples(weights, positions, positions, num_points=2)
        assert merged.positions.tolist() == [[0.5, 0, 0], [1.5, 0, 0]]
        assert merged.weights.tolist() == [[0.5], [0.5]]

    def test_spread_is_the_weighted_standard_deviation(self):
        # Weights .3 and .1 at distance 4: mean 1, variance .75 * 1 + .25 * 9 = 3.
        weights = torch.tensor([[0.3], [0.1]])
        positions = torch.tensor([[0.0, 0, 0], [0, 4, 0]])
        merged = merge_samples(weights, positions, positions, num_points=1)
        torch.testing.assert_close(merged.positions, torch.tensor([[0.0, 1, 0]]))
        assert merged.spread.item() == pytest.approx(3**0.5)

    def test_what_a_pixel_sees_across_the_ray_adds_to_the_spread_as_variances_do(self):
        weights = torch.tensor([[0.3], [0.1]])
        positions = torch.tensor([[0.0, 0, 0], [0, 4, 0]])
        # Along the ray 3 * .5 ** 2; across it the mean of 1 and 5, weighted, is 2.
        merged = merge_samples(weights, positions, positions, 1, spread_mult=0.5, footprint=torch.tensor([[1.0], [5.0]]))
        assert merged.spread.item() == pytest.approx((0.75 + 4) ** 0.5)

    def test_a_point_of_one_sample_has_no_spread(self, rays):
        weights, positions, features = rays
        weights = torch.zeros_like(weights)
        weights[:, 2] = 0.7
        merged = merge_samples(weights, positions, features, num_points=2)
        torch.testing.assert_close(merged.positions, positions[:, 2:3].expand(-1, 2, -1))
        assert merged.spread.abs().max() < 1e-3

    def test_a_ray_that_hits_nothing_gives_finite_values_and_gradients(self, rays):
        _, positions, features = rays
        weights = torch.zeros(3, 6, 1, requires_grad=True)
        merged = merge_samples(weights, positions.requires_grad_(), features.requires_grad_(), num_points=3)
        assert merged.weights.abs().max() == 0 and merged.positions.abs().max() == 0 and merged.spread.abs().max() == 0
        (merged.weights * merged.color_features + merged.positions.sum() + merged.spread).sum().backward()
        for value in (weights, positions, features):
            assert value.grad is not None and value.grad.isfinite().all()

    @pytest.mark.parametrize("num_points", [1, 3])
    def test_gradients_equal_finite_differences(self, rays, num_points: int):
        doubles = [value.double().requires_grad_() for value in rays]

        def merged(*values: Tensor):
            points = merge_samples(*values, num_points)
            return points.positions, points.color_features, points.weights

        assert torch.autograd.gradcheck(merged, doubles)

    def test_spread_is_measured_and_not_trained(self, rays):
        weights, positions, features = rays
        assert not merge_samples(weights.requires_grad_(), positions, features, 2).spread.requires_grad

    def test_does_not_depend_on_the_scale_of_the_weights(self, rays):
        weights, positions, features = rays
        one, other = merge_samples(weights, positions, features, 2), merge_samples(weights / 8, positions, features, 2)
        torch.testing.assert_close(one.positions, other.positions)
        torch.testing.assert_close(one.spread, other.spread)

    def test_refuses_weights_of_another_number_of_samples(self, rays):
        with pytest.raises(TypeCheckError):
            merge_samples(rays[0][:, :4], rays[1], rays[2], 1)

import pytest
import torch
from jaxtyping import TypeCheckError
from torch import Tensor

from ins3d.perception.color_transfer import (
    LUMINANCE,
    ColorStatistics,
    apply_color_map,
    between,
    brightness_only,
    color_statistics,
    compose,
    identity_map,
    matching_map,
)


@pytest.fixture
def rgb(random: torch.Generator) -> Tensor:
    """Colours whose channels vary together."""
    mixing = torch.tensor([[0.3, 0.1, 0.0], [0.1, 0.2, 0.05], [0.0, 0.02, 0.1]])
    return torch.rand(500, 3, generator=random) @ mixing + 0.2


@pytest.fixture
def other(random: torch.Generator) -> Tensor:
    random.manual_seed(1)
    mixing = torch.tensor([[0.1, 0.0, 0.2], [0.0, 0.3, -0.1], [0.05, -0.1, 0.4]])
    return torch.rand(300, 3, generator=random) @ mixing + 0.3


def chroma(rgb: Tensor) -> Tensor:
    """Cb and Cr of Rec. 601."""
    luminance = rgb @ torch.tensor(LUMINANCE)
    return torch.stack([(rgb[..., 2] - luminance) / 1.772, (rgb[..., 0] - luminance) / 1.402], dim=-1)


class TestColorStatistics:
    def test_are_worked_out_by_hand(self):
        # Two colours: mean (.5, .5, .5); deviations +-(.5, 0, .5), whose products average to .25.
        found = color_statistics(torch.tensor([[0.0, 0.5, 0.0], [1.0, 0.5, 1.0]]))
        assert found.mean.tolist() == [0.5, 0.5, 0.5]
        assert found.covariance.tolist() == [[0.25, 0, 0.25], [0, 0, 0], [0.25, 0, 0.25]]

    def test_equal_a_slow_loop(self, rgb: Tensor, random: torch.Generator):
        for weights in (None, torch.rand(500, 1, generator=random)):
            shares = [1.0] * 500 if weights is None else weights[:, 0].tolist()
            mean = sum(share * color.double() for share, color in zip(shares, rgb, strict=True)) / sum(shares)
            covariance = torch.zeros(3, 3, dtype=torch.float64)
            for share, color in zip(shares, rgb, strict=True):
                covariance += share * torch.outer(color - mean, color - mean) / sum(shares)
            found = color_statistics(rgb, weights)
            torch.testing.assert_close(found.mean, mean.float())
            torch.testing.assert_close(found.covariance, covariance.float())

    def test_weights_of_one_are_none_and_what_weighs_nothing_does_not_matter(self, rgb: Tensor):
        weights = torch.ones(500, 1)
        assert color_statistics(rgb, weights) is not None
        torch.testing.assert_close(vars(color_statistics(rgb, weights)), vars(color_statistics(rgb)))
        weights[:200], expected = 0, color_statistics(rgb[200:])
        rgb[:200] = 50
        torch.testing.assert_close(vars(color_statistics(rgb, weights)), vars(expected))

    def test_do_not_know_where_things_are(self, rgb: Tensor, random: torch.Generator):
        shuffled = rgb[torch.randperm(500, generator=random)]
        torch.testing.assert_close(vars(color_statistics(shuffled)), vars(color_statistics(rgb)))

    def test_of_nothing_are_finite(self, rgb: Tensor):
        found = color_statistics(rgb, torch.zeros(500, 1))
        assert found.mean.isfinite().all() and found.covariance.isfinite().all()

    def test_refuse_a_picture_that_is_not_a_list_of_pixels(self):
        with pytest.raises(TypeCheckError):
            color_statistics(torch.rand(3, 8, 8))


class TestMatchingMap:
    def test_gives_the_mean_and_the_covariance_of_the_target(self, rgb: Tensor, other: Tensor):
        target = color_statistics(other)
        moved = color_statistics(apply_color_map(matching_map(color_statistics(rgb), target), rgb))
        torch.testing.assert_close(moved.mean, target.mean, atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(moved.covariance, target.covariance, atol=1e-6, rtol=1e-4)

    def test_is_worked_out_by_hand(self):
        # Channels that vary apart are scaled by the ratio of deviations: 2, 1/2 and 3; b = target mean - A mean.
        source = ColorStatistics(torch.tensor([0.1, 0.2, 0.3]), torch.diag(torch.tensor([0.01, 0.04, 0.01])))
        target = ColorStatistics(torch.tensor([0.5, 0.5, 0.5]), torch.diag(torch.tensor([0.04, 0.01, 0.09])))
        found = matching_map(source, target)
        torch.testing.assert_close(found[:, :3], torch.diag(torch.tensor([2.0, 0.5, 3.0])))
        torch.testing.assert_close(found[:, 3], torch.tensor([0.3, 0.4, -0.4]))

    def test_turns_no_colour_around(self, rgb: Tensor, other: Tensor):
        """Symmetric and positive: along every direction, what was further stays further."""
        linear = matching_map(color_statistics(rgb), color_statistics(other))[:, :3]
        torch.testing.assert_close(linear, linear.T, atol=1e-5, rtol=0)
        assert float(torch.linalg.eigvalsh(linear).min()) > 0

    def test_moves_colours_less_than_arfs_map(self, rgb: Tensor, other: Tensor):
        source, target = color_statistics(rgb), color_statistics(other)

        def root(covariance: Tensor, exponent: float) -> Tensor:
            values, vectors = torch.linalg.eigh(covariance.double())
            return vectors @ torch.diag(values**exponent) @ vectors.T

        linear = (root(target.covariance, 0.5) @ root(source.covariance, -0.5)).float()
        arf = torch.cat([linear, (target.mean - linear @ source.mean)[:, None]], dim=1)
        moved = [(apply_color_map(each, rgb) - rgb).square().sum(-1).mean() for each in (matching_map(source, target), arf)]
        assert moved[0] < moved[1]

    def test_the_shades_of_a_grey_scene_stay_shades(self):
        """Clay under a painting whose brightness varies with its blue: darker is darker, and no violet comes of it."""
        shades = torch.linspace(0.3, 0.7, 200)[:, None].expand(200, 3) + torch.tensor([0.02, 0.0, -0.02])
        painting = torch.rand(500, 3, generator=torch.Generator().manual_seed(2)) * torch.tensor([0.3, 0.4, 0.9])
        mapped = apply_color_map(matching_map(color_statistics(shades), color_statistics(painting), 8.0), shades)
        assert bool((mapped.diff(dim=0) > 0).all())

    def test_to_the_same_colors_changes_nothing(self, rgb: Tensor):
        source = color_statistics(rgb)
        torch.testing.assert_close(matching_map(source, source), identity_map(), atol=1e-4, rtol=0)

    def test_there_and_back_changes_nothing(self, rgb: Tensor, other: Tensor):
        source, target = color_statistics(rgb), color_statistics(other)
        there = matching_map(source, target)
        back = matching_map(color_statistics(apply_color_map(there, rgb)), source)
        moved = color_statistics(apply_color_map(compose(back, there), rgb))
        torch.testing.assert_close(vars(moved), vars(source), atol=1e-5, rtol=1e-3)

    def test_does_not_blow_up_channels_that_do_not_vary(self, other: Tensor):
        # Deviations below one of 255 steps count as one: nothing grows more than 255 times.
        flat = torch.full((10, 3), 0.7)
        target = color_statistics(other)
        found = matching_map(color_statistics(flat), target)
        assert found.isfinite().all() and torch.linalg.matrix_norm(found[:, :3], 2) < 255
        torch.testing.assert_close(apply_color_map(found, flat), target.mean.expand(10, 3), atol=1e-4, rtol=0)


class TestApplyColorMap:
    def test_is_worked_out_by_hand(self):
        # Red becomes 2 * green + .1, green 3 * red, blue blue - .2.
        color_map = torch.tensor([[0.0, 2.0, 0.0, 0.1], [3.0, 0.0, 0.0, 0.0], [0.0, 0.0, 1.0, -0.2]])
        found = apply_color_map(color_map, torch.tensor([0.1, 0.2, 0.3]))
        torch.testing.assert_close(found, torch.tensor([0.5, 0.3, 0.1]))

    def test_goes_with_compositing(self, random: torch.Generator):
        # Colours are sums of samples times their weights: mapping the sum is summing what was mapped.
        color_map, samples = torch.rand(3, 4, generator=random), torch.rand(5, 7, 3, generator=random)
        weights = torch.rand(5, 7, 1, generator=random)
        mapped_last = apply_color_map(color_map, (weights * samples).sum(1), weights.sum(1))
        torch.testing.assert_close(mapped_last, (weights * apply_color_map(color_map, samples)).sum(1))

    def test_does_not_clamp(self):
        color_map = torch.cat([3 * torch.eye(3), torch.full((3, 1), -1.0)], dim=1)
        assert apply_color_map(color_map, torch.tensor([0.0, 0.5, 1.0])).tolist() == [-1, 0.5, 2]

    def test_of_the_identity_changes_nothing(self, rgb: Tensor):
        assert torch.equal(apply_color_map(identity_map(), rgb), rgb)

    def test_refuses_colors_of_four_channels(self):
        with pytest.raises(TypeCheckError):
            apply_color_map(identity_map(), torch.rand(5, 4))


class TestCompose:
    def test_does_the_second_map_after_the_first(self, rgb: Tensor, random: torch.Generator):
        after, before = torch.rand(2, 3, 4, generator=random)
        step_by_step = apply_color_map(after, apply_color_map(before, rgb))
        torch.testing.assert_close(apply_color_map(compose(after, before), rgb), step_by_step)

    def test_with_the_identity_changes_nothing(self, random: torch.Generator):
        color_map = torch.rand(3, 4, generator=random)
        torch.testing.assert_close(compose(identity_map(), color_map), color_map)
        torch.testing.assert_close(compose(color_map, identity_map()), color_map)


class TestBrightnessOnly:
    def test_keeps_cb_and_cr_and_takes_the_change_of_luminance(self, rgb: Tensor, random: torch.Generator):
        change = torch.randn(500, 3, generator=random)
        found = rgb + brightness_only(change)
        torch.testing.assert_close(chroma(found), chroma(rgb), atol=1e-5, rtol=0)
        luminance = torch.tensor(LUMINANCE)
        torch.testing.assert_close(found @ luminance, (rgb + change) @ luminance)

    def test_of_a_change_of_brightness_is_that_change(self):
        # The three weights sum to 1.
        change = torch.tensor([[0.3, 0.3, 0.3], [-1.0, -1.0, -1.0]])
        torch.testing.assert_close(brightness_only(change), change)

    def test_of_a_change_of_color_alone_is_nothing(self):
        # .587 less of red for .299 more of green: equally bright.
        torch.testing.assert_close(brightness_only(torch.tensor([0.587, -0.299, 0.0])), torch.zeros(3), atol=1e-7, rtol=0)


class TestGain:
    def test_no_direction_of_colour_is_stretched_or_shrunk_further(self, random: torch.Generator):
        pixels = torch.rand(400, 3, generator=random) * torch.tensor([0.1, 0.5, 1.0])
        wanted = color_statistics(torch.rand(400, 3, generator=random) * torch.tensor([1.0, 0.5, 0.1]))
        free, bound = matching_map(color_statistics(pixels), wanted), matching_map(color_statistics(pixels), wanted, 1.5)
        assert float(torch.linalg.svdvals(free[:, :3]).max()) > 5
        gains = torch.linalg.svdvals(bound[:, :3])
        assert float(gains.max()) <= 1.5 + 1e-5 and float(gains.min()) >= 1 / 1.5 - 1e-5
        # The mean is matched all the same.
        assert torch.allclose(apply_color_map(bound, pixels).mean(0), wanted.mean, atol=1e-5)


def test_between_two_statistics_lie_their_weighted_means(random):
    one, other = (ColorStatistics(torch.rand(3, generator=random), torch.rand(3, 3, generator=random)) for _ in range(2))
    assert torch.equal(between(one, other, 0.0).covariance, one.covariance)
    quarter = between(one, other, 0.25)
    torch.testing.assert_close(quarter.mean, 0.75 * one.mean + 0.25 * other.mean)
    torch.testing.assert_close(quarter.covariance, 0.75 * one.covariance + 0.25 * other.covariance)

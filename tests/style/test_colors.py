import pytest
import torch

from ins3d.perception.color_transfer import ColorStatistics, color_statistics
from ins3d.style.colors import MOST_GAIN, StyleColors


@pytest.fixture
def pixels(random: torch.Generator) -> torch.Tensor:
    return torch.rand(500, 3, generator=random) * torch.tensor([0.2, 0.5, 0.9])


@pytest.fixture
def wanted(random: torch.Generator) -> ColorStatistics:
    return color_statistics(torch.rand(300, 3, generator=random) ** 2)


class TestModes:
    @pytest.mark.parametrize("mode", ["style", "content", "none"])
    def test_the_zero_code_changes_nothing(self, mode, pixels: torch.Tensor, wanted: ColorStatistics):
        colors = StyleColors(mode, 2)
        colors.match(0, color_statistics(pixels), wanted)
        assert torch.equal(colors.map(pixels, 1.0, torch.zeros(2)), pixels)

    def test_each_style_brings_its_own_colours_and_mixtures_lie_between(self, pixels, wanted: ColorStatistics):
        colors = StyleColors("style", 2)
        colors.match(1, color_statistics(pixels), wanted)
        first, second = (colors.map(pixels, 1.0, code) for code in torch.eye(2))
        assert torch.equal(first, pixels)
        assert torch.allclose(color_statistics(second).mean, wanted.mean, atol=1e-5)
        assert torch.allclose(color_statistics(second).covariance, wanted.covariance, atol=1e-5)
        half = colors.map(pixels, 1.0, torch.tensor([0.5, 0.5]))
        assert torch.allclose(half, (first + second) / 2, atol=1e-6)

    def test_matching_again_goes_on_from_where_the_map_was(self, pixels, wanted: ColorStatistics):
        colors = StyleColors("style", 1)
        code = torch.ones(1)
        colors.match(0, color_statistics(pixels), ColorStatistics(torch.full((3,), 0.3), 0.1 * torch.eye(3)))
        colors.match(0, color_statistics(colors.map(pixels, 1.0, code)), wanted)
        assert torch.allclose(color_statistics(colors.map(pixels, 1.0, code)).mean, wanted.mean, atol=1e-5)

    def test_grey_is_not_stretched_into_noise_however_often_it_is_matched(self, random, wanted: ColorStatistics):
        grey = torch.rand(500, 1, generator=random).expand(-1, 3) + 0.004 * torch.rand(500, 3, generator=random)
        colors, code = StyleColors("style", 1), torch.ones(1)
        for finish in (colors.match, colors.finish, colors.finish):
            finish(0, color_statistics(colors.map(grey, 1.0, code)), wanted)
            found = color_statistics(colors.map(grey, 1.0, code))
            torch.testing.assert_close(found.mean, wanted.mean, atol=1e-4, rtol=0)
            assert float(torch.linalg.svdvals(colors.maps[0, :, :3]).max()) <= MOST_GAIN * 1.001

    def test_what_is_finished_is_undone_by_reopening(self, pixels, wanted: ColorStatistics):
        colors, code = StyleColors("style", 2), torch.tensor([1.0, 0.0])
        for style in (0, 1):
            colors.match(style, color_statistics(pixels), ColorStatistics(torch.full((3,), 0.3), 0.1 * torch.eye(3)))
        learned = colors.maps.clone()
        for style in (0, 1):
            colors.finish(style, color_statistics(colors.map(pixels, 1.0, code)), wanted)
        finished = colors.maps.clone()
        torch.testing.assert_close(color_statistics(colors.map(pixels, 1.0, code)).mean, wanted.mean, atol=1e-5, rtol=0)
        colors.reopen([0])
        assert torch.equal(colors.maps[0], learned[0]) and torch.equal(colors.maps[1], finished[1])
        again = StyleColors("style", 2)
        again.load_state_dict(colors.state_dict())
        again.reopen([0, 1])
        assert torch.equal(again.maps, learned)

    @pytest.mark.parametrize("mode", ["content", "none"])
    def test_only_the_styles_colours_move_the_scene(self, mode, pixels, wanted: ColorStatistics):
        colors = StyleColors(mode, 1)
        colors.match(0, color_statistics(pixels), wanted)
        assert torch.equal(colors.map(pixels, 1.0, torch.ones(1)), pixels)

    def test_only_the_contents_colours_bind_the_strokes(self):
        change = torch.tensor([[1.0, 0.0, 0.0], [0.0, -0.5, 0.0]])
        assert torch.equal(StyleColors("none", 1).change(change), change)
        assert torch.equal(StyleColors("style", 1).change(change), change)
        # Rec. 601: red counts .299, green .587.
        bound = StyleColors("content", 1).change(change)
        assert torch.allclose(bound, torch.tensor([[0.299], [-0.2935]]).expand(-1, 3))

    def test_maps_and_the_scenes_colours_are_saved(self, pixels, wanted: ColorStatistics):
        colors = StyleColors("style", 1)
        colors.see_scene(color_statistics(pixels))
        colors.match(0, colors.scene, wanted)
        again = StyleColors("style", 1)
        again.load_state_dict(colors.state_dict())
        assert torch.equal(again.map(pixels, 1.0, torch.ones(1)), colors.map(pixels, 1.0, torch.ones(1)))
        assert torch.equal(again.scene.covariance, colors.scene.covariance)

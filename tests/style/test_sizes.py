"""What grows with the pictures, and that nothing shrinks."""

import pytest

from ins3d.plugin.hash_content import HashSettings
from ins3d.plugin.ray_content import GridSettings
from ins3d.plugin.style_field import HashStyle
from ins3d.style.sizes import finest_cells, rays_to_keep, steps_of_a_content, steps_of_a_style, suited


@pytest.mark.parametrize(("rule", "most"), [(steps_of_a_content, 4), (steps_of_a_style, 6), (rays_to_keep, 15.4)])
def test_what_costs_time_grows_no_faster_than_pixels(rule, most: float):
    sizes = [rule(pixels) for pixels in (10_000, 130_000, 500_000, 2_000_000)]
    assert sizes == sorted(sizes)
    assert 1 < sizes[-1] / sizes[1] <= most


def test_small_pictures_have_cells_of_their_own_size():
    assert finest_cells(48) == finest_cells(480) == 512


class TestSuited:
    def test_a_grid_reaches_from_coarse_to_about_a_pixel(self):
        small, large = suited(GridSettings(), 480), suited(GridSettings(), 1008)
        assert small.resolutions == (32, 81, 203, 512) and small.log2_size == 17
        assert large.resolutions == (32, 102, 323, 1024) and large.log2_size == 18

    def test_styles_have_every_doubling(self):
        assert suited(HashStyle(), 480).resolutions == (128, 256, 512)
        assert suited(HashStyle(), 1920).resolutions == (128, 256, 512, 1024, 2048)

    def test_what_was_given_stays(self):
        grid, style = GridSettings((8, 16), 2, 10), HashStyle(resolutions=(64,))
        assert suited(grid, 1920) == grid and suited(style, 1920) == style

    def test_settings_with_sizes_of_their_own_are_left_alone(self):
        settings = HashSettings()
        assert suited(settings, 1920) is settings

import pytest
import torch

from ins3d.style.patches import (
    check_patch_fits,
    doubling_strides,
    drawn_start,
    largest_stride_that_fits,
    patch_extent,
    rays_to_patches,
    rays_to_pictures,
    window_pixel_indices,
)


class TestWindowPixelIndices:
    def test_reads_the_same_pixels_as_slicing(self, random: torch.Generator):
        picture = torch.rand(2, 20, 25, 3, generator=random)
        camera, row, column = window_pixel_indices(1, 2, 5, (4, 6)).T
        sliced = picture[1, 2:6, 5:11].permute(2, 0, 1)
        assert torch.equal(rays_to_pictures(picture[camera, row, column], (4, 6))[0], sliced)


class TestRaysToPatches:
    def test_undoes_flattening_row_by_row(self, random: torch.Generator):
        patches = torch.rand(3, 2, 5, 5, generator=random)
        rays = patches.permute(0, 2, 3, 1).reshape(-1, 2)
        assert torch.equal(rays_to_patches(rays, size=5), patches)

    def test_refuses_rays_that_fill_no_square(self):
        with pytest.raises(RuntimeError):
            rays_to_patches(torch.zeros(7, 3), size=2)


class TestStrides:
    @pytest.mark.parametrize(
        ("size", "height", "width"), [(64, 378, 504), (64, 64, 64), (64, 63, 500), (7, 50, 49), (1, 5, 3)]
    )
    def test_the_largest_stride_fits_and_the_next_does_not(self, size: int, height: int, width: int):
        largest = largest_stride_that_fits(size, height, width)
        assert patch_extent(size, largest) <= min(height, width) < patch_extent(size, largest + 1)

    @pytest.mark.parametrize(("size", "height", "width"), [(64, 378, 504), (64, 64, 64), (64, 63, 500), (10, 80, 300)])
    def test_doubling_strides_are_all_powers_of_two_that_fit(self, size: int, height: int, width: int):
        powers = [2**power for power in range(12)]
        assert list(doubling_strides(size, height, width)) == [k for k in powers if size * k <= min(height, width)]


class TestCheckPatchFits:
    def test_accepts_a_patch_as_large_as_the_picture(self):
        check_patch_fits(size=32, stride=2, height=64, width=100, setting="patch.size")

    def test_names_setting_value_and_smaller_stride(self):
        message = (
            r"^patch\.stride: a patch of 64 rays at stride 4 covers 256 pixels, "
            r"more than the 240x135 picture has; use a stride of 2 or less\.$"
        )
        with pytest.raises(ValueError, match=message):
            check_patch_fits(size=64, stride=4, height=135, width=240, setting="patch.stride")

    def test_names_a_smaller_patch_when_no_stride_fits(self):
        with pytest.raises(
            ValueError, match=r"^patch: .* more than the 50x40 picture has; use a patch size of 40 or less\.$"
        ):
            check_patch_fits(size=64, stride=1, height=40, width=50, setting="patch")


class TestDrawnStart:
    def test_edges_are_seen_half_as_often_as_the_middle(self):
        generator, seen = torch.Generator().manual_seed(0), torch.zeros(200)
        for _ in range(4000):
            start = drawn_start(140, 60, generator)
            assert 0 <= start <= 140
            seen[start : start + 60] += 1
        assert float(seen[[0, 199]].min()) > 0.4 * float(seen[60:140].mean())
        assert float(seen[60:140].std()) < 0.1 * float(seen[60:140].mean())

    def test_without_room_it_begins_at_the_beginning(self):
        assert drawn_start(0, 60, torch.Generator()) == 0

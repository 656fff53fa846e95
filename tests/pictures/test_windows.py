import pytest
import torch

from ins3d.pictures.windows import PictureWindow, window_of_size


def test_positions_are_pixel_centres_and_the_long_side_spans_2():
    window = PictureWindow(2, 4, aspect=2.0)
    positions = window.positions(slice(None)).reshape(2, 4, 2)
    torch.testing.assert_close(positions[0, :, 0], torch.tensor([-0.75, -0.25, 0.25, 0.75]))
    torch.testing.assert_close(positions[:, 0, 1], torch.tensor([-0.25, 0.25]))  # the short side spans 1


def test_a_high_picture_has_its_height_from_minus_1_to_1():
    positions = PictureWindow(4, 2, aspect=0.5).positions(slice(None)).reshape(4, 2, 2)
    torch.testing.assert_close(positions[:, 0, 1], torch.tensor([-0.75, -0.25, 0.25, 0.75]))
    torch.testing.assert_close(positions[0, :, 0], torch.tensor([-0.25, 0.25]))


def test_rows_together_are_the_whole():
    window = PictureWindow(7, 3, aspect=0.4, bounds=(-0.2, 0.1, 0.5, 1.3))
    parts = [window.positions(slice(top, top + 2)) for top in range(0, 7, 2)]
    assert torch.equal(torch.cat(parts), window.positions(slice(None)))


def test_a_part_asks_the_places_that_it_has_in_the_whole():
    whole = PictureWindow(8, 12, aspect=1.5).positions(slice(None)).reshape(8, 12, 2)
    part = PictureWindow(4, 6, aspect=1.5, bounds=(0.25, 0.5, 0.75, 1.0)).positions(slice(None)).reshape(4, 6, 2)
    torch.testing.assert_close(part, whole[4:, 3:9])


def test_pixels_of_a_picture_4_times_as_large_lie_evenly_in_each_pixel():
    small = PictureWindow(3, 5, aspect=5 / 3).positions(slice(None)).reshape(3, 5, 2)
    large = PictureWindow(12, 20, aspect=5 / 3).positions(slice(None)).reshape(3, 4, 5, 4, 2)
    torch.testing.assert_close(large.mean((1, 3)), small)


def test_a_shift_is_in_pixels():
    window = PictureWindow(2, 4, aspect=2.0)
    torch.testing.assert_close(window.shares(slice(None), (0.5, -0.5)) - window.shares(slice(None)), torch.tensor(
        [0.125, -0.25]).expand(8, 2))  # fmt: skip


def test_sizes_keep_pixels_square():
    window = window_of_size(100, aspect=2.0, bounds=(0.0, 0.0, 0.5, 0.5))
    assert (window.height, window.width) == (50, 100)
    assert (window_of_size(100, 0.5).height, window_of_size(100, 0.5).width) == (100, 50)


@pytest.mark.parametrize("bounds", [(0.5, 0.0, 0.5, 1.0), (0.0, 1.0, 1.0, 0.0)])
def test_refuses_empty_windows(bounds: tuple[float, float, float, float]):
    with pytest.raises(ValueError, match="is empty; give left top right bottom"):
        window_of_size(10, 1.0, bounds)


def test_refuses_pictures_without_pixels():
    with pytest.raises(ValueError, match="size: 0x0 pixels is no picture"):
        PictureWindow(0, 0, 1.0)

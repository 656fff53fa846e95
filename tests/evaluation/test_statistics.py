from collections.abc import Callable
from math import exp, isnan

import pytest
import torch
from kornia.filters import gaussian_blur2d
from pytest import approx
from skimage.metrics import structural_similarity as skimage_similarity
from torch import Tensor

from ins3d.evaluation.statistics import (
    BLUR_RADIUS,
    blur_numbers,
    colour_variance,
    edge_agreement,
    high_frequency_energy,
    structural_similarity,
)
from ins3d.perception.color_transfer import LUMINANCE

OF_ONE: dict[str, Callable[..., float]] = {"variance": colour_variance, "energy": high_frequency_energy}
OF_TWO: dict[str, Callable[..., float]] = {"edges": edge_agreement, "similarity": structural_similarity}


@pytest.fixture
def picture(random: torch.Generator) -> Tensor:
    """Coloured noise with clumps of all sizes, 48 x 64, in [0.2, 0.8]."""
    layers = [torch.rand(1, 3, 48 // side, 64 // side, generator=random) for side in (1, 2, 4, 8)]
    grown = [torch.nn.functional.interpolate(layer, size=(48, 64), mode="bilinear") for layer in layers]
    mean = torch.stack(grown).mean(0)[0]
    return 0.2 + 0.6 * (mean - mean.min()) / (mean.max() - mean.min())


@pytest.fixture
def left_half() -> Tensor:
    mask = torch.zeros(1, 48, 64)
    mask[..., :32] = 1
    return mask


def blurred(picture: Tensor, sigma: float = 2.0) -> Tensor:
    return gaussian_blur2d(picture[None], 17, (sigma, sigma))[0]


def chessboard(height: int, width: int) -> Tensor:
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    return ((rows + columns) % 2).float().expand(3, -1, -1)


def blur_kernel() -> Tensor:
    """One axis, worked out here."""
    weights = torch.tensor([exp(-(place**2) / (2 * 1.5**2)) for place in range(-BLUR_RADIUS, BLUR_RADIUS + 1)])
    return weights.double() / weights.double().sum()


def slow_energy(picture: Tensor, mask: Tensor) -> float:
    """Pixel by pixel; beyond the border the picture is mirrored about the outermost pixel's centre."""
    bright = sum(share * channel.double() for share, channel in zip(LUMINANCE, picture, strict=True)).tolist()
    height, width = picture.shape[1:]
    kernel, weights, found = blur_kernel().tolist(), mask[0].tolist(), []
    reach = range(-BLUR_RADIUS, BLUR_RADIUS + 1)
    for row in range(height):
        for column in range(width):
            seen = [(row + down, column + across) for down in reach for across in reach]
            if any(weights[y][x] < 0.9 for y, x in seen if 0 <= y < height and 0 <= x < width):
                continue
            shares = [one * other for one in kernel for other in kernel]
            mirrored = [(height - 1 - abs(height - 1 - abs(y)), width - 1 - abs(width - 1 - abs(x))) for y, x in seen]
            blur = sum(share * bright[y][x] for share, (y, x) in zip(shares, mirrored, strict=True))
            found.append((bright[row][column] - blur) ** 2)
    return sum(found) / len(found)


def slow_edges(picture: Tensor) -> Tensor:
    """Sobel's strengths at all pixels but those of the border, of a grey picture's first channel."""
    values = picture[0].tolist()
    height, width = picture.shape[1:]
    found = torch.zeros(height - 2, width - 2, dtype=torch.float64)
    for y in range(1, height - 1):
        for x in range(1, width - 1):
            right = sum(s * (values[y + d][x + 1] - values[y + d][x - 1]) for d, s in ((-1, 1), (0, 2), (1, 1)))
            down = sum(s * (values[y + 1][x + d] - values[y - 1][x + d]) for d, s in ((-1, 1), (0, 2), (1, 1)))
            found[y - 1, x - 1] = (right**2 + down**2) ** 0.5
    return found


class TestColourVariance:
    def test_two_colours(self):
        """Red is 0 and 1 in halves: 1/4. Green is 0.2 and 0.6: 0.2^2. Blue is the same all over."""
        picture = torch.empty(3, 12, 12)
        picture[:, :, :6] = torch.tensor([0.0, 0.2, 0.5])[:, None, None]
        picture[:, :, 6:] = torch.tensor([1.0, 0.6, 0.5])[:, None, None]
        assert colour_variance(picture) == approx((0.25 + 0.04) / 3)

    def test_weights_count(self):
        """Values 0 and 1 with weights 3 and 1: the mean is 1/4, the variance 3/16."""
        picture, mask = torch.zeros(3, 1, 2), torch.tensor([[[0.75, 0.25]]])
        picture[..., 1] = 1
        assert colour_variance(picture, mask) == approx(3 / 16)

    def test_noise_adds_its_own(self, picture: Tensor, random: torch.Generator):
        large = picture.repeat(1, 4, 4)
        noise = 0.1 * torch.randn(large.shape, generator=random)
        assert colour_variance(large + noise) - colour_variance(large) == approx(0.01, rel=0.03)

    def test_does_not_ask_where_pixels_are(self, picture: Tensor, random: torch.Generator):
        order = torch.randperm(48 * 64, generator=random)
        assert colour_variance(picture.flatten(1)[:, order].view_as(picture)) == approx(colour_variance(picture))


class TestHighFrequencyEnergy:
    def test_chessboard(self):
        """The blur turns a chessboard into its mean, 1/2, at every pixel; what is left is 1/2 or -1/2."""
        assert high_frequency_energy(chessboard(24, 30)) == approx(0.25, rel=1e-3)

    def test_noise(self, random: torch.Generator):
        """Of noise of variance v, v (1 - 2 k + s) is left: k the kernel's middle weight, s the sum of its squares."""
        kernel = blur_kernel()
        left = 1 - 2 * kernel[BLUR_RADIUS] ** 2 + kernel.square().sum() ** 2
        grey = 0.5 + 0.1 * torch.randn(1, 256, 256, generator=random).expand(3, -1, -1)
        assert high_frequency_energy(grey) == approx(0.01 * float(left), rel=0.03)

    def test_noise_adds_its_own(self, picture: Tensor, random: torch.Generator):
        large = picture.repeat(1, 4, 4)
        noise = 0.05 * torch.randn(1, *large.shape[1:], generator=random).expand(3, -1, -1)
        added = high_frequency_energy(large + noise) - high_frequency_energy(large)
        assert added == approx(high_frequency_energy(0.5 + noise), rel=0.05)

    def test_equals_a_loop_over_pixels(self, picture: Tensor):
        small, mask = picture[:, :15, :18], torch.ones(1, 15, 18)
        assert high_frequency_energy(small) == approx(slow_energy(small, mask), rel=1e-6)
        mask[:, :2, :3] = 0.5
        assert high_frequency_energy(small, mask) == approx(slow_energy(small, mask), rel=1e-6)

    def test_a_ramp_has_none(self):
        ramp = torch.linspace(0, 1, 40).expand(3, 40, 40)
        mask = torch.zeros(1, 40, 40)
        mask[..., 7:-7] = 1
        assert high_frequency_energy(ramp, mask) == approx(0, abs=1e-12)

    def test_the_silhouette_is_no_detail(self):
        disc = torch.zeros(1, 40, 40)
        disc[:, 10:30, 10:30] = 1
        picture = disc.expand(3, -1, -1)
        assert high_frequency_energy(picture) > 1e-3
        assert high_frequency_energy(picture, disc) == approx(0, abs=1e-20)

    def test_an_object_too_thin_for_the_blur_has_no_number(self):
        mask = torch.zeros(1, 40, 40)
        mask[:, 10:22] = 1
        assert isnan(high_frequency_energy(chessboard(40, 40), mask))
        mask[:, 22] = 1
        assert high_frequency_energy(chessboard(40, 40), mask) == approx(0.25, rel=1e-3)


class TestEdgeAgreement:
    def test_equals_a_loop_over_pixels(self, picture: Tensor):
        one, other = (each[:1, :14, :17].expand(3, -1, -1) for each in (picture, blurred(picture)))
        mask = torch.ones(1, 14, 17)
        # The border is left out: there the loop has no neighbours.
        mask[:, [0, -1]] = 0
        mask[:, :, [0, -1]] = 0
        edges = torch.stack([slow_edges(each)[1:-1, 1:-1].flatten() for each in (one, other)])
        centred = edges - edges.mean(1, keepdim=True)
        wanted = (centred[0] * centred[1]).sum() / (centred[0].norm() * centred[1].norm())
        assert edge_agreement(one, other, mask) == approx(float(wanted), rel=1e-5)

    def test_the_same_edges_in_other_strengths_and_signs(self, picture: Tensor):
        assert edge_agreement(picture, picture) == approx(1)
        assert edge_agreement(0.3 + 0.2 * picture, picture) == approx(1)
        assert edge_agreement(1 - picture, picture) == approx(1)

    def test_pictures_that_know_nothing_of_each_other(self, random: torch.Generator):
        one, other = torch.rand(2, 3, 200, 200, generator=random)
        assert edge_agreement(one, other) == approx(0, abs=0.03)

    def test_edges_where_the_other_has_none_disagree(self):
        one, other = torch.zeros(2, 3, 20, 40)
        # Squares of two pixels: a filter that compares the pixels on both sides sees nothing in a chessboard of pixels.
        squares = chessboard(10, 10).repeat_interleave(2, 1).repeat_interleave(2, 2)
        one[:, :, :20], other[:, :, 20:] = squares, squares
        assert edge_agreement(one, other) < -0.5

    @pytest.mark.parametrize("level", [0.0, 0.3, 1.0])
    def test_a_flat_picture_agrees_with_none(self, picture: Tensor, level: float):
        flat = torch.full_like(picture, level)
        assert edge_agreement(flat, picture) == edge_agreement(picture, flat) == edge_agreement(flat, flat) == 0

    def test_the_silhouette_is_no_agreement(self, random: torch.Generator):
        mask = torch.zeros(1, 60, 60)
        mask[:, 10:50, 10:50] = 1
        one, other = (mask * (0.9 + 0.1 * torch.rand(3, 60, 60, generator=random)) for _ in range(2))
        assert edge_agreement(one, other) > 0.9
        assert abs(edge_agreement(one, other, mask)) < 0.1


class TestStructuralSimilarity:
    def test_equals_that_of_scikit_image(self, picture: Tensor):
        other = blurred(picture, 1.0)
        _, similarity = skimage_similarity(
            picture.double().numpy(), other.double().numpy(), channel_axis=0, data_range=1.0, full=True,
            gaussian_weights=True, sigma=1.5, use_sample_covariance=False,
        )  # fmt: skip
        # The two mirror differently at the border.
        mask = torch.zeros(1, 48, 64)
        mask[:, 6:-6, 6:-6] = 1
        assert structural_similarity(picture, other, mask) == approx(similarity[:, 6:-6, 6:-6].mean(), rel=1e-6)

    def test_of_two_flat_pictures_only_brightness_is_left(self):
        """(2 a b + c) / (a^2 + b^2 + c) with a = 0.2, b = 0.6 and c = 0.01^2."""
        dark, bright = (torch.full((3, 20, 20), level) for level in (0.2, 0.6))
        assert structural_similarity(dark, bright) == approx(0.2401 / 0.4001, rel=1e-5)

    def test_weights_count(self, picture: Tensor, left_half: Tensor):
        other = blurred(picture, 1.0)
        left = structural_similarity(picture, other, left_half)
        right = structural_similarity(picture, other, 1 - left_half)
        mixed = structural_similarity(picture, other, 0.75 * left_half + 0.25 * (1 - left_half))
        assert mixed == approx(0.75 * left + 0.25 * right) and left != approx(right, rel=1e-3)

    def test_falls_with_blur(self, picture: Tensor):
        found = [structural_similarity(blurred(picture, sigma), picture) for sigma in (0.5, 1.0, 2.0)]
        assert 1 > found[0] > found[1] > found[2] > 0
        assert structural_similarity(picture, picture) == approx(1)


class TestAll:
    @pytest.mark.parametrize("name", OF_ONE)
    def test_blur_shows(self, name: str, picture: Tensor):
        sharp, soft, softer = (OF_ONE[name](each) for each in (picture, blurred(picture, 1.0), blurred(picture, 3.0)))
        assert sharp > 1.5 * soft > 1.5 * softer

    @pytest.mark.parametrize("name", OF_ONE)
    @pytest.mark.parametrize("level", [0.0, 0.3, 1.0])
    def test_a_constant_picture_has_none(self, name: str, level: float):
        assert OF_ONE[name](torch.full((3, 20, 24), level)) == approx(0, abs=1e-14)

    @pytest.mark.parametrize("name", OF_ONE)
    def test_brightness_does_not_matter_and_contrast_counts_squared(self, name: str, picture: Tensor):
        assert OF_ONE[name](picture + 0.2) == approx(OF_ONE[name](picture), rel=1e-4)
        assert OF_ONE[name](0.5 * picture) == approx(OF_ONE[name](picture) / 4, rel=1e-4)

    @pytest.mark.parametrize("name", OF_ONE)
    def test_turned_and_mirrored_pictures_are_alike(self, name: str, picture: Tensor):
        assert OF_ONE[name](picture.transpose(1, 2).flip(2)) == approx(OF_ONE[name](picture), rel=1e-6)

    @pytest.mark.parametrize("name", OF_TWO)
    def test_two_pictures_may_change_places(self, name: str, picture: Tensor):
        other = blurred(picture)
        assert OF_TWO[name](picture, other) == approx(OF_TWO[name](other, picture), rel=1e-9)

    @pytest.mark.parametrize("name", OF_ONE | OF_TWO)
    def test_what_the_mask_leaves_out_does_not_matter(self, name: str, picture: Tensor, left_half: Tensor):
        def found(ours: Tensor, mask: Tensor | None) -> float:
            return OF_ONE[name](ours, mask) if name in OF_ONE else OF_TWO[name](ours, blurred(picture, 0.7), mask)

        # SSIM's window sees five pixels more than the mask holds.
        begin = 37 if name == "similarity" else 32
        other = picture.clone()
        other[:, :, begin:] = chessboard(48, 64 - begin)
        assert found(other, left_half) == found(picture, left_half)
        assert found(other, None) != approx(found(picture, None), rel=1e-2)

    @pytest.mark.parametrize("name", OF_ONE | OF_TWO)
    def test_a_mask_of_ones_is_none(self, name: str, picture: Tensor):
        pictures = (picture,) if name in OF_ONE else (picture, blurred(picture))
        measure = (OF_ONE | OF_TWO)[name]
        assert measure(*pictures, torch.ones(1, 48, 64)) == approx(measure(*pictures), rel=1e-9)

    @pytest.mark.parametrize("name", OF_ONE | OF_TWO)
    def test_where_nothing_counts_there_is_no_number(self, name: str, picture: Tensor):
        pictures = (picture,) if name in OF_ONE else (picture, blurred(picture))
        assert isnan((OF_ONE | OF_TWO)[name](*pictures, torch.zeros(1, 48, 64)))


class TestBlurNumbers:
    def test_the_photograph_itself_has_all_and_a_blurred_one_less(self, random: torch.Generator):
        photograph = torch.rand(3, 40, 48, generator=random)
        assert blur_numbers(photograph, photograph, photograph) == pytest.approx(
            {"colour_variance": 1, "high_frequency": 1, "edges": 1}
        )
        blurred = gaussian_blur2d(photograph[None], (9, 9), (2.0, 2.0))[0]
        found = blur_numbers(blurred, photograph, photograph)
        assert found["colour_variance"] < 0.2 and found["high_frequency"] < 0.1 and found["edges"] < 0.5

    def test_no_more_colour_is_asked_for_than_the_painting_has(self, picture: Tensor):
        """Of a quarter of the photograph's variance in the painting, that much is all; more than the photograph's is not."""
        own = colour_variance(picture)
        pale = 0.5 + 0.5 * (picture - picture.mean((1, 2), keepdim=True))
        assert blur_numbers(pale, picture, picture)["colour_variance"] == approx(0.25)
        assert blur_numbers(pale, picture, picture, painting_variance=own / 4)["colour_variance"] == approx(1)
        assert blur_numbers(pale, picture, picture, painting_variance=4 * own)["colour_variance"] == approx(0.25)

    def test_what_is_masked_does_not_count(self, random: torch.Generator):
        photograph = torch.rand(3, 40, 48, generator=random)
        mask = torch.ones(1, 40, 48)
        mask[..., 30:] = 0
        painted = photograph.clone()
        painted[..., 30:] = 0.5
        assert blur_numbers(painted, photograph, photograph, mask)["colour_variance"] == pytest.approx(1)

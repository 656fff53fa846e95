import math

import pytest
import torch

from ins3d.pictures import rendering
from ins3d.pictures.content import make_picture_content
from ins3d.pictures.rendering import StrengthMap, render_picture, render_rows
from ins3d.pictures.stylized import BlendedPicture, StylizedPicture
from ins3d.pictures.windows import PictureWindow, window_of_size
from ins3d.style.mix import Mix

CPU = torch.device("cpu")
ALONE = Mix((1.0, 0.0))


@pytest.fixture
def field(random: torch.Generator) -> StylizedPicture:
    field = StylizedPicture(make_picture_content("planes", 32), 2, 32, "none")
    with torch.no_grad():
        field.amalgamation.rgb_gate.fill_(0.0)
        for planes in [*field.style_features.encoding.parameters(), *field.content.planes.parameters()]:
            planes.mul_(50)
    return field


@pytest.fixture
def blended(random: torch.Generator) -> BlendedPicture:
    field = BlendedPicture("harmonic", 32)
    with torch.no_grad():
        field.color.weight.mul_(50)
    return field


def decibels(one: torch.Tensor, other: torch.Tensor) -> float:
    error = float(((one - other) ** 2).mean())
    return math.inf if error == 0 else -10 * math.log10(error)


class TestStrengthMap:
    shares = torch.tensor([[0.1, 0.9], [0.4, 0.6], [0.6, 0.4], [0.9, 0.1]])

    def strengths(self, **settings) -> list[float]:
        return [round(value, 4) for value in StrengthMap(**settings).at(self.shares)[:, 0].tolist()]

    def test_is_the_same_everywhere_when_nothing_is_said(self):
        assert self.strengths() == [1, 1, 1, 1] and self.strengths(strength=0.3) == [0.3] * 4

    def test_gradations_grow_rightwards_and_downwards(self):
        assert self.strengths(gradation="horizontal") == [0.1, 0.4, 0.6, 0.9]
        assert self.strengths(gradation="vertical", strength=0.5) == [0.45, 0.3, 0.2, 0.05]

    def test_bands_have_one_width(self):
        assert self.strengths(bands=(0.25, 1.0, 0.0, 0.75)) == [0.25, 1.0, 0.0, 0.75]
        assert self.strengths(bands=(0.25, 0.75), banded="vertical") == [0.75, 0.75, 0.25, 0.25]

    def test_a_mask_is_never_in_between_and_a_map_is(self):
        picture = torch.tensor([[0.0, 1.0]])
        assert self.strengths(mask=picture) == [0, 0, 1, 1]
        # Pixel centres at a quarter and three quarters.
        assert self.strengths(picture=picture) == [0, pytest.approx(0.3, abs=1e-3), pytest.approx(0.7, abs=1e-3), 1]

    def test_all_of_them_are_multiplied(self):
        all_of_them = self.strengths(
            strength=0.5, gradation="horizontal", mask=torch.tensor([[0.0, 1.0]]), bands=(1.0, 1.0, 0.5, 1.0)
        )
        assert all_of_them == [0, 0, 0.15, 0.45]

    def test_what_lies_beyond_the_picture_is_as_its_border(self):
        shares = torch.tensor([[-3.0, 0.5], [3.0, 0.5]])
        strengths = StrengthMap(gradation="horizontal", mask=torch.ones(4, 4), bands=(0.5, 1.0)).at(shares)
        assert strengths[:, 0].tolist() == [0.0, 1.0]


class TestRendering:
    def test_however_many_rows_at_once_the_picture_is_the_same(self, field: StylizedPicture, monkeypatch):
        window = PictureWindow(20, 30, aspect=1.5)
        strengths = StrengthMap(gradation="vertical")
        pictures = []
        for points in (30, 100, 2**16):
            monkeypatch.setattr(rendering, "POINTS_AT_ONCE", points)
            pictures.append(render_picture(field, window, ALONE, strengths))
        assert pictures[0].shape == (3, 20, 30)
        # The same to rounding: a matrix product of another size adds up in another order.
        assert all(decibels(picture, pictures[0]) > 100 for picture in pictures)
        assert len(list(render_rows(field, window, ALONE, strengths))) == 1

    def test_a_part_is_what_it_is_in_the_whole(self, field: StylizedPicture):
        whole = render_picture(field, window_of_size(32, 2.0), ALONE, StrengthMap(gradation="vertical"))
        part = window_of_size(16, 2.0, (0.25, 0.5, 0.75, 1.0))
        found = render_picture(field, part, ALONE, StrengthMap(gradation="vertical"))
        assert decibels(found, whole[:, 8:, 8:24]) > 100

    def test_each_place_has_the_strength_it_would_have_alone(self, field: StylizedPicture):
        window = PictureWindow(12, 12, aspect=1.0)
        bands = render_picture(field, window, ALONE, StrengthMap(bands=(0.0, 0.5, 1.0)))
        for number, strength in enumerate((0.0, 0.5, 1.0)):
            alone = render_picture(field, window, ALONE, StrengthMap(strength))
            columns = slice(4 * number, 4 * number + 4)
            assert decibels(bands[..., columns], alone[..., columns]) > 100

    def test_outside_a_mask_is_the_content_to_the_last_bit(self, field: StylizedPicture, random: torch.Generator):
        window, mask = PictureWindow(24, 24, aspect=1.0), (torch.rand(24, 24, generator=random) > 0.5).float()
        painted = render_picture(field, window, ALONE, StrengthMap(mask=mask))
        content = render_picture(field.content, window, ALONE, StrengthMap())
        outside = mask == 0
        assert torch.equal(painted[:, outside], content[:, outside])
        assert decibels(painted[:, ~outside], content[:, ~outside]) < 40

    def test_a_mix_takes_its_weights_and_the_map_its_strength(self, field: StylizedPicture):
        window = PictureWindow(8, 8, aspect=1.0)
        mixed = render_picture(field, window, Mix((1.0, 3.0), strength=0.1), StrengthMap(0.5))
        expected = field(window.positions(slice(None)), torch.tensor([0.125, 0.375]), window.pixel).clamp(0, 1)
        torch.testing.assert_close(mixed, expected.T.reshape(3, 8, 8))

    def test_strengths_of_two_decimals_are_not_rounded(self, field: StylizedPicture):
        window = PictureWindow(4, 4, aspect=1.0)
        expected = field(window.positions(slice(None)), torch.tensor([0.37, 0.0]), window.pixel).clamp(0, 1)
        found = render_picture(field, window, ALONE, StrengthMap(0.37))
        torch.testing.assert_close(found, expected.T.reshape(3, 4, 4), atol=1e-5, rtol=0)

    def test_a_blend_is_asked_with_every_places_own_strength(self, blended: BlendedPicture):
        window = PictureWindow(6, 6, aspect=1.0)
        found = render_picture(blended, window, ALONE, StrengthMap(gradation="horizontal"))
        shares = window.shares(slice(None))
        expected = blended(window.positions(slice(None)), shares[:, :1])
        torch.testing.assert_close(found, expected.T.reshape(3, 6, 6))
        assert float((found[..., 0] - found[..., 5]).abs().max()) > 0.01

    def test_colours_end_at_0_and_1(self, random: torch.Generator):
        siren = make_picture_content("siren", 32)
        with torch.no_grad():
            siren.color.weight.mul_(1e4)
        picture = render_picture(siren, PictureWindow(8, 8, 1.0), Mix((1.0,)), StrengthMap())
        assert float(picture.min()) == 0 and float(picture.max()) == 1

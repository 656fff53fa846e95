import copy

import pytest
import torch

from ins3d.perception.color_transfer import ColorStatistics
from ins3d.pictures.content import make_picture_content
from ins3d.pictures.stylized import BlendedPicture, StylizedPicture


def stylized(colors="none", num_styles: int = 2) -> StylizedPicture:
    field = StylizedPicture(make_picture_content("planes", 32), num_styles, 32, colors)
    with torch.no_grad():
        field.amalgamation.rgb_gate.fill_(0.3)
        for planes in field.style_features.encoding.parameters():
            planes.mul_(50)
    for style in range(num_styles):
        # Colours that lie far from those of the field.
        wanted = ColorStatistics(torch.tensor([0.8, 0.2, 0.1 * style]), 0.01 * torch.eye(3))
        field.colors.match(style, ColorStatistics(torch.full((3,), 0.5), 0.04 * torch.eye(3)), wanted)
    return field


@pytest.fixture
def positions(random: torch.Generator) -> torch.Tensor:
    return torch.rand(50, 2, generator=random) * 2 - 1


class TestStylizedPicture:
    @pytest.mark.parametrize("colors", ["none", "style", "content"])
    def test_the_zero_code_is_the_content_to_the_last_bit(self, colors: str, positions: torch.Tensor):
        field = stylized(colors)
        assert torch.equal(field(positions, torch.zeros(2)), field.content(positions))

    @pytest.mark.parametrize("colors", ["none", "style", "content"])
    def test_styles_differ_from_the_content_and_from_each_other(self, colors: str, positions: torch.Tensor):
        field = stylized(colors)
        one, other = field(positions, torch.eye(2)[0]), field(positions, torch.eye(2)[1])
        assert float((one - other).abs().max()) > 1e-3 and float((one - field.content(positions)).abs().max()) > 1e-3

    def test_in_the_contents_colours_strokes_change_brightness_alone(self, positions: torch.Tensor):
        field = stylized("content")
        change = field(positions, torch.eye(2)[0]) - field.content(positions)
        torch.testing.assert_close(change, change[:, :1].expand(-1, 3))

    def test_the_content_is_frozen_and_all_else_learns(self, positions: torch.Tensor):
        field = stylized("none")
        before = copy.deepcopy(field.content.state_dict())
        optimizer = torch.optim.Adam(field.groups())
        (field(positions, torch.tensor([0.5, 0.5])) ** 2).sum().backward()
        learning = {name for name, parameter in field.named_parameters() if parameter.grad is not None}
        assert learning == {name for name, _ in field.named_parameters() if not name.startswith("content.")}
        optimizer.step()
        assert all(torch.equal(value, before[name]) for name, value in field.content.state_dict().items())

    def test_every_parameter_that_learns_is_in_one_group(self):
        field = stylized()
        grouped = [id(parameter) for group in field.groups() for parameter in group["params"]]
        assert sorted(grouped) == sorted(id(parameter) for parameter in field.parameters() if parameter.requires_grad)

    def test_strokes_reach_further_than_the_contents_colours(self, positions: torch.Tensor):
        field, code = stylized("none"), torch.eye(2)[0]
        change = field(positions, code) - field.content(positions)
        field.stretch = 1.0  # as in files of version 0.2
        torch.testing.assert_close(change, 3 * (field(positions, code) - field.content(positions)))

    def test_wide_pixels_leave_out_what_is_finer_than_they_are(self, positions: torch.Tensor):
        field, code = stylized("none"), torch.eye(2)[0]
        seen = field(positions, code, 4 / 32)
        with torch.no_grad():
            for planes in field.style_features.encoding.styles:
                planes.planes[-1].add_(5.0)  # the finest
        assert torch.equal(field(positions, code, 4 / 32), seen)
        assert not torch.allclose(field(positions, code, 2 / 32), field(positions, code, 4 / 32))

    def test_has_no_density(self):
        assert not [name for name in stylized().state_dict() if "density" in name]


class TestBlendedPicture:
    @pytest.mark.parametrize("network", ["planes", "harmonic"])
    def test_every_place_has_a_strength_of_its_own(self, network: str, positions: torch.Tensor, random: torch.Generator):
        field = BlendedPicture(network, 32)
        strengths = torch.rand(50, 1, generator=random)
        alone = torch.cat([field(*pair) for pair in zip(positions[:, None], strengths[:, None], strict=True)])
        torch.testing.assert_close(field(positions, strengths), alone)
        assert not torch.allclose(field(positions, strengths), field(positions, 0 * strengths))

    def test_latents_are_fixed_and_saved(self):
        field = BlendedPicture("planes", 32)
        assert "latents" in field.state_dict() and "latents" not in dict(field.named_parameters())

    def test_the_papers_network_has_the_papers_size(self):
        # Spec B: about 581,000 parameters, of which one 256 x 256 layer is never used.
        parameters = sum(parameter.numel() for parameter in BlendedPicture("harmonic", 256).parameters())
        assert parameters == pytest.approx(581_000 - 256 * 257, rel=0.01)

import copy

import pytest
import torch
from torch import Tensor

from ins3d.perception.color_transfer import ColorStatistics
from ins3d.surfaces.content import PlanesSurface
from ins3d.surfaces.stylized import Mixes, StylizedSurface, show_content


def stylized(colors="none", bound: float = 0.0, footprint: float = 0.0, mixes: Mixes = "colors") -> StylizedSurface:
    torch.manual_seed(0)
    content = PlanesSurface((8, 16), channels=4)
    for plane in content.planes.planes:
        plane.data.mul_(100)
    field = StylizedSurface(content, 2, colors, bound, footprint, mixes)
    with torch.no_grad():
        field.amalgamation.rgb_gate.fill_(0.3)
        if bound:
            field.amalgamation.density_gate.fill_(0.3)
        for tables in field.style_features.encoding.parameters():
            tables.mul_(50)
    for style in range(2):
        wanted = ColorStatistics(torch.tensor([0.8, 0.2, 0.1 * style]), 0.01 * torch.eye(3))
        field.colors.match(style, ColorStatistics(torch.full((3,), 0.5), 0.04 * torch.eye(3)), wanted)
    return field


@pytest.fixture
def positions(random: torch.Generator) -> Tensor:
    return torch.rand(60, 3, generator=random) - 0.5


@pytest.mark.parametrize("colors", ["none", "style", "content"])
class TestColours:
    @pytest.mark.parametrize("mixes", ["colors", "features"])
    def test_the_zero_code_is_the_content_to_the_last_bit(self, colors: str, mixes: Mixes, positions: Tensor):
        field = stylized(colors, mixes=mixes)
        if mixes == "features":  # also where the copied head had learned something else than the content's
            for parameter in field.head.parameters():
                parameter.data.add_(0.3)
        shown = field.shown(torch.zeros(2)).rgb(positions)
        assert torch.equal(shown, show_content(field.content).rgb(positions))

    def test_styles_differ_from_the_content_and_from_each_other(self, colors: str, positions: Tensor):
        field = stylized(colors)
        plain, one, other = (field.shown(code).rgb(positions) for code in (torch.zeros(2), *torch.eye(2)))
        assert float((one - other).abs().max()) > 1e-3 and float((one - plain).abs().max()) > 1e-3


def test_in_the_contents_colours_strokes_change_brightness_alone(positions: Tensor):
    field = stylized("content")
    change = field.shown(torch.eye(2)[0]).rgb(positions) - field.shown(torch.zeros(2)).rgb(positions)
    torch.testing.assert_close(change, change[:, :1].expand(-1, 3))


class TestFootprint:
    """How wide what is seen is: of strokes that are finer, the mean is learned from."""

    CODE = torch.tensor([1.0, 0.0])

    def seen(self, field: StylizedSurface, positions: Tensor, footprint: float) -> Tensor:
        plain = show_content(field.content).rgb(positions)
        return field.rgb(plain, positions, self.CODE, positions.new_full((len(positions), 1), footprint))

    def test_wide_pixels_see_no_fine_strokes(self, positions: Tensor):
        field = stylized(footprint=1e-4)
        changes = []
        for wide in (0.0, 0.05):
            before = self.seen(field, positions, wide)
            with torch.no_grad():
                field.style_features.encoding.styles[0].tables[-1].neg_()
            changes.append(float((self.seen(field, positions, wide) - before).abs().max()))
        assert changes[0] > 1e-3 and changes[1] < 1e-6

    def test_nothing_narrower_is_seen_than_was_trained(self, positions: Tensor):
        field = stylized(footprint=0.01)
        narrow, trained, wide = (self.seen(field, positions, footprint) for footprint in (0.0, 0.01, 0.03))
        assert torch.equal(narrow, trained) and not torch.equal(trained, wide)

    def test_pictures_and_meshes_show_what_the_narrowest_pixels_saw(self, positions: Tensor):
        field = stylized(footprint=0.01)
        assert torch.equal(field.shown(self.CODE).rgb(positions), self.seen(field, positions, 0.01))

    def test_of_fields_of_before_strokes_never_fade(self, positions: Tensor):
        field = stylized()
        assert torch.equal(self.seen(field, positions, 0.0), self.seen(field, positions, 0.05))


def test_strokes_do_not_depend_on_how_the_content_is_stored(positions: Tensor):
    """AM would take the cells of the content's planes for brushwork: a plaid along their axes."""
    field, features = stylized(), stylized(mixes="features")
    plain = show_content(field.content).rgb(positions)
    strokes = []
    for each in (field, features):
        painted = each.rgb(plain, positions, torch.tensor([1.0, 0.0]))
        each.content.planes.planes[-1].data.mul_(3)
        strokes.append(float((each.rgb(plain, positions, torch.tensor([1.0, 0.0])) - painted).abs().max()))
    assert strokes[0] == 0 and strokes[1] > 1e-3


def test_strokes_reach_colours_that_the_content_lacks(positions: Tensor):
    """The style's map halves all differences: what is squeezed into [0, 1] before it ends at .3 of blue."""
    field = stylized("style")
    last = field.amalgamation.color_mlp.layers[-1]
    last.weight.data.zero_()
    last.bias.data.fill_(2.6)
    assert float(field.shown(torch.tensor([1.0, 0.0])).rgb(positions)[:, 2].min()) > 0.6


class TestShape:
    def test_locked_is_the_contents_distance_to_the_last_bit(self, positions: Tensor):
        field = stylized()
        shown = field.shown(torch.eye(2)[0])
        assert torch.equal(shown.signed_distance(positions), field.content.signed_distance(positions))
        assert torch.equal(shown.gradient(positions), field.content.gradient(positions))
        assert not [name for name in field.state_dict() if "density" in name]

    def test_distilled_moves_but_never_beyond_the_bound(self, positions: Tensor):
        field = stylized(bound=0.01)
        for parameter in field.amalgamation.density_mlp.parameters():
            parameter.data.mul_(100)
        moved = field.shown(torch.eye(2)[0]).signed_distance(positions) - field.content.signed_distance(positions)
        assert 0.005 < float(moved.abs().max()) <= 0.01 + 1e-6

    def test_distilled_under_the_zero_code_is_the_content_to_the_last_bit(self, positions: Tensor):
        field = stylized(bound=0.01)
        shown = field.shown(torch.zeros(2))
        assert torch.equal(shown.signed_distance(positions), field.content.signed_distance(positions))

    def test_the_distilled_gradient_is_that_of_the_distilled_distance(self, positions: Tensor):
        field, code = stylized(bound=0.05).double(), torch.tensor([0.5, 0.5]).double()
        at = positions[:5].double()
        found = field.gradient(at, code)
        axis = torch.tensor([1.0, 0.0, 0.0]).double()
        slow = (field.signed_distance(at + axis / 256, code) - field.signed_distance(at - axis / 256, code)) * 128
        torch.testing.assert_close(found[:, :1], slow, atol=0.3, rtol=0.3)


@pytest.mark.parametrize("bound", [0.0, 0.02])
class TestLearning:
    def test_the_content_is_frozen_and_all_else_learns(self, bound: float, positions: Tensor):
        field = stylized(bound=bound)
        before = copy.deepcopy(field.content.state_dict())
        optimizer = torch.optim.Adam(field.groups())
        shown = field.shown(torch.tensor([0.5, 0.5]))
        (shown.rgb(positions).square().sum() + shown.signed_distance(positions).square().sum()).backward()
        learning = {name for name, parameter in field.named_parameters() if parameter.grad is not None}
        assert learning == {name for name, _ in field.named_parameters() if not name.startswith("content.")}
        optimizer.step()
        assert all(torch.equal(value, before[name]) for name, value in field.content.state_dict().items())

    def test_every_parameter_that_learns_is_in_one_group(self, bound: float):
        field = stylized(bound=bound)
        grouped = [id(parameter) for group in field.groups() for parameter in group["params"]]
        assert sorted(grouped) == sorted(id(parameter) for parameter in field.parameters() if parameter.requires_grad)

    def test_at_the_first_step_there_is_something_to_learn_for_all(self, bound: float, positions: Tensor):
        """Gates of 1, as in the release, would give SIM and AM gradients of exactly 0."""
        field = StylizedSurface(PlanesSurface((8, 16), channels=4), 1, "none", bound)
        shown = field.shown(torch.ones(1))
        (shown.rgb(positions).square().sum() + shown.signed_distance(positions).square().sum()).backward()
        silent = [
            name for name, parameter in field.named_parameters()
            if parameter.requires_grad and (parameter.grad is None or not parameter.grad.any())
        ]  # fmt: skip
        assert silent == []

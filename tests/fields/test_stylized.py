import pytest
import torch
from jaxtyping import TypeCheckError

from ins3d.fields.merged_points import SurfacePoints
from ins3d.fields.point_encoding import FrequencyEncoding
from ins3d.fields.style_features import StylePlanes
from ins3d.fields.stylized import StylizedField


def field(gates: tuple[float, float], encoding: FrequencyEncoding | StylePlanes | None = None) -> StylizedField:
    encoding = StylePlanes(2, (8,), 4) if encoding is None else encoding
    return StylizedField(7, 6, encoding, num_styles=2, width=8, num_color_layers=2, gate_init=gates)


@pytest.fixture
def points(random: torch.Generator) -> SurfacePoints:
    """5 rays of 2 points."""
    return SurfacePoints(
        positions=torch.rand(5, 2, 3, generator=random) - 0.5,
        color_features=torch.randn(5, 2, 6, generator=random),
        weights=torch.full((5, 2, 1), 0.4),
        spread=torch.full((5, 2, 1), 0.02),
    )


FULL, NONE = torch.tensor([0.0, 1.0]), torch.zeros(2)


class TestStylizedField:
    @pytest.mark.parametrize(("gates", "code"), [((1.0, 1.0), FULL), ((0.3, 0.3), NONE)])
    def test_is_the_content_bit_for_bit_at_gate_1_and_with_the_zero_code(self, gates, code, points, random):
        stylized = field(gates)
        assert torch.equal(stylized.color_features(points, code), points.color_features)
        raw_density, features = torch.randn(5, 2, 1, generator=random), torch.randn(5, 2, 7, generator=random)
        assert torch.equal(stylized.raw_density(raw_density, features, points.positions, code), raw_density)

    def test_is_sim_and_am_one_after_the_other(self, points: SurfacePoints):
        stylized = field((0.5, 0.5)).eval()
        code = torch.tensor([0.2, 0.5])
        style = stylized.style_features(points.positions, code, points.spread)
        features = stylized.amalgamation.color_features(points.color_features, style, torch.tensor(0.7))
        torch.testing.assert_close(stylized.color_features(points, code), features)

    def test_learns_with_products_that_are_rounded_and_gradients_that_are_nearly_the_same(self, points: SurfacePoints):
        stylized = field((0.5, 0.5))
        found = []
        for mode in (False, True):
            stylized.train(mode).zero_grad()
            rgb = stylized.color_features(points, FULL)
            assert rgb.dtype == torch.float32
            rgb.square().sum().backward()
            found.append((rgb.detach(), [each.grad.clone() for each in stylized.parameters() if each.grad is not None]))
        (exact, slopes), (rounded, rounded_slopes) = found
        torch.testing.assert_close(rounded, exact, atol=0.02, rtol=0.02)
        for slope, near in zip(slopes, rounded_slopes, strict=True):
            assert float((slope - near).norm()) <= 0.03 * float(slope.norm())

    def test_two_styles_differ_and_neither_is_the_content(self, points: SurfacePoints, random: torch.Generator):
        stylized = field((0.5, 0.5))
        answers = [stylized.color_features(points, code) for code in (NONE, FULL, FULL.flip(0))]
        assert not any(torch.allclose(answers[a], answers[b], atol=1e-4) for a, b in ((0, 1), (0, 2), (1, 2)))

    def test_without_density_features_colours_alone_are_styled(self):
        stylized = StylizedField(None, 6, StylePlanes(2, (8,), 4), 2, 8, 2, (1.0, 0.9))
        assert list(stylized.named_gates()) == ["rgb_gate"] and len(stylized.gates()) == 1
        assert list(field((1.0, 0.9)).named_gates()) == ["density_gate", "rgb_gate"]

    @pytest.mark.parametrize("encoding", [StylePlanes(2, (4, 8), 2), FrequencyEncoding(3, 4)])
    def test_gates_weights_and_planes_are_all_parameters_each_once(self, encoding):
        stylized = field((1.0, 0.9), encoding)
        groups = stylized.gates() + stylized.weights() + stylized.planes()
        assert sorted(map(id, groups)) == sorted(map(id, stylized.parameters()))
        assert [gate.item() for gate in stylized.gates()] == [1.0, pytest.approx(0.9)]
        assert len(stylized.planes()) == (4 if isinstance(encoding, StylePlanes) else 0)

    def test_colour_gradients_reach_planes_weights_and_the_colour_gate(self, points: SurfacePoints):
        stylized = field((1.0, 0.9))
        stylized.color_features(points, FULL).sum().backward()
        trained = {name for name, parameter in stylized.named_parameters() if parameter.grad is not None}
        # Style 0 weighs nothing in this code.
        others = ("density", "encoding.styles.0", "columns.0")
        assert {name for name, _ in stylized.named_parameters() if not any(other in name for other in others)} == trained

    def test_styles_that_are_added_leave_the_kept_ones_as_they_were(self, points: SurfacePoints):
        stylized = field((1.0, 0.5))
        kept = torch.tensor([1.0, 0.0])
        before = [stylized.color_features(points, code).detach() for code in (kept, FULL)]
        stylized.keep_styles(1)
        optimizer = torch.optim.Adam(stylized.parameters(), lr=0.1)
        for _ in range(3):
            optimizer.zero_grad()
            stylized.color_features(points, FULL).sum().backward()
            optimizer.step()
        after = [stylized.color_features(points, code) for code in (kept, FULL)]
        assert torch.equal(before[0], after[0])
        assert not torch.equal(before[1], after[1])

    def test_refuses_a_code_per_ray(self, points: SurfacePoints):
        with pytest.raises(TypeCheckError):
            field((1.0, 0.9)).color_features(points, torch.zeros(5, 2))

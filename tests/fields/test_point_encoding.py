import math

import numpy as np
import pytest
import torch
from torch import nn

from ins3d.fields.mlp import Mlp
from ins3d.fields.point_encoding import FeaturePlanes, FrequencyEncoding, fade


class TestMlp:
    @pytest.mark.parametrize("num_layers", [1, 2, 4])
    def test_equals_a_loop_with_relu_between_layers_and_none_after_the_last(self, num_layers: int, random: torch.Generator):
        mlp = Mlp(3, 5, width=7, num_layers=num_layers)
        values = torch.randn(11, 3, generator=random)
        expected = values.numpy().astype(np.float64)
        linears = [layer for layer in mlp.modules() if isinstance(layer, nn.Linear)]
        assert len(linears) == num_layers
        for number, linear in enumerate(linears, start=1):
            expected = expected @ linear.weight.detach().numpy().T + linear.bias.detach().numpy()
            if number < num_layers:
                expected = np.maximum(expected, 0)
        np.testing.assert_allclose(mlp(values).detach().numpy(), expected, atol=1e-6)
        assert (expected < 0).any()

    def test_counts_its_parameters(self):
        # 3*8 + 8, then 8*8 + 8, then 8*2 + 2.
        assert sum(parameter.numel() for parameter in Mlp(3, 2, width=8, num_layers=3).parameters()) == 32 + 72 + 18


class TestFrequencyEncoding:
    def test_equals_a_loop_over_frequencies_without_the_factor_pi(self, random: torch.Generator):
        positions = torch.rand(6, 3, generator=random) * 2 - 1
        expected = []
        for point in positions.tolist():
            row = list(point)
            for power in range(10):
                row += [math.sin(2**power * x) for x in point]
                row += [math.cos(2**power * x) for x in point]
            expected.append(row)
        encoded = FrequencyEncoding(num_inputs=3, num_frequencies=10)(positions)
        torch.testing.assert_close(encoded, torch.tensor(expected), atol=1e-4, rtol=0)

    def test_of_zero_is_zero_for_sines_and_one_for_cosines(self):
        assert FrequencyEncoding(2, 2)(torch.zeros(1, 2)).tolist() == [[0, 0, 0, 0, 1, 1, 0, 0, 1, 1]]

    def test_has_the_sizes_of_the_paper(self):
        assert FrequencyEncoding(3, 10).num_outputs == 63
        assert FrequencyEncoding(3, 4).num_outputs == 27

    def test_fades_waves_to_their_average_over_a_gaussian_but_not_the_input(self, random: torch.Generator):
        positions, spread = torch.tensor([[0.3]]), 0.2
        samples = positions + spread * torch.randn(400_000, 1, generator=random)
        encoding = FrequencyEncoding(1, 4)
        faded = encoding(positions, torch.tensor([[spread]]))
        torch.testing.assert_close(faded, encoding(samples).mean(0, keepdim=True), atol=5e-3, rtol=0)

    def test_is_unchanged_to_the_last_bit_by_a_spread_of_zero(self, random: torch.Generator):
        positions = torch.randn(5, 4, 3, generator=random)
        encoding = FrequencyEncoding(3, 6)
        assert torch.equal(encoding(positions, torch.zeros(5, 4, 1)), encoding(positions))


class TestFade:
    def test_equals_the_average_of_a_wave_over_a_gaussian(self):
        # Independent: numerical integration of cos(f x) times the normal density.
        offsets = np.linspace(-8, 8, 20_001)
        for spread, frequency in [(0.1, 3.0), (0.5, 2.0), (1.0, 1.0)]:
            density = np.exp(-0.5 * offsets**2) / np.sqrt(2 * np.pi)
            expected = np.sum(density * np.cos(frequency * spread * offsets)) * (offsets[1] - offsets[0])
            assert fade(torch.tensor([[spread]]), frequency).item() == pytest.approx(expected, abs=1e-6)

    def test_keeps_exp_of_minus_one_half_when_spread_times_frequency_is_one(self):
        assert fade(torch.tensor([[0.25]]), 4.0).item() == pytest.approx(math.exp(-0.5))


def slow_bilinear(plane: np.ndarray, x: float, y: float) -> np.ndarray:
    """One plane [channels, rows, columns] whose corner values stand at -1 and 1; outside, the border goes on."""
    size = plane.shape[1]
    column = min(max((x + 1) / 2 * (size - 1), 0), size - 1)
    row = min(max((y + 1) / 2 * (size - 1), 0), size - 1)
    left, top = min(int(column), size - 2), min(int(row), size - 2)
    across, down = column - left, row - top
    upper = plane[:, top, left] * (1 - across) + plane[:, top, left + 1] * across
    lower = plane[:, top + 1, left] * (1 - across) + plane[:, top + 1, left + 1] * across
    return upper * (1 - down) + lower * down


def slow_planes(encoding: FeaturePlanes, positions: torch.Tensor) -> np.ndarray:
    rows = []
    for position in positions.double().numpy():
        row = []
        for level, planes in enumerate(encoding.planes):
            turned = position @ encoding.turns[level].double().numpy()
            x, y, z = turned
            pairs = [(x, y), (x, z), (y, z)]
            row.append(
                sum(slow_bilinear(plane, *pair) for plane, pair in zip(planes.detach().double().numpy(), pairs, strict=True))
            )
        rows.append(np.concatenate(row))
    return np.stack(rows)


class TestFeaturePlanes:
    @pytest.mark.parametrize("channels", [4, 3])
    @pytest.mark.parametrize("rotated", [False, True])
    def test_equals_a_slow_bilinear_loop(self, rotated: bool, channels: int, random: torch.Generator):
        encoding = FeaturePlanes((3, 6, 9), channels, rotated)
        positions = torch.rand(40, 3, generator=random) * 2.4 - 1.2
        np.testing.assert_allclose(encoding(positions).detach().numpy(), slow_planes(encoding, positions), atol=1e-5)

    def test_returns_a_planes_own_values_at_its_grid_points(self, random: torch.Generator):
        encoding = FeaturePlanes((3,), channels=2)
        # x = -1, y = 0, z = 1 are columns and rows 0, 1, 2: xy reads [row 1, column 0], xz [2, 0], yz [2, 1].
        xy, xz, yz = encoding.planes[0].detach()
        expected = xy[:, 1, 0] + xz[:, 2, 0] + yz[:, 2, 1]
        torch.testing.assert_close(encoding(torch.tensor([[-1.0, 0.0, 1.0]]))[0].detach(), expected)

    def test_gradients_of_planes_and_positions_equal_finite_differences(self, random: torch.Generator):
        encoding = FeaturePlanes((3, 5), channels=2, rotated=True).double()
        # Away from cell borders, where a bilinear function has a kink.
        positions = torch.tensor([[0.13, -0.41, 0.57], [-0.63, 0.22, 0.31]], dtype=torch.float64, requires_grad=True)
        assert torch.autograd.gradcheck(encoding, (positions,))
        loss = (encoding(positions) ** 2).sum()
        (gradient,) = torch.autograd.grad(loss, encoding.planes[1])
        row, step = (2, 1, 3, 2), 1e-6
        with torch.no_grad():
            encoding.planes[1][row] += step
            upper = (encoding(positions) ** 2).sum()
            encoding.planes[1][row] -= 2 * step
            lower = (encoding(positions) ** 2).sum()
        assert gradient[row].item() == pytest.approx(((upper - lower) / (2 * step)).item(), abs=1e-6)

    def test_fixed_turns_are_orthogonal_differ_by_level_and_are_the_same_every_time(self):
        encoding, other = FeaturePlanes((4, 4), 1, rotated=True), FeaturePlanes((4, 4), 1, rotated=True)
        assert torch.equal(encoding.turns, other.turns)
        torch.testing.assert_close(encoding.turns @ encoding.turns.mT, torch.eye(3).expand(2, 3, 3))
        assert not torch.allclose(encoding.turns[0], encoding.turns[1])

    def test_keeps_its_turns_in_checkpoints(self):
        assert "turns" in FeaturePlanes((4,), 1, rotated=True).state_dict()

    def test_does_not_touch_torchs_own_random_numbers_for_its_turns(self):
        # The planes themselves are drawn from torch's generator, the rotations are not.
        torch.manual_seed(3)
        plain = FeaturePlanes((4, 5), 2)
        torch.manual_seed(3)
        rotated = FeaturePlanes((4, 5), 2, rotated=True)
        assert all(torch.equal(*pair) for pair in zip(plain.planes, rotated.planes, strict=True))

    def test_a_large_spread_fades_fine_levels_before_coarse_ones(self, random: torch.Generator):
        encoding = FeaturePlanes((8, 32, 128), channels=4)
        positions = torch.rand(20, 3, generator=random) * 2 - 1
        spread = torch.full((20, 1), 0.05)
        left = (encoding(positions, spread) / encoding(positions)).detach().reshape(20, 3, 4)
        coarse, middle, fine = left.mean((0, 2)).tolist()
        # Waves of two cells have pi * 7 / 2, pi * 31 / 2, pi * 127 / 2 radians per unit; exp(-(frequency * 0.05)^2 / 2).
        assert [coarse, middle, fine] == pytest.approx([0.859778, 0.051578, 2.3e-22], rel=1e-3, abs=1e-6)

    def test_is_unchanged_by_a_spread_of_zero_and_vanishes_with_a_huge_one(self, random: torch.Generator):
        encoding = FeaturePlanes((8, 32), channels=4, rotated=True)
        positions = torch.rand(2, 5, 3, generator=random)
        assert torch.equal(encoding(positions, torch.zeros(2, 5, 1)), encoding(positions))
        assert encoding(positions, torch.full((2, 5, 1), 10.0)).abs().max() == 0

    def test_refuses_positions_of_two_numbers_in_a_scene_and_of_three_in_a_picture(self):
        for num_inputs, wrong in ((3, 2), (2, 3)):
            with pytest.raises(RuntimeError):
                FeaturePlanes((4,), 2, num_inputs=num_inputs)(torch.zeros(5, wrong))

    @pytest.mark.parametrize("rotated", [False, True])
    def test_one_plane_holds_a_picture(self, rotated: bool, random: torch.Generator):
        encoding = FeaturePlanes((3, 6), 4, rotated, num_inputs=2)
        positions = torch.rand(40, 2, generator=random) * 2.4 - 1.2
        expected = [
            np.concatenate([
                slow_bilinear(planes[0].detach().double().numpy(), *(position @ turn).double().tolist())
                for planes, turn in zip(encoding.planes, encoding.turns, strict=True)
            ])
            for position in positions
        ]  # fmt: skip
        np.testing.assert_allclose(encoding(positions).detach().numpy(), np.stack(expected), atol=1e-5)

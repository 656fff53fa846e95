import pytest
import torch

from ins3d.fields.feature_hash import FeatureHash


@pytest.fixture
def features() -> FeatureHash:
    torch.manual_seed(0)
    return FeatureHash((4, 16), channels=3, log2_size=14)


def in_ball(number: int) -> torch.Tensor:
    points = torch.randn(number, 3, generator=torch.Generator().manual_seed(1))
    return 0.9 * points / points.norm(dim=1, keepdim=True) * torch.rand(number, 1)


class TestFeatureHash:
    def test_between_corners_features_are_trilinear(self, features: FeatureHash):
        """Along a line through one cell, in the axes of its level, what is read is linear."""
        turn = features.turns[0]
        line = (torch.tensor([[0.01, 0.1, 0.2]]) + torch.linspace(0, 0.4, 5)[:, None] * torch.tensor([1.0, 0, 0])) @ turn.T
        read = features(line)[:, :3]
        assert torch.allclose(read[2], (read[0] + read[4]) / 2, atol=1e-6) and not torch.allclose(read[0], read[4])

    def test_it_is_continuous_where_cells_meet(self, features: FeatureHash):
        turn = features.turns[0]
        sides = torch.tensor([[0.5 - 1e-5, 0.1, 0.2], [0.5 + 1e-5, 0.1, 0.2]]) @ turn.T
        before, after = features(sides)[:, :3]
        assert torch.allclose(before, after, atol=1e-5)

    def test_a_place_is_read_from_its_own_cell_alone(self, features: FeatureHash):
        """Unlike a plane, which repeats itself along its axis: moved along any axis, the same entry is not seen."""
        place = torch.tensor([[0.3, 0.1, 0.2]])
        features.zero_grad()
        features(place).sum().backward()
        touched = features.tables[1].grad.abs().sum(1) > 0
        assert int(touched.sum()) <= 8
        for axis in range(3):
            moved = place + 0.5 * features.turns[1].T[axis]
            with torch.no_grad():
                before = features(moved)[:, 3:].clone()
                features.tables[1][touched] += 1
                assert torch.equal(features(moved)[:, 3:], before)
                features.tables[1][touched] -= 1

    def test_its_gradient_is_that_of_the_weighted_sum(self):
        torch.manual_seed(0)
        features = FeatureHash((5,), channels=2, log2_size=6).double()
        points = in_ball(20).double()
        weights = torch.randn(20, 2, dtype=torch.float64)
        (features(points) * weights).sum().backward()
        rows, shares = (each[0] for each in features._around(points))
        expected = torch.zeros_like(features.tables[0])
        for point in range(20):
            for corner in range(8):
                expected[rows[point, corner]] += shares[point, corner] * weights[point]
        assert torch.allclose(features.tables[0].grad, expected)

    def test_shares_add_up_to_one_and_rows_fit(self, features: FeatureHash):
        for level in range(2):
            rows, shares = (each[level] for each in features._around(in_ball(500)))
            assert torch.allclose(shares.sum(1), torch.ones(500)) and 0 <= int(rows.min()) <= int(rows.max()) < 2**14

    def test_cells_finer_than_the_spread_fade_out(self, features: FeatureHash):
        points = in_ball(50)
        near, far = (features(points, torch.full((50, 1), spread)) for spread in (0.0, 0.2))
        assert torch.equal(near, features(points))
        assert float(far[:, 3:].abs().max()) < 1e-4 * float(near[:, 3:].abs().max())
        assert float(far[:, :3].abs().max()) > 0.05 * float(near[:, :3].abs().max())

    def test_what_no_step_has_touched_says_next_to_nothing(self, features: FeatureHash):
        assert float(features(in_ball(500)).abs().max()) < 0.05

    def test_of_no_points_is_nothing(self, features: FeatureHash):
        assert features(torch.zeros(2, 0, 3)).shape == (2, 0, 6)

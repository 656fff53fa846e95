import math

import pytest
import torch
from jaxtyping import TypeCheckError

from ins3d.fields.geometry_losses import (
    density_distillation_loss,
    eikonal_loss,
    normal_loss,
    signed_distance_loss,
    silhouette_loss,
)


@pytest.fixture
def densities(random: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    student, teacher = torch.randn(2, 4, 3, 1, generator=random, dtype=torch.float64).unbind()
    return student.clone().requires_grad_(), teacher.clone()


class TestDensityDistillationLoss:
    def test_is_exactly_zero_where_the_student_is_the_teacher(self, densities):
        assert density_distillation_loss(densities[1], densities[1]).item() == 0

    def test_is_the_mean_absolute_difference(self):
        # |1 - 3| = 2, |-2 - -2| = 0, |0 - -1| = 1; mean 1.
        student, teacher = torch.tensor([[1.0], [-2.0], [0.0]]), torch.tensor([[3.0], [-2.0], [-1.0]])
        assert density_distillation_loss(student, teacher).item() == 1.0

    def test_equals_a_slow_loop(self, densities):
        student, teacher = densities
        differences = [abs(s - t) for s, t in zip(student.flatten().tolist(), teacher.flatten().tolist(), strict=True)]
        assert density_distillation_loss(student, teacher).item() == pytest.approx(sum(differences) / 12)

    def test_gradient_equals_finite_differences(self, densities):
        student, teacher = densities
        assert torch.autograd.gradcheck(lambda student: density_distillation_loss(student, teacher), (student,))

    def test_gradient_is_zero_at_the_target(self, densities):
        student, teacher = densities[1].clone().requires_grad_(), densities[1]
        density_distillation_loss(student, teacher).backward()
        assert student.grad is not None and student.grad.abs().max() == 0

    def test_teaches_the_student_only(self, densities):
        student, teacher = densities[0], densities[1].requires_grad_()
        density_distillation_loss(student, teacher).backward()
        assert teacher.grad is None

    def test_does_not_change_when_both_densities_rise_alike(self, densities):
        student, teacher = densities
        torch.testing.assert_close(
            density_distillation_loss(student + 5, teacher + 5), density_distillation_loss(student, teacher)
        )

    def test_compares_raw_densities_also_where_both_are_empty(self):
        # After ReLU both would be 0; before it they differ by 1.
        assert density_distillation_loss(torch.tensor([[-3.0]]), torch.tensor([[-2.0]])).item() == 1.0

    def test_refuses_other_points(self):
        with pytest.raises(TypeCheckError):
            density_distillation_loss(torch.zeros(4, 1), torch.zeros(3, 1))


@pytest.fixture
def vectors(random: torch.Generator) -> torch.Tensor:
    return torch.randn(12, 3, generator=random, dtype=torch.float64)


class TestEikonalLoss:
    def test_is_zero_for_unit_vectors(self, vectors):
        assert eikonal_loss(torch.nn.functional.normalize(vectors, dim=-1)).item() == pytest.approx(0, abs=1e-12)

    def test_equals_a_slow_loop(self, vectors):
        squares = [(sum(value**2 for value in row) ** 0.5 - 1) ** 2 for row in vectors.tolist()]
        assert eikonal_loss(vectors).item() == pytest.approx(sum(squares) / 12)

    def test_gradient_equals_finite_differences(self, vectors):
        assert torch.autograd.gradcheck(eikonal_loss, (vectors.requires_grad_(),))

    def test_gradient_is_finite_where_nothing_grows(self):
        flat = torch.zeros(2, 3, requires_grad=True)
        eikonal_loss(flat).backward()
        assert flat.grad is not None and flat.grad.isfinite().all()

    def test_does_not_change_when_all_is_turned(self, vectors):
        turn, _ = torch.linalg.qr(vectors[:3])
        torch.testing.assert_close(eikonal_loss(vectors @ turn), eikonal_loss(vectors))

    def test_refuses_pictures_planes(self):
        with pytest.raises(TypeCheckError):
            eikonal_loss(torch.zeros(4, 2))


class TestSignedDistanceLoss:
    def test_is_zero_at_the_target(self, vectors):
        assert signed_distance_loss(vectors[:, :1], vectors[:, :1]).item() == 0

    def test_an_error_counts_more_near_the_surface(self):
        # .1 / (0 + .05) = 2; .1 / (.95 + .05) = .1.
        near = signed_distance_loss(torch.tensor([[0.1]]), torch.tensor([[0.0]]))
        far = signed_distance_loss(torch.tensor([[0.85]]), torch.tensor([[0.95]]))
        assert near.item() == pytest.approx(2.0) and far.item() == pytest.approx(0.1)

    def test_gradient_equals_finite_differences(self, vectors):
        found = vectors[:, :1].clone().requires_grad_()
        assert torch.autograd.gradcheck(lambda found: signed_distance_loss(found, vectors[:, 1:2]), (found,))

    def test_inside_counts_as_outside(self, vectors):
        found, wanted = vectors[:, :1], vectors[:, 1:2]
        torch.testing.assert_close(signed_distance_loss(-found, -wanted), signed_distance_loss(found, wanted))


class TestNormalLoss:
    def test_is_zero_at_the_normals(self, vectors):
        assert normal_loss(vectors, vectors).item() == 0

    def test_sees_a_gradient_that_points_inwards(self):
        # (2, 0, 0): 4.
        assert normal_loss(torch.tensor([[1.0, 0.0, 0.0]]), torch.tensor([[-1.0, 0.0, 0.0]])).item() == 4

    def test_gradient_equals_finite_differences(self, vectors):
        normals = torch.nn.functional.normalize(vectors.flip(0), dim=-1)
        assert torch.autograd.gradcheck(lambda found: normal_loss(found, normals), (vectors.requires_grad_(),))


class TestSilhouetteLoss:
    def test_equals_a_slow_loop(self, vectors):
        """IDR, equation 7: binary cross entropy of sigmoid(-alpha S), over alpha and all rays of the step."""
        distance, covered = vectors[:, :1], vectors[:, 1] > 0
        total = 0.0
        for value, inside in zip(distance.flatten().tolist(), covered.tolist(), strict=True):
            share = 1 / (1 + math.exp(5.0 * value))
            total -= math.log(share if inside else 1 - share)
        assert silhouette_loss(distance, covered, 5.0, 40).item() == pytest.approx(total / (5.0 * 40))

    def test_vanishes_far_on_the_right_side(self):
        found = silhouette_loss(torch.tensor([[1.0], [-1.0]]), torch.tensor([False, True]), 50.0, 2)
        assert found.item() == pytest.approx(0, abs=1e-12)

    def test_pulls_the_surface_towards_rays_that_should_hit_it(self):
        distance = torch.tensor([[0.2], [0.2]], requires_grad=True)
        silhouette_loss(distance, torch.tensor([True, False]), 50.0, 2).backward()
        # The distance is to fall where the mask is, by 1 a ray; where it is not, next to nothing.
        assert distance.grad is not None
        assert distance.grad[0].item() == pytest.approx(0.5, abs=1e-3) and distance.grad[1].abs().item() < 1e-3

    def test_far_on_the_wrong_side_it_grows_by_the_distance_whatever_alpha(self):
        for alpha in (50.0, 1600.0):
            found = silhouette_loss(torch.tensor([[0.7]]), torch.tensor([True]), alpha, 1)
            assert found.item() == pytest.approx(0.7, abs=1e-6)

    def test_no_rays_lose_nothing(self):
        assert silhouette_loss(torch.zeros(0, 1), torch.zeros(0, dtype=torch.bool), 50.0, 8).item() == 0
